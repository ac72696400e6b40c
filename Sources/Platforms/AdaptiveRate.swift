import Replication

/// How fast one class of requests is sent to a service that says when it is asked too often.
///
/// Without limit until the service refuses a part of what is sent; one refusal among many is chance. Then a third less than what was sent;
/// more again, quickly while far from where it was refused, slowly near it. So it finds the rate that is sustained, and stays there. Times
/// are in seconds, and given.
struct AdaptiveRate: Sendable {
    /// Requests a second; nil: no limit.
    private(set) var perSecond: Double?
    /// Where it was refused last.
    private var ceiling = Double.infinity
    /// Never more than that.
    private let limit: Double
    private var nextTurn = 0.0
    /// Until then the service has asked to be left alone: also by those who had their turn before it asked.
    private(set) var blockedUntil = -Double.infinity
    private var lastCut = -Double.infinity
    private var lastRaise = 0.0
    /// Requests of the last seconds, by second.
    private var recent: [Int: Int] = [:]
    private var refusals: [Int: Int] = [:]

    private static let window = 5
    /// One burst of refusals is one refusal.
    private static let burst = 2.0
    private static let least = 0.5

    /// - Parameter limit: requests a second that are never exceeded; nil: as many as the service takes.
    init(limit: Double? = nil) {
        perSecond = limit
        self.limit = limit ?? .infinity
    }

    /// How long to wait before the next request is sent; takes the turn.
    mutating func turn(at now: Double) -> Double {
        guard let perSecond else {
            note(now)
            return max(0, nextTurn - now)
        }
        let turn = max(now, nextTurn)
        nextTurn = turn + 1 / perSecond
        note(turn)
        return turn - now
    }

    /// - Parameter after: as long as the service asked to be left alone.
    mutating func wasRefused(at now: Double, after: Double?) {
        nextTurn = max(nextTurn, now + (after ?? 0))
        if let after { blockedUntil = max(blockedUntil, now + after) }
        refusals[Int(now), default: 0] += 1
        if refusals.count > Self.window * 2 { refusals = refusals.filter { $0.key > Int(now) - Self.window } }
        guard now - lastCut > Self.burst, isTooFast(now) else { return }
        ceiling = min(perSecond ?? .infinity, max(Self.least, observed(now)))
        perSecond = min(limit, max(Self.least, ceiling * 0.7))
        lastCut = now
        lastRaise = now
    }

    mutating func wentWell(at now: Double) {
        guard let rate = perSecond, now - lastCut > Self.burst, now - lastRaise > 1 else { return }
        perSecond = min(limit, rate * (rate < ceiling * 0.9 ? 1.08 : 1.01))
        lastRaise = now
    }

    private mutating func note(_ now: Double) {
        let second = Int(now)
        recent[second, default: 0] += 1
        if recent.count > Self.window * 2 { recent = recent.filter { $0.key > second - Self.window } }
    }

    private func isTooFast(_ now: Double) -> Bool {
        func count(_ counts: [Int: Int]) -> Int { counts.filter { $0.key > Int(now) - Self.window }.values.reduce(0, +) }
        let refused = count(refusals)
        return refused >= 2 && Double(refused) > 0.05 * Double(count(recent))
    }

    /// Of the last whole seconds in which anything was sent.
    private func observed(_ now: Double) -> Double {
        let second = Int(now)
        let past = recent.filter { $0.key >= second - Self.window && $0.key < second }
        guard let first = past.keys.min() else { return Double(recent[second] ?? 1) }
        return Double(past.values.reduce(0, +)) / Double(second - first)
    }
}

/// The rates of one service, by class of request.
final class AdaptiveRates: Sendable {
    private let rates = Locked<[String: AdaptiveRate]>([:])
    private let classOf: @Sendable (MLflowCall) -> String
    /// Requests a second of a class that are never exceeded; nil: no such limit.
    let limit: @Sendable (String) -> Double?
    /// Told of the seconds that a request has waited.
    private let onWait: @Sendable (Double) -> Void
    /// Seconds since some moment.
    private let now: @Sendable () -> Double
    private let sleep: @Sendable (Double) async throws -> Void
    private static let start = ContinuousClock.now

    /// - Parameters:
    ///   - now: seconds since some moment.
    ///   - sleep: for so many of them.
    init(
        classOf: @escaping @Sendable (MLflowCall) -> String = { $0.rateClass },
        onWait: @escaping @Sendable (Double) -> Void = { _ in },
        limit: @escaping @Sendable (String) -> Double? = { _ in nil },
        now: @escaping @Sendable () -> Double = { AdaptiveRates.start.duration(to: .now) / .seconds(1) },
        sleep: @escaping @Sendable (Double) async throws -> Void = { try await Task.sleep(for: .seconds($0)) }
    ) {
        self.now = now
        self.sleep = sleep
        self.onWait = onWait
        self.classOf = classOf
        self.limit = limit
    }

    func name(of call: MLflowCall) -> String { classOf(call) }

    /// Waits for the class's turn; for another one, where the service has asked meanwhile to be left alone for longer.
    func turn(_ name: String) async throws {
        var waited = 0.0
        repeat {
            let wait = rates.withLock { $0[name, default: AdaptiveRate(limit: limit(name))].turn(at: now()) }
            guard wait > 0 else { break }
            try await sleep(wait)
            waited += wait
        } while rates.withLock({ ($0[name]?.blockedUntil ?? 0) > now() })
        if waited > 0 { onWait(waited) }
    }

    func wasRefused(_ name: String, after: Double?) {
        rates.withLock { $0[name, default: AdaptiveRate(limit: limit(name))].wasRefused(at: now(), after: after) }
    }

    func wentWell(_ name: String) { rates.withLock { $0[name]?.wentWell(at: now()) } }
}

extension MLflowCall {
    /// Services count requests by what they are about: `runs`, `model-versions`. Reads and writes apart.
    var rateClass: String {
        let parts = path.prefix { $0 != "?" }.split(separator: "/")
        let resource = parts.firstIndex(of: "mlflow").map { parts[($0 + 1)...].first ?? "" } ?? parts.last ?? ""
        return (isWrite ? "write " : "read ") + resource
    }
}
