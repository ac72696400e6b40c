import TestSupport
import Testing

@testable import Replication

/// What the versions of a model stand on is compared with it, also where it is in scope for no other reason.
@Suite struct FoundationTests {
    private let fixture: MirrorFixture
    private var primary: FakeStore { fixture.primary }
    private var secondary: FakeStore { fixture.secondary }

    init() throws { fixture = try MirrorFixture() }

    private struct Parts: Sendable {
        var run: Run
        var logged: LoggedModel
        var trainer: Run
    }

    /// A model with a version of a run's files, and one of a logged model's.
    private func make() async throws -> Parts {
        let workload = Workload(store: primary)
        let experiment = try await primary.createExperiment(name: "e", tags: [])
        let run = try await workload.run(in: experiment, "run", files: ["model/x": "1"])
        let trainer = try await workload.run(in: experiment, "trainer", start: 2000)
        try await workload.run(in: experiment, "beside", start: 3000)
        let logged = try await primary.createLoggedModel(
            NewLoggedModel(experiment: experiment, name: "m", modelType: nil, sourceRun: trainer.id, params: [], tags: []))
        try await workload.file("x", "1", of: ArtifactOwner(.loggedModel(logged.id), root: logged.artifactURI))
        try await primary.setStatus(.ready, ofLoggedModel: logged.id)
        let name = ModelName("net")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<2 {
            _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/model", run: run.id))
        }
        _ = try await primary.createVersion(
            NewVersion(model: name, source: "models:/\(logged.id)", run: trainer.id, loggedModel: logged.id))
        return Parts(run: run, logged: logged, trainer: trainer)
    }

