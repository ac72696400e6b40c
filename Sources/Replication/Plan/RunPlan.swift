/// The smallest list of writes that makes the secondary's run show its image. Metric points and files are planned while they stream.
public struct RunPlan: Sendable, Hashable {
    public var tags: [Tag] = []
    public var deletedTags: [String] = []
    public var params: [Param] = []
    /// Set when status, end time or name differ.
    public var update: Update?
    public var datasets: [DatasetInput] = []
    public var modelInputs: [LoggedModelID] = []
    public var modelOutputs: [ModelOutput] = []
    /// Deleted on the secondary, active on the primary.
    public var restoresFirst = false
    public var deletesLast = false
    /// Deleted by someone on the secondary: nothing is written.
    public var isRespectedDeletion = false
    /// Deleted by someone on the secondary, and brought back by rule.
    public var isRestoredDeletion = false
    /// Deleted on the primary, and left on the secondary by rule.
    public var isKeptDeletion = false
    public var conflicts: [Conflict] = []
    public var conversions: [String] = []
    /// Fields whose values would be cut.
    public var tooLong: [String] = []
    /// The base after the plan was applied, without the series marks.
    public var fields = Base()

    public struct Update: Sendable, Hashable {
        public var status: Run.Status?
        public var endTime: Int64?
        public var name: String?
    }

    public var isEmpty: Bool { !writes && !deletesLast }

    /// Anything that a deleted run does not take.
    public var writes: Bool {
        !(tags.isEmpty && deletedTags.isEmpty && params.isEmpty && update == nil && datasets.isEmpty && modelInputs.isEmpty
            && modelOutputs.isEmpty && !restoresFirst)
    }

    /// - Parameters:
    ///   - base: as last written; nil when unknown.
    ///   - actual: the secondary's run now: just created, or read back; nil: not asked, the base is trusted. Only of an active run.
    ///   - experimentIsDeleted: on the primary.
    ///   - deletionIsCovered: the deletion of the experiment is still to come, and covers its runs.
    ///   - inDoubt: fields that an earlier attempt may have written.
    ///   - repairs: what the secondary has too much goes.
    ///   - rules: what is done about conflicts.
    public init(
        _ image: RunImage, id: RunID, base: Base?, actual: Run?, experimentIsDeleted: Bool, deletionIsCovered: Bool, dialect: Dialect,
        repairs: Bool = false,
        inDoubt: Set<FieldDigest> = [], rules: ThingRules = .standard
    ) {
        let key = EntityKey.run(id)
        planLifecycle(image, key, base, actual, experimentIsDeleted, rules)
        if isRespectedDeletion {
            fields = base ?? Base()
            return
        }
        let tagPlan = TagPlan(
            image.tags, base: base, actual: actual?.tags, key: key, maximumLength: dialect.runTagValueLength,
            deletesUnknown: repairs, inDoubt: inDoubt, rules: rules, fields: &fields)
        tags = tagPlan.set
        deletedTags = tagPlan.delete
        conflicts += tagPlan.conflicts
        tooLong += tagPlan.tooLong.map { "tag:\($0)" }
        planParams(image, key, base, actual, dialect, rules)
        planUpdate(image, key, base, actual, rules)
        planInputs(image, base, actual)
        let isDeletedThere = actual?.lifecycle == .deleted
        restoresFirst = isDeletedThere && image.lifecycle == .active
        deletesLast = image.lifecycle == .deleted && !deletionIsCovered && !isDeletedThere && !isKeptDeletion
    }

    private mutating func planLifecycle(
        _ image: RunImage, _ key: EntityKey, _ base: Base?, _ actual: Run?, _ experimentIsDeleted: Bool, _ rules: ThingRules
    ) {
        let isDeletedThere = actual?.lifecycle == .deleted
        let field = Base.Field("lifecycle")
        fields[field] = FieldDigest(image.lifecycle.rawValue)
        let wasActive = base?[field] == FieldDigest(Lifecycle.active.rawValue)
        let mayHaveBeen = base == nil && !rules.isOurs && rules.says(.respect, of: .deletedOnSecondary, field.description)
        // Also when the primary's was deleted since, and has returned.
        let isByOthers = isDeletedThere && base?[.deletedByOthers] != nil
        if isByOthers || isDeletedThere && wasActive && image.lifecycle == .deleted && !experimentIsDeleted {
            fields[.deletedByOthers] = FieldDigest("")
        }
        if isDeletedThere, image.lifecycle == .active,
            (wasActive || mayHaveBeen || isByOthers) && !experimentIsDeleted || rules.isSealed
        {
            let decision = rules.decision(.deletedOnSecondary, field.description)
            (isRespectedDeletion, isRestoredDeletion) = (decision == .respect, decision == .restore)
            conflicts.append(.deletedOnSecondary(key, decision))
        }
        // One that is new to the secondary comes as it is on the primary.
        let isNew = base == nil && rules.isOurs
        if image.lifecycle == .deleted, !isDeletedThere, !isNew,
            rules.decision(.deletedOnPrimary, field.description) == .keep
        {
            isKeptDeletion = true
            fields[field] = FieldDigest(Lifecycle.active.rawValue)
            conflicts.append(.keptDeletion(key))
        }
    }

