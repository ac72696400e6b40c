import GRDB
import Replication
import TestSupport

/// A bug that is put in on purpose: a simulation that does not find it is blind to its like.
public struct PlantedBug: Sendable {
    public let name: String
    /// Executed in the state file: triggers that forget, or remember too early.
    var sql = ""
    /// Laid over the secondary.
    var store: (@Sendable (FakeStore) -> Void)?
    var changes: (@Sendable ([Change]) -> [Change])?

    func plant(inState path: String) throws {
        guard !sql.isEmpty else { return }
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }

    func plant(inStore secondary: FakeStore) { store?(secondary) }

    func feed(_ feed: JournalFeed) -> (any ChangeFeed)? { changes.map { ForgetfulFeed(feed: feed, change: $0) } }
}

private struct ForgetfulFeed: ChangeFeed {
    let feed: JournalFeed
    let change: @Sendable ([Change]) -> [Change]
    var name: String { feed.name }
    var sweepOldestAt: Int64? { nil }
    func position() async throws -> String { try await feed.position() }
    func read(after cursor: String) async throws -> FeedReading {
        var reading = try await feed.read(after: cursor)
        reading.changes = change(reading.changes)
        return reading
    }
    func wait(atMost seconds: Double) async throws { try await feed.wait(atMost: seconds) }
    func release(upTo cursor: String) async throws { try await feed.release(upTo: cursor) }
}
