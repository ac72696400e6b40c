/// Where the runs of one experiment go.
struct ExperimentTarget: Sendable, Hashable {
    var primary: ExperimentID
    var secondary: ExperimentID
    /// Deleted on the primary: its deletion covers its runs, and comes last.
    var isDeleted: Bool
    /// And on the secondary: that has been done.
    var isDeletedThere = false
    /// Somebody else's, never deleted: its runs are, one by one.
    var isForeign = false
}

extension Mirror {
    static var lifecycleField: Base.Field { Base.Field("lifecycle") }
    /// The primary's name for it that is somebody else's on the secondary: nobody waits for it to make way.
    static var nameRefusedField: Base.Field { Base.Field("name_refused") }
    static var takenAwayField: Base.Field { Base.Field("taken_away") }
    static var primaryLifecycleField: Base.Field { Base.Field("primary_lifecycle") }
    /// Deleted, and back only to be written to: whatever the rules say of deletions, it goes again.
    static var backForWritingField: Base.Field { Base.Field("back_for_writing") }

    /// - Parameter waits: false when everything else waits too, or waits for this one: then it steps aside.
    func applyExperiment(_ taken: ChangeLogEntry, waits: Bool) async throws {
        var entry = taken
        let record: Experiment?
        if case .experiment(let experiment)? = fresh.take(&entry) {
            record = experiment
        } else {
            record = try await primary.experiment(ExperimentID(entry.key.id))
        }
        guard let record else { return try await applyHardDeletion(entry) }
        noteRead(entry.key) { record.recordDigest }
        note(nameOf: record)
        try holdIfPaused(record)
        try noteInScope(record.id, configuration.scope.contains(record))
        guard try follows(entry.key, isInScope: configuration.scope.contains(record)) else { return try leave(entry) }
        try await locks.withLock(entry.key) { try await writeExperiment(record, entry: entry, waits: waits) }
    }

    /// The experiment on the secondary, created when it is not there, and ready to be written to.
    func ensureExperiment(_ id: ExperimentID) async throws -> ExperimentTarget {
        let key = EntityKey.experiment(id)
        if let identity = try state.identity(.experiment, id.rawValue), let base = identity.base {
            return try await target(id, identity, base)
        }
        return try await locks.withLock(key) {
            if let identity = try state.identity(.experiment, id.rawValue), let base = identity.base {
                return try await target(id, identity, base)
            }
            var known: Experiment?
            if case .experiment(let experiment)? = fresh.peek(key) { known = experiment }
            if known == nil { known = try await primary.experiment(id) }
            guard let known else { throw SetAside(reason: "no_experiment", message: "experiment \(id) of the primary is gone") }
            note(nameOf: known)
            try holdIfPaused(known)
            try await writeExperiment(known, entry: nil, waits: true)
            guard let identity = try state.identity(.experiment, id.rawValue) else {
                throw SetAside(
                    reason: "no_experiment", message: "experiment \(id) (\"\(known.name)\") could not be created on the secondary")
            }
            return try await target(id, identity, identity.base ?? Base())
        }
    }

    private func target(_ id: ExperimentID, _ identity: Identity, _ base: Base) async throws -> ExperimentTarget {
        let isDeleted =
            base[Self.primaryLifecycleField] == FieldDigest(Lifecycle.deleted.rawValue) && base[.foreign] == nil
        let target = ExperimentTarget(
            primary: id, secondary: ExperimentID(identity.secondaryID), isDeleted: isDeleted,
            isDeletedThere: base[Self.lifecycleField] == FieldDigest(Lifecycle.deleted.rawValue), isForeign: base[.foreign] != nil)
        if base[Self.takenAwayField] != nil {
            if try await secondary.experiment(target.secondary)?.lifecycle == .active {
                var (identity, base) = (identity, base)
                base[Self.takenAwayField] = nil
                identity.base = base
                // Its own tags and name were not written meanwhile.
                try acknowledge(Acknowledgement(identity: identity, followUps: [.experiment(id)]))
                return target
            }
            try await restoreByRule(target)
            throw takenAway(target)
        }
        return target
    }

    // MARK: Writing

