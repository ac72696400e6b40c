public import Logging

/// Follows a primary: a feed fills the change log, the replicator drains it, for months.
///
/// Everything that must outlive the process is in the state file; a process that dies at any moment is continued by the next.
public struct LiveReplication<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    private let primary: Primary
    private let secondary: Secondary
    private let state: ReplicationState
    private let makeFeed: @Sendable () throws -> any ChangeFeed
    private let configuration: LiveConfiguration
    private let board: ProgressBoard
    private let clock: any ReplicationClock
    private let logger: Logger
    private let tell: @Sendable (LiveNews) -> Void

    public init(
        primary: Primary, secondary: Secondary, state: ReplicationState, configuration: LiveConfiguration, board: ProgressBoard,
        clock: any ReplicationClock, logger: Logger, tell: @escaping @Sendable (LiveNews) -> Void = { _ in },
        feed makeFeed: @escaping @Sendable () throws -> any ChangeFeed
    ) {
        self.primary = primary
        self.secondary = secondary
        self.state = state
        self.makeFeed = makeFeed
        self.configuration = configuration
        self.board = board
        self.clock = clock
        self.logger = logger
        self.tell = tell
    }

    /// Runs until it is cancelled.
    ///
    /// - Throws: `CancellationError`, and what no waiting mends: `MirrorError`, `StateError`.
    public func run() async throws {
        let startedAt = clock.nowMilliseconds
        var failures = 0
        while true {
            let began = clock.monotonicSeconds
            do {
                try await follow(startedAt)
            } catch let error as StateError where error.mayPass {
                // Nothing is lost: what was not noted is done again.
                if clock.monotonicSeconds - began > 60 { failures = 0 }
                failures += 1
                if failures == 1 { logger.event(.stateBlocked, ["detail": "\(error)"]) }
                tell(.waits("\(error)"))
                try await clock.sleep(seconds: min(configuration.reportPause, Double(failures)))
            }
        }
    }

    private func follow(_ startedAt: Int64) async throws {
        let desk = LiveDesk()
        let health = StoreHealth(primary: primary, secondary: secondary, clock: clock, logger: logger) { desk.wakeup.raise() }
        let known = try state.pair()
        let pair: Pair
        if let known {
            pair = Pair(name: configuration.mirror.pair, primary: known.primary, secondary: known.secondary)
            try state.bind(pair)
        } else {
            pair = try await identified(health)
        }
        var settings = configuration.mirror
        settings.filePause = Int64(configuration.filePause * 1000)
        settings.fileGrace = Int64(configuration.fileGrace * 1000)
        let mirror = Mirror(
            primary: primary, secondary: secondary, state: state, configuration: settings,
            stamp: Stamp(pair: pair.name, store: pair.primary), board: board, clock: clock, logger: logger)
        desk.set(pause: try state.pause)
        let pausedScope = try state.pausedScope
        mirror.paused.withLock { $0.set(pausedScope) }
        try mirror.obeyModes()
        let feed = try makeFeed()
        let follower = FeedFollower(
            feed: feed, state: state, fresh: mirror.fresh, clock: clock, logger: logger, desk: desk, pause: configuration.feedPause
        ) { letter in
            mirror.tell(letter, try state.setAside(letter, entry: nil, at: clock.nowMilliseconds), again: false)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Changes are seen and noted also while the secondary is away.
            group.addTask { try await follower.run() }
            group.addTask { try await health.watch() }
            group.addTask {
                try await LiveReporter(mirror, desk, health, feed: feed, startedAt, configuration.reportPause, tell: tell).run()
            }
            group.addTask {
                // Who they are is asked at each start: an address may lead elsewhere by now.
                try await replicate(mirror, known == nil ? pair : identified(health), desk, health)
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func replicate(
        _ mirror: Mirror<Primary, Secondary>, _ pair: Pair, _ desk: LiveDesk, _ health: StoreHealth<Primary, Secondary>
    ) async throws {
        try state.enter(configuration.mirror.scope, reconciles: true)
        try await patiently("looking for earlier copies", health) { try await Adoption(mirror: mirror).run() }
        try state.requeue(.all, at: clock.nowMilliseconds)
        try state.enter(mirror.configuration.rules, at: clock.nowMilliseconds)
        desk.setReplicating()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await Reconciler(mirror: mirror, desk: desk).run() }
            group.addTask { try await RequestClerk(mirror: mirror, desk: desk, pause: configuration.requestPause).run() }
            group.addTask { try await watchFiles(mirror, desk) }
            if configuration.fileSweepPerSecond > 0, configuration.mirror.scope.artifacts {
                group.addTask {
                    let sweep = FileSweep(
                        mirror, desk, health, perSecond: configuration.fileSweepPerSecond, pause: configuration.fileSweepPause)
                    try await sweep.run()
                }
            }
            group.addTask {
                try await Cutover(mirror: mirror, desk: desk, pause: configuration.requestPause).run()
            }
            if let canary = canary(pair, desk) { group.addTask { try await canary.run() } }
            group.addTask {
                let replicator = Replicator(mirror: mirror, wakeup: desk.wakeup, health: health)
                try await replicator.drain({ desk.isListing ? .listing : .following }, pause: { desk.pause })
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Asks both stores who they are, for as long as that takes, and compares with what the state file says.
    private func identified(_ health: StoreHealth<Primary, Secondary>) async throws -> Pair {
        try await patiently("connecting", health) {
            let pair = try await Pair.identify(primary, secondary, name: configuration.mirror.pair, waits: true)
            try state.bind(pair)
            return pair
        }
    }

    private func patiently<R: Sendable>(
        _ what: String, _ health: StoreHealth<Primary, Secondary>, _ body: () async throws -> R
    ) async throws -> R {
        board.update { $0.phase = what }
        var failures = 0
        while true {
            do { return try await body() } catch let error as StoreError {
                try Task.checkCancellation()
                let isOwn = await health.suspect(error)
                if isOwn, failures == 0 { logger.event(.cannotGoOn, ["phase": "\(what)", "detail": "\(error)"]) }
                failures += 1
                try await clock.sleep(seconds: Backoff(first: 1).pause(attempt: failures))
            }
        }
    }

    private func canary(_ pair: Pair, _ desk: LiveDesk) -> Canary<Secondary>? {
        guard let settings = configuration.canary, let primary = primary as? any WritableStore else { return nil }
        return Canary(
            primary: primary, secondary: secondary, state: state, configuration: settings, name: "\(pair.name) to \(pair.secondary)",
            since: configuration.mirror.scope.since, clock: clock, logger: logger, desk: desk)
    }

    private func watchFiles(_ mirror: Mirror<Primary, Secondary>, _ desk: LiveDesk) async throws {
        guard configuration.mirror.scope.artifacts else {
            try await clock.sleep(seconds: 86_400 * 365)
            return
        }
        while true {
            let longest = Int64(configuration.longestFilePause * 1000)
            if try state.hasDueFiles(at: clock.nowMilliseconds),
                try state.queueDueFiles(at: clock.nowMilliseconds, longest: longest, limit: 500) > 0
            {
                desk.wakeup.raise()
            }
            try await clock.sleep(seconds: max(0.5, configuration.filePause / 4))
        }
    }
}
