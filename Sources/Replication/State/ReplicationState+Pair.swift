import FoundationEssentials
import GRDB

/// One primary and one secondary, as written in the state file and in every stamp.
public struct Pair: Sendable, Hashable {
    public var name: String
    public var primary: StoreIdentity
    public var secondary: StoreIdentity
    public init(name: String, primary: StoreIdentity, secondary: StoreIdentity) {
        self.name = name
        self.primary = primary
        self.secondary = secondary
    }
}

extension ReplicationState {
    /// The pair that is written in the file; nil in a new one.
    public func pair() throws -> Pair? {
        try read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT name, primary_identity, secondary_identity FROM pair"),
                let name = row[0] as String?
            else { return nil }
            return Pair(name: name, primary: StoreIdentity(row[1]), secondary: StoreIdentity(row[2]))
        }
    }

    /// Writes the pair into a new file, or compares it with the one that is there.
    ///
    /// - Throws: `StateError` of kind `otherPair`.
    public func bind(_ pair: Pair) throws {
        try transaction("bind") { db in
            guard try !isBound(to: pair, db) else { return }
            try db.execute(
                sql: "UPDATE pair SET name = ?, primary_identity = ?, secondary_identity = ?",
                arguments: [pair.name, pair.primary.rawValue, pair.secondary.rawValue])
        }
    }

    /// The same for a visitor, who writes nothing: the owner has bound it.
    ///
    /// - Throws: `StateError` of kind `otherPair`, and of kind `locked` while the owner has only begun.
    public func expectBound(to pair: Pair) throws {
        guard try read({ try isBound(to: pair, $0) }), try hasAdopted() else {
            throw StateError(.locked, "\(path): its owner has only begun. Try again in a moment.")
        }
    }

    /// - Throws: `StateError` of kind `otherPair`.
    private func isBound(to pair: Pair, _ db: Database) throws -> Bool {
        let row = try Row.fetchOne(db, sql: "SELECT name, primary_identity, secondary_identity FROM pair")
        guard let row, let name = row[0] as String? else { return false }
        let differences = [
            name == pair.name ? nil : "its pair is \"\(name)\", not \"\(pair.name)\"",
            row[1] == pair.primary.rawValue ? nil : "it belongs to another primary",
            row[2] == pair.secondary.rawValue ? nil : "it belongs to another secondary",
        ].compactMap { $0 }
        guard differences.isEmpty else {
            throw StateError(
                .otherPair,
                "\(path): the state of another pair: \(differences.joined(separator: "; ")). Name another state file, or, if a "
                    + "store was replaced or restored, move this one away: the next backfill finds what is already copied by its stamps."
            )
        }
        return true
    }

    /// Notes what is mirrored from now on. When that was something else, every record counts as changed: what was left out of a thing
    /// because of the scope (a parent, files) is looked at again. What waits in the log is judged by the new scope when its turn comes: of what
    /// was deleted for good, or brought although it was out of scope, no enumeration tells.
    ///
    /// - Parameter reconciles: asks for a reconciliation in the same step.
    /// - Returns: whether the scope was another one.
    @discardableResult
    public func enter(_ scope: Scope, reconciles: Bool = false) throws -> Bool {
        try transaction("scope") { db in
            let before = try String.fetchOne(db, sql: "SELECT cursor FROM feed WHERE name = 'enumeration'")
            let parts = try JSONEncoder().encode(scope.parts)
            try db.execute(
                sql: "INSERT OR REPLACE INTO feed (name, cursor) VALUES ('scope', ?)", arguments: [String(decoding: parts, as: UTF8.self)])
            guard before != scope.fingerprint else { return false }
            try db.execute(
                sql: "INSERT OR REPLACE INTO feed (name, cursor) VALUES ('enumeration', ?)", arguments: [scope.fingerprint])
            guard before != nil else { return false }
            try db.execute(sql: "UPDATE identity SET record = NULL")
            try db.execute(sql: "DELETE FROM changed_series")
            try db.execute(
                sql: "UPDATE change_log SET whole_at = latest, record_at = latest WHERE kind <> ?",
                arguments: [EntityKey.Kind.experimentDeletion.rawValue])
            if reconciles { try Self.askForReconciliation("another scope", db) }
            return true
        }
    }

    /// Whether this is what was mirrored last.
    public func isMirroring(_ scope: Scope) throws -> Bool {
        try read { try String.fetchOne($0, sql: "SELECT cursor FROM feed WHERE name = 'enumeration'") } == scope.fingerprint
    }

    /// How a scope differs from the one that was mirrored last: the keys that say something else.
    ///
    /// - Returns: nil when nothing was mirrored yet; empty where it is the same, or another one that nobody noted the parts of.
    public func differences(to scope: Scope) throws -> [String]? {
        let (fingerprint, text) = try read { db in
            (
                try String.fetchOne(db, sql: "SELECT cursor FROM feed WHERE name = 'enumeration'"),
                try String.fetchOne(db, sql: "SELECT cursor FROM feed WHERE name = 'scope'")
            )
        }
        guard fingerprint != nil else { return nil }
        guard let before = try text.map({ try JSONDecoder().decode([String: String].self, from: Data($0.utf8)) }) else { return [] }
        let now = scope.parts
        return Set(before.keys).union(now.keys).filter { before[$0] != now[$0] }.sorted()
    }

    public func hasAdopted() throws -> Bool {
        try read { try Bool.fetchOne($0, sql: "SELECT adopted FROM pair") ?? false }
    }

    public func setAdopted() throws {
        try transaction("adopted") { db in
            try db.execute(sql: "UPDATE pair SET adopted = 1")
            try Self.setControl(.dualAsked, nil, db)
        }
    }

    /// Notes things found on the secondary by their stamps. Known ones are left as they are.
    public func adopt(_ identities: [Identity]) throws {
        try transaction("adopt") { db in
            for identity in identities {
                try db.cachedStatement(
                    sql: "INSERT OR IGNORE INTO identity (kind, primary_id, secondary_id, root) VALUES (?, ?, ?, ?)"
                ).execute(arguments: [identity.kind.rawValue, identity.primaryID, identity.secondaryID, identity.root])
            }
        }
    }

    /// Forgets what is known of an entity's content or files, not its identity, and not that it is followed: its next apply asks the secondary what is there.
    public func forgetBase(_ key: EntityKey) throws {
        try transaction("forget") { db in
            try db.execute(sql: "DELETE FROM artifact WHERE owner_kind = ? AND owner = ?", arguments: [key.kind.rawValue, key.id])
            let base = try Data.fetchOne(
                db, sql: "SELECT base FROM identity WHERE kind = ? AND primary_id = ?", arguments: [key.kind.rawValue, key.id])
            if base.flatMap({ Base(encoded: [UInt8]($0)) })?[.brought] != nil {
                try db.execute(
                    sql: "INSERT OR IGNORE INTO intent VALUES (?, ?, ?)",
                    arguments: [key.kind.rawValue, key.id, Intent.Operation.brought.rawValue])
            }
            try db.execute(
                sql: "UPDATE identity SET base = NULL, record = NULL, settled = 0 WHERE kind = ? AND primary_id = ?",
                arguments: [key.kind.rawValue, key.id])
        }
    }
}
