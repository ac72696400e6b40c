import GRDB
public import Replication

/// Changes of an MLflow server, noted by triggers in its SQLite database within the transactions that make them.
public final class TriggerFeed: ChangeFeed {
    public let name = "triggers"
    public let sweepOldestAt: Int64? = nil
    public let uri: DatabaseURI
    let database: MLflowDatabase
    private let server: (any TrackingStore)?
    private let reinstalls: Bool
    private let watch: FileWatch
    private let memory = Locked(Memory())

    struct Memory {
        /// As of the last look at the change table.
        var mark: MLflowDatabase.Mark?
        /// The database and its schema as of when all triggers were there.
        var checked: Checked?
        var releaseIsDue: ContinuousClock.Instant?
    }

    struct Checked: Sendable, Equatable {
        var connection: Int
        var schema: Int64
    }

    /// A look at the change table, in one transaction.
    enum Look: Sendable {
        case reading(FeedReading)
        case position(String)
        /// Triggers are missing or not as they should be.
        case lost(String)
    }

    /// Most rows of one reading.
    static let rowLimit = 250

    /// - Parameters:
    ///   - server: what is read over REST; the database must be the one behind it.
    ///   - reinstalls: triggers that are missing, as after a migration of MLflow's schema, are installed again.
    public init(_ database: MLflowDatabase, behind server: (any TrackingStore)? = nil, reinstalls: Bool = false) {
        self.server = server
        self.database = database
        self.reinstalls = reinstalls
        uri = database.uri
        watch = FileWatch(path: database.uri.path)
    }

    public func position() async throws -> String {
        try await checkServer()
        switch try await look({ _, cursor in .position(cursor.text) }) {
        case .position(let text): return text
        case .reading(let reading): return reading.cursor
        case .lost(let what):
            try reinstall(what)
            guard case .position(let text) = try await look({ _, cursor in .position(cursor.text) }) else { throw lost(what) }
            return text
        }
    }

    /// Two stores would be mixed up for good: asked before a cursor is first given out.
    private func checkServer() async throws {
        guard let server, let shown = try await server.experiments(nil).elements.first else { return }
        guard try await database.holds(shown) else {
            throw FeedError(database.isNotBehind(server.name, shown))
        }
    }

    public func read(after cursor: String) async throws -> FeedReading {
        let path = uri.path
        guard let known = FeedCursor(cursor) else { throw FeedBreak("\(path): the feed's cursor is not one of triggers") }
        switch try await look({ db, now in .reading(try Self.changes(db, after: known, now: now, path)) }) {
        case .reading(let reading): return reading
        case .position(let text): return FeedReading(changes: [], cursor: text)
        case .lost(let what):
            try reinstall(what)
            throw FeedBreak("\(path): triggers were lost (\(what)) and are installed again; what changed meanwhile is not known")
        }
    }

    /// Also looks once a second, for files whose changes the kernel does not report.
    public func wait(atMost seconds: Double) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while true {
            try Task.checkCancellation()
            if try await hasChanged() { return }
            let rest = end - .now
            guard rest > .zero else { return }
            try await watch.wait(atMost: min(1, rest / .seconds(1)))
            if try await hasChanged() { return }
            // In WAL mode the last event can come before what it announces can be read.
            for delay in [0.005, 0.045] {
                try await watch.wait(atMost: min(delay, max(0, (end - .now) / .seconds(1))))
                if try await hasChanged() { return }
            }
        }
    }

    /// A database that cannot be asked now may have changed: reading it says what is wrong.
    private func hasChanged() async throws -> Bool {
        do {
            let mark = try await database.read { _, mark in mark }
            return memory.withLock { $0.mark != mark }
        } catch let error as StoreError where error.isRetriable {
            return false
        }
    }

    // MARK: - Looking

    private func look(_ body: @escaping @Sendable (Database, FeedCursor) throws -> Look) async throws -> Look {
        let checked = memory.withLock { $0.checked }
        let uri = uri
        let (found, mark, schema) = try await database.read { db, mark -> (Look, MLflowDatabase.Mark, Checked) in
            let version = try Int64.fetchOne(db.cachedStatement(sql: "PRAGMA schema_version")) ?? 0
            let schema = Checked(connection: mark.connection, schema: version)
            if schema != checked, let what = try Self.missing(TriggerSet.inspect(db, uri)) { return (.lost(what), mark, schema) }
            guard let cursor = try Self.present(db) else { return (.lost("mlmirror_feed is empty"), mark, schema) }
            return (try body(db, cursor), mark, schema)
        }
        memory.withLock { memory in
            memory.mark = mark
            if case .lost = found { memory.checked = nil } else { memory.checked = schema }
        }
        return found
    }

    private static func present(_ db: Database) throws -> FeedCursor? {
        let sql = "SELECT epoch, coalesce((SELECT max(seq) FROM mlmirror_change), 0), released FROM mlmirror_feed"
        return try Row.fetchOne(db.cachedStatement(sql: sql)).map { FeedCursor(epoch: $0[0], seq: $0[1], released: $0[2]) }
    }

    private static func missing(_ report: TriggerReport) -> String? {
        switch report.status {
        case .complete: nil
        case .incomplete(let names):
            names.prefix(3).joined(separator: ", ") + (names.count > 3 ? " and \(names.count - 3) more" : "") + " missing or changed"
        case .none: "none is there"
        case .otherVersion(let version): "they are of version \(version), this mlmirror knows \(TriggerPlan.version)"
        }
    }

    private func reinstall(_ what: String) throws {
        guard reinstalls else { throw lost(what) }
        try TriggerSet(uri).install()
    }

    private func lost(_ what: String) -> FeedError {
        FeedError("\(uri.path): the triggers are not complete (\(what)). Run `\(uri.installCommand)`, or use feed: poll")
    }

    // MARK: - Releasing

    /// Forgets rows that are in the change log, at most once a second, a little at a time. What cannot be done now is done another time.
    public func release(upTo cursor: String) async throws {
        guard let known = FeedCursor(cursor), releaseIsDue() else { return }
        try await ChangeTrim(database: database).trim(upTo: known)
    }

    private func releaseIsDue() -> Bool {
        memory.withLock { memory in
            let now = ContinuousClock.now
            if let due = memory.releaseIsDue, now < due { return false }
            memory.releaseIsDue = now + .seconds(1)
            return true
        }
    }
}
