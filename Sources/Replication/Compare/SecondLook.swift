import Hashing

/// Things that were found to differ while a daemon was at work: they may only not have been carried across yet.
final class Suspects: Sendable {
    private struct State {
        var differences: [EntityKey: [Difference]] = [:]
        var count = 0
    }
    private let state = Locked(State())
    /// Memory stays flat: what is more is believed at once.
    static let most = 10_000

    /// - Returns: false when there is no room for more.
    func keep(_ differences: [Difference], of key: EntityKey) -> Bool {
        state.withLock { state in
            guard state.count + differences.count <= Self.most else { return false }
            state.count += differences.count
            state.differences[key, default: []] += differences
            return true
        }
    }

    /// In one order, whatever they were found in.
    var all: [(key: EntityKey, differences: [Difference])] {
        state.withLock { $0.differences }.sorted { ($0.key.kind.rawValue, $0.key.id) < ($1.key.kind.rawValue, $1.key.id) }
            .map { ($0.key, $0.value) }
    }
}

/// Looks at what differed again, once the daemon has done what it knew of: whoever still differs does.
struct SecondLook<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let comparison: Comparison<Primary, Secondary>
    let report: @Sendable (Difference) async throws -> Void

    /// What a summary calls things that were being written meanwhile.
    static var movingLabel: String { "things that change at the moment" }

    private static var rounds: Int { 5 }
    /// Seconds for which one round waits for the daemon.
    private static var patience: Double { 60 }

    private var mirror: Mirror<Primary, Secondary> { comparison.mirror }

    /// - Returns: differences, things of which nothing can be said because they do not stand still, of those the ones that the daemon still
    ///   has to carry across, although nobody writes to them, and of these the ones that it had not when it was waited for.
    func run(_ first: Suspects) async throws -> (
        differences: Int, unreadable: Int, moving: Int, waiting: Int, overdue: Int
    ) {
        var suspects = first.all
        var known = LSN(rawValue: 0)
        var (counted, unreadable) = (0, 0)
        var records: [RunID: SHA256Digest] = [:]
        for _ in 0..<Self.rounds where !suspects.isEmpty {
            records = try await activeRuns(suspects.map(\.key))
            known = try await waitForOwner()
            let again = Suspects()
            let tally = Tally(suspects: again, clock: mirror.clock, report)
            let comparison = Comparison(
                mirror: mirror, deep: comparison.deep, tally: tally, primaryHasLoggedModels: comparison.primaryHasLoggedModels,
                foundations: comparison.foundations)
            for (key, found) in suspects {
                try await comparison.compare(key, wasMissing: found.contains { $0.field == "missing" })
            }
            suspects = again.all
            counted += tally.summary.differences
            unreadable += tally.summary.unreadable
        }
        let since = try await activeRuns(suspects.map(\.key))
        var (differences, moving, waiting, overdue) = (counted, 0, 0, 0)
        for (key, found) in suspects {
            let isActive = key.run.map { since[$0] != nil } ?? false
            // One that is refused there does not come because it goes on here.
            let isHopeful = try mirror.state.secondaryID(.run, key.id) != nil && !mirror.state.isSetAside(key)
            let hasMoved = isActive && isHopeful && (key.run.map { records[$0] != since[$0] } ?? false)
            let entry = try mirror.state.entry(key)
            guard !hasMoved, entry == nil else {
                moving += 1
                if let entry {
                    if !isActive { waiting += 1 }
                    // One that is being written may be under way for long; one that is held back is not.
                    let isHeld = try mirror.state.pause != .nothing || mirror.state.isHeld(entry.key)
                    if entry.lsn <= known, !isActive || isHeld { overdue += 1 }
                }
                continue
            }
            differences += found.count
            for difference in found { try await report(difference) }
        }
        return (differences, unreadable, moving, waiting, overdue)
    }

    /// The records of those among them that are being written.
    private func activeRuns(_ keys: [EntityKey]) async throws -> [RunID: SHA256Digest] {
        var records: [RunID: SHA256Digest] = [:]
        for id in Set(keys.compactMap(\.run)).sorted() {
            let run = try await mirror.retrying { try await mirror.primary.run(id) }
            if let run, !run.status.isTerminal { records[id] = run.recordDigest }
        }
        return records
    }

    /// Until everything that is known now is on the secondary. One that is paused, or whose store is away, is not waited for forever.
    ///
    /// - Returns: what was known then.
    private func waitForOwner() async throws -> LSN {
        let head = try mirror.state.head()
        let end = mirror.clock.monotonicSeconds + Self.patience
        // The feed may take a moment to see what the comparison saw.
        try await mirror.clock.sleep(seconds: 2)
        while mirror.clock.monotonicSeconds < end {
            if try mirror.state.checkpoint() >= head { return head }
            try await mirror.clock.sleep(seconds: 0.25)
        }
        return head
    }
}

extension Comparison {
    /// One thing, by the primary's id. What is gone from the primary meanwhile has no difference.
    func compare(_ key: EntityKey, wasMissing: Bool) async throws {
        let mirror = mirror
        switch key.kind {
        case .experiment, .experimentDeletion:
            guard let here = try await mirror.retrying({ try await mirror.primary.experiment(ExperimentID(key.id)) }) else { return }
            // What had no counterpart at the first look has shown nothing of what is in it.
            guard try await compare(here), wasMissing else { return }
            try await compareContents(of: [here.id])
        case .run:
            guard let (here, there) = try await runs(key) else { return }
            try await take(there.map { .matched(primary: here, secondary: $0) } ?? .missing(primary: here))
        case .runArtifacts:
            guard let (here, there) = try await runs(key), let there else { return }
            try await compareFiles(key, of: here, there)
        case .loggedModel, .loggedModelArtifacts:
            guard let here = try await mirror.retrying({ try await mirror.primary.loggedModel(LoggedModelID(key.id)) }) else { return }
            try await compare(here)
        case .registeredModel:
            guard let here = try await mirror.retrying({ try await mirror.primary.registeredModel(ModelName(key.id)) }) else { return }
            try await compare(here)
        }
    }

    private func runs(_ key: EntityKey) async throws -> (Run, Run?)? {
        let mirror = mirror
        guard let here = try await mirror.retrying({ try await mirror.primary.run(RunID(key.id)) }) else { return nil }
        guard let id = try mirror.state.secondaryID(.run, key.id) else { return (here, nil) }
        return (here, try await mirror.retrying { try await mirror.secondary.run(RunID(id)) })
    }
}

extension EntityKey {
    /// The run that it is of.
    fileprivate var run: RunID? { kind == .run || kind == .runArtifacts ? RunID(id) : nil }
}
