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
        let assessed = try await pair.mlmirror("check", ["--assess", "--json"])
        let forecast = try JSONDecoder().decode(Checked.self, from: Data(assessed.output.utf8)).assessment
        #expect(forecast.refused_count == 0)
        #expect(forecast.over_limit == ["over 50 tags": 1, "over 200 params": 1, "over 50 metric names": 1, "long values": 1])
        let copied = try await pair.mlmirror("backfill")
        #expect(copied.status == 0, "\(copied.output)\(copied.errors)")
        let verified = try await pair.mlmirror("verify", ["--deep"])
        #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
        // The forecast was exact.
        let proven = try await pair.mlmirror("verify", ["--json"])
        let verdict = try JSONDecoder().decode(Verified.self, from: Data(proven.output.utf8)).summary
        #expect(verdict.converted == forecast.converted)
        #expect(verdict.converted["params in overflow documents", default: 0] == 1400)
        #expect(verdict.compared["files"] == forecast.there["files"] && verdict.compared["runs"] == forecast.there["runs"])
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

    /// kill -9 and every fault that the emulator plays, while many clients write; the workspace appends what is sent twice.
    @Test func throughABadServiceNothingIsLostOrTwice() async throws {
        let pair = try await AzurePair()
        defer { pair.stop() }
        let database = "sqlite:///" + pair.primary.folder.appendingPathComponent("mlflow.db").path
        let installed = try await RealPair.run(RealPair.binary, ["feed", "install", "--database", database])
        #expect(installed.status == 0, "\(installed.errors)")
        let daemon = ["--primary-database", database]
        var process = try pair.start("run", daemon)
        async let writing = pair.onPrimary(
            "live_workload.py", ["--seconds", "40", "--clients", "4", "--rate", "20", "--seed", "12", "--models", "--model-files"])
        for number in 0..<12 {
            try await pair.workspace.control("POST", "/faults", Self.badDay(number))
            if number % 3 == 1 { try await pair.workspace.control("POST", "/tokens/expire") }
            if number % 3 == 2 { try await pair.workspace.control("POST", "/sas/expire") }
            try await Task.sleep(for: .milliseconds(2500))
            #expect(process.isRunning, "the daemon ended by itself: \(pair.said.suffix(1000))")
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            process = try pair.start("run", daemon)
        }
        _ = try await writing
        try await pair.workspace.control("DELETE", "/faults")
        let end = ContinuousClock.now + .seconds(240)
        var found = "never settled"
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(5))
            guard try await pair.isSettled() else { continue }
            process.terminate()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(pair.said.suffix(1000))")
            let verified = try await pair.mlmirror("verify", ["--deep"])
            found = verified.output + verified.errors
            if verified.status == 0 { break }
            // Files of open runs are looked at once a minute.
            process = try pair.start("run", daemon)
        }
        #expect(found.contains("Both sides agree"), "\(found.suffix(3000))\n\(pair.said.suffix(3000))")
        if process.isRunning { process.terminate() }
    }

    private static func badDay(_ number: Int) -> String {
        let lost = ["runs/create", "log-batch", "comp=blocklist|dcid", "batch/metadata", "model-versions/create", "experiments/create"][
            number % 6]
        let throttle = number % 2 == 0 ? "\"retry_after\": 1" : "\"retry_after\": null"
        return """
            {"lost_answers": [{"match": "\(lost)", "count": 3}, {"match": "set-tag|runs/update", "count": 2, "status": 503}],
             "throttle": {"match": "log-batch|runs/update|metadata", "every": 29, \(throttle)},
             "errors": {"match": ".", "count": 3, "status": 500}}
            """
    }

    private struct Checked: Decodable {
        struct Assessment: Decodable {
            var there: [String: Int]
            var converted: [String: Int]
            var over_limit: [String: Int]
            var refused_count: Int
        }
        var assessment: Assessment
    }

    private struct Verified: Decodable {
        struct Summary: Decodable {
            var compared: [String: Int]
            var converted: [String: Int]
        }
        var summary: Summary
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
