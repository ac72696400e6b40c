import FoundationEssentials
import Hashing

/// How a primary is polled.
public struct PollingConfiguration: Sendable, Hashable {
    /// Seconds between two hot cycles: active runs, new ones, ended ones, experiments and the registry.
    public var cycle = 5.0
    /// Seconds that a look at start and end times reaches back: clients give these times, and their clocks differ.
    public var overlap = 600.0
    /// Seconds, at most, between two whole comparisons of the histories of a run that is, or was lately, active.
    public var historyPause = 3600.0
    /// Requests a second, for each class of endpoint.
    public var requestsPerSecond = 5.0
    /// Runs a second that are asked for one by one.
    public var runReadsPerSecond = 5.0
    public init() {}
}

/// Finds changes by asking, for a primary whose data base is out of reach.
///
/// A hot cycle asks for what is likely to have changed: in every experiment, or, where there are too many for its time, in some of them in turn,
/// and for each run that is known to be under way. A sweep, with the requests that the cycle leaves, compares every run and model with
/// what was copied, again and again: it finds edits of old runs, deletions and restored runs. What is missing from a listing is never taken
/// for deleted.
public final class PollingFeed<Store: TrackingStore>: ChangeFeed {
    public let name = "poll"
    private let store: Store
    private let scope: Scope
    private let configuration: PollingConfiguration
    private let clock: any ReplicationClock
    private let budget: RequestBudget
    private let comparer: RecordComparer
    private let sweep: Sweep<Store>
    private let schedule = Locked((nextCycle: 0.0, nextRegistry: 0.0, isPrimed: false))
    private let rotation = Locked<Rotation?>(nil)
    private let active = Locked(ActiveRuns())
    private let histories: Locked<HistoryWatch>
    private let unseen = Locked(Unseen())

    private struct Cursor: Codable {
        /// Milliseconds since 1970: what started, or ended, before has been seen.
        var seenUntil: Int64
    }

    public init(
        _ store: Store, state: ReplicationState, scope: Scope, _ configuration: PollingConfiguration, clock: any ReplicationClock
    ) {
        self.store = store
        self.scope = scope
        self.configuration = configuration
        self.clock = clock
        budget = RequestBudget(
            perSecond: configuration.requestsPerSecond, [.activeRuns: configuration.runReadsPerSecond], clock: clock)
        comparer = RecordComparer(state)
        histories = Locked(HistoryWatch(longest: configuration.historyPause))
        let overlap = configuration.overlap
        sweep = Sweep(store, scope, comparer, budget, clock) { [active] runs in
            active.withLock { $0.note(runs, at: clock.monotonicSeconds, keptFor: overlap) }
        }
    }

    /// Every run has been compared since then (milliseconds since 1970); nil before the first whole sweep.
    public var sweepOldestAt: Int64? { sweep.oldest }

    public func position() async throws -> String { try encode(Cursor(seenUntil: clock.nowMilliseconds)) }

    public func wait(atMost seconds: Double) async throws {
        let rest = schedule.withLock { $0.nextCycle } - clock.monotonicSeconds
        try await clock.sleep(seconds: max(0.05, min(seconds, rest)))
    }

    public func release(upTo cursor: String) async throws {}

    public func read(after text: String) async throws -> FeedReading {
        comparer.beginReading()
        do {
            var reading = try await look(after: text)
            reading.letters = unseen.withLock { $0.takeLetters() }
            return reading
        } catch {
            comparer.forgetReading()
            throw error
        }
    }

