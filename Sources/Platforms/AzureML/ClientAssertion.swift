import Foundation
import Hashing
import Replication

/// What a service principal signs with its certificate's key, to be given a token: a JWT (RFC 7523), as Microsoft's "certificate
/// credentials" have it. Good for ten minutes.
struct ClientAssertion: Sendable {
    let text: String

    /// - Parameter audience: the token endpoint.
    /// - Throws: `StoreError`, which names the file.
    init(file: String, password: String?, client: String, audience: String) throws(StoreError) {
        guard let pem = FileManager.default.contents(atPath: file) else {
            throw StoreError(
                .stop, .unauthorized,
                "AZURE_CLIENT_CERTIFICATE_PATH: \(file) cannot be read; check that the file is there and who may read it")
        }
        do {
            let key = try CertificateKey(pem: Array(pem), password: password)
            let header = ["alg": "PS256", "typ": "JWT", "x5t#S256": Self.base64URL(key.thumbprint.bytes)]
            let now = Int(Date().timeIntervalSince1970)
            let claims = Claims(aud: audience, iss: client, sub: client, jti: UUID().uuidString, nbf: now, iat: now, exp: now + 600)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let parts = try [encoder.encode(header), encoder.encode(claims)].map { Self.base64URL(Array($0)) }
            let signed = parts.joined(separator: ".")
            text = signed + "." + Self.base64URL(try key.sign(Array(signed.utf8)))
        } catch {
            throw StoreError(.stop, .unauthorized, "AZURE_CLIENT_CERTIFICATE_PATH: \(file): \(error)")
        }
    }

    private struct Claims: Encodable {
        var aud: String
        var iss: String
        var sub: String
        var jti: String
        /// Seconds since 1970.
        var nbf: Int
        var iat: Int
        var exp: Int
    }

    /// Without padding (RFC 4648, section 5).
    static func base64URL(_ bytes: [UInt8]) -> String {
        Base64.encode(bytes).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
