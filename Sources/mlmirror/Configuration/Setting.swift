/// A position in a configuration file, counted from 1.
struct Place: Sendable, Hashable {
    var file: String
    var line: Int
    var column: Int
}

/// Where a value was said. A flag goes before the environment, that before the file, that before the default.
enum Origin: Sendable, Hashable, CustomStringConvertible {
    case flag(String)
    case environment(String)
    case file(Place)
    case standard

    /// As `check --show-config` names it.
    var description: String {
        switch self {
        case .flag(let name): "flag \(name)"
        case .environment(let name): "environment \(name)"
        case .file(let place): "\(place.file):\(place.line)"
        case .standard: "default"
        }
    }

    /// In front of an error's message.
    var prefix: String {
        switch self {
        case .flag(let name): "\(name): "
        case .environment(let name): "\(name): "
        case .file(let place): "\(place.file):\(place.line):\(place.column): "
        case .standard: ""
        }
    }
}

/// A value and where it came from.
struct Setting<Value: Sendable>: Sendable {
    var value: Value
    var origin: Origin
    init(_ value: Value, _ origin: Origin) {
        self.value = value
        self.origin = origin
    }

    func map<Other>(_ change: (Value) throws -> Other) rethrows -> Setting<Other> {
        Setting<Other>(try change(value), origin)
    }
}

/// The configuration cannot be used. The message names the key, what was expected and, where it helps, what to do.
struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    var origin: Origin?
    var message: String
    /// Something that was not given at all, with no file that could have held it.
    var isMissingFlag = false

    init(_ origin: Origin?, _ message: String, isMissingFlag: Bool = false) {
        self.origin = origin
        self.message = message
        self.isMissingFlag = isMissingFlag
    }

    var description: String { (origin?.prefix ?? "") + message }

    /// What is wrong with the command line is a matter of usage; everything else, of configuration.
    var isUsage: Bool { if case .flag = origin { true } else { isMissingFlag } }
}

/// Text that must not be shown. Printing it, by whatever way, shows stars.
struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    static let mask = "********"
    private let text: String
    init(_ text: String) { self.text = text }
    var description: String { Self.mask }
    var debugDescription: String { Self.mask }
    var customMirror: Mirror { Mirror(self, children: []) }
    /// The text itself: for the request that needs it.
    var revealed: String { text }
}
