/// The work as a whole cannot start or go on, for a reason that no store stated.
public struct MirrorError: Error, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        /// Both names lead to one store.
        case sameStore
        case configuration
    }
    public let kind: Kind
    public let description: String
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

/// An entity waits until another one is finished. Not a failure.
struct Waits: Error {
    let key: EntityKey
}

/// An entity that must not be written, for a reason that is no store's: it is set aside with it.
struct SetAside: Error {
    let reason: String
    let message: String
}
