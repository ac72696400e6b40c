/// What a `Transfer` guards with its lock.
struct TransferState {
    /// Bytes held in each direction before the other side must wait.
    static let mark = 256 << 10

    var head: ResponseHead?
    /// Bytes of the answer that nobody took yet.
    var arrived: [UInt8] = []
    var isReceivePaused = false
    var outgoing = ByteQueue()
    var isBodyEnded = false
    var isSendPaused = false
    var isEnded = false
    var failure: (any Error)?
    private var readers = WaiterList()
    private var writers = WaiterList()

    /// Who waits: the one who reads the answer, or the one who brings the body.
    enum Side {
        case reader
        case writer
    }

    subscript(side: Side) -> WaiterList {
        get { side == .reader ? readers : writers }
        _modify {
            switch side {
            case .reader: yield &readers
            case .writer: yield &writers
            }
        }
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        // One allocation per chunk of a large answer instead of a series of doublings.
        if arrived.isEmpty, bytes.count >= 16 << 10 { arrived.reserveCapacity(Self.mark) }
        arrived.append(contentsOf: bytes)
    }

    mutating func takeArrived() -> [UInt8] {
        var bytes: [UInt8] = []
        swap(&bytes, &arrived)
        return bytes
    }
}

/// Bytes in the order they were appended, without copying them on the way in.
struct ByteQueue {
    private var chunks: [HTTPChunk] = []
    private var offset = 0
    private(set) var count = 0

    mutating func append(_ chunk: HTTPChunk) {
        chunks.append(chunk)
        count += chunk.count
    }

    /// Moves as much as there is and fits.
    mutating func copy(into target: UnsafeMutableRawBufferPointer) -> Int {
        var copied = 0
        while copied < target.count, let chunk = chunks.first {
            let piece = chunk[offset...].prefix(target.count - copied)
            UnsafeMutableRawBufferPointer(rebasing: target[copied...]).copyBytes(from: piece)
            copied += piece.count
            offset += piece.count
            if offset == chunk.count {
                chunks.removeFirst()
                offset = 0
            }
        }
        count -= copied
        return copied
    }
}

/// Continuations that wait for a change, with a counter so that a change between looking and waiting is not missed.
struct WaiterList {
    private(set) var generation = 0
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// False when something changed since `generation`.
    mutating func add(_ waiter: CheckedContinuation<Void, Never>, since generation: Int) -> Bool {
        guard generation == self.generation else { return false }
        waiters.append(waiter)
        return true
    }

    /// Marks a change; the caller resumes what is returned, outside the lock.
    mutating func take() -> [CheckedContinuation<Void, Never>] {
        generation += 1
        guard !waiters.isEmpty else { return [] }
        defer { waiters = [] }
        return waiters
    }
}
