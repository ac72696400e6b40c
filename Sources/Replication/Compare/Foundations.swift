import Hashing

/// What the versions of models in scope stand on: the runs and logged models whose files are theirs. Where these are out of scope themselves,
/// nothing else compares them.
final class Foundations: Sendable {
    private struct State {
        var seen: Set<EntityKey> = []
        var followed: [ExperimentID: Bool] = [:]
    }
    private let state = Locked(State())
    /// What is followed as a whole, whatever names this comparison is narrowed to.
    let scope: Scope
    /// Memory stays flat: what is more is compared twice rather than remembered.
    private static let most = 50_000

    init(_ scope: Scope) { self.scope = scope.whole }

    /// Many versions stand on one run.
    func isFirst(_ key: EntityKey) -> Bool {
        state.withLock { state in
            if state.seen.count >= Self.most { state.seen = [] }
            return state.seen.insert(key).inserted
        }
    }

    /// - Parameter read: the experiment; nil where the primary has none.
    func follows(_ id: ExperimentID, _ read: () async throws -> Experiment?) async throws -> Bool {
        if scope.hasAllExperiments { return true }
        if let known = state.withLock({ $0.followed[id] }) { return known }
        let follows = try await read().map { scope.contains($0) } ?? false
        state.withLock { state in
            if state.followed.count >= Self.most { state.followed = [:] }
            state.followed[id] = follows
        }
        return follows
    }
}

extension Comparison {
    func compareFoundations(of versions: [ModelVersion]) async throws {
        guard let foundations, !mirror.configuration.scope.hasNoEdge else { return }
        var all: [ModelVersion] = []
        // Files of a copy are those of what it was made of.
        for version in versions { all += try await mirror.retrying { try await mirror.ancestry(of: version) } }
        for version in all {
            let found = References.find(inURI: version.source)
            for run in found.runs.union(version.run.map { [$0] } ?? []).sorted() {
                try await compareFoundation(run, foundations)
            }
            for model in found.models.union(version.loggedModel.map { [$0] } ?? []).sorted() {
                try await compareFoundation(model, foundations)
            }
        }
    }

    private func compareFoundation(_ id: RunID, _ foundations: Foundations) async throws {
        let key = EntityKey.run(id)
        guard foundations.isFirst(key),
            let here = try await readable(key, { try await mirror.primary.run(id) }), try await !mirror.isInScope(here),
            try await follows(key, here.experiment, foundations.scope.contains(here), foundations)
        else { return }
        let there = try mirror.state.secondaryID(.run, id.rawValue)
        let copy = if let there { try await mirror.retrying({ try await mirror.secondary.run(RunID(there)) }) } else { Run?.none }
        try await take(copy.map { .matched(primary: here, secondary: $0) } ?? .missing(primary: here))
    }

    private func compareFoundation(_ id: LoggedModelID, _ foundations: Foundations) async throws {
        let key = EntityKey.loggedModel(id)
        guard foundations.isFirst(key),
            let here = try await readable(key, { try await mirror.primary.loggedModel(id) })
        else { return }
        if let source = here.sourceRun { try await compareFoundation(source, foundations) }
        guard try await !mirror.isInScope(here),
            try await follows(key, here.experiment, foundations.scope.contains(here), foundations)
        else { return }
        tally.compared("logged models")
        try await compare(here)
    }

    /// What went out of scope after it was copied may be another thing by now, and that is meant.
    private func follows(
        _ key: EntityKey, _ experiment: ExperimentID, _ isInScope: Bool, _ foundations: Foundations
    ) async throws -> Bool {
        guard let base = try mirror.state.identity(key.kind, key.id)?.base, base[.brought] == nil else { return true }
        guard isInScope else { return false }
        return try await foundations.follows(experiment) {
            try await mirror.retrying { try await mirror.primary.experiment(experiment) }
        }
    }

    /// Nil when it is gone, or cannot be read: that is told of.
    private func readable<Thing: Sendable>(_ key: EntityKey, _ read: @Sendable () async throws -> Thing?) async throws -> Thing? {
        do { return try await mirror.retrying(read) } catch let error as StoreError where error.isClosed {
            try await tally.unreadable(key.kind, key.id, error.message)
            return nil
        }
    }
}
