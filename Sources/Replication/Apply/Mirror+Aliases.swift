extension Mirror {
    func writeAliases(
        _ record: RegisteredModel, _ actual: RegisteredModel, _ name: ModelName, _ numbers: [Int: Int], _ work: inout RegistryWork
    ) async throws {
        guard secondary.dialect.hasAliases else {
            if work.wrote, !record.aliases.isEmpty { note(conversions: ["alias_as_tag: \(record.aliases.count)"], of: work.key) }
            return
        }
        let isForeign = work.isForeign
        for (alias, number) in record.aliases.sorted(by: { $0.key < $1.key }) {
            let field = "alias:\(alias)"
            guard let target = numbers[number] else {
                note(conversions: ["alias_without_version:\(alias)"], of: work.key)
                // Its version was set aside now: what we wrote before stays ours.
                work.fields[Base.Field(field)] = work.base?[Base.Field(field)]
                continue
            }
            if isForeign, work.base?[Base.Field(field)] == nil, let theirs = actual.aliases[alias], theirs != target,
                work.rules.resolutions[ExactName(field)] != .primary
            {
                work.conflicts.append(
                    Conflict(
                        key: work.key, field: field, kind: .alias, decision: .secondary,
                        detail: "the secondary's own alias was left as it is"))
                continue
            }
            if work.decide(field, .alias, "\(target)", actual.aliases[alias].map { "\($0)" } ?? "") {
                try state.noteWrites([Base.Field(field)], of: work.key)
                try await secondary.setAlias(alias, to: target, ofRegisteredModel: name)
                work.wrote = true
            }
        }
        for (alias, theirs) in actual.aliases.sorted(by: { $0.key < $1.key }) where record.aliases[alias] == nil {
            let field = Base.Field("alias:\(alias)")
            let policy = work.rules.policy(.alias, field.description, hasBase: work.base != nil)
            let decision = FieldRule.decide(
                desired: nil, base: work.base?[field], actual: .value(FieldDigest("\(theirs)")),
                isInDoubt: work.inDoubt.contains(field.digest), policy: policy)
            if decision == .keep || decision == .park {
                work.conflicts.append(
                    Conflict(
                        key: work.key, field: field.description, kind: .alias, decision: policy.decision,
                        detail: "deleted on the primary, edited on the secondary"))
                work.fields[field] = work.base?[field]
                continue
            }
            let isInDoubt = work.inDoubt.contains(field.digest)
            guard isInDoubt || work.base?[field] != nil || work.rules.repairs && !isForeign && policy.decision != .secondary else {
                continue
            }
            if let base = work.base?[field], base != FieldDigest("\(theirs)"), !isInDoubt {
                work.conflicts.append(
                    Conflict(
                        key: work.key, field: field.description, kind: .alias, decision: .primary,
                        detail: "moved on the secondary; deleted as on the primary"))
            }
            try await secondary.deleteAlias(alias, ofRegisteredModel: name)
            work.wrote = true
        }
    }
}
