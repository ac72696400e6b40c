import Curl
import Foundation
import Replication

/// One exchange of what an identity knows for a token.
struct TokenRequest: Sendable {
    var request: HTTPRequest
    var body: [UInt8] = []

    /// - Throws: `StoreError` when the file of a workload identity cannot be read.
    init(_ identity: AzureIdentity, _ cloud: AzureCloud) throws(StoreError) {
        switch identity {
        case .clientSecret(let tenant, let client, let secret):
            self = Self.entra(tenant, cloud, client, [("client_secret", secret)])
        case .certificate(let tenant, let client, let file, let password):
            let assertion = try ClientAssertion(file: file, password: password, client: client, audience: Self.endpoint(tenant, cloud))
            self = Self.entra(tenant, cloud, client, Self.proof(assertion.text))
        case .workload(let tenant, let client, let file):
            self = Self.entra(tenant, cloud, client, Self.proof(try Self.assertion(in: file)))
        case .managed(let endpoint, let header, let client):
            self = Self.metadata(
                endpoint, "2019-08-01", cloud, client, HTTPHeader("X-IDENTITY-HEADER", header))
        case .machine(let endpoint, let client):
            self = Self.metadata(
                Self.withoutSlash(endpoint) + "/metadata/identity/oauth2/token", "2018-02-01", cloud, client, HTTPHeader("Metadata", "true")
            )
        }
        request.timeouts = Timeouts(connect: 10, firstByte: 30, stall: 30)
        request.maximumResponseBytes = 1 << 20
    }

    /// - Parameter body: a form.
    init(request: HTTPRequest, body: [UInt8] = []) {
        self.request = request
        self.body = body
    }

    private static func endpoint(_ tenant: String, _ cloud: AzureCloud) -> String {
        "\(cloud.authority)/\(PercentEncoding.encode(tenant))/oauth2/v2.0/token"
    }

    private static func proof(_ assertion: String) -> [(String, String)] {
        [("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), ("client_assertion", assertion)]
    }

    /// The client credentials flow of OAuth 2.0, version 2 of the endpoint.
    private static func entra(_ tenant: String, _ cloud: AzureCloud, _ client: String, _ proof: [(String, String)]) -> Self {
        let form = [("grant_type", "client_credentials"), ("client_id", client), ("scope", cloud.resource + ".default")] + proof
        let headers = [
            HTTPHeader("Accept", "application/json"), HTTPHeader("Content-Type", "application/x-www-form-urlencoded"),
        ]
        // Two tokens harm nobody: it may be sent again.
        let request = HTTPRequest(
            .post, endpoint(tenant, cloud), headers: headers, isIdempotent: true)
        return Self(request: request, body: Array(PercentEncoding.query(form).utf8.dropFirst()))
    }

    private static func metadata(
        _ endpoint: String, _ version: String, _ cloud: AzureCloud, _ client: String?, _ header: HTTPHeader
    ) -> Self {
        let query = [("api-version", version), ("resource", withoutSlash(cloud.resource))] + (client.map { [("client_id", $0)] } ?? [])
        return Self(
            request: HTTPRequest(.get, endpoint + PercentEncoding.query(query), headers: [header], isIdempotent: true))
    }

    private static func withoutSlash(_ url: String) -> String { url.hasSuffix("/") ? String(url.dropLast()) : url }

    private static func assertion(in file: String) throws(StoreError) -> String {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            // Its owner replaces it; it may be there a moment later.
            throw StoreError(
                .retry(after: nil), .unauthorized, "AZURE_FEDERATED_TOKEN_FILE: \(file) cannot be read; check that the file is there")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
