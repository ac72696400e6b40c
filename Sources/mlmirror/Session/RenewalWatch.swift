/// Decides when it is told that a store's credentials were renewed: the first time, and then at most once in ten minutes.
struct RenewalWatch {
    /// Milliseconds.
    private static let pause: Int64 = 600_000
    private var known: [Role: Int] = [:]
    private var toldAt: [Role: Int64] = [:]

    /// - Parameters:
    ///   - counts: how often each store's were, since it was opened.
    ///   - now: milliseconds since 1970.
    /// - Returns: of which stores it is told now.
    mutating func look(_ counts: [Role: Int], at now: Int64) -> [Role] {
        let before = known
        known = counts
        return Role.allCases.filter { role in
            guard let count = counts[role], count > 0, count != before[role] else { return false }
            // A clock that is set back silences nothing.
            guard toldAt[role].map({ abs(now - $0) >= Self.pause }) ?? true else { return false }
            toldAt[role] = now
            return true
        }
    }
}
