import Hashing

/// What of the primary is mirrored. Everything, when nothing is said.
public struct Scope: Sendable, Hashable {
    public var experiments: PatternList
    public var models: PatternList
    /// Only runs that started at or after this instant; milliseconds since 1970.
    public var since: Int64?
    /// Only runs that started before this instant; milliseconds since 1970.
    public var until: Int64?
    /// Only runs and logged models of these users.
    public var owners: PatternList
    public var artifacts: Bool
    public var passage: Passage
    public var renaming: Renaming
    /// Fields of runs and logged models that nobody here knows are carried, as documents among their files.
    public var unknownFields: Bool
    /// Of all that, only what these names are.
    private var names: NameScope?

    public init(
        experiments: PatternList = .everything, models: PatternList = .everything, since: Int64? = nil, until: Int64? = nil,
        owners: PatternList = .everything, artifacts: Bool = true, passage: Passage = .everything, renaming: Renaming = .none,
        unknownFields: Bool = false
    ) {
        self.experiments = experiments
        self.models = models
        self.since = since
        self.until = until
        self.owners = owners
        self.artifacts = artifacts
        self.passage = passage
        self.renaming = renaming
        self.unknownFields = unknownFields
    }

    public static let everything = Scope()

    /// Nothing is out of it: no name, owner or time.
    public var hasNoEdge: Bool {
        experiments == .everything && models == .everything && owners == .everything && since == nil && until == nil && names == nil
    }
    public var carriesUnknownFields: Bool { unknownFields && unknownFieldsObstacles.isEmpty }
    /// Keys of the configuration under which they are not carried: nobody knows whether they hold what may not pass.
    public var unknownFieldsObstacles: [String] {
        var keys: [String] = []
        if !passage.mask.isEmpty { keys.append("scope.mask") }
        if !passage.leaveOut.tags.isEmpty { keys.append("scope.leave_out.tags") }
        if !passage.leaveOut.params.isEmpty { keys.append("scope.leave_out.params") }
        if passage.leaveOut.holds(file: UnknownDocument.path) { keys.append("scope.leave_out.artifacts") }
        return keys
    }
    public var hasAllExperiments: Bool { experiments == .everything && names == nil }

    /// Only what is in both.
    func narrowed(to names: NameScope) -> Scope {
        var scope = self
        scope.names = names
        return scope
    }

    /// Whatever names it was narrowed to.
    var whole: Scope {
        var scope = self
        scope.names = nil
        return scope
    }

    public func contains(_ experiment: Experiment) -> Bool {
        (experiment.isInScope ?? experiments.matches(experiment.name)) && names?.holds(experimentNamed: experiment.name) ?? true
    }

    /// By its time and its owner; whether its experiment is in scope is another question.
    public func contains(_ run: Run) -> Bool {
        if let since, run.startTime < since { return false }
        if let until, run.startTime >= until { return false }
        return run.isInScope ?? owners.matches(run.owner)
    }

    /// By its owner, where it has one.
    public func contains(_ model: LoggedModel) -> Bool { model.isInScope ?? model.owner.map { owners.matches($0) } ?? true }

    public func contains(_ model: ModelName) -> Bool { models.matches(model.rawValue) && names?.holds(modelNamed: model) ?? true }

    // MARK: Told from another one

    /// Each part of it that is not the default, as a digest: patterns may hold what is masked.
    public var parts: [String: String] {
        var parts: [String: String] = [:]
        func add(_ name: String, _ list: [String]) {
            guard !list.isEmpty else { return }
            parts[name] = SHA256Digest.of(Self.text([list]).utf8).hex
        }
        func add(_ name: String, _ rules: [Mask.Rule]) { add(name, rules.flatMap { [$0.pattern, $0.form.rawValue] }) }
        func add(_ name: String, _ rules: [Renaming.Rule]) { add(name, rules.flatMap { [$0.from, $0.to] }) }
        add("scope.experiments", experiments.patterns)
        add("scope.models", models.patterns)
        add("scope.since", since.map { ["\($0)"] } ?? [])
        add("scope.until", until.map { ["\($0)"] } ?? [])
        add("scope.owners", owners.patterns)
        add("scope.artifacts", artifacts ? [] : ["false"])
        add("scope.unknown_fields", unknownFields ? ["true"] : [])
        add("scope.leave_out.tags", passage.leaveOut.tags)
        add("scope.leave_out.params", passage.leaveOut.params)
        add("scope.leave_out.artifacts", passage.leaveOut.artifacts)
        add("scope.rename.experiments", renaming.experiments)
        add("scope.rename.models", renaming.models)
        add("scope.mask.users", passage.mask.users.map { [$0.rawValue] } ?? [])
        add("scope.mask.tags", passage.mask.tags)
        add("scope.mask.params", passage.mask.params)
        if passage.mask.needsKey { add("scope.mask.key_file", [passage.mask.key.fingerprint]) }
        return parts
    }

    /// Tells one scope from another.
    var fingerprint: String {
        let old = Self.text([experiments.patterns, models.patterns, [since, until].map { $0.map(String.init) ?? "" }, ["\(artifacts)"]])
        let isPlain = owners.patterns.isEmpty && passage.isWhole && renaming == .none && !unknownFields
        return isPlain ? old : SHA256Digest.of(parts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value);" }.joined().utf8).hex
    }

    private static func text(_ parts: [[String]]) -> String {
        parts.map { $0.map { "\($0.utf8.count):\($0)" }.joined() }.joined(separator: ";")
    }
}