    private func writeExperiment(_ record: Experiment, entry: ChangeLogEntry?, waits: Bool) async throws {
        let key = EntityKey.experiment(record.id)
        let wantedName = renamed(record)
        let known = try state.identity(.experiment, record.id.rawValue)
        // Of earlier attempts: asked before this one notes its own.
        let inDoubt = try state.writesInDoubt(of: key)
        var rules = try await rules(of: key, in: .experimentNamed(record.id, record.name))
        var conflicts: [Conflict] = []
        var (image, leftOut) = try await fittingTags(of: record)
        let actual: Experiment
        var base = known?.base
        var isForeign = false
        if let known {
            guard let found = try await secondary.experiment(ExperimentID(known.secondaryID)) else {
                throw SetAside(
                    reason: "gone_from_secondary", message: "\(key): its copy \(known.secondaryID) is gone from the secondary for good")
            }
            actual = found
            isForeign = Stamp.isForeign(base, found.tags)
        } else {
            let isNew: Bool
            (actual, isForeign, isNew) = try await findOrCreateExperiment(record, tags: image, waits: waits, rules, conflicts: &conflicts)
            rules.isOurs = isNew
        }
        // A name taken over from someone else is kept, theirs and ours alike. First of all: whoever finds the rest must know whose it was.
        if isForeign { image.insert(Tag(Stamp.adoptedKey, "true"), at: 0) }
        var fields = Base()
        // Where tags cannot be deleted, an empty one is none.
        let tagsThere =
            secondary.dialect.deletesExperimentTags
            ? actual.tags : actual.tags.filter { !$0.value.isEmpty || base?[.tag($0.key)] != nil }
        let tags = TagPlan(
            image, base: base, actual: tagsThere, key: key, maximumLength: secondary.dialect.experimentTagValueLength,
            keepsForeign: isForeign, deletesUnknown: rules.repairs && !isForeign, inDoubt: inDoubt, rules: rules,
            fields: &fields)
        conflicts += tags.conflicts

        // Whoever listed it before saw that it was out of scope: also where one of its runs has brought it now.
        let isSeenEntering = experimentNames.withLock { $0[record.id]?.isEntering ?? false }
        let wasListedAsOut = isSeenEntering || base?[Self.broughtField] != nil || base?[Self.outField] != nil
        let isEntering = try wasListedAsOut || base == nil && state.control(.reconciling) == nil
        var followUps = isEntering ? try await contents(ofEntering: record) : []
        let deleted = FieldDigest(Lifecycle.deleted.rawValue)
        let wasDeletedByUs =
            base?[Self.lifecycleField] == deleted && base?[Self.takenAwayField] == nil && base?[.deletedByOthers] == nil
        var lifecycle = actual.lifecycle
        if record.lifecycle == .active, actual.lifecycle == .deleted {
            let decision = isForeign ? .respect : rules.decision(.deletedOnSecondary, "lifecycle")
            let mayBeTheirs = known != nil && rules.says(.respect, of: .deletedOnSecondary, "lifecycle")
            let isOurDeletion = !isForeign && !rules.isSealed && (wasDeletedByUs || base == nil && !mayBeTheirs)
            if !isOurDeletion { conflicts.append(.deletedOnSecondary(key, decision)) }
            if isOurDeletion || decision == .restore {
                try await secondary.restoreExperiment(actual.id)
                lifecycle = .active
            } else {
                fields[Self.takenAwayField] = FieldDigest("")
            }
        } else if record.lifecycle == .deleted, actual.lifecycle == .active, !isForeign {
            let isBackForWriting = base?[Self.backForWritingField] != nil
            let isNew = base == nil && rules.isOurs
            if rules.decision(.deletedOnPrimary, "lifecycle") == .keep, !isNew, !isBackForWriting {
                conflicts.append(.keptDeletion(key))
            } else {
                if isNew || isBackForWriting { fields[Self.backForWritingField] = FieldDigest("") }
                followUps.append(EntityKey(.experimentDeletion, record.id.rawValue))
            }
        }
        var isNameTaken = false
        if record.lifecycle == .deleted, actual.lifecycle == .deleted, !isForeign, wasDeletedByUs, !rules.isSealed {
            // It was back for a moment, and was changed: what is deleted cannot be.
            var isRenamed = secondary.dialect.renamesExperiments && actual.name != wantedName
            if isRenamed, let found = try await secondary.experiment(named: wantedName) {
                if waits, let other = try await renamedSince(found, asking: record.id) { throw Waits(key: other) }
                try await requireStill(found)
                (isRenamed, isNameTaken) = (false, true)
            }
            if isRenamed || !(tags.set.isEmpty && tags.delete.isEmpty) {
                try await secondary.restoreExperiment(actual.id)
                lifecycle = .active
                fields[Self.backForWritingField] = FieldDigest("")
                followUps.append(EntityKey(.experimentDeletion, record.id.rawValue))
            }
        }
        if actual.lifecycle == .deleted, lifecycle == .deleted, base != nil, !wasDeletedByUs {
            fields[.deletedByOthers] = FieldDigest("")
        }
        // However it came back on the secondary: by this attempt or another, or by hand.
        let isBack = lifecycle != actual.lifecycle || base?[Self.lifecycleField] == deleted || base?[Self.primaryLifecycleField] == deleted
        if record.lifecycle == .active, lifecycle == .active, known != nil, isBack {
            followUps += try await changedRuns(of: record.id, deleted: true)
        }
        fields[Self.lifecycleField] = FieldDigest(lifecycle.rawValue)
        if isForeign { fields[.foreign] = FieldDigest("") }
        if !configuration.scope.contains(record) { fields[Self.broughtField] = FieldDigest("") }
        fields[Self.primaryLifecycleField] = FieldDigest(record.lifecycle.rawValue)

        var wrote = lifecycle != actual.lifecycle
        // One that was made a moment ago may have had to take another name.
        var isNamed = known != nil || isForeign || actual.name == wantedName || !secondary.dialect.renamesExperiments
        var isLeft = false
        if lifecycle == .active {
            try state.noteWrites(tags.set.map { .tag($0.key) }, of: key)
            for tag in tags.set { try await secondary.setTag(tag, ofExperiment: actual.id) }
            for tag in tags.delete {
                if secondary.dialect.deletesExperimentTags {
                    try await secondary.deleteTag(tag, ofExperiment: actual.id)
                } else {
                    try await secondary.setTag(Tag(tag, ""), ofExperiment: actual.id)
                    note(conversions: ["experiment_tag_emptied: \(tag)"], of: key)
                }
            }
            wrote = wrote || !tags.set.isEmpty || !tags.delete.isEmpty
            switch try await renameIfNeeded(record, actual, base, isForeign, waits: waits, rules, &conflicts) {
            case .none:
                // Not carried out, and so not known as done: it is when the seal ends.
                if rules.isSealed, known != nil, !isForeign, actual.name != wantedName {
                    (isNamed, isLeft) = (false, true)
                    fields[Self.nameRefusedField] = FieldDigest(wantedName)
                }
            case .left:
                (isNamed, isLeft) = (false, true)
                // Nobody waits for it to make way.
                fields[Self.nameRefusedField] = FieldDigest(wantedName)
            case .done: wrote = true
            case .taken:
                isNamed = false
                fields[Self.nameRefusedField] = FieldDigest(wantedName)
            case .aside:
                (wrote, isNamed) = (true, false)
                followUps.append(key)
            }
        } else {
            // Nothing of a deleted experiment can be written, here or on the primary: it is when it is restored.
            for tag in tags.set.map(\.key) + tags.delete { fields[.tag(tag)] = base?[.tag(tag)] }
            if known != nil, !isForeign, !isNameTaken, secondary.dialect.renamesExperiments, actual.name != wantedName {
                (isNamed, isLeft) = (false, true)
            }
        }
        if isNameTaken { isNamed = false }
        fields[Base.Field("name")] = isNamed ? FieldDigest(wantedName) : base?[Base.Field("name")]
        base = fields
        let identity = Identity(
            kind: .experiment, primaryID: record.id.rawValue, secondaryID: actual.id.rawValue, root: actual.artifactLocation,
            // A name that is taken may be free the next time.
            record: isNamed || isLeft ? record.recordDigest : nil, isSettled: true, base: base)
        try acknowledge(
            Acknowledgement(
                entry: entry, identity: identity, conflicts: conflicts, hasAllConflicts: true, followUps: followUps,
                letters: tooLong(tags.tooLong.map { "tag:\($0)" }, of: key) + tooMany(leftOut, of: key)))
        noteEntered(record.id)
        let wasKnown = known != nil
        board.count { counts in
            counts.tags += tags.set.count
            if !wasKnown { return }
            if wrote { counts.experiments.updated += 1 } else { counts.experiments.unchanged += 1 }
        }
    }

