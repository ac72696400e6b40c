public import Curl
import Foundation
import Replication

/// Tokens for one Azure ML workspace: got once for all requests, and renewed before they end.
///
/// While an old one is good, a renewal that fails costs nothing. One that the workspace refuses is not sent again.
public actor AzureTokens: Authorization {
    private let identity: AzureIdentity
    private let cloud: AzureCloud
    private let client: HTTPClient
    private let clock: @Sendable () -> Double
    private var token: AccessToken?
    /// Shared by all who wait for it, and by nobody's task: the end of one of them must not end it for the others.
    private var renewal: Task<AccessToken, any Error>?
    private var waiting = 0
    private var nextRenewal = -Double.infinity
    /// Seconds between attempts while the old token is good.
    private static let pause = 30.0

    /// - Parameters:
    ///   - client: for the token endpoint alone; without a proxy where `identity.isLocal`.
    ///   - clock: in seconds, never going back.
    public init(
        _ identity: AzureIdentity, cloud: AzureCloud, client: HTTPClient,
        clock: @escaping @Sendable () -> Double = AzureTokens.continuousSeconds
    ) {
        self.identity = identity
        self.cloud = cloud
        self.client = client
        self.clock = clock
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
            let new = try await fetch()
            token = new
            return new
        }
        renewal = task
        return task
    }

    private func fetch() async throws -> AccessToken {
        let exchange = try TokenRequest(identity, cloud)
        let asked = clock()
        let response: HTTPResponse
        do {
            response = try await client.send(exchange.request, body: exchange.body.isEmpty ? .none : .bytes(exchange.body))
        } catch let error as HTTPError {
            if error.kind == .cancelled { throw CancellationError() }
            throw failure(.retry(after: nil), .unreachable, error.description, "check that it can be reached from here")
        }
        guard response.status == 200 else { throw refusal(response) }
        guard let answer = try? WireDecoder.decode(TokenAnswer.self, from: response.body), !answer.accessToken.isEmpty else {
            throw failure(.retry(after: nil), .malformed, "an answer without a token", "check what stands before it")
        }
        return AccessToken(answer.accessToken, life: answer.life(Date().timeIntervalSince1970), now: asked)
    }

    private func refusal(_ response: HTTPResponse) -> StoreError {
        let said = (try? WireDecoder.decode(TokenRefusal.self, from: response.body))?.description ?? "no reason is given"
        let what = "HTTP \(response.status): \(said)"
        let wait = RetryAfter.seconds(response.headers, now: Date().timeIntervalSince1970)
        switch response.status {
        case 429: return failure(.retry(after: wait), .throttled, what, "ask less often")
        // The metadata service answers 404 and 410 while it is being updated.
        case 404 where identity.isLocal, 410, 408, 500...: return failure(.retry(after: wait), .serverFailure, what, "ask again")
        default: return failure(.stop, .unauthorized, what, "check the variables AZURE_* and the rights behind them")
        }
    }

    private func failure(_ decision: StoreError.Decision, _ reason: StoreError.Reason, _ what: String, _ advice: String) -> StoreError {
        let place = identity.isLocal ? "the metadata service" : cloud.authority
        return StoreError(
            decision, reason, "a token for \(identity) from \(place): \(Redaction.text(String(what.prefix(400)))); \(advice)")
    }
}
