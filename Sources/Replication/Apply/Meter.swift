import Hashing

/// Counts and hashes a file's bytes while they pass. A file is whole only when it has as many bytes as it was listed with.
final class Meter: Sendable {
    private let state = Locked(Box())
    private let board: ProgressBoard

    init(_ board: ProgressBoard) { self.board = board }

    /// `Locked` holds copyable values; the hasher is none. Only ever touched inside the lock.
    private final class Box: @unchecked Sendable {
        var hasher = SHA256Hasher()
        var count: Int64 = 0
    }

    func add(_ chunk: [UInt8], _ path: String, expected: Int64) throws {
        let count = state.withLock { box in
            box.hasher.update(chunk)
            box.count += Int64(chunk.count)
            return box.count
        }
        board.beat()
        if count > expected { throw wrongLength(path, count, expected) }
    }

    func finish(_ path: String, expected: Int64) throws {
        let count = state.withLock { $0.count }
        if count != expected { throw wrongLength(path, count, expected) }
    }

    func digest() -> SHA256Digest { state.withLock { $0.hasher.finish() } }

    private func wrongLength(_ path: String, _ count: Int64, _ expected: Int64) -> StoreError {
        StoreError(
            .retry(after: nil), .truncated,
            "file \"\(path)\": \(count) bytes came, \(expected) were listed; it changed while it was read, or was cut short")
    }
}
