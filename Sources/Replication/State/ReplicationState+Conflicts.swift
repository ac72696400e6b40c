import GRDB

/// A conflict as it is noted, with what people have decided about it since.
public struct NotedConflict: Sendable, Hashable {
    public var conflict: Conflict
    /// When it was first seen: milliseconds since 1970.
    public var at: Int64
    public var resolution: ConflictDecision?
    /// Not carried out yet.
    public var isWaiting: Bool
}

extension ReplicationState {
    public func conflictCount() throws -> Int {
        try read { try Int.fetchOne($0, sql: "SELECT count(*) FROM conflict") ?? 0 }
    }

    /// All that are noted, the oldest first.
    ///
    /// - Parameter key: of one thing alone.
    public func conflicts(of key: EntityKey? = nil) throws -> [NotedConflict] {
        try read { db in
            let only = key == nil ? "" : "WHERE c.kind = ? AND c.id = ?"
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT c.kind, c.id, c.field, c.rule, c.decision, c.detail, c.at, r.decision, ifnull(r.queued, 1) FROM conflict c
                    LEFT JOIN resolution r ON r.kind = c.kind AND r.id = c.id AND r.field = c.field \(only)
                    ORDER BY c.at, c.kind, c.id, c.field
                    """, arguments: key.map { [$0.kind.rawValue, $0.id] } ?? [])
            return rows.compactMap { row in
                guard let kind = EntityKey.Kind(rawValue: row[0]), let rule = ConflictKind(rawValue: row[3]),
                    let decision = ConflictDecision(rawValue: row[4])
                else { return nil }
                let conflict = Conflict(key: EntityKey(kind, row[1]), field: row[2], kind: rule, decision: decision, detail: row[5])
                return NotedConflict(
                    conflict: conflict, at: row[6], resolution: (row[7] as String?).flatMap { ConflictDecision(rawValue: $0) },
                    isWaiting: !(row[8] as Bool))
            }
        }
    }

    public func note(_ conflict: Conflict, at milliseconds: Int64) throws -> Bool {
        try transaction("conflict") { try Self.note(conflict, at: milliseconds, $0) }
    }

    /// - Returns: whether it is to be told of: one that still stands was told of when it was new.
    static func note(_ conflict: Conflict, at milliseconds: Int64, _ db: Database) throws -> Bool {
        let key: StatementArguments = [conflict.key.kind.rawValue, conflict.key.id, conflict.field]
        let before = try String.fetchOne(
            db.cachedStatement(sql: "SELECT decision FROM conflict WHERE kind = ? AND id = ? AND field = ?"), arguments: key)
        if conflict.decision.isToldOnce, before == conflict.decision.rawValue { return false }
        try db.cachedStatement(
            sql: "INSERT OR REPLACE INTO conflict (kind, id, field, decision, detail, at, rule) VALUES (?, ?, ?, ?, ?, ?, ?)"
        ).execute(
            arguments: key + [conflict.decision.rawValue, conflict.detail, milliseconds, conflict.kind.rawValue])
        return true
    }

    static func forgetConflicts(of key: EntityKey, but conflicts: [Conflict], _ db: Database) throws {
        let thing: StatementArguments = [key.kind.rawValue, key.id]
        let noted = try String.fetchAll(
            db.cachedStatement(sql: "SELECT field FROM conflict WHERE kind = ? AND id = ?"), arguments: thing)
        guard !noted.isEmpty else { return }
        for field in Set(noted.map { ExactName($0) }).subtracting(conflicts.map { ExactName($0.field) }) {
            try db.cachedStatement(sql: "DELETE FROM conflict WHERE kind = ? AND id = ? AND field = ?").execute(
                arguments: thing + [field.text])
        }
    }

    /// What was noted and decided of one thing before, for its rules.
    func rules(of key: EntityKey, _ decisions: ConflictRules.Decisions) throws -> ThingRules {
        try read { db in
            let thing: StatementArguments = [key.kind.rawValue, key.id]
            func noted(in table: String) throws -> [ExactName: ConflictDecision] {
                let statement = try db.cachedStatement(sql: "SELECT field, decision FROM \(table) WHERE kind = ? AND id = ?")
                var found: [ExactName: ConflictDecision] = [:]
                for row in try Row.fetchAll(statement, arguments: thing) { found[ExactName(row[0])] = ConflictDecision(rawValue: row[1]) }
                return found
            }
            let made = try db.cachedStatement(sql: "SELECT 1 FROM intent WHERE kind = ? AND id = ? AND operation = 'made'")
            return ThingRules(
                decisions, resolutions: try noted(in: "resolution"), standing: try noted(in: "conflict"),
                isOurs: try Int.fetchOne(made, arguments: thing) != nil)
        }
    }

    // MARK: What people decide

    /// Decides for these fields, whatever the rules say. Anyone may: the owner looks at the things again within a second, or when it starts.
    public func resolve(_ conflicts: [Conflict], _ decision: ConflictDecision, at milliseconds: Int64) throws {
        try write { db in
            for conflict in conflicts {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO resolution (kind, id, field, decision, at, queued) VALUES (?, ?, ?, ?, ?, 0)",
                    arguments: [
                        conflict.key.kind.rawValue, conflict.key.id, conflict.field, decision.rawValue, milliseconds,
                    ])
            }
        }
    }

    /// Things of which somebody has decided something that nobody has looked at since.
    func waitingResolutions() throws -> [EntityKey] {
        try read { db in
            try Row.fetchAll(db.cachedStatement(sql: "SELECT DISTINCT kind, id FROM resolution WHERE queued = 0 ORDER BY kind, id"))
                .compactMap { row in EntityKey.Kind(rawValue: row[0]).map { EntityKey($0, row[1]) } }
        }
    }

    /// Puts these things into the log, in one step with the note that it was done.
    func queueResolutions(of keys: [EntityKey], at milliseconds: Int64) throws {
        try transaction("resolutions") { db in
            try Self.append(keys, at: milliseconds, db)
            for key in keys {
                try db.execute(sql: "UPDATE resolution SET queued = 1 WHERE kind = ? AND id = ?", arguments: [key.kind.rawValue, key.id])
            }
        }
    }

    /// It is gone from both sides: another one of its name is another one.
    func forget(_ identity: Identity) throws {
        try progress("forget") { db in
            try db.execute(
                sql: "DELETE FROM identity WHERE kind = ? AND primary_id = ?", arguments: [identity.kind.rawValue, identity.primaryID])
        }
    }

    /// Under other rules than last time, everything that has a conflict is looked at again.
    func enter(_ rules: ConflictRules, at milliseconds: Int64) throws {
        let before = try read { try String.fetchOne($0, sql: "SELECT cursor FROM feed WHERE name = 'rules'") }
        guard before ?? ConflictRules.standard.fingerprint != rules.fingerprint else { return }
        try transaction("rules") { db in
            try db.execute(sql: "INSERT OR REPLACE INTO feed (name, cursor) VALUES ('rules', ?)", arguments: [rules.fingerprint])
            let rows = try Row.fetchAll(db, sql: "SELECT DISTINCT kind, id FROM conflict ORDER BY kind, id")
            try Self.append(
                rows.compactMap { row in EntityKey.Kind(rawValue: row[0]).map { EntityKey($0, row[1]) } }, at: milliseconds, db)
        }
    }
}