    private func look(after text: String) async throws -> FeedReading {
        guard let cursor = try? JSONDecoder().decode(Cursor.self, from: Data(text.utf8)) else {
            throw FeedBreak("its cursor cannot be read")
        }
        let now = clock.monotonicSeconds
        guard now >= schedule.withLock({ $0.nextCycle }) else {
            return FeedReading(changes: try await sweep.goOn(), cursor: text, isWhole: false)
        }
        var changes: [Change] = []
        var seen: [RunID: Run] = [:]
        var rotation = try await currentRotation(cursor, &changes)
        let goesOn = !rotation.isFull || rotation.cycles > 0
        rotation.beginCycle()
        let end = now + configuration.cycle
        // They carry the lag where the searches do not come round in one cycle.
        async let reading = goesOn ? readActiveRuns(from: now, to: end) : []
        repeat {
            let next = rotation.next(atMost: store.dialect.experimentsPerSearch)
            let open = unseen.withLock { unseen in next.filter { !unseen.isClosed($0, at: now) } }
            try await store.inGroups(open, answered: unseen.withLock { $0.answered(besides: open) }) { group in
                try await look(at: group, rotation, &changes, &seen)
                unseen.withLock { $0.noteAnswer(group) }
            } closed: { id, error in
                unseen.withLock { $0.noteClosed(id, error, at: now) }
            }
        } while !rotation.isWhole && clock.monotonicSeconds < end
        let read = try await reading.filter { seen[$0.id] == nil }
        for run in read { seen[run.id] = run }
        changes += try comparer.changed(read)
        active.withLock { $0.note(seen.values, at: clock.monotonicSeconds, keptFor: configuration.overlap) }
        let changed = Set(changes.filter { $0.key.kind == .run }.map { RunID($0.key.id) })
        let runs = seen.values.sorted { $0.id < $1.id }
        changes += histories.withLock { $0.due(runs, changed: changed, now: now) }.map { Change(.run($0)) }
        if now >= schedule.withLock({ $0.nextRegistry }) {
            try await lookAtRegistry(&changes)
            rotation.noteRegistry()
        }
        // That a version is ready shows in no record of its model.
        changes += store.unfinishedModels.sorted { $0.rawValue < $1.rawValue }.filter { scope.contains($0) }.map {
            Change(.registeredModel($0))
        }
        // Where a cycle takes longer than its time, the sweep has a fifth of what is left of that.
        let ended = clock.monotonicSeconds
        schedule.withLock { $0.nextCycle = max(now + configuration.cycle, ended + (ended - now) / 4) }
        changes += try await sweep.goOn(over: rotation.all)
        self.rotation.withLock { $0 = rotation }
        guard rotation.isWhole else { return FeedReading(changes: changes, cursor: text, isWhole: false) }
        return FeedReading(changes: changes, cursor: try encode(Cursor(seenUntil: rotation.startedAt)), isWhole: rotation.sawRegistry)
    }

    /// At most a tenth of the time: one of thousands of models would hold up the runs.
    private func lookAtRegistry(_ changes: inout [Change]) async throws {
        let began = clock.monotonicSeconds
        var isPrimed = true
        do { try await changedRegisteredModels(&changes) } catch let error as StoreError where error.decision == .setAside {
            // Closed to us: the enumeration has told of it, and runs are followed all the same.
            isPrimed = false
        }
        let ended = clock.monotonicSeconds
        schedule.withLock {
            $0.isPrimed = isPrimed
            $0.nextRegistry = ended - began > configuration.cycle / 10 ? ended + (ended - began) * 9 : 0
        }
    }

    /// The one that is under way, or a new one over what is in scope now.
    private func currentRotation(_ cursor: Cursor, _ changes: inout [Change]) async throws -> Rotation {
        let last = rotation.withLock { $0 }
        if let last, !last.isWhole { return last }
        let startedAt = clock.nowMilliseconds
        let experiments = try await changedExperiments(&changes)
        return Rotation(
            experiments, startedAt: startedAt, since: cursor.seenUntil - Int64(configuration.overlap * 1000),
            isFull: last?.tookOneCycle ?? true)
    }

