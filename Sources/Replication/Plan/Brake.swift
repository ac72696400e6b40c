/// Holds a flood of deletions until someone says that they are meant: a primary restored from the wrong backup, or a script gone wrong, would
/// otherwise empty the secondary too.
public struct Brake: Sendable, Hashable, Codable {
    /// Deletions are counted by the hour.
    public static let hour: Int64 = 3_600_000
    static let reason = "brake"
    static func message(_ what: String) -> String {
        "\(what): deleted on the primary, like very many others within an hour; it stays on the secondary until "
            + "`mlmirror resume --deletions` says that this is meant"
    }

    /// When the present hour began: milliseconds since 1970.
    var since: Int64 = 0
    /// Runs, experiments and versions that were deleted since.
    var deletions = 0
    /// The first that was held since then; nil: none is.
    public private(set) var heldSince: Int64?
    /// Until then all deletions pass.
    var releasedUntil: Int64 = 0

    /// More than a tenth of what was copied, at least a hundred and at most a thousand.
    static func limit(copied: Int) -> Int { min(1000, max(100, copied / 10)) }

    /// - Parameters:
    ///   - now: milliseconds since 1970.
    ///   - copied: asked for only where it matters.
    /// - Returns: whether one more may be deleted.
    mutating func allows(at now: Int64, copied: () throws -> Int) rethrows -> Bool {
        if now < releasedUntil { return true }
        // Once it holds it does not let go by itself: the next hour would bring the next thousand.
        if heldSince != nil { return false }
        if now - since >= Self.hour || now < since {
            since = now
            deletions = 0
        }
        if deletions >= Self.limit(copied: 0), try deletions >= Self.limit(copied: copied()) {
            heldSince = now
            return false
        }
        deletions += 1
        return true
    }

    mutating func release(at now: Int64) {
        self = Brake()
        releasedUntil = now + Self.hour
    }
}
