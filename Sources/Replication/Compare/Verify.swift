public import Logging

/// Proof that both sides agree: marches both in one order, in bounded memory, and compares every field of every entity.
///
/// Deep: every metric point, and every byte of every file by its hash.
public struct Verify<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let primary: Primary
    let secondary: Secondary
    let state: ReplicationState
    let configuration: MirrorConfiguration
    let deep: Bool
    let board: ProgressBoard
    let clock: any ReplicationClock
    let logger: Logger

    public init(
        primary: Primary, secondary: Secondary, state: ReplicationState, configuration: MirrorConfiguration, deep: Bool,
        board: ProgressBoard,
        clock: any ReplicationClock, logger: Logger
    ) {
        self.primary = primary
        self.secondary = secondary
        self.state = state
        self.configuration = configuration
        self.deep = deep
        self.board = board
        self.clock = clock
        self.logger = logger
    }

    /// Hands each difference over as it is found, and holds none.
    ///
    /// - Parameter repairing: appends what differs to the change log; `Backfill` then carries it across again.
    /// - Throws: as `Backfill.run`, and whatever `report` throws.
    public func run(repairing: Bool = false, _ report: @escaping @Sendable (Difference) async throws -> Void) async throws -> VerifySummary
    {
        let start = clock.monotonicSeconds
        let pair = try await Pair.identify(primary, secondary, name: configuration.pair)
        try state.bind(pair)
        let mirror = Mirror(
            primary: primary, secondary: secondary, state: state, configuration: configuration,
            stamp: Stamp(pair: pair.name, store: pair.primary), board: board, clock: clock, logger: logger)
        try await Adoption(mirror: mirror).run()
        let tally = Tally(repairing: repairing ? state : nil, clock: clock, report)
        let comparison = Comparison(mirror: mirror, deep: deep, tally: tally, primaryHasLoggedModels: primary.dialect.hasLoggedModels)
        board.update { $0.phase = "experiments" }
        let experiments = try await comparison.compareExperiments()
        board.update { $0.phase = "runs" }
        for group in experiments.chunks(of: 200) {
            try await comparison.compareRuns(group)
        }
        board.update { $0.phase = "models" }
        if primary.dialect.hasLoggedModels {
            try await comparison.compareLoggedModels(experiments)
        }
        try await comparison.compareRegisteredModels()
        board.update { $0.phase = "done" }
        var summary = tally.summary
        summary.seconds = clock.monotonicSeconds - start
        return summary
    }
}

/// Where differences go: counted, handed on, and appended to the log when repairing.
final class Tally: Sendable {
    private let state = Locked(VerifySummary())
    private let repairs: ReplicationState?
    private let report: @Sendable (Difference) async throws -> Void

    private let clock: any ReplicationClock

    init(
        repairing: ReplicationState?, clock: any ReplicationClock, _ report: @escaping @Sendable (Difference) async throws -> Void
    ) {
        repairs = repairing
        self.clock = clock
        self.report = report
    }

    var summary: VerifySummary { state.withLock { $0 } }
    func compared(_ label: String, _ count: Int = 1) { state.withLock { $0.compared[label, default: 0] += count } }
    func converted(_ label: String, _ count: Int = 1) {
        guard count > 0 else { return }
        state.withLock { $0.converted[label, default: 0] += count }
    }
    func leftOut(_ label: String) { state.withLock { $0.leftOut[label, default: 0] += 1 } }

    func note(_ differences: [Difference], repair key: EntityKey? = nil) async throws {
        guard !differences.isEmpty else { return }
        state.withLock { $0.differences += differences.count }
        if let repairs, let key {
            try repairs.forgetBase(key)
            try repairs.append([Change(key)], at: clock.nowMilliseconds)
        }
        for difference in differences { try await report(difference) }
    }

    func unreadable(_ kind: EntityKey.Kind, _ id: String, _ why: String) async throws {
        state.withLock { $0.unreadable += 1 }
        try await report(Difference(kind: kind, primary: id, secondary: nil, field: "unreadable", primaryValue: nil, secondaryValue: why))
    }
}
