import GRDB

/// A change that the secondary will not accept as it is: set aside with its reason, never blocking, never vanishing.
public struct DeadLetter: Sendable, Hashable {
    public var key: EntityKey
    /// One file of the entity; empty for the entity itself.
    public var path: String
    public var reason: String
    public var message: String
    public init(key: EntityKey, path: String = "", reason: String, message: String) {
        self.key = key
        self.path = path
        self.reason = reason
        self.message = message
    }
}

extension ReplicationState {
    /// Out of the log, into the dead letters, in one step.
    public func setAside(_ letter: DeadLetter, entry: ChangeLogEntry?, at milliseconds: Int64) throws {
        try transaction("set aside") { db in
            try Self.setAside(letter, at: milliseconds, db)
            if let entry { try Self.finish(entry, at: milliseconds, db) }
        }
    }

    static func setAside(_ letter: DeadLetter, at milliseconds: Int64, _ db: Database) throws {
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?)").execute(arguments: [
            letter.key.kind.rawValue, letter.key.id, letter.path, letter.reason, letter.message, milliseconds,
        ])
    }

    /// Puts every entity that was set aside back into the change log. Its letter stays until it is finished.
    public func requeueDeadLetters(at milliseconds: Int64) throws {
        try transaction("requeue") { db in
            let rows = try Row.fetchAll(db, sql: "SELECT DISTINCT kind, id FROM dead_letter ORDER BY kind, id")
            try Self.append(
                rows.compactMap { row in EntityKey.Kind(rawValue: row[0]).map { EntityKey($0, row[1]) } }, at: milliseconds, db)
        }
    }

    /// Before an owner's files are looked at again: what is still wrong will be noted anew.
    func clearFileLetters(of owner: EntityKey) throws {
        try transaction("clear") { db in
            try db.cachedStatement(sql: "DELETE FROM dead_letter WHERE kind = ? AND id = ? AND path <> ''")
                .execute(arguments: [owner.kind.rawValue, owner.id])
        }
    }

    public func deadLetters(limit: Int) throws -> [DeadLetter] {
        try read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT kind, id, path, reason, message FROM dead_letter ORDER BY at, kind, id, path LIMIT ?", arguments: [limit])
            return rows.compactMap { row in
                EntityKey.Kind(rawValue: row[0]).map {
                    DeadLetter(key: EntityKey($0, row[1]), path: row[2], reason: row[3], message: row[4])
                }
            }
        }
    }

    func isSetAside(_ key: EntityKey) throws -> Bool {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM dead_letter WHERE kind = ? AND id = ? AND path = ''")
            return try Int.fetchOne(statement, arguments: [key.kind.rawValue, key.id]) != nil
        }
    }

    public func deadLetterCount() throws -> Int {
        try read { try Int.fetchOne($0.cachedStatement(sql: "SELECT count(*) FROM dead_letter")) ?? 0 }
    }
}
