import Foundation
import GRDB
public import Hashing

/// What tells the bytes of a file from others.
public enum FileContent: Sendable, Hashable {
    case sha256(SHA256Digest)
    /// Storage has copied them from storage, and nobody here has seen them: the primary's storage names them so.
    case tag(String)
}

/// A file as it was written to the secondary.
public struct ManifestRow: Sendable, Hashable {
    public var path: String
    public var size: Int64
    public var content: FileContent
    /// The owner had ended when the bytes were read: they are not expected to change.
    public var isSettled: Bool
    public init(path: String, size: Int64, content: FileContent, isSettled: Bool) {
        self.path = path
        self.size = size
        self.content = content
        self.isSettled = isSettled
    }

    public init(path: String, size: Int64, sha256: SHA256Digest, isSettled: Bool) {
        self.init(path: path, size: size, content: .sha256(sha256), isSettled: isSettled)
    }

    /// Nil where nobody here has seen the bytes.
    public var sha256: SHA256Digest? { if case .sha256(let digest) = content { digest } else { nil } }
    var tag: String? { if case .tag(let tag) = content { tag } else { nil } }
}

/// A non-idempotent write that is about to be sent for an entity.
public struct Intent: Sendable, Hashable {
    public enum Operation: String, Sendable {
        case create
        case metrics
        /// It was created, and has not been acknowledged since.
        case made
        /// It is out of scope and followed all the same, and its base, which would say so, is not known.
        case brought
    }
    public var key: EntityKey
    public var operation: Operation
    public init(_ key: EntityKey, _ operation: Operation) {
        self.key = key
        self.operation = operation
    }
}

/// Everything that is true once an entity's writes are on the secondary. Committed as one.
public struct Acknowledgement: Sendable {
    public var entry: ChangeLogEntry?
    public var identity: Identity?
    public var conflicts: [Conflict] = []
    /// The entity has no other conflicts: those that were noted earlier no longer hold.
    public var hasAllConflicts = false
    public var followUps: [EntityKey] = []
    /// Parts of the entity that were set aside; the rest of it is there.
    public var letters: [DeadLetter] = []
    /// The entity's files are listed again.
    public var watch: FileWatch?
    /// Where there is no watch, and an earlier one has no end: its end, in milliseconds since 1970.
    public var endsWatch: Int64?
    /// Only histories were carried across: what is known to be wrong with the rest, or in doubt, still is.
    public var isPartial = false
    /// Then, of what is in doubt, this one no longer is.
    public var clears: Intent?
    /// It was let go, and not looked at: what an earlier attempt may have done to it is still in doubt.
    public var keepsIntents = false
    public init(
        entry: ChangeLogEntry? = nil, identity: Identity? = nil, conflicts: [Conflict] = [], hasAllConflicts: Bool = false,
        followUps: [EntityKey] = [],
        letters: [DeadLetter] = [], watch: FileWatch? = nil, endsWatch: Int64? = nil, isPartial: Bool = false,
        clears: Intent? = nil, keepsIntents: Bool = false
    ) {
        self.keepsIntents = keepsIntents
        self.clears = clears
        self.watch = watch
        self.endsWatch = endsWatch
        self.isPartial = isPartial
        self.letters = letters
        self.entry = entry
        self.identity = identity
        self.conflicts = conflicts
        self.hasAllConflicts = hasAllConflicts
        self.followUps = followUps
    }
}

private let fieldPrefix = "field:"

