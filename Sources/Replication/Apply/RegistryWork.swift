/// What one registered model's writes add up to.
struct RegistryWork {
    let key: EntityKey
    var base: Base?
    var rules: ThingRules
    var fields = Base()
    /// It was somebody else's, and ours is added beside what is there.
    var isForeign = false
    /// The primary's.
    var aliasNames: [String] = []
    /// Fields that an earlier attempt may have written.
    var inDoubt: Set<FieldDigest> = []
    var conflicts: [Conflict] = []
    var tags = 0
    var wrote = false
    var letters: [DeadLetter] = []
    /// The highest version number that is known to be used on the secondary.
    var highestNumber = 0
    /// Whether no higher one can have been used and deleted.
    var knowsHighest = false
    /// The number itself, not a digest of it.
    static let highestField = Base.Field("highest_version")
    /// By version number, where an alias is a tag of its version.
    var aliases: [Int: [String]] = [:]
    /// Versions on the secondary that only use up a number, until a higher one is there.
    var placeholders: [Int] = []
    /// Logged models that the server has written to when it made versions of them.
    var followUps: Set<EntityKey> = []

    init(key: EntityKey, base: Base?, rules: ThingRules) {
        self.key = key
        self.base = base
        self.rules = rules
    }

    /// Whether a field that can be written again must be written.
    ///
    /// - Parameter isMade: the part that it belongs to was made by us, and the base does not know it yet.
    mutating func decide(_ name: String, _ kind: ConflictKind, _ desired: String, _ actual: String, isMade: Bool = false) -> Bool {
        let field = Base.Field(name)
        fields[field] = FieldDigest(desired)
        let policy = rules.policy(kind, name, hasBase: base != nil, isMade: isMade)
        // What nobody has ever filled is not there.
        let now: Actual = actual.isEmpty && base?[field] == nil && policy.standing == nil ? .absent : .value(FieldDigest(actual))
        let decision = FieldRule.decide(
            desired: FieldDigest(desired), base: base?[field], actual: now, isInDoubt: inDoubt.contains(field.digest), policy: policy)
        func note(_ decision: ConflictDecision, _ detail: String) {
            conflicts.append(Conflict(key: key, field: name, kind: kind, decision: decision, detail: detail))
        }
        switch decision {
        case .write: return now != .absent || !desired.isEmpty
        case .overwrite:
            note(.primary, "edited on the secondary; the primary's value was written")
            return true
        case .park, .keep:
            note(policy.decision, Conflict.detail(ofEdit: policy.decision))
            fields[field] = base?[field]
            return false
        case .nothing, .delete: return false
        }
    }
}

extension RegistryWork {
    /// Whether an earlier apply has written this version.
    func wrote(_ version: ModelVersion) -> Bool { base?[Self.descriptionField(version)] != nil }
    static func descriptionField(_ version: ModelVersion) -> Base.Field { Base.Field("v\(version.number):description") }

    /// It was not looked at: what was written of it before is still known.
    mutating func keep(_ version: ModelVersion) {
        guard let base, wrote(version) else { return }
        let ours = [Stamp.pairKey, Stamp.storeKey, Stamp.versionKey, Stamp.idKey(.registeredModel), Stamp.sourceKey]
        let tags = version.tags.map(\.key) + ours + (aliases[version.number] ?? []).map { Stamp.tag(ofAlias: $0).key }
        let others = [Self.descriptionField(version), Base.Field("v\(version.number):stage")]
        for field in others + tags.map({ Base.Field("v\(version.number):tag:\($0)") }) where fields[field] == nil {
            fields[field] = base[field]
        }
    }

    /// Its copy of that number goes: so does what pointed to it.
    mutating func forget(_ version: ModelVersion, there number: Int) {
        base?[Self.descriptionField(version)] = nil
        for alias in aliasNames {
            let field = Base.Field("alias:\(alias)")
            if base?[field] == FieldDigest("\(number)") { base?[field] = nil }
        }
    }

    mutating func noteVersion(_ version: ModelVersion, _ tags: [Tag]) {
        for tag in tags { fields[Base.Field("v\(version.number):tag:\(tag.key)")] = FieldDigest(tag.value) }
        fields[Self.descriptionField(version)] = FieldDigest(version.description)
        fields[Base.Field("v\(version.number):stage")] = FieldDigest(version.stage)
    }
}
