import Logging
import Replication

/// Follows the primary under one configuration after the other: SIGHUP brings the next, unless that one is wrong.
struct Daemon: Sendable {
    let session: Session
    let state: ReplicationState
    let logger: Logger
    let load: @Sendable () throws -> MirrorSettings
    let announcer: Announcer

    /// Runs until it is cancelled.
    func run(_ first: MirrorSettings) async throws {
        let reload = ReloadBell()
        session.signals.onReload {
            session.manager.reloading()
            reload.ring()
        }
        defer { session.signals.onReload(nil) }
        try announcer.metrics.listen(first.metricsListen)
        defer { announcer.metrics.close() }
        var settings = first
        while true {
            let present = settings
            settings = try await withThrowingTaskGroup(of: MirrorSettings.self) { group in
                group.addTask {
                    try await follow(present)
                    throw CancellationError()
                }
                group.addTask {
                    while true {
                        try await reload.wait()
                        if let new = reloaded(present) { return new }
                    }
                }
                defer { group.cancelAll() }
                return try await group.next() ?? present
            }
        }
    }

    /// The new configuration, when it can be used as it is: a wrong one is told, and the old one stays.
    private func reloaded(_ present: MirrorSettings) -> MirrorSettings? {
        defer { session.manager.ready() }
        do {
            let new = try load()
            guard new.state.value == present.state.value, new.pair.value == present.pair.value else {
                throw ConfigurationError(new.state.origin, "another state file or pair needs a restart")
            }
            try announcer.metrics.listen(new.metricsListen)
            logger.event(.configurationReloaded)
            return new
        } catch {
            logger.event(.configurationRefused, ["detail": "\(error)"])
            return nil
        }
    }

    private func follow(_ settings: MirrorSettings) async throws {
        try await session.withOpened(settings) { primary, secondary in
            announcer.metrics.follow(primary, secondary, file: settings.metricsFile?.value)
            try await follow(settings.passing(primary.store), secondary.store, settings)
        }
    }

    private func follow<Primary: TrackingStore, Secondary: WritableStore>(
        _ primary: Primary, _ secondary: Secondary, _ settings: MirrorSettings
    ) async throws {
        logger.event(.following, ["primary": "\(settings.primary.uri.value)", "secondary": "\(settings.secondary.uri.value)"])
        let (session, state, announcer) = (session, state, announcer)
        var configuration = settings.liveConfiguration()
        if let seconds = session.manager.watchdogSeconds { configuration.reportPause = min(configuration.reportPause, seconds / 3) }
        let live = LiveReplication(
            primary: primary, secondary: secondary, state: state, configuration: configuration, board: ProgressBoard(),
            clock: session.clock, logger: logger, tell: { announcer.take($0) },
            feed: { try session.openFeed(settings, primary, state, session.clock) })
        try await live.run()
    }
}

/// Rings when the configuration is to be read again.
private struct ReloadBell: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    init() { (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1)) }
    func ring() { continuation.yield() }
    func wait() async throws {
        var iterator = stream.makeAsyncIterator()
        _ = await iterator.next()
        try Task.checkCancellation()
    }
}
