import FoundationEssentials

/// Experiments with all that is in them, and registered models, by patterns of their names: what people have paused, or switched.
public struct NameScope: Sendable, Hashable, Codable {
    /// Patterns of names, as in `Scope`.
    public var experiments: [String]
    public var models: [String]

    public init(experiments: [String] = [], models: [String] = []) {
        self.experiments = experiments
        self.models = models
    }

    public static let nothing = NameScope()
    public static let everything = NameScope(experiments: ["**"], models: ["**"])
    public var isEmpty: Bool { experiments.isEmpty && models.isEmpty }

    public func holds(experimentNamed name: String) -> Bool { !experiments.isEmpty && PatternList(experiments).matches(name) }
    public func holds(modelNamed name: ModelName) -> Bool { !models.isEmpty && PatternList(models).matches(name.rawValue) }

    /// For people.
    public var text: String {
        self == .everything ? "everything" : (experiments.map { "experiment \($0)" } + models.map { "model \($0)" }).joined(separator: ", ")
    }

    /// These patterns too, each once.
    public func adding(_ other: NameScope) -> NameScope {
        NameScope(
            experiments: experiments + other.experiments.filter { !experiments.contains($0) },
            models: models + other.models.filter { !models.contains($0) })
    }

    /// Without these patterns, which must be among them.
    ///
    /// - Returns: nil when one is not.
    public func removing(_ other: NameScope) -> NameScope? {
        guard Set(other.experiments).isSubset(of: experiments), Set(other.models).isSubset(of: models) else { return nil }
        return NameScope(
            experiments: experiments.filter { !other.experiments.contains($0) }, models: models.filter { !other.models.contains($0) })
    }

    /// As the tag of what is sealed by it: short enough for every store.
    var mark: String {
        let text = encoded ?? ""
        return text.unicodeScalars.count <= 200 ? text : "#" + String(FieldDigest(text).rawValue, radix: 16)
    }

    init?(encoded: String) {
        guard let scope = try? JSONDecoder().decode(NameScope.self, from: Data(encoded.utf8)) else { return nil }
        self = scope
    }

    var encoded: String? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) }
    }
}
