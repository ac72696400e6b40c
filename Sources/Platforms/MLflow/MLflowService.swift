import Curl
import Replication

/// One service that is spoken to in MLflow's way: JSON both ways, a header that proves who asks, errors that carry their decision. It never
/// repeats a write; reads that failed in passing it does (`repeating`).
struct MLflowService: Sendable {
    let endpoint: MLflowEndpoint
    let client: HTTPClient
    let authorization: any Authorization
    var failure: MLflowFailure
    var repeatsReads = true
    /// Nil: requests are sent as they come.
    var rates: AdaptiveRates?

    /// - Parameter authorization: nil: the endpoint's credentials.
    init(_ endpoint: MLflowEndpoint, client: HTTPClient, authorization: (any Authorization)? = nil) {
        self.endpoint = endpoint
        self.client = client
        self.authorization = authorization ?? endpoint.credentials
        failure = MLflowFailure(store: endpoint.name)
    }

    /// Sends a request in its turn, with what proves who asks. Where that is refused and a new one may do better, it is sent once more: nothing
    /// was done.
    func authorized<R: Sendable>(_ call: MLflowCall, _ send: (HTTPRequest) async throws -> R) async throws -> R {
        guard let rates else { return try await proven(call, send) }
        let name = rates.name(of: call)
        try await rates.turn(name)
        do {
            let answer = try await proven(call, send)
            rates.wentWell(name)
            return answer
        } catch let error as StoreError {
            // A 503 that names a time asks to be left alone, as a 429 does.
            if case .retry(let after) = error.decision, error.reason == .throttled || error.reason == .serverFailure && after != nil {
                rates.wasRefused(name, after: after)
            }
            throw error
        }
    }

    private func proven<R: Sendable>(_ call: MLflowCall, _ send: (HTTPRequest) async throws -> R) async throws -> R {
        let header = try await authorization.header()
        do {
            return try await send(request(call, header, try await authorization.furtherHeaders()))
        } catch let error as StoreError where error.reason == .unauthorized {
            guard let header, await authorization.wasRefused(header) else { throw error }
            // A body that comes from elsewhere was read, and cannot be sent from here again.
            if call.streamsBody { throw StoreError(.retry(after: nil), .unauthorized, error.message) }
            return try await send(request(call, try await authorization.header(), try await authorization.furtherHeaders()))
        }
    }

    private func request(_ call: MLflowCall, _ authorization: HTTPHeader?, _ further: [HTTPHeader]) -> HTTPRequest {
        var headers = endpoint.headers + (authorization.map { [$0] } ?? []) + further
        if !call.body.isEmpty { headers.append(HTTPHeader("Content-Type", "application/json")) }
        var timeouts = Timeouts()
        timeouts.firstByte = endpoint.requestTimeout
        return HTTPRequest(
            call.method, endpoint.baseURL + call.path, headers: headers, isIdempotent: !call.isWrite, timeouts: timeouts,
            maximumResponseBytes: call.maximumResponseBytes
        ).about(call.requestClass)
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
        try await answer(call, request, call.body.isEmpty ? .none : .bytes(call.body), orSay: "not JSON").body
    }

    /// A 2xx answer that is no web page.
    ///
    /// - Parameter text: what is said of a web page.
    func answer(_ call: MLflowCall, _ request: HTTPRequest, _ body: HTTPBody, orSay text: String) async throws -> HTTPResponse {
        let response: HTTPResponse
        do {
            response = try await client.send(request, body: body)
        } catch let error as HTTPError {
            throw failure.thrown(call, error)
        }
        guard (200..<300).contains(response.status) else {
            throw failure.error(call, status: response.status, headers: response.headers, body: response.body)
        }
        guard response.body.first(where: { $0 > 0x20 }) != UInt8(ascii: "<") else {
            throw failure.malformed(call, headers: response.headers, body: response.body, text)
        }
        failure.answered.note(call)
        return response
    }

    func decode<T: Decodable>(_ type: T.Type, _ body: [UInt8], _ call: MLflowCall) throws(StoreError) -> T {
        do {
            return try WireDecoder.decode(type, from: body)
        } catch {
            guard call.isWrite || !Self.isCut(body) else { throw failure.truncated(call, "the answer ends before its JSON does") }
            throw failure.malformed(call, body: body, WireDecoder.reason(error))
        }
    }

    /// An object whose end did not come.
    static func isCut(_ body: [UInt8]) -> Bool {
        body.first { $0 > 0x20 } == UInt8(ascii: "{") && body.last { $0 > 0x20 } != UInt8(ascii: "}")
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
