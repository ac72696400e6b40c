import TestSupport
import Testing

@testable import Replication

/// More experiments than one cycle has requests for.
@Suite struct RotationTests {
    private struct Fixture {
        let primary: FakeStore
        let clock = InstantClock()
        let folder: TemporaryFolder
        let state: ReplicationState
        let feed: PollingFeed<FakeStore>
        var experiments: [ExperimentID] = []

        /// Two hundred of them, ten a search, two searches a second: a rotation takes thirty seconds, or ten.
        init(pageSize: Int = 1000, models: Int = 0, overlap: Double = 0) async throws {
            var dialect = Dialect.mlflow
            dialect.experimentsPerSearch = 10
            dialect.hasLoggedModels = false
            primary = FakeStore(name: "primary", dialect: dialect, pageSize: pageSize)
            for number in 0..<models {
                try await primary.createRegisteredModel(ModelName("model \(number)"), description: "", tags: [])
            }
            for number in 0..<200 { experiments.append(try await primary.createExperiment(name: "experiment \(number)", tags: [])) }
            folder = try TemporaryFolder()
            state = try ReplicationState.open(path: folder.file("state.db"))
            var polling = PollingConfiguration()
            polling.requestsPerSecond = 2
            polling.overlap = overlap
            feed = PollingFeed(primary, state: state, scope: .everything, polling, clock: clock)
        }

        /// Readings until one says everything, the answers with it.
        func rotation(from cursor: String, each: (FeedReading, Int) async throws -> Void = { _, _ in }) async throws -> FeedReading {
            for number in 1...200 {
                let reading = try await feed.read(after: cursor)
                try await each(reading, number)
                if reading.isWhole { return reading }
                #expect(reading.cursor == cursor, "who is ended now looks at all of it again")
                try await feed.wait(atMost: 5)
            }
            throw StateError(.damaged, "no rotation comes to its end")
        }
    }

    @Test func whatIsUnderWayIsSeenBetweenTheSearches() async throws {
        let fixture = try await Fixture()
        let workload = Workload(store: fixture.primary)
        let last = try #require(fixture.experiments.last)
        let run = try await workload.run(in: last, "live", start: 5000, end: false)
        let ended = try await workload.run(in: last, "ended", start: 5000)
        let first = try await fixture.rotation(from: try await fixture.feed.position())
        let edited = Locked(0)
        let seen = Locked<Int?>(nil)
        let whole = try await fixture.rotation(from: first.cursor) { reading, number in
            if edited.withLock({ $0 }) == 0, number == 2 {
                edited.withLock { $0 = number }
                try await fixture.primary.logBatch(RunBatch(tags: [Tag("stage", "late")]), toRun: run.id)
            } else if reading.changes.contains(where: { $0.key == .run(run.id) }), edited.withLock({ $0 }) > 0 {
                seen.withLock { $0 = $0 ?? number }
            }
        }
        #expect(whole.cursor != first.cursor)
        #expect(seen.withLock { $0 } ?? .max <= 4, "the last experiments are searched at the end of a rotation alone")
        // It is asked for no more once it has ended.
        try await fixture.primary.updateRun(run.id, status: .finished, endTime: 9000, name: nil)
        _ = try await fixture.rotation(from: whole.cursor)
        let reads = Locked(0)
        fixture.primary.setFault { operation in
            if operation.name == "run" { reads.withLock { $0 += 1 } }
            return nil
        }
        _ = try await fixture.rotation(from: whole.cursor)
        #expect(reads.withLock { $0 } == 0)
        #expect(try await fixture.primary.run(ended.id) != nil)
        try fixture.state.close()
    }

    /// Points that came among earlier ones show in no record.
    @Test func pointsThatComeLateIntoARunThatHasEndedAreFound() async throws {
        let fixture = try await Fixture(overlap: 600)
        let last = try #require(fixture.experiments.last)
        let run = try await Workload(store: fixture.primary).run(in: last, "live", start: 5000, end: false)
        var cursor = try await fixture.rotation(from: try await fixture.feed.position()).cursor
        try await fixture.primary.updateRun(run.id, status: .finished, endTime: fixture.clock.nowMilliseconds, name: nil)
        cursor = try await fixture.rotation(from: cursor).cursor
        cursor = try await fixture.rotation(from: cursor).cursor
        let late = MetricRow(key: "loss", point: MetricPoint(value: 9, timestamp: 1, step: 0))
        try await fixture.primary.logBatch(RunBatch(metrics: [late]), toRun: run.id)
        var told: Set<EntityKey> = []
        for _ in 0..<6 {
            cursor = try await fixture.rotation(from: cursor) { reading, _ in told.formUnion(reading.changes.map(\.key)) }.cursor
        }
        #expect(told.contains(.run(run.id)))
        try fixture.state.close()
    }

