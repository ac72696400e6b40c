import Hashing

extension Comparison {
    /// Counts differences, but for those that stand by a rule, or because somebody has decided so.
    func note(_ differences: [Difference], repair key: EntityKey, in subject: RuleSubject) async throws {
        guard !differences.isEmpty else { return }
        if acceptsNothing { return try await tally.note(differences, repair: key) }
        let acceptance = Acceptance(
            rules: try await mirror.rules(of: key, in: subject), base: try mirror.state.identity(key.kind, key.id)?.base,
            manifest: key.isOfFiles ? try mirror.state.manifest(of: key) : [:], key: key)
        var rest: [Difference] = []
        var accepted: [Conflict] = []
        for difference in differences {
            if let conflict = acceptance.conflict(difference) { accepted.append(conflict) } else { rest.append(difference) }
        }
        // What somebody has deleted is not followed in anything.
        if accepted.contains(where: { $0.kind == .deletedOnSecondary }) { rest = [] }
        try tally.accepted(accepted)
        try await tally.note(rest.map { mirror.shown($0) }, repair: key)
    }
}

/// Which differences of one thing are none, because the secondary's side stands.
struct Acceptance {
    let rules: ThingRules
    let base: Base?
    let manifest: [ExactName: ManifestRow]
    let key: EntityKey

    /// - Returns: the conflict that a difference stands for; nil for one that is to be mended.
    func conflict(_ difference: Difference) -> Conflict? {
        guard let (field, kind) = field(of: difference) else { return nil }
        // What was there before us stays theirs.
        if base?[.foreign] != nil, rules.standing[ExactName(field)] == .secondary {
            return Conflict(key: key, field: field, kind: kind, decision: .secondary, detail: "theirs before ours came to it; it stands")
        }
        let decision = rules.decision(kind, field)
        guard isNoted(field, kind, decision) || standsByRule(difference, field, kind, decision) else { return nil }
        return Conflict(key: key, field: field, kind: kind, decision: decision, detail: "found by a comparison; it stands")
    }

    private func isNoted(_ field: String, _ kind: ConflictKind, _ decision: ConflictDecision) -> Bool {
        guard rules.standing[ExactName(field)] == decision else { return false }
        return switch decision {
        case .secondary, .keep: true
        // By default these are told of as differences: here somebody has said that they are none.
        case .respect, .renumber: rules.says(decision, of: kind, field)
        default: false
        }
    }

    /// Nobody has looked at the thing since it was changed there.
    private func standsByRule(_ difference: Difference, _ field: String, _ kind: ConflictKind, _ decision: ConflictDecision) -> Bool {
        let was = base?[Base.Field(field)]
        switch decision {
        case .keep: return kind == .deletedOnPrimary
        case .respect: return rules.says(.respect, of: kind, field) && was == FieldDigest(Lifecycle.active.rawValue)
        case .secondary:
            if kind == .param { return difference.secondaryValue != nil && difference.primaryValue != nil }
            if kind == .artifact { return fileMoved(difference, field) }
            guard base != nil else { return false }
            guard let there = difference.secondaryValue else { return was != nil }
            return was.map { FieldDigest(there) != $0 } ?? true
        default: return false
        }
    }

    private func fileMoved(_ difference: Difference, _ field: String) -> Bool {
        guard difference.primaryValue != nil else { return true }
        guard let known = manifest[ExactName(String(field.dropFirst("file:".count)))] else { return false }
        let isOfBytes = difference.field.hasSuffix(Self.digestSuffix)
        return difference.primaryValue == (isOfBytes ? known.sha256?.hex : "\(known.size) bytes")
    }

    private static let digestSuffix = ":sha256"

    /// A difference's field as its conflict has it.
    private func field(of difference: Difference) -> (String, ConflictKind)? {
        let name = difference.field
        if name == "lifecycle" {
            return (name, difference.primaryValue == Lifecycle.deleted.rawValue ? .deletedOnPrimary : .deletedOnSecondary)
        }
        if name.hasPrefix("tag:") { return (name, ConflictKind.ofTag(String(name.dropFirst(4)), of: key.kind)) }
        switch key.kind {
        case .run where name == "name": return (name, .runName)
        case .run where name == "status" || name == "end_time": return (name, .runStatus)
        case .run where name.hasPrefix("param:"), .loggedModel where name.hasPrefix("param:"): return (name, .param)
        case .experiment where name == "name": return (name, .experimentName)
        case .runArtifacts, .loggedModelArtifacts:
            guard name.hasPrefix("file:") else { return nil }
            return (name.hasSuffix(Self.digestSuffix) ? String(name.dropLast(Self.digestSuffix.count)) : name, .artifact)
        case .registeredModel where name == "description": return (name, .description)
        case .registeredModel where name.hasPrefix("alias:"): return (name, .alias)
        case .registeredModel where name.hasPrefix("version:"): return versionField(difference)
        default: return nil
        }
    }

    private func versionField(_ difference: Difference) -> (String, ConflictKind)? {
        let parts = difference.field.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 1 else { return nil }
        guard parts.count == 3 else { return difference.primaryValue == nil ? (difference.field, .deletedOnPrimary) : nil }
        switch parts[2] {
        case "number": return ("version:\(parts[1])", .versionNumber)
        case "description": return ("v\(parts[1]):description", .description)
        case "stage": return ("v\(parts[1]):stage", .stage)
        case let rest where rest.hasPrefix("tag:"): return ("v\(parts[1]):\(rest)", .tag)
        default: return nil
        }
    }
}