    /// Those that were not seen since `start` (monotonic seconds), as many as there is time and allowance for.
    private func readActiveRuns(from start: Double, to end: Double) async throws -> [Run] {
        var rest = active.withLock { $0.unseen(since: start) }[...]
        var found: [Run] = []
        try await withThrowingTaskGroup(of: (RunID, Run?, isRead: Bool).self) { group in
            func addNext() {
                guard clock.monotonicSeconds < end, let id = rest.popFirst() else { return }
                group.addTask {
                    try await self.budget.take(.activeRuns)
                    do { return (id, try await self.store.run(id), true) } catch let error as StoreError where error.decision == .setAside {
                        return (id, nil, true)
                    } catch let error as StoreError where error.isRetriable {
                        // Another time: one that cannot be read holds up nothing else. That the store is away, the searches tell.
                        return (id, nil, false)
                    }
                }
            }
            for _ in 0..<Self.readsAtOnce { addNext() }
            while let (id, run, isRead) = try await group.next() {
                // Gone, or closed to us.
                if isRead, run == nil { active.withLock { $0.forget(id) } }
                if let run, scope.contains(run) { found.append(run) }
                addNext()
            }
        }
        return found
    }
    private static var readsAtOnce: Int { 8 }

    private func note(_ undecodable: [Undecodable]) {
        guard !undecodable.isEmpty else { return }
        unseen.withLock { $0.note(undecodable, at: clock.monotonicSeconds) }
    }

    private func encode(_ cursor: Cursor) throws -> String { String(decoding: try JSONEncoder().encode(cursor), as: UTF8.self) }

    // MARK: One hot cycle

    private func look(
        at group: [ExperimentID], _ rotation: Rotation, _ changes: inout [Change], _ seen: inout [RunID: Run]
    ) async throws {
        try await changedRuns(in: group, rotation, &changes, &seen)
        try await changedLoggedModels(in: group, &changes)
    }

    private func changedExperiments(_ changes: inout [Change]) async throws -> [ExperimentID] {
        var ids: [ExperimentID] = []
        try await budget.pages(.experiments, { try await store.experiments($0) }) { page in
            note(page.undecodable)
            let page = page.elements
            let inScope = page.filter { scope.contains($0) }
            ids += inScope.map(\.id)
            // One that was copied and has another name now: that it is followed no longer is to be known.
            changes += try comparer.gone(page.filter { !scope.contains($0) }).map { Change($0) }
            changes += try comparer.changed(.experiment, inScope.map { ($0.id.rawValue, $0.recordDigest) }).map { Change($0) }
        }
        return ids
    }

    /// Three looks, or the second alone: under way, started lately, ended lately. A run that none of them shows is the sweep's.
    private func changedRuns(
        in group: [ExperimentID], _ rotation: Rotation, _ changes: inout [Change], _ seen: inout [RunID: Run]
    ) async throws {
        var active = RunQuery(experiments: group)
        active.isActive = true
        var ended = RunQuery(experiments: group)
        ended.endedFrom = rotation.since
        let started = RunQuery(experiments: group, startedFrom: rotation.since)
        for query in rotation.isFull ? [active, started, ended] : [started] {
            try await budget.pages(.runs, { try await store.runs(query, $0) }) { page in
                note(page.undecodable)
                let runs = page.elements.filter { scope.contains($0) }
                for run in runs { seen[run.id] = run }
                changes += try comparer.changed(runs)
            }
        }
    }

    /// The newest: the sweep reads the others.
    private func changedLoggedModels(in group: [ExperimentID], _ changes: inout [Change]) async throws {
        guard store.dialect.hasLoggedModels else { return }
        try await budget.take(.loggedModels)
        let models = try await store.newestLoggedModels(in: group).filter { scope.contains($0) }
        changes += try comparer.changed(models)
    }

    /// Models whose own record is another than in the last cycle. In the first cycle nothing is known of the last: the sweep compares them.
    private func changedRegisteredModels(_ changes: inout [Change]) async throws {
        let isPrimed = schedule.withLock { $0.isPrimed }
        try await budget.pages(.registry, { try await store.glance(atRegisteredModels: $0) }) { page in
            note(page.undecodable)
            for model in page.elements where !model.isPrompt && scope.contains(model.name) {
                let key = EntityKey.registeredModel(model.name)
                let isNew = try comparer.isUnknown(key)
                if comparer.differs(key, model.recordDigest(with: []).hex + "\(model.lastUpdateTime ?? 0)"), isPrimed || isNew {
                    changes.append(Change(key))
                }
            }
        }
    }
}
