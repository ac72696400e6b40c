import GRDB
import Glibc

/// What the state file is asked by whoever watches over a daemon.
extension ReplicationState {
    /// How many conflicts are noted, by kind; a kind that has none is left out.
    public func conflictCounts() throws -> [ConflictKind: Int] {
        try read { db in
            var counts: [ConflictKind: Int] = [:]
            for row in try Row.fetchAll(db.cachedStatement(sql: "SELECT rule, count(*) FROM conflict GROUP BY rule")) {
                if let kind = (row[0] as String?).flatMap({ ConflictKind(rawValue: $0) }) { counts[kind] = row[1] }
            }
            return counts
        }
    }

    /// In bytes, with the part that is not folded into it yet; 0 where there is none.
    public var fileBytes: Int64 {
        ["", "-wal"].reduce(0) { bytes, suffix in
            var status = stat()
            return stat(path + suffix, &status) == 0 ? bytes + Int64(status.st_size) : bytes
        }
    }

    /// When everything in scope was last compared and found equal: milliseconds since 1970; nil: never.
    public var verifiedAt: Int64? {
        get throws { try control(.verifiedAt).flatMap { Int64($0) } }
    }

    /// Anyone may say it: a comparison needs no pause of the mirror.
    public func noteVerified(at milliseconds: Int64) throws {
        try write { try Self.setControl(.verifiedAt, String(milliseconds), $0) }
    }
}
