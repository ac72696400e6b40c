/// Experiments that the secondary has not, or not for certain.
extension Mirror {
    private static var defaultExperiment: String { "Default" }

    /// The one of this name when it may be ours, else a new one: under another name when the name belongs to somebody else.
    func findOrCreateExperiment(
        _ record: Experiment, tags: [Tag], waits: Bool, _ rules: ThingRules, conflicts: inout [Conflict]
    ) async throws -> (Experiment, isForeign: Bool, isNew: Bool) {
        let idKey = Stamp.idKey(.experiment)
        // One that was made in an attempt whose end nobody knows may bear an earlier name.
        if try state.noteOrFind(Intent(.experiment(record.id), .create)),
            let made = try await find(inDoubt: .experiment(record.id), { try await stampedExperiment(record.id) })
        {
            board.count { $0.experiments.adopted += 1 }
            return (made, Stamp.isAdopted(made.tags), true)
        }
        let wanted = experimentNameThere(renamed(record))
        let prefixed = prefixedName(record)
        for name in [wanted, prefixed, numberedName(record)] {
            if let found = try await secondary.experiment(named: name) {
                switch stamp.owner(idKey, of: found.tags) {
                case .ours(record.id.rawValue):
                    board.count { $0.experiments.adopted += 1 }
                    return (found, Stamp.isAdopted(found.tags), false)
                case .nobody where found.lifecycle == .active && name == wanted && name == Self.defaultExperiment:
                    // Every MLflow server has one of its own.
                    board.count { $0.experiments.adopted += 1 }
                    return (found, true, false)
                case .nobody where found.lifecycle == .active && name == wanted && rules.decision(.nameTaken, "name") == .adopt:
                    conflicts.append(try adoptedName(name, .experiment(record.id)))
                    board.count { $0.experiments.adopted += 1 }
                    return (found, true, false)
                case .ours, .nobody, .anotherPair:
                    if waits, let other = try await renamedSince(found, asking: record.id) { throw Waits(key: other) }
                    try await requireStill(found)
                    do {
                        conflicts.append(try takenName(name, .experiment(record.id), stamp.owner(idKey, of: found.tags), rules))
                    } catch let refused as SetAside {
                        // Nothing was sent: the next attempt has nothing to wait for.
                        try state.forget(Intent(.experiment(record.id), .create))
                        throw refused
                    }
                    continue
                }
            }
            let id: ExperimentID
            try state.noteWrites(tags.map { .tag($0.key) }, of: .experiment(record.id))
            do {
                id = try await sending(.experiment(record.id)) {
                    let limit = secondary.dialect.experimentTagValueLength
                    return try await secondary.createExperiment(
                        name: name, tags: tags.filter { $0.value.unicodeScalars.count <= limit })
                }
            } catch let error as StoreError where error.isInDoubt || error.reason == .alreadyExists {
                // Refused for certain: then none of these fields is ours.
                if !error.isInDoubt { try state.forgetWrites(of: .experiment(record.id)) }
                // Whoever made it, its stamp tells: look again.
                throw StoreError(.retry(after: nil), error.reason, error.message)
            }
            board.count { $0.experiments.created += 1 }
            if name != renamed(record), secondary.dialect.experimentNames != nil {
                note(conversions: ["experiment_name: \(record.name) as \(name)"], of: .experiment(record.id))
            }
            guard let created = try await secondary.experiment(id) else {
                throw StoreError(
                    .retry(after: nil), .serverFailure, "experiment \(id) was created on the secondary and cannot be read back yet")
            }
            return (created, false, true)
        }
        throw SetAside(
            reason: "name_taken",
            message: "experiment \"\(record.name)\": both that name and \"\(prefixed)\" belong to somebody else on the secondary")
    }

    private func stampedExperiment(_ id: ExperimentID) async throws -> Experiment? {
        var found: Experiment?
        try await retrying.pages({ try await secondary.experiments($0) }) { page in
            found = found ?? page.elements.first { stamp.owner(Stamp.idKey(.experiment), of: $0.tags) == .ours(id: id.rawValue) }
        }
        return found
    }
}
