import TestSupport
import Replication

/// One thing that people do to a primary that is already copied.
public struct Scenario: Sendable {
    public let name: String
    /// What is there before, copied by the daemon.
    let before: @Sendable (Workload) async throws -> Void
    /// What the daemon then finds changed.
    let change: @Sendable (Workload) async throws -> Void
    /// The secondary has a point twice that is sent twice.
    var appendsPoints = false
    var isNarrow = false
    /// The state file is gone when the daemon starts.
    var losesState = false

    init(
        _ name: String, appendsPoints: Bool = false, losesState: Bool = false,
        before: @escaping @Sendable (Workload) async throws -> Void = { _ in },
        _ change: @escaping @Sendable (Workload) async throws -> Void
    ) {
        self.name = name
        self.before = before
        self.change = change
        self.appendsPoints = appendsPoints
        self.losesState = losesState
    }

    public static let all =
        starts + runs + points + experiments + files + loggedModels + registry
        + (experiments + loggedModels + registry).map(\.onNarrowStore)

    /// The same with a secondary that lacks what Azure ML lacks.
    private var onNarrowStore: Scenario {
        var scenario = Scenario(name + ", narrow", appendsPoints: true, losesState: losesState, before: before, change)
        scenario.isNarrow = true
        return scenario
    }
}

/// What scenarios find again by its name.
extension Workload {
    struct NotThere: Error {
        var name: String
    }
    func find(_ name: String) throws -> Run {
        guard let run = store.snapshot.runs.first(where: { $0.run.name == name })?.run else { throw NotThere(name: name) }
        return run
    }
    func findExperiment(_ name: String) throws -> ExperimentID {
        guard let found = store.snapshot.experiments.first(where: { $0.name == name }) else { throw NotThere(name: name) }
        return found.id
    }
    func findModel() throws -> LoggedModel {
        guard let found = store.snapshot.loggedModels.first else { throw NotThere(name: "a logged model") }
        return found
    }
    func points(_ name: String, _ points: [(value: Double, timestamp: Int64, step: Int64)], of metric: String = "loss") async throws {
        let rows = points.map { MetricRow(key: metric, point: MetricPoint(value: $0.value, timestamp: $0.timestamp, step: $0.step)) }
        try await store.logBatch(RunBatch(metrics: rows), toRun: try find(name).id)
    }
    func write(_ path: String, _ text: String, to name: String) async throws {
        let run = try find(name)
        try await file(path, text, of: ArtifactOwner(.run(run.id), root: run.artifactURI))
    }
    /// An experiment "sweep" with an open run "a".
    func openRun() async throws {
        let sweep = try await store.createExperiment(name: "sweep", tags: [Tag("team", "vision")])
        try await run(in: sweep, "a", points: 2, end: false)
    }
    /// A run "a" with a logged model that has a file.
    func modelOfRun() async throws {
        try await openRun()
        let run = try find("a")
        let model = try await store.createLoggedModel(
            NewLoggedModel(
                experiment: run.experiment, name: "net", modelType: "classifier", sourceRun: run.id, params: [Param("depth", "3")],
                tags: [Tag("k", "v")]))
        try await file("MLmodel", "model", of: ArtifactOwner(.loggedModel(model.id), root: model.artifactURI))
        try await store.setStatus(.ready, ofLoggedModel: model.id)
        try await store.logOutputs([ModelOutput(model: model.id, step: 1)], toRun: run.id)
    }
    func version(of name: String, from run: String) async throws {
        let run = try find(run)
        _ = try await store.createVersion(
            NewVersion(model: ModelName(name), source: "\(run.artifactURI)/model", run: run.id, description: "v", tags: [Tag("acc", "0.9")])
        )
    }
    /// A registered model "net" with versions 1 to 3 of run "a".
    func registered() async throws {
        try await openRun()
        try await store.createRegisteredModel(ModelName("net"), description: "our net", tags: [Tag("owner", "ann")])
        for _ in 1...3 { try await version(of: "net", from: "a") }
        try await store.setAlias("champion", to: 2, ofRegisteredModel: ModelName("net"))
    }
}
