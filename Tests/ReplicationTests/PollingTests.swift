import TestSupport
import Testing

@testable import Replication

@Suite struct PollingTests {
    @Test func everythingThatAServerShowsIsFound() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        try await workload.everything()
        let old = try await workload.run(in: ExperimentID("0"), "old", start: 10)
        let deleted = try await workload.run(in: ExperimentID("0"), "to be deleted", start: 11)
        let restored = try await workload.run(in: ExperimentID("0"), "to be restored", start: 12)
        try await primary.deleteRun(restored.id)
        let live = try await workload.run(in: ExperimentID("0"), "live", start: 13, end: false)
        try await fixture.live(polling: true) { daemon in
            func settled(_ what: String, _ isSo: @escaping () throws -> Bool) async throws {
                try await daemon.until(what) {
                    try isSo() && daemon.state.control(.reconciling) == nil && daemon.state.backlog().count == 0
                }
            }
            try await settled("first") { try daemon.state.identity(.run, live.id.rawValue)?.base != nil }
            // None of these shows in a start or an end time.
            try await primary.logBatch(RunBatch(tags: [Tag("late", "edit")]), toRun: old.id)
            try await primary.deleteRun(deleted.id)
            try await primary.restoreRun(restored.id)
            try await primary.setAlias("late", to: 1, ofRegisteredModel: ModelName("net"))
            try await primary.logBatch(
                RunBatch(metrics: [MetricRow(key: "loss", point: MetricPoint(value: 7, timestamp: 9000, step: 9))]), toRun: live.id)
            let fresh = try await workload.run(in: ExperimentID("0"), "new", start: fixture.clock.nowMilliseconds)
            let made = try await primary.createExperiment(name: "made later", tags: [])
            try await settled("copied") {
                try daemon.state.identity(.run, fresh.id.rawValue)?.base != nil && daemon.state.identity(.experiment, made.rawValue) != nil
            }
            for _ in 0..<600 {
                if try await fixture.pair.verifyOpen(daemon.state).isEmpty { break }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// It is among those that were made last, which each cycle asks for: the sweep, which has no requests left here, begins with the oldest.
    @Test func aNewModelAmongManyIsSeenInOneCycle() async throws {
        let primary = FakeStore(name: "primary", pageSize: 3)
        var last: LoggedModel?
        for _ in 0..<10 {
            last = try await primary.createLoggedModel(
                NewLoggedModel(experiment: ExperimentID("0"), name: "m", modelType: nil, sourceRun: nil, params: [], tags: []))
        }
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("state.db"))
        var polling = PollingConfiguration()
        polling.requestsPerSecond = 1
        let feed = PollingFeed(primary, state: state, scope: .everything, polling, clock: InstantClock())
        let reading = try await feed.read(after: try await feed.position())
        #expect(reading.changes.contains { $0.key == .loggedModel(last?.id ?? LoggedModelID("")) })
        try state.close()
    }

    /// Points that came late among earlier ones show in no record: they are found when the run ends.
    @Test func latePointsAreFoundAtTheEnd() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "live", start: 5000, points: 5, end: false)
        try await fixture.live(polling: true) { daemon in
            try await daemon.until("first") { try daemon.state.identity(.run, run.id.rawValue)?.record != nil }
            try await primary.logBatch(
                RunBatch(metrics: [MetricRow(key: "loss", point: MetricPoint(value: 7, timestamp: 1, step: -9))]), toRun: run.id)
            try await primary.updateRun(run.id, status: .finished, endTime: fixture.clock.nowMilliseconds, name: nil)
            try await daemon.until("ended") { try daemon.state.identity(.run, run.id.rawValue)?.isSettled == true }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Refused now and then, and a registry that is closed: a cycle comes to its end all the same.
    @Test func aCycleThatStumblesComesToItsEnd() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let asked = Locked(0)
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "live", end: false)
        primary.setFault { operation in
            if operation.name == "registeredModels" { return .before(StoreError(.setAside, .forbidden, "closed")) }
            guard operation.name == "runs" else { return nil }
            let isRefused = asked.withLock { asked in
                asked += 1
                return asked % 3 == 0
            }
            return isRefused ? .before(StoreError(.retry(after: 0.5), .throttled, "too often")) : nil
        }
        try await fixture.live(polling: true) { daemon in
            try await daemon.until("first") { try daemon.state.identity(.run, run.id.rawValue)?.record != nil }
            try await primary.logBatch(RunBatch(tags: [Tag("late", "1")]), toRun: run.id)
            try await daemon.until("followed") { fixture.pair.secondary.snapshot.runs.contains { $0.run.tags["late"] == "1" } }
            #expect(try daemon.state.deadLetters(limit: 5).contains { $0.message.contains("closed") })
        }
    }

    @Test func theBudgetIsNeverExceeded() async throws {
        let clock = InstantClock()
        let budget = RequestBudget(perSecond: 3, clock: clock)
        let start = clock.monotonicSeconds
        for number in 1...60 {
            try await budget.take(.runs)
            let seconds = clock.monotonicSeconds - start
            #expect(Double(number) <= 3 + seconds * 3 + 0.01)
        }
        #expect(await budget.takeNow(.runs) == false)
        #expect(await budget.takeNow(.registry))
    }
}
