import FoundationEssentials
import GRDB

extension ReplicationState {
    public var brake: Brake {
        get throws { try read(Self.brake) }
    }

    /// Counts one more run, or experiment, that is deleted on the primary and was copied.
    ///
    /// - Returns: false when it must not be deleted on the secondary for now.
    func mayDelete(at milliseconds: Int64) throws -> Bool {
        try transaction("brake") { db in
            var brake = try Self.brake(db)
            let isAllowed = try brake.allows(at: milliseconds) {
                try Int.fetchOne(db, sql: "SELECT count(*) FROM identity WHERE kind = 'run'") ?? 0
            }
            try Self.note(brake, db)
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
