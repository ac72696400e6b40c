import Logging
import Replication

/// Carries out what `ServiceWatch` decides.
final class Announcer: Sendable {
    private let watch: Locked<ServiceWatch>
    private let renewals = Locked(RenewalWatch())
    private let session: Session
    private let state: ReplicationState
    private let logger: Logger
    let metrics: MetricsOutlet

    init(_ session: Session, _ state: ReplicationState, _ logger: Logger) {
        self.session = session
        self.state = state
        self.logger = logger
        metrics = MetricsOutlet(state, logger)
        watch = Locked(ServiceWatch(ServiceWatch.Limits(watchdogSeconds: session.manager.watchdogSeconds)))
    }

    /// Whether the manager has been told that the service is ready.
    var isReady: Bool { watch.withLock { $0.isReady } }

    /// Never fails: a daemon does not end because it cannot tell of itself.
    func take(_ news: LiveNews) {
        let now = session.clock.nowMilliseconds
        // A state file that is waited for is not asked.
        let mode: Mode? = if case .standing = news { try? state.modes.mode } else { nil }
        let announcements = watch.withLock { watch in
            watch.mode = mode ?? watch.mode
            return watch.announce(news, at: now)
        }
        for announcement in announcements {
            switch announcement {
            case .ready: session.manager.ready()
            case .status(let line): session.manager.status(line)
            case .feedWatchdog: session.manager.feedWatchdog()
            case .event(let event, let fields): logger.event(event, fields)
            case .snapshot: tellSnapshot(at: now)
            }
        }
        let counts = metrics.renewals
        for role in renewals.withLock({ $0.look(counts, at: now) }) { logger.event(.credentialsRenewed, ["store": role.rawValue]) }
        if case .standing(let standing) = news { metrics.tell(standing) }
    }

    private func tellSnapshot(at now: Int64) {
        guard logger.logLevel <= MirrorEvent.status.level, let status = try? MirrorStatus(of: state, at: now) else { return }
        let document = StatusDocument(status, StatusVerdict(status))
        guard let json = try? JSONLine.encode(document) else { return }
        logger.event(
            .status,
            [
                "status": json, "mode": document.mode, "state": document.state, "lsn": "\(document.checkpoint)",
                "changes": "\(document.lag.changes)", "lag_ms": "\(Int64((document.lag.seconds ?? 0) * 1000))",
                "dead_letters": "\(document.deadLetters)", "conflicts": "\(document.conflicts)",
            ])
    }
}
