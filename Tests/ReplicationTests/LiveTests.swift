import TestSupport
import Testing

@testable import Replication

@Suite struct LiveTests {
    private func points(_ steps: Range<Int>, at first: Int64 = 0) -> RunBatch {
        RunBatch(metrics: steps.map { MetricRow(key: "loss", point: MetricPoint(value: 1, timestamp: first + Int64($0), step: Int64($0))) })
    }

    @Test func fieldsThatNobodyKnowsAreToldOnce() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let told = { fixture.pair.told.withLock { $0.filter { $0.contains("does not know") } } }
        fixture.pair.primary.setUnknownFields(["runs.info.mood": 3])
        for count in 1...2 {
            try await fixture.live { daemon in
                try await daemon.until("reported") {
                    try MirrorStatus(of: daemon.state, at: 0).report?.unknownFields == ["runs.info.mood": 3]
                }
                try await daemon.settled()
            }
            #expect(told().count == 1, "start \(count)")
        }
        fixture.pair.primary.setUnknownFields(["runs.info.mood": 4, "runs.info.age": 1])
        try await fixture.live { daemon in
            try await daemon.until("reported") { try MirrorStatus(of: daemon.state, at: 0).report?.unknownFields?.count == 2 }
        }
        #expect(told().count == 2 && told().last?.contains("runs.info.age") == true)
        let summary = try await fixture.pair.backfill()
        #expect(summary.counts.leftOut["unknown field runs.info.mood"] == 4)
        #expect(fixture.pair.said(.unknownField))
    }

    @Test func whatTheFeedSaysIsCarriedAcross() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            let run = try await workload.run(in: ExperimentID("0"), "later", files: ["a.txt": "a"])
            fixture.feed.say([Change(.run(run.id)), Change(EntityKey(.runArtifacts, run.id.rawValue))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// One point more in a long history: one small read, one write.
    @Test(arguments: [true, false]) func oneNewPointIsOneReadAndOneWrite(readsSince: Bool) async throws {
        var dialect = Dialect.mlflow
        dialect.readsHistorySince = readsSince
        let fixture = LiveFixture(try MirrorFixture(primary: FakeStore(name: "primary", dialect: dialect)))
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "long", points: 0, end: false)
        for start in stride(from: 0, to: 5000, by: 1000) { try await primary.logBatch(points(start..<start + 1000), toRun: run.id) }
        let reads = Locked<[String]>([])
        try await fixture.live({ $0.filePause = 10_000 }) { daemon in
            try await daemon.settled()
            secondary.forgetWrites()
            for store in [primary, secondary] {
                store.setFault { operation in
                    if !operation.isWrite, operation.name != "identity" { reads.withLock { $0.append(operation.name) } }
                    return nil
                }
            }
            try await primary.logBatch(points(5000..<5001), toRun: run.id)
            fixture.feed.say([Change(.run(run.id), .points, series: ["loss": 5000])])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
            for store in [primary, secondary] { store.setFault(nil) }
        }
        #expect(reads.withLock { $0 } == [readsSince ? "historySince" : "historyFromPlace"])
        #expect(secondary.writes.map(\.name) == ["logBatch"])
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// The feed's earliest timestamp reaches back, points come late, out of order, twice at one step: each is there once.
    @Test(arguments: [true, false]) func latePointsArrive(readsSince: Bool) async throws {
        var dialect = Dialect.mlflow
        dialect.readsHistorySince = readsSince
        let fixture = LiveFixture(try MirrorFixture(primary: FakeStore(name: "primary", dialect: dialect)))
        let primary = fixture.pair.primary
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "live", points: 3, end: false)
        try await fixture.live { daemon in
            try await daemon.settled()
            let batches: [[(Double, Int64, Int64)]] = [
                [(1, 5000, 1)], [(2, 5000, 1), (.nan, 5001, 2)], [(3, 4000, 9)], [(4, 10, 0), (5, 6000, 3)], [(6, 5999, 3), (0, 6000, 3)],
            ]
            for (number, batch) in batches.enumerated() {
                let rows = batch.map { MetricRow(key: "loss", point: MetricPoint(value: $0.0, timestamp: $0.1, step: $0.2)) }
                try await primary.logBatch(RunBatch(metrics: rows), toRun: run.id)
                fixture.feed.say([Change(.run(run.id), .points, series: ["loss": batch.map(\.1).min() ?? 0])])
                try await daemon.until("read \(number)") { try daemon.state.cursor(of: "scripted") == "\(number + 1)" }
                if number != 2 { try await daemon.settled() }
            }
            try await daemon.settled()
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func aBrokenFeedHasEverythingCompared() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            // Nobody says that this one is new.
            let run = try await workload.run(in: ExperimentID("0"), "unseen")
            fixture.feed.breakOff()
            try await daemon.until("copied") { try daemon.state.identity(.run, run.id.rawValue)?.record != nil }
            try await daemon.settled()
        }
        #expect(fixture.pair.said(.feedBroken) && fixture.pair.said(.comparing) && fixture.pair.said(.compared))
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func anAbsentSecondaryStopsWritesButNotCapture() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let workload = Workload(store: primary)
        try await workload.everything()
        try await fixture.live({ $0.filePause = 10_000 }) { daemon in
            try await daemon.settled()
            secondary.setFault { _ in .unreachable }
            var ids: [RunID] = []
            for number in 0..<5 {
                let run = try await workload.run(in: ExperimentID("0"), "meanwhile \(number)", start: Int64(number))
                ids.append(run.id)
                fixture.feed.say([Change(.run(run.id))])
            }
            try await daemon.until("captured") { try daemon.state.cursor(of: "scripted") == "5" && daemon.state.backlog().count == 5 }
            try await daemon.until("told") {
                try daemon.state.control(.report).flatMap { LiveReport(encoded: $0) }?.outages.map(\.store) == ["secondary"]
            }
            #expect(try daemon.state.deadLetterCount() == 0)
            secondary.setFault(nil)
            try await daemon.settled()
            #expect(try daemon.state.deadLetterCount() == 0)
        }
        #expect(fixture.pair.said(.outageBegan) && fixture.pair.said(.outageEnded) && fixture.pair.said(.retry))
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Its experiment is deleted when the run is looked at, and is back before that deletion is carried across.
    @Test func aRunThatReturnsWhileItsExperimentGoesIsBroughtBack() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let experiment = try await primary.createExperiment(name: "e", tags: [])
        let run = try await Workload(store: primary).run(in: experiment, "r")
        try await primary.deleteRun(run.id)
        try await fixture.live { daemon in
            try await daemon.settled()
            let there = try #require(try daemon.state.secondaryID(.run, run.id.rawValue))
            let isBack = Locked(false)
            secondary.setFault { operation in
                if operation.name == "run", operation.target == there, !isBack.withLock({ $0 }) {
                    isBack.withLock { $0 = true }
                    primary.revive(experiment)
                }
                return nil
            }
            try await primary.deleteExperiment(experiment)
            try await primary.restoreRun(run.id)
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" && isBack.withLock { $0 } }
            try await daemon.settled()
            fixture.feed.say([Change(.experiment(experiment)), Change(.run(run.id))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "2" }
            try await daemon.settled()
            #expect(try daemon.state.conflictCount() == 0)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Polling would see nothing: the run's record is as it was copied, before its experiment went and took it along.
    @Test func aRunThatReturnsAloneIsBroughtBack() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let experiment = try await primary.createExperiment(name: "e", tags: [])
        let run = try await Workload(store: primary).run(in: experiment, "r")
        try await fixture.live(polling: true) { daemon in
            try await daemon.until("copied") { try daemon.state.identity(.run, run.id.rawValue)?.record != nil }
            try await primary.deleteExperiment(experiment)
            let there = ExperimentID(try #require(try daemon.state.secondaryID(.experiment, experiment.rawValue)))
            let secondary = fixture.pair.secondary
            let isGone = Locked(false)
            try await daemon.until("gone") {
                Task { if try await secondary.experiment(there)?.lifecycle == .deleted { isGone.withLock { $0 = true } } }
                return try isGone.withLock { $0 } && daemon.state.backlog().count == 0
            }
            try await primary.restoreRun(run.id)
            let id = RunID(try #require(try daemon.state.secondaryID(.run, run.id.rawValue)))
            let isBack = Locked(false)
            try await daemon.until("back") {
                Task { if try await secondary.run(id)?.lifecycle == .active { isBack.withLock { $0 = true } } }
                return try isBack.withLock { $0 } && daemon.state.backlog().count == 0
            }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// At a later start an address may lead elsewhere; at the first one it was asked a moment ago.
    @Test func eachStartAsksOnceWhoTheStoresAre() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let asked = Locked(0)
        fixture.pair.primary.setFault { operation in
            if operation.name == "identity" { asked.withLock { $0 += 1 } }
            return nil
        }
        try await fixture.live { try await $0.settled() }
        #expect(asked.withLock { $0 } == 1)
        try await fixture.live { try await $0.until("asked again") { asked.withLock { $0 } == 2 } }
    }

    /// The daemon ends at any moment and the next one goes on.
    @Test func endedAtAnyMomentItGoesOn() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        try await Workload(store: fixture.pair.primary).everything()
        for milliseconds in [1, 3, 6, 10, 15, 25, 40] {
            try await fixture.live { _ in try await Task.sleep(for: .milliseconds(milliseconds)) }
        }
        try await fixture.live { try await $0.settled() }
        #expect(try await fixture.pair.verify().differences == [])
    }
}
