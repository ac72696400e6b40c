import Foundation
import Replication
import TestSupport
import Testing

/// The daemon between two real servers that many clients write to, judged by the official Python client.
extension RealServersTests {
    @Test func manyClientsAreFollowedByTriggers() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        try follower.start()
        try await follower.workload(seconds: 60, seed: 1)
        try await follower.expectEqual()
        try await follower.expectCleanEnd()
    }

    @Test func manyClientsAreFollowedByPolling() async throws {
        let follower = try await Follower(triggers: false)
        defer { follower.stop() }
        try follower.start()
        try await follower.workload(seconds: 60, seed: 2)
        try await follower.expectEqual()
        try await follower.expectCleanEnd()
    }

    /// Thirty times kill -9, and the secondary twice.
    @Test(arguments: [true, false]) func killedAgainAndAgainNothingIsLostOrTwice(
        triggers: Bool
    ) async throws {
        let follower = try await Follower(triggers: triggers)
        defer { follower.stop() }
        try follower.start()
        async let writing: Void = follower.workload(seconds: 40, seed: triggers ? 3 : 4)
        try await follower.kill(times: 30, seed: triggers ? 5 : 6) { number in
            if number == 10 || number == 20 { try await follower.pair.secondary.restart() }
        }
        try await writing
        try await follower.expectEqual()
        #expect(try await follower.doubles() == "")
        try await follower.expectCleanEnd()
    }

    /// A bad network in front of both servers, a daemon that dies, and in the end without its state file.
    /// By both feeds side by side: nearly all of it is waiting.
    @Test func throughABadNetworkNothingIsLostOrTwice() async throws {
        async let triggers: Void = goThroughABadNetwork(triggers: true)
        async let polling: Void = goThroughABadNetwork(triggers: false)
        _ = try await (triggers, polling)
    }

    private func goThroughABadNetwork(triggers: Bool) async throws {
        let follower = try await Follower(triggers: triggers)
        defer { follower.stop() }
        try await follower.goThroughBadNetwork(seed: 7)
        try follower.start()
        async let writing: Void = follower.workload(seconds: 20, seed: 8)
        try await follower.kill(times: 10, seed: 9)
        try await writing
        try await follower.expectEqual(within: 360)
        #expect(try await follower.doubles() == "")
        try await follower.expectCleanEnd()

        follower.loseState()
        try follower.start()
        async let more: Void = follower.workload(seconds: 8, seed: 10)
        try await follower.kill(times: 4, seed: 11)
        try await more
        try await follower.expectEqual(within: 360)
        #expect(try await follower.doubles() == "")
    }

    @Test func aBackfillBesideADaemonIsDoneByTheDaemon() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        try await follower.pair.workload("tiny")
        let before = try await follower.pair.mlmirror("run", ["--feed", "triggers"])
        #expect(before.status == 64 && before.errors.contains("need a database"), "\(before.errors)")
        try follower.start()
        try await follower.expectEqual()
        let backfill = try await follower.pair.mlmirror("backfill")
        #expect(backfill.status == 0 && backfill.output.contains("Done by the daemon"), "\(backfill.output)\(backfill.errors)")
        let narrower = try await follower.pair.mlmirror("backfill", ["--experiment", "x"])
        #expect(narrower.status == 75 && narrower.errors.contains("another scope"), "\(narrower.errors)")
        let second = try await follower.pair.mlmirror("run")
        #expect(second.status == 75 && second.errors.contains("in use by another mlmirror"), "\(second.errors)")
        try await follower.expectCleanEnd()
        #expect(try await follower.status().condition == "stopped")
    }
}
