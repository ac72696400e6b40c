import FoundationEssentials
import GRDB

/// Something of the primary that changed after it was switched to `azureml-only`: somebody still writes there.
public struct Straggler: Sendable, Hashable {
    public var key: EntityKey
    /// Milliseconds since 1970.
    public var firstAt: Int64
    public var lastAt: Int64
    public var changes: Int
}

extension ReplicationState {
    public var modes: ModeLedger {
        get throws { try read { try Self.modes($0) } }
    }

    /// Anyone may say it; the owner obeys within a second.
    ///
    /// - Parameter comparesAnew: then, where a seal was taken off, everything is compared with the primary: nothing is known of what went
    ///   on there meanwhile.
    public func changeModes<R>(comparesAnew why: String? = nil, _ change: (inout ModeLedger) -> R) throws -> R {
        try write { db in
            var ledger = try Self.modes(db)
            let before = ledger.sealedScopes
            let result = change(&ledger)
            try Self.set(ledger, db)
            if !Set(before).isSubset(of: ledger.sealedScopes) {
                let name = ControlName.endedSeals.rawValue
                let number =
                    try Int64.fetchOne(db, sql: "SELECT CAST(value AS INTEGER) FROM control WHERE name = ?", arguments: [name]) ?? 0
                try Self.setControl(.endedSeals, "\(number + 1)", db)
            }
            if let why, ledger.sealedScopes != before {
                try Self.askForReconciliation(why, db)
                // Their marks go with the next look.
                try db.execute(
                    sql: "UPDATE identity SET record = NULL WHERE kind IN (?, ?)",
                    arguments: [EntityKey.Kind.experiment.rawValue, EntityKey.Kind.registeredModel.rawValue])
                if !ledger.hasSeals { try db.execute(sql: "DELETE FROM straggler") }
                let name = ControlName.onlyReported.rawValue
                if try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT * FROM control WHERE name = ?)", arguments: [name]) ?? false {
                    try db.execute(sql: "UPDATE identity SET record = NULL, settled = 0")
                    if !ledger.hasSeals { try Self.setControl(.onlyReported, nil, db) }
                }
            }
            return result
        }
    }

    /// Back to `dual`. Said while the marks of an earlier state file's seals may still be looked for, it holds for those too.
    ///
    /// - Returns: the switches that ended.
    public func endModes(_ scope: NameScope) throws -> [ModeSwitch] {
        try write { db in
            // To a file that knows no pair yet, names are more likely misspelt.
            let sql = "SELECT adopted = 0 AND (name IS NOT NULL OR ?) FROM pair"
            let namesNothing = scope == .everything
            let isOpen = try Bool.fetchOne(db, sql: sql, arguments: [namesNothing]) ?? false
            guard isOpen, let text = scope.encoded else { return }
            let name = ControlName.dualAsked
            let before = try String.fetchOne(db, sql: "SELECT value FROM control WHERE name = ?", arguments: [name.rawValue])
            try Self.setControl(name, ((before.map { [$0] } ?? []) + [text]).joined(separator: "\n"), db)
        }
        return try changeModes(comparesAnew: "back to dual") { $0.end(scope) }
    }

    /// What people have taken back since this file began, or was found to be old, while nobody has read the marks of seals.
    var dualAsked: [NameScope] {
        get throws {
            try (control(.dualAsked) ?? "").split(separator: "\n").compactMap { NameScope(encoded: String($0)) }
        }
    }

    /// The owner's next step, unless people have said otherwise meanwhile.
    ///
    /// - Parameter asking: why everything is to be compared with the primary, in the same step.
    /// - Returns: the switch as it is now; nil: it is no longer wanted.
    func advance(_ one: ModeSwitch, asking why: String? = nil, _ change: (inout ModeSwitch, LSN) -> Void) throws -> ModeSwitch? {
        try transaction("mode") { db in
            var ledger = try Self.modes(db)
            guard let at = ledger.index(of: one) else { return nil }
            let before = ledger.switches[at]
            let head = LSN(rawValue: try Int64.fetchOne(db, sql: "SELECT head FROM position") ?? 0)
            change(&ledger.switches[at], head)
            guard ledger.switches[at] != before else { return before }
            try Self.set(ledger, db)
            if let why { try Self.askForReconciliation(why, db) }
            return ledger.switches[at]
        }
    }

    private static func modes(_ db: Database) throws -> ModeLedger {
        let text = try String.fetchOne(
            db.cachedStatement(sql: "SELECT value FROM control WHERE name = ?"), arguments: [ControlName.modes.rawValue])
        guard let text else { return ModeLedger() }
        guard let ledger = try? JSONDecoder().decode(ModeLedger.self, from: Data(text.utf8)) else {
            // Taken for `dual`, it would have the secondary written over.
            throw StateError(.damaged, "the mode in the state file cannot be read; a newer mlmirror may have written it. Use that one")
        }
        return ledger
    }

    private static func set(_ ledger: ModeLedger, _ db: Database) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let text = ledger.switches.isEmpty ? nil : String(decoding: try encoder.encode(ledger), as: UTF8.self)
        try setControl(.modes, text, db)
    }

    // MARK: Retired

    /// It was restored on the primary.
    func forget(retired key: EntityKey) throws {
        try transaction("retired") { db in
            try db.execute(sql: "DELETE FROM retired WHERE kind = ? AND id = ?", arguments: [key.kind.rawValue, key.id])
        }
    }

    /// Before it is deleted on the primary, by whoever does it: the daemon may see the deletion at once.
    func note(retired key: EntityKey, at milliseconds: Int64) throws {
        try write { db in
            try db.execute(
                sql: "INSERT OR REPLACE INTO retired VALUES (?, ?, ?)", arguments: [key.kind.rawValue, key.id, milliseconds])
        }
    }

    func isRetired(_ key: EntityKey) throws -> Bool {
        try read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM retired WHERE kind = ? AND id = ?")
            return try Int.fetchOne(statement, arguments: [key.kind.rawValue, key.id]) != nil
        }
    }

    // MARK: Stragglers

    /// - Returns: whether it is the first time.
    func note(straggler key: EntityKey, at milliseconds: Int64) throws -> Bool {
        try transaction("straggler") { db in
            let changes = try Int.fetchOne(
                db.cachedStatement(
                    sql: """
                        INSERT INTO straggler VALUES (?1, ?2, ?3, ?3, 1) ON CONFLICT (kind, id) DO UPDATE SET last_at = ?3, changes = changes + 1
                        RETURNING changes
                        """), arguments: [key.kind.rawValue, key.id, milliseconds])
            return changes == 1
        }
    }

    /// The last ones first.
    public func stragglers(limit: Int) throws -> [Straggler] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT kind, id, first_at, last_at, changes FROM straggler ORDER BY last_at DESC, kind, id LIMIT ?",
                arguments: [limit]
            )
            .compactMap { row in
                EntityKey.Kind(rawValue: row[0]).map {
                    Straggler(key: EntityKey($0, row[1]), firstAt: row[2], lastAt: row[3], changes: row[4])
                }
            }
        }
    }

    public func stragglerCount() throws -> Int {
        try read { try Int.fetchOne($0.cachedStatement(sql: "SELECT count(*) FROM straggler")) ?? 0 }
    }
}
