import Logging
import Platforms
import Replication

/// Where a daemon's metrics go: into a text file.
final class MetricsOutlet: Sendable {
    private struct Source {
        var file: String?
        var stores: [Role: OpenedStore] = [:]
        var isBlocked = false
    }
    private let state: ReplicationState
    private let logger: Logger
    private let source = Locked(Source())

    init(_ state: ReplicationState, _ logger: Logger) {
        self.state = state
        self.logger = logger
    }

    /// From now on these stores are spoken of, and the file is this one.
    func follow(_ primary: OpenedStore, _ secondary: OpenedStore, file: String?) {
        source.withLock { source in
            source.file = file
            source.stores = [.primary: primary, .secondary: secondary]
        }
    }

    /// Never fails: a daemon does not end because it cannot tell of itself.
    func tell(_ standing: LiveStanding) {
        let source = source.withLock { $0 }
        guard let path = source.file else { return }
        do {
            let text = try text(standing, source.stores)
            let file = try WholeFile(path: path, mode: 0o644)
            try file.write(Array(text.utf8))
            try file.commit()
            self.source.withLock { $0.isBlocked = false }
        } catch {
            self.source.withLock { $0.isBlocked = true }
            if !source.isBlocked { logger.event(.metricsBlocked, ["detail": "\(error)"]) }
        }
    }

    private func text(_ standing: LiveStanding, _ stores: [Role: OpenedStore]) throws -> String {
        MetricsText(
            standing: standing, deadLetters: try state.deadLetterCount(), conflicts: try state.conflictCounts(),
            pending: try state.pending(), mode: try state.modes.mode, stragglers: try state.stragglerCount(),
            verifiedAt: try state.verifiedAt, stateBytes: state.fileBytes,
            stores: stores.mapValues { MetricsText.Store(requests: $0.figures(), credentialEndsAt: $0.credentialEndsAt) }
        ).text
    }
}
