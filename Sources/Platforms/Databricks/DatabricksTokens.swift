import Curl
import Foundation
import Replication

/// Tokens that a workspace itself gives: to a service principal for its secret, or for a token of an issuer that it trusts.
///
/// As databricks-sdk 0.156 asks for them (`oauth.py`, `oidc.py`).
struct DatabricksTokenSource: Sendable {
    var host: String
    var credential: DatabricksCredential
    var client: HTTPClient
    var environment: [String: String]

    private struct Endpoints: Decodable { var tokenEndpoint: String? }

    /// - Throws: `StoreError`, `CancellationError`.
    func fetch(_ clock: () -> Double) async throws -> AccessToken {
        let exchange = TokenExchange(client: client, subject: "\(credential) from \(host)")
        let advice = "check \(credential.source), and that this service principal is a member of the workspace"
        return try await exchange.send(try await request(), clock, advice: advice)
    }

    private func request() async throws -> TokenRequest {
        var headers = [HTTPHeader("Accept", "application/json"), HTTPHeader("Content-Type", "application/x-www-form-urlencoded")]
        var form: [(String, String)]
        switch credential.proof {
        case .oauth(let client, let secret):
            form = [("grant_type", "client_credentials"), ("scope", "all-apis")]
            // As databricks-sdk sends them, without the encoding of RFC 6749, 2.3.1.
            let pair = "\(client):\(secret)"
            headers.append(HTTPHeader("Authorization", "Basic " + Base64.encode(Array(pair.utf8))))
        case .exchange(let client, let place):
            form = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("subject_token", try token(at: place)),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"), ("scope", "all-apis"),
            ]
            if let client { form.append(("client_id", client)) }
        case .fixed, .azure: throw StoreError(.stop, .invalid, "\(credential): no token of the workspace's own")
        }
        // Two tokens harm nobody: it may be sent again.
        var request = HTTPRequest(.post, try await endpoint(), headers: headers, isIdempotent: true)
        request.timeouts = Timeouts(connect: 10, firstByte: 30, stall: 30)
        request.maximumResponseBytes = 1 << 20
        return TokenRequest(request: request, body: Array(PercentEncoding.query(form).utf8.dropFirst()))
    }

    /// As the workspace says; where it does not, at its usual place. A secret goes there: never without TLS where the workspace has it.
    private func endpoint() async throws -> String {
        var request = HTTPRequest(
            .get, host + "/oidc/.well-known/oauth-authorization-server", headers: [HTTPHeader("Accept", "application/json")])
        request.timeouts = Timeouts(connect: 10, firstByte: 30, stall: 30)
        request.maximumResponseBytes = 1 << 20
        let usual = host + "/oidc/v1/token"
        let response: HTTPResponse
        do {
            response = try await client.send(request.about(.tokens))
        } catch let error as HTTPError {
            if error.kind == .cancelled { throw CancellationError() }
            throw StoreError(
                .retry(after: nil), .unreachable,
                "a token for \(credential) from \(host): \(error.description); check that it can be reached from here")
        }
        if response.status == 429 || response.status >= 500 {
            throw StoreError(
                .retry(after: RetryAfter.seconds(response.headers, now: Date().timeIntervalSince1970)), .serverFailure,
                "a token for \(credential) from \(host): HTTP \(response.status); ask again")
        }
        guard response.status == 200, let said = try? WireDecoder.decode(Endpoints.self, from: response.body).tokenEndpoint else {
            return usual
        }
        guard said.hasPrefix("https://") || host.hasPrefix("http://") && said.hasPrefix("http://") else {
            throw StoreError(
                .stop, .notMLflow, "a token for \(credential) from \(host): it names an address without TLS; check DATABRICKS_HOST")
        }
        return said
    }

    private func token(at place: DatabricksCredential.TokenPlace) throws(StoreError) -> String {
        let text: String? =
            switch place {
            case .variable(let name): environment[name]
            case .file(let path): try? String(contentsOfFile: path, encoding: .utf8)
            }
        guard let token = text?.trimmingCharacters(in: .whitespacesAndNewlines), !token.isEmpty else {
            // Its owner replaces it; it may be there a moment later.
            throw StoreError(
                .retry(after: nil), .unauthorized, "\(credential.source): the token to be exchanged cannot be read; check that it is there")
        }
        return token
    }
}

/// Tokens of Microsoft Entra ID for a workspace; with two more headers, also for who is not yet a member of it.
struct AzureDatabricksAuthorization: Authorization {
    let tokens: BearerTokens
    /// `/subscriptions/.../workspaces/NAME` of the workspace, and tokens of the resource manager.
    let resource: (id: String, management: BearerTokens)?

    func header() async throws -> HTTPHeader? { try await tokens.header() }

    func furtherHeaders() async throws -> [HTTPHeader] {
        guard let resource, let token = try await resource.management.header()?.value else { return [] }
        return [
            HTTPHeader("X-Databricks-Azure-Workspace-Resource-Id", resource.id),
            HTTPHeader("X-Databricks-Azure-SP-Management-Token", String(token.dropFirst("Bearer ".count))),
        ]
    }

    func wasRefused(_ header: HTTPHeader) async -> Bool {
        if let resource, let other = try? await resource.management.header() { _ = await resource.management.wasRefused(other) }
        return await tokens.wasRefused(header)
    }
}
