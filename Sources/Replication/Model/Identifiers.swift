/// A typed identifier: the same text on another kind of thing, or on another store, is another type or another value.
public protocol EntityID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible where RawValue == String {
    init(rawValue: String)
}

extension EntityID {
    public init(_ text: String) { self.init(rawValue: text) }
    public var description: String { rawValue }
    public static func == (a: Self, b: Self) -> Bool { a.rawValue.isExactly(b.rawValue) }
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

public struct ExperimentID: EntityID {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

public struct RunID: EntityID {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// A logged model of MLflow 3, `m-` and 32 hexadecimal digits on an MLflow server.
public struct LoggedModelID: EntityID {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// A registered model's name: the registry has no other identifier.
public struct ModelName: EntityID {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// What makes one store that store, whatever it is called: two spellings of one server have one identity.
public struct StoreIdentity: EntityID {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}
