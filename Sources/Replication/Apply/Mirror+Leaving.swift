/// Experiments that went out of scope, by another name, under a daemon's eyes: nothing of their runs is written from then on.
struct LeftExperiments: Sendable {
    /// Nil: not looked up yet.
    var known: Set<ExperimentID>?
    /// Where runs are, of those that were read: their points alone do not tell.
    private var places: [RunID: ExperimentID] = [:]
    private static let mostPlaces = 50_000

    mutating func note(_ run: Run) {
        if places.count >= Self.mostPlaces { places = [:] }
        places[run.id] = run.experiment
    }

    /// Whether it is in one of them, or nobody knows where it is.
    func mayHold(_ run: RunID) -> Bool {
        guard let known, !known.isEmpty else { return false }
        return places[run].map { known.contains($0) } ?? true
    }
}

extension Mirror {
    /// Whether a run's record has to be read before anything of it is written.
    func mayHaveLeft(_ run: RunID) throws -> Bool {
        guard !configuration.scope.hasAllExperiments else { return false }
        try lookUpLeft()
        return left.withLock { $0.mayHold(run) }
    }

    func noteInScope(_ id: ExperimentID, _ isInScope: Bool) throws {
        guard !configuration.scope.hasAllExperiments else { return }
        try lookUpLeft()
        left.withLock { left in
            if isInScope { left.known?.remove(id) } else { left.known?.insert(id) }
        }
    }

    /// What is in an experiment that went out of scope stays as it is, whatever becomes of it on the primary.
    func isWithinLeft(_ identity: Identity) async throws -> Bool {
        guard !configuration.scope.hasAllExperiments else { return false }
        try lookUpLeft()
        guard left.withLock({ $0.known?.isEmpty == false }) else { return false }
        let experiment = try await experiment(ofGone: EntityKey(identity.kind, identity.primaryID))
        return left.withLock { left in experiment.map { left.known?.contains($0) ?? true } ?? true }
    }

    /// Those that an earlier process saw leave.
    private func lookUpLeft() throws {
        guard left.withLock({ $0.known == nil }) else { return }
        var found: Set<ExperimentID> = []
        var after = ""
        while true {
            let page = try state.mappedIDs(.experiment, after: after, limit: 500)
            for (id, _) in page where try state.identity(.experiment, id)?.base?[Self.outField] != nil { found.insert(ExperimentID(id)) }
            guard let last = page.last else { break }
            after = last.primary
        }
        left.withLock { left in if left.known == nil { left.known = found } }
    }
}
