import Replication

// Fields and names: mlflow/protos/service.proto. An absent field is an empty one.

struct WirePair: Codable, Sendable {
    var key: String
    var value: String?

    init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }

    var tag: Tag { Tag(key, value ?? "") }
    var param: Param { Param(key, value ?? "") }
}

extension [WirePair]? {
    var tags: [Tag] { (self ?? []).map(\.tag) }
    var params: [Param] { (self ?? []).map(\.param) }
}

extension [Tag] {
    var pairs: [WirePair] { map { WirePair($0.key, $0.value) } }
}

extension [Param] {
    var pairs: [WirePair] { map { WirePair($0.key, $0.value) } }
}

/// A field whose value this project does not know.
struct UnknownValue: Error, CustomStringConvertible {
    var description: String
    init(_ field: String, _ value: String?) { description = value.map { "\(field) is \($0.prefix(64))" } ?? "no \(field)" }
}

enum WireLifecycle {
    static func parse(_ text: String?) throws -> Lifecycle {
        guard let lifecycle = Lifecycle(rawValue: text?.lowercased() ?? "active") else { throw UnknownValue("lifecycle_stage", text) }
        return lifecycle
    }
}

func required(_ field: String, _ text: String?) throws -> String {
    guard let text, !text.isEmpty else { throw UnknownValue(field, text.map { _ in "empty" }) }
    return text
}

struct WireExperiment: Decodable, Sendable {
    var experimentId: String?
    var name: String?
    var artifactLocation: String?
    var lifecycleStage: String?
    var creationTime: WireInt?
    var lastUpdateTime: WireInt?
    var tags: [WirePair]?

    func entity() throws -> Experiment {
        Experiment(
            id: ExperimentID(try required("experiment_id", experimentId)), name: name ?? "", artifactLocation: artifactLocation ?? "",
            lifecycle: try WireLifecycle.parse(lifecycleStage), creationTime: creationTime?.value,
            lastUpdateTime: lastUpdateTime?.value, tags: tags.tags)
    }
}

struct WireMetric: Decodable, Sendable {
    var key: String
    var value: WireDouble?
    var timestamp: WireInt?
    var step: WireInt?
    var runId: String?
    var datasetName: String?
    var datasetDigest: String?

    var point: MetricPoint { MetricPoint(value: value?.value ?? 0, timestamp: timestamp?.value ?? 0, step: step?.value ?? 0) }
}

struct WireDatasetInput: Codable, Sendable {
    struct Dataset: Codable, Sendable {
        var name: String?
        var digest: String?
        var sourceType: String?
        var source: String?
        var schema: String?
        var profile: String?
    }
    var tags: [WirePair]?
    var dataset: Dataset

    init(_ input: DatasetInput) {
        tags = input.tags.pairs
        dataset = Dataset(
            name: input.name, digest: input.digest, sourceType: input.sourceType, source: input.source, schema: input.schema,
            profile: input.profile)
    }

    var entity: DatasetInput {
        DatasetInput(
            name: dataset.name ?? "", digest: dataset.digest ?? "", sourceType: dataset.sourceType ?? "", source: dataset.source ?? "",
            schema: dataset.schema, profile: dataset.profile, tags: tags.tags)
    }
}

struct WireModelInput: Codable, Sendable { var modelId: String }

struct WireModelOutput: Decodable, Sendable {
    var modelId: String
    var step: WireInt?
}

struct WireRun: Decodable, Sendable {
    struct Info: Decodable, Sendable {
        var runId: String?
        var runUuid: String?
        var runName: String?
        var experimentId: String?
        var userId: String?
        var status: String?
        var startTime: WireInt?
        var endTime: WireInt?
        var artifactUri: String?
        var lifecycleStage: String?
    }
    struct Content: Decodable, Sendable {
        var metrics: [WireMetric]?
        var params: [WirePair]?
        var tags: [WirePair]?
    }
    struct Inputs: Decodable, Sendable {
        var datasetInputs: [WireDatasetInput]?
        var modelInputs: [WireModelInput]?
    }
    struct Outputs: Decodable, Sendable { var modelOutputs: [WireModelOutput]? }

    var info: Info
    var data: Content?
    var inputs: Inputs?
    var outputs: Outputs?

    func entity() throws -> Run {
        let tags = data?.tags.tags ?? []
        // MLflow's own default for a run without a status is RUNNING (service.proto, CreateRun).
        guard let status = Run.Status(rawValue: info.status ?? "RUNNING") else { throw UnknownValue("status", info.status) }
        return Run(
            id: RunID(try required("run_id", info.runId ?? info.runUuid)),
            experiment: ExperimentID(try required("experiment_id", info.experimentId)),
            // Servers before 2.0 keep the name only as a tag.
            name: info.runName ?? tags.first { $0.key == "mlflow.runName" }?.value ?? "", userID: info.userId ?? "", status: status,
            startTime: info.startTime?.value ?? 0, endTime: info.endTime?.value, lifecycle: try WireLifecycle.parse(info.lifecycleStage),
            artifactURI: info.artifactUri ?? "", params: data?.params.params ?? [], tags: tags,
            latestMetrics: (data?.metrics ?? []).map { LatestMetric(key: $0.key, point: $0.point) },
            datasets: (inputs?.datasetInputs ?? []).map(\.entity),
            modelInputs: (inputs?.modelInputs ?? []).map { LoggedModelID($0.modelId) },
            modelOutputs: (outputs?.modelOutputs ?? []).map { ModelOutput(model: LoggedModelID($0.modelId), step: $0.step?.value ?? 0) })
    }
}

struct WireLoggedModel: Decodable, Sendable {
    struct Info: Decodable, Sendable {
        var modelId: String?
        var experimentId: String?
        var name: String?
        var creationTimestampMs: WireInt?
        var lastUpdatedTimestampMs: WireInt?
        var artifactUri: String?
        var status: String?
        var modelType: String?
        var sourceRunId: String?
        var statusMessage: String?
        var tags: [WirePair]?
    }
    struct Content: Decodable, Sendable {
        var params: [WirePair]?
        var metrics: [WireMetric]?
    }
    var info: Info
    var data: Content?

    func entity() throws -> LoggedModel {
        let text = info.status ?? LoggedModel.Status.unspecified.rawValue
        guard let status = LoggedModel.Status(rawValue: text) else { throw UnknownValue("status", text) }
        return LoggedModel(
            id: LoggedModelID(try required("model_id", info.modelId)),
            experiment: ExperimentID(try required("experiment_id", info.experimentId)), name: info.name ?? "",
            modelType: info.modelType.nonEmpty, sourceRun: info.sourceRunId.nonEmpty.map { RunID($0) }, status: status,
            statusMessage: info.statusMessage.nonEmpty, artifactURI: info.artifactUri ?? "",
            creationTime: info.creationTimestampMs?.value, lastUpdateTime: info.lastUpdatedTimestampMs?.value,
            params: data?.params.params ?? [], tags: info.tags.tags,
            metrics: (data?.metrics ?? []).map {
                ModelMetric(
                    key: $0.key, point: $0.point, run: RunID($0.runId ?? ""), datasetName: $0.datasetName.nonEmpty,
                    datasetDigest: $0.datasetDigest.nonEmpty)
            })
    }
}

extension String? {
    /// nil for an empty text: on the wire an absent field and an empty one are the same.
    var nonEmpty: String? { flatMap { $0.isEmpty ? nil : $0 } }
}
