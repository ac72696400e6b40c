import TestSupport
import Testing

@testable import Replication

/// Conflicts on a real pair of stores in memory, under every rule.
@Suite struct RuleApplyTests {
    private let fixture: MirrorFixture
    private let primary: FakeStore
    private let secondary: FakeStore
    private let workload: Workload

    init() throws {
        fixture = try MirrorFixture()
        (primary, secondary) = (fixture.primary, fixture.secondary)
        workload = Workload(store: primary)
    }

    static let texts: [ConflictDecision] = [.primary, .secondary, .park]

    /// Nothing is written by one more look, not even a whole one.
    private func expectQuiet(_ rules: ConflictRules, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        secondary.forgetWrites()
        let summary = try await fixture.backfill { $0.rules = rules }
        #expect(secondary.writes.map(\.description) == [], sourceLocation: sourceLocation)
        #expect(summary.counts.conflicts == 0, "what stands is told of once", sourceLocation: sourceLocation)
    }

    /// As a comparison sees it: nothing, what is accepted, or a difference.
    private func expectVerdict(
        _ decision: ConflictDecision, _ rules: ConflictRules, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let (summary, differences) = try await fixture.verify { $0.rules = rules }
        switch decision {
        case .park: #expect(!differences.isEmpty && summary.accepted.isEmpty, sourceLocation: sourceLocation)
        case .secondary, .keep: #expect(differences == [] && !summary.accepted.isEmpty, sourceLocation: sourceLocation)
        default: #expect(differences == [] && summary.accepted.isEmpty, sourceLocation: sourceLocation)
        }
    }

    // MARK: Fields

    @Test(arguments: texts) func fieldsOfRuns(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.tag: decision, .runName: decision, .description: decision, .runStatus: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r", tags: [Tag("a", "1"), Tag("mlflow.note.content", "text")])
        try await fixture.backfill { $0.rules = rules }
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        try await secondary.logBatch(RunBatch(tags: [Tag("a", "theirs"), Tag("mlflow.note.content", "theirs")]), toRun: copy)
        try await secondary.updateRun(copy, status: .failed, endTime: 7, name: "theirs")
        for value in ["2", "3"] {
            try await primary.logBatch(RunBatch(tags: [Tag("a", value), Tag("b", value)]), toRun: run.id)
            try await fixture.backfill { $0.rules = rules }
            let now = try #require(try await secondary.run(copy))
            let isOurs = decision == .primary
            #expect(now.tags["a"] == (isOurs ? value : "theirs"))
            #expect(now.tags["b"] == value, "what nobody edited is followed")
            #expect(now.tags["mlflow.note.content"] == (isOurs ? "text" : "theirs"))
            #expect(now.name == (isOurs ? "r" : "theirs"))
            #expect(now.status == (isOurs ? .finished : .failed) && now.endTime == (isOurs ? 1100 : 7))
        }
        let noted = try fixture.conflicts().map(\.conflict)
        if decision == .primary {
            #expect(noted == [], "what no longer holds is gone")
        } else {
            #expect(Set(noted.map(\.kind)) == [.tag, .description, .runName, .runStatus])
            #expect(noted.allSatisfy { $0.decision == decision })
        }
        try await expectQuiet(rules)
        try await expectVerdict(decision, rules)
    }

