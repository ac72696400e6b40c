/// Goes over everything in scope, a little at a time, for ever.
final class Sweep<Store: TrackingStore>: Sendable {
    private enum Stage {
        case runs(group: Int, startedFrom: Int64?, token: PageToken?)
        case loggedModels(group: Int, token: PageToken?)
        case registry(token: PageToken?)
    }
    private struct State {
        var groups: [[ExperimentID]] = []
        var stage: Stage?
        var startedAt: Int64 = 0
        var finishedStart: Int64?
        /// A place was refused, so that not everything has been compared.
        var hasGaps = false
        /// Since when, and how often, the place that it is at has failed; monotonic seconds.
        var failing: (since: Double, count: Int)?
    }
    /// A place that has failed as often and for as long as this, where everything else is answered, is left out.
    private static var mostFailures: Int { 5 }
    /// Models of one page whose versions fail.
    private static var mostStumbles: Int { 3 }
    private static var longestFailure: Double { 60 }
    private let store: Store
    private let scope: Scope
    private let comparer: RecordComparer
    private let budget: RequestBudget
    private let clock: any ReplicationClock
    private let seen: @Sendable ([Run]) -> Void
    private let state = Locked(State())

    /// - Parameter seen: told of each page of runs.
    init(
        _ store: Store, _ scope: Scope, _ comparer: RecordComparer, _ budget: RequestBudget, _ clock: any ReplicationClock,
        seen: @escaping @Sendable ([Run]) -> Void
    ) {
        self.store = store
        self.scope = scope
        self.comparer = comparer
        self.budget = budget
        self.clock = clock
        self.seen = seen
    }

    /// When the last whole sweep began: nothing is unchecked for longer. Milliseconds since 1970.
    var oldest: Int64? { state.withLock { $0.finishedStart } }

    /// As many pages as may be asked for now. A place that the store refuses is left out; where it fails, the sweep goes on another time.
    func goOn(over experiments: [ExperimentID]? = nil) async throws -> [Change] {
        if let experiments {
            state.withLock { state in
                guard state.stage == nil else { return }
                state.groups = experiments.chunks(of: store.dialect.experimentsPerSearch)
                state.startedAt = clock.nowMilliseconds
                state.hasGaps = false
                state.stage = state.groups.isEmpty ? .registry(token: nil) : .runs(group: 0, startedFrom: nil, token: nil)
            }
        }
        var changes: [Change] = []
        while changes.count < 2000, let (stage, groups) = state.withLock({ state in state.stage.map { ($0, state.groups) } }) {
            let next: Stage?
            do {
                switch stage {
                case .runs(let group, let from, let token):
                    guard await budget.takeNow(.runs) else { return changes }
                    next = try await runs(groups, group, from, token, &changes)
                case .loggedModels(let group, let token):
                    guard await budget.takeNow(.loggedModels) else { return changes }
                    let page = try await store.loggedModels(in: groups[group], token)
                    changes += try comparer.changed(page.elements.filter { scope.contains($0) })
                    next =
                        page.next != nil && page.next != token
                        ? .loggedModels(group: group, token: page.next) : after(models: group, groups)
                case .registry(let token):
                    guard await budget.takeNow(.registry) else { return changes }
                    next = try await registry(token, &changes)
                }
            } catch let error as StoreError {
                guard error.decision == .setAside || hasFailedForLong(error) else { return changes }
                if split(stage) { continue }
                next = after(refused: stage, groups)
                state.withLock { $0.hasGaps = true }
            }
            state.withLock { state in
                state.stage = next
                state.failing = nil
                if next == nil, !state.hasGaps { state.finishedStart = state.startedAt }
            }
        }
        return changes
    }

    private func hasFailedForLong(_ error: StoreError) -> Bool {
        guard error.isRetriable, error.reason != .throttled else { return false }
        let now = clock.monotonicSeconds
        return state.withLock { state in
            let failing = (since: state.failing?.since ?? now, count: (state.failing?.count ?? 0) + 1)
            state.failing = failing
            return failing.count >= Self.mostFailures && now - failing.since >= Self.longestFailure
        }
    }

    /// Some experiments of many may be closed to us: a search over all of them then fails, and is split until only those fail.
    private func split(_ stage: Stage) -> Bool {
        state.withLock { state in
            let at: Int
            switch stage {
            case .runs(let group, _, _), .loggedModels(let group, _): at = group
            case .registry: return false
            }
            let group = state.groups[at]
            guard group.count > 1 else { return false }
            state.groups.replaceSubrange(at...at, with: group.halves)
            // From the halves' start: what was compared already costs a reading.
            if case .runs = stage {
                state.stage = .runs(group: at, startedFrom: nil, token: nil)
            } else {
                state.stage = .loggedModels(group: at, token: nil)
            }
            return true
        }
    }

    private func after(refused stage: Stage, _ groups: [[ExperimentID]]) -> Stage? {
        switch stage {
        case .runs(let group, _, _): after(runs: group, groups)
        case .loggedModels(let group, _): after(models: group, groups)
        case .registry: nil
        }
    }

    /// By start time, as `RunPages` does: what is deleted meanwhile shifts no page past a run.
    private func runs(
        _ groups: [[ExperimentID]], _ group: Int, _ from: Int64?, _ token: PageToken?, _ changes: inout [Change]
    ) async throws -> Stage? {
        let query = RunQuery(experiments: groups[group], startedFrom: from ?? scope.since, startedBefore: scope.until)
        let page = try await store.runs(query, token)
        let runs = page.elements.filter { scope.contains($0) }
        seen(runs)
        changes += try comparer.changed(runs)
        if let next = page.next, page.elements.isEmpty { return .runs(group: group, startedFrom: from, token: next) }
        if let next = page.next, let last = page.elements.last {
            let isSameInstant = from.map { last.startTime <= $0 } ?? false
            return .runs(group: group, startedFrom: last.startTime, token: isSameInstant ? next : nil)
        }
        return after(runs: group, groups)
    }

    private func after(runs group: Int, _ groups: [[ExperimentID]]) -> Stage {
        if group + 1 < groups.count { return .runs(group: group + 1, startedFrom: nil, token: nil) }
        return store.dialect.hasLoggedModels ? .loggedModels(group: 0, token: nil) : .registry(token: nil)
    }

    private func after(models group: Int, _ groups: [[ExperimentID]]) -> Stage {
        group + 1 < groups.count ? .loggedModels(group: group + 1, token: nil) : .registry(token: nil)
    }

    private func registry(_ token: PageToken?, _ changes: inout [Change]) async throws -> Stage? {
        let page = try await store.registeredModels(token)
        var stumbles = 0
        for model in page.elements where !model.isPrompt && scope.contains(model.name) {
            var versions: [ModelVersion] = []
            do {
                try await budget.pages(.registry, { try await store.versions(of: model.name, $0) }) { versions += $0.elements }
            } catch let error as StoreError {
                if error.decision != .setAside {
                    stumbles += 1
                    guard stumbles <= Self.mostStumbles, await store.failsAlone(error) else { throw error }
                }
                state.withLock { $0.hasGaps = true }
                // Who reads it by itself says what is wrong with it.
                if comparer.isNewlyUnread(.registeredModel(model.name), error) { changes.append(Change(.registeredModel(model.name))) }
                continue
            }
            let digest = model.recordDigest(with: versions)
            let key = EntityKey.registeredModel(model.name)
            comparer.noteRead(key)
            if try comparer.differs(fromCopied: key, digest) { changes.append(Change(key)) }
        }
        guard let next = page.next, next != token else { return nil }
        return .registry(token: next)
    }
}
