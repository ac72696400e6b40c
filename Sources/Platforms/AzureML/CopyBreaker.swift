import Replication

/// Pairs of storage accounts of which the one may not fetch from the other: for a while nobody tries.
final class CopyBreaker: Sendable {
    /// Hosts.
    struct Accounts: Hashable, Sendable {
        var from: String
        var to: String
    }
    /// Seconds. Who opens a firewall waits no longer than this.
    static let pause = 900.0
    private let ends = Locked<[Accounts: Double]>([:])

    /// - Parameter now: seconds that never go back.
    func isOpen(_ accounts: Accounts, now: Double) -> Bool { ends.withLock { $0[accounts].map { now < $0 } ?? false } }
    func open(_ accounts: Accounts, now: Double) { ends.withLock { $0[accounts] = now + Self.pause } }
}
