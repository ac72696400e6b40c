/// A run's place on the secondary.
struct RunTarget: Sendable, Hashable {
    var id: RunID
    var root: String
}

extension Mirror {
    /// It was deleted on the secondary by somebody, and was not followed from then on: its points may be there all the same.
    static var historiesUnknownField: Base.Field { Base.Field("histories_unknown") }

    func applyRun(_ taken: ChangeLogEntry) async throws {
        var entry = taken
        let id = RunID(entry.key.id)
        // What was set aside of it is looked at with whatever comes next.
        if try state.isSetAside(entry.key) { entry.extent = .whole }
        // Who still writes to what is sealed is to be named: the record tells.
        let hasSeals = modes.withLock { $0.ledger.hasSeals }
        if entry.extent == .points, !hasSeals, try await applyPoints(entry) { return }
        defer { fresh.finished(id) }
        var histories: [FieldDigest: [MetricPoint]] = [:]
        let found: Run?
        if case .run(let read)? = fresh.take(&entry) {
            found = read.run
            histories = read.histories
        } else {
            found = try await primary.run(id)
        }
        guard let found else { return try await applyHardDeletion(entry) }
        let digest = found.recordDigest
        noteRead(entry.key) { digest }
        var record = found
        let isRetired = try isRetired(record)
        // We deleted it there ourselves: what is here stays.
        if isRetired, record.lifecycle == .deleted { record.lifecycle = .active }
        left.withLock { [record] in $0.note(record) }
        let isInScope = try await isInScope(record)
        guard try follows(entry.key, isInScope: isInScope) else { return try leave(entry) }
        try await holdIfPaused(record.experiment)
        let experiment = try await ensureExperiment(record.experiment)
        let referred = try await ensureRuns(namedBy: record, try await ensureParents(of: record))
        try await locks.withLock(entry.key) {
            var map = referred
            var known = try state.identity(.run, id.rawValue)
            // Points that came late among earlier ones show in no record: a run that has ended, or was deleted, is looked at whole, once.
            let deleted = FieldDigest(Lifecycle.deleted.rawValue)
            let hasEnded = record.status.isTerminal && known?.isSettled != true
            let wasDeleted = record.lifecycle == .deleted && known?.base?[Self.lifecycleField] != deleted
            if hasEnded || wasDeleted, !primary.dialect.readsHistorySince { entry.extent = .whole }
            let place = try await placeWithoutReading(record, known, in: experiment)
            let there = place == nil ? try await findOrCreateRun(record, in: experiment, known, map) : nil
            guard let target = place ?? there?.target else { throw Waits(key: entry.key) }
            var actual = there?.actual
            let isNew = there?.isNew ?? false
            map.runs[id] = target.id
            try await resolveModels(of: record, &map)
            let image = RunImage(record, in: experiment.secondary, map, stamp: stamp)
            var (plan, overflow) = try await self.plan(image, record, known, actual: actual, in: experiment, isNew: isNew)
            if actual == nil, let base = known?.base, !isComplete(plan, overflow, since: base) {
                actual = try await findOrCreateRun(record, in: experiment, known, map).actual
                (plan, overflow) = try await self.plan(image, record, known, actual: actual, in: experiment, isNew: isNew)
            }
            if plan.isRespectedDeletion || plan.isRestoredDeletion { try await refuseWithExperiment(experiment, entry.key) }
            if plan.deletesLast, known?.base != nil { plan.deletesLast = try await isDeletedAlone(record, experiment) }
            note(conversions: plan.conversions, of: entry.key)
            var base = plan.fields
            base.series = known?.base?.series ?? [:]
            let mayBeRetiring = isRetired && found.lifecycle == .active
            let isBack = mayBeRetiring ? try await !isSealed(record.experiment) : false
            if isBack { try state.forget(retired: entry.key) }
            if isBack || known?.base?[Self.returnedField] != nil { base[Self.returnedField] = FieldDigest("") }
            if !isInScope { base[Self.broughtField] = FieldDigest("") }
            if let known, known.base == nil || known.base?[.adopted] != nil { base[.adopted] = FieldDigest("") }
            let gate = writeGate(target.id, in: experiment, isDeleted: actual?.lifecycle == .deleted)
            var letters = tooLong(plan.tooLong, of: entry.key)
            // The document's histories are older than the record: at the next start it is looked at again.
            var isWhole = true
            var written = MetricWriter<Primary, Secondary>.Written()
            if histories.isEmpty { histories = try await wholeHistories(of: record, known?.base) }
            let series = try changedSeries(of: record, entry, known?.base, histories, besides: overflow.metrics)
            if !plan.isRespectedDeletion {
                // First: what the run's marker says is there.
                do {
                    if let actual { isWhole = try await writeOverflow(overflow, of: record, target, actual, &known, into: &base) }
                } catch let error as StoreError where error.decision == .setAside {
                    // The run itself goes on.
                    letters.append(DeadLetter(key: entry.key, path: Overflow.path, error))
                    base[Base.Field("overflow")] = nil
                }
                do {
                    let owner = ArtifactOwner(.run(target.id), root: target.root)
                    try await writeUnknown(record.unknown, of: entry.key, to: owner, isNew: isNew, &known, into: &base)
                } catch let error as StoreError where error.decision == .setAside {
                    letters.append(DeadLetter(key: entry.key, path: UnknownDocument.path, error))
                    base[.unknown] = nil
                }
                written = try await readingAfterRefusal(entry.key, isUnread: actual == nil) {
                    try await writeRun(record, target, plan, gate, &base, isNew: isNew, known, series)
                }
            }
            // Not followed while it is deleted there: when it is back, nothing is known of its histories.
            if plan.isRespectedDeletion {
                base.series = [:]
                base[Self.historiesUnknownField] = FieldDigest("")
            }
            let points = written.points
            let identity = Identity(
                kind: .run, primaryID: id.rawValue, secondaryID: target.id.rawValue, root: target.root,
                record: plan.isRespectedDeletion || !isWhole || mayBeRetiring && !isBack ? nil : digest,
                isSettled: record.status.isTerminal, base: base)
            let followUps = configuration.scope.artifacts && !plan.isRespectedDeletion ? [EntityKey(.runArtifacts, id.rawValue)] : []
            fresh.remember(root: record.artifactURI, of: id)
            _ = refused.withLock { $0.remove(entry.key) }
            try acknowledge(
                Acknowledgement(
                    entry: entry, identity: identity, conflicts: plan.conflicts, hasAllConflicts: !plan.isRespectedDeletion,
                    followUps: followUps, letters: letters,
                    watch: plan.isRespectedDeletion ? nil : try fileWatch(of: record, isNew: known?.base == nil),
                    endsWatch: record.status.isTerminal || record.lifecycle == .deleted ? fileWatchEnd : nil))
            noteRecent(written, of: id, series)
            if hasSeals, isNew || plan.writes || points > 0, try await isSealed(record.experiment) {
                try note(straggler: entry.key, record.tags, isCarried: true)
            }
            board.count { counts in
                counts.params += plan.params.count
                counts.tags += plan.tags.count
                counts.inputs += plan.datasets.count + plan.modelInputs.count + plan.modelOutputs.count
                if plan.deletesLast { counts.runs.deleted += 1 }
                // The second half of a creation is part of it.
                if isNew || known?.base == nil {
                    return
                } else if plan.isEmpty, points == 0 {
                    counts.runs.unchanged += 1
                } else {
                    counts.runs.updated += 1
                }
            }
        }
    }

