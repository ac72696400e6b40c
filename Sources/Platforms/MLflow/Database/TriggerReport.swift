/// What of the triggers is in a database.
public struct TriggerReport: Sendable, Hashable {
    public enum Status: Sendable, Hashable {
        case complete
        /// Triggers or tables are missing, or are not as they would be installed: their names, in order.
        case incomplete([String])
        case none
        /// Installed by another version of mlmirror, in a form that this one does not know.
        case otherVersion(Int64)
    }

    public var status: Status
    public var epoch: String?
    /// The number of the last change; it never goes back within an epoch.
    public var seq: Int64
    /// Up to this number changes were forgotten, because the mirror has them.
    public var released: Int64
    /// Rows of the change table; the last one always stays.
    public var pending: Int
    /// Triggers as they should be.
    public var triggers: Int
    /// The revision of MLflow's schema.
    public var alembicVersion: String

    /// A newer schema may have changes in tables or columns that no trigger stands on.
    public var isSchemaKnown: Bool { SchemaRevisions.known.contains(alembicVersion) }
    public var isComplete: Bool { status == .complete }
}