extension ReplicationState {
    /// - Returns: the conflicts that are to be told of (not those that were noted before and still stand), and what became of each of its
    ///   letters.
    @discardableResult
    public func acknowledge(_ done: Acknowledgement, at milliseconds: Int64) throws -> (conflicts: [Conflict], letters: [LetterNote]) {
        try progress("acknowledge") { db in
            if let identity = done.identity { try Self.upsert(identity, db) }
            try Self.append(done.followUps, at: milliseconds, db)
            if done.hasAllConflicts, let key = done.entry?.key { try Self.forgetConflicts(of: key, but: done.conflicts, db) }
            let news = try done.conflicts.filter { try Self.note($0, at: milliseconds, db) }
            if let intent = done.clears {
                try db.cachedStatement(sql: "DELETE FROM intent WHERE kind = ? AND id = ? AND operation = ?")
                    .execute(arguments: [intent.key.kind.rawValue, intent.key.id, intent.operation.rawValue])
            }
            if let entry = done.entry, done.isPartial {
                try Self.finish(entry, at: milliseconds, db)
            } else if let entry = done.entry {
                try Self.questionLetters(of: entry.key, db)
                if !done.keepsIntents {
                    try db.cachedStatement(sql: "DELETE FROM intent WHERE kind = ? AND id = ?")
                        .execute(arguments: [entry.key.kind.rawValue, entry.key.id])
                }
                try Self.finish(entry, at: milliseconds, db)
            }
            let notes = try done.letters.map { try Self.setAside($0, at: milliseconds, db) }
            if let entry = done.entry, !done.isPartial { try Self.dropQuestionedLetters(of: entry.key, db) }
            if let watch = done.watch {
                try Self.note(watch, at: milliseconds, db)
            } else if let end = done.endsWatch, let identity = done.identity {
                try Self.endWatch(identity.kind == .run ? .runArtifacts : .loggedModelArtifacts, identity.primaryID, until: end, db)
            }
            return (news, notes)
        }
    }

    // MARK: Intents

    public func note(_ intent: Intent) throws {
        try transaction("intent") { db in
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO intent VALUES (?, ?, ?)")
                .execute(arguments: [intent.key.kind.rawValue, intent.key.id, intent.operation.rawValue])
        }
    }

