import TestSupport
import Testing

@testable import Replication

/// An experiment that is given a name out of scope while a daemon follows it.
@Suite struct LeavingTests {
    private static func narrow(_ configuration: inout LiveConfiguration) {
        configuration.mirror.scope.experiments = PatternList(["prod/**"])
    }

    private struct Fixture {
        let live: LiveFixture
        let moving: ExperimentID
        let run: Run
        var files: EntityKey { EntityKey(.runArtifacts, run.id.rawValue) }
        var primary: FakeStore { live.pair.primary }

        init() async throws {
            live = LiveFixture(try MirrorFixture())
            moving = try await live.pair.primary.createExperiment(name: "prod/a", tags: [])
            run = try await Workload(store: live.pair.primary).run(in: moving, "live", start: live.clock.nowMilliseconds, end: false)
        }

        /// What is logged next, by a client that knows nothing of names.
        func goOn(_ step: Int64) async throws {
            let point = MetricPoint(value: 7, timestamp: live.clock.nowMilliseconds + step, step: 100 + step)
            try await primary.logBatch(RunBatch(metrics: [MetricRow(key: "loss", point: point)]), toRun: run.id)
            try await Workload(store: primary).file("late \(step).txt", "1", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        }

        func there(_ step: Int64) throws -> (points: Int, hasFile: Bool) {
            let copy = try #require(live.pair.secondary.snapshot.runs.first)
            return (copy.points["loss"]?.count ?? 0, live.pair.secondary.files(of: .run(copy.run.id))["late \(step).txt"] != nil)
        }

        func isOut(_ state: ReplicationState) throws -> Bool {
            try state.identity(.experiment, moving.rawValue)?.base?[Base.Field("out")] != nil
        }
    }

