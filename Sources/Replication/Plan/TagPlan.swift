/// The tags to set and to delete, and what they collided with.
public struct TagPlan: Sendable, Hashable {
    public var set: [Tag] = []
    public var delete: [String] = []
    public var conflicts: [Conflict] = []
    /// Values that would be cut on the secondary: not written, named instead.
    public var tooLong: [String] = []

    /// - Parameters:
    ///   - actual: the secondary's tags, when they were read.
    ///   - deletesUnknown: what is not desired goes, whoever wrote it.
    ///   - inDoubt: fields that an earlier attempt may have written.
    ///   - keepsForeign: a tag of another value that we did not write stays (an adopted experiment or model).
    public init(
        _ desired: [Tag], base: Base?, actual: [Tag]?, key: EntityKey, maximumLength: Int, keepsForeign: Bool = false,
        deletesUnknown: Bool = false, inDoubt: Set<FieldDigest> = [], fields: inout Base
    ) {
        var wanted: Set<String> = []
        let present = actual.map { Dictionary($0.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first }) }
        for tag in desired {
            wanted.insert(tag.key)
            guard tag.value.unicodeScalars.count <= maximumLength else {
                tooLong.append(tag.key)
                continue
            }
            let digest = FieldDigest(tag.value)
            let was = base?[.tag(tag.key)]
            let now: Actual = present.map { $0[tag.key].map { .value(FieldDigest($0)) } ?? .absent } ?? .unread
            let isInDoubt = inDoubt.contains(Base.Field.tag(tag.key).digest)
            switch FieldRule.decide(desired: digest, base: was, actual: now, isInDoubt: isInDoubt) {
            case .nothing: break
            case .write:
                if keepsForeign, was == nil, !isInDoubt, case .value = now {
                    conflicts.append(
                        Conflict(
                            key: key, field: "tag:" + tag.key, decision: .secondary, detail: "the secondary's own value was left as it is"))
                    continue
                }
                set.append(tag)
            case .overwrite:
                conflicts.append(
                    Conflict(
                        key: key, field: "tag:" + tag.key, decision: .primary,
                        detail: "edited on the secondary; the primary's value was written"))
                set.append(tag)
            case .delete, .park: break
            }
            fields[.tag(tag.key)] = digest
        }
        guard let present else { return }
        for (name, value) in present.sorted(by: { $0.key < $1.key }) where !wanted.contains(name) {
            if deletesUnknown {
                delete.append(name)
                continue
            }
            let field = Base.Field.tag(name)
            let decision = FieldRule.decide(
                desired: nil, base: base?[field], actual: .value(FieldDigest(value)), isInDoubt: inDoubt.contains(field.digest))
            if decision == .delete { delete.append(name) }
        }
    }
}
