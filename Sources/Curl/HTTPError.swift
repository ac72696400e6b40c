/// A failure below HTTP (an HTTP error status is an answer, not an error).
public struct HTTPError: Error, Sendable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// The host's name has no address.
        case unresolved
        /// Nobody listens, or there is no route.
        case refused
        case connectTimeout
        /// Hand-shake, certificate or key file.
        case tls
        /// No answer within `firstByte` or `total`.
        case timeout
        /// The bytes stopped coming or going.
        case stalled
        /// The connection broke, or the server answered something that is not HTTP.
        case reset
        /// The answer's body ended early, or its length is contradictory.
        case truncated
        case bodyTooLarge
        case proxy
        case badURL
        case tooManyRedirects
        case forbiddenRedirect
        /// The request's body had fewer or more bytes than announced.
        case bodyFailed
        case cancelled
        /// The client was shut down.
        case closed
        case other
    }

    public let kind: Kind
    /// True when the server may have executed a request that is not idempotent: it must not be sent again blindly.
    ///
    /// False for every failure before the first request byte, and for idempotent requests, which may always be sent again.
    public let isInDoubt: Bool
    /// Method and redacted URL, what happened in which phase, curl's code and text. Never a credential, never a signature.
    public let description: String

    /// Makes an error of one's own; the text is redacted.
    public init(_ kind: Kind, isInDoubt: Bool = false, _ text: String) {
        self.kind = kind
        self.isInDoubt = isInDoubt
        description = Redaction.text(text)
    }
}

/// Where a request was when it failed.
enum Phase: String, Sendable {
    case preparing = "before sending"
    case connecting = "while connecting"
    case sending = "while sending"
    case waiting = "while waiting for the answer"
    case receiving = "while receiving the answer"
}

extension HTTPError {
    init(_ kind: Kind, during phase: Phase, of request: HTTPRequest, _ what: String, isSent: Bool = false) {
        let isInDoubt = isSent && !request.isIdempotent
        self.kind = kind
        self.isInDoubt = isInDoubt
        let end = isInDoubt ? "; the server may have executed it" : ""
        description = "\(request): \(Redaction.text(what)) \(phase.rawValue)\(end)"
    }

    init(_ kind: Kind, during phase: Phase, of transfer: Transfer, _ what: String, isSent: Bool = false) {
        self.init(kind, during: phase, of: transfer.request, what, isSent: isSent)
    }

    static func closed(_ request: HTTPRequest) -> HTTPError {
        HTTPError(.closed, during: .preparing, of: request, "the client is shut down")
    }
}
