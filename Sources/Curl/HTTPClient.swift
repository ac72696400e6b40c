/// An HTTP client on libcurl: connections are kept and shared, one thread of its own does the work, callers suspend.
///
/// Guarantees beyond libcurl's: a request that is not idempotent leaves at most once; redirects carry no credential to another
/// origin; memory is bounded in both directions; no error text holds a secret.
public final class HTTPClient: Sendable {
    private let mailbox: Mailbox
    private let onExchange: (@Sendable (HTTPExchange) -> Void)?

    public init(_ configuration: HTTPClientConfiguration = .init()) {
        onExchange = configuration.onExchange
        mailbox = TransferLoop.spawn(configuration)
    }

    deinit { mailbox.stop() }

    /// Sends and holds the whole answer, decompressed, up to `request.maximumResponseBytes`.
    ///
    /// GET and HEAD follow at most 5 redirects. Throws `HTTPError`, `CancellationError`, or what the body's `next` threw.
    public func send(_ request: HTTPRequest, body: HTTPBody = .none) async throws -> HTTPResponse {
        var redirects = Redirects(request, body: body)
        while true {
            let delivery = Transfer.Delivery.whole(limit: request.maximumResponseBytes)
            let request = redirects.request
            let response = try await exchange(redirects, body, delivery) { transfer in
                try await told(request, status: { (response: HTTPResponse) in response.status }) { try await transfer.response() }
            }
            if try !redirects.follow(status: response.status, headers: response.headers) { return response }
        }
    }

    /// Sends; the closure reads the answer while it arrives. Leaving it early cancels the transfer.
    ///
    /// The body is not decompressed and has no limit. Throws as `send` does, and what the closure throws.
    public func withResponse<R: Sendable>(
        _ request: HTTPRequest, body: HTTPBody = .none, _ read: @Sendable (HTTPResponseStream) async throws -> R
    ) async throws -> R {
        var redirects = Redirects(request, body: body)
        while true {
            let (next, result) = try await exchange(redirects, body, .stream) { transfer -> (Redirects?, R?) in
                let head = try await told(redirects.request, status: { (head: ResponseHead) in head.status }) { try await transfer.head() }
                var next = redirects
                if try next.follow(status: head.status, headers: head.headers) { return (next, nil) }
                return (nil, try await read(HTTPResponseStream(status: head.status, headers: head.headers, transfer: transfer)))
            }
            if let result { return result }
            if let next { redirects = next }
        }
    }

    /// Requests sent so far, redirects included.
    public var requestCount: Int { mailbox.started }

    /// Ends the thread after cancelling what runs, which then throws `.closed`. Later calls throw `.closed`. Returns at once.
    public func shutdown() { mailbox.stop() }

    /// Waits for the answer of a request that was started, and tells that it has come, or not.
    private func told<R: Sendable>(
        _ request: HTTPRequest, status: (R) -> Int, _ answer: () async throws -> R
    ) async throws -> R {
        guard let onExchange else { return try await answer() }
        let start = ContinuousClock.now
        var exchange = HTTPExchange(label: request.label, seconds: 0)
        defer {
            exchange.seconds = start.duration(to: .now) / .seconds(1)
            onExchange(exchange)
        }
        do {
            let whole = try await answer()
            exchange.status = status(whole)
            return whole
        } catch {
            exchange.failure = (error as? HTTPError)?.kind
            throw error
        }
    }

    /// Runs one request: starts it, feeds its body beside `receive`, and leaves nothing running behind.
    private func exchange<R: Sendable>(
        _ redirects: Redirects, _ body: HTTPBody, _ delivery: Transfer.Delivery, _ receive: (Transfer) async throws -> R
    ) async throws -> R {
        let request = redirects.request
        try request.validate()
        let transfer = Transfer(request, body: body, delivery: delivery, isForeign: redirects.isForeign, mailbox: mailbox)
        return try await withTaskCancellationHandler {
            try transfer.start()
            defer { transfer.cancel() }
            guard case .stream(let length, let next) = body else { return try await receive(transfer) }
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await transfer.pump(length: length, next) }
                defer {
                    transfer.cancel()
                    group.cancelAll()
                }
                return try await receive(transfer)
            }
        } onCancel: {
            transfer.cancel()
        }
    }
}

extension HTTPRequest {
    /// Refuses what is no absolute http URL, and what would end a line early and smuggle another one in.
    func validate() throws {
        func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == 0x09 }
        let start = url.prefix(8).asciiLowercased
        guard start.hasPrefix("http://") || start == "https://", url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw HTTPError(.badURL, during: .preparing, of: self, "not an http or https URL, or with spaces or control characters")
        }
        for header in headers {
            let isName = !header.name.isEmpty && header.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A && $0 != 0x3B }
            guard isName, header.value.utf8.allSatisfy(isPlain) else {
                throw HTTPError(.other, during: .preparing, of: self, "a header has characters that no header may have")
            }
        }
    }
}
