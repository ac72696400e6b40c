import Foundation
import TestSupport
import Testing

@testable import Replication

/// What of the primary passes, and what happens when that becomes something else.
@Suite struct ScopeTests {
    private static let key = PseudonymKey("a secret of some length")

    private func settled(_ fixture: MirrorFixture, _ change: (inout MirrorConfiguration) -> Void) async throws {
        #expect(try await fixture.verify(change).differences == [])
        fixture.secondary.forgetWrites()
        let again = try await fixture.backfill(change)
        #expect(again.failures == [])
        #expect(fixture.secondary.writes.map(\.description) == [], "running again changes nothing")
    }

    private func copy(_ fixture: MirrorFixture, _ name: String) throws -> Run {
        try #require(fixture.secondary.snapshot.runs.first { $0.run.name == name }?.run)
    }

    // MARK: Leaving out

    @Test func whatIsLeftOutDoesNotComeAndWhatComesBackInDoes() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        try await workload.everything()
        try await workload.run(
            in: ExperimentID("0"), "r", files: ["a.tmp": "1", "x/b.tmp": "2", "x/c.txt": "3"], tags: [Tag("dbx.id", "1"), Tag("team", "a")])
        func leave(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.leaveOut = LeaveOut(tags: ["dbx.*", "acc"], params: ["layers", "depth"], artifacts: ["**/*.tmp"])
        }
        #expect(try await fixture.backfill(leave).failures == [])
        let there = try copy(fixture, "r")
        #expect(there.tags["dbx.id"] == nil && there.tags["team"] == "a")
        #expect(there.params.map(\.key) == ["lr"])
        #expect(Set(fixture.secondary.files(of: .run(there.id)).keys) == ["x/c.txt"])
        #expect(fixture.secondary.snapshot.versions.values.joined().allSatisfy { $0.tags["acc"] == nil })
        try await settled(fixture, leave)

