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
    /// A daemon owns the state file and goes on meanwhile: what differs is looked at again once it has caught up.
    let isVisitor: Bool

    public init(
        primary: Primary, secondary: Secondary, state: ReplicationState, configuration: MirrorConfiguration, deep: Bool,
        board: ProgressBoard,
        clock: any ReplicationClock, logger: Logger, isVisitor: Bool = false
    ) {
        self.primary = primary
        self.secondary = secondary
        self.state = state
        self.configuration = configuration
        self.deep = deep
        self.board = board
        self.clock = clock
        self.logger = logger
        self.isVisitor = isVisitor
    }

    /// Hands each difference over as it is found, and holds none.
    ///
    /// - Parameter repairing: appends what differs to the change log; `Backfill` then carries it across again.
    /// - Throws: as `Backfill.run`, and whatever `report` throws.
    public func run(repairing: Bool = false, _ report: @escaping @Sendable (Difference) async throws -> Void) async throws -> VerifySummary
    {
        let start = clock.monotonicSeconds
        let pair = try await Pair.identify(primary, secondary, name: configuration.pair)
        if isVisitor { try state.expectBound(to: pair) } else { try state.bind(pair) }
        let mirror = Mirror(
            primary: primary, secondary: secondary, state: state, configuration: configuration,
            stamp: Stamp(pair: pair.name, store: pair.primary), board: board, clock: clock, logger: logger)
        try mirror.obeyModes()
        if repairing { try expectNothingElseWaits() }
        if !isVisitor { try await Adoption(mirror: mirror).run() }
        let suspects = isVisitor ? Suspects() : nil
        let tally = Tally(repairing: repairing ? state : nil, suspects: suspects, clock: clock, report)
        let comparison = Comparison(
            mirror: mirror, deep: deep, tally: tally, primaryHasLoggedModels: primary.dialect.hasLoggedModels,
            foundations: Foundations(configuration.scope))
        board.update { $0.phase = "experiments" }
        let experiments = try await comparison.compareExperiments()
        try await comparison.compareContents(of: experiments)
        try await comparison.compareRegisteredModels()
        for (kind, count) in try await mirror.retrying({ try await primary.uncopiedModels() }) { tally.leftOut(kind, count) }
        var summary = tally.summary
        if let suspects {
            board.update { $0.phase = "what differed, once more" }
            let look = SecondLook(comparison: comparison, report: report)
            let found = try await look.run(suspects)
            // What could not wait for a second look is counted already.
            summary.differences += found.differences
            summary.unreadable += found.unreadable
            (summary.waiting, summary.overdue) = (found.waiting, found.overdue)
            if found.moving > 0 { summary.leftOut[SecondLook<Primary, Secondary>.movingLabel] = found.moving }
        }
        board.update { $0.phase = "done" }
        summary.isOfNothing = summary.compared.isEmpty && !configuration.scope.hasNoEdge
        summary.seconds = clock.monotonicSeconds - start
        return summary
    }

    /// A repair carries out the whole change log by its own scope: what waits there by another one would be let go.
    private func expectNothingElseWaits() throws {
        let (count, held, _) = try state.backlog()
        guard count + held > 0, try state.differences(to: configuration.scope) != nil, try !state.isMirroring(configuration.scope) else {
            return
        }
        throw MirrorError(
            .configuration,
            "\(count + held) changes of another scope than this one wait in \(state.path): nothing is repaired before they are carried across. "
                + "Let the daemon or `mlmirror backfill` finish with the configuration's own scope, or repair with that.")
    }
}
