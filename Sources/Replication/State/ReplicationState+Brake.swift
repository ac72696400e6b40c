import FoundationEssentials
import GRDB

extension ReplicationState {
    public var brake: Brake {
        get throws { try read(Self.brake) }
    }

    /// Counts one more thing that is deleted on the primary and was copied: once, however often its deletion is tried before it is acknowledged.
    ///
    /// - Parameter part: of the thing, where it is not the whole.
    /// - Returns: false when it must not be deleted on the secondary for now.
    func mayDelete(_ key: EntityKey, part: String = "", at milliseconds: Int64) throws -> Bool {
        try transaction("brake") { db in
            let intent: StatementArguments = [key.kind.rawValue, key.id, "deletion \(part)"]
            let sql = "SELECT EXISTS (SELECT 1 FROM intent WHERE kind = ? AND id = ? AND operation = ?)"
            if try Bool.fetchOne(db.cachedStatement(sql: sql), arguments: intent) == true { return true }
            var brake = try Self.brake(db)
            let isAllowed = try brake.allows(at: milliseconds) {
                try Int.fetchOne(db, sql: "SELECT count(*) FROM identity WHERE kind = 'run'") ?? 0
            }
            try Self.note(brake, db)
            if isAllowed { try db.cachedStatement(sql: "INSERT INTO intent VALUES (?, ?, ?)").execute(arguments: intent) }
            return isAllowed
        }
    }

    /// Anyone may say it: what was held passes, and all other deletions of the next hour.
    public func releaseBrake(at milliseconds: Int64) throws {
        try write { db in
            var brake = try Self.brake(db)
            brake.release(at: milliseconds)
            try Self.note(brake, db)
        }
    }

    private static func brake(_ db: Database) throws -> Brake {
        let sql = "SELECT value FROM control WHERE name = ?"
        guard let text = try String.fetchOne(db.cachedStatement(sql: sql), arguments: [ControlName.brake.rawValue]) else { return Brake() }
        return (try? JSONDecoder().decode(Brake.self, from: Data(text.utf8))) ?? Brake()
    }

    private static func note(_ brake: Brake, _ db: Database) throws {
        try setControl(.brake, String(decoding: try JSONEncoder().encode(brake), as: UTF8.self), db)
    }
}
