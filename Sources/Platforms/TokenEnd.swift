import Foundation

extension MLflowCredentials {
    /// When it ends, in seconds since 1970, as a token says of itself (RFC 7519, section 4.1.4); nil: it says nothing, and may end or not.
    public var endsAt: Double? {
        struct Claims: Decodable { var exp: Double? }
        guard case .bearer(let token) = self else { return nil }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var payload = String(parts[1]).replacing("-", with: "+").replacing("_", with: "/")
        payload += String(repeating: "=", count: (4 - payload.count % 4) % 4)
        guard let data = Data(base64Encoded: payload), let end = (try? JSONDecoder().decode(Claims.self, from: data))?.exp,
            end > 0, end < 1e11
        else { return nil }
        return end
    }
}
