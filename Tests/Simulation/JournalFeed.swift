import Replication
import TestSupport

/// A feed over a fake store's journal: what triggers in its database would say.
struct JournalFeed: ChangeFeed {
    let store: FakeStore
    let clock: SimulatedClock
    let name = "journal"
    let sweepOldestAt: Int64? = nil

    func position() async throws -> String { String(store.journalEnd) }

    func read(after cursor: String) async throws -> FeedReading {
        guard let place = Int(cursor) else { throw FeedBreak("\(cursor) is no cursor") }
        let changes = store.journal(from: place)
        return FeedReading(changes: changes, cursor: String(place + changes.count))
    }

    func wait(atMost seconds: Double) async throws {
        let end = store.journalEnd
        var waited = 0.0
        while waited < seconds {
            // As a file that is watched: soon after a change, and never often while there is none.
            let pause = min(seconds, max(0.2, waited / 2))
            try await clock.sleep(seconds: pause)
            waited += pause
            if store.journalEnd != end { return }
        }
    }

    func release(upTo cursor: String) async throws {}
}
