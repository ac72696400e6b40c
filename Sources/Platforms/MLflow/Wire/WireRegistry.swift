import Replication

// Fields and names: mlflow/protos/model_registry.proto and mlflow_artifacts.proto.

struct WireRegisteredModel: Decodable, Sendable {
    struct Alias: Decodable, Sendable {
        var alias: String
        var version: WireInt
    }
    var name: String?
    var description: String?
    var creationTimestamp: WireInt?
    var lastUpdatedTimestamp: WireInt?
    var tags: [WirePair]?
    var aliases: [Alias]?

    func entity() throws -> RegisteredModel {
        RegisteredModel(
            name: ModelName(try required("name", name)), description: description ?? "", creationTime: creationTimestamp?.value,
            lastUpdateTime: lastUpdatedTimestamp?.value, tags: tags.tags,
            aliases: Dictionary((aliases ?? []).map { ($0.alias, Int($0.version.value)) }, uniquingKeysWith: { first, _ in first }))
    }
}

struct WireModelVersion: Decodable, Sendable {
    var name: String?
    var version: WireInt?
    var creationTimestamp: WireInt?
    var userId: String?
    var currentStage: String?
    var description: String?
    var source: String?
    var runId: String?
    var runLink: String?
    var modelId: String?
    var status: String?
    var tags: [WirePair]?

    func entity() throws -> ModelVersion {
        guard let number = version?.value, number > 0, number <= Int32.max else {
            throw UnknownValue("version", version.map { String($0.value) })
        }
        let place = source.flatMap { DatabricksRoot(of: $0) }
        return ModelVersion(
            model: ModelName(try required("name", name)), number: Int(number), source: source ?? "",
            run: runId.nonEmpty.map { RunID($0) } ?? place?.run, runLink: runLink.nonEmpty,
            loggedModel: modelId.nonEmpty.map { LoggedModelID($0) } ?? place?.loggedModel,
            userID: userId.nonEmpty, stage: currentStage.nonEmpty ?? "None", description: description ?? "", status: status ?? "READY",
            tags: tags.tags)
    }
}

struct WireFile: Decodable, Sendable {
    var path: String
    var isDir: Bool?
    var fileSize: WireInt?
}

/// Where one part of a large file goes: a signed address of the storage behind the server.
struct WirePartTarget: Decodable, Sendable {
    var url: String
    var partNumber: WireInt
    var headers: [String: String]?
}
