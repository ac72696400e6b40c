import Foundation
import GRDB

@testable import Platforms
import Replication
import TestSupport
import Testing

/// The change table and its cursor, on a database without a server.
@Suite struct TriggerFeedTests {
    private let fixture: DatabaseFixture
    private var set: TriggerSet { TriggerSet(fixture.uri) }

    init() throws { fixture = try DatabaseFixture() }

    private func feed(reinstalls: Bool = false) throws -> TriggerFeed {
        TriggerFeed(try MLflowDatabase(fixture.uri), reinstalls: reinstalls)
    }

    @Test func addressesAreParsed() throws {
        #expect(try DatabaseURI("sqlite:////srv/m.db").path == "/srv/m.db")
        #expect(try DatabaseURI("sqlite:///m.db?timeout=3").path == "m.db")
        #expect(try DatabaseURI("sqlite+pysqlite:////srv/m.db").description == "sqlite:////srv/m.db")
        for text in [
            "postgresql+psycopg2://u:canary@h/d", "mysql://u:canary@h/d", "canary", "sqlite://canary@h/x", "sqlite:///", "sqlite://",
        ] {
            do {
                _ = try DatabaseURI(text)
                Issue.record("\(text) was taken")
            } catch { #expect("\(error)".contains("sqlite:///") || "\(error)".contains("use feed: poll")) }
            #expect(throws: FeedError.self) { try DatabaseURI(text) }
        }
        do { _ = try DatabaseURI("postgresql://u:canary@h/d") } catch { #expect(!"\(error)".contains("canary")) }
    }

    @Test func whatIsNoDatabaseOfMLflowIsRefused() throws {
        let folder = fixture.folder
        #expect(throws: FeedError.self) { try MLflowDatabase(DatabaseURI(path: folder.file("none.db"))) }
        #expect(!FileManager.default.fileExists(atPath: folder.file("none.db")))
        try Data("no database, but long enough to be looked at".utf8).write(to: URL(fileURLWithPath: folder.file("text.db")))
        #expect(throws: FeedError.self) { try MLflowDatabase(DatabaseURI(path: folder.file("text.db"))) }
        try DatabaseQueue(path: folder.file("other.db")).write { try $0.execute(sql: "CREATE TABLE t (a)") }
        #expect(throws: FeedError.self) { try MLflowDatabase(DatabaseURI(path: folder.file("other.db"))) }
    }

    @Test func triggersComeAndGo() async throws {
        #expect(try set.inspect().status == .none)
        await #expect(throws: FeedError.self) { try await feed().position() }
        #expect(try set.install())
        let first = try set.inspect()
        #expect(first.isComplete && first.triggers == 18 && first.epoch?.count == 32 && first.alembicVersion == "abc")
        #expect(!first.isSchemaKnown)
        #expect(try !set.install() && set.inspect() == first)
        try fixture.execute("DROP TRIGGER mlmirror_runs_update")
        #expect(try set.inspect().status == .incomplete(["mlmirror_runs_update"]))
        #expect(try set.install())
        #expect(try set.inspect().isComplete && set.inspect().epoch != first.epoch)
        #expect(try set.remove() && !set.remove())
        #expect(try fixture.leftovers().isEmpty)
    }

    @Test func missingColumnsAreNamed() throws {
        try fixture.execute("ALTER TABLE params RENAME COLUMN run_uuid TO run")
        #expect { try set.install() } throws: { "\($0)".contains("params.run_uuid") && "\($0)".contains("abc") }
    }

    @Test func changesCoalesceAndNothingIsLost() async throws {
        try set.install()
        let reader = try await FeedReader(feed())
        for time in [30, 10, 20] as [Int64] { try fixture.point("r", "loss", 1, at: time) }
        #expect(try await reader.changes() == [Change(EntityKey(.run, "r"), .points, series: ["loss": 10])])
        #expect(try await reader.changes().isEmpty)
        try fixture.point("r", "loss", 2, at: 40)
        try fixture.execute("INSERT INTO params VALUES ('a', '1', 'r')")
        // The earlier point is reported again: `since` is the lowest until the row is released.
        #expect(try await reader.changes() == [Change(EntityKey(.run, "r"), .record, series: ["loss": 10])])
        #expect(try set.inspect().pending == 2)
        try await reader.feed.release(upTo: reader.position)
        #expect(try set.inspect().pending == 1 && set.inspect().released == 5)
        try fixture.point("r", "loss", 3, at: 50)
        #expect(try await reader.changes() == [Change(EntityKey(.run, "r"), .points, series: ["loss": 50])])
    }

    @Test func twoUnicodeFormsOfAMetricAreTwo() async throws {
        try set.install()
        let reader = try await FeedReader(feed())
        try fixture.point("r", "\u{3a9}", 1, at: 30)
        try fixture.point("r", "\u{2126}", 1, at: 10)
        let series = try #require(try await reader.changes().first).series
        #expect(series.count == 2 && series["\u{3a9}"] == 30 && series["\u{2126}"] == 10)
    }

    /// An outer `OR IGNORE` and `OR REPLACE` override what triggers say of conflicts, but not upserts.
    @Test func outerConflictRulesDoNotReachTheTriggers() async throws {
        try set.install()
        let reader = try await FeedReader(feed())
        for rule in ["IGNORE", "REPLACE", "FAIL"] {
            let keys = try await reader.keys {
                try fixture.execute("INSERT OR \(rule) INTO metrics (key, value, timestamp, run_uuid) VALUES ('m', 1, \(rule.count), 'r')")
            }
            #expect(keys == [EntityKey(.run, "r")])
        }
    }

    @Test func updatesThatChangeNothingAreNotReported() async throws {
        try set.install()
        try fixture.execute("INSERT INTO tags VALUES ('a', NULL, 'r'); INSERT INTO experiments VALUES (1, 'e', 'a', 'active', 1, 1)")
        let reader = try await FeedReader(feed())
        try fixture.execute("UPDATE tags SET value = NULL; UPDATE experiments SET last_update_time = 2")
        #expect(try await reader.changes().isEmpty)
        #expect(try await reader.keys { try fixture.execute("UPDATE tags SET value = ''") } == [EntityKey(.run, "r")])
        #expect(try await reader.keys { try fixture.execute("UPDATE experiments SET name = 'f'") } == [EntityKey(.experiment, "1")])
    }

    @Test func manyRowsComeInPagesAndAreTrimmed() async throws {
        try set.install()
        let reader = try await FeedReader(feed())
        try fixture.execute(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4500) INSERT INTO runs (run_uuid, experiment_id) SELECT 'r' || i, 0 FROM n"
        )
        var sizes: [Int] = []
        while case let changes = try await reader.changes(), !changes.isEmpty { sizes.append(changes.count) }
        #expect(sizes == Array(repeating: TriggerFeed.rowLimit, count: 18))
        try await reader.feed.release(upTo: reader.position)
        #expect(try set.inspect().pending == 1 && set.inspect().seq == 4500)
        #expect(
            try await reader.keys { try fixture.execute("UPDATE runs SET name = 'x' WHERE run_uuid = 'r7'") } == [EntityKey(.run, "r7")])
        #expect(try set.inspect().seq == 4501)
    }

