import CCurl

/// One exchange as the loop's thread sees it. Never leaves that thread.
final class ActiveTransfer {
    let transfer: Transfer
    let handle: CurlHandle
    let clock: LoopClock
    let sockets: SocketSet
    /// False when a proxy may resolve the name: then the socket's address is the proxy's.
    let checksAddress: Bool
    /// A redirect led to a name with a private address.
    var hasRefusedAddress = false

    var head = ResponseHead()
    /// The answer of `Delivery.whole`.
    private(set) var whole: [UInt8] = []
    /// Bytes of a `.bytes` body given to libcurl.
    var bodyOffset = 0
    /// All of the body was given to libcurl.
    var isBodyDone: Bool
    /// What we found wrong in a callback; it explains the code that libcurl ends with.
    private(set) var failure: (kind: HTTPError.Kind, text: String)?

    /// The first request byte may have left.
    private(set) var isSent = false
    private(set) var isAnswered = false
    private(set) var receivedBytes = 0
    let startedAt: Double
    /// The last time a byte moved.
    var activeAt: Double
    var uploadedBytes: Int64 = 0
    /// Which directions rest until the caller's `.resume`.
    var paused = (receiving: false, sending: false)

    init(_ transfer: Transfer, _ handle: CurlHandle, clock: LoopClock, sockets: SocketSet, checksAddress: Bool) {
        self.transfer = transfer
        self.handle = handle
        self.clock = clock
        self.sockets = sockets
        self.checksAddress = checksAddress
        isBodyDone = transfer.body.isEmpty
        startedAt = clock.now
        activeAt = clock.now
    }

    /// Nagle's algorithm on the server's side waits for our acknowledgement between head and body of a small answer.
    var needsQuickAcknowledgement: Bool { isSent && receivedBytes < 64 << 10 }

    var phase: Phase {
        if !isSent { .connecting } else if isAnswered { .receiving } else if !isBodyDone { .sending } else { .waiting }
    }

    func fail(_ kind: HTTPError.Kind, _ text: String) {
        if failure == nil { failure = (kind, text) }
    }

    /// Called before each attempt to send. False stops it: a request that is not idempotent leaves once.
    func willSend() -> Bool {
        if isSent {
            let canRewind = if case .stream = transfer.body { bodyOffset == 0 } else { true }
            guard transfer.request.isIdempotent, canRewind else {
                fail(.reset, "the kept connection broke")
                return false
            }
            // libcurl rewinds only what it has sent, not what it has read.
            bodyOffset = 0
            isBodyDone = transfer.body.isEmpty
            head = ResponseHead()
        }
        isSent = true
        activeAt = clock.now
        return true
    }

    func acceptHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        isAnswered = true
        activeAt = clock.now
        guard !head.isComplete else { return true }
        head.accept(line)
        guard head.isComplete else { return true }
        if head.hasConflictingLengths {
            fail(.truncated, "the answer has contradictory lengths")
            return false
        }
        switch transfer.delivery {
        case .stream: transfer.publish(head)
        case .whole(let limit):
            if let length = head.contentLength, length > 0 { whole.reserveCapacity(min(length, limit, 1 << 20)) }
        }
        return true
    }

    enum Acceptance {
        case taken
        case full
        case refused
    }

    func acceptBody(_ bytes: UnsafeRawBufferPointer) -> Acceptance {
        activeAt = clock.now
        switch transfer.delivery {
        case .whole(let limit):
            guard bytes.count <= limit - whole.count else {
                fail(.bodyTooLarge, "the answer is larger than \(limit) bytes")
                return .refused
            }
            whole.append(contentsOf: bytes)
        case .stream:
            guard transfer.receive(bytes) else {
                paused.receiving = true
                return .full
            }
        }
        receivedBytes += bytes.count
        return .taken
    }

    /// Copies the next part of the body; nil when the caller has none yet.
    func copyBody(into target: UnsafeMutableRawBufferPointer) -> Int? {
        activeAt = clock.now
        let count: Int
        switch transfer.body {
        case .none: count = 0
        case .bytes(let bytes):
            let piece = bytes[bodyOffset...].prefix(target.count)
            target.copyBytes(from: piece)
            count = piece.count
        case .stream:
            guard let copied = transfer.copyOutgoing(into: target) else {
                paused.sending = true
                return nil
            }
            count = copied
        }
        bodyOffset += count
        isBodyDone = count == 0 || transfer.body.length.map { bodyOffset >= $0 } ?? false
        return count
    }
}

/// The time of the current turn of the loop, in seconds since an arbitrary start; never goes back.
final class LoopClock {
    var now: Double = 0
}
