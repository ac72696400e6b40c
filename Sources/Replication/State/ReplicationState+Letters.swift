import Foundation
import GRDB
import Hashing

/// What people ask about dead letters, and decide about them.
extension ReplicationState {
    private static let columns =
        "number, kind, id, path, reason, message, request, answer, first_at, last_at, tries, discarded_at"

    /// By number.
    ///
    /// - Parameter discarded: those that are left out by decision instead; numbers mean both.
    public func letters(_ selection: LetterSelection, discarded: Bool = false, limit: Int) throws -> [NotedLetter] {
        try read { db in
            let (condition, arguments) = Self.condition(selection, discarded: discarded)
            return try Row.fetchAll(
                db, sql: "SELECT \(Self.columns) FROM dead_letter WHERE \(condition) ORDER BY number LIMIT ?",
                arguments: arguments + [limit]
            ).compactMap(Self.letter)
        }
    }

    public func letterCount(_ selection: LetterSelection, discarded: Bool = false) throws -> Int {
        try read { db in
            let (condition, arguments) = Self.condition(selection, discarded: discarded)
            return try Int.fetchOne(db, sql: "SELECT count(*) FROM dead_letter WHERE \(condition)", arguments: arguments) ?? 0
        }
    }

    /// Of these things, without what is left out by decision.
    public func letters(of things: Set<EntityKey>, limit: Int) throws -> [NotedLetter] {
        try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT \(Self.columns) FROM dead_letter WHERE kind = ? AND id = ? AND discarded_at IS NULL")
            var found: [NotedLetter] = []
            for key in things where found.count < limit {
                found += try Row.fetchAll(statement, arguments: [key.kind.rawValue, key.id]).compactMap(Self.letter)
            }
            return Array(found.sorted { $0.number < $1.number }.prefix(limit))
        }
    }

    public func letterCount(of things: Set<EntityKey>) throws -> Int {
        try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT count(*) FROM dead_letter WHERE kind = ? AND id = ? AND discarded_at IS NULL")
            return try things.reduce(0) { $0 + (try Int.fetchOne(statement, arguments: [$1.kind.rawValue, $1.id]) ?? 0) }
        }
    }

    /// What the letters are about.
    public func things(_ selection: LetterSelection, limit: Int) throws -> Set<EntityKey> {
        try read { db in
            let (condition, arguments) = Self.condition(selection, discarded: false)
            let sql = "SELECT DISTINCT kind, id FROM dead_letter WHERE \(condition) LIMIT ?"
            return Set(
                try Row.fetchAll(db, sql: sql, arguments: arguments + [limit]).compactMap { row in
                    EntityKey.Kind(rawValue: row[0]).map { EntityKey($0, row[1]) }
                })
        }
    }

    /// The number of the newest letter; 0 when there never was one.
    public func lastLetterNumber() throws -> Int64 {
        try read { try Int64.fetchOne($0, sql: "SELECT max(number) FROM dead_letter") ?? 0 }
    }

    private static func condition(_ selection: LetterSelection, discarded: Bool) -> (sql: String, StatementArguments) {
        if let numbers = selection.numbers { return ("number IN (\(numbers.map(String.init).joined(separator: ",")))", []) }
        let state = discarded ? "discarded_at IS NOT NULL" : "discarded_at IS NULL"
        return (
            "\(state) AND kind = coalesce(?, kind) AND reason = coalesce(?, reason) AND number <= coalesce(?, number)",
            [selection.kind, selection.reason, selection.last]
        )
    }

    private static func letter(_ row: Row) -> NotedLetter? {
        guard let kind = EntityKey.Kind(rawValue: row[1]) else { return nil }
        var exchange: StoreExchange?
        if let request = row[6] as String?, let answer = row[7] as String? { exchange = StoreExchange(request: request, answer: answer) }
        return NotedLetter(
            number: row[0],
            letter: DeadLetter(key: EntityKey(kind, row[2]), path: row[3], reason: row[4], message: row[5], exchange: exchange),
            firstAt: row[8], lastAt: row[9], tries: row[10], discardedAt: row[11])
    }

    // MARK: Decisions

    /// Puts what is meant back into the change log, also what was discarded and is named by number. A letter stays until it is finished.
    ///
    /// - Parameter listsAgain: where one says that something could not be listed, everything is to be listed again.
    /// - Returns: how many letters were meant.
    @discardableResult
    public func requeue(_ selection: LetterSelection, listsAgain: Bool = false, at milliseconds: Int64) throws -> Int {
        try transaction("requeue") { db in
            let (condition, arguments) = Self.condition(selection, discarded: false)
            let rows = try Row.fetchAll(
                db, sql: "SELECT DISTINCT kind, id FROM dead_letter WHERE \(condition) ORDER BY kind, id", arguments: arguments)
            let ofListings = "SELECT EXISTS (SELECT 1 FROM dead_letter WHERE (\(condition)) AND (\(Self.ofListings)))"
            if listsAgain, try Bool.fetchOne(db, sql: ofListings, arguments: arguments) == true {
                try Self.askForReconciliation("what could not be listed", db)
            }
            try db.execute(sql: "UPDATE dead_letter SET discarded_at = NULL WHERE \(condition)", arguments: arguments)
            let count = db.changesCount
            try Self.append(
                rows.compactMap { row in EntityKey.Kind(rawValue: row[0]).map { EntityKey($0, row[1]) } }.filter { $0.id != "?" },
                at: milliseconds, db)
            return count
        }
    }

    /// Leaves out what is meant, for as long as it stays what it is: it is kept, not counted, and not tried again.
    ///
    /// - Returns: how many letters are left out now that were not before.
    @discardableResult
    public func discard(_ selection: LetterSelection, at milliseconds: Int64) throws -> Int {
        try transaction("discard") { db in
            let (condition, arguments) = Self.condition(selection, discarded: false)
            let rows = try Row.fetchAll(
                db, sql: "SELECT DISTINCT kind, id FROM dead_letter WHERE \(condition) AND discarded_at IS NULL", arguments: arguments)
            let ofOwners = try Row.fetchAll(
                db,
                sql: "SELECT kind, id FROM dead_letter WHERE \(condition) AND discarded_at IS NULL AND reason = ? AND path = ''",
                arguments: arguments + [Self.incomplete])
            try db.execute(
                sql: "UPDATE dead_letter SET discarded_at = ? WHERE \(condition) AND discarded_at IS NULL",
                arguments: [milliseconds] + arguments)
            var count = db.changesCount
            // That an owner's files are incomplete is said beside the letters of these files: one decision is about both.
            for row in ofOwners {
                try db.cachedStatement(
                    sql: "UPDATE dead_letter SET discarded_at = ? WHERE kind = ? AND id = ? AND path <> '' AND discarded_at IS NULL"
                ).execute(arguments: [milliseconds, row[0] as String, row[1] as String])
                count += db.changesCount
            }
            for row in rows {
                try db.cachedStatement(
                    sql: """
                        UPDATE dead_letter SET discarded_at = ?1 WHERE kind = ?2 AND id = ?3 AND path = '' AND reason = ?4
                        AND discarded_at IS NULL AND NOT EXISTS (
                            SELECT 1 FROM dead_letter WHERE kind = ?2 AND id = ?3 AND path <> '' AND discarded_at IS NULL)
                        """
                ).execute(arguments: [milliseconds, row[0] as String, row[1] as String, Self.incomplete])
                count += db.changesCount
            }
            return count
        }
    }

    /// The reason of an owner some of whose files have letters of their own.
    static let incomplete = "incomplete"
}
