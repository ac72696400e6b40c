import Curl
import Replication

/// What one store was asked since it was opened. A fixed set of numbers, whatever is asked.
public struct RequestFigures: Sendable, Hashable {
    /// Upper bounds of `durations`, in seconds.
    public static let bounds = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]

    /// Requests that have ended, redirects and failures included.
    public private(set) var counts: [RequestClass: Int] = [:]
    /// How many took so long, each counted once; the last number is of what took longer than every bound.
    public private(set) var durations = [Int](repeating: 0, count: bounds.count + 1)
    /// That all of them took together.
    public private(set) var seconds = 0.0
    /// That requests waited before they were sent, so as not to be too many.
    public private(set) var throttledSeconds = 0.0

    public init() {}

    /// - Parameter seconds: until the answer was whole; of one that is read while it arrives, until it began.
    public mutating func count(_ kind: RequestClass, seconds: Double) {
        counts[kind, default: 0] += 1
        durations[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
        self.seconds += seconds
    }

    public mutating func countWait(seconds: Double) { throttledSeconds += seconds }
}

/// Counts the requests of one store where they leave.
final class RequestTally: Sendable {
    private let held = Locked(RequestFigures())

    var figures: RequestFigures { held.withLock { $0 } }

    /// For `HTTPClientConfiguration.onExchange`.
    func note(_ exchange: HTTPExchange) {
        held.withLock { $0.count(RequestClass(rawValue: exchange.label) ?? .other, seconds: exchange.seconds) }
    }

    func noteWait(_ seconds: Double) { held.withLock { $0.countWait(seconds: seconds) } }
}
