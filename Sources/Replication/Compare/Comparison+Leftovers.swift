/// What the secondary has of ours that no listing of the primary leads to: copies of what is gone there, and second copies of one thing.
extension Comparison {
    /// - Parameter listed: what the primary listed before, in scope or not.
    func compareLeftExperiments(besides listed: Set<ExperimentID>) async throws {
        try await mirror.retrying.pages({ try await mirror.secondary.experiments($0) }) { page in
            for there in page.elements {
                let tags = there.tags
                guard case .ours(let id) = mirror.stamp.owner(Stamp.idKey(.experiment), of: tags), there.lifecycle == .active,
                    !Stamp.isAdopted(tags)
                else { continue }
                let named = Experiment(
                    id: ExperimentID(id), name: tags.first { $0.key == Stamp.nameKey }?.value ?? there.name, lifecycle: there.lifecycle)
                guard mirror.configuration.scope.contains(named) else { continue }
                try await judge(.experiment(named.id), there.id.rawValue, there.name, isListed: listed.contains(named.id)) {
                    try await mirror.primary.experiment(named.id) != nil
                }
            }
        }
    }

    func compareLeftRegisteredModels(besides listed: Set<ModelName>) async throws {
        try await mirror.retrying.pages({ try await mirror.secondary.registeredModels($0) }) { page in
            for there in page.elements {
                guard case .ours(let id) = mirror.stamp.owner(Stamp.idKey(.registeredModel), of: there.tags),
                    !Stamp.isAdopted(there.tags), mirror.configuration.scope.contains(ModelName(id))
                else { continue }
                let name = ModelName(id)
                try await judge(.registeredModel(name), there.name.rawValue, nil, isListed: listed.contains(name)) {
                    try await mirror.primary.registeredModel(name) != nil
                }
            }
        }
    }

    /// - Parameter listed: what the primary listed in these experiments.
    func compareLeftLoggedModels(in experiments: [ExperimentID], besides listed: Set<LoggedModelID>) async throws {
        guard mirror.secondary.dialect.hasLoggedModels else { return }
        let places = try experiments.compactMap { try mirror.state.secondaryID(.experiment, $0.rawValue).map { ExperimentID($0) } }
        for group in places.chunks(of: mirror.secondary.dialect.experimentsPerSearch) {
            try await mirror.retrying.pages({ try await mirror.secondary.loggedModels(in: group, $0) }) { page in
                for there in page.elements {
                    guard case .ours(let id) = mirror.stamp.owner(Stamp.idKey(.loggedModel), of: there.tags) else { continue }
                    let model = LoggedModelID(id)
                    try await judge(.loggedModel(model), there.id.rawValue, there.name, isListed: listed.contains(model)) {
                        try await mirror.primary.loggedModel(model) != nil
                    }
                }
            }
        }
    }

    private func judge(
        _ key: EntityKey, _ there: String, _ name: String?, isListed: Bool, _ isOnPrimary: @Sendable () async throws -> Bool
    ) async throws {
        do {
            try await judgeReadable(key, there, name, isListed: isListed, isOnPrimary)
        } catch let error as StoreError where error.decision == .setAside {
            try await tally.unreadable(key.kind, key.id, error.message)
        }
    }

    private func judgeReadable(
        _ key: EntityKey, _ there: String, _ name: String?, isListed: Bool, _ isOnPrimary: @Sendable () async throws -> Bool
    ) async throws {
        let mirror = mirror
        let known = try mirror.state.secondaryID(key.kind, key.id)
        var difference = Difference(
            kind: key.kind, primary: key.id, secondary: there, field: "doubled", primaryValue: nil, secondaryValue: name)
        if known == there {
            if isListed { return }
            let wasPurged = try mirror.state.identity(key.kind, key.id)?.base?[.purged] != nil
            if !wasPurged, try await mirror.retrying(isOnPrimary) { return }
            // Some stores delete no model that others may use by its name.
            if wasPurged, key.kind == .registeredModel, !mirror.secondary.dialect.renamesModels { return tally.accepted(.purgedOnPrimary) }
            // A deletion that waits is carried out in a moment.
            if try mirror.state.entry(key) != nil { return tally.leftOut("gone from the primary") }
            if try await mirror.retrying({ try await mirror.keepsPurged(key) }) { return tally.accepted(.purgedOnPrimary) }
            difference.field = "extra"
        } else if known == nil, tally.looksAgain, try await mirror.retrying(isOnPrimary) {
            // Made a moment ago, and noted in the next.
            return
        }
        try await tally.note([difference])
    }
}
