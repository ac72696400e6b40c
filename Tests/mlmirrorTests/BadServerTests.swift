import Foundation
import TestSupport
import Testing

@testable import mlmirror

/// The real binary against what is no MLflow server. In the serialized suite, because a process that is started beside another inherits its pipes.
extension RealServersTests {
    struct Bad: Sendable, CustomTestStringConvertible {
        var name: String
        var status: Int
        var headers: [String]
        var body: String
        var exit: Status
        /// What the message must say.
        var says: String
        var testDescription: String { name }
    }

    static let cases: [Bad] = [
        Bad(
            name: "a log-in page", status: 200, headers: ["Content-Type: text/html"], body: "<html>Sign in</html>", exit: .unreachable,
            says: "web page"),
        Bad(
            name: "a proxy's error page", status: 502, headers: ["Content-Type: text/html"], body: "<html>Bad gateway</html>",
            exit: .unreachable, says: "502"),
        Bad(name: "JSON cut short", status: 200, headers: [], body: "{\"experiment\":{\"experiment_id\":", exit: .failed, says: "JSON"),
        Bad(name: "JSON of another service", status: 200, headers: [], body: "{\"hello\":\"world\"}", exit: .failed, says: "experiment"),
        Bad(
            name: "wrong credentials", status: 401, headers: [], body: "{\"error_code\":\"UNAUTHENTICATED\",\"message\":\"no\"}",
            exit: .refused, says: "check the credentials"),
        Bad(name: "no such call", status: 404, headers: [], body: "not found", exit: .unreachable, says: "no such call"),
    ]

    @Test(arguments: cases) func isNamedAndLeavesNothingBehind(_ bad: Bad) async throws {
        let server = try RawServer { connection in
            while true {
                _ = try connection.readRequest()
                try connection.answer(bad.status, bad.headers, body: Array(bad.body.utf8))
            }
        }
        defer { server.stop() }
        let folder = try TemporaryFolder()
        let environment = ["MLFLOW_TRACKING_TOKEN": "hush-hush-token"]
        for command in ["check", "backfill"] {
            let arguments = [command, "--primary", server.url, "--secondary", server.url + "/other", "--state", folder.file("state.db")]
            let result = try await RealPair.run(RealPair.binary, arguments + (command == "backfill" ? ["--quiet"] : []), environment)
            let text = result.output + result.errors
            #expect(result.status == bad.exit.rawValue, "\(command): \(text)")
            #expect(text.contains(bad.says), "\(command): \(text)")
            #expect(text.contains(server.url), "\(command): \(text)")
            #expect(!text.contains("hush-hush"), "\(command): \(text)")
        }
        #expect(server.requests.allSatisfy { $0.method == "GET" || $0.target.contains("search") })
    }

    @Test func nobodyListens() async throws {
        let server = try RawServer { _ in }
        server.stop()
        let folder = try TemporaryFolder()
        let result = try await RealPair.run(
            RealPair.binary, ["check", "--primary", server.url, "--secondary", server.url + "/b", "--state", folder.file("s.db")])
        #expect(result.status == Status.unreachable.rawValue)
        #expect((result.output + result.errors).contains("check that the server runs"))
    }
}