    @Test(arguments: texts) func fieldsOfExperiments(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.tag: decision, .experimentName: decision])
        let id = try await primary.createExperiment(name: "e", tags: [Tag("a", "1")])
        try await fixture.backfill { $0.rules = rules }
        let copy = ExperimentID(try fixture.there(.experiment, id.rawValue))
        try await secondary.setTag(Tag("a", "theirs"), ofExperiment: copy)
        try await secondary.renameExperiment(copy, to: "theirs")
        try await primary.setTag(Tag("b", "1"), ofExperiment: id)
        try await fixture.backfill { $0.rules = rules }
        let now = try #require(try await secondary.experiment(copy))
        #expect(now.tags["a"] == (decision == .primary ? "1" : "theirs"))
        #expect(now.name == (decision == .primary ? "e" : "theirs"))
        #expect(now.tags["b"] == "1")
        try await expectQuiet(rules)
        try await expectVerdict(decision, rules)
    }

    @Test(arguments: texts) func fieldsOfModels(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.tag: decision, .description: decision, .alias: decision, .stage: decision])
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "d", tags: [Tag("a", "1")])
        for _ in 0..<2 {
            _ = try await primary.createVersion(
                NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id, description: "v", tags: [Tag("a", "1")]))
        }
        try await primary.setAlias("best", to: 1, ofRegisteredModel: name)
        try await primary.setAlias("gone", to: 1, ofRegisteredModel: name)
        try await fixture.backfill { $0.rules = rules }
        #expect(try await secondary.version(of: name, 1)?.stage == "None")
        try await secondary.setDescription("theirs", ofRegisteredModel: name)
        try await secondary.setTag(Tag("a", "theirs"), ofRegisteredModel: name)
        try await secondary.setTag(Tag("a", "theirs"), ofVersion: 1, of: name)
        try await secondary.setDescription("theirs", ofVersion: 1, of: name)
        try await secondary.setStage("Archived", ofVersion: 1, of: name)
        for alias in ["best", "gone"] { try await secondary.setAlias(alias, to: 2, ofRegisteredModel: name) }
        try await primary.setTag(Tag("b", "1"), ofRegisteredModel: name)
        try await primary.deleteAlias("gone", ofRegisteredModel: name)
        try await fixture.backfill { $0.rules = rules }
        let (model, version) = (try await secondary.registeredModel(name), try await secondary.version(of: name, 1))
        let isOurs = decision == .primary
        #expect(model?.description == (isOurs ? "d" : "theirs") && model?.tags["a"] == (isOurs ? "1" : "theirs"))
        #expect(model?.tags["b"] == "1")
        #expect(version?.description == (isOurs ? "v" : "theirs") && version?.tags["a"] == (isOurs ? "1" : "theirs"))
        #expect(version?.stage == (isOurs ? "None" : "Archived"))
        #expect(model?.aliases == (isOurs ? ["best": 1] : ["best": 2, "gone": 2]))
        try await expectQuiet(rules)
        try await expectVerdict(decision, rules)
    }

    @Test(arguments: [ConflictDecision.park, .secondary]) func otherParams(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.param: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await fixture.backfill { $0.rules = rules }
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        try await secondary.logBatch(RunBatch(params: [Param("new", "theirs")]), toRun: copy)
        try await primary.logBatch(RunBatch(params: [Param("new", "ours")]), toRun: run.id)
        try await fixture.backfill { $0.rules = rules }
        #expect(try await secondary.run(copy)?.params.first { $0.key == "new" }?.value == "theirs")
        #expect(try fixture.conflicts().map(\.conflict.decision) == [decision])
        try await expectQuiet(rules)
        try await expectVerdict(decision, rules)
    }

    @Test(arguments: texts) func files(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.artifact: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r", files: ["a.txt": "1", "b.txt": "1"])
        try await fixture.backfill { $0.rules = rules }
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        secondary.replace("a.txt", of: .run(copy), with: Array("theirs".utf8))
        for text in ["22", "333"] {
            for path in ["a.txt", "b.txt"] { try await workload.file(path, text, of: ArtifactOwner(.run(run.id), root: run.artifactURI)) }
            try await primary.logBatch(RunBatch(tags: [Tag("t", text)]), toRun: run.id)
            try await fixture.backfill { $0.rules = rules }
            let now = secondary.files(of: .run(copy))
            #expect(now["a.txt"] == Array((decision == .primary ? text : "theirs").utf8))
            #expect(now["b.txt"] == Array(text.utf8))
        }
        try await expectQuiet(rules)
        try await expectVerdict(decision, rules)
    }

    /// What was written before, and not this time because its version is set aside, is ours all the same.
    @Test func anAliasOfAVersionThatIsSetAsideStaysOurs() async throws {
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id))
        try await primary.setAlias("champion", to: 1, ofRegisteredModel: name)
        try await fixture.backfill()
        #expect(try await secondary.registeredModel(name)?.aliases == ["champion": 1])
        try await primary.setDescription("new", ofVersion: 1, of: name)
        secondary.setFault { $0.name == "setVersionDescription" ? .before(StoreError(.setAside, .invalid, "no")) : nil }
        try await fixture.backfill()
        #expect(try fixture.letters() == ["registered_model net version 1"])
        secondary.setFault(nil)
        try await primary.deleteAlias("champion", ofRegisteredModel: name)
        try await fixture.backfill()
        #expect(try await secondary.registeredModel(name)?.aliases == [:])
        #expect(try await fixture.verify().differences == [])
    }

    // MARK: Deletions

    /// Also where only its files are looked at.
    @Test func nothingIsPutIntoACopyWhoseDeletionIsRespected() async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r", files: ["a.txt": "1"])
        try await fixture.backfill()
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        try await secondary.deleteRun(copy)
        try await primary.logBatch(RunBatch(tags: [Tag("a", "1")]), toRun: run.id)
        try await fixture.backfill()
        primary.replace("late.txt", of: .run(run.id), with: [1])
        secondary.forgetWrites()
        try await fixture.backfill { _ in
        } prepare: {
            try $0.append([Change(EntityKey(.runArtifacts, run.id.rawValue))], at: 0)
        }
        #expect(secondary.writes.map(\.description) == [])
        // When it is back, so is what came meanwhile.
        try await secondary.restoreRun(copy)
        try await primary.logBatch(RunBatch(tags: [Tag("a", "2")]), toRun: run.id)
        try await fixture.backfill()
        #expect(secondary.files(of: .run(copy))["late.txt"] == [1])
    }

    @Test(arguments: [ConflictDecision.respect, .restore]) func deletedOnTheSecondary(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.deletedOnSecondary: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r")
        let id = try await primary.createExperiment(name: "e", tags: [])
        let inner = try await workload.run(in: id, "inner", start: 5)
        try await fixture.backfill { $0.rules = rules }
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        let experiment = ExperimentID(try fixture.there(.experiment, id.rawValue))
        try await secondary.deleteRun(copy)
        try await secondary.deleteExperiment(experiment)
        for run in [run, inner] { try await primary.logBatch(RunBatch(tags: [Tag("a", "1")]), toRun: run.id) }
        try await fixture.backfill { $0.rules = rules }
        let wanted: Lifecycle = decision == .restore ? .active : .deleted
        #expect(try await secondary.run(copy)?.lifecycle == wanted)
        #expect(try await secondary.run(copy)?.tags["a"] == (decision == .restore ? "1" : nil))
        #expect(try await secondary.experiment(experiment)?.lifecycle == wanted)
        let innerCopy = try await secondary.run(RunID(try fixture.there(.run, inner.id.rawValue)))
        #expect(innerCopy?.lifecycle == wanted && innerCopy?.tags["a"] == (decision == .restore ? "1" : nil))
        let (summary, differences) = try await fixture.verify { $0.rules = rules }
        #expect(differences == [])
        #expect(summary.accepted.isEmpty == (decision == .restore))
        if decision == .restore { try await expectQuiet(rules) }
    }

    @Test(arguments: [ConflictDecision.replicate, .keep]) func deletedOnThePrimary(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.deletedOnPrimary: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r")
        let id = try await primary.createExperiment(name: "e", tags: [])
        let inner = try await workload.run(in: id, "inner", start: 5)
        let name = ModelName("net")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<2 { _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id)) }
        try await fixture.backfill { $0.rules = rules }
        try await primary.deleteRun(run.id)
        try await primary.deleteVersion(1, of: name)
        try await primary.setDescription("new", ofRegisteredModel: name)
        try await primary.deleteExperiment(id)
        // One that is deleted before it is copied comes as it is.
        let late = try await workload.run(in: ExperimentID("0"), "late", start: 9)
        try await primary.deleteRun(late.id)
        try await fixture.backfill { $0.rules = rules }
        let wanted: Lifecycle = decision == .keep ? .active : .deleted
        for run in [run, inner] {
            #expect(try await secondary.run(RunID(try fixture.there(.run, run.id.rawValue)))?.lifecycle == wanted)
        }
        #expect(try await secondary.run(RunID(try fixture.there(.run, late.id.rawValue)))?.lifecycle == .deleted)
        #expect(try await secondary.experiment(ExperimentID(try fixture.there(.experiment, id.rawValue)))?.lifecycle == wanted)
        #expect(try await (secondary.version(of: name, 1) == nil) == (decision == .replicate))
        try await expectQuiet(rules)
        try await expectVerdict(decision, rules)
        // Back on the primary, it is followed as before.
        try await primary.restoreExperiment(id)
        try await primary.restoreRun(run.id)
        try await primary.logBatch(RunBatch(tags: [Tag("back", "1")]), toRun: inner.id)
        try await fixture.backfill { $0.rules = rules }
        #expect(try await secondary.run(RunID(try fixture.there(.run, inner.id.rawValue)))?.tags["back"] == "1")
        #expect(try await secondary.run(RunID(try fixture.there(.run, run.id.rawValue)))?.lifecycle == .active)
    }

    /// Who says `keep` while a deletion is on its way means that one too.
    @Test func aDeletionThatWaitsIsKept() async throws {
        let id = try await primary.createExperiment(name: "e", tags: [])
        try await fixture.backfill()
        try await primary.deleteExperiment(id)
        try await fixture.backfill {
            $0.rules = ConflictRules([.deletedOnPrimary: .keep])
        } prepare: { state in
            try state.append([Change(EntityKey(.experimentDeletion, id.rawValue))], at: 0)
        }
        #expect(try await secondary.experiment(ExperimentID(try fixture.there(.experiment, id.rawValue)))?.lifecycle == .active)
    }

    @Test(arguments: [ConflictDecision.keep, .replicate]) func purgedOnThePrimary(_ decision: ConflictDecision) async throws {
        let live = LiveFixture(fixture)
        let run = try await workload.run(in: ExperimentID("0"), "r")
        let id = try await primary.createExperiment(name: "e", tags: [])
        let name = ModelName("net")
        try await primary.createRegisteredModel(name, description: "old", tags: [])
        let (primary, secondary) = (primary, secondary)
        let change: (inout LiveConfiguration) -> Void = { $0.mirror.rules = ConflictRules([.purgedOnPrimary: decision]) }
        try await live.live(change) { daemon in
            try await daemon.settled()
            let copy = RunID(try #require(try daemon.state.secondaryID(.run, run.id.rawValue)))
            let experiment = ExperimentID(try #require(try daemon.state.secondaryID(.experiment, id.rawValue)))
            try await primary.deleteRun(run.id)
            try await primary.deleteExperiment(id)
            primary.collect(run.id)
            primary.collect(id)
            try await primary.deleteRegisteredModel(name)
            live.feed.say([Change(.run(run.id)), Change(.experiment(id)), Change(.registeredModel(name))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
            let wanted: Lifecycle = decision == .keep ? .active : .deleted
            #expect(try await secondary.run(copy)?.lifecycle == wanted)
            #expect(try await secondary.experiment(experiment)?.lifecycle == wanted)
            #expect(try await (secondary.registeredModel(name) == nil) == (decision == .replicate))
            // Another one of that name is another one.
            try await primary.createRegisteredModel(name, description: "new", tags: [])
            live.feed.say([Change(.registeredModel(name))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "2" }
            try await daemon.settled()
            #expect(try await secondary.registeredModel(name)?.description == "new")
        }
    }

    // MARK: Names and numbers

    @Test(arguments: [ConflictDecision.adopt, .rename, .park]) func aNameThatIsTaken(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.nameTaken: decision])
        let theirs = try await secondary.createExperiment(name: "e", tags: [Tag("a", "theirs")])
        try await secondary.createRegisteredModel(ModelName("net"), description: "theirs", tags: [])
        let id = try await primary.createExperiment(name: "e", tags: [Tag("a", "ours")])
        let run = try await workload.run(in: id, "r")
        try await primary.createRegisteredModel(ModelName("net"), description: "ours", tags: [])
        let summary = try await fixture.backfill { $0.rules = rules }
        #expect(try await secondary.experiment(theirs)?.tags["a"] == "theirs")
        #expect(try await secondary.registeredModel(ModelName("net"))?.description == "theirs")
        switch decision {
        case .adopt: #expect(try fixture.there(.experiment, id.rawValue) == theirs.rawValue)
        case .rename:
            #expect(try await secondary.experiment(named: "default/e")?.id.rawValue == fixture.there(.experiment, id.rawValue))
            #expect(try await secondary.registeredModel(ModelName("default.net"))?.description == "ours")
        default:
            #expect(try await secondary.runs(RunQuery(experiments: [theirs]), nil).elements.isEmpty)
            #expect(summary.failures.count >= 3 && !summary.isComplete)
            #expect(try fixture.conflicts().map(\.conflict.decision) == [.park, .park])
            // Decided later: what waited for it follows.
            try await fixture.backfill {
                $0.rules = rules
            } prepare: { state in
                try state.resolve(try state.conflicts().map(\.conflict), .rename, at: 1)
            }
            #expect(try await secondary.experiment(named: "default/e")?.id.rawValue == fixture.there(.experiment, id.rawValue))
            #expect(try await secondary.run(RunID(try fixture.there(.run, run.id.rawValue)))?.name == "r")
            #expect(try await secondary.registeredModel(ModelName("default.net"))?.description == "ours")
        }
        try await expectQuiet(rules)
    }

    @Test(arguments: [ConflictDecision.rename, .park]) func aNameOfAnotherPair(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.nameOfAnotherPair: decision])
        let stamp = Stamp(pair: "other", store: StoreIdentity("elsewhere"))
        _ = try await secondary.createExperiment(name: "e", tags: stamp.tags(.experiment(ExperimentID("9"))))
        _ = try await primary.createExperiment(name: "e", tags: [])
        let summary = try await fixture.backfill { $0.rules = rules }
        #expect(try await (secondary.experiment(named: "default/e") != nil) == (decision == .rename))
        #expect(summary.isComplete == (decision == .rename))
        #expect(try fixture.conflicts().map(\.conflict.kind) == [.nameOfAnotherPair])
        try await expectQuiet(rules)
    }

    @Test(arguments: [ConflictDecision.fill, .renumber, .park]) func aGapInVersionNumbers(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.versionNumber: decision])
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<3 { _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id)) }
        try await primary.deleteVersion(2, of: name)
        try await fixture.backfill { $0.rules = rules }
        let numbers = try await secondary.versions(of: name, nil).elements.map(\.number).sorted()
        #expect(numbers == (decision == .fill ? [1, 3] : (decision == .renumber ? [1, 2] : [1])))
        #expect(try fixture.conflicts().map(\.conflict.decision) == (decision == .fill ? [] : [decision]))
        try await expectQuiet(rules)
        let (summary, differences) = try await fixture.verify { $0.rules = rules }
        #expect(differences.isEmpty == (decision != .park))
        #expect(summary.accepted == (decision == .renumber ? ["version_number": 1] : [:]))
    }

    /// However often it is looked at.
    @Test func aVersionThatWasDeletedThereStaysSo() async throws {
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<2 { _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id)) }
        try await fixture.backfill()
        try await secondary.deleteVersion(2, of: name)
        for look in 1...3 {
            try await primary.setTag(Tag("look", "\(look)"), ofRegisteredModel: name)
            let summary = try await fixture.backfill()
            #expect(summary.failures.contains { $0.contains("gone_from_secondary") }, "\(look): \(summary.failures)")
            #expect(try await secondary.versions(of: name, nil).elements.map(\.number) == [1])
        }
    }

    /// Each of them in turn, however many there are.
    @Test func allThatWereRenumberedAreGivenTheirNumbers() async throws {
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<32 { _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id)) }
        for number in 1...16 { try await primary.deleteVersion(number, of: name) }
        try await fixture.backfill { $0.rules = ConflictRules([.versionNumber: .renumber]) }
        #expect(try await secondary.versions(of: name, nil).elements.map(\.number).sorted() == Array(1...16))
        #expect(try await fixture.backfill { $0.rules = ConflictRules([.versionNumber: .fill]) }.failures == [])
        #expect(try await secondary.versions(of: name, nil).elements.map(\.number).sorted() == Array(17...32))
    }

    /// A number that was any at first is its own afterwards, as long as that one is to be had.
    @Test(arguments: [0, 1]) func aRenumberedVersionIsGivenItsNumberWhenTheRulesSaySo(_ later: Int) async throws {
        let name = ModelName("net")
        let run = try await workload.run(in: ExperimentID("0"), "r")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<3 + later {
            _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id))
        }
        try await primary.deleteVersion(2, of: name)
        try await primary.setAlias("best", to: 3, ofRegisteredModel: name)
        func numbers() async throws -> [Int] { try await secondary.versions(of: name, nil).elements.map(\.number).sorted() }
        try await fixture.backfill { $0.rules = ConflictRules([.versionNumber: .renumber]) }
        #expect(try await numbers() == Array(1...2 + later))
        // Its number is used by another one of ours when there are more.
        #expect(try await fixture.backfill { $0.rules = ConflictRules([.versionNumber: .fill]) }.failures == [])
        #expect(try await numbers() == (later == 0 ? [1, 3] : [1, 2, 4]))
        #expect(try await secondary.registeredModel(name)?.aliases == ["best": later == 0 ? 3 : 2])
        try await expectQuiet(ConflictRules([.versionNumber: .fill]))
    }

    /// Two names that cross, and one of them stays as somebody has made it.
    @Test(arguments: [ConflictDecision.secondary, .park]) func aNameThatIsLeftHoldsUpNobody(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.experimentName: decision])
        let first = try await primary.createExperiment(name: "a", tags: [])
        try await fixture.backfill { $0.rules = rules }
        let copy = ExperimentID(try fixture.there(.experiment, first.rawValue))
        try await secondary.renameExperiment(copy, to: "x")
        try await primary.renameExperiment(first, to: "b")
        fixture.endAfterRequests(2000)
        for _ in 0..<2 {
            try await primary.setTag(Tag("t", "1"), ofExperiment: first)
            try await fixture.backfill { $0.rules = rules }
        }
        let second = try await primary.createExperiment(name: "x", tags: [])
        #expect(try await fixture.backfill { $0.rules = rules }.failures == [])
        #expect(try await secondary.experiment(copy)?.name == "x")
        #expect(try await secondary.experiment(named: "default/x")?.id.rawValue == fixture.there(.experiment, second.rawValue))
        try await expectQuiet(rules)
        // Decided otherwise, the primary's name is given.
        try await fixture.backfill()
        #expect(try await secondary.experiment(copy)?.name == "b")
    }

    // MARK: By name, and later

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

    /// Written, and not noted when the process died; then the primary's changed once more: it is nobody's edit.
    @Test(arguments: [ConflictDecision.secondary, .park])
    func aFileThatAnAttemptLeftIsNobodysEdit(_ decision: ConflictDecision) async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "r", files: ["a.txt": "1"])
        func rules(_ configuration: inout MirrorConfiguration) {
            configuration.rules = ConflictRules([.artifact: decision])
            configuration.deep = true
        }
        let owner = ArtifactOwner(.run(run.id), root: run.artifactURI)
        try await fixture.backfill(rules)
        try await workload.file("a.txt", "22", of: owner)
        fixture.secondary.setFault { operation in
            operation.name == "writeArtifact" ? .after(StoreError(.stop, .unauthorized, isInDoubt: true, "died")) : nil
        }
        await #expect(throws: StoreError.self) { try await fixture.backfill(rules) }
        fixture.secondary.setFault(nil)
        try await workload.file("a.txt", "333", of: owner)
        #expect(try await fixture.backfill(rules).counts.conflicts == 0)
        let there = try #require(fixture.secondary.snapshot.runs.first?.run)
        #expect(fixture.secondary.files(of: .run(there.id))["a.txt"] == Array("333".utf8))
        // What somebody puts there now is theirs.
        try await Workload(store: fixture.secondary).file("a.txt", "4444", of: ArtifactOwner(.run(there.id), root: there.artifactURI))
        try await workload.file("a.txt", "55555", of: owner)
        #expect(try await fixture.backfill(rules).counts.conflicts == 1)
        #expect(fixture.secondary.files(of: .run(there.id))["a.txt"] == Array("4444".utf8))
    }

    /// Refused for certain, and then put there by hand: it is theirs.
    @Test func aFileThatWasRefusedIsNotOurs() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        _ = try await workload.run(in: ExperimentID("0"), "r", files: ["a.txt": "1"])
        func rules(_ configuration: inout MirrorConfiguration) {
            configuration.rules = ConflictRules([.artifact: .park])
            configuration.deep = true
        }
        fixture.secondary.setFault { operation in
            operation.name == "writeArtifact" ? .before(StoreError(.setAside, .tooLarge, "too large")) : nil
        }
        #expect(try await fixture.backfill(rules).counts.deadLetters > 0)
        fixture.secondary.setFault(nil)
        let there = try #require(fixture.secondary.snapshot.runs.first?.run)
        try await Workload(store: fixture.secondary).file("a.txt", "theirs", of: ArtifactOwner(.run(there.id), root: there.artifactURI))
        #expect(try await fixture.backfill(rules).counts.conflicts == 1)
        #expect(fixture.secondary.files(of: .run(there.id))["a.txt"] == Array("theirs".utf8))
    }
}