    public func isNoted(_ intent: Intent) throws -> Bool {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM intent WHERE kind = ? AND id = ? AND operation = ?")
            return try Int.fetchOne(statement, arguments: [intent.key.kind.rawValue, intent.key.id, intent.operation.rawValue]) != nil
        }
    }

    /// Notes an intent, unless one is there already: then the earlier write is in doubt, and true is the answer.
    ///
    /// - Parameter fields: what the write carries, as in `noteWrites`.
    public func noteOrFind(_ intent: Intent, writing fields: [Base.Field] = []) throws -> Bool {
        // A copy of the file from before it does not know that something may have been created.
        try progress("intent") { db in
            try db.cachedStatement(sql: "INSERT OR IGNORE INTO intent VALUES (?, ?, ?)")
                .execute(arguments: [intent.key.kind.rawValue, intent.key.id, intent.operation.rawValue])
            let isThere = db.changesCount == 0
            try Self.noteWrites(fields, of: intent.key, db)
            return isThere
        }
    }

    /// Fields that are about to be written, until their entity is acknowledged: what is on the secondary under them may be ours.
    func noteWrites(_ fields: [Base.Field], of key: EntityKey) throws {
        guard !fields.isEmpty else { return }
        try transaction("intent") { try Self.noteWrites(fields, of: key, $0) }
    }

    private static func noteWrites(_ fields: [Base.Field], of key: EntityKey, _ db: Database) throws {
        for field in fields {
            try db.cachedStatement(sql: "INSERT OR IGNORE INTO intent VALUES (?, ?, ?)")
                .execute(arguments: [key.kind.rawValue, key.id, operation(of: field)])
        }
    }

    private static func operation(of field: Base.Field) -> String { fieldPrefix + String(field.digest.rawValue, radix: 16) }

    private static func forgetWrite(_ field: Base.Field, of key: EntityKey, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM intent WHERE kind = ? AND id = ? AND operation = ?")
            .execute(arguments: [key.kind.rawValue, key.id, operation(of: field)])
    }

    /// Whether an earlier attempt may have written one field.
    func isInDoubt(_ field: Base.Field, of key: EntityKey) throws -> Bool {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM intent WHERE kind = ? AND id = ? AND operation = ?")
            return try Int.fetchOne(statement, arguments: [key.kind.rawValue, key.id, Self.operation(of: field)]) != nil
        }
    }

    /// What was to be written was not.
    func forget(_ intent: Intent) throws {
        try transaction("intent") { db in
            try db.cachedStatement(sql: "DELETE FROM intent WHERE kind = ? AND id = ? AND operation = ?")
                .execute(arguments: [intent.key.kind.rawValue, intent.key.id, intent.operation.rawValue])
        }
    }

    func forgetWrites(of key: EntityKey) throws {
        try transaction("intent") { db in
            try db.execute(
                sql: "DELETE FROM intent WHERE kind = ? AND id = ? AND operation LIKE 'field:%'",
                arguments: [key.kind.rawValue, key.id])
        }
    }

    func forgetWrite(_ field: Base.Field, of key: EntityKey) throws {
        try transaction("intent") { try Self.forgetWrite(field, of: key, $0) }
    }

    /// The fields of an entity that were about to be written when an earlier attempt ended.
    func writesInDoubt(of key: EntityKey) throws -> Set<FieldDigest> {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT operation FROM intent WHERE kind = ? AND id = ?")
            let operations = try String.fetchAll(statement, arguments: [key.kind.rawValue, key.id])
            return Set(
                operations.compactMap { operation in
                    guard operation.hasPrefix(fieldPrefix) else { return nil }
                    return UInt64(operation.dropFirst(fieldPrefix.count), radix: 16).map { FieldDigest(rawValue: $0) }
                })
        }
    }

    /// What was created: identity in, intent out.
    public func created(
        _ identity: Identity, followUps: [EntityKey] = [], at milliseconds: Int64 = 0
    ) throws {
        try progress("created") { db in
            try Self.upsert(identity, db)
            try Self.append(followUps, at: milliseconds, db)
            try db.cachedStatement(sql: "DELETE FROM intent WHERE kind = ? AND id = ? AND operation = 'create'")
                .execute(arguments: [identity.kind.rawValue, identity.primaryID])
            // Until it is acknowledged, all that is in it is ours.
            try db.cachedStatement(sql: "INSERT OR IGNORE INTO intent VALUES (?, ?, ?)")
                .execute(arguments: [identity.kind.rawValue, identity.primaryID, Intent.Operation.made.rawValue])
        }
    }

    // MARK: Progress within one entity

    /// How far a run's metric histories are written, while it is not finished.
    public func save(_ base: Base, of kind: EntityKey.Kind, _ primaryID: String) throws {
        try progress("marks") { db in
            try db.cachedStatement(sql: "UPDATE identity SET base = ? WHERE kind = ? AND primary_id = ?")
                .execute(arguments: [Data(base.encoded()), kind.rawValue, primaryID])
        }
    }

    // MARK: Artifact manifest

    public func manifest(of owner: EntityKey) throws -> [ExactName: ManifestRow] {
        try read { db in
            let statement = try db.cachedStatement(
                sql: "SELECT path, size, sha256, settled, tag FROM artifact WHERE owner_kind = ? AND owner = ?")
            var rows: [ExactName: ManifestRow] = [:]
            for row in try Row.fetchAll(statement, arguments: [owner.kind.rawValue, owner.id]) {
                let digest = SHA256Digest(bytes: [UInt8](row[2] as Data))
                let content = (row[4] as String?).map { FileContent.tag($0) } ?? .sha256(digest)
                let file = ManifestRow(path: row[0], size: row[1], content: content, isSettled: row[3])
                rows[ExactName(file.path)] = file
            }
            return rows
        }
    }

    public func note(_ file: ManifestRow, of owner: EntityKey) throws {
        try transaction("file") { db in
            let digest = file.sha256.map { Data($0.bytes) }
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO artifact VALUES (?, ?, ?, ?, coalesce(?, x''), ?, ?)").execute(arguments: [
                owner.kind.rawValue, owner.id, file.path, file.size, digest, file.isSettled, file.tag,
            ])
            // It is ours for certain: whatever is there later is somebody's.
            try Self.forgetWrite(FileConflicts.intent(file.path), of: owner, db)
        }
    }
}
