import GRDB
import Replication

/// The triggers in an MLflow database that note what changes: installed, looked at and removed over connections of their own.
///
/// They run inside MLflow's own transactions. There is one reader: a second mirror of the same database needs a feed of another kind.
public struct TriggerSet: Sendable {
    public let uri: DatabaseURI
    public init(_ uri: DatabaseURI) { self.uri = uri }

    /// - Throws: `FeedError`, `StoreError`.
    public func inspect() throws -> TriggerReport {
        let database = try MLflowDatabase(uri, busySeconds: 5)
        defer { database.close() }
        return try database.readNow { db in try Self.inspect(db, uri) }
    }

    /// Makes the triggers complete, in one transaction; those that are incomplete are all made anew, with a new epoch.
    ///
    /// - Returns: false when they were complete: nothing was changed.
    /// - Throws: `FeedError`, `StoreError`; a retriable one where the database is locked.
    @discardableResult
    public func install() throws -> Bool {
        if try inspect().isComplete { return false }
        return try MLflowDatabase.withWriter(uri) { queue in
            try queue.inTransaction(.immediate) { db in
                let plan = try TriggerPlan(db, uri.path)
                try Self.drop(db)
                for text in TriggerPlan.tableTexts.values { try db.execute(sql: text) }
                let row = "INSERT INTO mlmirror_feed (id, version, epoch, released) VALUES (1, ?, lower(hex(randomblob(16))), 0)"
                try db.execute(sql: row, arguments: [TriggerPlan.version])
                for text in plan.triggers.values { try db.execute(sql: text) }
                return .commit
            }
            return true
        }
    }

    /// Leaves nothing behind.
    ///
    /// - Returns: false when there was nothing.
    /// - Throws: as `install`.
    @discardableResult
    public func remove() throws -> Bool {
        if try inspect().status == .none { return false }
        return try MLflowDatabase.withWriter(uri) { queue in
            try queue.inTransaction(.immediate) { db in
                try Self.drop(db)
                return .commit
            }
            return true
        }
    }

    // MARK: - In a transaction

    private static func present(_ db: Database) throws -> [String: (type: String, text: String)] {
        let sql = #"SELECT name, type, sql FROM sqlite_master WHERE name LIKE 'mlmirror\_%' ESCAPE '\' AND type IN ('trigger', 'table')"#
        var found: [String: (type: String, text: String)] = [:]
        for row in try Row.fetchAll(db, sql: sql) { found[row[0]] = (row[1], row[2] ?? "") }
        return found
    }

    /// Triggers first: nothing must run that names a table that is gone.
    private static func drop(_ db: Database) throws {
        let objects = try present(db)
        for type in ["trigger", "table"] {
            for (name, object) in objects where object.type == type {
                try db.execute(sql: "DROP \(type.uppercased()) \(name.quotedDatabaseIdentifier)")
            }
        }
    }

    static func inspect(_ db: Database, _ uri: DatabaseURI) throws -> TriggerReport {
        let plan = try TriggerPlan(db, uri.path)
        let found = try present(db)
        let expected = plan.triggers.merging(TriggerPlan.tableTexts) { own, _ in own }
        var report = TriggerReport(status: .none, seq: 0, released: 0, pending: 0, triggers: 0, alembicVersion: plan.alembicVersion)
        report.triggers = plan.triggers.count { found[$0.key]?.text == $0.value }
        guard !found.isEmpty else { return report }
        // A trigger that is too much would go on noting, or failing.
        let wrong = expected.keys.filter { found[$0]?.text != expected[$0] } + found.keys.filter { expected[$0] == nil }
        report.status = wrong.isEmpty ? .complete : .incomplete(wrong.sorted())
        guard found[TriggerPlan.feedTable]?.text == TriggerPlan.tableTexts[TriggerPlan.feedTable] else { return report }
        guard let row = try Row.fetchOne(db, sql: "SELECT version, epoch, released FROM mlmirror_feed") else {
            report.status = .incomplete((wrong + [TriggerPlan.feedTable]).sorted())
            return report
        }
        report.epoch = row[1]
        report.released = row[2]
        let version: Int64 = row[0]
        guard version == TriggerPlan.version else {
            report.status = .otherVersion(version)
            return report
        }
        guard found[TriggerPlan.changeTable]?.text == TriggerPlan.tableTexts[TriggerPlan.changeTable] else { return report }
        report.seq = try Int64.fetchOne(db, sql: "SELECT max(seq) FROM mlmirror_change") ?? 0
        report.pending = try Int.fetchOne(db, sql: "SELECT count(*) FROM mlmirror_change") ?? 0
        return report
    }
}
