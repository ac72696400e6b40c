import TestSupport
import Testing

@testable import Replication

/// Names that are taken, and the numbers of versions.
extension RuleApplyTests {
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
}
