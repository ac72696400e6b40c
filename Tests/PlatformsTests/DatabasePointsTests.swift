import GRDB
import Replication
import TestSupport
import Testing

@testable import Platforms

@Suite struct DatabasePointsTests {
    private let fixture: DatabaseFixture

    init() throws { fixture = try DatabaseFixture() }

    private func points(_ run: String, since: Int64, _ metric: String = "m") async throws -> (points: [MetricPoint], sizes: [Int]) {
        let database = try MLflowDatabase(fixture.uri)
        var all: [MetricPoint] = []
        var sizes: [Int] = []
        try await database.points(of: RunID(run), metric: metric, since: since) { page in
            all += page
            sizes.append(page.count)
        }
        return (all, sizes)
    }

    @Test func tiesAndNotANumberKeepTheirOrder() async throws {
        try fixture.point("r", "m", 2, at: 5, step: 1)
        try fixture.point("r", "m", 0, at: 5, step: 1, isNaN: true)
        try fixture.point("r", "m", 0, at: 5, step: 1)
        try fixture.point("r", "m", -1, at: 5, step: 1)
        try fixture.point("r", "m", 9, at: 5, step: -3)
        try fixture.point("r", "m", 7, at: 4)
        try fixture.point("other", "m", 7, at: 5)
        try fixture.point("r", "n", 7, at: 5)
        let found = try await points("r", since: 5).points
        #expect(found.map(\.step) == [-3, 1, 1, 1, 1])
        #expect(found.map { $0.value.isNaN ? "nan" : "\($0.value)" } == ["9.0", "-1.0", "0.0", "nan", "2.0"])
        #expect(try await points("r", since: 6).points.isEmpty)
    }

    /// Full ties run across the ends of pages, and rows of another run lie between.
    @Test func pagesLeaveNothingOutAndNothingTwice() async throws {
        try await fixture.writer.write { db in
            for i in 0..<8000 {
                for run in i % 2 == 0 ? ["a", "r", "z"] : ["r"] {
                    try db.execute(
                        sql: "INSERT INTO metrics (key, value, timestamp, run_uuid, step) VALUES ('m', ?, ?, ?, ?)",
                        arguments: [Double(i), i / 4000, run, i / 2000])
                }
            }
        }
        let (found, sizes) = try await points("r", since: 0)
        #expect(found.map(\.value) == (0..<8000).map(Double.init))
        #expect(sizes.allSatisfy { $0 <= 500 } && sizes.count > 15)
        #expect(try await points("z", since: 1).points.count == 2000)
    }

    @Test func theIndexIsUsedWithoutSorting() throws {
        for sql in [MLflowDatabase.PointQuery.first, MLflowDatabase.PointQuery.next] {
            let plan = try fixture.writer.read { db in
                var arguments: StatementArguments = ["run": "r", "key": "m", "timestamp": 1]
                if sql.contains(":step") { arguments += ["step": 1, "lastRun": "r", "value": 1.5, "nan": 0] }
                return try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + sql, arguments: arguments).map { $0["detail"] as String }
            }
            #expect(plan.count == 1 && plan[0].contains("SEARCH metrics USING COVERING INDEX sqlite_autoindex_metrics_1 (key=? AND"))
        }
    }

    @Test func aRunIsReadWhole() async throws {
        try await fixture.writer.write { db in
            for i in 0..<9000 {
                try db.execute(
                    sql: "INSERT INTO metrics (key, value, timestamp, run_uuid, step) VALUES (?, ?, ?, ?, 0)",
                    arguments: ["m\(i % 3)", Double(i), i % 7 == 0 ? -i : i, i % 2 == 0 ? "r" : "other"])
            }
        }
        try fixture.point("r", "nan", 0, at: 1, isNaN: true)
        let database = try MLflowDatabase(fixture.uri)
        let found = try #require(try await database.histories(of: RunID("r"), limit: 5000))
        #expect(Set(found.keys) == Set(["m0", "m1", "m2", "nan"].map { FieldDigest($0) }))
        #expect(found[FieldDigest("nan")]?.first?.value.isNaN == true)
        for i in 0..<3 {
            let name = "m\(i)"
            let (expected, _) = try await points("r", since: .min, name)
            #expect(expected.count == 1500 && found[FieldDigest(name)] == expected)
            #expect(try await database.history(of: RunID("r"), metric: name, limit: 1500) == expected)
        }
        #expect(try await database.histories(of: RunID("r"), limit: 4500) == nil)
        #expect(try await database.history(of: RunID("r"), metric: "m0", limit: 1499) == nil)
        #expect(try await database.histories(of: RunID("nobody"), limit: 10) == [:])
    }

    /// One history among very many points of others is asked for over REST.
    @Test func aNeedleIsNotSoughtInAHaystack() async throws {
        try await fixture.writer.write { db in
            for i in 0..<60_000 {
                try db.execute(
                    sql: "INSERT INTO metrics (key, value, timestamp, run_uuid, step) VALUES (?, 1, ?, 'r', 0)",
                    arguments: [i == 59_999 ? "m" : "hay", i])
            }
        }
        let database = try MLflowDatabase(fixture.uri)
        #expect(try await database.history(of: RunID("r"), metric: "m", limit: 1000) == nil)
        #expect(try await database.history(of: RunID("r"), metric: "hay", limit: 100_000)?.count == 59_999)
    }

    /// VACUUM may number rows anew: what was read so far is not gone on with.
    @Test func rowsThatAreNumberedAnewAreNotTrusted() async throws {
        try await fixture.writer.write { db in
            for i in 0..<5000 {
                try db.execute(
                    sql: "INSERT INTO metrics (key, value, timestamp, run_uuid, step) VALUES ('m', 1, ?, 'r', 0)", arguments: [i])
            }
        }
        let database = try MLflowDatabase(fixture.uri)
        let writer = fixture.writer
        let isWhole = try await database.forEachPage(of: RunID("r"), metric: nil) { _ in
            try writer.writeWithoutTransaction { try $0.execute(sql: "VACUUM") }
            return true
        }
        #expect(!isWhole)
        try fixture.execute("DROP INDEX index_metrics_run_uuid")
        #expect(try await database.histories(of: RunID("r"), limit: 10_000) == nil)
    }

    @Test func theIndexOfRunsIsUsedWithoutSorting() throws {
        let plan = try fixture.writer.read { db in
            try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + MLflowDatabase.historyQuery, arguments: ["r", 1]).map {
                $0["detail"] as String
            }
        }
        #expect(plan == ["SEARCH metrics USING INDEX index_metrics_run_uuid (run_uuid=? AND rowid>?)"])
    }

    @Test func anotherServersDatabaseIsTold() async throws {
        try fixture.execute("INSERT INTO experiments VALUES (0, 'Default', 'mlflow-artifacts:/0', 'active', 17, 17)")
        let database = try MLflowDatabase(fixture.uri)
        #expect(try await database.holds(experiment(created: 17)))
        #expect(try await !database.holds(experiment(created: 18)))
    }

    private func experiment(created: Int64) -> Experiment {
        Experiment(
            id: ExperimentID("0"), name: "Default", artifactLocation: "mlflow-artifacts:/0", lifecycle: .active, creationTime: created,
            lastUpdateTime: nil, tags: [])
    }
}

