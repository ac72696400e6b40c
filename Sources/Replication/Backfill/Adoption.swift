import Logging

/// Finds on the secondary what bears this pair's stamp, for a state file that does not know it: a lost state file costs time, not duplicates.
struct Adoption<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    private let seals = Locked<[(mark: String, name: String, isModel: Bool)]>([])

    init(mirror: Mirror<Primary, Secondary>) { self.mirror = mirror }

    private var secondary: Secondary { mirror.secondary }
    private var stamp: Stamp { mirror.stamp }

    func run() async throws {
        guard try !mirror.state.hasAdopted() else { return }
        mirror.board.update { $0.phase = "looking for earlier copies" }
        if mirror.state.wasOlderCopy {
            mirror.logger.event(.stateOlderCopy)
        }
        let began = mirror.clock.monotonicSeconds
        let found = try await adoptAll()
        // Before anything is written: what the secondary leads is not written over.
        try mirror.restoreSeals(seals.withLock { $0 })
        // Who made them may have been at work a moment ago.
        if found > 0, try await mirror.waitForLanding(of: EntityKey(.run, "adopted"), lookBegan: began) { _ = try await adoptAll() }
        try mirror.state.setAdopted()
    }

    /// - Returns: how many things of ours are there.
    private func adoptAll() async throws -> Int {
        async let models = adoptRegisteredModels()
        let experiments = try await adoptExperiments()
        var found = experiments.count
        for experiment in experiments {
            found += try await adoptRuns(experiment)
            if secondary.dialect.hasLoggedModels { found += try await adoptLoggedModels(experiment) }
        }
        if !secondary.dialect.hasLoggedModels, mirror.primary.dialect.hasLoggedModels { try await adoptModelFolders() }
        return try await found + models
    }

    private func adoptExperiments() async throws -> [ExperimentID] {
        var found: [ExperimentID] = []
        try await mirror.retrying.pages({ try await secondary.experiments($0) }) { page in
            try adopt(.experiment, page.elements.map { ($0.id.rawValue, $0.tags, $0.artifactLocation) })
            let ours = page.elements.filter { isOurs(.experiment, $0.tags) }
            found += ours.map(\.id)
            // What is deleted takes no tags: its mark may be an old one.
            for experiment in ours where experiment.lifecycle == .active { note(experiment.tags, experiment.name, isModel: false) }
        }
        return found
    }

    private func adoptRuns(_ experiment: ExperimentID) async throws -> Int {
        var found = 0
        let query = RunQuery(experiments: [experiment], tag: Tag(Stamp.storeKey, stamp.store.rawValue), pageSize: 250)
        try await mirror.retrying.pages({ try await secondary.runs(query, $0) }) { page in
            let count = try adopt(.run, page.elements.map { ($0.id.rawValue, $0.tags, $0.artifactURI) })
            mirror.board.count { $0.runs.adopted += count }
            found += count
        }
        return found
    }

    private func adoptLoggedModels(_ experiment: ExperimentID) async throws -> Int {
        var found = 0
        try await mirror.retrying.pages({ try await secondary.loggedModels(in: [experiment], $0) }) { page in
            let count = try adopt(.loggedModel, page.elements.map { ($0.id.rawValue, $0.tags, $0.artifactURI) })
            mirror.board.count { $0.loggedModels.adopted += count }
            found += count
        }
        return found
    }

    /// Where the secondary has no logged models, the primary's are looked for in their runs.
    private func adoptModelFolders() async throws {
        var after = ""
        while true {
            let known = try mirror.state.mappedIDs(.experiment, after: after, limit: min(50, mirror.primary.dialect.experimentsPerSearch))
            guard let last = known.last else { return }
            after = last.primary
            let group = known.map { ExperimentID($0.primary) }
            try await mirror.primary.inGroups(group) { group in
                try await mirror.retrying.pages({ try await mirror.primary.loggedModels(in: group, $0) }) { page in
                    for model in page.elements {
                        let found = try await WorkError.of { try await mirror.retrying { try await mirror.findModelFolder(model) } }
                        guard let identity = found else { continue }
                        try mirror.state.adopt([identity])
                        mirror.board.count { $0.loggedModels.adopted += 1 }
                    }
                }
            } closed: { _, _ in
                // The enumeration tells of it; when it opens, what is made of it is looked for first.
            }
        }
    }

    private func adoptRegisteredModels() async throws -> Int {
        var found = 0
        try await mirror.retrying.pages({ try await secondary.registeredModels($0) }) { page in
            let count = try adopt(.registeredModel, page.elements.map { ($0.name.rawValue, $0.tags, nil) })
            mirror.board.count { $0.registeredModels.adopted += count }
            for model in page.elements where isOurs(.registeredModel, model.tags) { note(model.tags, model.name.rawValue, isModel: true) }
            found += count
        }
        return found
    }

    private func note(_ tags: [Tag], _ nameThere: String, isModel: Bool) {
        guard let mark = tags.first(where: { $0.key == Stamp.sealKey })?.value else { return }
        let key = isModel ? Stamp.idKey(.registeredModel) : Stamp.nameKey
        let name = tags.first { $0.key == key }?.value ?? nameThere
        seals.withLock { seals in
            if !seals.contains(where: { $0.mark == mark && (NameScope(encoded: mark) != nil || $0.name == name) }) {
                seals.append((mark, name, isModel))
            }
        }
    }

    private func isOurs(_ kind: EntityKey.Kind, _ tags: [Tag]) -> Bool {
        if case .ours = stamp.owner(Stamp.idKey(kind), of: tags) { true } else { false }
    }

    @discardableResult
    private func adopt(_ kind: EntityKey.Kind, _ things: [(id: String, tags: [Tag], root: String?)]) throws -> Int {
        let identities = things.compactMap { thing -> Identity? in
            guard case .ours(let primary) = stamp.owner(Stamp.idKey(kind), of: thing.tags) else { return nil }
            return Identity(kind: kind, primaryID: primary, secondaryID: thing.id, root: thing.root)
        }
        if !identities.isEmpty { try mirror.state.adopt(identities) }
        return identities.count
    }
}
