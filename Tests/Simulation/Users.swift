import Replication
import TestSupport

/// What people and their programs do to a primary, drawn from a seed. What the store refuses is refused.
struct Users: Sendable {
    let store: FakeStore
    let scheduler: Scheduler
    private let clock: SimulatedClock
    /// A store that appends points would have those of a model and its run twice: no such store has logged models.
    private let logsModelMetrics: Bool
    /// By polling nobody sees points of a run long ended that are not its latest.
    private let pointsOfLongEnded: Bool
    private let chance: Locked<Chance>
    private let label: String
    /// Half of what they do: who does a few things often meets what nobody meets who does everything now and then.
    private let favourites: [Int]

    private static let acts = 46
    /// What leads to a step that is rare otherwise.
    static let favourite = [
        "deleteVersionTag": 40, "setVersionTag": 40, "setVersionDescription": 40, "setStage": 40, "setAlias": 40, "deleteVersion": 40,
        "version": 40, "deleteAlias": 38, "deleteModelTag": 38, "setModelTag": 38, "setModelDescription": 38, "setLoggedModelTags": 31,
        "deleteLoggedModelTag": 31, "loggedModelsTagged": 29, "logLoggedModelMetrics": 31, "deleteExperimentTag": 5, "deleteExperiment": 2,
        "restoreExperiment": 3, "renameExperiment": 35, "deleteRunTag": 37, "restoreRun": 24, "readArtifact": 27, "logInputs": 26,
        "logOutputs": 26, "historySince": 14, "loggedModels": 29,
    ]

    init(
        _ store: FakeStore, _ scheduler: Scheduler, seed: UInt64, label: String, favouritesOf world: UInt64, focus: Step? = nil,
        logsModelMetrics: Bool = true, pointsOfLongEnded: Bool = true
    ) {
        self.pointsOfLongEnded = pointsOfLongEnded
        self.store = store
        self.scheduler = scheduler
        self.label = label
        self.logsModelMetrics = logsModelMetrics
        var taste = Chance(seed: world ^ 0xfa_40)
        let drawn = (0..<4).map { _ in taste.below(Self.acts) }
        favourites = drawn + (focus.flatMap { Self.favourite[$0.name] }.map { Array(repeating: $0, count: 4) } ?? [])
        clock = SimulatedClock(scheduler)
        chance = Locked(Chance(seed: seed))
    }

    func work(_ count: Int) async {
        for number in 0..<count {
            try? await scheduler.sleep(milliseconds: Int64(draw(2000)))
            do { try await act(number) } catch {
                // Refused, as it would be for anyone.
            }
        }
    }

    private var workload: Workload { Workload(store: store) }
    private func draw(_ count: Int) -> Int { chance.withLock { $0.below(count) } }
    private func pick<Element>(_ all: [Element]) -> Element? { chance.withLock { $0.pick(all) } }

    private func act(_ number: Int) async throws {
        let now = store.snapshot
        switch draw(2) == 0 ? favourites[draw(favourites.count)] : draw(Self.acts) {
        case 0: _ = try await store.createExperiment(name: "experiment \(draw(6))", tags: [Tag("team", label)])
        case 1:
            // The secondary's own default experiment keeps its name.
            try await store.renameExperiment(try some(now.experiments.filter { $0.id.rawValue != "0" }).id, to: "experiment \(draw(6))")
        case 2:
            try await store.deleteExperiment(try some(now.experiments.filter { $0.id.rawValue != "0" && $0.lifecycle == .active }).id)
        case 3: try await store.restoreExperiment(try some(now.experiments.filter { $0.lifecycle == .deleted }).id)
        case 4: try await store.setTag(Tag("note", "\(number)"), ofExperiment: try some(now.experiments).id)
        case 5: try await store.deleteTag("note", ofExperiment: try some(now.experiments.filter { $0.tags["note"] != nil }).id)
        case 6...13: try await beginRun(now, number)
        case 14...19: try await logPoints(try some(now.runs).run)
        case 20: try await store.logBatch(RunBatch(tags: [Tag("k\(draw(3))", reference(now))]), toRun: try some(now.runs).run.id)
        case 21: try await store.deleteTag("k\(draw(3))", ofRun: try some(now.runs).run.id)
        case 22: try await store.updateRun(try some(now.runs).run.id, status: .finished, endTime: clock.nowMilliseconds, name: nil)
        case 23: try await store.updateRun(try some(now.runs).run.id, status: nil, endTime: nil, name: "renamed \(number)")
        case 24, 25: try await toggle(try some(now.runs).run)
        case 26: try await logInput(now)
        case 27, 28: try await file(now, number)
        case 29, 30: try await logModel(now, number)
        case 31: try await changeModel(now, number)
        case 32...34: try await register(now, number)
        case 35: try await exchangeNames(now)
        case 36: try await store.logBatch(RunBatch(tags: [Tag("short", "\(number)")]), toRun: try some(now.runs).run.id)
        case 37: try await store.deleteTag("short", ofRun: try some(now.runs.filter { $0.run.tags["short"] != nil }).run.id)
        case 38, 39: try await changeRegisteredModel(now, number)
        default: try await changeVersion(now, number)
        }
    }

