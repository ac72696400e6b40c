/// What a thing's rules are found by.
enum RuleSubject: Sendable, Hashable {
    case experiment(ExperimentID)
    case experimentNamed(ExperimentID, String)
    case model(ModelName)
    /// What is no longer on the primary: no pattern matches it.
    case nameless
}

extension Mirror {
    /// What is done about conflicts of one thing. The one place where `Apply` and `Compare` learn of it.
    ///
    /// - Parameter isOurs: it was made by us a moment ago.
    func rules(of key: EntityKey, in subject: RuleSubject, isOurs: Bool = false) async throws -> ThingRules {
        let all = configuration.rules
        var decisions: ConflictRules.Decisions
        switch subject {
        case .experiment(let id):
            decisions = all.resolved(.experiment, all.looksAtNames(of: .experiment) ? try await experimentName(id) : nil)
        case .experimentNamed(_, let name): decisions = all.resolved(.experiment, name)
        case .model(let name): decisions = all.resolved(.model, name.rawValue)
        case .nameless: decisions = all.decisions
        }
        // Where the secondary leads, nothing that people have said before is a reason to write over it.
        let isSealed = try await isSealed(subject)
        if isSealed { decisions.merge(ConflictRules.sealed.decisions) { $1 } }
        var rules = try state.rules(of: key, decisions)
        if isSealed { rules.resolutions = rules.resolutions.filter(\.value.stands) }
        rules.isSealed = isSealed
        rules.leaveOut = configuration.scope.passage.leaveOut
        // Registered models are the secondary's: elsewhere what nobody has changed there may still be carried.
        if isSealed, case .model = subject { rules.isFinal = true }
        rules.repairs = configuration.repairs && !isSealed
        rules.isOurs = rules.isOurs || isOurs
        return rules
    }

    /// Where a name belongs to somebody else, and is shared. Told at once, as is another name below: whoever is interrupted from here on
    /// finds the thing as ours, and has nothing to tell.
    func adoptedName(_ name: String, _ key: EntityKey) throws -> Conflict {
        let conflict = Conflict.adopted(key, name)
        try note(conflict)
        return conflict
    }

    /// Where a name belongs to somebody else, another one is taken.
    ///
    /// - Throws: `SetAside` when the rules leave it to people.
    func takenName(_ name: String, _ key: EntityKey, _ owner: Stamp.Owner, _ rules: ThingRules) throws -> Conflict {
        let kind: ConflictKind = owner == .anotherPair ? .nameOfAnotherPair : .nameTaken
        var conflict = Conflict.nameTaken(key, name, by: kind)
        // Our own copies make way for one another by themselves.
        let isOurs = if case .ours = owner { true } else { false }
        if !isOurs, rules.decision(kind, "name") == .park { conflict.decision = .park }
        try note(conflict)
        guard conflict.decision == .park else { return conflict }
        throw SetAside(
            reason: "name_taken",
            message: "\(key): the name \"\(name)\" belongs to somebody else on the secondary; nothing is made there until someone decides "
                + "(`mlmirror conflicts`)")
    }

    /// Notes and tells of a conflict that keeps its thing from being acknowledged.
    func note(_ conflict: Conflict) throws {
        guard try state.note(conflict, at: clock.nowMilliseconds) else { return }
        tell([conflict])
        board.count { $0.conflicts += 1 }
    }

    func tell(_ conflicts: [Conflict]) {
        for conflict in conflicts {
            logger.event(
                .conflict,
                [
                    "entity": "\(conflict.key)", "field": "\(conflict.field)", "kind": "\(conflict.kind.rawValue)",
                    "decision": "\(conflict.decision.rawValue)", "detail": "\(conflict.detail)",
                ])
        }
    }

    /// What people have decided meanwhile is carried out with the next look at each thing: it is put into the log.
    ///
    /// - Returns: whether there was any.
    @discardableResult
    func takeResolutions() throws -> Bool {
        let keys = try state.waitingResolutions()
        guard !keys.isEmpty else { return false }
        let now = clock.nowMilliseconds
        fresh.noteChanged(keys)
        try state.queueResolutions(of: keys, at: now)
        // What could not be written because of an experiment's name, or its deletion, can be now.
        if keys.contains(where: { $0.kind == .experiment }) { try state.requeue(.all, at: now) }
        return true
    }

    // MARK: What is gone from the primary for good

    /// The primary states that it is gone for good: what is on the secondary stays, or is deleted there too, as the rules say.
    func applyHardDeletion(_ entry: ChangeLogEntry) async throws {
        let identity = try state.identity(entry.key.kind, entry.key.id)
        if let identity, identity.kind == .registeredModel, try await !mayPurge(identity), try await !keepsPurged(entry.key) {
            try leaveToWiderScopes()
        }
        guard let identity, try await mayPurge(identity), try await !keepsPurged(entry.key), try !state.isRetired(entry.key),
            try await deleteThere(entry.key, identity)
        else { return try await keepHardDeleted(entry, identity) }
        let conflict = Conflict(
            key: entry.key, field: "lifecycle", kind: .purgedOnPrimary, decision: .replicate,
            detail: "gone from the primary for good; it was deleted on the secondary")
        if entry.key.kind == .registeredModel { try state.forget(identity) }
        try acknowledge(
            Acknowledgement(
                entry: entry, identity: entry.key.kind == .registeredModel ? nil : deleted(identity), conflicts: [conflict],
                hasAllConflicts: true))
    }

