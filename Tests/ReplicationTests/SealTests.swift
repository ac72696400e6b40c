import TestSupport
import Testing

@testable import Replication

/// Once the secondary leads, nothing that people have there is written over, whatever goes on at the primary.
@Suite struct SealTests {
    private func copy(_ fixture: MirrorFixture, _ run: RunID) throws -> RunID {
        try fixture.withState { RunID(try #require(try $0.secondaryID(.run, run.rawValue))) }
    }

    private struct Edited {
        var run: RunID
        var there: RunID
        var files: ArtifactOwner
    }

    /// A run, its copy edited in every way, and the same fields changed on the primary afterwards.
    private func edited(_ fixture: MirrorFixture) async throws -> Edited {
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(
            in: ExperimentID("0"), "name", files: ["a.txt": "abc"],
            tags: [Tag("k", "v"), Tag("gone", "v"), Tag("mlflow.note.content", "note")])
        try await fixture.backfill()
        try fixture.seal()
        let there = try #require(try await fixture.secondary.run(try copy(fixture, run.id)))
        let files = ArtifactOwner(.run(there.id), root: there.artifactURI)
        try await fixture.secondary.logBatch(
            RunBatch(params: [Param("p", "theirs")], tags: [Tag("k", "theirs"), Tag("mlflow.note.content", "theirs")]), toRun: there.id)
        try await fixture.secondary.deleteTag("gone", ofRun: there.id)
        try await fixture.secondary.updateRun(there.id, status: .failed, endTime: nil, name: "theirs")
        try await Workload(store: fixture.secondary).file("a.txt", "theirs", of: files)

        try await fixture.primary.logBatch(
            RunBatch(
                params: [Param("p", "ours"), Param("q", "ours")],
                tags: [Tag("k", "ours"), Tag("gone", "ours"), Tag("new", "ours"), Tag("mlflow.note.content", "ours")]), toRun: run.id)
        try await fixture.primary.updateRun(run.id, status: .killed, endTime: 5000, name: "ours")
        try await workload.file("a.txt", "ours!", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        try await workload.file("b.txt", "ours", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        return Edited(run: run.id, there: there.id, files: files)
    }

    /// - Parameter isKnown: what was written there earlier: else nobody can tell what was removed there.
    private func expectTheirs(_ edited: Edited, _ store: FakeStore, isKnown: Bool = true) async throws {
        let there = try #require(try await store.run(edited.there))
        let tags = Dictionary(uniqueKeysWithValues: there.tags.map { ($0.key, $0.value) })
        #expect(tags["k"] == "theirs" && (tags["gone"] == nil || !isKnown) && tags["mlflow.note.content"] == "theirs")
        #expect(there.params.contains(Param("p", "theirs")) && there.name == "theirs" && there.status == .failed)
        #expect(store.files(of: .run(edited.there))["a.txt"] == Array("theirs".utf8))
    }

    /// Its name is free on the primary, and not on the secondary.
    @Test func aNameThatASealedOneHasGivenUpOnThePrimaryHoldsUpNobody() async throws {
        let fixture = try MirrorFixture()
        let sealed = try await fixture.primary.createExperiment(name: "a", tags: [])
        try await fixture.backfill()
        try fixture.seal()
        try await fixture.primary.renameExperiment(sealed, to: "a-old")
        let next = try await fixture.primary.createExperiment(name: "a", tags: [])
        let run = try await Workload(store: fixture.primary).run(in: next, "r")
        fixture.endAfterRequests(2000)
        #expect(try await fixture.backfill().failures == [])
        #expect(try fixture.withState { try $0.secondaryID(.run, run.id.rawValue) } != nil)
        #expect(
            try await fixture.secondary.experiment(named: "a")?.tags.contains(Tag("mlmirror.primary.experiment_id", sealed.rawValue))
                == true)
    }

    /// Another rule for numbers is no reason to take anything away there.
    @Test func aVersionThatIsSealedKeepsItsNumber() async throws {
        let fixture = try MirrorFixture()
        let name = ModelName("net")
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<2 { _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id)) }
        try await fixture.primary.deleteVersion(1, of: name)
        try await fixture.backfill { $0.rules = ConflictRules([.versionNumber: .renumber]) }
        try fixture.seal()
        try await fixture.backfill()
        #expect(try await fixture.secondary.versions(of: name, nil).elements.map(\.number) == [1])
    }

    @Test func whatIsEditedThereStaysAndWhatIsNewComes() async throws {
        let fixture = try MirrorFixture()
        let edited = try await edited(fixture)
        try await fixture.backfill { $0.deep = true }
        try await expectTheirs(edited, fixture.secondary)
        let there = try #require(try await fixture.secondary.run(edited.there))
        #expect(there.tags.contains(Tag("new", "ours")) && there.params.contains(Param("q", "ours")))
        #expect(fixture.secondary.files(of: .run(edited.there))["b.txt"] == Array("ours".utf8))
        #expect(try fixture.withState { try $0.stragglers(limit: 9).map(\.key) } == [.run(edited.run)])
        // Once more: nothing.
        fixture.secondary.forgetWrites()
        try await fixture.backfill { $0.deep = true }
        try await expectTheirs(edited, fixture.secondary)
    }

    /// Looked at as if nothing were known of it, and by a repair, which elsewhere makes the secondary equal whoever changed it.
    @Test func neitherResyncNorRepairWritesOverIt() async throws {
        let fixture = try MirrorFixture()
        let edited = try await edited(fixture)
        try fixture.withState { state in
            try state.forgetBase(.run(edited.run))
            try state.forgetBase(EntityKey(.runArtifacts, edited.run.rawValue))
            try state.append([Change(.run(edited.run)), Change(EntityKey(.runArtifacts, edited.run.rawValue))], at: 0)
        }
        try await fixture.backfill()
        try await expectTheirs(edited, fixture.secondary, isKnown: false)
        try await fixture.verify(repairing: true)
        try await expectTheirs(edited, fixture.secondary, isKnown: false)
    }

    @Test func whatIsDeletedOnThePrimaryStays() async throws {
        let fixture = try MirrorFixture()
        let primary = fixture.primary
        try await Workload(store: primary).everything()
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "a", start: 9000)
        let purged = try await Workload(store: primary).run(in: ExperimentID("0"), "b", start: 9100)
        try await fixture.backfill()
        try fixture.seal()
        try await primary.deleteRun(run.id)
        primary.collect(purged.id)
        let sweep = try #require(try await primary.experiment(named: "/Shared/sweep"))
        try await primary.deleteExperiment(sweep.id)
        try await primary.deleteAlias("champion", ofRegisteredModel: ModelName("net"))
        _ = try fixture.withState { state in try state.append([Change(.run(purged.id))], at: 0) }
        try await fixture.backfill { $0.deep = true }
        for id in [run.id, purged.id] { #expect(try await fixture.secondary.run(try copy(fixture, id))?.lifecycle == .active) }
        #expect(try await fixture.secondary.experiment(named: "/Shared/sweep")?.lifecycle == .active)
        #expect(try await fixture.secondary.registeredModel(ModelName("net"))?.aliases["champion"] == 3)
    }

    /// Also what we deleted ourselves before, and somebody brings back on the primary.
    @Test func whatIsRestoredOnThePrimaryIsNotBroughtBack() async throws {
        let fixture = try MirrorFixture()
        let (primary, secondary) = (fixture.primary, fixture.secondary)
        let workload = Workload(store: primary)
        let run = try await workload.run(in: ExperimentID("0"), "a")
        let closed = try await primary.createExperiment(name: "closed", tags: [])
        try await workload.run(in: closed, "b")
        try await fixture.backfill()
        try await primary.deleteRun(run.id)
        try await primary.deleteExperiment(closed)
        try await fixture.backfill()
        let there = try copy(fixture, run.id)
        #expect(try await secondary.run(there)?.lifecycle == .deleted)
        try fixture.seal()
        try await primary.restoreRun(run.id)
        try await primary.restoreExperiment(closed)
        try await fixture.backfill { $0.deep = true }
        #expect(try await secondary.run(there)?.lifecycle == .deleted)
        #expect(try await secondary.experiment(named: "closed")?.lifecycle == .deleted)
    }

    /// Nobody has touched it there, and still it is theirs; what is new comes.
    @Test func aRegisteredModelIsNoLongerFollowed() async throws {
        let fixture = try MirrorFixture()
        let (primary, secondary, net) = (fixture.primary, fixture.secondary, ModelName("net"))
        try await Workload(store: primary).everything()
        try await fixture.backfill()
        try fixture.seal()
        try await primary.setAlias("champion", to: 1, ofRegisteredModel: net)
        try await primary.setAlias("new", to: 1, ofRegisteredModel: net)
        try await primary.setDescription("ours", ofRegisteredModel: net)
        try await primary.setStage("Archived", ofVersion: 1, of: net)
        try await fixture.backfill { $0.deep = true }
        let model = try #require(try await secondary.registeredModel(net))
        #expect(model.aliases == ["champion": 3, "new": 1] && model.description == "our net")
        #expect(try await secondary.version(of: net, 1)?.stage == "Production")
        // A verification takes that as it is.
        #expect(try await fixture.verify().differences == [])
    }

    @Test func onlyThoseExperimentsAreSealed() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let risk = try await fixture.primary.createExperiment(name: "risk/a", tags: [])
        let sealed = try await workload.run(in: risk, "sealed", files: ["a.txt": "abc"], tags: [Tag("k", "v")])
        let free = try await workload.run(in: ExperimentID("0"), "free", files: ["a.txt": "abc"], tags: [Tag("k", "v")])
        try await fixture.backfill()
        try fixture.withState { state in
            try state.seal(NameScope(experiments: ["risk/**"]))
        }
        for run in [sealed, free] {
            let there = try #require(try await fixture.secondary.run(try copy(fixture, run.id)))
            try await fixture.secondary.logBatch(RunBatch(tags: [Tag("k", "theirs")]), toRun: there.id)
            try await Workload(store: fixture.secondary).file("a.txt", "theirs", of: ArtifactOwner(.run(there.id), root: there.artifactURI))
            try await fixture.primary.logBatch(RunBatch(tags: [Tag("k", "ours")]), toRun: run.id)
            try await workload.file("a.txt", "ours!", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        }
        try await fixture.backfill { $0.deep = true }
        for (run, text) in [(sealed, "theirs"), (free, "ours!")] {
            let there = try copy(fixture, run.id)
            #expect(try await fixture.secondary.run(there)?.tags.contains(Tag("k", text == "theirs" ? "theirs" : "ours")) == true)
            #expect(fixture.secondary.files(of: .run(there))["a.txt"] == Array(text.utf8))
        }
    }

    @Test func theRegistryIsTheSecondarys() async throws {
        let fixture = try MirrorFixture()
        let (primary, secondary, net) = (fixture.primary, fixture.secondary, ModelName("net"))
        try await Workload(store: primary).everything()
        try await fixture.backfill()
        try fixture.seal()
        try await secondary.setAlias("champion", to: 1, ofRegisteredModel: net)
        try await secondary.setDescription("theirs", ofRegisteredModel: net)
        try await secondary.setStage("Archived", ofVersion: 1, of: net)
        try await primary.setAlias("champion", to: 4, ofRegisteredModel: net)
        try await primary.setDescription("ours", ofRegisteredModel: net)
        try await primary.setStage("Staging", ofVersion: 1, of: net)
        try await fixture.backfill { $0.deep = true }
        let model = try #require(try await secondary.registeredModel(net))
        #expect(model.aliases["champion"] == 1 && model.description == "theirs")
        #expect(try await secondary.version(of: net, 1)?.stage == "Archived")
    }

    // MARK: A lost state file

    /// The mode is on the secondary too: as a tag of what it leads.
    @Test(arguments: [NameScope.everything, NameScope(experiments: ["/Shared/**"], models: ["net"])])
    func aLostStateFileTakesNoSealOff(_ scope: NameScope) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        try await Workload(store: primary).everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            try daemon.state.changeModes { $0.ask(ModeSwitch(scope, askedAt: 7)) }
            try await daemon.until("sealed") { try daemon.state.modes.switches.first?.step == .sealed }
        }
        func marks() -> [String] {
            let snapshot = secondary.snapshot
            return (snapshot.experiments.map { ($0.name, $0.tags) } + snapshot.models.map { ($0.name.rawValue, $0.tags) })
                .filter { $0.1[Stamp.sealKey] == scope.mark }.map(\.0).sorted()
        }
        #expect(marks().contains("/Shared/sweep") && marks().contains("net"))
        #expect(marks().contains("Default") == (scope == .everything))
        // Renamed on the primary, it stays the secondary's.
        try await primary.renameExperiment(ExperimentID("1"), to: "/elsewhere")
        let there = try #require(secondary.snapshot.runs.first { $0.run.name == "odd" }?.run)
        let here = try #require(primary.snapshot.runs.first { $0.run.name == "odd" }?.run)
        try await secondary.logBatch(RunBatch(tags: [Tag("k", "theirs")]), toRun: there.id)
        try await primary.logBatch(RunBatch(tags: [Tag("k", "ours"), Tag("late", "1")]), toRun: here.id)
        for state in ["state.db", "new.db"] {
            #expect(try await fixture.pair.backfill(state: state).failures == [])
            let now = try #require(try await secondary.run(there.id))
            #expect(now.tags["k"] == "theirs" && now.tags["late"] == "1", "\(state)")
            #expect(secondary.snapshot.experiments.contains { $0.name == "/Shared/sweep" }, "\(state)")
        }
        let restored = try ReplicationState.open(path: fixture.pair.folder.file("new.db"))
        #expect(try restored.modes.switches.map(\.scope) == [scope])
        #expect(try restored.modes.switches.map(\.step) == [.sealed])
        // And back to dual: the marks go.
        _ = try restored.changeModes(comparesAnew: "dual") { $0.end(.everything) }
        try restored.close()
        #expect(try await fixture.pair.backfill(state: "new.db").failures == [])
        #expect(marks() == [])
        #expect(try await secondary.run(there.id)?.tags["k"] == "ours")
        #expect(try await fixture.pair.verify(state: "new.db").differences == [])
    }

    /// Whoever sees `dual` and asks anew does not open what is sealed; and what lies in the bin seals nothing.
    @Test(arguments: [Lifecycle.active, .deleted]) func marksAreBelievedWhereTheyCanBeTakenOff(_ lifecycle: Lifecycle) async throws {
        let fixture = try MirrorFixture()
        let id = try await fixture.primary.createExperiment(name: "e", tags: [])
        try await fixture.backfill()
        let there = try #require(fixture.secondary.snapshot.experiments.first { $0.name == "e" })
        try await fixture.secondary.setTag(Tag(Stamp.sealKey, NameScope.everything.mark), ofExperiment: there.id)
        if lifecycle == .deleted {
            try await fixture.primary.deleteExperiment(id)
            try await fixture.secondary.deleteExperiment(there.id)
        }
        try await fixture.backfill(state: "new.db") { _ in
        } prepare: { state in
            try state.changeModes { $0.ask(ModeSwitch(.everything, askedAt: 7)) }
        }
        let state = try ReplicationState.open(path: fixture.folder.file("new.db"))
        #expect(try state.modes.switches.map(\.step) == [lifecycle == .active ? .sealed : .fence])
        try state.close()
    }
}
