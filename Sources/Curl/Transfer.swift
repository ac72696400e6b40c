/// One exchange as both sides see it: the caller's task and the loop's thread meet in `state`.
final class Transfer: Sendable {
    /// Who takes the answer's bytes.
    enum Delivery: Sendable {
        /// Held until the end, at most this many decoded bytes; more is an error.
        case whole(limit: Int)
        /// Pulled by `nextChunk()`; the connection pauses when the buffer is full.
        case stream
    }

    let request: HTTPRequest
    let body: HTTPBody
    let delivery: Delivery
    /// Set for a redirect to another host: no kept connection, no private address.
    let isForeign: Bool
    private let mailbox: Mailbox
    private let state = Locked(TransferState())

    init(_ request: HTTPRequest, body: HTTPBody, delivery: Delivery, isForeign: Bool, mailbox: Mailbox) {
        self.request = request
        self.body = body
        self.delivery = delivery
        self.isForeign = isForeign
        self.mailbox = mailbox
    }

    // MARK: The caller's side

    /// Throws `.closed` after shutdown.
    func start() throws {
        guard mailbox.post(.start(self)) else { throw HTTPError.closed(request) }
    }

    /// Ends the exchange now; the loop closes the connection a moment later. Does nothing after the end.
    func cancel() { fail(CancellationError()) }

    /// Waits for the head. Throws what ended the exchange before it.
    func head() async throws -> ResponseHead {
        try await wait(.reader) { state in
            if let head = state.head { return .success(head) }
            return state.failure.map { .failure($0) }
        }
    }

    /// Waits for the whole answer (`Delivery.whole`).
    func response() async throws -> HTTPResponse {
        try await wait(.reader) { state in
            if let failure = state.failure { return .failure(failure) }
            guard state.isEnded, let head = state.head else { return nil }
            return .success(HTTPResponse(status: head.status, headers: head.headers, body: state.takeArrived()))
        }
    }

    /// Waits for bytes of the answer (`Delivery.stream`); nil at the end.
    func nextChunk() async throws -> HTTPChunk? {
        let (chunk, mustResume) = try await wait(.reader) { state -> Result<(HTTPChunk?, Bool), any Error>? in
            // What came before the connection broke is delivered, but nothing after cancellation.
            if let failure = state.failure, failure is CancellationError || state.arrived.isEmpty { return .failure(failure) }
            if !state.arrived.isEmpty {
                defer { state.isReceivePaused = false }
                return .success((state.takeArrived(), state.isReceivePaused))
            }
            return state.isEnded ? .success((nil, false)) : nil
        }
        if mustResume { mailbox.post(.resume(self)) }
        return chunk
    }

    /// Feeds the request's body from `next` until its end or the exchange's end. Runs in a child task of the caller.
    func pump(length: Int64?, _ next: @Sendable () async throws -> HTTPChunk?) async {
        do {
            var count: Int64 = 0
            while let chunk = try await next() {
                count += Int64(chunk.count)
                if let length, count > length { throw wrongLength(length) }
                guard try await offer(chunk) else { return }
            }
            if let length, count < length { throw wrongLength(length) }
            push { $0.isBodyEnded = true }
        } catch {
            fail(error)
        }
    }

    private func wrongLength(_ length: Int64) -> HTTPError {
        HTTPError(.bodyFailed, during: .sending, of: self, "the body does not have the announced \(length) bytes", isSent: true)
    }

    /// Returns when there is room for more; false when the exchange is over.
    private func offer(_ chunk: HTTPChunk) async throws -> Bool {
        guard !chunk.isEmpty else { return true }
        push { $0.outgoing.append(chunk) }
        return try await wait(.writer) { state in
            if state.isEnded { return .success(false) }
            return state.outgoing.count < TransferState.mark ? .success(true) : nil
        }
    }

    private func push(_ change: (inout TransferState) -> Void) {
        let mustResume = state.withLock { state in
            change(&state)
            defer { state.isSendPaused = false }
            return state.isSendPaused && !state.isEnded
        }
        if mustResume { mailbox.post(.resume(self)) }
    }

    /// Ends the exchange with an error of the caller's side.
    private func fail(_ error: any Error) {
        if finish(throwing: error) { mailbox.post(.cancel(self)) }
    }

    /// Waits until `poll` has a result. Continuations are resumed outside the lock.
    private func wait<Value>(
        _ side: TransferState.Side,
        _ poll: (inout TransferState) -> Result<Value, any Error>?
    ) async throws -> Value {
        while true {
            let (result, generation) = state.withLock { (poll(&$0), $0[side].generation) }
            if let result { return try result.get() }
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { !$0[side].add(continuation, since: generation) }
                if isLate { continuation.resume() }
            }
        }
    }

    // MARK: The loop's side

    var isEnded: Bool { state.withLock { $0.isEnded } }

    func publish(_ head: ResponseHead) {
        let waiters = state.withLock { state in
            state.head = head
            return state[.reader].take()
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Takes bytes of the answer, or refuses all of them when the buffer is full: then the caller's next pull posts `.resume`.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let waiters: [CheckedContinuation<Void, Never>]? = state.withLock { state in
            guard state.arrived.isEmpty || state.arrived.count + bytes.count <= TransferState.mark else {
                state.isReceivePaused = true
                return nil
            }
            state.append(bytes)
            return state[.reader].take()
        }
        for waiter in waiters ?? [] { waiter.resume() }
        return waiters != nil
    }

    /// Copies bytes of the streamed body: their count, 0 at its end, nil when there is none yet (then `.resume` follows).
    func copyOutgoing(into target: UnsafeMutableRawBufferPointer) -> Int? {
        let (count, waiters) = state.withLock { state -> (Int?, [CheckedContinuation<Void, Never>]) in
            let count = state.outgoing.copy(into: target)
            if count > 0 { return (count, state.outgoing.count < TransferState.mark ? state[.writer].take() : []) }
            if state.isBodyEnded { return (0, []) }
            state.isSendPaused = true
            return (nil, [])
        }
        for waiter in waiters { waiter.resume() }
        return count
    }

    /// Which directions wait for the caller.
    var paused: (receiving: Bool, sending: Bool) { state.withLock { ($0.isReceivePaused, $0.isSendPaused) } }

    /// Ends the exchange; false if it had ended before. `whole` is the answer of `Delivery.whole`.
    @discardableResult
    func finish(throwing failure: (any Error)? = nil, whole: (head: ResponseHead, body: [UInt8])? = nil) -> Bool {
        let waiters: [CheckedContinuation<Void, Never>]? = state.withLock { state in
            guard !state.isEnded else { return nil }
            state.isEnded = true
            state.failure = failure
            if let whole {
                state.head = whole.head
                state.arrived = whole.body
            }
            return state[.reader].take() + state[.writer].take()
        }
        for waiter in waiters ?? [] { waiter.resume() }
        return waiters != nil
    }
}
