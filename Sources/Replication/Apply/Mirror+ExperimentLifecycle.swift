/// Deletions and returns of experiments, which take their runs along.
extension Mirror {
    /// A run that is deleted on the secondary because its experiment is was not deleted by anybody itself.
    ///
    /// - Throws: when its experiment is deleted there: for the moment, by us, or by somebody else.
    func refuseWithExperiment(_ target: ExperimentTarget, _ key: EntityKey) async throws {
        guard try await secondary.experiment(target.secondary)?.lifecycle == .deleted else { return }
        let base = try state.identity(.experiment, target.primary.rawValue)?.base
        let isOurs =
            base?[Self.lifecycleField] == FieldDigest(Lifecycle.deleted.rawValue) && base?[Self.takenAwayField] == nil
        if try isOurs || state.entry(EntityKey(.experimentDeletion, target.primary.rawValue)) != nil {
            throw StoreError(.retry(after: nil), .serverFailure, "\(key): its experiment is being deleted or restored on the secondary")
        }
        try await restoreByRule(target)
        // Its own record has not changed: it is looked at because of this run.
        try append([.experiment(target.primary)])
        throw takenAway(target)
    }

    /// An experiment that somebody has deleted on the secondary, and that the rules bring back, is waited for.
    func restoreByRule(_ target: ExperimentTarget) async throws {
        let key = EntityKey.experiment(target.primary)
        guard !target.isDeleted, !target.isForeign, try !state.isSetAside(key),
            try await rules(of: key, in: .experiment(target.primary)).decision(.deletedOnSecondary, "lifecycle") == .restore
        else { return }
        try append([key])
        throw Waits(key: key)
    }

    /// Writing to a deleted experiment is refused: it is restored first, and deleted again after everything else.
    func makeWritable(_ target: ExperimentTarget) async throws {
        guard target.isDeleted else { return }
        // The experiment's own lock too: its identity is read and written back here. Who holds that one never waits for a run's.
        try await locks.withLock(.experiment(target.primary)) { try await restoreForWriting(target) }
    }

    private func restoreForWriting(_ target: ExperimentTarget) async throws {
        try await locks.withLock(EntityKey(.experimentDeletion, target.primary.rawValue)) {
            guard var identity = try state.identity(.experiment, target.primary.rawValue), var base = identity.base,
                base[Self.lifecycleField] == FieldDigest(Lifecycle.deleted.rawValue)
            else { return }
            let isAway = try await secondary.experiment(target.secondary)?.lifecycle == .deleted
            if isAway, base[.deletedByOthers] != nil { throw takenAway(target) }
            if try await isSealed(target.primary) {
                if isAway { throw takenAway(target) }
                return
            }
            try append([EntityKey(.experimentDeletion, target.primary.rawValue)])
            if isAway { try await secondary.restoreExperiment(target.secondary) }
            base[Self.lifecycleField] = FieldDigest(Lifecycle.active.rawValue)
            base[Self.backForWritingField] = FieldDigest("")
            identity.base = base
            try acknowledge(Acknowledgement(identity: identity))
        }
    }

    func applyExperimentDeletion(_ entry: ChangeLogEntry) async throws {
        let id = ExperimentID(entry.key.id)
        try await holdIfPaused(id)
        // Its return must not be decided meanwhile.
        try await locks.withLock(.experiment(id)) {
            try await locks.withLock(entry.key) { try await deleteExperiment(id, entry) }
        }
    }

