import GRDB
import Replication
import TestSupport

/// A bug that is put in on purpose: a simulation that does not find it is blind to its like.
public struct PlantedBug: Sendable {
    public let name: String
    /// A trigger of the state file that forgets, or remembers too early: what comes after `CREATE TEMP TRIGGER planted`.
    var trigger: String?
    /// Told about the secondary to the daemon, and done to it.
    var there: (@Sendable (FakeStore.Operation) -> FakeStore.Lie?)?
    /// Likewise of the primary.
    var here: (@Sendable (FakeStore.Operation) -> FakeStore.Lie?)?
    /// What becomes of the changes that a feed has read.
    var changes: (@Sendable ([Change]) -> [Change])?
    /// A precaution that is not taken.
    var configure: (@Sendable (inout LiveConfiguration) -> Void)?
    /// It shows only where a point that is sent twice is there twice: there it is looked for.
    var isOfAppendedPoints = false

    init(
        _ name: String, trigger: String? = nil, there: (@Sendable (FakeStore.Operation) -> FakeStore.Lie?)? = nil,
        here: (@Sendable (FakeStore.Operation) -> FakeStore.Lie?)? = nil, changes: (@Sendable ([Change]) -> [Change])? = nil,
        configure: (@Sendable (inout LiveConfiguration) -> Void)? = nil, isOfAppendedPoints: Bool = false
    ) {
        self.isOfAppendedPoints = isOfAppendedPoints
        self.configure = configure
        self.name = name
        self.trigger = trigger
        self.there = there
        self.here = here
        self.changes = changes
    }

    func plant(inState path: String) throws {
        guard let trigger else { return }
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: "CREATE TRIGGER IF NOT EXISTS planted \(trigger)") }
        try queue.close()
    }

    func plant(_ primary: FakeStore, _ secondary: FakeStore) {
        primary.setLie(here)
        secondary.setLie(there)
    }

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
