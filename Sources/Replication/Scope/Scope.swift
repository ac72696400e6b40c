/// What of the primary is mirrored. Everything, when nothing is said.
public struct Scope: Sendable, Hashable {
    public var experiments: PatternList
    public var models: PatternList
    /// Only runs that started at or after this instant; milliseconds since 1970.
    public var since: Int64?
    /// Only runs that started before this instant; milliseconds since 1970.
    public var until: Int64?
    public var artifacts: Bool

    public init(
        experiments: PatternList = .everything, models: PatternList = .everything, since: Int64? = nil, until: Int64? = nil,
        artifacts: Bool = true
    ) {
        self.experiments = experiments
        self.models = models
        self.since = since
        self.until = until
        self.artifacts = artifacts
    }

    public static let everything = Scope()

    /// Only what is in both.
    func narrowed(to names: NameScope) -> Scope {
        var scope = self
        // An empty list of patterns means everything, and no names mean nothing.
        scope.experiments = experiments.and(PatternList(names.experiments.isEmpty ? ["!**"] : names.experiments))
        scope.models = models.and(PatternList(names.models.isEmpty ? ["!**"] : names.models))
        return scope
    }

    /// Tells one scope from another.
    var fingerprint: String {
        let parts = [experiments.patterns, models.patterns, [since, until].map { $0.map(String.init) ?? "" }, ["\(artifacts)"]]
        return parts.map { $0.map { "\($0.utf8.count):\($0)" }.joined() }.joined(separator: ";")
    }

    public func contains(startTime: Int64) -> Bool {
        if let since, startTime < since { return false }
        if let until, startTime >= until { return false }
        return true
    }
}
