import Logging
import Replication

/// Follows the primary under one configuration after the other: SIGHUP brings the next, unless that one is wrong.
struct Daemon: Sendable {
    let session: Session
    let state: ReplicationState
    let logger: Logger
    let load: @Sendable () throws -> MirrorSettings
    let announcer: Announcer
    /// Raised when the configuration is to be read again, also by whoever asked before this began.
    let reload: Signal

    /// Runs until it is cancelled.
    func run(_ first: MirrorSettings) async throws {
        session.signals.onReload {
            // The manager would take the end of a reload for a readiness that has not come yet.
            if announcer.isReady { session.manager.reloading() }
            reload.raise()
        }
        defer { session.signals.onReload { reload.raise() } }
        try announcer.metrics.listen(first.metricsListen)
        defer { announcer.metrics.close() }
        var settings = first
        // What was followed last, until both stores have answered under what came after it.
        let proven = Locked<MirrorSettings?>(nil)
        while true {
            let present = settings
            do {
                settings = try await next(after: present) { proven.withLock { $0 = nil } }
                proven.withLock { $0 = $0 ?? present }
            } catch let error where Self.isOfConfiguration(error) {
                // Its stores were away when it was read, and now say what keeps it from being used.
                guard let last = proven.withLock({ $0 }) else { throw error }
                logger.event(.configurationRefused, ["detail": "\(error)"])
                try announcer.metrics.listen(last.metricsListen)
                proven.withLock { $0 = nil }
                settings = last
            }
        }
    }

    /// Follows until another configuration is there.
    private func next(
        after present: MirrorSettings, onConnection: @escaping @Sendable () -> Void
    ) async throws -> MirrorSettings {
        try await withThrowingTaskGroup(of: MirrorSettings.self) { group in
            group.addTask {
                try await follow(present, onConnection)
                throw CancellationError()
            }
            group.addTask {
                while true {
                    await reload.wait()
                    try Task.checkCancellation()
                    if let new = try await reloaded(present) { return new }
                }
            }
            defer { group.cancelAll() }
            return try await group.next() ?? present
        }
    }

    /// The new configuration, when it can be used as it is: a wrong one is told, and the old one stays.
    private func reloaded(_ present: MirrorSettings) async throws -> MirrorSettings? {
        defer { if announcer.isReady { session.manager.ready() } }
        do {
            let new = try load()
            guard new.state.value == present.state.value, new.pair.value == present.pair.value else {
                throw ConfigurationError(new.state.origin, "another state file or pair needs a restart")
            }
            try await expectUsable(new)
            try announcer.metrics.listen(new.metricsListen)
            logger.event(.configurationReloaded)
            return new
        } catch {
            try Task.checkCancellation()
            logger.event(.configurationRefused, ["detail": "\(error)"])
            return nil
        }
    }

    /// Everything that would end the following of it, as far as it can be known before. A store that is away is none: it is waited for.
    private func expectUsable(_ settings: MirrorSettings) async throws {
        try await session.withOpened(settings) { primary, secondary in
            _ = try session.openFeed(settings, settings.passing(primary.store), state, session.clock)
            do {
                let pair = try await Pair.identify(primary.store, secondary.store, name: settings.pair.value, waits: true)
                // A new file is given its pair by who follows it.
                if try state.pair() != nil { try state.bind(pair) }
            } catch is StoreError {}
        }
    }

    /// Another configuration would not fail so.
    private static func isOfConfiguration(_ error: any Error) -> Bool {
        switch error {
        case is ConfigurationError, is MirrorError: true
        case let error as StateError: error.kind == .otherPair
        default: false
        }
    }

    private func follow(_ settings: MirrorSettings, _ onConnection: @escaping @Sendable () -> Void) async throws {
        try await session.withOpened(settings) { primary, secondary in
            announcer.metrics.follow(primary, secondary, pair: settings.pair.value, file: settings.metricsFile?.value)
            try await follow(settings.passing(primary.store), secondary.store, settings, onConnection)
        }
    }

    private func follow<Primary: TrackingStore, Secondary: WritableStore>(
        _ primary: Primary, _ secondary: Secondary, _ settings: MirrorSettings, _ onConnection: @escaping @Sendable () -> Void
    ) async throws {
        logger.event(.following, ["primary": "\(settings.primary.uri.value)", "secondary": "\(settings.secondary.uri.value)"])
        let (session, state, announcer) = (session, state, announcer)
        var configuration = settings.liveConfiguration()
        if let seconds = session.manager.watchdogSeconds { configuration.reportPause = min(configuration.reportPause, seconds / 3) }
        let live = LiveReplication(
            primary: primary, secondary: secondary, state: state, configuration: configuration, board: ProgressBoard(),
            clock: session.clock, logger: logger,
            tell: { news in
                if case .standing(let standing) = news, standing.isConnected { onConnection() }
                announcer.take(news)
            },
            feed: { try session.openFeed(settings, primary, state, session.clock) })
        try await live.run()
    }
}
