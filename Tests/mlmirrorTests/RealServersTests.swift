import Foundation
import Replication
import TestSupport
import Testing

/// The whole program between two real servers, judged by the official Python client.
@Suite(.serialized, .enabled(if: MLflowServer.executable != nil, "no mlflow executable; `.ci/setup` makes one"))
struct RealServersTests {
    @Test func everythingIsCopiedOnceAndProven() async throws {
        let pair = try await RealPair()
        defer { pair.stop() }
        try await pair.workload("edge")
        let first = try await pair.mlmirror("backfill")
        #expect(first.status == 0, "\(first.output)\(first.errors)")
        #expect(first.output.contains("left out:"), "\(first.output)")
        #expect(!first.output.contains("unknown field"), "\(first.output)")
        for kind in ["prompts ", "traces "] { #expect(first.output.contains(kind), "\(first.output)") }
        #expect(try await pair.judge() == "")

        let second = try await pair.mlmirror("backfill")
        #expect(second.status == 0)
        #expect(second.output.contains("Nothing to do: nothing new on the primary"), "\(second.output)")

        let lost = try await pair.mlmirror("backfill", state: "new.db")
        #expect(lost.status == 0, "\(lost.output)\(lost.errors)")
        #expect(lost.output.contains("0 metric points, 0 params, 0 tags, 0 inputs, 0 files"), "\(lost.output)")
        #expect(try await pair.judge() == "")

        let verified = try await pair.mlmirror("verify", ["--deep"])
        #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
        #expect(verified.output.contains("Both sides agree"))

        for model in ["edge-sklearn"] {
            let loaded = try await pair.python("load_models.py", [pair.primary.url, pair.secondary.url, model])
            #expect(loaded.status == 0, "\(loaded.output)\(loaded.errors)")
        }
    }

    @Test func killedAtAnyMomentItGoesOn() async throws {
        let pair = try await RealPair()
        defer { pair.stop() }
        try await pair.workload("small")
        // Seconds from the start of a run that takes about ten; a fixed list, so that a failure can be had again.
        for moment in [0.3, 0.7, 1.1, 0.5, 1.9, 0.9, 1.3, 0.4, 1.6, 2.2] {
            let process = try pair.start("backfill")
            try await Task.sleep(nanoseconds: UInt64(moment * 1e9))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        let last = try await pair.mlmirror("backfill")
        #expect(last.status == 0, "\(last.output)\(last.errors)")
        #expect(try await pair.judge() == "")
    }

    @Test(.enabled(if: older != nil, "no MLflow 2 executable; `.ci/setup mlflow2` makes one"))
    func anOlderPrimaryIsCopied() async throws {
        let pair = try await RealPair(primaryExecutable: Self.older)
        defer { pair.stop() }
        try await pair.workload("edge")
        let first = try await pair.mlmirror("backfill")
        #expect(first.status == 0, "\(first.output)\(first.errors)")
        #expect(try await pair.judge() == "")
        let second = try await pair.mlmirror("backfill")
        #expect(second.output.contains("Nothing to do: nothing new on the primary"), "\(second.output)")
    }

    static var older: String? {
        let path = RealPair.package.appendingPathComponent(".venv/mlflow2/bin/mlflow").path
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }

    @Test func writersDuringTheCopyAreFollowed() async throws {
        let pair = try await RealPair()
        defer { pair.stop() }
        try await pair.workload("tiny")
        async let writing: Void = pair.workload("demo", seed: 7)
        let during = try await pair.mlmirror("backfill")
        #expect([0, 3].contains(during.status), "\(during.output)\(during.errors)")
        try await writing
        let after = try await pair.mlmirror("backfill")
        #expect(after.status == 0, "\(after.output)\(after.errors)")
        #expect(try await pair.judge() == "")
    }

    @Test func plantedDifferencesAreFoundAndRepaired() async throws {
        let pair = try await RealPair()
        defer { pair.stop() }
        try await pair.workload("demo")
        #expect(try await pair.mlmirror("backfill").status == 0)
        let planted = try await pair.python("plant.py", [pair.secondary.url])
        #expect(planted.status == 0, "\(planted.output)\(planted.errors)")
        let found = try await pair.mlmirror("verify", ["--deep"])
        #expect(found.status == 4)
        for line in planted.output.split(separator: "\n") { #expect(found.output.contains(line), "not found: \(line)") }
        let repaired = try await pair.mlmirror("verify", ["--deep", "--repair"])
        #expect(repaired.status == 4 || repaired.status == 0, "\(repaired.output)\(repaired.errors)")
        let again = try await pair.mlmirror("verify", ["--deep"])
        #expect(again.status == 0, "\(again.output)\(again.errors)")
    }
}
