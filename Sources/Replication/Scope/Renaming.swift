/// Other names on the secondary, for experiments and registered models.
public struct Renaming: Sendable, Hashable {
    /// A name, or the beginning of names where both end with `**`: then the rest stays.
    public struct Rule: Sendable, Hashable {
        public var from: String
        public var to: String
        public init(_ from: String, _ to: String) {
            self.from = from
            self.to = to
        }

        func renamed(_ name: String) -> String? {
            guard from.hasSuffix("**") else { return name == from ? to : nil }
            let start = from.dropLast(2)
            guard name.hasPrefix(start) else { return nil }
            return String(to.dropLast(2)) + name.dropFirst(start.count)
        }
    }

    /// The first that fits decides.
    public var experiments: [Rule]
    public var models: [Rule]

    public init(experiments: [Rule] = [], models: [Rule] = []) {
        self.experiments = experiments
        self.models = models
    }

    public static let none = Renaming()

    public func experiment(_ name: String) -> String { Self.first(experiments, name) }
    public func model(_ name: String) -> String { Self.first(models, name) }

    private static func first(_ rules: [Rule], _ name: String) -> String {
        for rule in rules { if let new = rule.renamed(name) { return new } }
        return name
    }
}
