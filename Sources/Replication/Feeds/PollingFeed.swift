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
    public init() {}
}

/// Finds changes by asking, for a primary whose data base is out of reach.
///
/// A hot cycle asks for what is likely to have changed. A sweep, with the requests that the cycle leaves, compares every run and model with
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
    private let schedule = Locked((nextCycle: 0.0, isPrimed: false))
    private let histories: Locked<HistoryWatch>
    /// Experiments that are closed to us, and until when they are not asked for (monotonic seconds): each would have its group split anew.
    private let closed = Locked<[ExperimentID: Double]>([:])
    private static var closedFor: Double { 600 }

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
        budget = RequestBudget(perSecond: configuration.requestsPerSecond, clock: clock)
        comparer = RecordComparer(state)
        histories = Locked(HistoryWatch(longest: configuration.historyPause))
        sweep = Sweep(store, scope, comparer, budget, clock)
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
        do { return try await look(after: text) } catch {
            // What was seen and not told must be told again.
            comparer.forget()
            throw error
        }
    }

    private func look(after text: String) async throws -> FeedReading {
        guard let cursor = try? JSONDecoder().decode(Cursor.self, from: Data(text.utf8)) else {
            throw FeedBreak("its cursor cannot be read")
        }
        let now = clock.monotonicSeconds
        guard now >= schedule.withLock({ $0.nextCycle }) else {
            return FeedReading(changes: try await sweep.goOn(), cursor: text)
        }
        let seenUntil = clock.nowMilliseconds
        var changes: [Change] = []
        var seen: [RunID: Run] = [:]
        let experiments = try await changedExperiments(&changes)
        // Some experiments of many may be closed to us, or be too many at once: a search over all of them is then split until only those fail
        // that are closed.
        let open = closed.withLock { closed in
            closed = closed.filter { $0.value > now }
            return experiments.filter { closed[$0] == nil }
        }
        var groups = Array(open.chunks(of: store.dialect.experimentsPerSearch).reversed())
        while let group = groups.popLast() {
            do {
                try await look(at: group, since: cursor.seenUntil - Int64(configuration.overlap * 1000), &changes, &seen)
            } catch let error as StoreError where group.count > 1 ? error.mayBeOfOneAmongMany : error.isClosed {
                if group.count > 1 {
                    groups += group.halves.reversed()
                } else if let id = group.first {
                    closed.withLock { $0[id] = now + Self.closedFor }
                }
            }
        }
        let changed = Set(changes.filter { $0.key.kind == .run }.map { RunID($0.key.id) })
        let runs = seen.values.sorted { $0.id < $1.id }
        changes += histories.withLock { $0.due(runs, changed: changed, now: now) }.map { Change(.run($0)) }
        var isPrimed = true
        do { try await changedRegisteredModels(&changes) } catch let error as StoreError where error.decision == .setAside {
            // Closed to us: the enumeration has told of it, and runs are followed all the same.
            isPrimed = false
        }
        // That a version is ready shows in no record of its model.
        changes += store.unfinishedModels.sorted { $0.rawValue < $1.rawValue }.filter { scope.contains($0) }.map {
            Change(.registeredModel($0))
        }
        // Where a cycle takes longer than its time, the sweep has a fifth of what is left of that.
        let end = clock.monotonicSeconds
        schedule.withLock { $0 = (max(now + configuration.cycle, end + (end - now) / 4), isPrimed) }
        changes += try await sweep.goOn(over: experiments)
        return FeedReading(changes: changes, cursor: try encode(Cursor(seenUntil: seenUntil)))
    }

    private func encode(_ cursor: Cursor) throws -> String { String(decoding: try JSONEncoder().encode(cursor), as: UTF8.self) }

    // MARK: One hot cycle

    private func look(
        at group: [ExperimentID], since: Int64, _ changes: inout [Change], _ seen: inout [RunID: Run]
    ) async throws {
        try await changedRuns(in: group, since: since, &changes, &seen)
        try await changedLoggedModels(in: group, &changes)
    }

    private func changedExperiments(_ changes: inout [Change]) async throws -> [ExperimentID] {
        var ids: [ExperimentID] = []
        try await budget.pages(.experiments, { try await store.experiments($0) }) { page in
            let inScope = page.filter { scope.contains($0) }
            ids += inScope.map(\.id)
            changes += try comparer.changed(.experiment, inScope.map { ($0.id.rawValue, $0.recordDigest) }).map { Change($0) }
        }
        return ids
    }

    /// Three looks: under way, started lately, ended lately. A run that none of them shows is the sweep's.
    private func changedRuns(
        in group: [ExperimentID], since: Int64, _ changes: inout [Change], _ seen: inout [RunID: Run]
    ) async throws {
        var active = RunQuery(experiments: group)
        active.isActive = true
        var ended = RunQuery(experiments: group)
        ended.endedFrom = since
        let started = RunQuery(experiments: group, startedFrom: since)
        for query in [active, started, ended] {
            try await budget.pages(.runs, { try await store.runs(query, $0) }) { page in
                let runs = page.filter { scope.contains($0) }
                for run in runs { seen[run.id] = run }
                changes += try comparer.changed(runs)
            }
        }
    }

    /// The listing's first page: the sweep reads the others.
    private func changedLoggedModels(in group: [ExperimentID], _ changes: inout [Change]) async throws {
        guard store.dialect.hasLoggedModels else { return }
        try await budget.take(.loggedModels)
        let models = try await store.loggedModels(in: group, nil).elements.filter { scope.contains($0) }
        changes += try comparer.changed(models)
    }

    /// Models whose own record is another than in the last cycle. In the first cycle nothing is known of the last: the sweep compares them.
    private func changedRegisteredModels(_ changes: inout [Change]) async throws {
        let isPrimed = schedule.withLock { $0.isPrimed }
        try await budget.pages(.registry, { try await store.registeredModels($0) }) { page in
            for model in page where !model.isPrompt && scope.contains(model.name) {
                let key = EntityKey.registeredModel(model.name)
                let isNew = try comparer.isUnknown(key)
                if comparer.differs(key, model.recordDigest(with: []).hex + "\(model.lastUpdateTime ?? 0)"), isPrimed || isNew {
                    changes.append(Change(key))
                }
            }
        }
    }
}

