/// The names of experiments: which one is given, and how it follows the primary's.
extension Mirror {
    static func bare(_ name: String) -> String { name.hasPrefix("/") ? String(name.dropFirst()) : name }

    /// For the time being.
    func nameAside(_ id: ExperimentID) -> String { "\(configuration.pair)/experiment \(id)" }

    func experimentNameThere(_ name: String) -> String {
        secondary.dialect.experimentNames?.fitting(name, as: configuration.experimentNames) ?? name
    }

    /// Where its own name is somebody else's.
    func prefixedName(_ record: Experiment) -> String { experimentNameThere("\(configuration.pair)/" + Self.bare(renamed(record))) }

    /// Where that is, too: several may have one name after they were masked or renamed.
    func numberedName(_ record: Experiment) -> String {
        let digits = String(FieldDigest(record.id.rawValue).rawValue, radix: 16).prefix(8)
        return experimentNameThere("\(configuration.pair)/\(Self.bare(renamed(record)))-\(digits)")
    }

    /// Whose copy this is, when the primary has given the name to another one and the copy has not followed yet: it is queued.
    func renamedSince(_ found: Experiment, asking: ExperimentID) async throws -> EntityKey? {
        guard case .ours(let id) = stamp.owner(Stamp.idKey(.experiment), of: found.tags), id != asking.rawValue else { return nil }
        let key = EntityKey.experiment(ExperimentID(id))
        if try state.entry(key) != nil { return key }
        if try state.isSetAside(key) { return nil }
        // Nobody's name but our own's is changed, and none of what is deleted.
        guard found.lifecycle == .active, !Stamp.isAdopted(found.tags),
            let owner = try await primary.experiment(ExperimentID(id)), case let wanted = renamed(owner), wanted != found.name,
            try follows(key, isInScope: configuration.scope.contains(owner))
        else { return nil }
        // Without a base it is still to be looked at with this state file.
        if let base = try state.identity(.experiment, id)?.base,
            base[Base.Field("name")] == FieldDigest(wanted) || base[Self.nameRefusedField] == FieldDigest(wanted)
        {
            return nil
        }
        try append([key])
        return key
    }

    /// That one bears its name after all that was asked since; what it made way for is then tried again.
    func requireStill(_ found: Experiment) async throws {
        guard try await secondary.experiment(found.id)?.name != found.name else { return }
        throw StoreError(.retry(after: nil), .alreadyExists, "experiment \"\(found.name)\" was renamed on the secondary a moment ago")
    }

    enum Renaming {
        case none, done, taken
        /// Renamed on the secondary, and left so by rule.
        case left
        /// Under a name for the time being: names went around in a circle, and one has to begin.
        case aside
    }

    func renameIfNeeded(
        _ record: Experiment, _ actual: Experiment, _ base: Base?, _ isForeign: Bool, waits: Bool, _ rules: ThingRules,
        _ conflicts: inout [Conflict]
    ) async throws -> Renaming {
        guard secondary.dialect.renamesExperiments, !rules.isSealed else { return .none }
        let wanted = renamed(record)
        // Without a base it was made by this attempt or an earlier one, under the name that it could have or that was true then.
        guard !isForeign, actual.name != wanted, base != nil || !conflicts.contains(where: { $0.field == "name" }) else {
            return .none
        }
        let key = EntityKey.experiment(record.id)
        let name = Base.Field("name")
        let isInDoubt = try state.writesInDoubt(of: key).contains(name.digest)
        // A name that we could not give it is no edit.
        let ownNames = [prefixedName(record), numberedName(record), nameAside(record.id)]
        let isOwnName = ownNames.contains(actual.name) || base?[Self.nameRefusedField] != nil && rules.standing["name"] == .rename
        let policy = rules.policy(.experimentName, "name", hasBase: base != nil, isMade: isOwnName)
        let decision = FieldRule.decide(
            desired: FieldDigest(wanted), base: isOwnName ? nil : base?[name], actual: .value(FieldDigest(actual.name)),
            isInDoubt: isInDoubt, policy: policy)
        if decision == .keep || decision == .park {
            conflicts.append(
                Conflict(
                    key: key, field: "name", kind: .experimentName, decision: policy.decision,
                    detail: "renamed on the secondary to \"\(actual.name)\", which stays"))
            return .left
        }
        if let found = try await secondary.experiment(named: wanted), found.id != actual.id {
            if let other = try await renamedSince(found, asking: record.id) {
                if waits { throw Waits(key: other) }
                try await secondary.renameExperiment(actual.id, to: nameAside(record.id))
                return .aside
            }
            try await requireStill(found)
            conflicts.append(
                Conflict(
                    key: key, field: "name", kind: .nameTaken, decision: .rename,
                    detail: "\"\(wanted)\" is taken on the secondary; \"\(actual.name)\" stays"))
            return .taken
        }
        if decision == .overwrite {
            conflicts.append(
                Conflict(
                    key: key, field: "name", kind: .experimentName, decision: .primary,
                    detail: "renamed on the secondary; the primary's name was written"))
        }
        try state.noteWrites([name], of: .experiment(record.id))
        try await secondary.renameExperiment(actual.id, to: wanted)
        return .done
    }
}