    /// Names go around; a new experiment may take one that has become free.
    private func exchangeNames(_ now: FakeStore.Snapshot) async throws {
        let active = now.experiments.filter { $0.id.rawValue != "0" && $0.lifecycle == .active }
        let (one, other) = (try some(active), try some(active))
        try await store.renameExperiment(one.id, to: "between \(label)")
        if one.id == other.id {
            _ = try await store.createExperiment(name: one.name, tags: [])
        } else {
            try await store.renameExperiment(other.id, to: one.name)
            try await store.renameExperiment(one.id, to: other.name)
        }
    }

    private struct Nothing: Error {}
    private func some<Element>(_ all: [Element]) throws -> Element {
        guard let one = pick(all) else { throw Nothing() }
        return one
    }

    /// Text that may name a run.
    private func reference(_ now: FakeStore.Snapshot) -> String {
        guard draw(2) == 0, let run = pick(now.runs)?.run else { return "value \(draw(5))" }
        return "runs:/\(run.id)/model"
    }

    private func beginRun(_ now: FakeStore.Snapshot, _ number: Int) async throws {
        var tags = [Tag("mlflow.user", label)]
        if draw(3) == 0, let parent = pick(now.runs)?.run { tags.append(Tag("mlflow.parentRunId", parent.id.rawValue)) }
        let experiment = try some(now.experiments.filter { $0.lifecycle == .active })
        let run = try await store.createRun(
            NewRun(
                experiment: experiment.id, name: "run \(label)\(number)", userID: label, startTime: 1000 + Int64(draw(3)) * 500, tags: tags)
        )
        try await store.logBatch(RunBatch(params: [Param("lr", "\(draw(9))")]), toRun: run.id)
        try await logPoints(run)
        if draw(3) == 0 { try await store.updateRun(run.id, status: .finished, endTime: clock.nowMilliseconds, name: nil) }
    }

    /// Ties, late ones, NaN, and points that are there already.
    private func logPoints(_ run: Run) async throws {
        if !pointsOfLongEnded, let end = run.endTime, end < clock.nowMilliseconds - 600_000 { return }
        var batch = RunBatch()
        for _ in 0...draw(4) {
            let value = draw(8) == 0 ? Double.nan : Double(draw(4))
            let point = MetricPoint(value: value, timestamp: 1000 + Int64(draw(6)), step: Int64(draw(4)))
            batch.metrics.append(MetricRow(key: "m\(draw(2))", point: point))
        }
        try await store.logBatch(batch, toRun: run.id)
    }

    private func toggle(_ run: Run) async throws {
        if run.lifecycle == .active { return try await store.deleteRun(run.id) }
        try await store.restoreRun(run.id)
        // By polling nobody sees points that came before it was deleted once more, where nothing else of it has changed.
        if !pointsOfLongEnded { try await store.logBatch(RunBatch(tags: [Tag("restored", "\(clock.nowMilliseconds)")]), toRun: run.id) }
    }

    private func logInput(_ now: FakeStore.Snapshot) async throws {
        let run = try some(now.runs).run
        if draw(2) == 0 {
            let data = DatasetInput(
                name: "data", digest: "d\(draw(2))", sourceType: "local", source: "{}", schema: nil,
                tags: [Tag("mlflow.data.context", "training")])
            try await store.logInputs(datasets: [data], models: [], toRun: run.id)
        } else if let model = pick(now.loggedModels) {
            try await store.logOutputs([ModelOutput(model: model.id, step: Int64(draw(3)))], toRun: run.id)
        }
    }

