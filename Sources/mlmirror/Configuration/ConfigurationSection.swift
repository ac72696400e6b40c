import Yams

/// Which keys a section of the file has.
struct KeyTable: Sendable {
    var known: [String]
    /// Keys that users may have read of, and that this version does not act on: never ignored in silence.
    var later: [String] = []
    /// Keys that are refused, with what to write instead.
    var refused: [String: String] = [:]
}

/// One mapping of the configuration file, with every key checked.
struct ConfigurationSection {
    private let name: String
    private let file: String
    private let values: [String: Node]
    private let ordered: [(name: String, origin: Origin)]

    /// An empty section (`scope:` with nothing under it) is one without keys.
    ///
    /// - Parameter keys: nil: names that people choose, patterns for example.
    init(_ node: Node, name: String, file: String, keys: KeyTable?) throws {
        self.name = name
        self.file = file
        var values: [String: Node] = [:]
        var ordered: [(name: String, origin: Origin)] = []
        if case .mapping(let mapping) = node {
            for (key, value) in mapping {
                let origin = Self.origin(key, file)
                guard case .scalar(let scalar) = key else {
                    throw ConfigurationError(origin, "expected a key, found \(Self.kind(key))")
                }
                if let keys { try Self.check(scalar.string, keys, section: name, origin) }
                ordered.append((scalar.string, origin))
                guard values.updateValue(value, forKey: scalar.string) == nil else {
                    throw ConfigurationError(origin, "\(Self.path(name, scalar.string)) is given twice")
                }
            }
        } else if Resolver.default.resolveTag(of: node) != .null {
            let subject = name.isEmpty ? "the file" : name
            throw ConfigurationError(Self.origin(node, file), "\(subject): expected keys and values, found \(Self.kind(node))")
        }
        self.values = values
        self.ordered = ordered
    }

    private static func check(_ key: String, _ keys: KeyTable, section: String, _ origin: Origin) throws {
        if keys.known.contains(key) { return }
        let full = path(section, key)
        if let advice = keys.refused[key] { throw ConfigurationError(origin, "\(full) is refused: \(advice)") }
        if keys.later.contains(key) {
            throw ConfigurationError(origin, "\(full) is not supported by this version; remove it")
        }
        let all = keys.known + keys.later
        let hint = NearestName.of(key, among: all).map { "did you mean \($0)?" } ?? "expected one of \(keys.known.joined(separator: ", "))"
        throw ConfigurationError(origin, "unknown key \(full.printable); \(hint)")
    }

    func section(_ key: String, keys: KeyTable?) throws -> ConfigurationSection? {
        try values[key].map { try ConfigurationSection($0, name: path(key), file: file, keys: keys) }
    }

    /// The section's own keys in the order of the file.
    var keys: [(name: String, origin: Origin)] { ordered }

    func text(_ key: String) throws -> Setting<String>? {
        try values[key].map { try text($0, key, "text") }
    }

    func wholeNumber(_ key: String, in range: ClosedRange<Int>) throws -> Setting<Int>? {
        guard let node = values[key] else { return nil }
        let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .scalar(let scalar) = node, tag(node) == .int, let number = Int(scalar.string), range.contains(number) else {
            throw wrongType(node, key, expected)
        }
        return Setting(number, Self.origin(node, file))
    }

    func truth(_ key: String) throws -> Setting<Bool>? {
        guard let node = values[key] else { return nil }
        guard case .scalar(let scalar) = node, tag(node) == .bool, ["true", "false"].contains(scalar.string) else {
            throw wrongType(node, key, "true or false")
        }
        return Setting(scalar.string == "true", Self.origin(node, file))
    }

    /// A list of texts.
    func texts(_ key: String) throws -> Setting<[String]>? {
        guard let node = values[key] else { return nil }
        guard case .sequence(let sequence) = node else { throw wrongType(node, key, "a list of texts, like [\"a*\", \"!b\"]") }
        return Setting(try sequence.map { try text($0, key, "texts in the list").value }, Self.origin(node, file))
    }

    /// A date is text in this file: what YAML makes of it does not matter.
    func instant(_ key: String) throws -> Setting<Int64>? {
        guard let node = values[key] else { return nil }
        guard case .scalar(let scalar) = node, let instant = Instant.milliseconds(scalar.string) else {
            throw wrongType(node, key, "a date like 2024-01-31 or 2024-01-31T12:00:00Z")
        }
        return Setting(instant, Self.origin(node, file))
    }

    private func text(_ node: Node, _ key: String, _ expected: String) throws -> Setting<String> {
        guard case .scalar(let scalar) = node, tag(node) == .str || tag(node) == .timestamp else {
            let isPlainScalar = if case .scalar = node { tag(node) != .null } else { false }
            throw wrongType(node, key, expected, hint: isPlainScalar ? "; put it in quotes" : "")
        }
        return Setting(scalar.string, Self.origin(node, file))
    }

    private func wrongType(_ node: Node, _ key: String, _ expected: String, hint: String = "") -> ConfigurationError {
        ConfigurationError(Self.origin(node, file), "\(path(key)): expected \(expected), found \(Self.kind(node))\(hint)")
    }

    private func tag(_ node: Node) -> Tag.Name { Resolver.default.resolveTag(of: node) }
    func path(_ key: String) -> String { Self.path(name, key) }
    private static func path(_ section: String, _ key: String) -> String { section.isEmpty ? key : "\(section).\(key)" }

    static func origin(_ node: Node, _ file: String) -> Origin {
        .file(Place(file: file, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1))
    }

    private static func kind(_ node: Node) -> String {
        switch node {
        case .mapping: return "keys and values"
        case .sequence: return "a list"
        case .alias: return "an alias"
        case .scalar(let scalar):
            switch Resolver.default.resolveTag(of: node) {
            case .null: return "nothing"
            case .bool: return "the truth value \(scalar.string.printable)"
            case .int, .float: return "the number \(scalar.string.printable)"
            default: return "\"\(scalar.string.prefix(40).printable)\""
            }
        }
    }
}
