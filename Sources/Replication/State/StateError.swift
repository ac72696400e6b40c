/// The state file cannot be used as it is. Names the file, what was found, what to do.
public struct StateError: Error, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        /// Another process owns it.
        case locked
        /// Written by a later version.
        case newerSchema
        /// There is none.
        case missing
        /// Not ours at all.
        case foreign
        /// Another primary, secondary or pair name is written in it.
        case otherPair
        case damaged
        case unwritable
        case full
        /// Another process took it over while this one slept.
        case fenced
    }
    public let kind: Kind
    /// Nothing is wrong with the file itself: waiting may mend it.
    public var mayPass: Bool { [.full, .unwritable, .locked].contains(kind) }
    public let description: String
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}
