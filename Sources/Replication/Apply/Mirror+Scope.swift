/// What is followed: by the names and times of the primary, and by what was needed for something else.
extension Mirror {
    /// Out of scope, and copied because something in scope cannot do without it.
    static var broughtField: Base.Field { Base.Field("brought") }

    struct KnownExperiment: Sendable {
        var name: String
        var isInScope: Bool
    }

    /// What is in scope, what was brought by something that is, and what was begun. What was in scope once stays as it is.
    func follows(_ key: EntityKey, isInScope: Bool) throws -> Bool {
        if isInScope { return true }
        guard let identity = try state.identity(key.kind, key.id) else { return false }
        return identity.base.map { $0[Self.broughtField] != nil } ?? true
    }

    /// A run or logged model that went out of scope, and that something new in scope needs: it is followed again, and queued.
    func bringAgain(_ key: EntityKey, files: EntityKey.Kind) async throws {
        guard !configuration.scope.hasNoEdge, let base = try state.identity(key.kind, key.id)?.base, base[Self.broughtField] == nil
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
        var brought = base
        brought[Self.broughtField] = FieldDigest("")
        try state.save(brought, of: key.kind, key.id)
        try append([key] + (configuration.scope.artifacts ? [EntityKey(files, key.id)] : []))
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
        if let known = experimentNames.withLock({ $0[id] }) { return known }
        var record: Experiment?
        if case .experiment(let known)? = fresh.peek(.experiment(id)) { record = known }
        if record == nil { record = try await primary.experiment(id) }
        guard let record else { return nil }
        note(nameOf: record)
        return KnownExperiment(name: record.name, isInScope: configuration.scope.contains(record))
    }

    func note(nameOf record: Experiment) {
        experimentNames.withLock { known in
            if known.count > 50_000 { known = [:] }
            known[record.id] = KnownExperiment(name: record.name, isInScope: configuration.scope.contains(record))
        }
    }

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
        run.params = followed(run.params)
        return run
    }

    // MARK: Other names there

    func renamed(_ experiment: String) -> String { configuration.scope.renaming.experiment(experiment) }
}
