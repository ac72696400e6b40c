import Curl
import Foundation
import Replication

/// Asks an endpoint for a token, and reads its answer.
struct TokenExchange: Sendable {
    var client: HTTPClient
    /// For people: as whom, and where.
    var subject: String

    /// - Parameters:
    ///   - isLocal: a metadata service, which answers 404 while it is being updated.
    ///   - advice: what is said where the endpoint refuses for good.
    /// - Throws: `StoreError`, `CancellationError`.
    func send(_ exchange: TokenRequest, _ clock: () -> Double, isLocal: Bool = false, advice: String) async throws -> AccessToken {
        let asked = clock()
        let response: HTTPResponse
        do {
            response = try await client.send(exchange.request.about(.tokens), body: exchange.body.isEmpty ? .none : .bytes(exchange.body))
        } catch let error as HTTPError {
            if error.kind == .cancelled { throw CancellationError() }
            throw failure(.retry(after: nil), .unreachable, error.description, "check that it can be reached from here")
        }
        guard response.status == 200 else { throw refusal(response, isLocal, advice) }
        guard let answer = try? WireDecoder.decode(TokenAnswer.self, from: response.body), !answer.accessToken.isEmpty else {
            throw failure(.retry(after: nil), .malformed, "an answer without a token", "check what stands before it")
        }
        return AccessToken(answer.accessToken, life: answer.life(Date().timeIntervalSince1970), now: asked)
    }

    private func refusal(_ response: HTTPResponse, _ isLocal: Bool, _ advice: String) -> StoreError {
        let said = (try? WireDecoder.decode(TokenRefusal.self, from: response.body))?.description ?? "no reason is given"
        let what = "HTTP \(response.status): \(said)"
        let wait = RetryAfter.seconds(response.headers, now: Date().timeIntervalSince1970)
        let message = MLflowFailure.Answer(response.body)?.message ?? ""
        switch response.status {
        case 403 where MLflowFailure.isAboutAddress(message):
            return failure(.retry(after: nil), .unreachable, "HTTP 403: \(message)", MLflowFailure.addressAdvice)
        case 429: return failure(.retry(after: wait), .throttled, what, "ask less often")
        // The metadata service answers 404 and 410 while it is being updated.
        case 404 where isLocal, 410, 408, 500...: return failure(.retry(after: wait), .serverFailure, what, "ask again")
        default: return failure(.stop, .unauthorized, what, advice)
        }
    }

    private func failure(_ decision: StoreError.Decision, _ reason: StoreError.Reason, _ what: String, _ advice: String) -> StoreError {
        StoreError(decision, reason, "a token for \(subject): \(Redaction.text(String(what.prefix(400)))); \(advice)")
    }
}
