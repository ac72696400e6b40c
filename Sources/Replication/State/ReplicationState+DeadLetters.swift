import Foundation
import GRDB
import Hashing

/// What became of a letter that was set aside.
public struct LetterNote: Sendable, Hashable {
    public var number: Int64
    public var isNew: Bool
    /// Left out by decision, and still what it was then: nothing to tell.
    public var isDiscarded: Bool
}

extension ReplicationState {
    /// Out of the log, into the dead letters, in one step.
    ///
    /// - Parameter endsLook: every part of the entity was looked at: what was wrong with others before is mended.
    @discardableResult
    public func setAside(
        _ letter: DeadLetter, entry: ChangeLogEntry?, endsLook: Bool = false, at milliseconds: Int64
    ) throws -> LetterNote {
        try transaction("set aside") { db in
            let note = try Self.setAside(letter, at: milliseconds, db)
            if endsLook { try Self.dropQuestionedLetters(of: letter.key, db) }
            if let entry { try Self.finish(entry, at: milliseconds, db) }
            return note
        }
    }

    /// Of a request and an answer at most this many characters are kept.
    private static let exchangeLength = 300

    static func setAside(_ letter: DeadLetter, at milliseconds: Int64, _ db: Database) throws -> LetterNote {
        let record = letter.record.map(blob)
        let told: [(any DatabaseValueConvertible)?] = [
            letter.reason, letter.message, letter.exchange.map { String($0.request.prefix(exchangeLength)) },
            letter.exchange.map { String($0.answer.prefix(exchangeLength)) }, milliseconds, record,
        ]
        let key: [(any DatabaseValueConvertible)?] = [letter.key.kind.rawValue, letter.key.id, letter.path]
        // A decision is about the thing as it was then; where that is not known, about the thing. A part refused for another reason is another matter.
        let again = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    UPDATE dead_letter SET reason = ?1, message = ?2, request = ?3, answer = ?4, last_at = ?5, record = coalesce(?6, record),
                        tries = tries + 1, in_question = 0,
                        discarded_at = iif(
                            (?6 IS NULL OR record IS NULL OR record = ?6) AND (path = '' OR reason = ?1), discarded_at, NULL)
                    WHERE kind = ?7 AND id = ?8 AND path = ?9 RETURNING number, discarded_at IS NOT NULL
                    """), arguments: StatementArguments(told + key))
        if let again { return LetterNote(number: again[0], isNew: false, isDiscarded: again[1]) }
        try db.cachedStatement(
            sql: """
                INSERT INTO dead_letter (reason, message, request, answer, first_at, last_at, record, kind, id, path)
                VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)
                """
        ).execute(arguments: StatementArguments(told + key))
        return LetterNote(number: db.lastInsertedRowID, isNew: true, isDiscarded: false)
    }

    // MARK: A look at what is set aside

    /// Before an owner's files are looked at again: a letter that is not noted anew, or kept, goes when that look ends.
    ///
    /// - Returns: the files that are left out by decision, each with the digest of what it was then, where that is known.
    func questionFileLetters(of owner: EntityKey) throws -> [ExactName: Data?] {
        try transaction("clear") { db in
            let key: StatementArguments = [owner.kind.rawValue, owner.id]
            try db.cachedStatement(sql: "UPDATE dead_letter SET in_question = 1 WHERE kind = ? AND id = ? AND path <> ''")
                .execute(arguments: key)
            let statement = try db.cachedStatement(
                sql: "SELECT path, record FROM dead_letter WHERE kind = ? AND id = ? AND path <> '' AND discarded_at IS NOT NULL")
            return Dictionary(
                try Row.fetchAll(statement, arguments: key).map { (ExactName($0[0]), $0[1]) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// Files that were found as they were when they were left out.
    func keepFileLetters(_ files: [ExactName: SHA256Digest], of owner: EntityKey) throws {
        guard !files.isEmpty else { return }
        try transaction("keep") { db in
            let statement = try db.cachedStatement(
                sql: "UPDATE dead_letter SET in_question = 0, record = ? WHERE kind = ? AND id = ? AND path = ?")
            for (path, record) in files {
                try statement.execute(arguments: [Self.blob(record), owner.kind.rawValue, owner.id, path.text])
            }
        }
    }

    /// That something could not be listed: no look at a single thing settles it, only another listing does.
    static let ofListings = """
        path IN ('contents', 'registry') AND kind NOT IN \
        ('\(EntityKey.Kind.runArtifacts.rawValue)', '\(EntityKey.Kind.loggedModelArtifacts.rawValue)') OR id = '?'
        """

    /// Before everything is listed: a letter that is not noted anew goes when that ends.
    func questionListingLetters() throws {
        try transaction("listing") { try $0.execute(sql: "UPDATE dead_letter SET in_question = 1 WHERE \(Self.ofListings)") }
    }

    func dropQuestionedListingLetters() throws {
        try transaction("listed") {
            try $0.execute(sql: "DELETE FROM dead_letter WHERE in_question = 1 AND (\(Self.ofListings))")
        }
    }

    /// What could not be listed, those first that were tried longest ago.
    func unlisted(limit: Int) throws -> [NotedLetter] {
        let sql = """
            SELECT number FROM dead_letter WHERE (\(Self.ofListings)) AND path <> 'record' AND discarded_at IS NULL
            ORDER BY last_at LIMIT ?
            """
        let numbers = try read { try Int64.fetchAll($0, sql: sql, arguments: [limit]) }
        return numbers.isEmpty ? [] : try letters(LetterSelection(numbers: numbers), limit: limit)
    }

    func dropUnlisted(_ number: Int64) throws {
        try transaction("listed") { try $0.execute(sql: "DELETE FROM dead_letter WHERE number = ?", arguments: [number]) }
    }

    /// Of files only the owner's own letter: the others were questioned when the look at them began.
    static func questionLetters(of key: EntityKey, _ db: Database) throws {
        let part = key.isOfFiles ? " AND path = ''" : " AND NOT (\(ofListings))"
        try db.cachedStatement(sql: "UPDATE dead_letter SET in_question = 1 WHERE kind = ? AND id = ?\(part)")
            .execute(arguments: [key.kind.rawValue, key.id])
    }

    static func dropQuestionedLetters(of key: EntityKey, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM dead_letter WHERE kind = ? AND id = ? AND in_question = 1 AND NOT (\(ofListings))")
            .execute(arguments: [key.kind.rawValue, key.id])
    }

    /// Discarded or not.
    func isSetAside(_ key: EntityKey) throws -> Bool {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM dead_letter WHERE kind = ? AND id = ? AND path = ''")
            return try Int.fetchOne(statement, arguments: [key.kind.rawValue, key.id]) != nil
        }
    }

    /// What was left out by decision before anyone had its record is taken to be what it is now.
    func noteRecordsOfDiscarded(_ kind: EntityKey.Kind, _ records: [(id: String, digest: SHA256Digest)]) throws {
        let condition = "kind = ? AND path = '' AND discarded_at IS NOT NULL AND record IS NULL"
        let isThere = try read {
            try Bool.fetchOne(
                $0.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM dead_letter WHERE \(condition))"), arguments: [kind.rawValue])
                ?? false
        }
        guard isThere else { return }
        try transaction("records") { db in
            let statement = try db.cachedStatement(sql: "UPDATE dead_letter SET record = ? WHERE \(condition) AND id = ?")
            for (id, digest) in records { try statement.execute(arguments: [Self.blob(digest), kind.rawValue, id]) }
        }
    }

    // MARK: Counts

    /// Without those that are left out by decision.
    public func deadLetterCount() throws -> Int {
        try read { try Int.fetchOne($0.cachedStatement(sql: "SELECT count(*) FROM dead_letter WHERE discarded_at IS NULL")) ?? 0 }
    }

    /// Those that are left out by decision.
    public func discardedCount() throws -> Int {
        try read { try Int.fetchOne($0.cachedStatement(sql: "SELECT count(*) FROM dead_letter WHERE discarded_at IS NOT NULL")) ?? 0 }
    }

    /// The first that are not discarded.
    public func deadLetters(limit: Int) throws -> [DeadLetter] { try letters(.all, limit: limit).map(\.letter) }
}
