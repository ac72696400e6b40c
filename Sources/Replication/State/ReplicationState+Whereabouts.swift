import GRDB

/// Where one thing is on both sides, and how it stands.
public struct Whereabouts: Sendable, Hashable {
    public enum Standing: Sendable, Hashable {
        case copied
        /// It, or its files, are in the change log.
        case waiting
        /// Made on the secondary; what is in it follows.
        case created
        case setAside(String)
        /// Set aside, and left out by decision.
        case discarded(String)
    }
    public var kind: EntityKey.Kind
    public var primaryID: String
    public var secondaryID: String
    public var standing: Standing
}

extension ReplicationState {
    /// What bears this id on either side.
    public func whereabouts(of id: String) throws -> [Whereabouts] {
        try read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT kind, primary_id, secondary_id, base IS NOT NULL FROM identity WHERE primary_id = ?1
                    UNION SELECT kind, primary_id, secondary_id, base IS NOT NULL FROM identity
                        WHERE kind IN ('experiment', 'run', 'logged_model', 'registered_model') AND secondary_id = ?1
                    ORDER BY 1, 2
                    """, arguments: [id])
            return try rows.compactMap { row in
                guard let kind = EntityKey.Kind(rawValue: row[0]) else { return nil }
                let primary: String = row[1]
                let standing: Whereabouts.Standing
                let files = kind == .run ? EntityKey.Kind.runArtifacts : .loggedModelArtifacts
                let keys: StatementArguments = [kind.rawValue, files.rawValue, primary]
                if let letter = try Row.fetchOne(
                    db,
                    sql: """
                        SELECT message, discarded_at IS NOT NULL FROM dead_letter WHERE kind IN (?, ?) AND id = ?
                        ORDER BY discarded_at IS NOT NULL, path LIMIT 1
                        """, arguments: keys)
                {
                    standing = letter[1] ? .discarded(letter[0]) : .setAside(letter[0])
                } else if try Int.fetchOne(db, sql: "SELECT 1 FROM change_log WHERE kind IN (?, ?) AND id = ?", arguments: keys) != nil {
                    standing = .waiting
                } else {
                    standing = row[3] ? .copied : .created
                }
                return Whereabouts(kind: kind, primaryID: primary, secondaryID: row[2], standing: standing)
            }
        }
    }
}
