/// Time as the domain sees it; a simulation plays it.
public protocol ReplicationClock: Sendable {
    /// Milliseconds since 1970.
    var nowMilliseconds: Int64 { get }
    /// Seconds that never go back, from any start.
    var monotonicSeconds: Double { get }
    /// Throws `CancellationError` when the task is cancelled.
    func sleep(seconds: Double) async throws
}