@Suite struct FileWatchTests {
    private let fixture: DatabaseFixture
    private let feed: TriggerFeed

    init() throws {
        fixture = try DatabaseFixture()
        try TriggerSet(fixture.uri).install()
        feed = TriggerFeed(try MLflowDatabase(fixture.uri))
    }

    private func seconds(_ body: () async throws -> Void) async rethrows -> Double {
        let began = ContinuousClock.now
        try await body()
        return (ContinuousClock.now - began) / .seconds(1)
    }

    @Test(arguments: ["delete", "truncate", "persist", "wal"]) func aCommitWakes(_ mode: String) async throws {
        try fixture.execute("PRAGMA journal_mode = \(mode)")
        let reader = try await FeedReader(feed)
        let quiet = try await seconds { try await feed.wait(atMost: 0.3) }
        #expect(quiet >= 0.29)
        let fixture = fixture
        let writing = Task {
            try await Task.sleep(for: .milliseconds(200))
            try fixture.point("r", "m", 1, at: 1)
        }
        let woken = try await seconds { try await feed.wait(atMost: 20) }
        try await writing.value
        #expect(woken < 10)
        #expect(try await reader.changes().count == 1)
        // What came before the wait ends it at once.
        try fixture.point("r", "m", 2, at: 2)
        #expect(try await seconds { try await feed.wait(atMost: 20) } < 10)
    }

    /// Without the feed's own look once a second.
    @Test(arguments: ["delete", "truncate", "persist", "wal"]) func anEventIsNotMissed(_ mode: String) async throws {
        try fixture.execute("PRAGMA journal_mode = \(mode)")
        let watch = FileWatch(path: fixture.uri.path)
        try fixture.point("r", "m", 1, at: 1)
        #expect(try await seconds { try await watch.wait(atMost: 60) } < 30)
        while try await seconds({ try await watch.wait(atMost: 0.2) }) < 0.2 {}
        let fixture = fixture
        let writing = Task {
            try await Task.sleep(for: .milliseconds(100))
            try fixture.point("r", "m", 2, at: 2)
        }
        #expect(try await seconds { try await watch.wait(atMost: 60) } < 30)
        try await writing.value
    }

    @Test func aWaitIsCancelled() async throws {
        _ = try await feed.position()
        let feed = feed
        let waiting = Task { try await feed.wait(atMost: 60) }
        try await Task.sleep(for: .milliseconds(100))
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }

    @Test func aWatchEndsItsThread() async throws {
        let watch = FileWatch(path: fixture.uri.path)
        #expect(watch.isWatching)
        watch.close()
        #expect(try await seconds { try await watch.wait(atMost: 0.1) } >= 0.09)
        #expect(!FileWatch(path: fixture.folder.file("none")).isWatching)
    }
}
