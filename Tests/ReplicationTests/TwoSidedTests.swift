import TestSupport
import Testing

@testable import Replication

/// People work on the secondary while the primary goes on, and what they did there is neither lost nor taken for ours.
@Suite struct TwoSidedTests {
    private let fixture: MirrorFixture
    private let primary: FakeStore
    private let secondary: FakeStore
    private let workload: Workload

    init() throws {
        fixture = try MirrorFixture()
        (primary, secondary) = (fixture.primary, fixture.secondary)
        workload = Workload(store: primary)
    }

    private func conflicts() throws -> [Conflict] { try fixture.conflicts().map(\.conflict) }

    private func copy(_ run: Run) async throws -> Run {
        try #require(try await secondary.run(RunID(try fixture.there(.run, run.id.rawValue))))
    }

    private func end(_ scope: NameScope) throws { _ = try fixture.withState { try $0.changeModes(comparesAnew: "dual") { $0.end(scope) } } }

    // MARK: What was there before

    /// Killed after any of its writes: whose it was is known all the same.
    @Test(arguments: 0..<7) func anInterruptedAdoptionStaysOne(_ written: Int) async throws {
        let theirs = try await secondary.createExperiment(name: "e", tags: [Tag("a", "theirs")])
        try await secondary.createRegisteredModel(ModelName("net"), description: "theirs", tags: [Tag("a", "theirs")])
        let id = try await primary.createExperiment(name: "e", tags: [Tag("b", "ours")])
        try await primary.createRegisteredModel(ModelName("net"), description: "ours", tags: [Tag("b", "ours")])
        let counts = Locked<[String: Int]>([:])
        secondary.setFault { operation in
            guard operation.name == "setExperimentTag" || operation.name == "setModelTag" else { return nil }
            let isTooMany = counts.withLock { counts in
                counts[operation.name, default: 0] += 1
                return counts[operation.name, default: 0] > written
            }
            return isTooMany ? .before(StoreError(.setAside, .invalid, "killed")) : nil
        }
        try await fixture.backfill()
        secondary.setFault(nil)
        try await fixture.backfill()
        try await fixture.backfill()
        for tags in [try await secondary.experiment(theirs)?.tags, try await secondary.registeredModel(ModelName("net"))?.tags] {
            #expect(tags?["a"] == "theirs" && tags?["b"] == "ours" && tags?[Stamp.adoptedKey] == "true")
        }
        #expect(try await secondary.registeredModel(ModelName("net"))?.description == "theirs")
        let adoptions = fixture.told.withLock { $0.filter { $0.contains("was there already") } }
        #expect(adoptions.count >= 2)
        // Theirs stays when the primary's goes, also where somebody has taken the mark off.
        try await secondary.deleteTag(Stamp.adoptedKey, ofExperiment: theirs)
        try await primary.deleteExperiment(id)
        try await fixture.backfill()
        #expect(try await secondary.experiment(theirs)?.lifecycle == .active)
        #expect(try await secondary.experiment(theirs)?.tags[Stamp.adoptedKey] == "true")
    }

    /// What we have written into it is followed, and compared, as in our own.
    @Test func anAdoptedModelIsFollowedInWhatIsOurs() async throws {
        let name = ModelName("net")
        try await secondary.createRegisteredModel(name, description: "", tags: [Tag("own", "theirs"), Tag("both", "theirs")])
        try await primary.createRegisteredModel(name, description: "A", tags: [Tag("both", "ours"), Tag("new", "1")])
        try await fixture.backfill()
        #expect(try await secondary.registeredModel(name)?.description == "A")
        #expect(try await fixture.verify().differences == [])
        try await primary.setDescription("B", ofRegisteredModel: name)
        try await fixture.backfill()
        #expect(try await secondary.registeredModel(name)?.description == "B")
        #expect(try await secondary.registeredModel(name)?.tags["both"] == "theirs")
        #expect(try await fixture.verify().differences == [])
        try await secondary.setTag(Tag("new", "2"), ofRegisteredModel: name)
        try await secondary.setDescription("theirs", ofRegisteredModel: name)
        #expect(try await fixture.verify().differences.map(\.field).sorted() == ["description", "tag:new"])
        try await fixture.verify(repairing: true)
        #expect(try await fixture.verify().differences == [])
        #expect(try await secondary.registeredModel(name)?.tags["own"] == "theirs")
    }

    @Test func anAdoptedDescriptionIsTheirsAndSaidToBe() async throws {
        let name = ModelName("net")
        try await secondary.createRegisteredModel(name, description: "theirs", tags: [])
        try await primary.createRegisteredModel(name, description: "A", tags: [])
        for text in ["A", "B"] {
            try await primary.setDescription(text, ofRegisteredModel: name)
            try await fixture.backfill()
            #expect(try await secondary.registeredModel(name)?.description == "theirs")
        }
        #expect(try conflicts().map(\.field) == ["description"])
        let (summary, differences) = try await fixture.verify()
        #expect(differences == [] && !summary.accepted.isEmpty)
        // Until somebody decides otherwise.
        try await fixture.backfill { _ in
        } prepare: {
            try $0.resolve(try $0.conflicts().map(\.conflict), .primary, at: 1)
        }
        #expect(try await secondary.registeredModel(name)?.description == "B")
    }

