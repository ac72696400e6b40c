/// What is followed: by the names and times of the primary, and by what was needed for something else.
extension Mirror {
    /// Out of scope, and copied because something in scope cannot do without it.
    static var broughtField: Base.Field { .brought }

    struct KnownExperiment: Sendable {
        var name: String
        var isInScope: Bool
        /// It has come into scope, and what is in it is still to be queued: runs of it may have been judged by what was true before.
        var isEntering = false
    }

    /// Was in scope, and is not any more: noted where a change of it was seen since.
    static var outField: Base.Field { Base.Field("out") }

    /// What is in scope, what was brought by something that is, and what we were about to make. What was in scope once stays as it is.
    func follows(_ key: EntityKey, isInScope: Bool) throws -> Bool {
        if isInScope { return true }
        guard let identity = try state.identity(key.kind, key.id) else { return false }
        if let base = identity.base { return base[Self.broughtField] != nil }
        return try state.isNoted(Intent(key, .made)) || state.isNoted(Intent(key, .brought))
    }

    /// Out of scope, and followed all the same.
    func isBrought(_ key: EntityKey) throws -> Bool {
        if let base = try state.identity(key.kind, key.id)?.base { return base[Self.broughtField] != nil }
        return try state.isNoted(Intent(key, .brought))
    }

    /// What no listing tells of again is not let go by one pass of a narrower scope: it waits for whoever has it in his. Who follows the
    /// primary is that one himself.
    func leaveToWiderScopes() throws {
        if configuration.filePause == nil { throw Held(version: paused.withLock { $0.version }) }
    }

    /// Ends with a change of something that is out of scope. When that comes back, nothing is taken for known.
    func leave(_ entry: ChangeLogEntry, of thing: EntityKey? = nil) throws {
        let key = thing ?? entry.key
        guard var identity = try state.identity(key.kind, key.id), let base = identity.base else {
            return try acknowledge(Acknowledgement(entry: entry, keepsIntents: true))
        }
        var left = base
        left[Self.outField] = FieldDigest("")
        identity.base = left
        identity.record = nil
        try acknowledge(Acknowledgement(entry: entry, identity: identity, endsWatch: clock.nowMilliseconds, keepsIntents: true))
    }

    /// What is gone from the primary for good may go there too: unless it may have gone out of scope before.
    func mayPurge(_ identity: Identity) async throws -> Bool {
        if configuration.scope.hasNoEdge || identity.base?[Self.broughtField] != nil { return true }
        if identity.kind == .registeredModel { return configuration.scope.contains(ModelName(identity.primaryID)) }
        guard identity.record != nil else { return try await isInScopeByName(identity) }
        return try await !isWithinLeft(identity)
    }

    /// Nothing was looked at since the scope became another one: where names alone say what is in it, the name of what is gone does.
    private func isInScopeByName(_ identity: Identity) async throws -> Bool {
        let scope = configuration.scope
        guard scope.since == nil, scope.until == nil, scope.owners == .everything, scope.passage.isWhole,
            identity.base?[Self.outField] == nil,
            let id = try await experiment(ofGone: EntityKey(identity.kind, identity.primaryID)),
            case .experimentNamed(_, let name) = try await subject(ofExperimentOfGone: id),
            scope.contains(Experiment(id: id, name: name))
        else { return false }
        return try await !isWithinLeft(identity)
    }

    /// What is in an experiment that has come into scope under a daemon's eyes: whoever listed it before, or is listing everything now, saw
    /// that it was not.
    func contents(ofEntering record: Experiment) async throws -> [EntityKey] {
        guard configuration.filePause != nil, !configuration.scope.hasAllExperiments, configuration.scope.contains(record) else {
            return []
        }
        var keys: [EntityKey] = []
        do {
            var pages = RunPages(primary, RunQuery(experiments: [record.id], startedFrom: configuration.scope.since), retrying)
            while let page = try await pages.next() {
                keys += page.elements.filter { configuration.scope.contains($0) }.map { .run($0.id) }
            }
            guard primary.dialect.hasLoggedModels else { return keys }
            try await retrying.pages({ try await primary.loggedModels(in: [record.id], $0) }) { page in
                keys += page.elements.filter { configuration.scope.contains($0) }.map { .loggedModel($0.id) }
            }
        } catch let error as StoreError where error.decision == .setAside {
            // Closed to us: the experiment itself is not.
        }
        return keys
    }

    /// What was made for another's sake has all that it holds still to come, and nobody lists it.
    func queueIfOnlyMade(_ key: EntityKey) throws {
        guard try state.identity(key.kind, key.id)?.base == nil, try state.entry(key) == nil, try !state.isSetAside(key) else { return }
        try bring(key)
    }

