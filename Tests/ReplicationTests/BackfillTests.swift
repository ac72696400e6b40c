import Replication
import TestSupport
import Testing

@Suite struct BackfillTests {
    @Test func copiesEverythingOnce() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        let summary = try await fixture.backfill()
        #expect(summary.failures == [])
        #expect(summary.counts.runs.created == 8)
        let verified = try await fixture.verify()
        #expect(verified.differences == [])
        #expect(verified.summary.compared["runs"] == 8)
        #expect(summary.counts.conflicts == 0)
        #expect(summary.counts.conversions == ["version_number_filled": 1])
        let versions = try await fixture.secondary.versions(of: ModelName("net"), nil).elements
        #expect(versions.map(\.number) == [1, 3, 4])
    }

    @Test func runsThatCanBeReadWholeAreReadOnce() async throws {
        var dialect = Dialect.mlflow
        dialect.readsWholeRuns = true
        let fixture = try MirrorFixture(primary: FakeStore(name: "primary", dialect: dialect))
        try await Workload(store: fixture.primary).everything()
        let reads = Locked<Set<String>>([])
        fixture.primary.setFault { operation in
            reads.withLock { _ = $0.insert(operation.name) }
            return nil
        }
        let summary = try await fixture.backfill()
        fixture.primary.setFault(nil)
        #expect(summary.failures == [])
        #expect(try await fixture.verify().differences == [])
        #expect(reads.withLock { $0.contains("wholeRun") && !$0.contains("histories") && !$0.contains("history") })
    }

    @Test func whatIsNotCopiedIsCounted() async throws {
        let fixture = try MirrorFixture()
        let open = try await fixture.primary.createExperiment(name: "open", tags: [])
        let other = try await fixture.primary.createExperiment(name: "other", tags: [])
        fixture.primary.setTraces(12, in: open)
        fixture.primary.setTraces(30, in: other)
        try await fixture.primary.createRegisteredModel(ModelName("greet"), description: "", tags: [Tag("mlflow.prompt.is_prompt", "true")])
        let summary = try await fixture.backfill { $0.scope = Scope(experiments: PatternList(["open"]), models: PatternList(["**"])) }
        #expect(summary.counts.leftOut == ["traces": 12, "prompts": 1, "experiments outside the scope": 2])
        let state = try ReplicationState.open(path: fixture.statePath)
        let status = try MirrorStatus(of: state, at: 0)
        try state.close()
        #expect(status.uncopied == ["traces": 12, "prompts": 1])
        #expect(try await fixture.verify().summary.leftOut["prompts"] == 1)
    }

    @Test func anExperimentThatIsListedTwiceIsOne() async throws {
        let fixture = try MirrorFixture(primary: FakeStore(name: "primary", pageSize: 2))
        let open = try await fixture.primary.createExperiment(name: "open", tags: [])
        for name in ["b", "c", "d"] { _ = try await fixture.primary.createExperiment(name: name, tags: []) }
        fixture.primary.setTraces(12, in: open)
        fixture.primary.letPagesOverlap()
        let scope = Scope(experiments: PatternList(["open"]), models: PatternList(["**"]))
        let summary = try await fixture.backfill { $0.scope = scope }
        #expect(summary.counts.leftOut == ["traces": 12, "experiments outside the scope": 4])
        let verified = try await fixture.verify { $0.scope = scope }
        #expect(verified.differences == [] && verified.summary.compared["experiments"] == 1)
    }

    /// One store shows the point of the latest time, the other that of the highest step: of equal histories neither is a difference.
    @Test(arguments: [false, true]) func whichPointIsTheLastIsNoDifference(deep: Bool) async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", points: 0)
        let points = [MetricPoint(value: 1, timestamp: 100, step: 10), MetricPoint(value: 2, timestamp: 200, step: 5)]
        try await fixture.primary.logBatch(RunBatch(metrics: points.map { MetricRow(key: "m", point: $0) }), toRun: run.id)
        fixture.primary.showAsLatest(points[1], of: "m", in: run.id)
        try await fixture.backfill()
        #expect(try await fixture.verify(deep: deep).differences == [])

        let copies = try await fixture.secondary.runs(RunQuery(experiments: [ExperimentID("0")]), nil).elements
        let more = MetricRow(key: "m", point: MetricPoint(value: 3, timestamp: 150, step: 7))
        try await fixture.secondary.logBatch(RunBatch(metrics: [more]), toRun: try #require(copies.first).id)
        let fields = try await fixture.verify(deep: deep).differences.map(\.field)
        #expect(fields == (deep ? ["metric:m", "history:m"] : ["metric:m"]))
    }

    @Test func aSecondRunWritesNothing() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        try await fixture.backfill()
        fixture.secondary.forgetWrites()
        let again = try await fixture.backfill()
        #expect(fixture.secondary.writes.map(\.description) == [])
        #expect(again.wroteNothing)
        #expect(again.isComplete)
    }

    @Test func aLostStateFileCostsNoDuplicate() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        try await fixture.backfill()
        fixture.secondary.forgetWrites()
        let again = try await fixture.backfill(state: "new.db")
        #expect(fixture.secondary.writes.map(\.description) == [])
        #expect(again.counts.runs.created == 0)
        let verified = try await fixture.verify(state: "new.db")
        #expect(verified.differences == [])
    }

    @Test func whatWasRemovedWhileTheStateFileWasLostIsRemovedByARepair() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        try await workload.everything()
        let run = try await workload.run(in: ExperimentID("0"), "tagged", tags: [Tag("old", "1")])
        try await fixture.primary.setAlias("old", to: 1, ofRegisteredModel: ModelName("net"))
        try await fixture.backfill()
        try await fixture.primary.deleteTag("old", ofRun: run.id)
        try await fixture.primary.deleteAlias("old", ofRegisteredModel: ModelName("net"))
        try await fixture.backfill(state: "new.db")
        func copy() -> Run? { fixture.secondary.snapshot.runs.map(\.run).first { $0.tags[Stamp.idKey(.run)] == run.id.rawValue } }
        #expect(copy()?.tags["old"] == "1")
        try await fixture.verify(state: "new.db", repairing: true)
        #expect(copy()?.tags["old"] == nil)
        #expect(try await fixture.secondary.registeredModel(ModelName("net"))?.aliases["old"] == nil)
        #expect(try await fixture.verify(state: "new.db").differences == [])
    }

    @Test func foreignThingsAreNotTouched() async throws {
        let fixture = try MirrorFixture()
        let foreign = try await fixture.secondary.createExperiment(name: "/Shared/sweep", tags: [Tag("team", "theirs")])
        let run = try await Workload(store: fixture.secondary).run(in: foreign, "theirs")
        try await fixture.secondary.createRegisteredModel(ModelName("net"), description: "theirs", tags: [])
        try await Workload(store: fixture.primary).everything()
        let summary = try await fixture.backfill()
        #expect(summary.failures == [])
        #expect(try await fixture.secondary.experiment(foreign)?.tags["team"] == "theirs")
        #expect(try await fixture.secondary.run(run.id)?.tags["mlmirror.pair"] == nil)
        #expect(try await fixture.secondary.registeredModel(ModelName("net"))?.description == "theirs")
        #expect(try await fixture.verify().differences == [])
        fixture.secondary.forgetWrites()
        try await fixture.backfill()
        #expect(fixture.secondary.writes.map(\.description) == [])
    }

    @Test func anotherPairsThingsAreNotTouched() async throws {
        let shared = FakeStore(name: "secondary")
        shared.now += 5000
        let other = try MirrorFixture(primary: FakeStore(name: "other"), secondary: shared)
        other.primary.now += 1
        let fixture = try MirrorFixture(secondary: shared)
        try await Workload(store: fixture.primary).everything()
        try await Workload(store: other.primary).everything()
        try await other.backfill { $0.pair = "west" }
        #expect(try await other.verify { $0.pair = "west" }.differences == [])
        let summary = try await fixture.backfill { $0.pair = "east" }
        #expect(summary.failures == [])
        #expect(try await shared.experiment(named: "east/Shared/sweep") != nil)
        #expect(try await other.verify { $0.pair = "west" }.differences == [])
        #expect(try await fixture.verify { $0.pair = "east" }.differences == [])
    }

    @Test func oneStoreOnBothSidesIsRefused() async throws {
        let store = FakeStore(name: "one")
        _ = try await store.createRun(NewRun(experiment: ExperimentID("0"), name: "a", userID: "", startTime: 1, tags: []))
        let before = store.writes.count
        let fixture = try MirrorFixture(primary: store, secondary: store)
        await #expect { try await fixture.backfill() } throws: { ($0 as? MirrorError)?.kind == .sameStore }
        #expect(store.writes.count == before)
    }

    /// One server by two addresses, in use while it is looked at.
    @Test func aBusyStoreOnBothSidesIsRefused() async throws {
        let fixture = try MirrorFixture(primary: FakeStore(name: "twin"), secondary: FakeStore(name: "twin"))
        fixture.secondary.now = fixture.primary.now
        for store in [fixture.primary, fixture.secondary] { try await Workload(store: store).run(in: ExperimentID("0"), "r", start: 1) }
        try await Workload(store: fixture.secondary).run(in: ExperimentID("0"), "a moment later", start: 2)
        await #expect { try await fixture.backfill() } throws: { ($0 as? MirrorError)?.kind == .sameStore }
        _ = try await fixture.primary.createExperiment(name: "a", tags: [])
        await #expect { try await fixture.backfill() } throws: { ($0 as? MirrorError)?.kind == .sameStore }
    }

    /// Two servers that were made in the same millisecond have one identity.
    @Test func twoStoresOfOneIdentityAreToldApartByWhatTheyHold() async throws {
        let fixture = try MirrorFixture(primary: FakeStore(name: "twin"), secondary: FakeStore(name: "twin"))
        await #expect { try await fixture.backfill() } throws: {
            ($0 as? MirrorError)?.kind == .sameStore && "\($0)".contains("cannot be told apart")
        }
        await #expect { try await Pair.identify(fixture.primary, fixture.secondary, name: "p", waits: true) } throws: {
            ($0 as? StoreError)?.isRetriable == true
        }
        #expect(fixture.secondary.writes.isEmpty)
        fixture.secondary.now += 5000
        _ = try await fixture.primary.createExperiment(name: "a", tags: [])
        #expect(try await fixture.backfill().counts.experiments.created == 1)
        #expect(try await fixture.verify().differences == [])
    }

    @Test func whatChangesIsFollowed() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        try await workload.everything()
        let sweep = try #require(try await fixture.primary.experiment(named: "/Shared/sweep")).id
        let open = try await workload.run(in: sweep, "open", start: 9000, files: ["log.txt": "one"], end: false)
        try await fixture.backfill()

        let late = MetricRow(key: "loss", point: MetricPoint(value: 7, timestamp: 1, step: 0))
        let next = MetricRow(key: "loss", point: MetricPoint(value: 8, timestamp: 99_999, step: 50))
        try await fixture.primary.logBatch(
            RunBatch(metrics: [late, next], params: [Param("new", "p")], tags: [Tag("t", "2")]), toRun: open.id)
        try await workload.file("log.txt", "two", of: ArtifactOwner(.run(open.id), root: open.artifactURI))
        try await fixture.primary.updateRun(open.id, status: .failed, endTime: 10_000, name: "renamed")
        try await fixture.primary.setAlias("champion", to: 1, ofRegisteredModel: ModelName("net"))
        try await fixture.primary.renameExperiment(sweep, to: "/Shared/swept")
        let closed = try #require(try await fixture.primary.experiment(named: "closed")).id
        try await fixture.primary.restoreExperiment(closed)
        let summary = try await fixture.backfill()
        #expect(summary.failures == [])
        #expect(summary.counts.metricPoints == 2)
        #expect(try await fixture.verify().differences == [])
    }

    @Test func scopeIsKept() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        let scope = Scope(experiments: PatternList(["/Shared/**"]), models: PatternList(["!*"]), since: 2000, until: 6000, artifacts: false)
        let summary = try await fixture.backfill { $0.scope = scope }
        #expect(summary.counts.runs.created == 3)
        #expect(summary.counts.files == 0)
        #expect(try await fixture.secondary.experiment(named: "closed") == nil)
        #expect(try await fixture.verify { $0.scope = scope }.differences == [])
    }

    @Test func cyclesAndDanglingParentsEnd() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let experiment = ExperimentID("0")
        let a = try await workload.run(in: experiment, "a", start: 1)
        let b = try await workload.run(in: experiment, "b", parent: a.id, start: 2)
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("mlflow.parentRunId", b.id.rawValue)]), toRun: a.id)
        try await workload.run(in: experiment, "lost", parent: RunID("0123456789abcdef0123456789abcdef"), start: 3)
        let own = try await workload.run(in: experiment, "own", start: 4)
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("mlflow.parentRunId", own.id.rawValue)]), toRun: own.id)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }
}

