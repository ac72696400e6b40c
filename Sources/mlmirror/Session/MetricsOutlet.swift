import Logging
import Platforms
import Replication

/// Where a daemon's metrics go: into a text file, and to whoever asks the listener.
final class MetricsOutlet: Sendable {
    private struct Source {
        var pair = ""
        var file: String?
        var stores: [Role: OpenedStore] = [:]
        var isBlocked = false
    }
    private let state: ReplicationState
    private let logger: Logger
    private let source = Locked(Source())
    private let latest = Locked<String?>(nil)
    private let listener = Locked<(address: LoopbackAddress, listener: MetricsListener)?>(nil)

    init(_ state: ReplicationState, _ logger: Logger) {
        self.state = state
        self.logger = logger
    }

    /// From now on these stores are spoken of, and the file is this one.
    func follow(_ primary: OpenedStore, _ secondary: OpenedStore, pair: String, file: String?) {
        source.withLock { source in
            source.pair = pair
            source.file = file
            source.stores = [.primary: primary, .secondary: secondary]
        }
    }

    /// How often each store's credentials were renewed, since it was opened.
    var renewals: [Role: Int] { source.withLock { $0.stores }.mapValues { $0.figures().renewals } }

    /// From now on this address is answered; the one before is given up once the new one is taken.
    ///
    /// - Throws: `ConfigurationError` where it cannot be had; everything stays as it was.
    func listen(_ setting: Setting<LoopbackAddress>?) throws {
        guard setting?.value != listener.withLock({ $0?.address }) else { return }
        let new = try setting.map { setting in
            let latest = latest
            do {
                return (setting.value, try MetricsListener(setting.value) { latest.withLock { $0 } })
            } catch let error as MetricsListener.Failure {
                throw ConfigurationError(setting.origin, "metrics_listen: \(error)")
            }
        }
        let old = listener.withLock { listener in
            defer { listener = new }
            return listener
        }
        old?.listener.stop()
        // Whoever is listened for again is shown nothing old.
        if new == nil { latest.withLock { $0 = nil } }
    }

    func close() {
        let old = listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        old?.listener.stop()
    }

    /// Never fails: a daemon does not end because it cannot tell of itself.
    func tell(_ standing: LiveStanding) {
        let source = source.withLock { $0 }
        guard source.file != nil || listener.withLock({ $0 != nil }) else { return }
        do {
            let text = try text(standing, source)
            latest.withLock { $0 = text }
            if let path = source.file {
                let file = try WholeFile(path: path, mode: 0o644)
                try file.write(Array(text.utf8))
                try file.commit()
            }
            self.source.withLock { $0.isBlocked = false }
        } catch {
            self.source.withLock { $0.isBlocked = true }
            if !source.isBlocked { logger.event(.metricsBlocked, ["detail": "\(error)"]) }
        }
    }

    private func text(_ standing: LiveStanding, _ source: Source) throws -> String {
        MetricsText(
            pair: source.pair, standing: standing, deadLetters: try state.deadLetterCount(), conflicts: try state.conflictCounts(),
            pending: try state.pending(), mode: try state.modes.mode, stragglers: try state.stragglerCount(),
            verifiedAt: try state.verifiedAt, stateBytes: state.fileBytes,
            stores: source.stores.mapValues { MetricsText.Store(requests: $0.figures(), credentialEndsAt: $0.credentialEndsAt) }
        ).text
    }
}
