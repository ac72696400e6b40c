import FoundationEssentials
public import Hashing

/// A change that the secondary will not accept as it is: set aside with its reason, never blocking, never vanishing.
public struct DeadLetter: Sendable, Hashable {
    public var key: EntityKey
    /// One file, field or version of the entity; empty for the entity itself.
    public var path: String
    public var reason: String
    public var message: String
    /// What was asked and answered, where a store refused it.
    public var exchange: StoreExchange?
    /// Of what was to be copied, where that is known: tells whether it has changed since.
    public var record: SHA256Digest?
    public init(
        key: EntityKey, path: String = "", reason: String, message: String, exchange: StoreExchange? = nil, record: SHA256Digest? = nil
    ) {
        self.key = key
        self.path = path
        self.reason = reason
        self.message = message
        self.exchange = exchange
        self.record = record
    }

    init(_ item: Undecodable) {
        self.init(
            key: EntityKey(item.kind, item.id ?? "?"), path: "record", reason: "undecodable", message: item.reason,
            record: .of(item.reason.utf8))
    }

    init(key: EntityKey, path: String = "", _ error: StoreError, record: SHA256Digest? = nil) {
        self.init(
            key: key, path: path, reason: error.reason.rawValue, message: error.message, exchange: error.exchange, record: record)
    }
}

/// A dead letter as it lies in the state file.
public struct NotedLetter: Sendable, Hashable {
    /// What people call it by: small, and never another's.
    public var number: Int64
    public var letter: DeadLetter
    /// Milliseconds since 1970: when it was set aside first, and when it was tried last.
    public var firstAt: Int64
    public var lastAt: Int64
    public var tries: Int
    /// Milliseconds since 1970; nil: it is tried again. Else it is left out by decision, for as long as it stays what it is.
    public var discardedAt: Int64?
}

/// Which dead letters somebody means.
public struct LetterSelection: Sendable, Hashable, Codable {
    /// Nil: all that are not discarded, of the kind and reason below.
    public var numbers: [Int64]?
    /// A kind of `EntityKey`; nil: any.
    public var kind: String?
    public var reason: String?
    /// None that came later than this one; nil: no such limit.
    public var last: Int64?
    public init(numbers: [Int64]? = nil, kind: EntityKey.Kind? = nil, reason: String? = nil, last: Int64? = nil) {
        self.numbers = numbers
        self.kind = kind?.rawValue
        self.reason = reason
        self.last = last
    }

    public static let all = LetterSelection()

    /// As the argument of an `OwnerRequest`; an empty one means all.
    public var encoded: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// - Throws: `MirrorError` when it is none.
    init(encoded: String) throws {
        guard !encoded.isEmpty else {
            self = .all
            return
        }
        guard let selection = try? JSONDecoder().decode(LetterSelection.self, from: Data(encoded.utf8)) else {
            throw MirrorError(.configuration, "\(encoded): expected which dead letters are meant, as `mlmirror dead-letters` writes it")
        }
        self = selection
    }
}