    /// Of more tags than the secondary takes, ours and the first by name: an experiment has no files that the others could go to.
    private func fittingTags(of record: Experiment) async throws -> (tags: [Tag], leftOut: [Tag]) {
        var tags = try await experimentTags(record)
        // The mark of a seal takes no place from what people have written.
        if tags.count > secondary.dialect.experimentTags { tags.removeAll { $0.key == Stamp.sealKey } }
        guard tags.count > secondary.dialect.experimentTags else { return (tags, []) }
        let ours = tags.filter { $0.key.hasPrefix(Stamp.prefix) }
        let others = tags.filter { !$0.key.hasPrefix(Stamp.prefix) }.sorted { $0.key < $1.key }
        // One place for the mark of a shared one.
        let room = max(0, secondary.dialect.experimentTags - ours.count - 1)
        return (others.prefix(room) + ours, Array(others.dropFirst(room)))
    }

    private func tooMany(_ tags: [Tag], of key: EntityKey) -> [DeadLetter] {
        tags.map { tag in
            DeadLetter(
                key: key, path: "tag:\(tag.key)", reason: "too_many",
                message:
                    "\(key): the tag \(tag.key) was not written; the secondary takes \(secondary.dialect.experimentTags) of an experiment")
        }
    }

    private func experimentTags(_ record: Experiment) async throws -> [Tag] {
        try await record.tags.filter { !$0.key.hasPrefix(Stamp.prefix) } + stamp.tags(.experiment(record.id))
            + [Tag(Stamp.artifactLocationKey, configuration.scope.passage.mask.text(record.artifactLocation))] + sealTags(of: record)
            + (bearsItsName(record) ? [] : [Tag(Stamp.nameKey, record.name)])
    }

    private func bearsItsName(_ record: Experiment) -> Bool {
        secondary.dialect.experimentNames == nil && secondary.dialect.renamesExperiments && renamed(record) == record.name
    }
}
