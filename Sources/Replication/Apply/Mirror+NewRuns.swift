/// Runs that the secondary has not, or not for certain.
extension Mirror {
    /// Finds the run by its identity, or by its stamp when an earlier attempt is in doubt, or creates it with its stamp.
    func findOrCreateRun(
        _ record: Run, in experiment: ExperimentTarget, _ known: Identity?, _ map: References.Map
    ) async throws -> (target: RunTarget, actual: Run, isNew: Bool) {
        let key = EntityKey.run(record.id)
        if let known {
            guard let actual = try await secondary.run(RunID(known.secondaryID)) else {
                throw SetAside(
                    reason: "gone_from_secondary", message: "\(key): its copy \(known.secondaryID) is gone from the secondary for good")
            }
            return (RunTarget(id: actual.id, root: actual.artifactURI), actual, false)
        }
        // Creating has a lock of its own: who holds a run's lock may have to create another thing, and nothing that is waited for in here
        // waits for a lock in turn.
        return try await locks.withLock(EntityKey(.run, "creation of " + record.id.rawValue)) {
            if let made = try state.identity(.run, record.id.rawValue) {
                guard let actual = try await secondary.run(RunID(made.secondaryID)) else {
                    throw StoreError(.retry(after: nil), .serverFailure, "\(key): its copy cannot be read back yet")
                }
                return (RunTarget(id: actual.id, root: actual.artifactURI), actual, false)
            }
            return try await createRun(record, in: experiment, map)
        }
    }

    private func createRun(
        _ record: Run, in experiment: ExperimentTarget, _ map: References.Map
    ) async throws -> (target: RunTarget, actual: Run, isNew: Bool) {
        let key = EntityKey.run(record.id)
        let isInDoubt = try state.noteOrFind(Intent(key, .create), writing: RunImage.rewritten(record.tags, map).map { .tag($0.key) })
        if isInDoubt, let found = try await find(inDoubt: key, { try await stamped(record.id, in: experiment.secondary) }) {
            try state.created(identity(of: record.id, found))
            board.count { $0.runs.adopted += 1 }
            return (RunTarget(id: found.id, root: found.artifactURI), found, false)
        }
        // Only tags whose every id is known can be written now; the others follow with the run's data.
        let tags = record.tags.filter {
            map.covers(References.find(in: $0)) && $0.value.unicodeScalars.count <= secondary.dialect.runTagValueLength
        }
        let limits = secondary.dialect.runLimits
        let image = Overflow.fitting(RunImage.rewritten(tags, map) + stamp.tags(key), limits)
        let name = Overflow.fitting(name: record.name, limits)
        let new = NewRun(
            experiment: experiment.secondary, name: name, userID: record.userID, startTime: record.startTime,
            tags: image.filter { $0.key != "mlflow.runName" || $0.value == name })
        try await makeWritable(experiment)
        let created = try await sending(key) { try await secondary.createRun(new) }
        try state.created(identity(of: record.id, created))
        board.count { $0.runs.created += 1 }
        return (RunTarget(id: created.id, root: created.artifactURI), created, true)
    }

    private func identity(of id: RunID, _ there: Run) -> Identity {
        Identity(kind: .run, primaryID: id.rawValue, secondaryID: there.id.rawValue, root: there.artifactURI)
    }

    /// What bears this run's stamp on the secondary.
    private func stamped(_ id: RunID, in experiment: ExperimentID) async throws -> Run? {
        let idKey = Stamp.idKey(.run)
        let query = RunQuery(experiments: [experiment], tag: Tag(idKey, id.rawValue), pageSize: 10)
        return try await secondary.runs(query, nil).elements.first { stamp.owner(idKey, of: $0.tags) == .ours(id: id.rawValue) }
    }
}