extension BackfillTests {
    @Test func whatWouldBeCutIsSetAsideAndNamed() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "long")
        try await fixture.primary.logBatch(
            RunBatch(
                params: [Param("fits", String(repeating: "p", count: 6000))], tags: [Tag("long", String(repeating: "t", count: 8001))]),
            toRun: run.id)
        let summary = try await fixture.backfill()
        #expect(!summary.isComplete)
        #expect(summary.failures.count == 1 && summary.failures[0].contains("tag:long"))
        let found = try await fixture.verify().differences
        #expect(found.map(\.field) == ["tag:long"])
    }

    @Test func aPersistentRefusalOfOneThingDoesNotStopTheRest() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        fixture.secondary.setFault { operation in
            operation.name == "createRun" && operation.detail.contains("odd") || operation.target.contains("odd")
                ? .before(StoreError(.retry(after: nil), .serverFailure, "500 for this one")) : nil
        }
        let summary = try await fixture.backfill()
        #expect(!summary.isComplete)
        fixture.secondary.setFault(nil)
        let again = try await fixture.backfill()
        #expect(again.failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aStoreThatStaysAwayStopsTheWorkAndLosesNothing() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        let seen = Locked(0)
        fixture.secondary.setFault { _ in
            seen.withLock { seen in
                seen += 1
                return seen > 40 ? .unreachable : nil
            }
        }
        await #expect { try await fixture.backfill() } throws: { ($0 as? StoreError)?.reason == .unreachable }
        fixture.secondary.setFault(nil)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    /// Registered models are in scope by their own names; what they need comes with them.
    @Test func aModelBringsItsRun() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        let scope = Scope(experiments: PatternList(["none"]), models: PatternList(["net"]))
        let summary = try await fixture.backfill { $0.scope = scope }
        #expect(summary.failures == [])
        #expect(try await fixture.secondary.versions(of: ModelName("net"), nil).elements.map(\.number) == [1, 3, 4])
    }
}

extension BackfillTests {
    /// Seven runs of one instant among others, in pages of two.
    @Test func smallPagesAndEqualStartTimesLoseNothing() async throws {
        let fixture = try MirrorFixture(primary: FakeStore(name: "primary", pageSize: 2))
        let workload = Workload(store: fixture.primary)
        for start in [1, 5, 5, 5, 5, 5, 5, 5, 8, 9] as [Int64] {
            try await workload.run(in: ExperimentID("0"), "r", start: start, points: 1)
        }
        let summary = try await fixture.backfill()
        #expect(summary.counts.runs.created == 10 && summary.failures == [])
        let verified = try await fixture.verify()
        #expect(verified.differences == [] && verified.summary.compared["runs"] == 10)
    }
}
