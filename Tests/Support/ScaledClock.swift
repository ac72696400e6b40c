import Glibc
public import Replication

/// Time that runs some hundred times faster than the wall's: for work that waits in a loop.
public struct ScaledClock: ReplicationClock {
    private let start: Double
    private let factor: Double
    public init(factor: Double = 200) {
        self.factor = factor
        start = Self.now
    }
    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    public var monotonicSeconds: Double { (Self.now - start) * factor }
    public var nowMilliseconds: Int64 { 1_800_000_000_000 + Int64(monotonicSeconds * 1000) }
    public func sleep(seconds: Double) async throws {
        try await Task.sleep(for: .seconds(max(0.001, seconds / factor)))
    }
}
