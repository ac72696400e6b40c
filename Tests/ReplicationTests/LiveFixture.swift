import Logging
import TestSupport

@testable import Replication

/// A feed that says what a test tells it.
final class ScriptedFeed: ChangeFeed {
    private struct State {
        var readings: [[Change]] = []
        var isBroken = false
        var failure: (any Error)?
    }
    let name = "scripted"
    let sweepOldestAt: Int64? = nil
    private let state = Locked(State())

    func say(_ changes: [Change]) { state.withLock { $0.readings.append(changes) } }
    func breakOff() { state.withLock { $0.isBroken = true } }
    func fail(_ error: (any Error)?) { state.withLock { $0.failure = error } }

    func position() async throws -> String {
        state.withLock { state in
            state.isBroken = false
            return "\(state.readings.count)"
        }
    }

    func read(after cursor: String) async throws -> FeedReading {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            if state.isBroken { throw FeedBreak("a test broke it") }
            let seen = Int(cursor) ?? 0
            return FeedReading(changes: state.readings[seen...].flatMap { $0 }, cursor: "\(state.readings.count)")
        }
    }

    func wait(atMost seconds: Double) async throws { try await Task.sleep(for: .milliseconds(2)) }
    func release(upTo cursor: String) async throws {}
}

/// Holds up one kind of call until it is opened.
final class Gate: FakeStore.Passage {
    private let name: String
    private let state = Locked((isReached: false, isOpen: false))
    init(on name: String) { self.name = name }
    var isReached: Bool { state.withLock { $0.isReached } }
    func open() { state.withLock { $0.isOpen = true } }

    func request(_ operation: FakeStore.Operation, at store: String) async throws -> @Sendable () async throws -> Void {
        if operation.name == name {
            state.withLock { $0.isReached = true }
            while !state.withLock({ $0.isOpen }) { try await Task.sleep(for: .milliseconds(2)) }
        }
        return {}
    }
}

/// Two stores in memory and a daemon between them.
final class LiveFixture: Sendable {
    let pair: MirrorFixture
    let clock = ScaledClock()
    let feed = ScriptedFeed()
    let news = Locked<[LiveNews]>([])

    init(_ pair: MirrorFixture) { self.pair = pair }

    /// Runs the daemon while `body` runs, then ends it and waits for its end.
    ///
    /// - Parameter polling: the real polling feed instead of the scripted one.
    func live<R: Sendable>(
        polling: Bool = false, disk: (any SimulatedDisk)? = nil, _ change: (inout LiveConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (Observer) async throws -> R
    ) async throws -> R {
        let state =
            try disk.map { try ReplicationState.open(path: pair.statePath, disk: $0) } ?? ReplicationState.open(path: pair.statePath)
        var configuration = LiveConfiguration()
        configuration.mirror = pair.configuration()
        // Its requests are nobody's that a test counts; `FileSweepTests` turns it on.
        configuration.fileSweepPerSecond = 0
        change(&configuration)
        let (feed, clock, primary, news) = (feed, clock, pair.primary, news)
        let scope = configuration.mirror.scope
        let board = ProgressBoard()
        let live = LiveReplication(
            primary: primary, secondary: pair.secondary, state: state, configuration: configuration, board: board, clock: clock,
            logger: pair.logger, tell: { told in news.withLock { $0.append(told) } },
            feed: {
                if polling { return PollingFeed(primary, state: state, scope: scope, PollingConfiguration(), clock: clock) }
                return feed
            })
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask {
                do { try await live.run() } catch is CancellationError {}
                return nil
            }
            group.addTask { try await body(Observer(state: state, board: board)) }
            var result: R?
            while result == nil, let next = try await group.next() { result = next }
            group.cancelAll()
            while try await group.next() != nil {}
            try state.close()
            guard let result else { throw StateError(.fenced, "the daemon ended by itself") }
            return result
        }
    }

    struct Observer: Sendable {
        let state: ReplicationState
        let board: ProgressBoard

        /// Waits until everything that is known is done.
        func settled() async throws {
            try await until("settled") {
                // In this order: the cursor comes with the asking for a reconciliation, which ends when all its changes are in the log.
                try state.cursor(of: "scripted") != nil && state.control(.reconciling) == nil && state.backlog().count == 0
            }
        }

        func until(_ what: String, _ isSo: () throws -> Bool) async throws {
            for _ in 0..<4000 {
                if try isSo() { return }
                try await Task.sleep(for: .milliseconds(5))
            }
            throw StateError(.damaged, "never came about: \(what); \(try state.pending())")
        }
    }
}
