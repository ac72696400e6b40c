extension Mirror {
    func applyLoggedModel(_ taken: ChangeLogEntry) async throws {
        var entry = taken
        let id = LoggedModelID(entry.key.id)
        let record: LoggedModel?
        if case .loggedModel(let model)? = fresh.take(&entry) { record = model } else { record = try await primary.loggedModel(id) }
        guard let record else { return try await applyHardDeletion(entry) }
        noteRead(entry.key) { record.recordDigest }
        let isInScope = try await isInScope(record)
        guard try follows(entry.key, isInScope: isInScope) else { return try leave(entry) }
        try await holdIfPaused(record.experiment)
        guard try await ensureLoggedModel(id, record) != nil else {
            throw SetAside(reason: "no_experiment", message: "\(entry.key): its experiment \(record.experiment) is not on the secondary")
        }
        guard secondary.dialect.hasLoggedModels else {
            return try await locks.withLock(entry.key) { try await writeModelDocument(record, entry, isBrought: !isInScope) }
        }
        let found = References.find(in: record.tags)
        var map = try state.counterparts(of: References.Found(models: found.models))
        for run in Set(record.metrics.map(\.run)).union(record.sourceRun.map { [$0] } ?? []).union(found.runs).sorted() {
            if let there = try await ensureRun(run) { map.runs[run] = there }
        }
        let references = map
        try await locks.withLock(entry.key) { try await writeLoggedModel(record, references, entry, isBrought: !isInScope) }
    }

    private func writeLoggedModel(
        _ record: LoggedModel, _ map: References.Map, _ entry: ChangeLogEntry, isBrought: Bool
    ) async throws {
        guard let known = try state.identity(.loggedModel, record.id.rawValue) else { throw Waits(key: entry.key) }
        let there = LoggedModelID(known.secondaryID)
        guard let actual = try await secondary.loggedModel(there) else {
            throw SetAside(
                reason: "gone_from_secondary",
                message: "\(entry.key): its copy \(there) was deleted on the secondary; it is not brought back")
        }
        let rules = try await rules(of: entry.key, in: .experiment(record.experiment))
        let plan = LoggedModelPlan(
            record, map, stamp: stamp, base: known.base, actual: actual, dialect: secondary.dialect,
            repairs: rules.repairs, inDoubt: try state.writesInDoubt(of: entry.key).union([Self.versionsTag]), rules: rules)
        try state.noteWrites(plan.tags.map { .tag($0.key) }, of: entry.key)
        note(conversions: plan.conversions, of: entry.key)
        if !plan.tags.isEmpty { try await secondary.setTags(plan.tags, ofLoggedModel: there) }
        for key in plan.deletedTags { try await secondary.deleteTag(key, ofLoggedModel: there) }
        if !plan.params.isEmpty { try await secondary.logParams(plan.params, toLoggedModel: there) }
        for (run, metrics) in Dictionary(grouping: plan.metrics, by: \.run).sorted(by: { $0.key < $1.key }) {
            guard let target = map.runs[run] else { continue }
            let metrics = try await withNaN(metrics, of: run)
            try await withWritableRun(run, target) { try await secondary.logMetrics(metrics, ofLoggedModel: there, toRun: target) }
        }
        var base = plan.fields
        var letters = tooLong(plan.tooLong, of: entry.key)
        var noted: Identity? = known
        do {
            let owner = ArtifactOwner(.loggedModel(there), root: actual.artifactURI)
            try await writeUnknown(record.unknown, of: entry.key, to: owner, isNew: false, &noted, into: &base)
        } catch let error as StoreError where error.decision == .setAside {
            // The model itself goes on.
            letters.append(DeadLetter(key: entry.key, path: UnknownDocument.path, error))
            base[.unknown] = nil
        }
        let copiesFiles = configuration.scope.artifacts
        if !copiesFiles, let status = plan.status { try await secondary.setStatus(status, ofLoggedModel: there) }
        if known.base?[.adopted] != nil || known.base == nil { base[.adopted] = FieldDigest("") }
        if isBrought { base[Self.broughtField] = FieldDigest("") }
        let identity = Identity(
            kind: .loggedModel, primaryID: record.id.rawValue, secondaryID: there.rawValue, root: actual.artifactURI,
            record: record.recordDigest, isSettled: record.status != .pending, base: base)
        let followUps = copiesFiles ? [EntityKey(.loggedModelArtifacts, record.id.rawValue)] : []
        try acknowledge(
            Acknowledgement(
                entry: entry, identity: identity, conflicts: plan.conflicts, hasAllConflicts: true, followUps: followUps,
                letters: letters, watch: fileWatch(of: record),
                endsWatch: record.status != .pending ? fileWatchEnd : nil))
        let isFirst = known.base == nil
        let wrote = !(plan.tags.isEmpty && plan.deletedTags.isEmpty && plan.params.isEmpty && plan.metrics.isEmpty && plan.status == nil)
        board.count { counts in
            counts.tags += plan.tags.count
            counts.params += plan.params.count
            if isFirst { return }
            if wrote { counts.loggedModels.updated += 1 } else { counts.loggedModels.unchanged += 1 }
        }
    }

    /// Written by the server itself whenever a version is made of the model (`set_model_versions_tags` of mlflow/store/tracking/abstract_store.py): what it
    /// has there is nobody's edit.
    private static var versionsTag: FieldDigest { Base.Field.tag("mlflow.modelVersions").digest }

    /// A logged model's own table knows no NaN (it shows 0): the run's history tells which zero is one, so that the run gets no zero that it
    /// never had.
    private func withNaN(_ metrics: [ModelMetric], of run: RunID) async throws -> [ModelMetric] {
        var result = metrics
        for (at, metric) in metrics.enumerated() where metric.point.value == 0 {
            let seen = Locked((zero: false, nan: false))
            try await primary.history(of: run, metric: metric.key) { points in
                for point in points where point.timestamp == metric.point.timestamp && point.step == metric.point.step {
                    seen.withLock { seen in
                        seen.zero = seen.zero || point.value == 0
                        seen.nan = seen.nan || point.value.isNaN
                    }
                }
            }
            let found = seen.withLock { $0 }
            if found.nan, !found.zero { result[at].point.value = .nan }
        }
        return result
    }

    /// A deleted run takes no metrics: it is restored for the moment, and deleted again.
    private func withWritableRun(_ run: RunID, _ target: RunID, _ write: @Sendable () async throws -> Void) async throws {
        try await locks.withLock(.run(run)) {
            do {
                try await write()
            } catch let error as StoreError where error.decision == .setAside {
                guard let actual = try await secondary.run(target), actual.lifecycle == .deleted else { throw error }
                // Whatever happens now, it is looked at again, and deleted if it still is on the primary.
                try append([.run(run)])
                try await secondary.restoreRun(target)
                try await write()
                try await secondary.deleteRun(target)
            }
        }
    }

    // MARK: Ensuring

    /// The secondary's counterpart of a logged model, created when it is not there; nil when the primary has no such model, or it is out of
    /// scope. A store without logged models has a folder in its place.
    func ensureLoggedModel(_ id: LoggedModelID, _ known: LoggedModel? = nil, regardless: Bool = false) async throws -> LoggedModelID? {
        if let there = try state.secondaryID(.loggedModel, id.rawValue) { return LoggedModelID(there) }
        var record = known
        if record == nil, case .loggedModel(let model)? = fresh.peek(.loggedModel(id)) { record = model }
        if record == nil { record = try await primary.loggedModel(id) }
        guard let record else { return nil }
        if !regardless, try await !isInScope(record) { return nil }
        try await holdIfPaused(record.experiment)
        let experiment = try await ensureExperiment(record.experiment)
        // It can only be set now: a model in scope brings the run it came from.
        let run = if let source = record.sourceRun { try await ensureRun(source, regardless: true) } else { RunID?.none }
        if let source = record.sourceRun, run != nil, !configuration.scope.hasNoEdge { try queueIfOnlyMade(.run(source)) }
        guard secondary.dialect.hasLoggedModels else { return try await ensureModelFolder(record, in: experiment, run) }
        // A lock of its own, as for runs: a model's writer waits for its run's lock, and a run's writer may have to create the model.
        return try await locks.withLock(EntityKey(.loggedModel, "creation of " + id.rawValue)) {
            if let there = try state.secondaryID(.loggedModel, id.rawValue) { return LoggedModelID(there) }
            return try await createLoggedModel(record, in: experiment, run)
        }
    }

    private func createLoggedModel(_ record: LoggedModel, in experiment: ExperimentTarget, _ run: RunID?) async throws -> LoggedModelID {
        let key = EntityKey.loggedModel(record.id)
        let idKey = Stamp.idKey(.loggedModel)
        let isInDoubt = try state.noteOrFind(Intent(key, .create), writing: record.tags.map { .tag($0.key) })
        var there: LoggedModel?
        if isInDoubt {
            there = try await find(inDoubt: key) {
                try await secondary.loggedModels(in: [experiment.secondary], tagged: Tag(idKey, record.id.rawValue))
                    .first { stamp.owner(idKey, of: $0.tags) == .ours(id: record.id.rawValue) }
            }
        }
        let wasFound = there != nil
        let model: LoggedModel
        if let there {
            model = there
        } else {
            var map = References.Map()
            if let source = record.sourceRun, let run { map.runs[source] = run }
            let tags = record.tags.filter { map.covers(References.find(in: $0)) }
            let new = NewLoggedModel(
                experiment: experiment.secondary, name: record.name, modelType: record.modelType, sourceRun: run, params: record.params,
                tags: RunImage.rewritten(tags, map) + stamp.tags(key))
            try await makeWritable(experiment)
            model = try await sending(key) { try await secondary.createLoggedModel(new) }
        }
        // Its content, status and files follow as an entry of its own.
        try state.created(
            Identity(kind: .loggedModel, primaryID: record.id.rawValue, secondaryID: model.id.rawValue, root: model.artifactURI),
            followUps: [key], at: clock.nowMilliseconds)
        board.count { counts in if wasFound { counts.loggedModels.adopted += 1 } else { counts.loggedModels.created += 1 } }
        return model.id
    }
}
