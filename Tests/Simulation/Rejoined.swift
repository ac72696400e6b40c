import Foundation
import Replication
import TestSupport

/// The content of a narrow store as it would be on a wide one: its documents are read as anyone would read them, and put back into their runs.
struct Rejoined: Decodable {
    struct Twice: Error, CustomStringConvertible { var description: String }
    private struct Dataset: Decodable {
        var name: String
        var digest: String
        var source_type: String
        var source: String
        var schema: String?
        var profile: String?
        var tags: [String: String]
    }
    /// A number, or what JSON has no number for.
    private struct Value: Decodable {
        var number: Double
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                number = Double(text) ?? .signalingNaN
            } else {
                number = try container.decode(Double.self)
            }
        }
    }
    private var tags: [String: String]?
    private var params: [String: String]?
    private var metrics: [String: [[Value]]]?
    private var datasets: [Dataset]?
    private struct Output: Decodable {
        var model: String
        var step: Int64
    }
    private var model_inputs: [String]?
    private var model_outputs: [Output]?

    init(_ bytes: [UInt8]) throws { self = try JSONDecoder().decode(Self.self, from: Data(bytes)) }

    func put(into content: inout FakeStore.Snapshot.RunContent) throws {
        for (key, value) in tags ?? [:] {
            // Of a name that was cut, the tag has the whole.
            if key == "mlflow.runName" {
                content.run.name = value
            } else if content.run.tags[key] != nil {
                throw Twice(description: "tag \(key)")
            }
            content.run.tags[key] = value
        }
        for (key, value) in params ?? [:] {
            if content.run.params.contains(where: { $0.key == key }) { throw Twice(description: "param \(key)") }
            content.run.params.append(Param(key, value))
        }
        content.run.params.sort { $0.key < $1.key }
        for (name, points) in metrics ?? [:] {
            if content.points[name] != nil { throw Twice(description: "metric \(name)") }
            content.points[name] = Set(
                points.map { "\(Int64($0[1].number)) \(Int64($0[2].number)) \($0[0].number.isNaN ? "NaN" : String($0[0].number))" })
        }
        content.run.modelInputs += (model_inputs ?? []).map { LoggedModelID($0) }
        content.run.modelOutputs += (model_outputs ?? []).map { ModelOutput(model: LoggedModelID($0.model), step: $0.step) }
        content.run.datasets += (datasets ?? []).map {
            DatasetInput(
                name: $0.name, digest: $0.digest, sourceType: $0.source_type, source: $0.source, schema: $0.schema, profile: $0.profile,
                tags: $0.tags.map { Tag($0.key, $0.value) })
        }
    }
}

extension Rejoined {
    static func whole(_ narrow: FakeStore.Snapshot) throws -> FakeStore.Snapshot {
        var whole = narrow
        for at in whole.experiments.indices {
            if let name = whole.experiments[at].tags[Stamp.nameKey] { whole.experiments[at].name = name }
            // Tags cannot be deleted there.
            whole.experiments[at].tags.removeAll { $0.value.isEmpty }
        }
        for at in whole.runs.indices {
            let id = ArtifactOwner.ID.run(whole.runs[at].run.id)
            if let document = whole.files[id]?[Overflow.path] { try Rejoined(document).put(into: &whole.runs[at]) }
            try takeModels(of: whole.runs[at].run, &whole)
            for (path, bytes) in whole.files[id] ?? [:] where path.hasPrefix("mlmirror/files/") {
                whole.files[id]?[String(path.dropFirst("mlmirror/files/".count))] = bytes
            }
            whole.files[id] = whole.files[id]?.filter { !$0.key.hasPrefix("mlmirror/") }
        }
        whole.runs.removeAll { $0.run.tags[Stamp.holderKey] != nil }
        for at in whole.models.indices {
            var model = whole.models[at]
            let versions = whole.versions.removeValue(forKey: model.name) ?? []
            if let name = model.tags[Stamp.idKey(.registeredModel)] { model.name = ModelName(name) }
            for version in versions {
                for tag in version.tags where tag.key.hasPrefix("mlmirror.alias.") {
                    let alias = String(tag.key.dropFirst("mlmirror.alias.".count))
                    if model.aliases[alias] != nil { throw Twice(description: "alias \(alias) of \(model.name)") }
                    model.aliases[alias] = version.number
                }
            }
            whole.versions[model.name] = versions.map { version in
                var version = version
                if let model = whole.loggedModels.first(where: { $0.artifactURI == version.source }) {
                    version.loggedModel = model.id
                    version.source = "models:/\(model.id)"
                }
                return version
            }
            whole.models[at] = model
        }
        return whole
    }

    private struct Model: Decodable {
        struct Metric: Decodable {
            var key: String
            var value: Value
            var timestamp: Int64
            var step: Int64
            var run: String
        }
        var model: String
        var name: String
        var type: String?
        var status: String
        var source_run: String?
        var folder: String
        var params: [String: String]
        var tags: [String: String]
        var metrics: [Metric]
    }

    private static func takeModels(of run: Run, _ whole: inout FakeStore.Snapshot) throws {
        let files = whole.files[.run(run.id)] ?? [:]
        for (path, bytes) in files.sorted(by: { $0.key < $1.key }) where path.hasPrefix("mlmirror/models/") {
            let model = try JSONDecoder().decode(Model.self, from: Data(bytes))
            let id = LoggedModelID("folder-\(run.id)-\(model.folder)")
            if whole.loggedModels.contains(where: { $0.id == id }) { throw Twice(description: "folder \(id)") }
            var tags = model.tags.map { Tag($0.key, $0.value) }
            tags[Stamp.idKey(.loggedModel)] = model.model
            whole.loggedModels.append(
                LoggedModel(
                    id: id, experiment: run.experiment, name: model.name, modelType: model.type,
                    sourceRun: model.source_run.map { RunID($0) },
                    status: LoggedModel.Status(rawValue: model.status) ?? .unspecified, artifactURI: "\(run.artifactURI)/\(model.folder)",
                    params: model.params.map { Param($0.key, $0.value) }.sorted { $0.key < $1.key }, tags: tags,
                    metrics: model.metrics.map {
                        ModelMetric(
                            key: $0.key, point: MetricPoint(value: $0.value.number, timestamp: $0.timestamp, step: $0.step),
                            run: RunID($0.run))
                    }))
            for (path, bytes) in files where path.hasPrefix(model.folder + "/") {
                whole.files[.loggedModel(id), default: [:]][String(path.dropFirst(model.folder.count + 1))] = bytes
                whole.files[.run(run.id)]?[path] = nil
            }
        }
    }
}
