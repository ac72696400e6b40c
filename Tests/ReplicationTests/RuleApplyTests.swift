import TestSupport
import Testing

@testable import Replication

/// Conflicts on a real pair of stores in memory, under every rule.
@Suite struct RuleApplyTests {
    let fixture: MirrorFixture
    let primary: FakeStore
    let secondary: FakeStore
    let workload: Workload

    init() throws {
        fixture = try MirrorFixture()
        (primary, secondary) = (fixture.primary, fixture.secondary)
        workload = Workload(store: primary)
    }

    static let texts: [ConflictDecision] = [.primary, .secondary, .park]

    /// Nothing is written by one more look, not even a whole one.
    func expectQuiet(_ rules: ConflictRules, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        secondary.forgetWrites()
        let summary = try await fixture.backfill { $0.rules = rules }
        #expect(secondary.writes.map(\.description) == [], sourceLocation: sourceLocation)
        #expect(summary.counts.conflicts == 0, "what stands is told of once", sourceLocation: sourceLocation)
    }

    /// As a comparison sees it: nothing, what is accepted, or a difference.
    func expectVerdict(
        _ decision: ConflictDecision, _ rules: ConflictRules, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let (summary, differences) = try await fixture.verify { $0.rules = rules }
        switch decision {
        case .park: #expect(!differences.isEmpty && summary.accepted.isEmpty, sourceLocation: sourceLocation)
        case .secondary, .keep: #expect(differences == [] && !summary.accepted.isEmpty, sourceLocation: sourceLocation)
        default: #expect(differences == [] && summary.accepted.isEmpty, sourceLocation: sourceLocation)
        }
    }

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

    @Test(arguments: texts) func aTagThatIsDeletedHereAndWasEditedThere(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.tag: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r", tags: [Tag("a", "1"), Tag("b", "1")])
        let name = ModelName("net")
        try await primary.createRegisteredModel(name, description: "", tags: [Tag("a", "1"), Tag("b", "1")])
        try await fixture.backfill { $0.rules = rules }
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        try await secondary.logBatch(RunBatch(tags: [Tag("a", "theirs"), Tag("c", "theirs")]), toRun: copy)
        for key in ["a", "c"] { try await secondary.setTag(Tag(key, "theirs"), ofRegisteredModel: name) }
        for key in ["a", "b"] {
            try await primary.deleteTag(key, ofRun: run.id)
            try await primary.deleteTag(key, ofRegisteredModel: name)
        }
        let summary = try await fixture.backfill { $0.rules = rules }
        #expect(summary.counts.conflicts == 2)
        let (there, model) = (try await secondary.run(copy)?.tags ?? [], try await secondary.registeredModel(name)?.tags ?? [])
        for tags in [there, model] {
            #expect(tags["a"] == (decision == .primary ? nil : "theirs"))
            #expect(tags["b"] == nil && tags["c"] == "theirs", "what is theirs alone stays")
        }
        try await expectQuiet(rules)
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
