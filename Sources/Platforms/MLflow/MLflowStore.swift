public import Curl
public import Replication

/// One MLflow server, spoken to over its REST interface.
///
/// Written from MLflow 3.17's `server/handlers.py` and `protos/*.proto`, tried with 3.17.2 and 2.22.4. It never repeats a write; reads that
/// failed in passing it does (`repeating`).
public struct MLflowStore: WritableStore {
    public let endpoint: MLflowEndpoint
    public let dialect: Dialect
    /// The data base behind the server, where it can be read: histories come from it.
    let database: MLflowDatabase?
    let client: HTTPClient
    private let authorization: any Authorization
    let failure: MLflowFailure
    let memory = ServerMemory()
    var repeatsReads = true

    /// - Parameter authorization: nil: the endpoint's credentials.
    public init(
        _ endpoint: MLflowEndpoint, client: HTTPClient, authorization: (any Authorization)? = nil, dialect: Dialect = .mlflow,
        database: MLflowDatabase? = nil
    ) {
        self.endpoint = endpoint
        self.authorization = authorization ?? endpoint.credentials
        self.client = client
        self.database = database
        var dialect = dialect
        dialect.readsHistorySince = database != nil
        dialect.readsWholeRuns = database != nil
        self.dialect = dialect
        failure = MLflowFailure(store: endpoint.name)
    }

    public var name: String { endpoint.name }

    /// What was found out about the server, so that it is asked once.
    actor ServerMemory {
        var hasBulkHistory = true
        var hasMultipart = true
        var databaseIsChecked = false
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

    /// Sends a request with what proves who asks. Where that is refused and a new one may do better, it is sent once more: nothing was done.
    func authorized<R: Sendable>(_ call: MLflowCall, _ send: (HTTPRequest) async throws -> R) async throws -> R {
        let header = try await authorization.header()
        do {
            return try await send(request(call, header))
        } catch let error as StoreError where error.reason == .unauthorized {
            guard let header, await authorization.wasRefused(header) else { throw error }
            // A body that comes from elsewhere was read, and cannot be sent from here again.
            if call.streamsBody { throw StoreError(.retry(after: nil), .unauthorized, error.message) }
            return try await send(request(call, try await authorization.header()))
        }
    }

    private func request(_ call: MLflowCall, _ authorization: HTTPHeader?) -> HTTPRequest {
        var headers = endpoint.headers + (authorization.map { [$0] } ?? [])
        if !call.body.isEmpty { headers.append(HTTPHeader("Content-Type", "application/json")) }
        var timeouts = Timeouts()
        timeouts.firstByte = endpoint.requestTimeout
        return HTTPRequest(
            call.method, endpoint.baseURL + call.path, headers: headers, isIdempotent: !call.isWrite, timeouts: timeouts,
            maximumResponseBytes: call.maximumResponseBytes)
    }

    /// A 2xx answer's body.
    @discardableResult
    func send(_ call: MLflowCall) async throws -> [UInt8] {
        try await repeating(call) { try await sendOnce(call) }
    }

    private func sendOnce(_ call: MLflowCall) async throws -> [UInt8] {
        try Task.checkCancellation()
        return try await authorized(call) { try await exchange(call, $0) }
    }

    private func exchange(_ call: MLflowCall, _ request: HTTPRequest) async throws -> [UInt8] {
        let response: HTTPResponse
        do {
            response = try await client.send(request, body: call.body.isEmpty ? .none : .bytes(call.body))
        } catch let error as HTTPError {
            if error.kind == .cancelled { throw CancellationError() }
            throw failure.error(call, error)
        }
        guard (200..<300).contains(response.status) else {
            throw failure.error(call, status: response.status, headers: response.headers, body: response.body)
        }
        guard response.body.first(where: { $0 > 0x20 }) != UInt8(ascii: "<") else {
            throw failure.malformed(call, headers: response.headers, body: response.body, "not JSON")
        }
        return response.body
    }

    func decode<T: Decodable>(_ type: T.Type, _ body: [UInt8], _ call: MLflowCall) throws(StoreError) -> T {
        do {
            return try WireDecoder.decode(type, from: body)
        } catch {
            throw failure.malformed(call, body: body, WireDecoder.reason(error))
        }
    }

    /// A read of one thing; nil where the server says that it does not exist.
    func find<T: Decodable>(_ type: T.Type, _ call: MLflowCall) async throws -> T? {
        do {
            return try decode(type, try await send(call), call)
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        }
    }

    /// One entity out of its wire form.
    func entity<E>(_ call: MLflowCall, _ convert: () throws -> E) throws(StoreError) -> E {
        do {
            return try convert()
        } catch {
            throw failure.malformed(call, WireDecoder.reason(error))
        }
    }
}