    /// Where nobody knows what it was called, it is kept as soon as some names are.
    func keepsPurged(_ key: EntityKey) async throws -> Bool {
        let subject = try await subject(ofGone: key)
        let rules = try await rules(of: key, in: subject)
        return rules.decision(.purgedOnPrimary, "lifecycle") != .replicate
            || subject == .nameless && configuration.rules.keepsSomePurgedExperiments
    }

    private func keepHardDeleted(_ entry: ChangeLogEntry, _ known: Identity?) async throws {
        if let known, known.kind == .registeredModel, try await secondary.registeredModel(ModelName(known.secondaryID)) == nil {
            // Gone from both: by us, where the answer was lost, or by people. Another one of its name is another one.
            try state.forget(known)
            return try acknowledge(Acknowledgement(entry: entry))
        }
        logger.event(.keptAfterPurge, ["entity": "\(entry.key)"])
        board.count { $0.leftOut["gone from the primary", default: 0] += 1 }
        // With a base nobody waits for it to be finished any more.
        var identity = known
        var base = identity?.base ?? Base()
        base[.purged] = FieldDigest("")
        identity?.base = base
        try acknowledge(Acknowledgement(entry: entry, identity: identity))
    }

    private func deleted(_ identity: Identity) -> Identity {
        var identity = identity
        var base = identity.base ?? Base()
        base[Self.lifecycleField] = FieldDigest(Lifecycle.deleted.rawValue)
        base[.purged] = FieldDigest("")
        identity.base = base
        return identity
    }

    /// What it belonged to, where that is still known.
    private func subject(ofGone key: EntityKey) async throws -> RuleSubject {
        if key.kind == .registeredModel { return .model(ModelName(key.id)) }
        guard configuration.rules.looksAtNames(of: .experiment) || modes.withLock({ $0.ledger.hasSeals }) else { return .nameless }
        guard let experiment = try await experiment(ofGone: key) else { return .nameless }
        return try await subject(ofExperimentOfGone: experiment)
    }

    /// The primary's, as the secondary shows it.
    func experiment(ofGone key: EntityKey) async throws -> ExperimentID? {
        let there: ExperimentID?
        switch key.kind {
        case .experiment, .experimentDeletion: return ExperimentID(key.id)
        case .run, .runArtifacts:
            there = if let id = try state.secondaryID(.run, key.id) { try await secondary.run(RunID(id))?.experiment } else { nil }
        case .loggedModel, .loggedModelArtifacts:
            there =
                if let id = try state.secondaryID(.loggedModel, key.id) {
                    try await secondary.loggedModel(LoggedModelID(id))?.experiment
                } else { nil }
        case .registeredModel: there = nil
        }
        guard let there else { return nil }
        return try state.primaryID(.experiment, secondary: there.rawValue).map { ExperimentID($0) }
    }

    /// It may be gone itself, and nobody has remembered its name: then its copy tells, where nobody has renamed that since.
    func subject(ofExperimentOfGone id: ExperimentID) async throws -> RuleSubject {
        if let name = try await experimentName(id) { return .experimentNamed(id, name) }
        guard let identity = try state.identity(.experiment, id.rawValue),
            let there = try await secondary.experiment(ExperimentID(identity.secondaryID))
        else { return .nameless }
        if let name = there.tags.first(where: { $0.key == Stamp.nameKey })?.value { return .experimentNamed(id, name) }
        return identity.base?[Base.Field("name")] == FieldDigest(there.name) ? .experimentNamed(id, there.name) : .nameless
    }

    /// - Returns: false when there is nothing to delete, or it is not ours alone.
    private func deleteThere(_ key: EntityKey, _ identity: Identity) async throws -> Bool {
        switch key.kind {
        case .run:
            guard try await secondary.run(RunID(identity.secondaryID))?.lifecycle == .active else { return false }
            try brake(key)
            try await secondary.deleteRun(RunID(identity.secondaryID))
            board.count { $0.runs.deleted += 1 }
        case .experiment:
            let there = ExperimentID(identity.secondaryID)
            guard let found = try await secondary.experiment(there), found.lifecycle == .active,
                !Stamp.isForeign(identity.base, found.tags), try await !holdsOthersRuns(there)
            else { return false }
            try brake(key)
            try await secondary.deleteExperiment(there)
            board.count { $0.experiments.deleted += 1 }
        case .loggedModel:
            let there = LoggedModelID(identity.secondaryID)
            guard ModelFolder(identity) == nil, try await secondary.loggedModel(there) != nil else { return false }
            try brake(key)
            try await secondary.deleteLoggedModel(there)
            board.count { $0.loggedModels.deleted += 1 }
        case .registeredModel:
            let there = ModelName(identity.secondaryID)
            guard secondary.dialect.renamesModels, let found = try await secondary.registeredModel(there),
                !Stamp.isForeign(identity.base, found.tags)
            else { return false }
            try brake(key)
            try await secondary.deleteRegisteredModel(there)
            board.count { $0.registeredModels.deleted += 1 }
        case .runArtifacts, .loggedModelArtifacts, .experimentDeletion: return false
        }
        return true
    }
}
