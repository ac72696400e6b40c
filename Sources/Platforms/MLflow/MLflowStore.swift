public import Curl
public import Replication

/// One MLflow server, spoken to over its REST interface.
///
/// Written from MLflow 3.17's `server/handlers.py` and `protos/*.proto`, tried with 3.17.2 and 2.22.4. Also every other platform that speaks
/// MLflow: by its dialect, and with the parts of its own that it brings.
public struct MLflowStore: WritableStore {
    public let dialect: Dialect
    var service: MLflowService
    /// The data base behind the server, where it can be read: histories come from it.
    let database: MLflowDatabase?
    /// Who keeps the files, where that is not the tracking server.
    let files: (any ArtifactService)?
    /// Where the platform itself says which store it is.
    let identify: (@Sendable (MLflowStore) async throws -> StoreIdentity)?
    /// Which of a platform's registries.
    let registry: RegistryRoute
    /// The one beside it, whose models are not copied.
    let otherRegistry: RegistryRoute?
    let memory = ServerMemory()
    let unknown = UnknownFields()
    /// Runs and logged models are read with the fields that are newer than this program.
    public var carriesUnknownFields = false
    /// With a version that is still being registered.
    let pendingModels = Locked<Set<ModelName>>([])
    /// Of Unity Catalog, as they were read last.
    let knownModels = Locked(KnownModels())

    /// - Parameter authorization: nil: the endpoint's credentials.
    public init(
        _ endpoint: MLflowEndpoint, client: HTTPClient, authorization: (any Authorization)? = nil, dialect: Dialect = .mlflow,
        database: MLflowDatabase? = nil
    ) {
        self.init(MLflowService(endpoint, client: client, authorization: authorization), dialect: dialect, database: database)
    }

    init(
        _ service: MLflowService, dialect: Dialect, database: MLflowDatabase? = nil, files: (any ArtifactService)? = nil,
        registry: RegistryRoute = .own, otherRegistry: RegistryRoute? = nil,
        identify: (@Sendable (MLflowStore) async throws -> StoreIdentity)? = nil
    ) {
        self.service = service
        self.database = database
        self.files = files
        self.identify = identify
        self.registry = registry
        self.otherRegistry = otherRegistry
        var dialect = dialect
        dialect.readsHistorySince = database != nil
        dialect.readsWholeRuns = database != nil
        self.dialect = dialect
    }

    public var endpoint: MLflowEndpoint { service.endpoint }
    public var name: String { endpoint.name }
    public var unknownFields: [String: Int] { unknown.counts }
    public var unfinishedModels: Set<ModelName> { pendingModels.withLock { $0 } }
    var client: HTTPClient { service.client }
    var failure: MLflowFailure { service.failure }

    /// What was found out about the server, so that it is asked once.
    actor ServerMemory {
        var hasBulkHistory = true
        var hasMultipart = true
        var databaseIsChecked = false
        /// Which of `experimentOrders` it takes: the first that it has not refused.
        var experimentOrder = 0
        /// What it has turned out to lack, while it had the rest.
        private var lacks: Set<String> = []
        func isMissing(_ what: String) -> Bool { lacks.contains(what) }
        func noteMissing(_ what: String) { lacks.insert(what) }
        func experimentsHaveOrder(_ order: Int) { experimentOrder = max(experimentOrder, order) }
        func databaseWasChecked() { databaseIsChecked = true }
        func bulkHistoryIsMissing() { hasBulkHistory = false }
        func multipartIsMissing() { hasMultipart = false }
        /// A history's places: one refusal may be a failure in passing, several in a row are not.
        private var refusedPlaces = 0
        var knowsPlaces: Bool { refusedPlaces < 3 }
        func placeRefused() { refusedPlaces += 1 }
        func placeAnswered() { refusedPlaces = 0 }
    }

    // MARK: - Sending

    func authorized<R: Sendable>(_ call: MLflowCall, _ send: (HTTPRequest) async throws -> R) async throws -> R {
        try await service.authorized(call, send)
    }

    @discardableResult
    func send(_ call: MLflowCall) async throws -> [UInt8] { try await service.send(call) }

    func decode<T: Decodable>(_ type: T.Type, _ body: [UInt8], _ call: MLflowCall) throws(StoreError) -> T {
        try service.decode(type, body, call)
    }

    /// Of the thing that one member of an answer is.
    func carriedFields(in body: [UInt8], at member: String, of listing: String) -> [UnknownField] {
        guard carriesUnknownFields, let range = JSONSpan.value(of: body, in: 0..<body.count, at: [member]) else { return [] }
        return UnknownFields.fields(of: body, in: range, of: listing)
    }

    func find<T: Decodable>(_ type: T.Type, _ call: MLflowCall) async throws -> T? { try await service.find(type, call) }

    func entity<E>(_ call: MLflowCall, _ convert: () throws -> E) throws(StoreError) -> E { try service.entity(call, convert) }

    func repeating<R: Sendable>(_ call: MLflowCall, _ read: () async throws -> R) async throws -> R {
        try await service.repeating(call, read)
    }
}