        #expect(try await fixture.backfill().failures == [])
        let whole = try copy(fixture, "r")
        #expect(whole.tags["dbx.id"] == "1" && whole.params.count == 2)
        #expect(Set(fixture.secondary.files(of: .run(there.id)).keys) == ["a.tmp", "x/b.tmp", "x/c.txt"])
        try await settled(fixture) { _ in }
    }

    @Test func whatIsLeftOutLaterStaysAndIsNotFollowed() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "r", files: ["a.tmp": "1"], tags: [Tag("dbx.id", "1")], end: false)
        try await fixture.backfill()
        func leave(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.leaveOut = LeaveOut(tags: ["dbx.*"], params: ["lr"], artifacts: ["*.tmp"])
        }
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("dbx.id", "2"), Tag("team", "b")]), toRun: run.id)
        try await workload.file("a.tmp", "longer", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        #expect(try await fixture.backfill(leave).failures == [])
        let there = try copy(fixture, "r")
        #expect(there.tags["dbx.id"] == "1" && there.tags["team"] == "b" && there.params.count == 2)
        #expect(fixture.secondary.files(of: .run(there.id))["a.tmp"] == Array("1".utf8))
        try await settled(fixture, leave)
        // Not even where what is too much there is removed.
        _ = try await fixture.verify(repairing: true, leave)
        #expect(try copy(fixture, "r").tags["dbx.id"] == "1")
    }

    // MARK: Masks

    @Test(arguments: [Mask.Form.drop, .pseudonym])
    func whatIsMaskedIsNowhere(_ form: Mask.Form) async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let experiment = try await fixture.primary.createExperiment(
            name: "/Users/ann@example.com/churn",
            tags: [Tag("mlflow.ownerEmail", "ann@example.com"), Tag("mlflow.note.content", "ask ann@example.com")])
        let run = try await fixture.primary.createRun(
            NewRun(
                experiment: experiment, name: "of ann@example.com", userID: "ann@example.com", startTime: 1,
                tags: [
                    Tag("mlflow.user", "ann@example.com"), Tag("mlflow.source.name", "/Users/ann@example.com/nb"), Tag("patient", "Smith"),
                ]))
        try await fixture.primary.logBatch(
            RunBatch(params: [Param("path", "/home/ann@example.com/data"), Param("ward", "Smith 7"), Param("lr", "1")]), toRun: run.id)
        try await fixture.primary.logInputs(
            datasets: [DatasetInput(name: "d", digest: "1", sourceType: "local", source: "/Users/ann@example.com/d.csv")], models: [],
            toRun: run.id)
        try await workload.file("model/x", "x", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        let name = ModelName("churn")
        try await fixture.primary.createRegisteredModel(name, description: "by ann@example.com", tags: [Tag("who", "ann@example.com")])
        for source in ["\(run.artifactURI)/model", "s3://bucket/Users/ann@example.com/m"] {
            _ = try await fixture.primary.createVersion(
                NewVersion(model: name, source: source, run: run.id, description: "ann@example.com's", tags: [Tag("patient", "Smith")]))
        }
        func mask(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.mask = Mask(
                users: form, tags: [.init("patient", form)], params: [.init("ward", form)], key: Self.key)
        }
        let summary = try await fixture.backfill(mask)
        // The version whose files lie at an address that names somebody.
        #expect(summary.failures.count == 1 && summary.failures[0].hasSuffix("[source_refused]"), "\(summary.failures)")
        func verified(_ state: String) async throws {
            #expect(try await fixture.verify(state: state, mask).differences.map(\.field) == ["version:2"])
        }
        try await verified("state.db")

        let there = try #require(fixture.secondary.snapshot.runs.first?.run)
        #expect(there.params.first { $0.key == "lr" }?.value == "1")
        if form == .pseudonym {
            let ann = Mask(users: .pseudonym, key: Self.key).user("ann@example.com") ?? ""
            #expect(there.tags["mlflow.user"] == ann && there.userID == ann)
            #expect(fixture.secondary.snapshot.experiments.contains { $0.name == "/Users/\(ann)/churn" })
        } else {
            #expect(there.tags["mlflow.user"] == nil && there.userID == "" && there.tags["patient"] == nil)
        }
        var everything = "\(fixture.secondary.snapshot)\(fixture.told.withLock { $0 })\(summary.failures)"
        everything += String(decoding: try Data(contentsOf: URL(fileURLWithPath: fixture.statePath)), as: UTF8.self)
        #expect(everything.contains("churn"))
        for word in ["ann@", "Smith"] { #expect(!everything.contains(word)) }

        fixture.secondary.forgetWrites()
        _ = try await fixture.backfill(mask)
        _ = try await fixture.backfill(state: "new.db", mask)
        #expect(fixture.secondary.writes.map(\.description) == [])
        try await verified("new.db")
    }

    @Test func whatIsMaskedLaterIsReplacedWhereItCanBe() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(
            in: ExperimentID("0"), "r", tags: [Tag("patient", "Smith"), Tag("mlflow.source.name", "/home/ann/x.py")])
        try await fixture.primary.logBatch(RunBatch(params: [Param("ward", "7")]), toRun: run.id)
        try await fixture.backfill()
        func mask(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.mask = Mask(users: .drop, tags: [.init("patient", .drop)], params: [.init("ward", .drop)])
        }
        _ = try await fixture.backfill(mask)
        let there = try copy(fixture, "r")
        #expect(there.tags["patient"] == nil && there.tags["mlflow.user"] == nil && there.tags["mlflow.source.name"] == "/home/user/x.py")
        // A param cannot be taken back, and nobody says that it was.
        #expect(try await fixture.verify(mask).differences.map(\.field).sorted() == ["param:ward", "user"])
    }

    // MARK: Owners

    @Test func onlyRunsOfSomeOwners() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        try await workload.run(in: ExperimentID("0"), "ann's")
        for (name, start) in [("bot's", Int64(1)), ("bot's second", 2000)] {
            _ = try await fixture.primary.createRun(
                NewRun(experiment: ExperimentID("0"), name: name, userID: "ann", startTime: start, tags: [Tag("mlflow.user", "bot-7")]))
        }
        for owner in ["ann", "bot-7"] {
            let model = try await fixture.primary.createLoggedModel(
                NewLoggedModel(
                    experiment: ExperimentID("0"), name: "of-\(owner)", modelType: nil, sourceRun: nil, params: [],
                    tags: [Tag("mlflow.user", owner)]))
            try await fixture.primary.setStatus(.ready, ofLoggedModel: model.id)
        }
        func owners(_ configuration: inout MirrorConfiguration) { configuration.scope.owners = PatternList(["!bot*"]) }
        let summary = try await fixture.backfill(owners)
        #expect(summary.counts.leftOut["runs of other owners"] == 2)
        #expect(fixture.secondary.snapshot.runs.map(\.run.name) == ["ann's"])
        #expect(fixture.secondary.snapshot.loggedModels.map(\.name) == ["of-ann"])
        try await settled(fixture, owners)
        #expect(try await fixture.backfill().counts.runs.created == 2)
        try await settled(fixture) { _ in }
        // And back: they stay, and nobody calls them too many.
        #expect(try await fixture.backfill(owners).failures == [])
        try await settled(fixture, owners)
    }

    // MARK: Another scope

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

    // MARK: Names

    @Test func namesAreMapped() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        func rename(_ configuration: inout MirrorConfiguration) {
            configuration.scope.renaming = Renaming(experiments: [.init("/Shared/**", "vision/**")], models: [.init("net", "vision-net")])
        }
        #expect(try await fixture.backfill(rename).failures == [])
        let sweep = try #require(fixture.secondary.snapshot.experiments.first { $0.name == "vision/sweep" })
        #expect(sweep.tags[Stamp.nameKey] == "/Shared/sweep")
        #expect(fixture.secondary.snapshot.models.map(\.name.rawValue) == ["vision-net"])
        try await settled(fixture, rename)
        // By its own name again: experiments follow, a registered model stays what it is.
        #expect(try await fixture.backfill().failures == [])
        let back = try #require(fixture.secondary.snapshot.experiments.first { $0.name == "/Shared/sweep" })
        #expect(back.id == sweep.id && back.tags[Stamp.nameKey] == nil)
        try await settled(fixture) { _ in }
        #expect(try await fixture.backfill(rename).failures == [])
        #expect(fixture.secondary.snapshot.experiments.contains { $0.name == "vision/sweep" })
        // A renamed one on the primary follows its map.
        try await fixture.primary.renameExperiment(ExperimentID("1"), to: "/Shared/other")
        #expect(try await fixture.backfill(rename).failures == [])
        #expect(fixture.secondary.snapshot.experiments.contains { $0.name == "vision/other" })
        try await settled(fixture, rename)
    }

    @Test func aMappedNameThatIsTakenIsAMatterOfTheRules() async throws {
        let fixture = try MirrorFixture()
        _ = try await fixture.secondary.createExperiment(name: "there", tags: [])
        let id = try await fixture.primary.createExperiment(name: "here", tags: [])
        try await Workload(store: fixture.primary).run(in: id, "r")
        func rename(_ configuration: inout MirrorConfiguration) {
            configuration.scope.renaming.experiments = [.init("here", "there")]
            configuration.rules = ConflictRules([.nameTaken: .rename])
        }
        #expect(try await fixture.backfill(rename).counts.conflicts == 1)
        #expect(fixture.secondary.snapshot.experiments.map(\.name).sorted() == ["Default", "default/there", "there"])
        fixture.secondary.forgetWrites()
        try await fixture.backfill(rename)
        #expect(fixture.secondary.writes.map(\.description) == [])
        #expect(try await fixture.verify(rename).differences == [])
    }

    /// The map is read with a version that was made from one of a model that is called otherwise there.
    @Test func aVersionOfARenamedModelsVersionIsFound() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: ["model/x": "1"])
        for name in ["churn", "copy"] { try await fixture.primary.createRegisteredModel(ModelName(name), description: "", tags: []) }
        _ = try await fixture.primary.createVersion(
            NewVersion(model: ModelName("churn"), source: "\(run.artifactURI)/model", run: run.id))
        _ = try await fixture.primary.createVersion(NewVersion(model: ModelName("copy"), source: "models:/churn/1"))
        func rename(_ configuration: inout MirrorConfiguration) { configuration.scope.renaming.models = [.init("churn", "prod-churn")] }
        #expect(try await fixture.backfill(rename).failures == [])
        #expect(fixture.secondary.snapshot.versions[ModelName("copy")]?.map(\.source) == ["models:/prod-churn/1"])
        try await settled(fixture, rename)
    }

    @Test func threeOfOneNameStayThree() async throws {
        let fixture = try MirrorFixture()
        for name in ["ann", "bo", "cy", "di"] {
            let id = try await fixture.primary.createExperiment(name: "/Users/\(name)/churn", tags: [])
            try await Workload(store: fixture.primary).run(in: id, "of \(name)")
        }
        func mask(_ configuration: inout MirrorConfiguration) { configuration.scope.passage.mask = Mask(users: .drop) }
        let summary = try await fixture.backfill(mask)
        #expect(summary.failures == [])
        let names = fixture.secondary.snapshot.experiments.map(\.name)
        #expect(Set(names).count == 5 && fixture.secondary.snapshot.runs.count == 4, "\(names)")
        try await settled(fixture, mask)
    }

    // MARK: Under a daemon's eyes

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
}
