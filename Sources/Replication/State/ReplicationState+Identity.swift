import Foundation
import GRDB
public import Hashing

/// What is known of one mirrored thing.
public struct Identity: Sendable, Hashable {
    public var kind: EntityKey.Kind
    public var primaryID: String
    public var secondaryID: String
    /// The secondary's artifact root, for what has files.
    public var root: String?
    /// Of the primary's record when it was last finished; nil until then, and after adoption.
    public var record: SHA256Digest?
    /// The record says that nothing more is to be expected.
    public var isSettled: Bool
    /// Nil until first finished, and after adoption: then the secondary itself is asked what is there.
    public var base: Base?

    public init(
        kind: EntityKey.Kind, primaryID: String, secondaryID: String, root: String? = nil, record: SHA256Digest? = nil,
        isSettled: Bool = false, base: Base? = nil
    ) {
        self.kind = kind
        self.primaryID = primaryID
        self.secondaryID = secondaryID
        self.root = root
        self.record = record
        self.isSettled = isSettled
        self.base = base
    }
}

extension ReplicationState {
    public func identity(_ kind: EntityKey.Kind, _ primaryID: String) throws -> Identity? {
        try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT secondary_id, root, record, settled, base FROM identity WHERE kind = ? AND primary_id = ?")
            return try Row.fetchOne(statement, arguments: [kind.rawValue, primaryID]).map {
                Self.identity(kind, primaryID, $0)
            }
        }
    }

    public func secondaryID(_ kind: EntityKey.Kind, _ primaryID: String) throws -> String? {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT secondary_id FROM identity WHERE kind = ? AND primary_id = ?")
            return try String.fetchOne(statement, arguments: [kind.rawValue, primaryID])
        }
    }

    /// What of these ids has a counterpart on the secondary.
    public func counterparts(of found: References.Found) throws -> References.Map {
        var map = References.Map()
        for run in found.runs { map.runs[run] = try secondaryID(.run, run.rawValue).map { RunID($0) } }
        for model in found.models { map.models[model] = try secondaryID(.loggedModel, model.rawValue).map { LoggedModelID($0) } }
        return map
    }

    public func primaryID(_ kind: EntityKey.Kind, secondary: String) throws -> String? {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT primary_id FROM identity WHERE kind = ? AND secondary_id = ?")
            return try String.fetchOne(statement, arguments: [kind.rawValue, secondary])
        }
    }

    /// The names of the folders that hold logged models among the files of a run of the secondary.
    func modelFolders(of run: RunID) throws -> Set<String> {
        try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT secondary_id FROM identity WHERE kind = ? AND secondary_id > ? AND secondary_id < ?")
            // What comes after a slash.
            let arguments: StatementArguments = [EntityKey.Kind.loggedModel.rawValue, run.rawValue + "/", run.rawValue + "0"]
            return Set(try String.fetchAll(statement, arguments: arguments).map { String($0.dropFirst(run.rawValue.count + 1)) })
        }
    }

    /// The ids after one, of a kind, in order: for a walk over everything that is mapped, in bounded memory.
    public func mappedIDs(_ kind: EntityKey.Kind, after id: String, limit: Int) throws -> [(primary: String, secondary: String)] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT primary_id, secondary_id FROM identity WHERE kind = ? AND primary_id > ? ORDER BY primary_id LIMIT ?",
                arguments: [kind.rawValue, id, limit]
            ).map { ($0[0], $0[1]) }
        }
    }

    /// Which of these are finished, settled, and as they were, or left out by decision as they are: nothing needs to be done for them.
    ///
    /// A key that still waits in the change log is not among them.
    public func unchanged(_ kind: EntityKey.Kind, _ records: [(id: String, digest: SHA256Digest)]) throws -> Set<String> {
        try read { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT 1 WHERE (
                        EXISTS (SELECT 1 FROM identity WHERE kind = ?1 AND primary_id = ?2 AND record = ?3
                            -- A model is not settled while there are letters about it: without any that counts, it is.
                            AND (settled = 1 OR kind = 'registered_model'))
                        OR EXISTS (SELECT 1 FROM dead_letter WHERE kind = ?1 AND id = ?2 AND path = '' AND record = ?3
                            AND discarded_at IS NOT NULL)
                    )
                    AND NOT EXISTS (SELECT 1 FROM change_log WHERE kind = ?1 AND id = ?2)
                    AND NOT EXISTS (SELECT 1 FROM dead_letter WHERE kind = ?1 AND id = ?2 AND discarded_at IS NULL)
                    """)
            var unchanged: Set<String> = []
            for record in records {
                let arguments: StatementArguments = [kind.rawValue, record.id, Self.blob(record.digest)]
                if try Int.fetchOne(statement, arguments: arguments) != nil { unchanged.insert(record.id) }
            }
            return unchanged
        }
    }

    /// The record's digest of each of these that has one: as it was copied, or left out by decision.
    func records(_ kind: EntityKey.Kind, _ ids: [String]) throws -> [String: Data] {
        try read { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT coalesce(
                        (SELECT record FROM dead_letter WHERE kind = ?1 AND id = ?2 AND path = '' AND discarded_at IS NOT NULL),
                        (SELECT record FROM identity WHERE kind = ?1 AND primary_id = ?2))
                    """)
            var found: [String: Data] = [:]
            for id in ids { found[id] = try Data.fetchOne(statement, arguments: [kind.rawValue, id]) }
            return found
        }
    }

    private static func identity(_ kind: EntityKey.Kind, _ primaryID: String, _ row: Row) -> Identity {
        let base = (row[4] as Data?).flatMap { Base(encoded: [UInt8]($0)) }
        return Identity(
            kind: kind, primaryID: primaryID, secondaryID: row[0], root: row[1],
            record: (row[2] as Data?).map { SHA256Digest(bytes: [UInt8]($0)) }, isSettled: row[3], base: base)
    }

    /// Half a SHA-256 is enough to tell two records apart, and half the room.
    static func blob(_ digest: SHA256Digest) -> Data { Data(digest.bytes.prefix(16)) }

    static func upsert(_ identity: Identity, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO identity (kind, primary_id, secondary_id, root, record, settled, base) VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (kind, primary_id) DO UPDATE SET secondary_id = excluded.secondary_id,
                    root = coalesce(excluded.root, root), record = excluded.record, settled = excluded.settled, base = excluded.base
                """
        ).execute(arguments: [
            identity.kind.rawValue, identity.primaryID, identity.secondaryID, identity.root, identity.record.map(blob), identity.isSettled,
            identity.base.map { Data($0.encoded()) },
        ])
    }
}
