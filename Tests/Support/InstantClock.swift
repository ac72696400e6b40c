public import Replication

/// Time that passes only by being slept through: a test never waits.
public final class InstantClock: ReplicationClock {
    private let milliseconds = Locked<Int64>(1_800_000_000_000)
    public init() {}
    public var nowMilliseconds: Int64 { milliseconds.withLock { $0 } }
    public var monotonicSeconds: Double { Double(nowMilliseconds) / 1000 }
    public func sleep(seconds: Double) async throws {
        try Task.checkCancellation()
        milliseconds.withLock { $0 += Int64(seconds * 1000) }
        await Task.yield()
    }
}
