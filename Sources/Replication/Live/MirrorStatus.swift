/// How a mirror stands, from its state file alone: also while no daemon runs.
public struct MirrorStatus: Sendable, Hashable {
    public enum Condition: String, Sendable, Hashable, Codable {
        /// A process has the state file and goes on.
        case running
        case stopped
        /// It runs, and something keeps it from its work.
        case failing
    }
    public var condition = Condition.stopped
    /// What keeps it from its work, first things first.
    public var troubles: [String] = []
    public var pair = ""
    public var checkpoint = LSN.zero
    public var head = LSN.zero
    /// Keys that wait, by kind.
    public var pending: [String: Int] = [:]
    public var lagChanges = 0
    /// Seconds: how old the oldest waiting change is; with none, how long ago the feed last said that there is none. Nil when it never did.
    public var lagSeconds: Double?
    public var deadLetters = 0
    /// Of what was set aside: left out by decision, and not counted above.
    public var discarded = 0
    public var firstDeadLetters: [String] = []
    public var conflicts = 0
    public var modes = ModeLedger()
    public var stragglers = 0
    public var pause = Pause.nothing
    public var pausedScope = NameScope.nothing
    /// Of the changes that wait, those that a paused scope holds.
    public var held = 0
    public var reconciling: String?
    /// What the primary holds and nobody copies, by kind.
    public var uncopied: [String: Int] = [:]
    public var report: LiveReport?
    /// Whoever has the state file is a daemon, which answers what it is asked; another command that has it answers nobody.
    public var hasDaemon: Bool { condition != .stopped && report?.hasEnded == false }

    /// - Parameter milliseconds: now, since 1970.
    public init(of state: ReplicationState, at milliseconds: Int64) throws {
        pair = try state.pair()?.name ?? ""
        // Before the backlog: once it is over, everything that it found is in the log.
        reconciling = try state.control(.reconciling).map { String($0.prefix { $0 != "\n" }) }
        checkpoint = try state.checkpoint()
        head = try state.head()
        for (kind, count) in try state.pending() { pending[kind.rawValue] = count }
        let backlog = try state.backlog()
        (lagChanges, held) = (backlog.count, backlog.held)
        deadLetters = try state.deadLetterCount()
        discarded = try state.discardedCount()
        firstDeadLetters = try state.deadLetters(limit: 5).map { "\($0.message) [\($0.reason)]" }
        conflicts = try state.conflictCount()
        modes = try state.modes
        stragglers = try state.stragglerCount()
        pause = try state.pause
        pausedScope = try state.pausedScope
        uncopied = try state.uncopied
        report = try state.control(.report).flatMap { LiveReport(encoded: $0) }
        if let oldest = backlog.oldest, backlog.count > 0 {
            lagSeconds = max(0, Double(milliseconds - oldest) / 1000)
        } else if let success = report?.feedLastSuccessAt {
            lagSeconds = max(0, Double(milliseconds - success) / 1000)
        }
        guard OwnerLock.isHeld(besides: state.path) else { return }
        condition = .running
        guard let report, !report.hasEnded else { return }
        troubles = report.outages.map { "\($0.store) is away: \($0.message)" }
        if let trouble = report.feedTrouble { troubles.append("the feed cannot be read: \(trouble)") }
        if let trouble = report.listingTrouble { troubles.append("the primary cannot be listed to its end: \(trouble)") }
        if report.canary?.missingSince != nil { troubles.append("the canary does not arrive: \(report.canary?.why ?? "")") }
        if !troubles.isEmpty { condition = .failing }
    }
}
