public import Curl

/// Proves to one service who asks: a header for every request to it, and for none to any other.
public protocol Authorization: Sendable {
    /// Nil: nothing is to be proved.
    ///
    /// - Throws: `StoreError`, where what is to be sent must be got first.
    func header() async throws -> HTTPHeader?

    /// What goes beside it, to the same service.
    ///
    /// - Throws: as `header`.
    func furtherHeaders() async throws -> [HTTPHeader]

    /// The service has answered 401 to a request with this header; nothing was done.
    ///
    /// - Returns: whether the next header may do better.
    func wasRefused(_ header: HTTPHeader) async -> Bool
}

extension Authorization {
    public func furtherHeaders() -> [HTTPHeader] { [] }
}

extension HTTPHeader {
    static func bearer(_ token: String) -> HTTPHeader { HTTPHeader("Authorization", "Bearer \(token)") }
}

extension MLflowCredentials: Authorization {
    public func header() -> HTTPHeader? {
        switch self {
        case .none: nil
        case .basic(let user, let password):
            HTTPHeader("Authorization", "Basic " + Base64.encode(Array("\(user):\(password)".utf8)))
        case .bearer(let token): .bearer(token)
        }
    }

    /// They are what they are.
    public func wasRefused(_ header: HTTPHeader) -> Bool { false }
}