/// Tells what is not as it was copied, and does not say the same thing twice.
final class RecordComparer: Sendable {
    private let state: ReplicationState
    /// What was reported, or seen, last: a thing that waits, or was set aside, is not reported again until it is another.
    private let seen = Locked<[EntityKey: String]>([:])
    private static let most = 200_000

    init(_ state: ReplicationState) { self.state = state }

    /// After a reading that was not told.
    func forget() { seen.withLock { $0 = [:] } }

    func changed(_ kind: EntityKey.Kind, _ records: [(id: String, digest: SHA256Digest)]) throws -> [EntityKey] {
        let known = try state.records(kind, records.map(\.id))
        return records.compactMap { record in
            let key = EntityKey(kind, record.id)
            let now = ReplicationState.blob(record.digest)
            if known[record.id] == now {
                seen.withLock { $0[key] = nil }
                return nil
            }
            // Told before, and nothing was copied since: it waits, or was set aside.
            return differs(key, record.digest.hex + " after " + (known[record.id]?.base64EncodedString() ?? "")) ? key : nil
        }
    }

    /// A run that has ended, or was deleted, is looked at whole, once: points that came late among earlier ones show nowhere else.
    func changed(_ runs: [Run]) throws -> [Change] {
        let keys = Set(try changed(.run, runs.map { ($0.id.rawValue, $0.recordDigest) }))
        return runs.filter { keys.contains(.run($0.id)) }.map {
            Change(.run($0.id), $0.status.isTerminal || $0.lifecycle == .deleted ? .whole : .record)
        }
    }

    func changed(_ models: [LoggedModel]) throws -> [Change] {
        try changed(.loggedModel, models.map { ($0.id.rawValue, $0.recordDigest) }).flatMap {
            [Change($0), Change(EntityKey(.loggedModelArtifacts, $0.id))]
        }
    }

    /// Of a thing whose own record does not tell everything: apart from `differs`.
    func differs(fromCopied key: EntityKey, _ digest: SHA256Digest) throws -> Bool {
        if try state.records(key.kind, [key.id])[key.id] == ReplicationState.blob(digest) { return false }
        return differs(EntityKey(key.kind, "whole " + key.id), digest.hex)
    }

    func isUnknown(_ key: EntityKey) throws -> Bool { try state.records(key.kind, [key.id])[key.id] == nil }

    func differs(_ key: EntityKey, _ now: String) -> Bool {
        seen.withLock { seen in
            if seen[key] == now { return false }
            if seen.count >= Self.most { seen = [:] }
            seen[key] = now
            return true
        }
    }
}