    /// Writes in the order that MLflow allows: restored first, data, final status after the data, deletion last.
    ///
    /// - Returns: how many metric points were written.
    private func writeRun(
        _ record: Run, _ target: RunTarget, _ plan: RunPlan, _ gate: WriteGate, _ base: inout Base, isNew: Bool, _ known: Identity?,
        _ series: [ChangedSeries]
    ) async throws -> MetricWriter<Primary, Secondary>.Written {
        if plan.writes { try await gate.open() }
        // Those of a creation are noted by its intent.
        if !isNew { try state.noteWrites(plan.tags.map { .tag($0.key) }, of: .run(record.id)) }
        for key in plan.deletedTags { try await secondary.deleteTag(key, ofRun: target.id) }
        let metrics = MetricWriter(
            mirror: self, run: record.id, target: target.id, gate: gate, saved: known?.base,
            asksSecondary: !isNew && (known?.base.map { $0[Self.historiesUnknownField] != nil } ?? true))
        let written = try await metrics.write(params: plan.params, tags: plan.tags, series, into: &base)
        if !plan.datasets.isEmpty || !plan.modelInputs.isEmpty {
            try await logInputs(plan, record, target)
        }
        if !plan.modelOutputs.isEmpty { try await secondary.logOutputs(plan.modelOutputs, toRun: target.id) }
        if let update = plan.update {
            try await secondary.updateRun(target.id, status: update.status, endTime: update.endTime, name: update.name)
        }
        if plan.deletesLast || record.lifecycle == .deleted && gate.hasRestoredRun {
            // Noted before it is done: if it is done and not acknowledged, the primary's return must not find a deletion that nobody made.
            var noted = known?.base ?? Base()
            noted[Base.Field("lifecycle")] = FieldDigest(Lifecycle.deleted.rawValue)
            if known?.base != nil { try state.save(noted, of: .run, record.id.rawValue) }
            try await secondary.deleteRun(target.id)
        }
        return written
    }

