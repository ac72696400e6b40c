public import Logging

/// One-shot copy of everything in scope: enumerates the primary into the change log, and drains the log.
///
/// A second run writes nothing; an interrupted one goes on where it was; one with a new state file adopts what it finds by its stamps.
public struct Backfill<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    private let primary: Primary
    private let secondary: Secondary
    private let state: ReplicationState
    private let configuration: MirrorConfiguration
    private let board: ProgressBoard
    private let clock: any ReplicationClock
    private let logger: Logger

    public init(
        primary: Primary, secondary: Secondary, state: ReplicationState, configuration: MirrorConfiguration, board: ProgressBoard,
        clock: any ReplicationClock, logger: Logger
    ) {
        self.primary = primary
        self.secondary = secondary
        self.state = state
        self.configuration = configuration
        self.board = board
        self.clock = clock
        self.logger = logger
    }

    /// - Throws: `MirrorError`, `StoreError` with the decision to stop (or a store that stays unreachable), `StateError`, `CancellationError`.
    public func run() async throws -> BackfillSummary {
        let start = clock.monotonicSeconds
        let mirror = try await prepare(configuration)
        // One that is interrupted leaves a listing to be done, by whoever comes next.
        if try state.enter(configuration.scope, reconciles: true) {
            logger.event(.scopeChanged)
        }
        let asked = try state.control(.reconciling)
        try await Adoption(mirror: mirror).run()
        try await mirror.takeOffEndedMarks()
        try state.requeue(.all, at: clock.nowMilliseconds)
        try state.enter(configuration.rules, at: clock.nowMilliseconds)
        try mirror.takeResolutions()
        let wakeup = Signal()
        let isEnumerated = Locked(false)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await Enumerator(mirror: mirror, wakeup: wakeup).run()
                isEnumerated.withLock { $0 = true }
                wakeup.raise()
            }
            group.addTask {
                try await Replicator(mirror: mirror, wakeup: wakeup).drain { isEnumerated.withLock { $0 } ? .complete : .listing }
            }
            // The first failure ends the others: `waitForAll` would wait for a drain that waits for the listing.
            while try await group.next() != nil {}
        }
        if let asked { try state.endReconciliation(asked) }
        board.update { $0.phase = "done" }
        return try summary(since: start)
    }

    /// What `run` would do, from the records alone: sends no write. The state file should be a copy: what is adopted is noted in it.
    public func plan() async throws -> BackfillSummary {
        let start = clock.monotonicSeconds
        let mirror = try await prepare(configuration)
        try state.enter(configuration.scope)
        try await Adoption(mirror: mirror).run()
        board.count { $0 = Counts() }
        try await Enumerator(mirror: mirror, wakeup: Signal(), isDryRun: true).run()
        return try summary(since: start)
    }

    /// Carries across what a verification has appended to the change log, and nothing else.
    public func repair() async throws -> BackfillSummary {
        let start = clock.monotonicSeconds
        var repairing = configuration
        repairing.repairs = true
        let mirror = try await prepare(repairing)
        board.update { $0.phase = "repairing" }
        try await Replicator(mirror: mirror, wakeup: Signal()).drain { .complete }
        return try summary(since: start)
    }

    private func prepare(_ configuration: MirrorConfiguration) async throws -> Mirror<Primary, Secondary> {
        board.update { $0.phase = "connecting" }
        let pair = try await Pair.identify(primary, secondary, name: configuration.pair)
        try state.bind(pair)
        let mirror = Mirror(
            primary: primary, secondary: secondary, state: state, configuration: configuration,
            stamp: Stamp(pair: pair.name, store: pair.primary), board: board, clock: clock, logger: logger)
        try mirror.obeyModes()
        return mirror
    }

    private func summary(since start: Double) throws -> BackfillSummary {
        var counts = board.snapshot.counts
        counts.deadLetters = try state.deadLetterCount()
        counts.conversions = counts.conversions.filter { $0.value > 0 }
        for (field, count) in primary.unknownFields { counts.leftOut["unknown field \(field)"] = count }
        counts.leftOut = counts.leftOut.filter { $0.value > 0 }
        return BackfillSummary(
            counts: counts, failures: try state.deadLetters(limit: 20).map { "\($0.message) [\($0.reason)]" },
            seconds: clock.monotonicSeconds - start)
    }
}

public struct BackfillSummary: Sendable {
    public var counts: Counts
    /// The first 20 things set aside, each with its reason.
    public var failures: [String]
    public var seconds: Double
    public init(counts: Counts, failures: [String], seconds: Double) {
        self.counts = counts
        self.failures = failures
        self.seconds = seconds
    }
    public var failureCount: Int { counts.deadLetters }
    /// Nothing is set aside.
    public var isComplete: Bool { counts.deadLetters == 0 }
    public var wroteNothing: Bool {
        let entities = [counts.experiments, counts.runs, counts.loggedModels, counts.registeredModels, counts.versions]
        return entities.allSatisfy { $0.created + $0.updated + $0.deleted == 0 } && counts.metricPoints == 0 && counts.files == 0
            && counts.tags == 0 && counts.params == 0
    }
}
