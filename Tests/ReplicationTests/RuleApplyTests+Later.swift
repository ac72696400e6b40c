import TestSupport
import Testing

@testable import Replication

/// Rules for some names, other rules later, and what people decide.
extension RuleApplyTests {
    @Test func aRuleHoldsForItsNamesAlone() async throws {
        let rules = ConflictRules(
            overrides: [.init(.experiment, "/prod/**", [.tag: .secondary]), .init(.model, "prod.*", [.description: .secondary])])
        var copies: [String: RunID] = [:]
        for name in ["/prod/a", "/dev/a"] {
            let id = try await primary.createExperiment(name: name, tags: [])
            let run = try await workload.run(in: id, name, tags: [Tag("a", "1")])
            try await fixture.backfill { $0.rules = rules }
            let copy = RunID(try fixture.there(.run, run.id.rawValue))
            copies[name] = copy
            try await secondary.logBatch(RunBatch(tags: [Tag("a", "theirs")]), toRun: copy)
            try await primary.logBatch(RunBatch(tags: [Tag("a", "2")]), toRun: run.id)
        }
        for name in ["prod.net", "dev.net"] {
            try await primary.createRegisteredModel(ModelName(name), description: "1", tags: [])
            try await fixture.backfill { $0.rules = rules }
            try await secondary.setDescription("theirs", ofRegisteredModel: ModelName(name))
            try await primary.setDescription("2", ofRegisteredModel: ModelName(name))
        }
        try await fixture.backfill { $0.rules = rules }
        for (name, copy) in copies { #expect(try await secondary.run(copy)?.tags["a"] == (name == "/prod/a" ? "theirs" : "2")) }
        #expect(try await secondary.registeredModel(ModelName("prod.net"))?.description == "theirs")
        #expect(try await secondary.registeredModel(ModelName("dev.net"))?.description == "2")
    }

    /// A run whose tag somebody has edited on the secondary, and that has changed on the primary since.
    private func editedRun(_ rules: ConflictRules) async throws -> (Run, copy: RunID) {
        let run = try await workload.run(in: ExperimentID("0"), "r", tags: [Tag("a", "1"), Tag("c", "1")])
        try await fixture.backfill { $0.rules = rules }
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        try await secondary.logBatch(RunBatch(tags: [Tag("a", "theirs")]), toRun: copy)
        return (run, copy)
    }

    /// Nothing has changed on the primary: the conflict is looked at because the rules have.
    @Test func otherRulesAreCarriedOutOnWhatIsNoted() async throws {
        let parked = ConflictRules([.tag: .park])
        let (run, copy) = try await editedRun(parked)
        try await primary.logBatch(RunBatch(tags: [Tag("b", "1")]), toRun: run.id)
        try await fixture.backfill { $0.rules = parked }
        #expect(try await secondary.run(copy)?.tags["a"] == "theirs")
        try await fixture.backfill()
        #expect(try await secondary.run(copy)?.tags["a"] == "1")
        try await expectQuiet(.standard)
    }

    @Test(arguments: [ConflictDecision.primary, .secondary]) func whatPeopleDecideIsDoneByADaemon(_ decision: ConflictDecision) async throws
    {
        let parked = ConflictRules([.tag: .park])
        let (run, copy) = try await editedRun(parked)
        try await primary.logBatch(RunBatch(tags: [Tag("b", "1")]), toRun: run.id)
        let (path, primary, secondary) = (fixture.statePath, primary, secondary)
        let live = LiveFixture(fixture)
        try await live.live({ $0.mirror.rules = parked }) { daemon in
            try await daemon.settled()
            let visitor = try ReplicationState.visit(path: path)
            let noted = try visitor.conflicts()
            #expect(noted.map(\.conflict.field) == ["tag:a"])
            try visitor.resolve(noted.map(\.conflict), decision, at: 1)
            #expect(try visitor.conflicts().map(\.resolution) == [decision])
            try await daemon.until("taken") { try visitor.conflicts().allSatisfy { !$0.isWaiting } }
            try await daemon.settled()
            #expect(try await secondary.run(copy)?.tags["a"] == (decision == .primary ? "1" : "theirs"))
            // It holds from then on.
            try await primary.logBatch(RunBatch(tags: [Tag("a", "5"), Tag("c", "5")]), toRun: run.id)
            live.feed.say([Change(.run(run.id))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
            #expect(try await secondary.run(copy)?.tags["a"] == (decision == .primary ? "5" : "theirs"))
            #expect(try await secondary.run(copy)?.tags["c"] == "5")
            try visitor.close()
        }
        try await expectVerdict(decision, parked)
    }

    /// `verify --repair` mends what else is wrong with the thing, and leaves what is the secondary's: also what no copying has come across yet.
    @Test(arguments: [false, true]) func aRepairLeavesWhatTheRulesLeave(isNoted: Bool) async throws {
        let rules = ConflictRules([.tag: .secondary, .artifact: .secondary, .param: .secondary])
        let (run, copy) = try await editedRun(rules)
        try await secondary.logBatch(RunBatch(tags: [Tag("own", "theirs")]), toRun: copy)
        if isNoted {
            try await primary.logBatch(RunBatch(tags: [Tag("b", "1")]), toRun: run.id)
            try await fixture.backfill { $0.rules = rules }
        }
        try await secondary.updateRun(copy, status: .failed, endTime: nil, name: nil)
        let first = try await fixture.verify(repairing: true) { $0.rules = rules }
        #expect(first.differences.map(\.field) == ["status"])
        #expect(first.summary.accepted == ["tag": 2])
        let now = try await secondary.run(copy)
        #expect(now?.tags["a"] == "theirs" && now?.tags["own"] == "theirs" && now?.status == .finished)
        try await expectVerdict(.secondary, rules)
    }

    /// With a new state file nobody knows whose a value is: under such a rule it is left.
    @Test func aLostStateFileLosesNoEdit() async throws {
        let rules = ConflictRules([.tag: .secondary])
        let (_, copy) = try await editedRun(rules)
        try await fixture.backfill(state: "new.db") { $0.rules = rules }
        #expect(try await secondary.run(copy)?.tags["a"] == "theirs")
        try await fixture.backfill(state: "newer.db")
        #expect(try await secondary.run(copy)?.tags["a"] == "1")
    }

    /// The rules under which a secondary is its own master.
    @Test func sealedNothingIsOverwritten() async throws {
        let rules = ConflictRules.sealed
        try await workload.everything()
        try await fixture.backfill { $0.rules = rules }
        #expect(try await fixture.verify { $0.rules = rules }.differences == [], "what is new is copied as ever")
        let place = try #require(try await secondary.experiment(named: "/Shared/sweep")).id
        let runs = try await secondary.runs(RunQuery(experiments: [place]), nil)
        let edited = try #require(runs.elements.first { $0.name == "child" })
        try await secondary.logBatch(RunBatch(tags: [Tag("new", "theirs"), Tag("mlflow.user", "theirs")]), toRun: edited.id)
        try await secondary.updateRun(edited.id, status: .failed, endTime: 1, name: "theirs")
        let home = try #require(try await primary.experiment(named: "/Shared/sweep")).id
        let ours = try #require(try await primary.runs(RunQuery(experiments: [home]), nil).elements.first { $0.name == "child" })
        try await primary.logBatch(
            RunBatch(
                metrics: [MetricRow(key: "loss", point: MetricPoint(value: 3, timestamp: 9_000, step: 99))],
                tags: [Tag("new", "ours"), Tag("mlflow.user", "bob"), Tag("other", "ours")]), toRun: ours.id)
        try await fixture.backfill { $0.rules = rules }
        let now = try #require(try await secondary.run(edited.id))
        #expect(now.tags["new"] == "theirs" && now.tags["mlflow.user"] == "theirs" && now.name == "theirs" && now.status == .failed)
        #expect(now.tags["other"] == "ours")
        #expect(now.latestMetrics.first { $0.key == "loss" }?.point.step == 99, "what a straggler logs is carried")
    }
}
