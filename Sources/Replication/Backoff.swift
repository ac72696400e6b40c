/// How long to wait before an entity is tried again.
struct Backoff: Sendable {
    /// Seconds.
    var first = 0.25
    var most = 30.0
    /// What is in doubt may still be under way at the store: it is given time before anyone looks.
    var inDoubt = 1.0

    /// Seconds before something is tried again that nothing else is tried beside.
    ///
    /// - Parameter attempt: from 1.
    func pause(attempt: Int) -> Double { min(most, first * Double(1 << min(attempt - 1, 20))) }

    /// - Parameters:
    ///   - attempt: from 1.
    ///   - key: spreads the entities that failed together; the same key and attempt always give the same pause.
    func pause(attempt: Int, key: EntityKey, _ error: StoreError) -> Double {
        if case .retry(let after?) = error.decision { return min(error.reason == .throttled ? max(after, first) : after, 3600) }
        let doubled = pause(attempt: attempt)
        let spread = Double(FieldDigest("\(key) \(attempt)").rawValue % 1000) / 1000
        return max(doubled * (0.5 + spread / 2), error.isInDoubt ? inDoubt : 0)
    }
}
