/// Entries of some kinds, in log order, with a bound on how many are in flight.
struct Lane: Sendable {
    let kinds: [EntityKey.Kind]
    let window: Int
    private(set) var inFlight = 0
    private var queue: [ChangeLogEntry] = []
    private var cursor = LSN.zero
    /// The log may hold entries behind the cursor.
    private(set) var mayHaveMore = true
    /// Entries up to here that somebody else brings back.
    private var known: (upTo: LSN, keys: Set<EntityKey>) = (.zero, [])

    init(kinds: [EntityKey.Kind], window: Int) {
        self.kinds = kinds
        self.window = window
    }

    private static let readAtOnce = 256

    mutating func logHasGrown() { mayHaveMore = true }
    var isIdle: Bool { inFlight == 0 && queue.isEmpty && !mayHaveMore }
    var hasRoom: Bool { inFlight < window }

    /// The next entry that is not busy; nil when there is none now.
    mutating func next(from state: ReplicationState, isBusy: (EntityKey) -> Bool) throws -> ChangeLogEntry? {
        while queue.isEmpty, mayHaveMore {
            queue = try state.entries(after: cursor, kinds: kinds, limit: Self.readAtOnce)
            mayHaveMore = queue.count == Self.readAtOnce
            if let last = queue.last { cursor = last.lsn }
            if !known.keys.isEmpty {
                let (limit, keys) = known
                queue.removeAll { $0.lsn <= limit && keys.contains($0.key) }
                if cursor >= limit { known.keys = [] }
            }
        }
        guard let at = queue.firstIndex(where: { !isBusy($0.key) }) else { return nil }
        return queue.remove(at: at)
    }

    /// Reads the log from its beginning again.
    ///
    /// - Parameter keys: in flight, resting or parked.
    mutating func rewind(without keys: Set<EntityKey>) {
        known = (max(cursor, known.upTo), keys)
        cursor = .zero
        queue = []
        mayHaveMore = true
    }

    mutating func started() { inFlight += 1 }
    mutating func ended() { inFlight -= 1 }
    /// Back to the front: it is older than what waits.
    mutating func putBack(_ entry: ChangeLogEntry) { queue.insert(entry, at: 0) }
}