    private func deleteExperiment(_ id: ExperimentID, _ entry: ChangeLogEntry) async throws {
        guard var identity = try state.identity(.experiment, id.rawValue), var base = identity.base, base[.foreign] == nil
        else {
            return try acknowledge(Acknowledgement(entry: entry))
        }
        var followUps: [EntityKey] = []
        let record = try await primary.experiment(id)
        if let record, base[Self.backForWritingField] == nil,
            try !follows(.experiment(id), isInScope: configuration.scope.contains(record))
        {
            return try leave(entry, of: .experiment(id))
        }
        if let record, record.lifecycle == .deleted {
            let there = ExperimentID(identity.secondaryID)
            let isThere = try await secondary.experiment(there)?.lifecycle == .active
            if isThere, base[Self.backForWritingField] == nil,
                try await rules(of: .experiment(id), in: .experimentNamed(id, record.name)).decision(.deletedOnPrimary, "lifecycle")
                    == .keep
            {
                return try acknowledge(Acknowledgement(entry: entry, conflicts: [.keptDeletion(.experiment(id))]))
            }
            if isThere, base[Self.backForWritingField] == nil, try await holdsOthersRuns(there) {
                return try await share(id, there, identity, base, entry)
            }
            if isThere { try brake(entry.key) }
            base[Self.backForWritingField] = nil
            // Noted before it is done: whoever writes next then looks, whether it was done or not.
            base[Self.lifecycleField] = FieldDigest(Lifecycle.deleted.rawValue)
            identity.base = base
            try acknowledge(Acknowledgement(identity: identity))
            if isThere {
                try await secondary.deleteExperiment(there)
                board.count { $0.experiments.deleted += 1 }
            }
            // Also when it is gone already: an earlier attempt may have come so far and no further.
            followUps = try await changedRuns(of: id, deleted: false) { run in
                guard run.lifecycle == .active, let there = try state.secondaryID(.run, run.id.rawValue) else { return false }
                // One that cannot be restored says so itself; one that was deleted since this page is deleted again.
                do { try await secondary.restoreRun(RunID(there)) } catch let error as StoreError where error.decision == .setAside {}
                return true
            }
        } else if record != nil {
            // It came back. Should it go again before a feed has looked, its record would be the one that is noted.
            identity.record = nil
            followUps = [.experiment(id)]
        }
        try acknowledge(Acknowledgement(entry: entry, identity: identity, followUps: followUps))
    }

    /// Runs that bear no stamp of ours, and would be deleted with the experiment.
    func holdsOthersRuns(_ there: ExperimentID) async throws -> Bool {
        var pages = RunPages(secondary, RunQuery(experiments: [there]), retrying)
        while let page = try await pages.next() {
            let isOthers = page.elements.contains { run in
                run.lifecycle == .active && !run.tags.contains { $0.key == Stamp.storeKey && $0.value == stamp.store.rawValue }
            }
            if isOthers { return true }
        }
        return false
    }

    /// People have runs of their own in it: from now on it is theirs, and ours in it go one by one.
    private func share(
        _ id: ExperimentID, _ there: ExperimentID, _ known: Identity, _ noted: Base, _ entry: ChangeLogEntry
    ) async throws {
        var (identity, base) = (known, noted)
        try await secondary.setTag(Tag(Stamp.adoptedKey, "true"), ofExperiment: there)
        base[.foreign] = FieldDigest("")
        identity.base = base
        var conflict = Conflict.keptDeletion(.experiment(id))
        conflict.detail = "deleted on the primary; it stays on the secondary, where people have runs of their own in it"
        let runs = try await changedRuns(of: id, deleted: false) { run in try state.secondaryID(.run, run.id.rawValue) != nil }
        try acknowledge(Acknowledgement(entry: entry, identity: identity, conflicts: [conflict], followUps: runs))
    }

    /// An experiment's deletion takes its runs along, and its return brings all of them back, on both sides but at other times: also those that
    /// were restored, or deleted, one by one. Those that are not as they were copied must be looked at: unless their present state is noted,
    /// the next change of one could look as if nothing had happened to it. Queued with the experiment's own acknowledgement, so that whoever
    /// looked at one before that, looks again.
    ///
    /// - Parameters:
    ///   - deleted: whether those that are deleted are among them in any case: they came back on the secondary.
    ///   - isTouched: whether one is among them in any case.
    func changedRuns(
        of experiment: ExperimentID, deleted: Bool, _ isTouched: (Run) async throws -> Bool = { _ in false }
    ) async throws -> [EntityKey] {
        var keys: [EntityKey] = []
        var pages = RunPages(primary, RunQuery(experiments: [experiment]), retrying)
        while let page = try await pages.next() {
            let unchanged = try state.unchanged(.run, page.elements.map { ($0.id.rawValue, $0.recordDigest) })
            let known = try state.records(.run, page.elements.map(\.id.rawValue))
            for run in page.elements {
                // One that is not known yet may be on its way, with its deletion left to the experiment's.
                let isQueued =
                    deleted && run.lifecycle == .deleted || known[run.id.rawValue] != nil && !unchanged.contains(run.id.rawValue)
                if try await isTouched(run) || isQueued { keys.append(.run(run.id)) }
            }
        }
        return keys
    }

    /// Somebody has deleted it on the secondary.
    func takenAway(_ target: ExperimentTarget) -> SetAside {
        SetAside(
            reason: "experiment_deleted_on_secondary",
            message: "experiment \(target.primary) was deleted on the secondary (there: \(target.secondary)); it is not brought back. "
                + "Restore it there to go on.")
    }
}
