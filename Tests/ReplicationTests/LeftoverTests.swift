import TestSupport
import Testing

@testable import Replication

/// What the secondary has of ours that nothing on the primary leads to.
@Suite struct LeftoverTests {
    private let fixture: MirrorFixture
    private var primary: FakeStore { fixture.primary }
    private var secondary: FakeStore { fixture.secondary }
    private static let rules = ConflictRules([.purgedOnPrimary: .replicate])

    init() throws { fixture = try MirrorFixture() }

    private func fields(_ rules: ConflictRules = Self.rules) async throws -> [String] {
        try await fixture.verify { $0.rules = rules }.differences.map { "\($0.kind) \($0.field)" }
    }

    /// A second thing with the stamp of the first.
    @Test func secondCopiesAreNamed() async throws {
        let experiment = try await primary.createExperiment(name: "e", tags: [])
        let model = try await primary.createLoggedModel(
            NewLoggedModel(experiment: experiment, name: "m", modelType: nil, sourceRun: nil, params: [], tags: []))
        try await primary.createRegisteredModel(ModelName("net"), description: "", tags: [])
        try await fixture.backfill()
        #expect(try await fields() == [])
        let there = try #require(try await secondary.experiment(named: "e"))
        _ = try await secondary.createExperiment(name: "e again", tags: there.tags)
        let copy = try #require(try await secondary.loggedModels(in: [there.id], nil).elements.first)
        _ = try await secondary.createLoggedModel(
            NewLoggedModel(experiment: there.id, name: "m", modelType: nil, sourceRun: nil, params: [], tags: copy.tags))
        let named = try #require(try await secondary.registeredModel(ModelName("net")))
        try await secondary.createRegisteredModel(ModelName("net again"), description: "", tags: named.tags)
        #expect(try await fields() == ["experiment doubled", "logged_model doubled", "registered_model doubled"])
        _ = model
    }

    /// Purged where nobody saw it.
    @Test func copiesOfWhatIsGoneAreNamed() async throws {
        let experiment = try await primary.createExperiment(name: "e", tags: [])
        try await Workload(store: primary).run(in: experiment, "r")
        let model = try await primary.createLoggedModel(
            NewLoggedModel(experiment: ExperimentID("0"), name: "m", modelType: nil, sourceRun: nil, params: [], tags: []))
        try await primary.createRegisteredModel(ModelName("net"), description: "", tags: [])
        try await fixture.backfill { $0.rules = Self.rules }
        primary.collect(experiment)
        try await primary.deleteLoggedModel(model.id)
        try await primary.deleteRegisteredModel(ModelName("net"))
        #expect(try await fields() == ["experiment extra", "logged_model extra", "registered_model extra"])
        // By a rule that they stay, it is as it should be.
        let (summary, differences) = try await fixture.verify()
        #expect(differences == [] && summary.accepted == ["purged_on_primary": 3], "\(summary.accepted)")
        // What is another pair's, or out of scope, is not ours to judge.
        let narrow = try await fixture.verify {
            $0.rules = Self.rules
            $0.scope.experiments = PatternList(["f"])
            $0.scope.models = PatternList(["f"])
        }
        #expect(narrow.differences == [])
    }

    /// The first look finds an experiment missing, and therefore nothing of what is in it.
    @Test func theSecondLookGoesIntoWhatWasMissing() async throws {
        let id = try await primary.createExperiment(name: "e", tags: [])
        try await Workload(store: primary).run(in: id, "r")
        secondary.setFault { $0.name == "createRun" ? .before(StoreError(.setAside, .invalid, "no")) : nil }
        try await fixture.backfill()
        secondary.setFault(nil)
        let state = try ReplicationState.open(path: fixture.statePath)
        let mirror = Mirror(
            primary: primary, secondary: secondary, state: state, configuration: fixture.configuration(),
            stamp: Stamp(pair: "default", store: try await primary.identity()), board: ProgressBoard(), clock: fixture.clock,
            logger: fixture.logger)
        let found = Locked<[Difference]>([])
        let comparison = Comparison(
            mirror: mirror, deep: true, tally: Tally(clock: fixture.clock) { _ in }, primaryHasLoggedModels: true)
        let suspects = Suspects()
        #expect(suspects.keep([comparison.missing(.experiment, id.rawValue, "e")], of: .experiment(id)))
        let look = SecondLook(comparison: comparison) { difference in found.withLock { $0.append(difference) } }
        #expect(try await look.run(suspects).differences == 1)
        #expect(found.withLock { $0 }.map { "\($0.kind) \($0.field)" } == ["run missing"])
        try state.close()
    }
}
