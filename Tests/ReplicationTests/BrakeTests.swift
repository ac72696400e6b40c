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

    /// Tried again and again, one deletion counts once.
    @Test func attemptsAreNotCounted() throws {
        let fixture = try MirrorFixture()
        let state = try ReplicationState.open(path: fixture.statePath)
        for _ in 0..<500 { #expect(try state.mayDelete(EntityKey(.run, "r"), at: 5_000_000)) }
        for number in 0..<99 { #expect(try state.mayDelete(EntityKey(.run, "\(number)"), at: 5_000_000)) }
        #expect(try !state.mayDelete(EntityKey(.run, "one more"), at: 5_000_000))
        try state.close()
    }

    /// A primary that was restored from an older backup lacks versions: those on the secondary could not be had again.
    @Test func versionsThatVanishByTheHundredAreKept() async throws {
        let fixture = try MirrorFixture()
        let name = ModelName("net")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<112 { _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "s3://bucket/x")) }
        try await fixture.backfill()
        for number in 2...111 { try await fixture.primary.deleteVersion(number, of: name) }
        let held = try await fixture.backfill()
        #expect(!held.isComplete && held.failureCount == 10)
        #expect(held.failures.first?.contains("mlmirror resume --deletions") == true)
        let left = try await fixture.secondary.versions(of: name, nil).elements.count
        #expect(left == 12)
    }
}
