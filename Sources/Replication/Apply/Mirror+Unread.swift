/// Runs of a secondary that nobody edits: they are as they were written, and are written again without being read first.
///
/// Only where the base says all that the read would have: what an earlier attempt has left in doubt, and what is deleted, is read.
extension Mirror {
    /// - Returns: the run's place, where its base can be relied on; nil: it is to be read.
    func placeWithoutReading(_ record: Run, _ known: Identity?, in experiment: ExperimentTarget) async throws -> RunTarget? {
        let key = EntityKey.run(record.id)
        guard !configuration.secondaryIsEdited, !configuration.deep, let known, let base = known.base, let root = known.root,
            record.lifecycle == .active, base[Self.lifecycleField] == FieldDigest(Lifecycle.active.rawValue),
            !experiment.isDeleted, !experiment.isDeletedThere, base[Self.overflowField] == nil,
            !refused.withLock({ $0.contains(key) }), try state.writesInDoubt(of: key).isEmpty, try !state.isNoted(Intent(key, .metrics))
        else { return nil }
        let rules = try await rules(of: key, in: .experiment(record.experiment))
        guard rules.standing.isEmpty, rules.resolutions.isEmpty, !rules.isSealed, !rules.repairs, !rules.isOurs else { return nil }
        return RunTarget(id: RunID(known.secondaryID), root: root)
    }

    /// Whether what was planned without reading is what reading would have led to.
    func isComplete(_ plan: RunPlan, _ overflow: Overflow, since base: Base) -> Bool {
        // With room for everything it does not matter what was there first.
        guard overflow.isEmpty, plan.conflicts.isEmpty, plan.datasets.isEmpty, plan.modelInputs.isEmpty, plan.modelOutputs.isEmpty
        else { return false }
        // What is gone from the primary is known by its digest alone: the secondary tells what it is called.
        let marks = Set([Base.Field.adopted, .brought, .unknown, Self.outField].map(\.digest))
        return Set(base.fields.keys).subtracting(marks).isSubset(of: plan.fields.fields.keys)
    }

    /// - Parameter actual: nil: not read.
    func plan(
        _ whole: RunImage, _ record: Run, _ known: Identity?, actual: Run?, in experiment: ExperimentTarget, isNew: Bool
    ) async throws -> (plan: RunPlan, overflow: Overflow) {
        let key = EntityKey.run(record.id)
        var image = whole
        var dialect = secondary.dialect
        if lacksDatasets.withLock({ $0 }) { dialect.runLimits?.datasets = actual?.datasets.count ?? 0 }
        let overflow = Overflow(
            takenFrom: &image, metrics: record.latestMetrics.map(\.key), there: actual ?? Run(id: record.id, experiment: record.experiment),
            base: known?.base, dialect)
        let rules = try await rules(of: key, in: .experiment(record.experiment), isOurs: isNew)
        var plan = RunPlan(
            image, id: record.id, base: known?.base, actual: actual, experimentIsDeleted: experiment.isDeleted,
            deletionIsCovered: experiment.isDeleted && !experiment.isDeletedThere, dialect: secondary.dialect,
            repairs: rules.repairs, inDoubt: try state.writesInDoubt(of: key), rules: rules)
        let stale = overflow.stale.filter { key in !plan.conflicts.contains { $0.field == "tag:\(key)" && $0.decision.stands } }
        plan.deletedTags = Set(plan.deletedTags).union(stale).sorted()
        return (plan, overflow)
    }

    /// A refusal says that the run is not as it was written: it is read the next time.
    ///
    /// - Parameter isUnread: it was not read before.
    func readingAfterRefusal<R>(_ key: EntityKey, isUnread: Bool, _ write: () async throws -> R) async throws -> R {
        do {
            return try await write()
        } catch let error as StoreError where error.decision == .setAside && isUnread {
            refused.withLock { refused in
                if refused.count > 20_000 { refused = [] }
                refused.insert(key)
            }
            throw StoreError(.retry(after: 0), error.reason, error.message)
        }
    }
}