    private func file(_ now: FakeStore.Snapshot, _ number: Int) async throws {
        let run = try some(now.runs.filter { $0.run.lifecycle == .active && !$0.run.status.isTerminal }).run
        try await workload.file("folder/file \(draw(5))", "content \(number)", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
    }

    private func logModel(_ now: FakeStore.Snapshot, _ number: Int) async throws {
        let run = try some(now.runs.filter { $0.run.lifecycle == .active }).run
        let model = try await store.createLoggedModel(
            NewLoggedModel(
                experiment: run.experiment, name: "net", modelType: "classifier", sourceRun: run.id, params: [Param("depth", "\(draw(4))")],
                tags: [Tag("k", "v")]))
        try await workload.file("MLmodel", "model \(number)", of: ArtifactOwner(.loggedModel(model.id), root: model.artifactURI))
        try await store.setStatus(.ready, ofLoggedModel: model.id)
    }

    private func changeModel(_ now: FakeStore.Snapshot, _ number: Int) async throws {
        let model = try some(now.loggedModels)
        switch draw(4) {
        case 0: try await store.setTags([Tag("k", reference(now))], ofLoggedModel: model.id)
        case 1: try await store.deleteTag("k", ofLoggedModel: model.id)
        case 2:
            // A version of what is no more cannot be copied, and is set aside.
            guard !now.versions.values.joined().contains(where: { $0.loggedModel == model.id }) else { return }
            try await store.deleteLoggedModel(model.id)
        default:
            guard logsModelMetrics else { return }
            let run = try some(now.runs.filter { $0.run.lifecycle == .active }).run
            let point = MetricPoint(value: Double(draw(3)), timestamp: 5000 + Int64(number), step: 0)
            try await store.logMetrics([ModelMetric(key: "acc", point: point, run: run.id)], ofLoggedModel: model.id, toRun: run.id)
        }
    }

    private func register(_ now: FakeStore.Snapshot, _ number: Int) async throws {
        let name = ModelName("model \(draw(3))")
        if !now.models.contains(where: { $0.name == name }) {
            // A name that was used is not used again: what that means is another matter.
            guard draw(2) == 0 else { return }
            try await store.createRegisteredModel(name, description: "d", tags: [Tag("owner", label)])
        }
        if draw(2) == 0, let model = pick(now.loggedModels) {
            _ = try await store.createVersion(
                NewVersion(model: name, source: "models:/\(model.id)", run: model.sourceRun, loggedModel: model.id))
        } else {
            let run = try some(now.runs).run
            _ = try await store.createVersion(
                NewVersion(model: name, source: "\(run.artifactURI)/model", run: run.id, description: "v", tags: [Tag("acc", "\(number)")]))
        }
    }

    private func changeVersion(_ now: FakeStore.Snapshot, _ number: Int) async throws {
        let name = try some(now.models).name
        let version = try some(now.versions[name] ?? [])
        switch draw(6) {
        case 0: try await store.deleteVersion(version.number, of: name)
        case 1: try await store.setAlias("a\(draw(2))", to: version.number, ofRegisteredModel: name)
        case 2: try await store.setStage(["None", "Staging", "Production"][draw(3)], ofVersion: version.number, of: name)
        case 3: try await store.setTag(Tag("t\(draw(2))", "\(number)"), ofVersion: version.number, of: name)
        case 4: try await store.deleteTag(try some(version.tags).key, ofVersion: version.number, of: name)
        default: try await store.setDescription("text \(number)", ofVersion: version.number, of: name)
        }
    }

    private func changeRegisteredModel(_ now: FakeStore.Snapshot, _ number: Int) async throws {
        let model = try some(now.models)
        switch draw(4) {
        case 0: try await store.deleteAlias(try some(model.aliases.keys.sorted()), ofRegisteredModel: model.name)
        case 1: try await store.setTag(Tag("t", "\(number)"), ofRegisteredModel: model.name)
        case 2: try await store.deleteTag(try some(model.tags).key, ofRegisteredModel: model.name)
        default: try await store.setDescription("text \(number)", ofRegisteredModel: model.name)
        }
    }
}
