import Foundation
import TestSupport
import Testing

/// Every kind of credential, through everything that the program writes.
extension RealServersTests {
    private static let credentials = [
        "MLMIRROR_PRIMARY_TOKEN": "canary-token-9f2", "MLMIRROR_SECONDARY_USERNAME": "ann",
        "MLMIRROR_SECONDARY_PASSWORD": "canary-password-7c1", "https_proxy": "http://bob:canary-proxy-3e5@127.0.0.1:9",
    ]
    /// As they are, and as headers carry them.
    private static let canaries =
        ["canary", "ann:canary-password-7c1", "bob:canary-proxy-3e5"].flatMap { [$0, Data($0.utf8).base64EncodedString()] }

    private func expectNoCanary(in text: some StringProtocol, _ where: String) {
        for canary in Self.canaries { #expect(!text.contains(canary), "\(`where`)") }
    }

    @Test func credentialsStayOutOfEverySink() async throws {
        let pair = try await RealPair()
        defer { pair.stop() }
        try await pair.workload("tiny")
        let daemon = try pair.start("run", ["--feed", "poll"], environment: Self.credentials, log: "daemon.log")
        defer { daemon.terminate() }
        let log = { (try? String(contentsOfFile: pair.folder.file("daemon.log"), encoding: .utf8)) ?? "" }
        let status = {
            try await RealPair.run(
                RealPair.binary, ["status", "--json", "--state", pair.folder.file("state.db")], Self.credentials)
        }
        for _ in 0..<600 where try await !status().output.contains("\"changes\":0") { try await Task.sleep(for: .milliseconds(100)) }

        let process = "/proc/\(daemon.processIdentifier)"
        for file in ["cmdline", "comm", "status", "maps"] {
            let bytes = FileManager.default.contents(atPath: "\(process)/\(file)") ?? Data()
            expectNoCanary(in: String(decoding: bytes, as: UTF8.self), file)
        }
        let limits = try String(contentsOfFile: "\(process)/limits", encoding: .utf8)
        #expect(limits.split(separator: "\n").contains { $0.hasPrefix("Max core file size") && $0.contains(" 0 ") }, "\(limits)")

        // Both servers go away and come back, and everything is asked meanwhile.
        pair.secondary.kill()
        try await pair.workload("tiny", seed: 2)
        for command in ["check", "verify", "backfill"] {
            let said = try await pair.mlmirror(command, ["--json"], state: "other.db", environment: Self.credentials)
            expectNoCanary(in: said.output + said.errors, command)
            #expect(said.status != 0, "\(command): \(said.output)")
        }
        for _ in 0..<600 where !log().contains("away") { try await Task.sleep(for: .milliseconds(100)) }
        #expect(log().contains("away"), "\(log())")
        try await pair.secondary.restart()
        for (command, more) in [("backfill", []), ("check", []), ("verify", ["--deep", "--report", pair.folder.file("report.json")])] {
            let said = try await pair.mlmirror(command, more, environment: Self.credentials)
            expectNoCanary(in: said.output + said.errors, command)
        }
        expectNoCanary(in: try await status().output, "status")

        let wrong = try await pair.mlmirror(
            "check", [], state: "other.db", environment: Self.credentials.merging(["MLMIRROR_PRIMARY_USERNAME": "canary"]) { $1 })
        #expect(wrong.status == 78)
        expectNoCanary(in: wrong.output + wrong.errors, "a token and a user")

        let files = try FileManager.default.contentsOfDirectory(atPath: pair.folder.path)
        #expect(files.contains("state.db") && files.contains("daemon.log") && files.contains("report.json"), "\(files)")
        for file in files {
            let bytes = FileManager.default.contents(atPath: pair.folder.file(file)) ?? Data()
            for canary in Self.canaries { #expect(bytes.range(of: Data(canary.utf8)) == nil, "\(file)") }
        }
    }
}
