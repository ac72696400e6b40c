/// How much of an entity a change concerns. The smaller covers the larger.
public enum Extent: Int64, Sendable, Hashable, Comparable {
    /// Everything: the record, every history.
    case whole = 0
    /// The record, and those histories that are named.
    case record = 1
    /// Nothing but the histories that are named. Runs only.
    case points = 2
    public static func < (a: Extent, b: Extent) -> Bool { a.rawValue < b.rawValue }
}

/// One thing of the primary that changed, and how far.
public struct Change: Sendable, Hashable {
    public var key: EntityKey
    public var extent: Extent
    /// Metrics of a run whose histories have grown, each with the earliest timestamp (milliseconds since 1970) of what is new.
    public var series: [ExactName: Int64]

    public init(_ key: EntityKey, _ extent: Extent = .whole, series: [ExactName: Int64] = [:]) {
        self.key = key
        self.extent = extent
        self.series = series
    }
}

/// What a feed has seen since a cursor.
public struct FeedReading: Sendable, Hashable {
    public var changes: [Change]
    /// What it could not see, or not understand.
    public var letters: [DeadLetter] = []
    /// Where the feed stands after them; committed with them in one transaction.
    public var cursor: String
    /// More is there already.
    public var hasMore: Bool
    /// Whether it says everything up to now, when there is no more.
    public var isWhole: Bool

    public init(changes: [Change], cursor: String, hasMore: Bool = false, isWhole: Bool = true) {
        self.isWhole = isWhole
        self.changes = changes
        self.cursor = cursor
        self.hasMore = hasMore
    }
}

/// The feed can no longer say what changed since its cursor: everything must be compared anew, from a new cursor on.
public struct FeedBreak: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

/// The feed cannot be used as it is, and says what to do about it.
public struct FeedError: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

/// Where changes of the primary are seen.
///
/// A cursor is opaque text that belongs to an epoch of the primary. What a reading reports is a superset of what changed after its cursor:
/// a change may be reported twice, none is left out.
public protocol ChangeFeed: Sendable {
    /// Short and stable: the cursor's name in the state file.
    var name: String { get }

    /// Every run has been compared since then (milliseconds since 1970); nil for a feed that misses nothing.
    var sweepOldestAt: Int64? { get }

    /// A cursor for now: what is committed on the primary after this call is reported by readings from it on.
    ///
    /// - Throws: `FeedError`, `StoreError`, `CancellationError`.
    func position() async throws -> String

    /// What changed after the cursor, at most a few thousand changes; none when nothing did.
    ///
    /// - Throws: `FeedBreak` when the cursor belongs to another epoch, or what followed it is gone; else as `position`.
    func read(after cursor: String) async throws -> FeedReading

    /// Returns when something may have changed, and after `seconds` at the latest.
    func wait(atMost seconds: Double) async throws

    /// What came up to this cursor is in the change log, on disk: the feed may forget it.
    func release(upTo cursor: String) async throws
}
