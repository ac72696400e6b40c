/// Where a listing goes on. Opaque; only good for the query that gave it.
public struct PageToken: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// Something a store listed that could not be understood: it is set aside, the rest of its page is not.
public struct Undecodable: Sendable, Hashable {
    public var kind: EntityKey.Kind
    /// The id, where at least that could be read.
    public var id: String?
    public var reason: String
    public init(kind: EntityKey.Kind, id: String?, reason: String) {
        self.kind = kind
        self.id = id
        self.reason = reason
    }
}

public struct Page<Element: Sendable>: Sendable {
    public var elements: [Element]
    public var undecodable: [Undecodable]
    public var next: PageToken?
    public init(_ elements: [Element], undecodable: [Undecodable] = [], next: PageToken? = nil) {
        self.elements = elements
        self.undecodable = undecodable
        self.next = next
    }
}

/// Which runs, in which experiments. Answers come by start time ascending, deleted ones included.
public struct RunQuery: Sendable, Hashable {
    public var experiments: [ExperimentID]
    /// Milliseconds since 1970, inclusive.
    public var startedFrom: Int64?
    /// Milliseconds since 1970, exclusive.
    public var startedBefore: Int64?
    /// Only runs that bear this tag with this value.
    public var tag: Tag?
    /// Only runs that are under way: neither ended nor deleted.
    public var isActive = false
    /// Only runs that ended at or after this; milliseconds since 1970.
    public var endedFrom: Int64?
    /// At most this many a page; a store may give fewer.
    public var pageSize: Int
    public init(experiments: [ExperimentID], startedFrom: Int64? = nil, startedBefore: Int64? = nil, tag: Tag? = nil, pageSize: Int = 1000)
    {
        self.experiments = experiments
        self.startedFrom = startedFrom
        self.startedBefore = startedBefore
        self.tag = tag
        self.pageSize = pageSize
    }
}

/// Whose files. `root` is the artifact URI that the owning store gave: data, never an address to be followed blindly.
public struct ArtifactOwner: Sendable, Hashable {
    public enum ID: Sendable, Hashable {
        case run(RunID)
        case loggedModel(LoggedModelID)
    }
    public var id: ID
    public var root: String
    public init(_ id: ID, root: String) {
        self.id = id
        self.root = root
    }
}

/// A file's bytes in order; nil at the end. A file cut short throws.
public struct ByteStream: Sendable {
    public let next: @Sendable () async throws -> [UInt8]?
    public init(next: @escaping @Sendable () async throws -> [UInt8]?) { self.next = next }
}

/// Reads one MLflow store.
///
/// Contract, checked by `TrackingStoreConformance` on every implementation: throws only `StoreError` and `CancellationError`; nil means the store
/// itself said that the thing does not exist, never that a page was short; a write is sent once (retries are the caller's), a read may be
/// repeated for a moment; on a cancelled task nothing is sent.
public protocol TrackingStore: Sendable {
    /// How people know it: its address without credentials.
    var name: String { get }
    var dialect: Dialect { get }

    /// Fields in its answers that are newer than this program, and in how many things they were seen: nothing of them is copied.
    var unknownFields: [String: Int] { get }

    /// Models whose versions were not all shown when they were asked for last, because one was still being made: they are to be asked for again.
    var unfinishedModels: Set<ModelName> { get }

    func identity() async throws -> StoreIdentity

    /// All experiments, deleted ones included.
    func experiments(_ page: PageToken?) async throws -> Page<Experiment>
    func experiment(_ id: ExperimentID) async throws -> Experiment?
    /// Deleted ones included: a deleted experiment still holds its name.
    func experiment(named name: String) async throws -> Experiment?

    func runs(_ query: RunQuery, _ page: PageToken?) async throws -> Page<Run>
    func run(_ id: RunID) async throws -> Run?

    /// One metric's whole history, handed over in chunks ordered by (timestamp, step, value). A store that keeps rows as they come
    /// (`dialect.metricsAreIdempotent` is false) orders each chunk alone.
    func history(of run: RunID, metric: String, _ receive: @Sendable ([MetricPoint]) async throws -> Void) async throws
    /// The whole histories of one metric in several runs with one request, each ordered likewise. A run whose history might be
    /// incomplete is left out of the answer; nil when the store has no such call. At most `dialect.bulkHistoryRuns` runs.
    func histories(of runs: [RunID], metric: String) async throws -> [RunID: [MetricPoint]]?
    /// All histories of one run, each ordered likewise; nil when it has more points than `limit`, or they cannot be read like this now. Asked
    /// only where `dialect.readsWholeRuns`.
    func histories(of run: RunID, limit: Int) async throws -> [FieldDigest: [MetricPoint]]?

    /// One metric's history from a place in its order on (0 is the first point). False, with nothing handed over, when the store turns out
    /// not to know places. Asked only where `dialect.readsHistoryFromPlace`.
    func history(of run: RunID, metric: String, fromPlace place: Int, _ receive: @Sendable ([MetricPoint]) async throws -> Void)
        async throws -> Bool
    /// The points of one metric whose timestamps are `since` (milliseconds since 1970) or later, ordered likewise. Asked only where
    /// `dialect.readsHistorySince`.
    func history(of run: RunID, metric: String, since: Int64, _ receive: @Sendable ([MetricPoint]) async throws -> Void) async throws

    func loggedModels(in experiments: [ExperimentID], _ page: PageToken?) async throws -> Page<LoggedModel>
    /// Those that were made last, newest first: as many as one answer holds.
    func newestLoggedModels(in experiments: [ExperimentID]) async throws -> [LoggedModel]
    func loggedModel(_ id: LoggedModelID) async throws -> LoggedModel?
    /// Logged models of these experiments that bear the tag.
    func loggedModels(in experiments: [ExperimentID], tagged tag: Tag) async throws -> [LoggedModel]

    func registeredModels(_ page: PageToken?) async throws -> Page<RegisteredModel>
    /// The same with few requests, for looks that are repeated all the time: some may be as they were a few looks ago.
    func glance(atRegisteredModels page: PageToken?) async throws -> Page<RegisteredModel>
    func registeredModel(_ name: ModelName) async throws -> RegisteredModel?
    /// Ascending by number where the store can order them.
    func versions(of model: ModelName, _ page: PageToken?) async throws -> Page<ModelVersion>
    func version(of model: ModelName, _ number: Int) async throws -> ModelVersion?

    /// What these experiments hold that is not copied, counted by kind (`traces`, `prompts`), with few requests whatever there is. A
    /// kind that the store cannot count is missing.
    func uncopied(in experiments: [ExperimentID]) async throws -> [String: Int]
    /// The same of the registry.
    func uncopiedModels() async throws -> [String: Int]

    /// One level of the tree: what lies directly under `path` ("" is the root).
    func artifacts(of owner: ArtifactOwner, under path: String, _ page: PageToken?) async throws -> Page<ArtifactEntry>
    func readArtifact<R: Sendable>(_ path: String, of owner: ArtifactOwner, _ read: @Sendable (ByteStream) async throws -> R) async throws
        -> R
    /// What another store's storage needs to fetch a file by itself; nil where that cannot be had. Asked only where
    /// `dialect.fetchesFiles` of the other store.
    func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource?
}

extension TrackingStore {
    public var unknownFields: [String: Int] { [:] }
    public var unfinishedModels: Set<ModelName> { [] }
    public func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource? { nil }
    public func glance(atRegisteredModels page: PageToken?) async throws -> Page<RegisteredModel> { try await registeredModels(page) }
}
