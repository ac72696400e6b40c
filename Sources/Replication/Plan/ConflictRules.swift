/// What the configuration says of conflicts: a decision for each kind, and others for experiments or models by name.
public struct ConflictRules: Sendable, Hashable {
    public typealias Decisions = [ConflictKind: ConflictDecision]

    /// What holds for names that match one pattern.
    public struct Override: Sendable, Hashable {
        public enum Subject: String, Sendable { case experiment, model }
        public var subject: Subject
        public var pattern: String
        public var decisions: Decisions
        public init(_ subject: Subject, _ pattern: String, _ decisions: Decisions) {
            self.subject = subject
            self.pattern = pattern
            self.decisions = decisions
        }
    }

    /// Those that are not the defaults.
    public var decisions: Decisions
    /// Of several that match, the last one that says something of a kind decides.
    public var overrides: [Override]

    public init(_ decisions: Decisions = [:], overrides: [Override] = []) {
        self.decisions = decisions
        self.overrides = overrides
    }

    public static let standard = ConflictRules()

    /// Nothing of the secondary is ever overwritten or deleted: what moved there stays as it is.
    public static let sealed = ConflictRules([
        .tag: .secondary, .description: .secondary, .experimentName: .secondary, .runName: .secondary, .runStatus: .secondary,
        .alias: .secondary, .stage: .secondary, .param: .secondary, .artifact: .secondary, .deletedOnSecondary: .respect,
        .deletedOnPrimary: .keep, .purgedOnPrimary: .keep,
    ])

    public func decision(_ kind: ConflictKind, experiment name: String) -> ConflictDecision { decision(kind, .experiment, name) }
    public func decision(_ kind: ConflictKind, model name: String) -> ConflictDecision { decision(kind, .model, name) }

    /// Every kind's decision for one subject; a nil name matches no pattern.
    func resolved(_ subject: Override.Subject, _ name: String?) -> Decisions {
        var all = decisions
        guard let name else { return all }
        for override in overrides where override.subject == subject && PatternList([override.pattern]).matches(name) {
            all.merge(override.decisions) { $1 }
        }
        return all
    }

    /// Whether names matter, which may have to be asked for.
    func looksAtNames(of subject: Override.Subject) -> Bool { overrides.contains { $0.subject == subject } }

    /// Then one whose name nobody knows any more may be among them.
    var keepsSomePurgedExperiments: Bool {
        overrides.contains { $0.subject == .experiment && $0.decisions[.purgedOnPrimary] == .keep }
    }

    private func decision(_ kind: ConflictKind, _ subject: Override.Subject, _ name: String) -> ConflictDecision {
        resolved(subject, name)[kind] ?? kind.standard
    }

    /// Tells rules from others.
    var fingerprint: String {
        func text(_ decisions: Decisions) -> String {
            decisions.map { "\($0.key.rawValue)=\($0.value.rawValue)" }.sorted().joined(separator: ",")
        }
        return ([text(decisions)] + overrides.map { "\($0.subject.rawValue) \($0.pattern.utf8.count):\($0.pattern) \(text($0.decisions))" })
            .joined(separator: ";")
    }
}

/// What holds for one thing: the rules by its name, what people have decided for single fields of it, and the conflicts that were noted before.
public struct ThingRules: Sendable, Hashable {
    public var decisions: ConflictRules.Decisions
    /// By field.
    public var resolutions: [ExactName: ConflictDecision]
    /// By field, with what was decided then.
    public var standing: [ExactName: ConflictDecision]
    /// Nobody but us has written to it since it was made: what it has without a base is ours.
    public var isOurs: Bool
    /// What the secondary has too much goes, whoever put it there.
    public var repairs = false
    /// The secondary leads.
    public var isSealed = false
    /// What is there stays, whoever wrote it.
    public var isFinal = false
    /// What of it is not copied, and what was stays.
    public var leaveOut = LeaveOut()

    public init(
        _ decisions: ConflictRules.Decisions = [:], resolutions: [ExactName: ConflictDecision] = [:],
        standing: [ExactName: ConflictDecision] = [:], isOurs: Bool = false
    ) {
        self.decisions = decisions
        self.resolutions = resolutions
        self.standing = standing
        self.isOurs = isOurs
    }

    /// As without any configuration.
    public static let standard = ThingRules()

    public func decision(_ kind: ConflictKind, _ field: String) -> ConflictDecision {
        if let decided = resolutions[ExactName(field)], kind.allowed.contains(decided) { return decided }
        return decisions[kind] ?? kind.standard
    }

    /// Somebody has said what is done, so that it also holds where the base is lost.
    func says(_ decision: ConflictDecision, of kind: ConflictKind, _ field: String) -> Bool {
        (resolutions[ExactName(field)] ?? decisions[kind]) == decision
    }

    /// - Parameters:
    ///   - hasBase: of the thing as a whole.
    ///   - isMade: the part that the field belongs to was made by us, and the base does not know it yet.
    func policy(_ kind: ConflictKind, _ field: String, hasBase: Bool, isMade: Bool = false) -> FieldPolicy {
        // Of what else can stand over a field, like a name that is taken, nothing follows for its value.
        let noted = standing[ExactName(field)].flatMap { $0 == .secondary || $0 == .park ? $0 : nil }
        var policy = FieldPolicy(
            decision: decision(kind, field), standing: noted,
            knowledge: isMade ? .ours : (hasBase ? .known : (isOurs ? .ours : .unknown)))
        policy.isFinal = isFinal && !isMade && !isOurs
        policy.doubtIsNoLeave = isSealed
        return policy
    }
}
