import TestSupport
import Testing

@testable import Replication

@Suite struct BrakeTests {
    @Test func aFloodIsHeldUntilItIsReleased() {
        var brake = Brake()
        for number in 0..<100 { #expect(brake.allows(at: 5_000_000 + Int64(number)) { 0 }) }
        #expect(!brake.allows(at: 5_000_200) { 0 })
        #expect(brake.heldSince == 5_000_200)
        // It does not let go by itself.
        #expect(!brake.allows(at: 5_000_200 + 3 * Brake.hour) { 0 })
        brake.release(at: 20_000_000)
        for _ in 0..<500 { #expect(brake.allows(at: 20_000_001) { 0 }) }
        #expect(brake.allows(at: 20_000_000 + Brake.hour) { 0 })
    }

    @Test func theLimitGrowsWithTheStore() {
        #expect([0, 999, 1001, 5000, 1_000_000].map { Brake.limit(copied: $0) } == [100, 100, 100, 500, 1000])
        var brake = Brake()
        for _ in 0..<500 { #expect(brake.allows(at: 5_000_000) { 5000 }) }
        #expect(!brake.allows(at: 5_000_000) { 5000 })
    }

    @Test func deletionsFarApartAreNone() {
        var brake = Brake()
        for number in 0..<500 { #expect(brake.allows(at: Int64(number) * 60_000) { 0 }) }
    }

    @Test func runsThatVanishByTheHundredAreKeptUntilSomeoneSaysSo() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let workload = Workload(store: primary)
        var runs: [RunID] = []
        for number in 0..<130 { runs.append(try await workload.run(in: ExperimentID("0"), "\(number)", start: Int64(number)).id) }
        let ids = runs
        try await fixture.live { daemon in
            try await daemon.settled()
            for id in ids { try await primary.deleteRun(id) }
            fixture.feed.say(ids.map { Change(.run($0)) })
            try await daemon.until("held") { try daemon.state.deadLetterCount() == 30 && daemon.state.backlog().count == 0 }
            #expect(secondary.writes.count { $0.name == "deleteRun" } == 100)
            let message = try #require(try daemon.state.deadLetters(limit: 1).first)
            #expect(message.reason == "brake" && message.message.contains("mlmirror resume --deletions"))
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            try visitor.releaseBrake(at: fixture.clock.nowMilliseconds)
            _ = try visitor.ask(.requeue, at: 0)
            try visitor.close()
            try await daemon.until("let through") { try daemon.state.deadLetterCount() == 0 && daemon.state.backlog().count == 0 }
            #expect(secondary.writes.count { $0.name == "deleteRun" } == 130)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Also a backfill: it ends, and does not say that the copy is whole.
    @Test func aBackfillHoldsThemToo() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        var runs: [RunID] = []
        for number in 0..<120 { runs.append(try await workload.run(in: ExperimentID("0"), "\(number)", start: Int64(number)).id) }
        try await fixture.backfill()
        for id in runs { try await fixture.primary.deleteRun(id) }
        let held = try await fixture.backfill()
        #expect(!held.isComplete && held.failureCount == 20)
        let clock = fixture.clock
        let released = try await fixture.backfill { _ in
        } prepare: {
            try $0.releaseBrake(at: clock.nowMilliseconds)
        }
        #expect(released.isComplete)
        #expect(try await fixture.verify().differences == [])
    }

    /// What was deleted before it was ever copied takes nothing away.
    @Test func oldDeletionsAreNoFlood() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        for number in 0..<130 {
            try await fixture.primary.deleteRun(try await workload.run(in: ExperimentID("0"), "\(number)", start: Int64(number)).id)
        }
        #expect(try await fixture.backfill().isComplete)
        #expect(try await fixture.verify().differences == [])
    }
}