    private mutating func planParams(
        _ image: RunImage, _ key: EntityKey, _ base: Base?, _ actual: Run?, _ dialect: Dialect, _ rules: ThingRules
    ) {
        let present = actual.map { Dictionary($0.params.map { (FieldDigest($0.key), $0.value) }, uniquingKeysWith: { first, _ in first }) }
        for param in image.params {
            guard param.value.unicodeScalars.count <= dialect.paramValueLength else {
                tooLong.append("param:\(param.key)")
                continue
            }
            let digest = FieldDigest(param.value)
            let now: Actual = present.map { $0[FieldDigest(param.key)].map { .value(FieldDigest($0)) } ?? .absent } ?? .unread
            let field = Base.Field.param(param.key)
            let decision = rules.decision(.param, field.description)
            fields[field] = digest
            switch FieldRule.decideOnce(desired: digest, base: base?[field], actual: now, decision: decision) {
            case .write: params.append(param)
            case .park, .keep:
                conflicts.append(.otherParam(key, param.key, decision))
                fields[field] = base?[field]
            case .nothing, .overwrite, .delete: break
            }
        }
    }

    private mutating func planUpdate(_ image: RunImage, _ key: EntityKey, _ base: Base?, _ actual: Run?, _ rules: ThingRules) {
        var change = Update()
        func differs(_ name: String, _ desired: String, _ now: String?, _ fields: inout Base, _ conflicts: inout [Conflict]) -> Bool {
            let field = Base.Field(name)
            let kind = name == "name" ? ConflictKind.runName : .runStatus
            // A field that the base lacks is one that the primary did not have, and only people end a run that it has not ended; nobody ends
            // one by leaving it open.
            let isOpen = kind == .runStatus && actual?.status.isTerminal == false
            let isMade = isOpen || base != nil && name != "end_time"
            let now: Actual = now.map { .value(FieldDigest($0)) } ?? .unread
            let policy = rules.policy(kind, name, hasBase: false, isMade: isMade)
            fields[field] = FieldDigest(desired)
            switch FieldRule.decide(desired: FieldDigest(desired), base: base?[field], actual: now, policy: policy) {
            case .write: return true
            case .overwrite:
                conflicts.append(Conflict(key: key, field: name, kind: kind, decision: .primary, detail: "edited on the secondary"))
                return true
            case .park, .keep:
                conflicts.append(
                    Conflict(
                        key: key, field: name, kind: kind, decision: policy.decision, detail: Conflict.detail(ofEdit: policy.decision)))
                fields[field] = base?[field]
                return false
            case .nothing, .delete: return false
            }
        }
        if differs("status", image.status.rawValue, actual?.status.rawValue, &fields, &conflicts) { change.status = image.status }
        let endThere = actual.map { $0.endTime.map { "\($0)" } ?? "" }
        if let end = image.endTime, differs("end_time", "\(end)", endThere, &fields, &conflicts) { change.endTime = end }
        // An MLflow server gives a run without a name one of its own, and takes no empty one.
        if image.name.isEmpty {
            conversions.append("empty_run_name")
        } else if differs("name", image.name, actual?.name, &fields, &conflicts) {
            change.name = image.name
        }
        // The end time alone would leave the status as it is; MLflow's own client always sends both.
        if change.endTime != nil, change.status == nil, !conflicts.contains(where: { $0.field == "status" && $0.decision.stands }) {
            change.status = image.status
        }
        if change != Update() { update = change }
    }

    private mutating func planInputs(_ image: RunImage, _ base: Base?, _ actual: Run?) {
        func isKnown(_ field: Base.Field, _ value: String) -> Bool {
            fields[field] = FieldDigest(value)
            return base?[field] == FieldDigest(value)
        }
        conversions += image.missingModels.map { "model_without_counterpart:\($0)" }
        datasets = image.datasets.filter { dataset in
            let tags = dataset.tags.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: "\u{0}")
            return !isKnown(Base.Field("input:" + dataset.identity), tags)
        }
        modelInputs = image.modelInputs.filter { !isKnown(Base.Field("model_input:" + $0.rawValue), "") }
        modelOutputs = image.modelOutputs.filter { !isKnown(Base.Field("model_output:" + $0.model.rawValue), "") }
        guard let actual else { return }
        let known = Dictionary(actual.datasets.map { ($0.identity, Set($0.tags)) }, uniquingKeysWith: { $0.union($1) })
        datasets = image.datasets.filter { known[$0.identity]?.isSuperset(of: $0.tags) != true }
        let inputs = Set(actual.modelInputs)
        modelInputs = image.modelInputs.filter { !inputs.contains($0) }
        let outputs = Set(actual.modelOutputs.map(\.model))
        modelOutputs = image.modelOutputs.filter { !outputs.contains($0.model) }
    }
}

extension Conflict {
    static func adopted(_ key: EntityKey, _ name: String) -> Conflict {
        Conflict(
            key: key, field: "name", kind: .nameTaken, decision: .adopt,
            detail: "\"\(name)\" was there already; ours is added beside what is there")
    }

    static func nameTaken(_ key: EntityKey, _ name: String, by kind: ConflictKind = .nameTaken) -> Conflict {
        Conflict(key: key, field: "name", kind: kind, decision: .rename, detail: "the name \(name) is taken on the secondary")
    }

    static func deletedOnSecondary(_ key: EntityKey, _ decision: ConflictDecision) -> Conflict {
        Conflict(
            key: key, field: "lifecycle", kind: .deletedOnSecondary, decision: decision,
            detail: "deleted on the secondary; it is \(decision == .restore ? "brought back" : "not brought back")")
    }

    static func keptDeletion(_ key: EntityKey, field: String = "lifecycle") -> Conflict {
        Conflict(
            key: key, field: field, kind: .deletedOnPrimary, decision: .keep, detail: "deleted on the primary; it stays on the secondary")
    }

    static func otherParam(_ key: EntityKey, _ name: String, _ decision: ConflictDecision) -> Conflict {
        Conflict(
            key: key, field: Base.Field.param(name).description, kind: .param, decision: decision,
            detail: "the secondary has another value; params are written once")
    }
}
