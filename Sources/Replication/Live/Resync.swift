/// Queues one thing again, whole, as if nothing were known of its content.
struct Resync<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    /// What was queued, as much of it as is remembered.
    let queued = Locked<Set<EntityKey>>([])
    private static var mostRemembered: Int { 50_000 }

    /// - Parameter argument: `run ID`, `experiment ID`, `model NAME` or `logged-model ID`, by the primary's id.
    func run(_ argument: String) async throws {
        let parts = argument.split(separator: " ", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { throw MirrorError(.configuration, "\(argument): expected a kind and an id") }
        let id = parts[1]
        switch parts[0] {
        case "run":
            guard let run = try await mirror.primary.run(RunID(id)) else { throw unknown("run", id) }
            try await expectInScope(.run(run.id)) { try await mirror.isInScope(run) }
            try await queue([.run(RunID(id)), EntityKey(.runArtifacts, id)])
        case "experiment":
            guard let experiment = try await mirror.primary.experiment(ExperimentID(id)) else { throw unknown("experiment", id) }
            try await expectInScope(.experiment(experiment.id)) { mirror.configuration.scope.contains(experiment) }
            try await queue([.experiment(ExperimentID(id))])
            var pages = RunPages(mirror.primary, RunQuery(experiments: [ExperimentID(id)]), mirror.retrying)
            while let page = try await pages.next() {
                try note(page.undecodable)
                try await queue(page.elements.flatMap { [.run($0.id), EntityKey(.runArtifacts, $0.id.rawValue)] })
            }
            guard mirror.primary.dialect.hasLoggedModels else { return }
            try await mirror.retrying.pages({ try await mirror.primary.loggedModels(in: [ExperimentID(id)], $0) }) { page in
                try note(page.undecodable)
                try await queue(page.elements.flatMap { [.loggedModel($0.id), EntityKey(.loggedModelArtifacts, $0.id.rawValue)] })
            }
        case "model":
            guard let model = try await mirror.primary.registeredModel(ModelName(id)) else { throw unknown("registered model", id) }
            try await expectInScope(.registeredModel(model.name)) {
                !model.isPrompt && mirror.configuration.scope.contains(model.name)
            }
            try await queue([.registeredModel(ModelName(id))])
        case "logged-model":
            guard let model = try await mirror.primary.loggedModel(LoggedModelID(id)) else { throw unknown("logged model", id) }
            try await expectInScope(.loggedModel(model.id)) { try await mirror.isInScope(model) }
            try await queue([.loggedModel(LoggedModelID(id)), EntityKey(.loggedModelArtifacts, id)])
        default:
            throw MirrorError(.configuration, "\(parts[0]): expected run, experiment, model or logged-model")
        }
    }

    private func unknown(_ kind: String, _ id: String) -> MirrorError {
        MirrorError(.configuration, "the primary has no \(kind) \(id)")
    }

    /// What is out of scope and was brought all the same is copied again, too.
    private func expectInScope(_ key: EntityKey, _ isInScope: () async throws -> Bool) async throws {
        if try await isInScope() { return }
        if let base = try mirror.state.identity(key.kind, key.id)?.base, base[.brought] != nil { return }
        throw MirrorError(.configuration, "\(key) is out of scope: the configuration's scope says what is copied")
    }

    private func note(_ undecodable: [Undecodable]) throws {
        for item in undecodable {
            let letter = DeadLetter(item)
            mirror.tell(letter, try mirror.state.setAside(letter, entry: nil, at: mirror.clock.nowMilliseconds))
            remember([letter.key])
        }
    }

    private func remember(_ keys: [EntityKey]) {
        queued.withLock { queued in
            if queued.count < Self.mostRemembered { queued.formUnion(keys) }
        }
    }

    private func queue(_ keys: [EntityKey]) async throws {
        remember(keys)
        // What is being applied would note the base again that it has read.
        for key in keys { try await mirror.locks.withLock(key) { try mirror.state.forgetBase(key) } }
        mirror.fresh.noteChanged(keys)
        try mirror.append(keys)
    }
}
