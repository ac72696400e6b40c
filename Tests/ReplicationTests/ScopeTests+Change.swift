import TestSupport
import Testing

@testable import Replication

/// What comes into scope, and what goes out of it.
extension ScopeTests {
    @Test func whatWentOutStaysAndIsNotFollowed() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        let stays = try await primary.createExperiment(name: "stays", tags: [])
        let goes = try await primary.createExperiment(name: "goes", tags: [])
        let one = try await workload.run(in: stays, "one", end: false)
        let other = try await workload.run(in: goes, "other", end: false)
        try await fixture.pair.backfill()
        func narrow(_ configuration: inout LiveConfiguration) { configuration.mirror.scope.experiments = PatternList(["stays"]) }
        try await fixture.live(narrow) { daemon in
            try await daemon.settled()
            for run in [one, other] {
                try await primary.logBatch(
                    RunBatch(
                        metrics: [MetricRow(key: "loss", point: MetricPoint(value: 7, timestamp: 9_000, step: 9))], tags: [Tag("late", "1")]
                    ),
                    toRun: run.id)
                try await workload.file("late.txt", "1", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
            }
            try await primary.setTag(Tag("late", "1"), ofExperiment: goes)
            // The feed of a data base knows no scope.
            fixture.feed.say(
                [one, other].flatMap { [Change(.run($0.id), .record), Change(EntityKey(.runArtifacts, $0.id.rawValue))] }
                    + [Change(.experiment(goes))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
        }
        func late(_ name: String) throws -> [Bool] {
            let content = try #require(fixture.pair.secondary.snapshot.runs.first { $0.run.name == name })
            return [
                content.run.tags["late"] != nil, content.points["loss"]?.count == 6,
                fixture.pair.secondary.files(of: .run(content.run.id))["late.txt"] != nil,
            ]
        }
        #expect(try late("one") == [true, true, true])
        #expect(try late("other") == [false, false, false])
        #expect(fixture.pair.secondary.snapshot.experiments.first { $0.name == "goes" }?.tags["late"] == nil)
        // Back in: nothing is missing.
        #expect(try await fixture.pair.backfill().failures == [])
        #expect(fixture.pair.said(.scopeChanged))
        #expect(try late("other") == [true, true, true])
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// What a model in scope has brought is followed with it; and a new version needs what has gone out since.
    @Test func whatAModelBroughtIsFollowed() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let experiment = try await fixture.primary.createExperiment(name: "e", tags: [])
        let run = try await workload.run(in: experiment, "source", files: ["model/x": "1"], end: false)
        let name = ModelName("net")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        func models(_ configuration: inout MirrorConfiguration) { configuration.scope.experiments = PatternList(["none"]) }
        _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/model", run: run.id))
        #expect(try await fixture.backfill(models).failures == [])
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("late", "1")]), toRun: run.id)
        try await fixture.backfill(models) { state in
            try state.enter(Scope(experiments: PatternList(["none"])))
            try state.append([Change(.run(run.id))], at: fixture.clock.nowMilliseconds)
        }
        #expect(try copy(fixture, "source").tags["late"] == "1")

