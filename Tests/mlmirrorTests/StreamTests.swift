import TestSupport
import Testing

@testable import mlmirror

/// The real binary without some of its streams. In the serialized suite, because a process that is started beside another inherits its pipes.
extension RealServersTests {
    private func run(_ redirection: String, _ arguments: [String]) async throws -> RealPair.Result {
        try await RealPair.run("/bin/sh", ["-c", "exec \"$0\" \"$@\" \(redirection)", RealPair.binary] + arguments)
    }

    @Test func messagesToNowhereLeaveTheLockFileWhole() async throws {
        let server = try RawServer { _ in }
        defer { server.stop() }
        let folder = try TemporaryFolder()
        // It ends once it has the state file and has said so: the port is taken.
        let file = try folder.write("m.yaml", "metrics_listen: 127.0.0.1:\(server.port)\n")
        let stores = ["--primary", "http://127.0.0.1:1", "--secondary", "http://127.0.0.1:2", "--state", folder.file("state.db")]
        let ended = try await run("2>&-", ["run", "--config", file] + stores)
        #expect(ended.status == Status.configuration.rawValue)
        let lines = try FolderMaker.read(folder.file("state.db.lock")).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 3 && lines[1] == String(repeating: "0", count: 19) && lines[2].isEmpty, "\(lines)")
    }

    @Test(arguments: [">&-", "> /dev/full"]) func aResultThatGoesNowhereIsAFailure(_ redirection: String) async throws {
        let folder = try TemporaryFolder()
        let stores = ["--primary", "http://a", "--secondary", "http://b", "--state", folder.file("state.db")]
        let ended = try await run(redirection, ["tracking-uri", "--env"] + stores)
        #expect(ended.status == Status.failed.rawValue)
        #expect(ended.errors.contains("cannot write the result: "), "\(ended.errors)")
    }
}
