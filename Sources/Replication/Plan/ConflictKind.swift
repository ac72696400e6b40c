/// What can be done about a conflict.
public enum ConflictDecision: String, Sendable, Hashable, CaseIterable, Codable {
    /// Ours beside what is there.
    case adopt
    /// Under another name.
    case rename
    /// Left as it is, until someone decides.
    case park
    /// The primary's value is written over the secondary's.
    case primary
    /// The secondary's stays, and is not followed any more.
    case secondary
    /// What was deleted on the secondary stays so.
    case respect
    /// It is brought back.
    case restore
    /// What was deleted on the primary is deleted on the secondary.
    case replicate
    /// It stays on the secondary.
    case keep
    /// Numbers stay equal: placeholders use up what is missing.
    case fill
    /// Another number.
    case renumber

    /// Stands until someone decides otherwise: noted anew at every look, but told of once. What does not is done once.
    var stands: Bool {
        switch self {
        case .rename, .park, .secondary, .respect, .keep, .renumber: true
        case .adopt, .primary, .restore, .replicate, .fill: false
        }
    }

    /// A thing is adopted once.
    var isToldOnce: Bool { stands || self == .adopt }
}

/// The ways in which a secondary can differ from what was last written, each with what may be done about it.
public enum ConflictKind: String, Sendable, Hashable, CaseIterable, Codable {
    /// Of an experiment or registered model that bears no stamp.
    case nameTaken = "name_taken"
    case nameOfAnotherPair = "name_of_another_pair"
    case tag
    /// Of registered models and versions; of experiments and runs, where it is the tag `mlflow.note.content`.
    case description
    case experimentName = "experiment_name"
    case runName = "run_name"
    /// Status and end time of a run.
    case runStatus = "run_status"
    case alias
    case stage
    case param
    /// Of runs and experiments.
    case deletedOnSecondary = "deleted_on_secondary"
    /// Of runs, experiments and versions.
    case deletedOnPrimary = "deleted_on_primary"
    case purgedOnPrimary = "purged_on_primary"
    case artifact
    case versionNumber = "version_number"

    /// The first is the default.
    public var allowed: [ConflictDecision] {
        switch self {
        case .nameTaken: [.adopt, .rename, .park]
        case .nameOfAnotherPair: [.rename, .park]
        case .tag, .description, .experimentName, .runName, .runStatus, .alias, .stage, .artifact: [.primary, .secondary, .park]
        case .param: [.park, .secondary]
        case .deletedOnSecondary: [.respect, .restore]
        case .deletedOnPrimary: [.replicate, .keep]
        case .purgedOnPrimary: [.keep, .replicate]
        case .versionNumber: [.fill, .renumber, .park]
        }
    }
    public var standard: ConflictDecision { allowed[0] }

    private static let descriptionTag = "mlflow.note.content"
    private static let runNameTag = "mlflow.runName"

    /// MLflow keeps some of what has a field of its own in tags.
    static func ofTag(_ key: String, of kind: EntityKey.Kind) -> ConflictKind {
        switch key {
        case descriptionTag where kind == .run || kind == .experiment: .description
        case runNameTag where kind == .run: .runName
        default: .tag
        }
    }
}