        let second = try await workload.run(in: experiment, "second", start: 9, end: false)
        try await fixture.backfill()
        try await workload.file("model/y", "2", of: ArtifactOwner(.run(second.id), root: second.artifactURI))
        _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "\(second.artifactURI)/model", run: second.id))
        #expect(try await fixture.backfill(models).failures == [])
        #expect(fixture.secondary.files(of: .run(try copy(fixture, "second").id)).keys.contains("model/y"))
    }

    @Test func theStateFileTellsWhatIsAnother() async throws {
        let fixture = try MirrorFixture()
        func differences(_ scope: Scope) throws -> [String]? {
            let state = try ReplicationState.open(path: fixture.statePath)
            defer { try? state.close() }
            return try state.differences(to: scope)
        }
        #expect(try differences(.everything) == nil)
        try await fixture.backfill()
        #expect(try differences(.everything) == [])
        let narrow = Scope(
            experiments: PatternList(["a"]), owners: PatternList(["ann"]), passage: Passage(mask: Mask(users: .pseudonym, key: Self.key)))
        let keys = ["scope.experiments", "scope.mask.key_file", "scope.mask.users", "scope.owners"]
        #expect(try differences(narrow) == keys)
        try await fixture.backfill { $0.scope = narrow }
        #expect(try differences(narrow) == [] && differences(.everything) == keys)
    }

    @Test func anExperimentThatComesIntoScopeBringsItsRuns() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        let moving = try await primary.createExperiment(name: "draft/a", tags: [])
        let old = try await workload.run(in: moving, "old")
        func narrow(_ configuration: inout LiveConfiguration) { configuration.mirror.scope.experiments = PatternList(["prod/**"]) }
        try await fixture.live(narrow) { daemon in
            try await daemon.settled()
            #expect(fixture.pair.secondary.snapshot.runs.isEmpty)
            // The run's change and the new name are seen at once.
            try await primary.renameExperiment(moving, to: "prod/a")
            let new = try await workload.run(in: moving, "new", start: 9000)
            fixture.feed.say([Change(.run(new.id)), Change(.experiment(moving))])
            try await daemon.until("come") { fixture.pair.secondary.snapshot.runs.count == 2 }
            try await daemon.settled()
            // Out, changed, and in again.
            try await primary.renameExperiment(moving, to: "draft/b")
            fixture.feed.say([Change(.experiment(moving))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "2" }
            try await daemon.settled()
            try await primary.logBatch(
                RunBatch(
                    metrics: [MetricRow(key: "loss", point: MetricPoint(value: 7, timestamp: 9_000, step: 9))], tags: [Tag("late", "1")]),
                toRun: old.id)
            fixture.feed.say([Change(.run(old.id), .record)])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "3" }
            try await daemon.settled()
            #expect(fixture.pair.secondary.snapshot.runs.allSatisfy { $0.run.tags["late"] == nil })
            try await primary.renameExperiment(moving, to: "prod/b")
            fixture.feed.say([Change(.experiment(moving))])
            try await daemon.until("followed again") { fixture.pair.secondary.snapshot.runs.contains { $0.run.tags["late"] == "1" } }
            try await daemon.settled()
        }
        #expect(
            try await fixture.pair.verify { $0.scope.experiments = PatternList(["prod/**"]) }.differences == [])
    }

    /// Its model is in scope: its run comes whole, although its owner is not.
    @Test func theRunOfAModelInScopeComesWhole() async throws {
        let fixture = try MirrorFixture()
        let run = try await fixture.primary.createRun(
            NewRun(experiment: ExperimentID("0"), name: "bot's", userID: "bot", startTime: 5, tags: [Tag("mlflow.user", "bot")]))
        try await fixture.primary.logBatch(
            RunBatch(metrics: [MetricRow(key: "loss", point: MetricPoint(value: 7, timestamp: 9, step: 9))]), toRun: run.id)
        try await fixture.primary.updateRun(run.id, status: .finished, endTime: 50, name: nil)
        let model = try await fixture.primary.createLoggedModel(
            NewLoggedModel(
                experiment: ExperimentID("0"), name: "m", modelType: nil, sourceRun: run.id, params: [], tags: [Tag("mlflow.user", "ann")]))
        try await fixture.primary.setStatus(.ready, ofLoggedModel: model.id)
        func owners(_ configuration: inout MirrorConfiguration) { configuration.scope.owners = PatternList(["ann"]) }
        #expect(try await fixture.backfill(owners).failures == [])
        let there = try #require(fixture.secondary.snapshot.runs.first)
        #expect(there.run.status == .finished && there.points["loss"]?.count == 1)
        try await settled(fixture, owners)
    }

    /// With a lost state file nobody remembers what was brought; what is out of scope is then left as it is.
    @Test func whatIsOutOfScopeIsNotDeletedThere() async throws {
        let fixture = try MirrorFixture()
        let gone = try await fixture.primary.createExperiment(name: "gone", tags: [])
        let run = try await Workload(store: fixture.primary).run(in: gone, "r")
        try await fixture.primary.createRegisteredModel(ModelName("m"), description: "", tags: [])
        try await fixture.backfill()
        func narrow(_ configuration: inout MirrorConfiguration) {
            configuration.scope.experiments = PatternList(["stays"])
            configuration.scope.models = PatternList(["!**"])
            configuration.rules = ConflictRules([.purgedOnPrimary: .replicate])
        }
        for state in ["state.db", "new.db"] {
            try await fixture.backfill(state: state, narrow)
            if state == "state.db" {
                try await fixture.primary.deleteExperiment(gone)
                fixture.primary.collect(run.id)
                try await fixture.primary.deleteRegisteredModel(ModelName("m"))
            }
            try await fixture.backfill(state: state, narrow) { opened in
                try opened.append(
                    [
                        Change(.experiment(gone)), Change(EntityKey(.experimentDeletion, gone.rawValue)), Change(.run(run.id)),
                        Change(.registeredModel(ModelName("m"))),
                    ], at: fixture.clock.nowMilliseconds)
            }
            let there = fixture.secondary.snapshot
            #expect(there.experiments.first { $0.name == "gone" }?.lifecycle == .active, "\(state)")
            #expect(there.runs.map(\.run.lifecycle) == [.active] && there.models.count == 1, "\(state)")
        }
    }

    /// It is pending for good: nobody would see its end.
    @Test func thePendingLoggedModelThatWentOutIsNotWatched() async throws {
        let fixture = try MirrorFixture()
        let id = try await fixture.primary.createExperiment(name: "out", tags: [])
        let model = try await fixture.primary.createLoggedModel(
            NewLoggedModel(experiment: id, name: "m", modelType: nil, sourceRun: nil, params: [], tags: []))
        let files = EntityKey(.loggedModelArtifacts, model.id.rawValue)
        try await fixture.backfill { $0.filePause = 1000 }
        let later = fixture.clock.nowMilliseconds + 1_000_000
        let muchLater = later + 1_000_000
        #expect(try fixture.withState { try $0.queueDueFiles(at: later, longest: 1000, limit: 9) } == 1)
        #expect(try fixture.withState { try $0.hasDueFiles(at: muchLater) }, "it is pending, and goes on being watched")
        try await fixture.backfill {
            $0.filePause = 1000
            $0.scope.experiments = PatternList(["in"])
        }
        #expect(try fixture.withState { try $0.entry(files) } == nil)
        // Once more, for the last time.
        #expect(try fixture.withState { try $0.queueDueFiles(at: muchLater, longest: 1000, limit: 9) } == 1)
        #expect(try fixture.withState { try !$0.hasDueFiles(at: .max) })
    }
}