    private func copy(_ name: String) throws -> Run { try #require(secondary.snapshot.runs.first { $0.run.name == name }?.run) }

    private func loggedCopy(_ state: ReplicationState, _ parts: Parts) throws -> ArtifactOwner.ID {
        .loggedModel(LoggedModelID(try #require(try state.secondaryID(.loggedModel, parts.logged.id.rawValue))))
    }

    @Test func aModelsSwitchFindsAndMendsWhatItsVersionsStandOn() async throws {
        let live = LiveFixture(fixture)
        let parts = try await make()
        let secondary = secondary
        let scope = NameScope(models: ["net"])
        try await live.live { daemon in
            try await daemon.settled()
            let (run, logged) = (ArtifactOwner.ID.run(try copy("run").id), try loggedCopy(daemon.state, parts))
            secondary.replace("model/x", of: run, with: Array("2".utf8))
            secondary.replace("x", of: logged, with: Array("longer".utf8))
            secondary.losePoint(of: try copy("trainer").id, metric: "loss")
            secondary.losePoint(of: try copy("beside").id, metric: "loss")
            try daemon.state.changeModes { $0.ask(ModeSwitch(scope, askedAt: 7, isDeep: true)) }
            try await daemon.until("sealed") { try daemon.state.modes.switches.first?.step == .sealed }
            let done = try #require(try daemon.state.modes.switches.first)
            #expect(done.comparisons == 2 && done.differences == 0)
            #expect(done.compared["runs"] == 2 && done.compared["logged models"] == 1 && done.compared["files"] == 2, "\(done.compared)")
            #expect(secondary.files(of: run)["model/x"] == Array("1".utf8))
            #expect(secondary.files(of: logged)["x"] == Array("1".utf8))
        }
        // What is beside it is none of the model's.
        #expect(try await fixture.verify().differences.map(\.field) == ["history:loss"])
    }

    @Test func whatIsBroughtIsComparedAndMended() async throws {
        func models(_ configuration: inout MirrorConfiguration) { configuration.scope.experiments = PatternList(["none"]) }
        let parts = try await make()
        #expect(try await fixture.backfill(models).failures == [])
        let state = try ReplicationState.open(path: fixture.statePath)
        let logged = try loggedCopy(state, parts)
        try state.close()
        secondary.losePoint(of: try copy("run").id, metric: "loss")
        secondary.replace("x", of: logged, with: Array("longer".utf8))
        let found = try await fixture.verify(repairing: true, models).differences
        #expect(Set(found.map(\.field)) == ["history:loss", "file:x"])
        #expect(try await fixture.verify(models).differences == [])
        #expect(secondary.files(of: logged)["x"] == Array("1".utf8))
        #expect(secondary.snapshot.runs.count == 2, "what is beside them is not brought")
    }

    /// As `copy_model_version` makes one: what it was made of is out of scope, and so is the run that all began with.
    @Test func aCopyStandsOnWhatItWasMadeOf() async throws {
        func onlyProd(_ configuration: inout MirrorConfiguration) {
            configuration.scope.experiments = PatternList(["none"])
            configuration.scope.models = PatternList(["prod"])
        }
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "run", files: ["model/x": "1"])
        for name in ["dev", "prod"] { try await primary.createRegisteredModel(ModelName(name), description: "", tags: []) }
        _ = try await primary.createVersion(NewVersion(model: ModelName("dev"), source: "\(run.artifactURI)/model", run: run.id))
        _ = try await primary.createVersion(NewVersion(model: ModelName("prod"), source: "models:/dev/1"))
        #expect(try await fixture.backfill(onlyProd).failures == [])
        let there = try copy("run")
        #expect(secondary.snapshot.versions[ModelName("prod")]?.map(\.source) == ["\(there.artifactURI)/model"])
        #expect(secondary.snapshot.versions[ModelName("dev")] == nil)
        #expect(secondary.files(of: .run(there.id))["model/x"] == Array("1".utf8))
        #expect(try await fixture.verify(onlyProd).differences == [])
        secondary.losePoint(of: there.id, metric: "loss")
        #expect(try await fixture.verify(onlyProd).differences.map(\.field) == ["history:loss"])
        // One that is there outlives what it was made of.
        try await primary.deleteRegisteredModel(ModelName("dev"))
        try await primary.setDescription("late", ofRegisteredModel: ModelName("prod"))
        #expect(try await fixture.backfill(onlyProd).failures == [])
        #expect(try await secondary.registeredModel(ModelName("prod"))?.description == "late")
    }

    /// The copy is listed first, and what it was made of has another number there.
    @Test func aCopyIsMadeOfTheCopyWhateverItsNumber() async throws {
        func renumber(_ configuration: inout MirrorConfiguration) { configuration.rules = ConflictRules([.versionNumber: .renumber]) }
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "run", files: ["model/x": "1"])
        let (dev, prod) = (ModelName("dev"), ModelName("a prod"))
        for name in [dev, prod] { try await primary.createRegisteredModel(name, description: "", tags: []) }
        for _ in 0..<2 { _ = try await primary.createVersion(NewVersion(model: dev, source: "\(run.artifactURI)/model", run: run.id)) }
        try await primary.deleteVersion(1, of: dev)
        _ = try await primary.createVersion(NewVersion(model: prod, source: "models:/dev/2", run: run.id))
        #expect(try await fixture.backfill(renumber).failures == [])
        #expect(secondary.snapshot.versions[dev]?.map(\.number) == [1])
        #expect(secondary.snapshot.versions[prod]?.map(\.source) == ["models:/dev/1"])
    }

    /// With a new state file nobody remembers what was brought, but what stands on it says so.
    @Test func whatIsBroughtIsFollowedByANewStateFile() async throws {
        func models(_ configuration: inout MirrorConfiguration) { configuration.scope.experiments = PatternList(["none"]) }
        let parts = try await make()
        #expect(try await fixture.backfill(models).failures == [])
        fixture.endAfterRequests(2000)
        try await primary.logBatch(RunBatch(tags: [Tag("late", "1")]), toRun: parts.run.id)
        #expect(try await fixture.backfill(state: "new.db", models).failures == [])
        #expect(try copy("run").tags["late"] == "1")
        #expect(try await fixture.verify(state: "new.db", models).differences == [])
        secondary.forgetWrites()
        try await fixture.backfill(state: "new.db", models)
        #expect(secondary.writes.map(\.description) == [])
    }

    @Test func whatWentOutIsNotCompared() async throws {
        let parts = try await make()
        try await fixture.backfill()
        func models(_ configuration: inout MirrorConfiguration) { configuration.scope.experiments = PatternList(["none"]) }
        try await fixture.backfill(models)
        try await primary.logBatch(RunBatch(tags: [Tag("late", "1")]), toRun: parts.run.id)
        #expect(try await fixture.verify(models).differences == [])
        #expect(try await fixture.verify().differences.map(\.field) == ["tag:late"])
    }
}
