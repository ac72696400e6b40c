import Replication

/// Decides what is told of a daemon's standing, and when: to the service manager, and in events. Pure: time comes with the news.
struct ServiceWatch {
    enum Announcement: Sendable, Hashable {
        case ready
        case status(String)
        case feedWatchdog
        case event(MirrorEvent, [String: String])
        /// The whole standing, as `mlmirror status` shows it.
        case snapshot
    }

    /// Seconds.
    struct Limits: Sendable {
        var fallingBehind = 300.0
        /// Below this it has caught up again.
        var caughtUp = 30.0
        var betweenSnapshots = 60.0
        var betweenCheckpoints = 60.0
        /// Without progress while there is work; then the watchdog is no longer fed.
        var stuck = 300.0

        init(watchdogSeconds: Double? = nil) {
            if let watchdogSeconds { stuck = watchdogSeconds / 2 }
        }
    }

    private enum Lag {
        case unknown, behind, caughtUp
    }

    /// As it was last read.
    var mode = Mode.dual
    private let limits: Limits
    /// Whether the feed and both stores have answered once.
    private(set) var isReady = false
    private var isStuck = false
    private var lag = Lag.unknown
    private var checkpoint: (position: LSN, at: Int64)?
    private var snapshotAt: Int64?
    private var troubles: Set<String> = []

    init(_ limits: Limits = Limits()) { self.limits = limits }

    /// - Parameter now: milliseconds since 1970.
    mutating func announce(_ news: LiveNews, at now: Int64) -> [Announcement] {
        switch news {
        // A full disk is no reason to be killed.
        case .waits(let why): return [.status("waiting: \(why)"), .feedWatchdog]
        case .standing(let standing): return announce(standing, at: now)
        }
    }

    private mutating func announce(_ standing: LiveStanding, at now: Int64) -> [Announcement] {
        var told: [Announcement] = []
        if standing.isConnected, !isReady {
            isReady = true
            told.append(.ready)
        }
        let seconds = standing.oldestWaitingAt.map { max(0, Double(now - $0) / 1000) } ?? 0
        told.append(.status(line(standing, seconds)))
        told += progress(standing)
        told += lag(standing, seconds)
        told += moved(standing, at: now)
        let troubles = Set(standing.report.outages.map(\.store) + (standing.report.feedTrouble == nil ? [] : ["feed"]))
        if snapshotAt.map({ Double(now - $0) >= limits.betweenSnapshots * 1000 || now < $0 }) ?? true || troubles != self.troubles {
            snapshotAt = now
            self.troubles = troubles
            told.append(.snapshot)
        }
        return told
    }

    private mutating func progress(_ standing: LiveStanding) -> [Announcement] {
        guard standing.secondsWithoutProgress >= limits.stuck else {
            isStuck = false
            return [.feedWatchdog]
        }
        defer { isStuck = true }
        return isStuck ? [] : [.event(.stuck, ["seconds": "\(Int(standing.secondsWithoutProgress))", "waiting": "\(standing.waiting)"])]
    }

    private mutating func lag(_ standing: LiveStanding, _ seconds: Double) -> [Announcement] {
        guard standing.isConnected else { return [] }
        let fields = ["changes": "\(standing.waiting)", "lag_ms": "\(Int64(seconds * 1000))", "lsn": "\(standing.checkpoint)"]
        if lag != .behind, seconds >= limits.fallingBehind {
            lag = .behind
            return [.event(.fallingBehind, fields)]
        }
        if lag != .caughtUp, !standing.isReconciling, standing.waiting == 0 || seconds < limits.caughtUp {
            lag = .caughtUp
            return [.event(.caughtUp, fields)]
        }
        return []
    }

    private mutating func moved(_ standing: LiveStanding, at now: Int64) -> [Announcement] {
        guard let last = checkpoint else {
            checkpoint = (standing.checkpoint, now)
            return []
        }
        guard standing.checkpoint != last.position, Double(abs(now - last.at)) >= limits.betweenCheckpoints * 1000 else { return [] }
        checkpoint = (standing.checkpoint, now)
        return [.event(.checkpoint, ["lsn": "\(standing.checkpoint)", "head": "\(standing.head)", "changes": "\(standing.waiting)"])]
    }

    private func line(_ standing: LiveStanding, _ seconds: Double) -> String {
        if let outage = standing.report.outages.first { return "\(mode.rawValue), \(outage.store) is away: \(outage.message)" }
        if let trouble = standing.report.feedTrouble { return "\(mode.rawValue), the feed cannot be read: \(trouble)" }
        guard standing.isConnected else { return "\(mode.rawValue), waiting for the first answers" }
        let lag =
            standing.waiting == 0
            ? "nothing waits" : "\(Quantity.count(standing.waiting, "change")) wait, \(Quantity.duration(seconds)) behind"
        let comparing = standing.isReconciling ? ", comparing everything" : ""
        return "\(mode.rawValue), \(lag)\(comparing), \(Quantity.decimal(standing.report.rates.changesPerSecond)) changes/s"
    }
}
