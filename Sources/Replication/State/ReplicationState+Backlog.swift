import GRDB

/// How much of the change log waits. It is counted as it is written: a log of a million keys takes too long to be counted every few seconds.
extension ReplicationState {
    static func countBacklogAsItIsWritten(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE backlog (
                    kind TEXT PRIMARY KEY,
                    waiting INTEGER NOT NULL,
                    held INTEGER NOT NULL
                ) STRICT, WITHOUT ROWID;
                CREATE TRIGGER backlog_grows AFTER INSERT ON change_log BEGIN
                    INSERT INTO backlog VALUES (new.kind, 1, new.held)
                        ON CONFLICT (kind) DO UPDATE SET waiting = waiting + 1, held = held + excluded.held;
                END;
                CREATE TRIGGER backlog_shrinks AFTER DELETE ON change_log BEGIN
                    UPDATE backlog SET waiting = waiting - 1, held = held - old.held WHERE kind = old.kind;
                END;
                CREATE TRIGGER backlog_is_held AFTER UPDATE OF held ON change_log BEGIN
                    UPDATE backlog SET held = held + new.held - old.held WHERE kind = new.kind;
                END;
                """)
    }

    /// Once for each owner: what a damage has left there must not keep anyone waiting for ever.
    static func recountBacklog(_ db: Database) throws {
        try db.execute(
            sql: """
                DELETE FROM backlog;
                INSERT INTO backlog SELECT kind, count(*), sum(held) FROM change_log GROUP BY kind;
                """)
    }

    /// How many keys wait, by kind.
    public func pending() throws -> [EntityKey.Kind: Int] {
        try read { db in
            var counts: [EntityKey.Kind: Int] = [:]
            for row in try Row.fetchAll(db.cachedStatement(sql: "SELECT kind, waiting FROM backlog WHERE waiting > 0")) {
                if let kind = (row[0] as String?).flatMap({ EntityKey.Kind(rawValue: $0) }) { counts[kind] = row[1] }
            }
            return counts
        }
    }

    /// How many keys wait, how many of them people hold back, and since when the first of them does: milliseconds since 1970.
    public func backlog() throws -> (count: Int, held: Int, oldest: Int64?) {
        try read { db in
            let sums = try Row.fetchOne(
                db.cachedStatement(sql: "SELECT coalesce(sum(waiting), 0), coalesce(sum(held), 0) FROM backlog"))
            // Positions are given in the order of time.
            let first = try db.cachedStatement(sql: "SELECT at FROM change_log WHERE at > 0 ORDER BY lsn LIMIT 1")
            return (sums?[0] ?? 0, sums?[1] ?? 0, try Int64.fetchOne(first))
        }
    }

    public func heldCount() throws -> Int {
        try read { try Int.fetchOne($0.cachedStatement(sql: "SELECT sum(held) FROM backlog")) ?? 0 }
    }
}
