/// A seal that ended leaves its marks on the secondary until they are taken off: with one that stays, a lost state file would bring it back.
extension Mirror {
    /// Looks through all that is ours on the secondary, whatever became of it on the primary and in the scope, and takes off the marks of seals
    /// that are no more.
    ///
    /// - Returns: false when something is under way that was begun before the end: it may still set one.
    /// - Throws: `StoreError`; then it is to be done again, as it is when the process ends amid it.
    @discardableResult
    func takeOffEndedMarks() async throws -> Bool {
        guard let asked = try state.control(.endedSeals) else { return true }
        try obeyModes()
        guard modes.withLock({ $0.isObeyed }) else { return false }
        try await retrying.pages({ try await secondary.experiments($0) }) { page in
            for experiment in page.elements where experiment.lifecycle == .active {
                try await unmark(.experiment, experiment.tags, there: experiment.id.rawValue) {
                    if secondary.dialect.deletesExperimentTags {
                        try await secondary.deleteTag(Stamp.sealKey, ofExperiment: experiment.id)
                    } else {
                        // An empty one is none.
                        try await secondary.setTag(Tag(Stamp.sealKey, ""), ofExperiment: experiment.id)
                    }
                }
            }
        }
        try await retrying.pages({ try await secondary.registeredModels($0) }) { page in
            for model in page.elements {
                try await unmark(.registeredModel, model.tags, there: model.name.rawValue) {
                    try await secondary.deleteTag(Stamp.sealKey, ofRegisteredModel: model.name)
                }
            }
        }
        // What another seal holds as well had the mark of one alone.
        for one in try state.modes.switches where one.step == .sealed { try await markSealed(by: one.scope) }
        try state.endControl(.endedSeals, asked)
        return true
    }

    private func unmark(_ kind: EntityKey.Kind, _ tags: [Tag], there: String, _ takeOff: () async throws -> Void) async throws {
        guard case .ours(let primaryID) = stamp.owner(Stamp.idKey(kind), of: tags),
            let mark = tags.first(where: { $0.key == Stamp.sealKey })?.value, !mark.isEmpty
        else { return }
        let key = EntityKey(kind, primaryID)
        try await locks.withLock(key) {
            guard try !state.modes.sealedScopes.contains(where: { $0.mark == mark }) else { return }
            do { try await takeOff() } catch let error as StoreError where error.decision == .setAside {
                // Gone, or deleted there meanwhile: then the mark tells nothing any more.
            }
            guard let identity = try state.identity(kind, primaryID), identity.secondaryID == there, var base = identity.base else {
                return
            }
            base[.tag(Stamp.sealKey)] = nil
            try state.save(base, of: kind, primaryID)
        }
    }
}
