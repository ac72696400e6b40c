/// One holder a key at a time; the others wait their turn, first come first served. A cancelled waiter leaves the queue.
final class KeyedLock<Key: Hashable & Sendable>: Sendable {
    private struct Slot {
        let permits = Permits(1)
        var users = 0
    }
    private let slots = Locked<[Key: Slot]>([:])

    func withLock<R: Sendable>(_ key: Key, _ body: () async throws -> R) async throws -> R {
        let permits = slots.withLock { slots in
            slots[key, default: Slot()].users += 1
            return slots[key, default: Slot()].permits
        }
        defer {
            slots.withLock { slots in
                slots[key]?.users -= 1
                if slots[key]?.users == 0 { slots[key] = nil }
            }
        }
        return try await permits.withPermit(body)
    }
}
