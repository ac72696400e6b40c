/// What a store was asked and what it answered, for people to read: no credential, and nothing of what was sent.
public struct StoreExchange: Sendable, Hashable {
    /// Method and path.
    public var request: String
    /// Status, error code and the store's own words.
    public var answer: String
    public init(request: String, answer: String) {
        self.request = request
        self.answer = answer
    }
}

/// A store said no, or could not be asked. It carries the decision, so that no caller reads its text.
public struct StoreError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What the caller does about it.
    public enum Decision: Sendable, Hashable {
        /// Ask again, not sooner than `after` seconds where the store named a time.
        case retry(after: Double?)
        /// This thing will not be accepted as it is; everything else goes on.
        case setAside
        /// Nothing more can be done with this store as configured.
        case stop
    }

    /// A short bounded label, for counters and exit codes.
    public enum Reason: String, Sendable, Hashable, CaseIterable {
        case unreachable, unauthorized, forbidden
        case notFound = "not_found"
        case alreadyExists = "already_exists"
        case invalid
        case tooLarge = "too_large"
        case throttled
        case serverFailure = "server_failure"
        case malformed, unsupported
        case notMLflow = "not_mlflow"
        case truncated
    }

    public let decision: Decision
    public let reason: Reason
    /// The store may have carried the request out: read back before sending it again.
    public let isInDoubt: Bool
    /// What was asked of which store, what it answered, what to do. Holds no credential.
    public let message: String
    /// Where there was an answer.
    public let exchange: StoreExchange?

    public init(_ decision: Decision, _ reason: Reason, isInDoubt: Bool = false, _ message: String, exchange: StoreExchange? = nil) {
        self.exchange = exchange
        self.decision = decision
        self.reason = reason
        self.isInDoubt = isInDoubt
        self.message = message
    }

    public var description: String { message }
    /// Asked for many at once, a store says this of one of them, or of their number: asking for fewer may do.
    var mayBeOfOneAmongMany: Bool { [.forbidden, .notFound, .invalid, .tooLarge].contains(reason) && !isRetriable }
    /// One file may be the cause, and not a store: it changed while it was read, or its own storage refuses it.
    var mayBeOfOneFile: Bool { isRetriable && [.truncated, .forbidden, .serverFailure].contains(reason) }
    /// A thing that is closed to who asks, or gone.
    var isClosed: Bool { reason == .forbidden || reason == .notFound }
    public var isRetriable: Bool { if case .retry = decision { true } else { false } }
}