    /// Whether a run that was copied is to be deleted by itself: not when its experiment's deletion takes it along, which then follows.
    private func isDeletedAlone(_ run: Run, _ experiment: ExperimentTarget) async throws -> Bool {
        if !experiment.isDeleted, !experiment.isForeign, try await primary.experiment(run.experiment)?.lifecycle == .deleted {
            try append([.experiment(run.experiment)])
            return false
        }
        try brake(.run(run.id))
        return true
    }

    private func writeGate(_ run: RunID, in experiment: ExperimentTarget, isDeleted: Bool) -> WriteGate {
        var restoreRun: (@Sendable () async throws -> Bool)?
        if isDeleted {
            restoreRun = {
                // The return of its experiment may have brought it back, or that experiment was never away.
                if experiment.isDeleted, try await secondary.run(run)?.lifecycle != .deleted { return false }
                try await secondary.restoreRun(run)
                return true
            }
        }
        return WriteGate(restoreExperiment: { try await makeWritable(experiment) }, restoreRun: restoreRun)
    }

    /// A dataset's first use is sent alone: MLflow fails when two runs bring the same new one at once.
    private func logInputs(_ plan: RunPlan, _ record: Run, _ target: RunTarget) async throws {
        let id = record.experiment.rawValue
        try await locks.withLock(EntityKey(.experiment, "inputs of " + id)) {
            do {
                try await secondary.logInputs(datasets: plan.datasets, models: plan.modelInputs, toRun: target.id)
            } catch let error as StoreError where error.isRefusalOfDatasets && secondary.dialect.runLimits != nil {
                // Whatever a workspace calls it that it takes none, or not these: then they are what does not fit.
                lacksDatasets.withLock { $0 = true }
                throw StoreError(.retry(after: 0), .unsupported, error.message)
            }
        }
    }

    // MARK: Ensuring

    /// The secondary's counterpart of a run, created when it is not there; nil when the primary has no such run or it is out of scope.
    ///
    /// - Parameter regardless: also when it is out of scope, because something in scope cannot do without it.
    func ensureRun(_ id: RunID, regardless: Bool = false) async throws -> RunID? {
        if let there = try state.secondaryID(.run, id.rawValue) { return RunID(there) }
        guard let record = try await readRun(id) else { return nil }
        if !regardless, try await !isInScope(record) { return nil }
        try await holdIfPaused(record.experiment)
        let experiment = try await ensureExperiment(record.experiment)
        let parents = try await ensureParents(of: record)
        return try await findOrCreateRun(record, in: experiment, nil, parents).target.id
    }

    /// Creates the missing ones of a run's ancestors, the highest first. Never waits for another run while holding one.
    private func ensureParents(of run: Run) async throws -> References.Map {
        var map = References.Map()
        var chain: [Run] = []
        var seen: Set<RunID> = [run.id]
        var at = run
        while let parent = at.parent {
            guard seen.insert(parent).inserted else { break }
            if let there = try state.secondaryID(.run, parent.rawValue) {
                map.runs[parent] = RunID(there)
                break
            }
            guard let record = try await readRun(parent), try await isInScope(record) else { break }
            chain.append(record)
            at = record
        }
        for record in chain.reversed() {
            try await holdIfPaused(record.experiment)
            let experiment = try await ensureExperiment(record.experiment)
            let parents = map
            map.runs[record.id] = try await findOrCreateRun(record, in: experiment, nil, parents).target.id
        }
        return map
    }

    func readRun(_ id: RunID) async throws -> Run? {
        if let read = fresh.run(id) { return read }
        return try await primary.run(id)
    }

    /// The runs that a run's tags name, created when they are in scope and not there yet. Before any lock is taken.
    private func ensureRuns(namedBy run: Run, _ known: References.Map) async throws -> References.Map {
        var map = known
        for tag in run.tags {
            for id in References.find(in: tag).runs.sorted() where id != run.id && map.runs[id] == nil {
                if let there = try await ensureRun(id) { map.runs[id] = there }
            }
        }
        return map
    }

    private func resolveModels(of run: Run, _ map: inout References.Map) async throws {
        guard secondary.dialect.hasLoggedModels else { return }
        var models = Set(run.modelInputs).union(run.modelOutputs.map(\.model))
        for tag in run.tags { models.formUnion(References.find(in: tag).models) }
        for id in models.sorted() where map.models[id] == nil {
            if let there = try await ensureLoggedModel(id) { map.models[id] = there }
        }
    }
}

extension Run {
    var parent: RunID? {
        tags.first { $0.key == References.parentKey && !$0.value.isEmpty }.map { RunID($0.value) }
    }
}

extension StoreError {
    /// Azure ML answers 400 and 403, too, to what it lacks (azure-sdk-for-python#42155, #40261).
    fileprivate var isRefusalOfDatasets: Bool { decision == .setAside && [.unsupported, .forbidden, .invalid, .tooLarge].contains(reason) }
}
