public import Curl
import Replication

/// Bearer tokens that end: got once for all requests, and renewed before they end.
///
/// While an old one is good, a renewal that fails costs nothing. One that the service refuses is not sent again.
public actor BearerTokens: Authorization {
    private let clock: @Sendable () -> Double
    private let fetch: @Sendable (_ clock: @Sendable () -> Double) async throws -> AccessToken
    private let onRenewal: @Sendable () -> Void
    private var hadToken = false
    private var token: AccessToken?
    /// Shared by all who wait for it, and by nobody's task: the end of one of them must not end it for the others.
    private var renewal: Task<AccessToken, any Error>?
    private var waiting = 0
    private var nextRenewal = -Double.infinity
    /// Seconds between attempts while the old token is good.
    private static let pause = 30.0

    /// - Parameters:
    ///   - clock: in seconds, never going back.
    ///   - onRenewal: told of each one that takes another's place.
    ///   - fetch: gets one; throws `StoreError` or `CancellationError`.
    init(
        clock: @escaping @Sendable () -> Double = BearerTokens.continuousSeconds,
        onRenewal: @escaping @Sendable () -> Void = {},
        fetch: @escaping @Sendable (_ clock: @Sendable () -> Double) async throws -> AccessToken
    ) {
        self.clock = clock
        self.onRenewal = onRenewal
        self.fetch = fetch
    }

    /// Goes on while the machine sleeps: so does the life of a token.
    public static let continuousSeconds: @Sendable () -> Double = {
        let start = ContinuousClock.now
        return { @Sendable in start.duration(to: .now) / .seconds(1) }
    }()

    public func header() async throws -> HTTPHeader? {
        let now = clock()
        if let token, now < token.endsAt {
            if renewal == nil, now >= token.renewAt, now >= nextRenewal {
                nextRenewal = now + Self.pause
                _ = renew()
            }
            return Self.header(token)
        }
        while true {
            do {
                return Self.header(try await waitForRenewal())
            } catch is CancellationError where !Task.isCancelled {
                // Everybody else who waited for it was cancelled, and it with them.
                continue
            }
        }
    }

    private func waitForRenewal() async throws -> AccessToken {
        let task = renew()
        waiting += 1
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            Task { await self.leave(task) }
        }
    }

    /// One that nobody waits for any longer is given up.
    private func leave(_ task: Task<AccessToken, any Error>) {
        guard renewal == task else { return }
        waiting -= 1
        if waiting == 0 { task.cancel() }
    }

    public func wasRefused(_ header: HTTPHeader) -> Bool {
        // Another request may have brought a new one meanwhile.
        if let token, Self.header(token) == header { self.token = nil }
        return true
    }

    private static func header(_ token: AccessToken) -> HTTPHeader { .bearer(token.value) }

    private func renew() -> Task<AccessToken, any Error> {
        if let renewal { return renewal }
        waiting = 0
        let task = Task {
            defer { renewal = nil }
            let new = try await fetch(clock)
            token = new
            if hadToken { onRenewal() }
            hadToken = true
            return new
        }
        renewal = task
        return task
    }
}