    /// Queues what something in scope stands on: also where a lost state file knew that it was brought.
    func bring(_ key: EntityKey) throws {
        if !configuration.scope.hasNoEdge { try state.note(Intent(key, .brought)) }
        try append([key])
    }

    /// A run or logged model that went out of scope, and that something new in scope needs: it is followed again, and queued.
    func bringAgain(_ key: EntityKey, files: EntityKey.Kind) async throws {
        guard !configuration.scope.hasNoEdge, let known = try state.identity(key.kind, key.id)?.base, known[Self.broughtField] == nil
        else { return }
        let isInScope: Bool
        switch key.kind {
        case .run: isInScope = if let run = try await readRun(RunID(key.id)) { try await self.isInScope(run) } else { true }
        case .loggedModel:
            isInScope =
                if let model = try await primary.loggedModel(LoggedModelID(key.id)) { try await self.isInScope(model) } else { true }
        default: isInScope = true
        }
        guard !isInScope else { return }
        try await locks.withLock(key) {
            guard var base = try state.identity(key.kind, key.id)?.base else { return }
            base[Self.broughtField] = FieldDigest("")
            try state.save(base, of: key.kind, key.id)
            try append([key] + (configuration.scope.artifacts ? [EntityKey(files, key.id)] : []))
        }
    }

    func isInScope(_ run: Run) async throws -> Bool {
        guard configuration.scope.contains(run) else { return false }
        return try await experimentIsInScope(run.experiment)
    }

    func isInScope(_ model: LoggedModel) async throws -> Bool {
        guard configuration.scope.contains(model) else { return false }
        return try await experimentIsInScope(model.experiment)
    }

    /// By its name, which is asked for once and again when it changes.
    func experimentIsInScope(_ id: ExperimentID) async throws -> Bool {
        if configuration.scope.hasAllExperiments { return true }
        return try await knownExperiment(id)?.isInScope ?? false
    }

    /// Nil when the primary has no such experiment.
    func experimentName(_ id: ExperimentID) async throws -> String? { try await knownExperiment(id)?.name }

    private func knownExperiment(_ id: ExperimentID) async throws -> KnownExperiment? {
        // One that is about to be looked at may have another name by now.
        if let known = experimentNames.withLock({ $0[id] }), try known.isInScope || state.entry(.experiment(id)) == nil { return known }
        var record: Experiment?
        if case .experiment(let known)? = fresh.peek(.experiment(id)) { record = known }
        if record == nil { record = try await primary.experiment(id) }
        guard let record else { return nil }
        note(nameOf: record)
        return KnownExperiment(name: record.name, isInScope: configuration.scope.contains(record))
    }

    func note(nameOf record: Experiment) {
        let isInScope = configuration.scope.contains(record)
        experimentNames.withLock { known in
            if known.count > 50_000 { known = known.filter(\.value.isEntering) }
            let isEntering = known[record.id].map { $0.isEntering || !$0.isInScope } ?? false
            known[record.id] = KnownExperiment(name: record.name, isInScope: isInScope, isEntering: isInScope && isEntering)
        }
    }

    func noteEntered(_ id: ExperimentID) { experimentNames.withLock { $0[id]?.isEntering = false } }

    // MARK: What is left out of things

    /// Of the secondary's: what was copied before it was left out stays, and is nobody's business.
    func followed(_ tags: [Tag]) -> [Tag] {
        let leaveOut = configuration.scope.passage.leaveOut
        return leaveOut.tags.isEmpty ? tags : tags.filter { !leaveOut.holds(tag: $0.key) }
    }

    func followed(_ params: [Param]) -> [Param] {
        let leaveOut = configuration.scope.passage.leaveOut
        return leaveOut.params.isEmpty ? params : params.filter { !leaveOut.holds(param: $0.key) }
    }

    func followed(_ run: Run) -> Run {
        var run = run
        run.tags = followed(run.tags)
        for at in run.datasets.indices { run.datasets[at].tags = followed(run.datasets[at].tags) }
        run.params = followed(run.params)
        return run
    }

    /// What was copied under another mask is on the secondary, and not for a report.
    func shown(_ difference: Difference) -> Difference {
        let mask = configuration.scope.passage.mask
        guard !mask.isEmpty, let value = difference.secondaryValue else { return difference }
        var shown = difference
        let isPerson = difference.field == "user" || difference.field.hasPrefix("param:") || difference.field.contains("tag:")
        shown.secondaryValue = isPerson ? "not shown (scope.mask)" : mask.text(value)
        return shown
    }

    // MARK: Other names there

    func renamed(_ experiment: Experiment) -> String {
        experiment.nameThere ?? configuration.scope.renaming.experiment(experiment.name)
    }
}
