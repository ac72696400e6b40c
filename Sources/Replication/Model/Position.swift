/// A position in the change log. Gaps are allowed; order is all.
public struct LSN: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64
    public init(rawValue: Int64) { self.rawValue = rawValue }
    /// Before the first change.
    public static let zero = LSN(rawValue: 0)
    public static func < (a: LSN, b: LSN) -> Bool { a.rawValue < b.rawValue }
    public var description: String { String(rawValue) }
}

/// What the change log names: one thing of the primary, by the primary's own id.
public struct EntityKey: Hashable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable, CaseIterable {
        case experiment
        case run
        case loggedModel = "logged_model"
        /// A registered model with its versions and aliases: they share the order of their writes.
        case registeredModel = "registered_model"
        /// The files of a run or logged model: a lane of their own, so that they never hold up metadata.
        case runArtifacts = "run_artifacts"
        case loggedModelArtifacts = "logged_model_artifacts"
        /// Deleting an experiment on the secondary: after everything in it, because nothing can be written to it then.
        case experimentDeletion = "experiment_deletion"
    }
    public let kind: Kind
    public let id: String
    public init(_ kind: Kind, _ id: String) {
        self.kind = kind
        self.id = id
    }
    /// Files of a run or logged model.
    public var isOfFiles: Bool { kind == .runArtifacts || kind == .loggedModelArtifacts }
    public static func experiment(_ id: ExperimentID) -> Self { .init(.experiment, id.rawValue) }
    public static func run(_ id: RunID) -> Self { .init(.run, id.rawValue) }
    public static func loggedModel(_ id: LoggedModelID) -> Self { .init(.loggedModel, id.rawValue) }
    public static func registeredModel(_ name: ModelName) -> Self { .init(.registeredModel, name.rawValue) }
    public var description: String { "\(kind.rawValue) \(id)" }
    public static func == (a: Self, b: Self) -> Bool { a.kind == b.kind && a.id.isExactly(b.id) }
}
