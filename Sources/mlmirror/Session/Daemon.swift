import Logging
import Replication

/// Follows the primary under one configuration after the other: SIGHUP brings the next, unless that one is wrong.
struct Daemon: Sendable {
    let session: Session
    let state: ReplicationState
    let logger: Logger
    let load: @Sendable () throws -> MirrorSettings

    /// Runs until it is cancelled.
    func run(_ first: MirrorSettings) async throws {
        let reload = ReloadBell()
        session.signals.onReload { reload.ring() }
        defer { session.signals.onReload(nil) }
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
        do {
            let new = try load()
            guard new.state.value == present.state.value, new.pair.value == present.pair.value else {
                throw ConfigurationError(new.state.origin, "another state file or pair needs a restart")
            }
            logger.notice("configuration read again")
            return new
        } catch {
            logger.error("configuration refused; the old one stays", metadata: ["why": "\(error)"])
            return nil
        }
    }

    private func follow(_ settings: MirrorSettings) async throws {
        try await session.withStores(settings) { primary, secondary, _ in
            try await follow(primary, secondary, settings)
        }
    }

    private func follow<Primary: TrackingStore, Secondary: WritableStore>(
        _ primary: Primary, _ secondary: Secondary, _ settings: MirrorSettings
    ) async throws {
        logger.notice(
            "following",
            metadata: ["primary": "\(settings.primary.uri.value)", "secondary": "\(settings.secondary.uri.value)"])
        let (session, state) = (session, state)
        let live = LiveReplication(
            primary: primary, secondary: secondary, state: state, configuration: settings.liveConfiguration(), board: ProgressBoard(),
            clock: session.clock, logger: logger, feed: { try session.openFeed(settings, primary, state, session.clock) })
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