    // MARK: Versions that people have copied

    private func version(of name: ModelName, _ run: Run) async throws {
        _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id, tags: [Tag("a", "1")]))
    }

    /// As `copy_model_version` does: with all its tags.
    private func promote(_ number: Int, of model: ModelName, to other: ModelName) async throws -> Int {
        let version = try #require(try await secondary.version(of: model, number))
        return try await secondary.createVersion(
            NewVersion(model: other, source: "models:/\(model)/\(number)", run: version.run, tags: version.tags))
    }

    @Test func aVersionThatPeopleHavePromotedIsTheirs() async throws {
        let (dev, prod) = (ModelName("dev"), ModelName("prod"))
        let run = try await workload.run(in: ExperimentID("0"), "r")
        for name in [dev, prod] { try await primary.createRegisteredModel(name, description: "", tags: []) }
        for _ in 0..<2 { try await version(of: dev, run) }
        try await fixture.backfill()
        #expect(try await promote(2, of: dev, to: prod) == 1)
        try await primary.setDescription("new", ofRegisteredModel: prod)
        try await fixture.backfill()
        #expect(try await secondary.version(of: prod, 1)?.source == "models:/dev/2")
        #expect(try await fixture.verify().differences == [])
        // The primary's own of that number is another one.
        for _ in 0..<2 { try await version(of: prod, run) }
        try await fixture.backfill()
        #expect(try await secondary.version(of: prod, 1)?.source == "models:/dev/2")
        #expect(try fixture.letters() == [])
    }

    @Test func aCopyWithinTheModelOutlivesItsOrigin() async throws {
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        try await version(of: name, run)
        try await fixture.backfill()
        let number = try await promote(1, of: name, to: name)
        try await primary.deleteVersion(1, of: name)
        try await fixture.backfill()
        #expect(try await secondary.version(of: name, 1) == nil)
        #expect(try await secondary.version(of: name, number) != nil)
    }

    /// Our own mark does not make a tag that people have added to a sealed model the primary's.
    @Test func whatPeopleAddToASealedModelIsNoConflict() async throws {
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        try await version(of: name, run)
        try await fixture.backfill()
        try fixture.seal()
        try await secondary.setTag(Tag("theirs", "1"), ofRegisteredModel: name)
        try await secondary.setTag(Tag("theirs", "1"), ofVersion: 1, of: name)
        try await secondary.setAlias("theirs", to: 1, ofRegisteredModel: name)
        try await primary.setTag(Tag("late", "1"), ofRegisteredModel: name)
        try await fixture.backfill()
        #expect(try conflicts() == [])
    }

    @Test func anAliasThatWasMovedAndIsDeletedIsToldOf() async throws {
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<2 { try await version(of: name, run) }
        try await primary.setAlias("best", to: 1, ofRegisteredModel: name)
        try await fixture.backfill()
        try await secondary.setAlias("best", to: 2, ofRegisteredModel: name)
        try await primary.deleteAlias("best", ofRegisteredModel: name)
        let summary = try await fixture.backfill()
        #expect(try await secondary.registeredModel(name)?.aliases == [:])
        #expect(summary.counts.conflicts == 1)
    }

    // MARK: Runs

    @Test(arguments: [ConflictDecision.secondary, .park]) func whoEndsARunThereSaysWhenToo(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.runStatus: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r", end: false)
        try await fixture.backfill { $0.rules = rules }
        try await secondary.updateRun(try await copy(run).id, status: .killed, endTime: 7, name: nil)
        try await primary.updateRun(run.id, status: .finished, endTime: 9000, name: nil)
        try await fixture.backfill { $0.rules = rules }
        let there = try await copy(run)
        #expect(there.status == .killed && there.endTime == 7)
        #expect(try Set(conflicts().map(\.field)) == ["status", "end_time"])
    }

    @Test func aRunThatPeopleHaveDeletedStaysSoWhenThePrimarysReturns() async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await fixture.backfill()
        let there = try await copy(run).id
        try await secondary.deleteRun(there)
        for isDeleted in [true, false, true, false] {
            if isDeleted { try await primary.deleteRun(run.id) } else { try await primary.restoreRun(run.id) }
            try await fixture.backfill()
            #expect(try await copy(run).lifecycle == .deleted)
        }
        #expect(try conflicts().map(\.kind) == [.deletedOnSecondary])
        // Back by their own hand, it is followed again.
        try await secondary.restoreRun(there)
        try await primary.deleteRun(run.id)
        try await fixture.backfill()
        try await primary.restoreRun(run.id)
        try await fixture.backfill()
        #expect(try await copy(run).lifecycle == .active)
    }

    /// What we deleted ourselves comes back, as ever.
    @Test func aRunThatWeHaveDeletedComesBack() async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await fixture.backfill()
        for isDeleted in [true, false] {
            if isDeleted { try await primary.deleteRun(run.id) } else { try await primary.restoreRun(run.id) }
            try await fixture.backfill()
            #expect(try await copy(run).lifecycle == (isDeleted ? .deleted : .active))
        }
    }

    // MARK: Experiments

    @Test func whatChangedWhileACopyWasAwayComesWhenItIsBack() async throws {
        let id = try await primary.createExperiment(name: "A", tags: [Tag("x", "1"), Tag("y", "1")])
        try await fixture.backfill()
        let there = ExperimentID(try fixture.there(.experiment, id.rawValue))
        try await secondary.deleteExperiment(there)
        try await primary.deleteTag("x", ofExperiment: id)
        try await primary.renameExperiment(id, to: "B")
        for value in ["2", "3"] {
            try await primary.setTag(Tag("y", value), ofExperiment: id)
            try await fixture.backfill { $0.rules = ConflictRules([.experimentName: .secondary, .tag: .secondary]) }
        }
        try await secondary.restoreExperiment(there)
        try await primary.setTag(Tag("y", "4"), ofExperiment: id)
        try await fixture.backfill { $0.rules = ConflictRules([.experimentName: .secondary, .tag: .secondary]) }
        let found = try #require(try await secondary.experiment(there))
        #expect(found.name == "B" && found.tags["x"] == nil && found.tags["y"] == "4")
        #expect(try conflicts() == [])
    }

    @Test func aRenameOnBothSidesIsToldOf() async throws {
        let id = try await primary.createExperiment(name: "A", tags: [])
        try await fixture.backfill()
        try await secondary.renameExperiment(ExperimentID(try fixture.there(.experiment, id.rawValue)), to: "C")
        try await primary.renameExperiment(id, to: "B")
        let summary = try await fixture.backfill()
        #expect(try await secondary.experiment(named: "B")?.id.rawValue == fixture.there(.experiment, id.rawValue))
        #expect(summary.counts.conflicts == 1)
    }

    /// Ours go one by one, and come back; theirs stay.
    @Test func runsOfPeopleOutliveTheExperimentThatTheyAreIn() async throws {
        let id = try await primary.createExperiment(name: "e", tags: [])
        let run = try await workload.run(in: id, "ours")
        try await fixture.backfill()
        let there = ExperimentID(try fixture.there(.experiment, id.rawValue))
        let theirs = try await Workload(store: secondary).run(in: there, "theirs")
        try await primary.deleteExperiment(id)
        try await fixture.backfill()
        #expect(try await secondary.experiment(there)?.lifecycle == .active)
        #expect(try await secondary.run(theirs.id)?.lifecycle == .active)
        #expect(try await copy(run).lifecycle == .deleted)
        #expect(fixture.told.withLock { $0.contains { $0.contains("runs of their own") } })
        #expect(try await fixture.verify().differences == [])
        try await primary.restoreExperiment(id)
        try await fixture.backfill()
        #expect(try await copy(run).lifecycle == .active)
        #expect(try await fixture.verify().differences == [])
    }

    // MARK: Retired

    private func retire(_ run: Run) async throws {
        try await primary.logBatch(RunBatch(tags: [Tag(Stamp.retiredKey, "default")]), toRun: run.id)
        try fixture.withState { try $0.note(retired: .run(run.id), at: 1) }
        try await primary.deleteRun(run.id)
    }

    /// Restored on the primary after its time, it is a run as any other.
    @Test(arguments: [false, true]) func aRetiredRunThatReturnsIsFollowed(_ underTheSeal: Bool) async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await fixture.backfill()
        try fixture.seal()
        try await retire(run)
        try await fixture.backfill()
        #expect(try await copy(run).lifecycle == .active)
        if underTheSeal {
            try await primary.restoreRun(run.id)
            try await fixture.backfill()
        }
        try end(.everything)
        if !underTheSeal { try await primary.restoreRun(run.id) }
        try await fixture.backfill()
        try await primary.deleteRun(run.id)
        try await fixture.backfill()
        #expect(try await copy(run).lifecycle == .deleted)
        #expect(try await fixture.verify().differences == [])
        // And again, it is retired again.
        try await primary.restoreRun(run.id)
        try await fixture.backfill()
        try fixture.seal()
        try await retire(run)
        try end(.everything)
        try await fixture.backfill()
        #expect(try await copy(run).lifecycle == .active)
    }

    @Test func whatWeHaveRetiredIsNoStraggler() async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await fixture.backfill()
        try fixture.seal()
        try await retire(run)
        for _ in 0..<2 { try await fixture.backfill { $0.stragglers = .report } }
        #expect(try fixture.withState { try $0.stragglers(limit: 5).count } == 0)
    }
}
