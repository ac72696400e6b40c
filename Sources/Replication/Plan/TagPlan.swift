/// The tags to set and to delete, and what they collided with.
public struct TagPlan: Sendable, Hashable {
    public var set: [Tag] = []
    public var delete: [String] = []
    public var conflicts: [Conflict] = []
    /// Values that would be cut on the secondary: not written, named instead.
    public var tooLong: [String] = []

    /// - Parameters:
    ///   - actual: the secondary's tags, when they were read.
    ///   - prefix: of the fields' names, where the tags belong to a part of the thing.
    ///   - isMade: that part was made by us, and the base does not know it yet.
    ///   - deletesUnknown: what is not desired goes, whoever wrote it, unless it is the secondary's own by rule.
    ///   - inDoubt: fields that an earlier attempt may have written.
    ///   - keepsForeign: a tag of another value that we did not write stays (an adopted experiment or model).
    public init(
        _ desired: [Tag], base: Base?, actual: [Tag]?, key: EntityKey, maximumLength: Int, prefix: String = "", isMade: Bool = false,
        keepsForeign: Bool = false, deletesUnknown: Bool = false, inDoubt: Set<FieldDigest> = [], rules: ThingRules = .standard,
        fields: inout Base
    ) {
        // By names as their bytes say them: a `String` takes two Unicode forms of one text for one, and stores do not.
        var wanted: Set<FieldDigest> = []
        let present = actual.map { Dictionary($0.map { (FieldDigest($0.key), $0) }, uniquingKeysWith: { first, _ in first }) }
        func field(_ name: String) -> Base.Field { Base.Field("\(prefix)tag:\(name)") }
        func policy(_ kind: ConflictKind, _ name: String) -> FieldPolicy {
            // Our own marks are nobody's to change.
            if name.hasPrefix(Stamp.prefix) { return FieldPolicy() }
            return rules.policy(kind, field(name).description, hasBase: base != nil, isMade: isMade)
        }
        for tag in desired {
            wanted.insert(FieldDigest(tag.key))
            guard tag.value.unicodeScalars.count <= maximumLength else {
                tooLong.append(tag.key)
                continue
            }
            let field = field(tag.key)
            let digest = FieldDigest(tag.value)
            let was = base?[field]
            let now: Actual = present.map { $0[FieldDigest(tag.key)].map { .value(FieldDigest($0.value)) } ?? .absent } ?? .unread
            let isInDoubt = inDoubt.contains(field.digest)
            let kind = ConflictKind.ofTag(tag.key, of: key.kind)
            let policy = policy(kind, tag.key)
            func note(_ decision: ConflictDecision, _ detail: String) {
                conflicts.append(Conflict(key: key, field: field.description, kind: kind, decision: decision, detail: detail))
            }
            switch FieldRule.decide(desired: digest, base: was, actual: now, isInDoubt: isInDoubt, policy: policy) {
            case .nothing, .delete: break
            case .write:
                if keepsForeign, was == nil, !isInDoubt, case .value = now, rules.resolutions[ExactName(field.description)] != .primary {
                    note(.secondary, "the secondary's own value was left as it is")
                    continue
                }
                set.append(tag)
            case .overwrite:
                note(.primary, "edited on the secondary; the primary's value was written")
                set.append(tag)
            case .park, .keep:
                note(policy.decision, Conflict.detail(ofEdit: policy.decision))
                fields[field] = was
                continue
            }
            fields[field] = digest
        }
        guard let present else { return }
        for (id, tag) in present.sorted(by: { $0.value.key < $1.value.key }) where !wanted.contains(id) {
            let (name, value) = (tag.key, tag.value)
            let field = field(name)
            if rules.leaveOut.holds(tag: name) {
                // What we know of it is kept, for when it is copied again.
                fields[field] = base?[field]
                continue
            }
            let kind = ConflictKind.ofTag(name, of: key.kind)
            let policy = policy(kind, name)
            let isTheirs = policy.decision == .secondary || policy.decision == .park && policy.standing == .park
            if deletesUnknown, !isTheirs || name.hasPrefix(Stamp.prefix) {
                delete.append(name)
                continue
            }
            let decision = FieldRule.decide(
                desired: nil, base: base?[field], actual: .value(FieldDigest(value)), isInDoubt: inDoubt.contains(field.digest),
                policy: policy)
            switch decision {
            case .delete: delete.append(name)
            case .park, .keep:
                conflicts.append(
                    Conflict(
                        key: key, field: field.description, kind: kind, decision: policy.decision,
                        detail: "deleted on the primary, edited on the secondary"))
                fields[field] = base?[field]
            case .nothing where !keepsForeign && policy.decision == .primary && base?[field] != nil:
                // As with an edited value that the primary has still: it is written over.
                delete.append(name)
                conflicts.append(
                    Conflict(
                        key: key, field: field.description, kind: kind, decision: .primary,
                        detail: "edited on the secondary; deleted as on the primary"))
            case .nothing, .write, .overwrite: break
            }
        }
    }
}

extension Conflict {
    /// - Parameter decision: `park` or `secondary`.
    static func detail(ofEdit decision: ConflictDecision) -> String {
        decision == .park
            ? "edited on the secondary; left as it is until someone decides"
            : "edited on the secondary; its value stays, and is not followed"
    }
}
