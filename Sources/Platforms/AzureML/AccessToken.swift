import Foundation

/// A bearer token and how long it is good. Times are seconds on the owner's clock.
struct AccessToken: Sendable, Hashable {
    var value: String
    /// From then on a new one is got while this one is still used.
    var renewAt: Double
    /// From then on it is not sent: it could run out on its way.
    var endsAt: Double

    /// A new one is got five minutes before the end, or at half of a short life.
    ///
    /// - Parameter life: in seconds.
    init(_ value: String, life: Double, now: Double) {
        self.value = value
        endsAt = now + max(0, life - min(30, life / 10))
        renewAt = now + max(0, life > 600 ? life - 300 : life / 2)
    }
}

extension AccessToken: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var description: String { "a token" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: ["renewAt": renewAt, "endsAt": endsAt]) }
}

/// What a token endpoint answers. Entra ID gives `expires_in` as a number, the metadata services `expires_on`, and `expires_in` as text.
struct TokenAnswer: Decodable, Sendable {
    var accessToken: String
    var expiresIn: WireInt?
    /// Seconds since 1970.
    var expiresOn: WireInt?

    /// In seconds; an hour where the answer does not say.
    func life(_ secondsSince1970: Double) -> Double {
        if let expiresIn { return Double(expiresIn.value) }
        if let expiresOn { return Double(expiresOn.value) - secondsSince1970 }
        return 3600
    }
}

/// `{"error": "invalid_client", "error_description": "AADSTS7000215: ..."}`: how Entra ID and the metadata services refuse (RFC 6749, 5.2).
struct TokenRefusal: Decodable, Sendable {
    var error: String
    var errorDescription: String?

    var description: String {
        let said = errorDescription?.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return said.isEmpty ? error : "\(said) (\(error))"
    }
}
