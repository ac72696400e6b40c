import Replication
public import TestSupport

/// Every effect of every scenario meets every fate, once and from then on: enumerated, not drawn.
public struct CrashGrid: Sendable {
    public static let fates: [Fate] = [.refused, .answerLost, .diesBefore, .diesAfter, .landsLate, .diesAndLands]

    public struct Failure: Sendable {
        public var scenario: String
        /// Counted from 0.
        public var nth: Int
        public var effect: Step
        public var fate: Fate
        public var isLasting: Bool
        public var findings: [String]
        /// What the daemon tried to write to the secondary.
        public var writes: [FakeStore.Operation]
    }
    public var effects = 0
    public var simulations = 0
    public var seconds = 0.0
    /// By scenario and effect.
    public var failures: [Failure] = []
    public let reach = Reach()

    /// A scenario up to where the daemon is to see what was changed.
    private struct Prepared: Sendable {
        var scenario: Scenario
        var primary: FakeStore
        var secondary: FakeStore
        var state: [UInt8]
        /// The lock file beside it.
        var lock: [UInt8]
        /// Milliseconds: the simulation's time.
        var now: Int64
        var effects: [Step] = []
    }

    private struct Cell: Sendable {
        var scenario: Int
        var nth: Int
        var fate: Fate
        var isLasting: Bool
    }

    /// - Parameter tell: called for each failure, one at a time.
    public static func run(_ scenarios: [Scenario] = Scenario.all, tell: @escaping @Sendable (Failure) -> Void = { _ in }) throws
        -> CrashGrid
    {
        let start = ContinuousClock.now
        let prepared = Locked([Int: Result<Prepared, any Error>]())
        Campaign.forEach(scenarios.count) { index, folder in
            let result = Result { try prepare(scenarios[index], in: folder) }
            prepared.withLock { $0[index] = result }
        }
        let all = prepared.withLock { $0 }
        let ready = try scenarios.indices.compactMap { try all[$0]?.get() }
        let cells = ready.indices.flatMap { scenario in
            ready[scenario].effects.indices.flatMap { nth in
                fates.filter { $0.befalls(ready[scenario].effects[nth]) }.flatMap { fate in
                    [false, true].map { Cell(scenario: scenario, nth: nth, fate: fate, isLasting: $0) }
                }
            }
        }
        let grid = Locked(CrashGrid())
        Campaign.forEach(cells.count) { index, folder in
            let cell = cells[index]
            let one = ready[cell.scenario]
            let (findings, writes) = play(one, cell, in: folder)
            grid.withLock { grid in
                grid.reach.note(one.effects[cell.nth], cell.fate)
                guard !findings.isEmpty else { return }
                let failure = Failure(
                    scenario: one.scenario.name, nth: cell.nth, effect: one.effects[cell.nth], fate: cell.fate,
                    isLasting: cell.isLasting, findings: findings, writes: writes)
                grid.failures.append(failure)
                tell(failure)
            }
        }
        return grid.withLock { grid in
            grid.effects = ready.map(\.effects.count).reduce(0, +)
            grid.simulations = cells.count
            grid.seconds = (ContinuousClock.now - start) / .seconds(1)
            grid.failures.sort { ($0.scenario, $0.nth) < ($1.scenario, $1.nth) }
            return grid
        }
    }

    struct Unfit: Error, CustomStringConvertible {
        var description: String
    }

    private static func prepare(_ scenario: Scenario, in folder: String) throws -> Prepared {
        let path = "\(folder)/prepared.db"
        defer { remove(path) }
        let world = World(seed: 1, appendsPoints: scenario.appendsPoints, isNarrow: scenario.isNarrow, statePath: path)
        let before = world.play(fates: NoFates(), before: { try await scenario.before(Workload(store: world.primary)) }, work: {})
        guard before.findings.isEmpty else { throw Unfit(description: "\(scenario.name), before: \(before.findings)") }
        let state = try StateTemplate.fold(path)
        let lock = try Files.read(path + ".lock")
        try carryOut(scenario, on: world.primary)
        for store in [world.primary, world.secondary] { store.forgetWrites() }
        var prepared = Prepared(
            scenario: scenario, primary: world.primary, secondary: world.secondary, state: state, lock: lock, now: world.scheduler.now)
        let counting = OneFate(nil, nth: .max)
        let findings = play(prepared, counting, isLasting: false, in: folder).findings
        guard findings.isEmpty else { throw Unfit(description: "\(scenario.name), without any fate: \(findings)") }
        // What the daemon notes for itself when all is done is not the scenario's.
        let effects = counting.effects
        let end = effects.lastIndex { $0.place == .secondary || $0.name == "acknowledge" } ?? -1
        guard end >= 0 else { throw Unfit(description: "\(scenario.name) has no effect") }
        prepared.effects = Array(effects[...end])
        return prepared
    }

    private static func carryOut(_ scenario: Scenario, on primary: FakeStore) throws {
        let error = Locked<(any Error)?>(nil)
        try Scheduler(seed: 1).run {
            do { try await scenario.change(Workload(store: primary)) } catch let other { error.withLock { $0 = other } }
        }
        if let error = error.withLock({ $0 }) { throw Unfit(description: "\(scenario.name): \(error)") }
    }

    private static func play(_ prepared: Prepared, _ cell: Cell, in folder: String) -> (findings: [String], writes: [FakeStore.Operation]) {
        let ends = prepared.now + 35_000
        let now = Locked<(@Sendable () -> Int64)>({ 0 })
        let fates = OneFate(cell.fate, nth: cell.nth, lasts: { cell.isLasting && now.withLock { $0 }() < ends })
        return play(prepared, fates, isLasting: cell.isLasting, in: folder, now)
    }

    private static func play(
        _ prepared: Prepared, _ fates: OneFate, isLasting: Bool, in folder: String, _ now: Locked<@Sendable () -> Int64>? = nil
    ) -> (findings: [String], writes: [FakeStore.Operation]) {
        let path = "\(folder)/grid.db"
        defer { remove(path) }
        do {
            try Files.write(path, prepared.state)
            try Files.write(path + ".lock", prepared.lock)
        } catch { return (["\(error)"], []) }
        let world = World(
            seed: 1, at: prepared.now, primary: prepared.primary.copy(), secondary: prepared.secondary.copy(), statePath: path)
        let scheduler = world.scheduler
        now?.withLock { $0 = { scheduler.now } }
        let losesState = prepared.scenario.losesState
        if losesState { remove(path) }
        let outcome = world.play(
            fates: fates,
            work: {
                if isLasting { try await scheduler.sleep(milliseconds: 36_000) }
            }
        )
        return (outcome.findings, world.secondary.writes)
    }

    private static func remove(_ path: String) {
        StateTemplate.remove(path)
        Files.remove(path + ".lock")
    }
}
