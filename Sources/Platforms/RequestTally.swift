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
    /// Requests that failed in passing: what they were for is tried again.
    public private(set) var retries = 0
    /// Tokens that took another's place.
    public private(set) var renewals = 0

    public init() {}

    /// - Parameter seconds: until the answer was whole; of one that is read while it arrives, until it began.
    public mutating func count(_ kind: RequestClass, seconds: Double) {
        counts[kind, default: 0] += 1
        durations[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
        self.seconds += seconds
    }

    public mutating func countWait(seconds: Double) { throttledSeconds += seconds }

    public mutating func countRetry() { retries += 1 }

    public mutating func countRenewal() { renewals += 1 }
}

/// Counts the requests of one store where they leave.
final class RequestTally: Sendable {
    private let held = Locked(RequestFigures())

    var figures: RequestFigures { held.withLock { $0 } }

    /// For `HTTPClientConfiguration.onExchange`.
    func note(_ exchange: HTTPExchange) {
        held.withLock {
            $0.count(RequestClass(rawValue: exchange.label) ?? .other, seconds: exchange.seconds)
            if exchange.failedInPassing { $0.countRetry() }
        }
    }

    /// For `BearerTokens`.
    func noteRenewal() { held.withLock { $0.countRenewal() } }

    func noteWait(_ seconds: Double) { held.withLock { $0.countWait(seconds: seconds) } }
}

extension HTTPExchange {
    /// As MLflow's own client has it; and whoever was not reached, or was cut off.
    fileprivate var failedInPassing: Bool {
        if let status { return [408, 429, 500, 502, 503, 504].contains(status) }
        switch failure {
        case .unresolved, .refused, .connectTimeout, .timeout, .stalled, .reset, .truncated, .proxy: return true
        default: return false
        }
    }
}
