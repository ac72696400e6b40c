import Foundation
import TestSupport
import Testing

/// Azure ML as the secondary, with its emulator in its place and Microsoft's own client as the judge.
@Suite(.enabled(if: MLflowServer.executable != nil, "no mlflow executable; set MLMIRROR_TEST_MLFLOW"))
struct AzureMLTests {
    @Test func whatIsTooBigForTheWorkspaceIsThereAllTheSame() async throws {
        let pair = try await AzurePair()
        defer { pair.stop() }
        let workload = try await pair.onPrimary("azureml_workload.py").split(separator: "\n").last.map(String.init) ?? ""
        let checked = try await pair.mlmirror("check")
        #expect(checked.status == 0, "\(checked.output)\(checked.errors)")
        let copied = try await pair.mlmirror("backfill")
        #expect(copied.status == 0, "\(copied.output)\(copied.errors)")
        let verified = try await pair.mlmirror("verify", ["--deep"])
        #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
        #expect(verified.output.contains("params in overflow documents"))
        let wrong = try await pair.onWorkspace("azureml_reader.py", [workload])
        #expect(wrong.isEmpty, "\(wrong)")

        // A second time there is nothing to do.
        try await pair.workspace.control("DELETE", "/requests")
        let again = try await pair.mlmirror("backfill")
        #expect(again.status == 0)
        #expect(try await writes(pair) == [])
        // Without its memory, neither.
        try FileManager.default.removeItem(atPath: pair.folder.file("state.db"))
        try FileManager.default.removeItem(atPath: pair.folder.file("state.db.lock"))
        let anew = try await pair.mlmirror("backfill")
        #expect(anew.status == 0, "\(anew.output)\(anew.errors)")
        #expect(try await writes(pair) == [])
    }

    private struct Request: Decodable {
        var method: String
        var path: String
    }

    /// What was written to the workspace since the list of requests was cleared.
    private func writes(_ pair: AzurePair) async throws -> [String] {
        let requests = try JSONDecoder().decode([Request].self, from: try await pair.workspace.control("GET", "/requests"))
        return requests.filter { $0.method != "GET" && $0.method != "HEAD" && $0.method != "CONNECT" && !$0.path.contains("/search") }
            .map { "\($0.method) \($0.path)" }
    }
}
