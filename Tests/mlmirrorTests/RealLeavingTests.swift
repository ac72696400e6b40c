import Foundation
import TestSupport
import Testing

@testable import mlmirror

/// What leaves the primary for good: one pair of real servers serves one case after the other.
extension RealServersTests {
    private static let leaving = """
        rules:
          deleted_on_primary: keep
          purged_on_primary: replicate
          experiments:
            "/*/keep/**": { purged_on_primary: keep }
          models:
            "*.keep": { purged_on_primary: keep }
        live: { file_grace_seconds: 0 }
        mode: { retire_primary: delete }

        """

    /// The daemon of a pair, and the judge.
    private struct Leaving {
        let follower: Follower
        let file: String
        var pair: RealPair { follower.pair }
        var state: String { pair.folder.file("state.db") }

        private func found(_ step: String, _ more: [String]) async throws -> String {
            let result = try await pair.python("leaving.py", [step, pair.primary.url, pair.secondary.url] + more)
            return result.status == 0 ? "" : "\(step) \(result.output)\(result.errors)"
        }

        func python(_ step: String, _ more: [String] = []) async throws {
            let found = try await found(step, more)
            #expect(found == "")
        }

        func start() async throws {
            try follower.start(["--config", file])
            #expect(
                try await follower.until(within: 60) {
                    guard let status = try? await follower.status() else { return false }
                    return status.state == "running" && status.reconciling == nil && status.lag.changes == 0
                }, "\(follower.log.suffix(2000))")
        }

        /// The judge is asked until nothing is wrong any more.
        func comesAbout(_ step: String, _ more: [String] = []) async throws {
            var found = ""
            let isSo = try await follower.until(within: 60) {
                found = try await self.found(step, more)
                return found.isEmpty
            }
            #expect(isSo, "\(found)\n\(follower.log.suffix(2000))")
        }

        func retire() async throws -> (status: Int32, document: [String: Any]) {
            let result = try await pair.mlmirror("retire", ["--config", file, "--yes", "--json", "--quiet"])
            return (result.status, try #require(FolderMaker.object(result.output), "\(result.output)\(result.errors)"))
        }

        func backfillWritesNothing() async throws -> Bool {
            let result = try await pair.mlmirror("backfill", ["--config", file, "--json", "--quiet"])
            return FolderMaker.object(result.output)?["wrote_nothing"] as? Bool == true
        }
    }

    @Test func whatLeavesThePrimaryIsPurgedRetiredOrSealedAsIsSaid() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        let leaving = Leaving(follower: follower, file: follower.pair.folder.file("leaving.yaml"))
        try Data(Self.leaving.utf8).write(to: URL(fileURLWithPath: leaving.file))
        try await leaving.python("make")
        try await leaving.start()
        try await leaving.comesAbout("copied")
        try await purges(leaving)
        try await retires(leaving)
        try await losesItsState(leaving)
    }

    /// `mlflow gc` while the daemon runs, and while it does not: then nobody remembers what a purged experiment was called.
    private func purges(_ leaving: Leaving) async throws {
        let database = leaving.pair.primary.folder.appendingPathComponent("mlflow.db").path
        try await leaving.python("purge", ["live", database])
        try await leaving.comesAbout("purged", ["live"])
        try await leaving.follower.expectCleanEnd()
        try await leaving.python("purge", ["down", database])
        try await leaving.start()
        try await leaving.comesAbout("purged", ["down"])
    }

    private func retires(_ leaving: Leaving) async throws {
        let mode = try await RealPair.run(
            RealPair.binary, ["mode", "azureml-only", "--experiment", "/moved/**", "--state", leaving.state])
        #expect(mode.status == 0, "\(mode.output)\(mode.errors)\(leaving.follower.log.suffix(2000))")
        try await leaving.follower.expectCleanEnd()
        try await leaving.python("lose", [leaving.pair.secondary.folder.appendingPathComponent("mlflow.db").path])

        let (status, first) = try await leaving.retire()
        #expect(status == 4 && first["retired"] as? Int == 2 && first["refused"] as? Int == 1, "\(first)")
        let refusals = try #require(first["refusals"] as? [[String: Any]])
        #expect(refusals.map { $0["fields"] as? [String] } == [["history:loss"]], "\(first)")
        #expect(first["left_out"] as? [String: Int] == ["still running": 2])
        try await leaving.python("refused")

        let repaired = try await leaving.pair.mlmirror("verify", ["--config", leaving.file, "--deep", "--repair"])
        #expect(repaired.status == 0, "\(repaired.output)\(repaired.errors)")
        let (again, second) = try await leaving.retire()
        #expect(again == 0 && second["retired"] as? Int == 1 && second["refused"] as? Int == 0, "\(second)")
        try await leaving.python("retired")
        let (last, third) = try await leaving.retire()
        #expect(last == 0 && third["retired"] as? Int == 0 && third["refused"] as? Int == 0, "\(third)")
        try await leaving.python("retired")
        #expect(try await leaving.backfillWritesNothing())
        for when in ["live", "down"] { try await leaving.python("purged", [when]) }
    }

    /// The marks on the secondary tell a new state file what is sealed.
    private func losesItsState(_ leaving: Leaving) async throws {
        try await leaving.python("edit")
        leaving.follower.loseState()
        try await leaving.start()
        try await leaving.comesAbout("sealed")
        let mode = try await RealPair.run(RealPair.binary, ["mode", "--json", "--state", leaving.state])
        let switches = FolderMaker.object(mode.output)?["switches"] as? [[String: Any]]
        #expect(switches?.map { $0["step"] as? String } == ["sealed"] && switches?.first?["experiments"] as? [String] == ["/moved/**"])
        #expect(try await leaving.follower.doubles() == "")
        try await leaving.follower.expectCleanEnd()
        #expect(try await leaving.backfillWritesNothing())
        try await leaving.python("sealed")
    }
}
