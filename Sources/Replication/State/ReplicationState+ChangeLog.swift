import GRDB

/// One row of the change log, as taken by the replicator.
public struct ChangeLogEntry: Sendable, Hashable {
    public var key: EntityKey
    public var lsn: LSN
    /// The newest change that a reading made now will show.
    public var latest: LSN
    public init(key: EntityKey, lsn: LSN, latest: LSN) {
        self.key = key
        self.lsn = lsn
        self.latest = latest
    }
}

/// Where a feed stands, for `append` to note with the keys it yielded.
public struct FeedCursor: Sendable, Hashable {
    public var feed: String
    public var cursor: String
    public init(feed: String, cursor: String) {
        self.feed = feed
        self.cursor = cursor
    }
}

extension ReplicationState {
    /// Appends keys in order, with the cursor of the feed that saw them. A key that waits already keeps its place.
    ///
    /// - Returns: the newest position of each key.
    @discardableResult
    public func append(_ keys: [EntityKey], cursor: FeedCursor? = nil) throws -> [LSN] {
        if keys.isEmpty, cursor == nil { return [] }
        return try transaction("append") { db in
            if let cursor {
                try db.execute(
                    sql: "INSERT INTO feed VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor",
                    arguments: [cursor.feed, cursor.cursor])
            }
            return try Self.append(keys, db)
        }
    }

    static func append(_ keys: [EntityKey], _ db: Database) throws -> [LSN] {
        guard !keys.isEmpty else { return [] }
        let head = try Int64.fetchOne(db, sql: "UPDATE position SET head = head + ? RETURNING head", arguments: [keys.count]) ?? 0
        var next = head - Int64(keys.count)
        let insert = try db.cachedStatement(
            sql: """
                INSERT INTO change_log (lsn, kind, id, latest) VALUES (?1, ?2, ?3, ?1)
                ON CONFLICT (kind, id) DO UPDATE SET latest = excluded.latest
                """)
        return try keys.map { key in
            next += 1
            try insert.execute(arguments: [next, key.kind.rawValue, key.id])
            return LSN(rawValue: next)
        }
    }

    /// The next entries after a position, of some kinds only, in log order.
    public func entries(after lsn: LSN, kinds: [EntityKey.Kind], limit: Int) throws -> [ChangeLogEntry] {
        let marks = kinds.map { "'\($0.rawValue)'" }.joined(separator: ",")
        return try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT lsn, kind, id, latest FROM change_log WHERE lsn > ? AND kind IN (\(marks)) ORDER BY lsn LIMIT ?")
            return try Row.fetchAll(statement, arguments: [lsn.rawValue, limit]).compactMap { row in
                guard let kind = EntityKey.Kind(rawValue: row[1]) else { return nil }
                return ChangeLogEntry(key: EntityKey(kind, row[2]), lsn: LSN(rawValue: row[0]), latest: LSN(rawValue: row[3]))
            }
        }
    }

    public func entry(_ key: EntityKey) throws -> ChangeLogEntry? {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT lsn, latest FROM change_log WHERE kind = ? AND id = ?")
            return try Row.fetchOne(statement, arguments: [key.kind.rawValue, key.id]).map {
                ChangeLogEntry(key: key, lsn: LSN(rawValue: $0[0]), latest: LSN(rawValue: $0[1]))
            }
        }
    }

    /// Removes what was finished, unless the key changed again meanwhile: then it goes to the end of the log.
    static func finish(_ entry: ChangeLogEntry, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM change_log WHERE kind = ? AND id = ? AND latest <= ?")
            .execute(arguments: [entry.key.kind.rawValue, entry.key.id, entry.latest.rawValue])
        if db.changesCount == 0 {
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM change_log WHERE kind = ? AND id = ?")
            if try Int.fetchOne(statement, arguments: [entry.key.kind.rawValue, entry.key.id]) != nil {
                let head = try Int64.fetchOne(db, sql: "UPDATE position SET head = head + 1 RETURNING head") ?? 0
                try db.cachedStatement(sql: "UPDATE change_log SET lsn = ?1, latest = ?1 WHERE kind = ?2 AND id = ?3")
                    .execute(arguments: [head, entry.key.kind.rawValue, entry.key.id])
            }
        }
        try advanceCheckpoint(db)
    }

    /// The checkpoint is the lowest position not finished, minus one; it never goes back.
    private static func advanceCheckpoint(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                UPDATE position SET checkpoint =
                    max(checkpoint, coalesce((SELECT min(lsn) - 1 FROM change_log), head))
                """
        ).execute()
    }

    public func checkpoint() throws -> LSN {
        try read { LSN(rawValue: try Int64.fetchOne($0, sql: "SELECT checkpoint FROM position") ?? 0) }
    }

    public func head() throws -> LSN {
        try read { LSN(rawValue: try Int64.fetchOne($0, sql: "SELECT head FROM position") ?? 0) }
    }

    public func cursor(of feed: String) throws -> String? {
        try read { try String.fetchOne($0, sql: "SELECT cursor FROM feed WHERE name = ?", arguments: [feed]) }
    }

    /// How many keys wait, by kind.
    public func pending() throws -> [EntityKey.Kind: Int] {
        try read { db in
            var counts: [EntityKey.Kind: Int] = [:]
            for row in try Row.fetchAll(db, sql: "SELECT kind, count(*) FROM change_log GROUP BY kind") {
                if let kind = EntityKey.Kind(rawValue: row[0]) { counts[kind] = row[1] }
            }
            return counts
        }
    }
}
