/// Records of the primary that enumeration has just read, until the replicator takes them: an entity is then read once, not twice.
///
/// Bounded: who puts waits while it is full. A record is good for every change up to the one that it was read after.
final class FreshRecords: Sendable {
    struct FreshRun: Sendable {
        var run: Run
        /// Histories that were read in bulk with it; a metric that is missing is read by itself.
        /// By name as its bytes say it: a `String` takes two Unicode forms of one text for one, and stores do not.
        var histories: [FieldDigest: [MetricPoint]] = [:]
        var weight: Int { 1 + histories.values.reduce(0) { $0 + $1.count } / 100 }
    }
    enum Record: Sendable {
        case experiment(Experiment)
        case run(FreshRun)
        case loggedModel(LoggedModel)
        case registeredModel(RegisteredModel, [ModelVersion])

        var weight: Int {
            switch self {
            case .run(let fresh): fresh.weight
            case .registeredModel(_, let versions): 1 + versions.count
            case .experiment, .loggedModel: 1
            }
        }
    }
    private struct State {
        var records: [EntityKey: (record: Record, latest: LSN)] = [:]
        var weight = 0
        var roots: [RunID: String] = [:]
        /// Runs that are being applied, without their histories: a child asks for its parent.
        var underway: [RunID: Run] = [:]
        /// What a feed has reported since the listing began: a record that was read before is old.
        var changed: [EntityKey: Int]?
        /// Counts what feeds have reported.
        var tick = 0
    }
    private let state = Locked(State())
    private let taken = Signal()
    /// One is a record, or a hundred metric points: about 20 MB at the very most.
    private static let limit = 4000

    /// What had been reported before a reading begins.
    var mark: Int { state.withLock { $0.tick } }

    /// - Parameter readAfter: the mark when the records began to be read.
    func put(_ records: [(EntityKey, Record, LSN)], readAfter: Int) {
        state.withLock { state in
            for (key, record, latest) in records where state.changed?[key].map({ $0 <= readAfter }) ?? true {
                if let old = state.records.updateValue((record, latest), forKey: key) { state.weight -= old.record.weight }
                state.weight += record.weight
            }
        }
    }

    /// While the primary is listed, changes that a feed reports go before records that were listed earlier.
    func listing<R>(_ body: () async throws -> R) async throws -> R {
        state.withLock { $0.changed = [:] }
        defer { state.withLock { $0.changed = nil } }
        return try await body()
    }

    /// Told of every change that is not the listing's own, before it is in the log.
    func noteChanged(_ keys: some Sequence<EntityKey>) {
        state.withLock { state in
            state.tick += 1
            guard state.changed != nil else { return }
            for key in keys {
                state.changed?[key] = state.tick
                if let old = state.records.removeValue(forKey: key) { state.weight -= old.record.weight }
            }
        }
        taken.raise()
    }

    /// Returns when there is room again.
    func waitForRoom() async throws {
        while state.withLock({ $0.weight > Self.limit }) {
            await taken.wait()
            try Task.checkCancellation()
        }
    }

    /// Where a run's files lie, for the artifact lane that follows: when forgotten, it is asked for.
    func root(of id: RunID) -> String? { state.withLock { $0.roots[id] } }
    func remember(root: String, of id: RunID) {
        state.withLock { state in
            if state.roots.count > 20_000 { state.roots = [:] }
            state.roots[id] = root
        }
    }

    /// Hands a record over, once. One that was read after a newer change than the entry tells of finishes that change too.
    func take(_ entry: inout ChangeLogEntry) -> Record? {
        let found = state.withLock { state in
            let found = state.records.removeValue(forKey: entry.key)
            if let found { state.weight -= found.record.weight }
            return found
        }
        taken.raise()
        guard let found, found.latest >= entry.latest else { return nil }
        entry.latest = found.latest
        // The listing's own entry, which this reading finishes too, concerns everything.
        entry.extent = .whole
        if case .run(let fresh) = found.record { state.withLock { $0.underway[fresh.run.id] = fresh.run } }
        return found.record
    }

    func finished(_ id: RunID) { state.withLock { $0.underway[id] = nil } }

    /// What was put in after its entry had been taken has nobody to take it.
    func discard(_ key: EntityKey, upTo latest: LSN) {
        let isGone = state.withLock { state in
            guard let found = state.records[key], found.latest <= latest else { return false }
            state.records[key] = nil
            state.weight -= found.record.weight
            return true
        }
        if isGone { taken.raise() }
    }

    /// A look without taking: for what another entity needs of this one.
    func peek(_ key: EntityKey) -> Record? { state.withLock { $0.records[key]?.record } }

    func run(_ id: RunID) -> Run? {
        state.withLock { state in
            if let run = state.underway[id] { return run }
            guard case .run(let fresh)? = state.records[.run(id)]?.record else { return nil }
            return fresh.run
        }
    }
}
