/// Where a logged model is on a store that has none: its files in a folder of its run, under the model's own name, so that
/// `runs:/RUN/NAME` leads to it; all else in a document of that run.
public struct ModelFolder: Sendable, Hashable {
    /// The secondary's.
    public var run: RunID
    /// Of the run's files.
    public var root: String
    /// Without a slash.
    public var name: String

    public init(run: RunID, root: String, name: String) {
        self.run = run
        self.root = root
        self.name = name
    }

    /// Nil for a logged model that is one on the secondary too.
    init?(_ identity: Identity) {
        guard let slash = identity.secondaryID.firstIndex(of: "/"), let root = identity.root else { return nil }
        run = RunID(String(identity.secondaryID[..<slash]))
        name = String(identity.secondaryID[identity.secondaryID.index(after: slash)...])
        guard root.hasSuffix("/" + name) else { return nil }
        self.root = String(root.dropLast(name.count + 1))
    }

    func identity(of model: LoggedModelID) -> Identity {
        Identity(kind: .loggedModel, primaryID: model.rawValue, secondaryID: id, root: address)
    }

    /// What stands for the model's id there.
    var id: String { "\(run)/\(name)" }
    /// The model's own address.
    var address: String { "\(root)/\(name)" }
    var owner: ArtifactOwner { ArtifactOwner(.run(run), root: root) }

    /// Of the document, among the run's files.
    static func documentPath(_ model: LoggedModelID) -> String { "\(Overflow.folder)models/\(model).json" }

    /// The model's own name where it can be one of a folder and nobody has it, else with a part of its id.
    static func name(for model: LoggedModel, isTaken: (String) async throws -> Bool) async rethrows -> String {
        let isUsable = ArtifactPath.refusal(model.name) == nil && !model.name.contains("/") && model.name + "/" != Overflow.folder
        let name = isUsable ? model.name : "model"
        if isUsable, try await !isTaken(name) { return name }
        let id = model.id.rawValue
        return "\(name)-\((id.hasPrefix("m-") ? id.dropFirst(2) : id[...]).prefix(12))"
    }
}

/// A logged model's document: JSON, the same bytes for the same model always.
///
///     {"format": "mlmirror logged model 1", "model": ID, "name": ..., "type": ..., "status": ..., "source_run": ID, "folder": ...,
///      "params": {KEY: VALUE}, "tags": {KEY: VALUE}, "metrics": [{"key": ..., "value": ..., "timestamp": ..., "step": ..., "run": ID}]}
///
/// All ids are the primary's. Fields that nobody knows are members `fields` and `not_carried`, as in an `UnknownDocument`.
struct ModelDocument: Sendable {
    let model: LoggedModel
    let folder: String

    var text: String {
        var lines = [
            ("format", JSONText.quoted("mlmirror logged model 1")), ("model", JSONText.quoted(model.id.rawValue)),
            ("name", JSONText.quoted(model.name)),
        ]
        if let type = model.modelType { lines.append(("type", JSONText.quoted(type))) }
        lines.append(("status", JSONText.quoted(model.status.rawValue)))
        if let message = model.statusMessage, !message.isEmpty { lines.append(("status_message", JSONText.quoted(message))) }
        if let time = model.creationTime { lines.append(("creation_time", "\(time)")) }
        if let run = model.sourceRun { lines.append(("source_run", JSONText.quoted(run.rawValue))) }
        lines.append(("folder", JSONText.quoted(folder)))
        lines.append(("params", Self.object(model.params.map { ($0.key, $0.value) })))
        lines.append(("tags", Self.object(model.tags.filter { !$0.key.hasPrefix(Stamp.prefix) }.map { ($0.key, $0.value) })))
        lines.append(("metrics", "[" + model.metrics.map(Self.metric).sorted().map { "\n" + $0 }.joined(separator: ",") + "]"))
        let unknown = UnknownDocument.members(model.unknown)
        return "{\n" + lines.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ",\n") + unknown + "\n}\n"
    }

    private static func object(_ members: [(String, String)]) -> String {
        let lines = members.sorted { $0.0 < $1.0 }.map { "\n\(JSONText.quoted($0.0)): \(JSONText.quoted($0.1))" }
        return "{" + lines.joined(separator: ",") + "}"
    }

    private static func metric(_ metric: ModelMetric) -> String {
        var members = [
            ("key", JSONText.quoted(metric.key)), ("value", JSONText.number(metric.point.value)),
            ("timestamp", "\(metric.point.timestamp)"), ("step", "\(metric.point.step)"), ("run", JSONText.quoted(metric.run.rawValue)),
        ]
        if let name = metric.datasetName { members.append(("dataset_name", JSONText.quoted(name))) }
        if let digest = metric.datasetDigest { members.append(("dataset_digest", JSONText.quoted(digest))) }
        return "{" + members.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}"
    }
}