    @Test func aReadingThatFailsTellsNothingElseAgain() async throws {
        let fixture = try await Fixture(models: 5)
        var cursor = try await fixture.rotation(from: try await fixture.feed.position()).cursor
        cursor = try await fixture.rotation(from: cursor).cursor
        try await fixture.primary.setTag(Tag("a", "1"), ofRegisteredModel: ModelName("model 3"))
        let seen = Locked(false)
        fixture.primary.setFault { operation in
            if operation.name == "registeredModels" { seen.withLock { $0 = true } }
            return seen.withLock { $0 } && operation.name == "runs"
                ? .before(StoreError(.retry(after: nil), .serverFailure, "not now")) : nil
        }
        var failures = 0
        var told: [EntityKey] = []
        for _ in 0..<20 where failures == 0 {
            do { told += try await fixture.feed.read(after: cursor).changes.map(\.key) } catch is StoreError { failures += 1 }
            try await fixture.feed.wait(atMost: 5)
        }
        #expect(failures == 1)
        fixture.primary.setFault(nil)
        for _ in 0..<2 { cursor = try await fixture.rotation(from: cursor) { reading, _ in told += reading.changes.map(\.key) }.cursor }
        #expect(told.filter { $0.kind == .registeredModel } == [.registeredModel(ModelName("model 3"))])
        try fixture.state.close()
    }

    /// A switch to `azureml-only` waits for an answer that says everything.
    @Test func aRegistryThatTakesLongIsLookedAtLessOftenAndHoldsNothingUp() async throws {
        let fixture = try await Fixture(pageSize: 10, models: 60)
        let looks = Locked(0)
        fixture.primary.setFault { operation in
            if operation.name == "registeredModels" { looks.withLock { $0 += 1 } }
            return nil
        }
        let readings = Locked(0)
        var cursor = try await fixture.feed.position()
        for _ in 0..<3 {
            cursor = try await fixture.rotation(from: cursor) { _, _ in readings.withLock { $0 += 1 } }.cursor
        }
        // Six pages a look.
        #expect(looks.withLock { $0 } / 6 < readings.withLock { $0 } / 2)
        #expect(readings.withLock { $0 } < 60, "\(readings.withLock { $0 })")
        try fixture.state.close()
    }

    @Test func whatBeganMeanwhileIsSeenByTheEndAndTheAllowanceIsKept() async throws {
        let fixture = try await Fixture()
        let workload = Workload(store: fixture.primary)
        let first = try await fixture.rotation(from: try await fixture.feed.position())
        let searches = Locked(0)
        fixture.primary.setFault { operation in
            if operation.name == "runs" { searches.withLock { $0 += 1 } }
            return nil
        }
        let start = fixture.clock.monotonicSeconds
        var found: Set<EntityKey> = []
        let made = Locked<[RunID]>([])
        var cursor = first.cursor
        for _ in 0..<3 {
            let reading = try await fixture.rotation(from: cursor) { reading, number in
                found.formUnion(reading.changes.map(\.key))
                guard number < 3 else { return }
                let place = fixture.experiments[number == 1 ? 0 : 150]
                let run = try await workload.run(in: place, "new", start: fixture.clock.nowMilliseconds)
                made.withLock { $0.append(run.id) }
            }
            cursor = reading.cursor
        }
        // Those that were made in the last one are the next one's.
        _ = try await fixture.rotation(from: cursor) { reading, _ in found.formUnion(reading.changes.map(\.key)) }
        let seconds = fixture.clock.monotonicSeconds - start
        #expect(made.withLock { $0 }.count == 6)
        #expect(Set(made.withLock { $0 }.map { EntityKey.run($0) }).isSubset(of: found))
        #expect(Double(searches.withLock { $0 }) <= 2 + seconds * 2 + 0.01)
        try fixture.state.close()
    }
}
