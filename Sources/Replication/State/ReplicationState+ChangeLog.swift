import GRDB

/// One row of the change log, as taken by the replicator.
public struct ChangeLogEntry: Sendable, Hashable {
    public var key: EntityKey
    public var lsn: LSN
    /// The newest change that a reading made now will show.
    public var latest: LSN
    /// How much of the entity has to be looked at.
    public var extent: Extent
    public init(key: EntityKey, lsn: LSN, latest: LSN, extent: Extent = .whole) {
        self.key = key
        self.lsn = lsn
        self.latest = latest
        self.extent = extent
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
    /// Appends changes in order, with the cursor of the feed that saw them. A key that waits already keeps its place.
    ///
    /// - Parameter milliseconds: now, since 1970.
    /// - Returns: the newest position of each key.
    @discardableResult
    public func append(_ changes: [Change], cursor: FeedCursor? = nil, at milliseconds: Int64) throws -> [LSN] {
        if changes.isEmpty, cursor == nil { return [] }
        return try transaction("append") { db in
            if let cursor { try Self.note(cursor, db) }
            return try Self.append(changes, at: milliseconds, db)
        }
    }

    static func note(_ cursor: FeedCursor, _ db: Database) throws {
        try db.cachedStatement(sql: "INSERT INTO feed VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor")
            .execute(arguments: [cursor.feed, cursor.cursor])
    }

    static func append(_ keys: [EntityKey], at milliseconds: Int64, _ db: Database) throws {
        // Files whose owner was looked at: listed, not read again.
        _ = try append(keys.map { Change($0, $0.isOfFiles ? .record : .whole) }, at: milliseconds, db)
    }

    static func append(_ changes: [Change], at milliseconds: Int64, _ db: Database) throws -> [LSN] {
        guard !changes.isEmpty else { return [] }
        let head =
            try Int64.fetchOne(
                db.cachedStatement(sql: "UPDATE position SET head = head + ? RETURNING head"), arguments: [changes.count]) ?? 0
        var next = head - Int64(changes.count)
        let insert = try db.cachedStatement(
            sql: """
                INSERT INTO change_log (lsn, kind, id, latest, whole_at, record_at, at) VALUES (?1, ?2, ?3, ?1, ?4, ?5, ?6)
                ON CONFLICT (kind, id) DO UPDATE SET latest = excluded.latest,
                    whole_at = max(whole_at, excluded.whole_at), record_at = max(record_at, excluded.record_at)
                """)
        return try changes.map { change in
            next += 1
            let lsn = next
            try insert.execute(arguments: [
                lsn, change.key.kind.rawValue, change.key.id, change.extent == .whole ? lsn : 0, change.extent <= .record ? lsn : 0,
                milliseconds,
            ])
            for (metric, since) in change.series { try noteSeries(change.key.id, metric.text, since: since, lsn, db) }
            return LSN(rawValue: lsn)
        }
    }

    private static func noteSeries(_ run: String, _ metric: String, since: Int64, _ lsn: Int64, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO changed_series VALUES (?, ?, ?, ?)
                ON CONFLICT (run, metric) DO UPDATE SET since = min(since, excluded.since), latest = excluded.latest
                """
        ).execute(arguments: [run, metric, since, lsn])
    }

    /// Histories of a waiting run that are known to have grown, each with the earliest timestamp of what is new.
    public func changedSeries(of run: RunID) throws -> [(metric: String, since: Int64)] {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT metric, since FROM changed_series WHERE run = ?")
            return try Row.fetchAll(statement, arguments: [run.rawValue]).map { ($0[0], $0[1]) }
        }
    }

    /// The next entries after a position, of some kinds only, in log order, without those that are held.
    public func entries(after lsn: LSN, kinds: [EntityKey.Kind], limit: Int) throws -> [ChangeLogEntry] {
        // Written out, one alone as an equality: so that an index over one kind is used.
        let marks = kinds.map { "'\($0.rawValue)'" }
        let isOneOf = marks.count == 1 ? "= \(marks[0])" : "IN (\(marks.joined(separator: ",")))"
        return try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT \(Self.entryColumns) FROM change_log WHERE lsn > ? AND kind \(isOneOf) AND held = 0 ORDER BY lsn LIMIT ?")
            return try Row.fetchAll(statement, arguments: [lsn.rawValue, limit]).compactMap(Self.entry)
        }
    }

    public func entry(_ key: EntityKey) throws -> ChangeLogEntry? {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT \(Self.entryColumns) FROM change_log WHERE kind = ? AND id = ?")
            return try Row.fetchOne(statement, arguments: [key.kind.rawValue, key.id]).flatMap(Self.entry)
        }
    }

    private static let entryColumns = "lsn, kind, id, latest, whole_at, record_at"

    private static func entry(_ row: Row) -> ChangeLogEntry? {
        guard let kind = EntityKey.Kind(rawValue: row[1]) else { return nil }
        let extent: Extent = row[4] > 0 ? .whole : (row[5] > 0 ? .record : .points)
        return ChangeLogEntry(key: EntityKey(kind, row[2]), lsn: LSN(rawValue: row[0]), latest: LSN(rawValue: row[3]), extent: extent)
    }

    /// The lowest position that waits and is not held, of other kinds than one.
    public func lowest(except kind: EntityKey.Kind) throws -> LSN? {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT lsn FROM change_log WHERE kind <> ? AND held = 0 ORDER BY lsn LIMIT 1")
            return try Int64.fetchOne(statement, arguments: [kind.rawValue]).map { LSN(rawValue: $0) }
        }
    }

    /// From now on nobody takes the entry, until `releaseHeld`.
    func hold(_ key: EntityKey) throws {
        try transaction("hold") { db in
            try db.cachedStatement(sql: "UPDATE change_log SET held = 1 WHERE kind = ? AND id = ?")
                .execute(arguments: [key.kind.rawValue, key.id])
        }
    }

    func isHeld(_ key: EntityKey) throws -> Bool {
        try read { db in
            try Bool.fetchOne(
                db.cachedStatement(sql: "SELECT held FROM change_log WHERE kind = ? AND id = ?"),
                arguments: [key.kind.rawValue, key.id]) ?? false
        }
    }

    func releaseHeld() throws {
        guard try heldCount() > 0 else { return }
        try transaction("release") { try $0.execute(sql: "UPDATE change_log SET held = 0 WHERE held = 1") }
    }

    /// How many of these people hold back.
    public func heldCount(of things: Set<EntityKey>) throws -> Int {
        try things.reduce(0) { $0 + (try isHeld($1) ? 1 : 0) }
    }

    /// Whether something waits, up to a position, that nobody holds back.
    func isAnythingFree(upTo lsn: LSN) throws -> Bool {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM change_log WHERE lsn <= ? AND held = 0 LIMIT 1")
            return try Int.fetchOne(statement, arguments: [lsn.rawValue]) != nil
        }
    }

    /// Removes what was finished, unless the key changed again meanwhile: then it goes to the end of the log, with what is not done of it.
    static func finish(_ entry: ChangeLogEntry, at milliseconds: Int64, _ db: Database) throws {
        let done = entry.latest.rawValue
        if entry.key.kind == .run {
            try db.cachedStatement(sql: "DELETE FROM changed_series WHERE run = ? AND latest <= ?")
                .execute(arguments: [entry.key.id, done])
        }
        try db.cachedStatement(sql: "DELETE FROM change_log WHERE kind = ? AND id = ? AND latest <= ?")
            .execute(arguments: [entry.key.kind.rawValue, entry.key.id, done])
        if db.changesCount == 0 {
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM change_log WHERE kind = ? AND id = ?")
            if try Int.fetchOne(statement, arguments: [entry.key.kind.rawValue, entry.key.id]) != nil {
                let head = try Int64.fetchOne(db, sql: "UPDATE position SET head = head + 1 RETURNING head") ?? 0
                try db.cachedStatement(
                    sql: """
                        UPDATE change_log SET lsn = ?1, latest = ?1, at = ?2,
                            whole_at = iif(whole_at > ?3, ?1, 0), record_at = iif(record_at > ?3, ?1, 0)
                        WHERE kind = ?4 AND id = ?5
                        """
                ).execute(arguments: [head, milliseconds, done, entry.key.kind.rawValue, entry.key.id])
                if entry.key.kind == .run {
                    try db.cachedStatement(sql: "UPDATE changed_series SET latest = ? WHERE run = ?").execute(arguments: [
                        head, entry.key.id,
                    ])
                }
            }
        }
        try advanceCheckpoint(db)
    }

    /// The checkpoint is the lowest position not finished, minus one; it never goes back.
    static func advanceCheckpoint(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                UPDATE position SET checkpoint =
                    max(checkpoint, coalesce((SELECT min(lsn) - 1 FROM change_log), head))
                """
        ).execute()
    }

    public func checkpoint() throws -> LSN {
        try read { LSN(rawValue: try Int64.fetchOne($0.cachedStatement(sql: "SELECT checkpoint FROM position")) ?? 0) }
    }

    public func head() throws -> LSN {
        try read { LSN(rawValue: try Int64.fetchOne($0.cachedStatement(sql: "SELECT head FROM position")) ?? 0) }
    }

    public func cursor(of feed: String) throws -> String? {
        try read { try String.fetchOne($0.cachedStatement(sql: "SELECT cursor FROM feed WHERE name = ?"), arguments: [feed]) }
    }
}