    @Test func aRestoredCopyBreaksTheFeed() async throws {
        try set.install()
        let reader = try await FeedReader(feed())
        try fixture.point("r", "loss", 1, at: 1)
        let copy = fixture.folder.file("copy.db")
        try FileManager.default.copyItem(atPath: fixture.uri.path, toPath: copy)
        _ = try await reader.changes()
        try fixture.point("s", "loss", 1, at: 1)
        _ = try await reader.changes()
        try await reader.feed.release(upTo: reader.position)
        #expect(rename(copy, fixture.uri.path) == 0)
        await #expect(throws: FeedBreak.self) { try await reader.changes() }
        // More writes hide that the counter went back, but not that less was released.
        let other = try DatabaseQueue(path: fixture.uri.path)
        try await other.write { for i in 0..<9 { try $0.execute(sql: "INSERT INTO runs (run_uuid) VALUES (?)", arguments: ["n\(i)"]) } }
        let later = FeedReading(changes: [], cursor: reader.position.replacing(/:\d+$/, with: ":2"))
        await #expect(throws: FeedBreak.self) { try await reader.feed.read(after: later.cursor) }
    }

    @Test func lostTriggersAreNoticed() async throws {
        try set.install()
        let strict = try await FeedReader(feed())
        let mending = try await FeedReader(feed(reinstalls: true))
        #expect(try await strict.changes().isEmpty)
        // As a migration does it.
        try fixture.execute(
            """
            CREATE TABLE _alembic_tmp AS SELECT * FROM metrics; DROP TABLE metrics; \(DatabaseFixture.metricsTable)
            DROP TABLE _alembic_tmp; ALTER TABLE params RENAME TO old_params; ALTER TABLE old_params RENAME TO params
            """)
        do {
            _ = try await strict.changes()
            Issue.record("the loss was not noticed")
        } catch let error as FeedError {
            #expect(error.description.contains("mlmirror feed install --database \(fixture.uri)"))
        }
        await #expect(throws: FeedBreak.self) { try await mending.changes() }
        #expect(try set.inspect().isComplete)
        await #expect(throws: FeedBreak.self) { try await strict.changes() }
        let again = try await FeedReader(feed())
        #expect(try await again.keys { try fixture.point("r", "m", 1, at: 1) } == [EntityKey(.run, "r")])
    }

    @Test func aDatabaseInUseIsTrimmedAnotherTime() async throws {
        try set.install()
        let reader = try await FeedReader(feed())
        for i in 0..<3 { try fixture.point("r\(i)", "m", 1, at: 1) }
        _ = try await reader.changes()
        // Another program in the midst of a write: trimming gives up, quietly.
        try fixture.execute("BEGIN IMMEDIATE")
        try await reader.feed.release(upTo: reader.position)
        try fixture.execute("COMMIT")
        #expect(try set.inspect().pending == 3)
    }
}
