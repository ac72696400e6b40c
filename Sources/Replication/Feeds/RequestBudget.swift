/// How often who looks for changes may ask, one allowance for each class of endpoint. Never exceeded: what is not there is waited for.
actor RequestBudget {
    enum Endpoint: Hashable, Sendable, CaseIterable {
        case experiments, runs, loggedModels, registry, files, activeRuns
    }
    private let perSecond: Double
    private let others: [Endpoint: Double]
    private let clock: any ReplicationClock
    private var free: [Endpoint: Double] = [:]
    private var lastRefill: Double

    /// - Parameters:
    ///   - perSecond: requests of each class, above 0.
    ///   - others: of those classes instead, likewise.
    init(perSecond: Double, _ others: [Endpoint: Double] = [:], clock: any ReplicationClock) {
        self.perSecond = perSecond
        self.others = others
        self.clock = clock
        lastRefill = clock.monotonicSeconds
        for endpoint in Endpoint.allCases { free[endpoint] = max(1, others[endpoint] ?? perSecond) }
    }

    private func rate(_ endpoint: Endpoint) -> Double { others[endpoint] ?? perSecond }
    /// Requests that may come at once.
    private func burst(_ endpoint: Endpoint) -> Double { max(1, rate(endpoint)) }

    /// Returns when a request may be sent.
    func take(_ endpoint: Endpoint) async throws {
        while !takeNow(endpoint) {
            try await clock.sleep(seconds: max(0.002, (1 - free[endpoint, default: 0]) / rate(endpoint)))
        }
    }

    /// Whether a request may be sent now; it then counts as sent.
    func takeNow(_ endpoint: Endpoint) -> Bool {
        let now = clock.monotonicSeconds
        for key in Endpoint.allCases { free[key] = min(burst(key), free[key, default: 0] + (now - lastRefill) * rate(key)) }
        lastRefill = now
        // A shade under one: what was waited for may arrive a rounding too early.
        guard free[endpoint, default: 0] > 0.999 else { return false }
        free[endpoint, default: 0] -= 1
        return true
    }
}

extension RequestBudget {
    /// Hands over a listing's pages, each within the allowance. A listing that names itself as its own next page ends there.
    nonisolated func pages<Element: Sendable>(
        _ endpoint: Endpoint, _ read: (PageToken?) async throws -> Page<Element>, _ take: (Page<Element>) async throws -> Void
    ) async throws {
        var token: PageToken?
        repeat {
            let page = try await patiently(endpoint) { try await read(token) }
            try await take(page)
            guard page.next != token else { break }
            token = page.next
        } while token != nil
    }

    /// A store that is asked too often, or stumbles, is asked again after a while: a long cycle would otherwise never come to its end.
    private nonisolated func patiently<Answer>(_ endpoint: Endpoint, _ read: () async throws -> Answer) async throws -> Answer {
        var attempt = 0
        while true {
            try await self.take(endpoint)
            do { return try await read() } catch let error as StoreError {
                guard case .retry(let after) = error.decision, attempt < 3, [.throttled, .serverFailure].contains(error.reason) else {
                    throw error
                }
                attempt += 1
                try await pause(seconds: max(min(after ?? 0, 60), Double(1 << attempt) / 2))
            }
        }
    }

    private func pause(seconds: Double) async throws { try await clock.sleep(seconds: seconds) }
}
