/// The marks on the secondary of what it leads: so that a lost state file, or another name on the primary, takes no seal off.
extension Mirror {
    private static var sealField: Base.Field { .tag(Stamp.sealKey) }

    /// The switch under which the secondary leads an experiment. One that was renamed since stays under its own.
    func seal(of id: ExperimentID, named name: String) async throws -> NameScope? {
        let ledger = modes.withLock { $0.ledger }
        guard ledger.hasSeals else { return nil }
        if let seal = ledger.seal(ofExperimentNamed: name) { return seal }
        guard let identity = try state.identity(.experiment, id.rawValue), let mark = try await mark(of: identity) else { return nil }
        return ledger.sealedScopes.first { FieldDigest($0.mark) == mark }
    }

    /// Of one that was found by its stamp, and not looked at since, its tags tell.
    private func mark(of experiment: Identity) async throws -> FieldDigest? {
        if let base = experiment.base { return base[Self.sealField] }
        let there = try await secondary.experiment(ExperimentID(experiment.secondaryID))
        return there?.tags.first { $0.key == Stamp.sealKey }.map { FieldDigest($0.value) }
    }

    /// Beside an experiment's own tags.
    func sealTags(of record: Experiment) async throws -> [Tag] {
        try await seal(of: record.id, named: record.name).map { [Tag(Stamp.sealKey, $0.mark)] } ?? []
    }

    func sealTags(of model: ModelName) -> [Tag] {
        modes.withLock { $0.ledger.seal(ofModelNamed: model) }.map { [Tag(Stamp.sealKey, $0.mark)] } ?? []
    }

    /// Marks all that a switch covers and that is on the secondary.
    func markSealed(by scope: NameScope) async throws {
        try await eachMapped(.experiment) { key, there in
            guard !scope.experiments.isEmpty, let name = try await nameWhereOpen(ExperimentID(key.id)), scope.holds(experimentNamed: name)
            else { return }
            try await mark(key, scope) { try await secondary.setTag($0, ofExperiment: ExperimentID(there)) }
        }
        try await eachMapped(.registeredModel) { key, there in
            guard scope.holds(modelNamed: ModelName(key.id)) else { return }
            try await mark(key, scope) { try await secondary.setTag($0, ofRegisteredModel: ModelName(there)) }
        }
    }

    /// Nil also where it is closed to us: what nobody can read is not written either.
    private func nameWhereOpen(_ id: ExperimentID) async throws -> String? {
        do { return try await experimentName(id) } catch let error as StoreError where error.decision == .setAside { return nil }
    }

    private func mark(_ key: EntityKey, _ scope: NameScope, _ set: (Tag) async throws -> Void) async throws {
        try await locks.withLock(key) {
            // It may have been taken back meanwhile.
            guard try state.modes.sealedScopes.contains(scope) else { return }
            // Without a base it is written whole, with its mark.
            guard var base = try state.identity(key.kind, key.id)?.base, base[Self.sealField] != FieldDigest(scope.mark) else { return }
            do {
                try await set(Tag(Stamp.sealKey, scope.mark))
            } catch let error as StoreError where error.decision == .setAside {
                // Deleted there: it takes no tags, and nothing writes to it.
                return
            }
            base[Self.sealField] = FieldDigest(scope.mark)
            try state.save(base, of: key.kind, key.id)
        }
    }

    private func eachMapped(_ kind: EntityKey.Kind, _ body: (EntityKey, _ there: String) async throws -> Void) async throws {
        var after = ""
        while true {
            let page = try state.mappedIDs(kind, after: after, limit: 500)
            for (primary, secondary) in page { try await body(EntityKey(kind, primary), secondary) }
            guard let last = page.last else { return }
            after = last.primary
        }
    }

    /// The switches that marks on the secondary tell of, for a state file that knows none.
    func restoreSeals(_ marks: [(mark: String, name: String, isModel: Bool)]) throws {
        var scopes: [NameScope] = []
        for (mark, name, isModel) in marks where !mark.isEmpty {
            // Of what a switch of many patterns covered, the thing itself is still known.
            let scope = NameScope(encoded: mark) ?? (isModel ? NameScope(models: [name]) : NameScope(experiments: [name]))
            if !scopes.contains(scope) { scopes.append(scope) }
        }
        let now = clock.nowMilliseconds
        let known = try state.modes
        var restored: [NameScope] = []
        for scope in scopes where !known.switches.contains(where: { $0.scope == scope && $0.isSealing }) {
            try state.changeModes { ledger in
                var one = ModeSwitch(scope, askedAt: now)
                one.step = .sealed
                one.sealedAt = now
                ledger.ask(one)
            }
            restored.append(scope)
            logger.event(
                .modeStep,
                ["step": "\(ModeSwitch.Step.sealed.rawValue)", "names": "\(scope.text)", "detail": "by the marks on the secondary"])
        }
        try obeyModes()
        // Taken back while the marks were read: whoever said it saw no switch yet.
        let asked = try state.dualAsked
        let ended = restored.filter { asked.contains(.everything) || asked.contains($0) }
        guard !ended.isEmpty else { return }
        try state.changeModes { ledger in
            ledger.switches.removeAll { ended.contains($0.scope) && $0.askedAt == now }
        }
        try obeyModes()
    }
}
