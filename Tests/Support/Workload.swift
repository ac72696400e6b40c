public import Replication

/// What users do to a store, through its own calls.
public struct Workload: Sendable {
    public let store: FakeStore
    public init(store: FakeStore) { self.store = store }

    @discardableResult
    public func run(
        in experiment: ExperimentID, _ name: String, parent: RunID? = nil, start: Int64 = 1000, points: Int = 5,
        files: [String: String] = [:],
        tags: [Tag] = [], end: Bool = true
    ) async throws -> Run {
        var all = [Tag("mlflow.user", "ann")] + tags
        if let parent { all.append(Tag("mlflow.parentRunId", parent.rawValue)) }
        let run = try await store.createRun(NewRun(experiment: experiment, name: name, userID: "ann", startTime: start, tags: all))
        var batch = RunBatch(params: [Param("lr", "0.1"), Param("layers", name)])
        for step in 0..<points {
            batch.metrics.append(
                MetricRow(key: "loss", point: MetricPoint(value: 1 / Double(step + 1), timestamp: start + Int64(step), step: Int64(step))))
        }
        try await store.logBatch(batch, toRun: run.id)
        for (path, text) in files.sorted(by: { $0.key < $1.key }) {
            try await file(path, text, of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        }
        if end { try await store.updateRun(run.id, status: .finished, endTime: start + 100, name: nil) }
        return run
    }

    public func file(_ path: String, _ text: String, of owner: ArtifactOwner) async throws {
        let cursor = ByteCursor(Array(text.utf8))
        try await store.writeArtifact(path, size: Int64(text.utf8.count), to: owner, ByteStream { cursor.next() })
    }

    /// Some of everything: nested runs logged child first, ties and NaN, datasets, logged models, versions with a gap, deletions.
    ///
    /// - Parameter modelMetrics: not where points are appended: those of a model and its run would be there twice.
    public func everything(modelMetrics: Bool = true) async throws {
        let sweep = try await store.createExperiment(name: "/Shared/sweep", tags: [Tag("team", "vision")])
        let parent = try await run(
            in: sweep, "parent", start: 5000, files: ["model/MLmodel": "flavors:", "notes 1.txt": "", "a/b/c.bin": "xyz"])
        let child = try await run(in: sweep, "child", parent: parent.id, start: 2000)
        try await run(in: sweep, "grandchild", parent: child.id, start: 1000)
        let odd = try await run(in: sweep, "odd", start: 3000, points: 0, end: false)
        try await store.logBatch(
            RunBatch(metrics: [
                MetricRow(key: "x", point: MetricPoint(value: .nan, timestamp: 1, step: 0)),
                MetricRow(key: "x", point: MetricPoint(value: 0, timestamp: 1, step: 0)),
                MetricRow(key: "x", point: MetricPoint(value: 2, timestamp: 1, step: 0)),
                MetricRow(key: "x", point: MetricPoint(value: -.greatestFiniteMagnitude, timestamp: 9, step: -3)),
            ]), toRun: odd.id)
        let data = DatasetInput(
            name: "train", digest: "d1", sourceType: "local", source: "{}", schema: "{\"a\":1}",
            tags: [Tag("mlflow.data.context", "training")])
        try await store.logInputs(datasets: [data], models: [], toRun: odd.id)
        try await store.logInputs(datasets: [data], models: [], toRun: child.id)

        let model = try await store.createLoggedModel(
            NewLoggedModel(
                experiment: sweep, name: "net", modelType: "classifier", sourceRun: parent.id, params: [Param("depth", "3")],
                tags: [Tag("k", "v")]))
        if modelMetrics {
            try await store.logMetrics(
                [
                    ModelMetric(
                        key: "loss", point: MetricPoint(value: 1, timestamp: 5000, step: 0), run: parent.id, datasetName: "train",
                        datasetDigest: "d1")
                ],
                ofLoggedModel: model.id, toRun: parent.id)
        }
        try await file("MLmodel", "model", of: ArtifactOwner(.loggedModel(model.id), root: model.artifactURI))
        try await store.setStatus(.ready, ofLoggedModel: model.id)
        try await store.logOutputs([ModelOutput(model: model.id, step: 2)], toRun: parent.id)

        let name = ModelName("net")
        try await store.createRegisteredModel(name, description: "our net", tags: [Tag("owner", "ann")])
        for _ in 1...3 {
            _ = try await store.createVersion(
                NewVersion(model: name, source: "\(parent.artifactURI)/model", run: parent.id, description: "v", tags: [Tag("acc", "0.9")]))
        }
        try await store.deleteVersion(2, of: name)
        _ = try await store.createVersion(NewVersion(model: name, source: "models:/\(model.id)", run: parent.id, loggedModel: model.id))
        try await store.setStage("Production", ofVersion: 1, of: name)
        try await store.setAlias("champion", to: 3, ofRegisteredModel: name)

        let gone = try await run(in: sweep, "gone", start: 7000)
        try await store.deleteRun(gone.id)
        let closed = try await store.createExperiment(name: "closed", tags: [])
        try await run(in: closed, "a", start: 100)
        let b = try await run(in: closed, "b", start: 200)
        try await store.deleteRun(b.id)
        try await store.deleteExperiment(closed)
        try await run(in: ExperimentID("0"), "in default", start: 42, tags: [Tag("best", "runs:/\(child.id)/model")])
    }
}