    @Test func itsPointsAndFilesAreFollowedNoLonger() async throws {
        let fixture = try await Fixture()
        let (live, moving, run) = (fixture.live, fixture.moving, fixture.run)
        try await live.live(Self.narrow) { daemon in
            try await daemon.settled()
            try await fixture.primary.renameExperiment(moving, to: "draft/a")
            live.feed.say([Change(.experiment(moving))])
            try await daemon.until("out") { try fixture.isOut(daemon.state) }
            try await fixture.goOn(1)
            live.feed.say([Change(.run(run.id), .points, series: ["loss": live.clock.nowMilliseconds])])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "2" }
            // Nobody looks at its files any more.
            try await daemon.until("left") { try daemon.state.identity(.run, run.id.rawValue)?.record == nil }
            try await daemon.settled()
        }
        #expect(try fixture.there(1) == (5, false))
        // A daemon that did not see it go.
        try await live.live(Self.narrow) { daemon in
            try await daemon.settled()
            try await fixture.goOn(2)
            live.feed.say([
                Change(.run(run.id), .points, series: ["loss": live.clock.nowMilliseconds]), Change(fixture.files, .record),
            ])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "3" }
            try await daemon.settled()
            #expect(try fixture.there(2) == (5, false))
            try await fixture.primary.renameExperiment(moving, to: "prod/b")
            live.feed.say([Change(.experiment(moving))])
            try await daemon.until("followed again") { try fixture.there(2) == (7, true) }
            try await fixture.goOn(3)
            live.feed.say([Change(.run(run.id), .points, series: ["loss": live.clock.nowMilliseconds - 100_000])])
            try await daemon.until("and again") { try fixture.there(3) == (8, true) }
        }
        #expect(try await live.pair.verify { $0.scope.experiments = PatternList(["prod/**"]) }.differences == [])
    }

    /// While no daemon ran, or where the feed did not tell.
    @Test func oneThatLeftUnseenIsNotedByTheNextListing() async throws {
        let fixture = try await Fixture()
        let (live, run) = (fixture.live, fixture.run)
        try await live.live(Self.narrow) { try await $0.settled() }
        try await fixture.primary.renameExperiment(fixture.moving, to: "draft/a")
        let state = try ReplicationState.open(path: live.pair.statePath)
        try state.beginReconciliation(nil, why: "asked")
        try state.close()
        try await live.live(Self.narrow) { daemon in
            try await daemon.until("out") { try fixture.isOut(daemon.state) }
            try await fixture.goOn(1)
            live.feed.say([Change(.run(run.id), .points, series: ["loss": live.clock.nowMilliseconds])])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
        }
        #expect(try fixture.there(1) == (5, false))
    }

    /// It stays as it was when it left, whatever becomes of it on the primary.
    @Test func whatIsPurgedAfterItHasLeftStays() async throws {
        let fixture = try await Fixture()
        let (live, primary, run) = (fixture.live, fixture.primary, fixture.run)
        func replicating(_ configuration: inout LiveConfiguration) {
            Self.narrow(&configuration)
            configuration.mirror.rules = ConflictRules([.purgedOnPrimary: .replicate])
        }
        try await live.live(replicating) { daemon in
            try await daemon.settled()
            try await primary.renameExperiment(fixture.moving, to: "draft/a")
            live.feed.say([Change(.experiment(fixture.moving))])
            try await daemon.until("out") { try fixture.isOut(daemon.state) }
            try await primary.deleteRun(run.id)
            primary.collect(run.id)
            live.feed.say([Change(.run(run.id))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "2" }
            try await daemon.settled()
        }
        #expect(live.pair.secondary.snapshot.runs.map(\.run.lifecycle) == [.active])
    }

    /// Its experiments were listed already, its runs not yet.
    @Test(arguments: [false, true]) func oneThatComesInAmidAListingIsNotMissed(_ failsAtFirst: Bool) async throws {
        let live = LiveFixture(try MirrorFixture())
        let primary = live.pair.primary
        let moving = try await primary.createExperiment(name: "draft/a", tags: [])
        try await Workload(store: primary).run(in: moving, "old")
        try await Workload(store: primary).run(in: try await primary.createExperiment(name: "prod/b", tags: []), "other")
        let asked = Locked(0)
        primary.setFault { operation in
            guard operation.name == "runs" else { return nil }
            asked.withLock { $0 += 1 }
            return .before(StoreError(.retry(after: nil), .serverFailure, "not now"))
        }
        try await live.live(Self.narrow) { daemon in
            try await daemon.until("amid the listing") { asked.withLock { $0 } > 0 }
            try await primary.renameExperiment(moving, to: "prod/a")
            let isFirst = Locked(failsAtFirst)
            live.pair.secondary.setFault { operation in
                let fails = operation.name == "createExperiment" && isFirst.withLock { first in (first, first = false).0 }
                return fails ? .before(StoreError(.retry(after: nil), .serverFailure, "not now")) : nil
            }
            live.feed.say([Change(.experiment(moving))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.until("tried again") { try daemon.state.entry(.experiment(moving)) == nil && !isFirst.withLock { $0 } }
            primary.setFault(nil)
            try await daemon.settled()
        }
        #expect(live.pair.secondary.snapshot.runs.count == 2)
    }

    /// A listing of what is in scope does not show it: the feed says that it is gone.
    @Test func pollingSeesItGoAndComeBack() async throws {
        let fixture = try await Fixture()
        let (live, moving) = (fixture.live, fixture.moving)
        try await live.live(polling: true, Self.narrow) { daemon in
            try await daemon.until("copied") { try daemon.state.identity(.run, fixture.run.id.rawValue)?.record != nil }
            try await fixture.primary.renameExperiment(moving, to: "draft/a")
            try await daemon.until("out") { try fixture.isOut(daemon.state) }
            try await fixture.goOn(1)
            try await daemon.until("left") { try daemon.state.identity(.run, fixture.run.id.rawValue)?.record == nil }
            #expect(try fixture.there(1) == (5, false))
            try await fixture.primary.renameExperiment(moving, to: "prod/b")
            try await daemon.until("followed again") { try fixture.there(1) == (6, true) }
        }
        #expect(try await live.pair.verify { $0.scope.experiments = PatternList(["prod/**"]) }.differences == [])
    }
}
