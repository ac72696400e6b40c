import Logging
import Replication

/// Carries out what `ServiceWatch` decides.
final class Announcer: Sendable {
    private let watch: Locked<ServiceWatch>
    private let session: Session
    private let state: ReplicationState
    private let logger: Logger
    private let metricsFile = Locked<String?>(nil)
    private let isMetricsBlocked = Locked(false)

    init(_ session: Session, _ state: ReplicationState, _ logger: Logger) {
        self.session = session
        self.state = state
        self.logger = logger
        watch = Locked(ServiceWatch(ServiceWatch.Limits(watchdogSeconds: session.manager.watchdogSeconds)))
    }

    /// Where metrics go from now on.
    func writeMetrics(to path: String?) { metricsFile.withLock { $0 = path } }

    /// Never fails: a daemon does not end because it cannot tell of itself.
    func take(_ news: LiveNews) {
        let now = session.clock.nowMilliseconds
        for announcement in watch.withLock({ $0.announce(news, at: now) }) {
            switch announcement {
            case .ready: session.manager.ready()
            case .status(let line): session.manager.status(line)
            case .feedWatchdog: session.manager.feedWatchdog()
            case .event(let event, let fields): logger.event(event, fields)
            case .snapshot: tellSnapshot(at: now)
            }
        }
        if case .standing(let standing) = news, let path = metricsFile.withLock({ $0 }) { writeMetrics(standing, path) }
    }

    private func writeMetrics(_ standing: LiveStanding, _ path: String) {
        do {
            let text = MetricsText(
                standing: standing, deadLetters: try state.deadLetterCount(), conflicts: try state.conflictCount(),
                pending: try state.pending(), mode: try state.modes.mode, stragglers: try state.stragglerCount()
            ).text
            let file = try WholeFile(path: path, mode: 0o644)
            try file.write(Array(text.utf8))
            try file.commit()
            isMetricsBlocked.withLock { $0 = false }
        } catch {
            let wasBlocked = isMetricsBlocked.withLock { isBlocked in
                defer { isBlocked = true }
                return isBlocked
            }
            if !wasBlocked { logger.event(.metricsBlocked, ["detail": "\(error)"]) }
        }
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
