import Logging

/// Reads a feed from its cursor on, and appends what it says to the change log, cursor and changes in one transaction.
struct FeedFollower: Sendable {
    let feed: any ChangeFeed
    let state: ReplicationState
    let fresh: FreshRecords
    let clock: any ReplicationClock
    let logger: Logger
    let desk: LiveDesk
    let pause: Double
    let setAside: @Sendable (DeadLetter) throws -> Void

    /// Runs until it is cancelled. What keeps the feed from being read is told once, and waited for.
    func run() async throws {
        var failures = 0
        while true {
            try Task.checkCancellation()
            do {
                let (hasMore, isWhole) = try await readOnce()
                desk.feedAnswered(at: clock.nowMilliseconds, isWhole: isWhole && !hasMore)
                if failures > 0 { logger.event(.feedBack, ["feed": "\(feed.name)"]) }
                failures = 0
                if !hasMore { try await feed.wait(atMost: pause) }
            } catch let error as FeedBreak {
                logger.event(.feedBroken, ["feed": "\(feed.name)", "detail": "\(error)"])
                do { try await begin(why: error.description) } catch { try await rest(after: error, &failures) }
            } catch {
                try await rest(after: error, &failures)
            }
        }
    }

    private func readOnce() async throws -> (hasMore: Bool, isWhole: Bool) {
        guard let cursor = try state.cursor(of: feed.name) else {
            try await begin(why: "the feed \(feed.name) has no cursor")
            return (true, false)
        }
        let reading = try await feed.read(after: cursor)
        for letter in reading.letters { try setAside(letter) }
        guard reading.cursor != cursor || !reading.changes.isEmpty else { return (reading.hasMore, reading.isWhole) }
        fresh.noteChanged(reading.changes.map(\.key))
        try state.append(
            reading.changes, cursor: FeedCursor(feed: feed.name, cursor: reading.cursor), at: clock.nowMilliseconds)
        if !reading.changes.isEmpty { desk.wakeup.raise() }
        try await feed.release(upTo: reading.cursor)
        return (reading.hasMore, reading.isWhole)
    }

    private func begin(why: String) async throws {
        let cursor = try await feed.position()
        try state.beginReconciliation(FeedCursor(feed: feed.name, cursor: cursor), why: why)
        desk.reconcile.raise()
    }

    /// - Throws: what no waiting mends.
    private func rest(after error: any Error, _ failures: inout Int) async throws {
        try Task.checkCancellation()
        if error is CancellationError { throw error }
        // The feed may think that it has told what was not noted: who made it makes another.
        if error is StateError { throw error }
        failures += 1
        desk.feedFailed("\(error)")
        if failures == 1 { logger.event(.feedTrouble, ["feed": "\(feed.name)", "detail": "\(error)"]) }
        try await clock.sleep(seconds: Backoff(first: 1).pause(attempt: failures))
    }
}
