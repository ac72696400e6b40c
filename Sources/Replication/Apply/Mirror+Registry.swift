import Hashing
import Logging

extension Mirror {
    /// A registered model with its versions and aliases, in the order that keeps version numbers equal.
    ///
    /// - Parameter waits: false when everything else waits too: then what is not there yet is set aside.
    func applyRegisteredModel(_ taken: ChangeLogEntry, waits: Bool) async throws {
        var entry = taken
        let name = ModelName(entry.key.id)
        let read: (RegisteredModel, [ModelVersion])?
        if case .registeredModel(let model, let versions)? = fresh.take(&entry) {
            read = (model, versions)
        } else if let model = try await primary.registeredModel(name) {
            read = (model, try await allVersions(primary, name))
        } else {
            read = nil
        }
        guard let (record, versions) = read else { return try await applyHardDeletion(entry) }
        noteRead(entry.key) { record.recordDigest(with: versions) }
        guard !record.isPrompt, try follows(entry.key, isInScope: configuration.scope.contains(name)) else { return try leave(entry) }
        try holdIfPaused(name)
        try await prepareSources(of: versions, entry, waits: waits)
        try await locks.withLock(entry.key) { try await writeRegisteredModel(record, versions, entry) }
    }

    func allVersions(_ store: some TrackingStore, _ name: ModelName) async throws -> [ModelVersion] {
        var all: [ModelVersion] = []
        var token: PageToken?
        repeat {
            let page = try await store.versions(of: name, token)
            if let bad = page.undecodable.first {
                throw StoreError(.setAside, .malformed, "a version of model \"\(name)\" cannot be read: \(bad.reason)")
            }
            all += page.elements
            token = page.next
        } while token != nil
        return all.sorted { $0.number < $1.number }
    }

    /// A version is only created once the files under its source are there: what is not yet, is waited for.
    ///
    /// - Parameter waits: false when everything else waits too: then what a version comes from is only made.
    private func prepareSources(of versions: [ModelVersion], _ entry: ChangeLogEntry, waits: Bool) async throws {
        let base = try state.identity(.registeredModel, entry.key.id)?.base
        var unseen: [EntityKey] = []
        for version in versions {
            let isNew = base?[RegistryWork.descriptionField(version)] == nil
            if waits, let other = VersionSource.version(version.source), other.model != version.model {
                let key = EntityKey.registeredModel(other.model)
                if try state.entry(key) != nil { throw Waits(key: key) }
                if isNew, try await isStillToCome(other, for: version) {
                    try append([key])
                    throw Waits(key: key)
                }
            }
            for one in try await isNew ? ancestry(of: version) : [version] {
                let found = References.find(inURI: one.source)
                for run in found.runs.union(one.run.map { [$0] } ?? []).sorted() {
                    guard try await ensureRun(run, regardless: true) != nil else { continue }
                    if isNew { try await bringAgain(.run(run), files: .runArtifacts) }
                    if waits { try waitIfPending(.run(run), files: .runArtifacts, for: isNew ? version : nil, &unseen) }
                }
                for model in found.models.union(one.loggedModel.map { [$0] } ?? []).sorted() {
                    guard try await ensureLoggedModel(model, regardless: true) != nil else { continue }
                    if isNew { try await bringAgain(.loggedModel(model), files: .loggedModelArtifacts) }
                    if waits { try waitIfPending(.loggedModel(model), files: .loggedModelArtifacts, for: isNew ? version : nil, &unseen) }
                }
            }
        }
        guard let last = unseen.last else { return }
        try append(unseen)
        throw Waits(key: last)
    }

    /// Whether a version that another one is to be made of is in scope, and not copied yet: it may be listed later. Asked once for each.
    private func isStillToCome(_ other: (model: ModelName, number: Int), for version: ModelVersion) async throws -> Bool {
        let key = EntityKey.registeredModel(other.model)
        guard configuration.scope.contains(other.model), try !state.isSetAside(key) else { return false }
        let known = try state.identity(.registeredModel, other.model.rawValue)?.base
        let field = RegistryWork.descriptionField(ModelVersion(model: other.model, number: other.number, source: ""))
        guard known?[field] == nil else { return false }
        let isFirst = lookedAtFiles.withLock { $0[version.model, default: []].insert("\(version.number) \(key)").inserted }
        guard isFirst, try await primary.registeredModel(other.model).map({ !$0.isPrompt }) ?? false else { return false }
        return try await primary.version(of: other.model, other.number) != nil
    }

    /// - Parameter version: that is to be made of it.
    ///   Whose files were not looked at since it came is added to `unseen`.
    private func waitIfPending(
        _ key: EntityKey, files: EntityKey.Kind, for version: ModelVersion?, _ unseen: inout [EntityKey]
    ) throws {
        if try state.entry(key) != nil { throw Waits(key: key) }
        // A run that was created for another's sake alone has no entry of its own yet.
        if try state.identity(key.kind, key.id)?.base == nil, try !state.isSetAside(key) {
            try bring(key)
            throw Waits(key: key)
        }
        let filesKey = EntityKey(files, key.id)
        guard configuration.scope.artifacts else { return }
        if try state.entry(filesKey) != nil { throw Waits(key: filesKey) }
        // Files leave no trace: where a version is refused without them, they are looked at once more when it has come.
        guard let version, secondary.dialect.registersOwnFilesOnly else { return }
        let isFirst = lookedAtFiles.withLock { $0[version.model, default: []].insert("\(version.number) \(filesKey)").inserted }
        if isFirst { unseen.append(filesKey) }
    }

    // MARK: Writing

    private func writeRegisteredModel(_ record: RegisteredModel, _ versions: [ModelVersion], _ entry: ChangeLogEntry) async throws {
        let known = try state.identity(.registeredModel, record.name.rawValue)
        var work = RegistryWork(key: entry.key, base: known?.base, rules: try await rules(of: entry.key, in: .model(record.name)))
        work.inDoubt = try state.writesInDoubt(of: entry.key)
        work.aliasNames = record.aliases.keys.sorted()
        if !secondary.dialect.hasAliases {
            for (alias, number) in record.aliases { work.aliases[number, default: []].append(alias) }
        }
        let name = try await findOrCreateModel(record, known, &work)
        guard let actual = try await secondary.registeredModel(name) else {
            throw SetAside(
                reason: "gone_from_secondary",
                message: "\(entry.key): its copy \"\(name)\" was deleted on the secondary; it is not brought back")
        }
        work.isForeign = Stamp.isForeign(known?.base, actual.tags)
        if work.isForeign { work.fields[.foreign] = FieldDigest("") }
        try await writeModelFields(record, actual, name, &work)
        if !work.inDoubt.isEmpty { try await waitForLanding(of: entry.key) }
        var there = try await allVersions(secondary, name)
        // Numbers that were used there and are hidden now count too.
        let noted = work.base?[RegistryWork.highestField].map { Int($0.rawValue) } ?? versions.filter { work.wrote($0) }.map(\.number).max()
        work.highestNumber = max(noted ?? 0, there.map(\.number).max() ?? 0)
        work.knowsHighest = work.knowsHighest || work.base?[RegistryWork.highestField] != nil
        work.placeholders = there.filter { isOurPlaceholder($0) }.map(\.number)
        there.removeAll { isOurPlaceholder($0) }
        // Of an apply that was interrupted after the version above them had come.
        for stale in work.placeholders where there.contains(where: { $0.number > stale }) {
            try await secondary.deleteVersion(stale, of: name)
        }
        work.placeholders.removeAll { stale in there.contains { $0.number > stale } }
        var numbers: [Int: Int] = [:]
        for version in versions {
            do {
                numbers[version.number] = try await writeVersion(version, name, there, &work)
            } catch let refused as SetAside {
                work.keep(version)
                setAside(version, refused.reason, refused.message, nil, &work)
            } catch let error as StoreError where error.decision == .setAside {
                work.keep(version)
                setAside(version, error.reason.rawValue, error.message, error.exchange, &work)
            }
        }
        try await deleteVersions(record, versions, there, name, &work)
        try await writeAliases(record, actual, name, numbers, &work)
        if work.knowsHighest { work.fields[RegistryWork.highestField] = FieldDigest(rawValue: UInt64(work.highestNumber)) }
        let identity = Identity(
            kind: .registeredModel, primaryID: record.name.rawValue, secondaryID: name.rawValue,
            record: record.recordDigest(with: versions), isSettled: work.letters.isEmpty, base: work.fields)
        try acknowledge(
            Acknowledgement(
                entry: entry, identity: identity, conflicts: work.conflicts, hasAllConflicts: true,
                followUps: work.followUps.sorted { $0.id < $1.id },
                letters: work.letters))
        lookedAtFiles.withLock { $0[record.name] = nil }
        count(work, isNew: known == nil)
    }

    private func isOurPlaceholder(_ version: ModelVersion) -> Bool {
        stamp.owner(Stamp.versionKey, of: version.tags) == .ours(id: Stamp.placeholderID)
            && version.tags.contains { $0.key == Stamp.placeholderKey }
    }

    private func count(_ work: RegistryWork, isNew: Bool) {
        board.count { counts in
            counts.tags += work.tags
            if isNew { return }
            if work.wrote { counts.registeredModels.updated += 1 } else { counts.registeredModels.unchanged += 1 }
        }
    }

    private func setAside(
        _ version: ModelVersion, _ reason: String, _ message: String, _ exchange: StoreExchange?, _ work: inout RegistryWork
    ) {
        work.letters.append(
            DeadLetter(
                key: work.key, path: "version \(version.number)", reason: reason,
                message: "version \(version.number) of model \"\(version.model)\": \(message)", exchange: exchange,
                record: .of(version.source.utf8)))
    }

    private func findOrCreateModel(_ record: RegisteredModel, _ known: Identity?, _ work: inout RegistryWork) async throws -> ModelName {
        let key = EntityKey.registeredModel(record.name)
        let idKey = Stamp.idKey(.registeredModel)
        let first = nameThere(renamed(record.name))
        if let known {
            if work.rules.standing["name"] == .rename, known.secondaryID != first.rawValue {
                work.conflicts.append(.nameTaken(key, first.rawValue))
            }
            return ModelName(known.secondaryID)
        }
        for name in [first, nameThere("\(configuration.pair).\(renamed(record.name))")] {
            var found = try await secondary.registeredModel(name)
            if found == nil {
                do {
                    try state.noteWrites(record.tags.map { .tag($0.key) }, of: key)
                    try await secondary.createRegisteredModel(
                        name, description: record.description, tags: fitting(modelTags(record, isForeign: false)))
                    board.count { $0.registeredModels.created += 1 }
                    work.knowsHighest = true
                    work.rules.isOurs = true
                    try state.created(Identity(kind: .registeredModel, primaryID: record.name.rawValue, secondaryID: name.rawValue))
                    return name
                } catch let error as StoreError where error.isInDoubt || error.reason == .alreadyExists {
                    guard let again = try await secondary.registeredModel(name) else { throw error }
                    found = again
                }
            }
            guard let found else { continue }
            switch stamp.owner(idKey, of: found.tags) {
            case .ours(record.name.rawValue):
                break
            case .nobody where name == first && work.rules.decision(.nameTaken, "name") == .adopt:
                work.conflicts.append(try adoptedName(name.rawValue, key))
                for tag in modelTags(record, isForeign: true) where tag.key.hasPrefix(Stamp.prefix) {
                    try await secondary.setTag(tag, ofRegisteredModel: name)
                }
            case .ours, .nobody, .anotherPair:
                work.conflicts.append(try takenName(name.rawValue, key, stamp.owner(idKey, of: found.tags), work.rules))
                continue
            }
            board.count { $0.registeredModels.adopted += 1 }
            try state.created(Identity(kind: .registeredModel, primaryID: record.name.rawValue, secondaryID: name.rawValue))
            return name
        }
        throw SetAside(
            reason: "name_taken",
            message:
                "model \"\(record.name)\": both that name and \"\(configuration.pair).\(record.name)\" belong to somebody else on the secondary"
        )
    }

    /// What is too long is told of when the fields are written.
    func fitting(_ tags: [Tag]) -> [Tag] {
        tags.filter { $0.value.unicodeScalars.count <= secondary.dialect.registryTagValueLength }
    }

    private func nameThere(_ name: String) -> ModelName { ModelName(secondary.dialect.modelNames?.fitting(name) ?? name) }

    /// By the configuration's map.
    private func renamed(_ model: ModelName) -> String { configuration.scope.renaming.model(model.rawValue) }

    private func modelTags(_ record: RegisteredModel, isForeign: Bool) -> [Tag] {
        // Whose it was comes before all that says it is ours.
        (isForeign ? [Tag(Stamp.adoptedKey, "true")] : []) + record.tags.filter { !$0.key.hasPrefix(Stamp.prefix) }
            + stamp.tags(.registeredModel(record.name)) + sealTags(of: record.name)
    }

    private func writeModelFields(
        _ record: RegisteredModel, _ actual: RegisteredModel, _ name: ModelName, _ work: inout RegistryWork
    ) async throws {
        let isForeign = work.isForeign
        let tags = TagPlan(
            modelTags(record, isForeign: isForeign), base: work.base, actual: actual.tags, key: work.key,
            maximumLength: secondary.dialect.registryTagValueLength,
            keepsForeign: isForeign, deletesUnknown: work.rules.repairs && !isForeign, inDoubt: work.inDoubt,
            rules: work.rules, fields: &work.fields)
        work.letters += tooLong(tags.tooLong.map { "tag:\($0)" }, of: work.key)
        work.conflicts += tags.conflicts
        try state.noteWrites(tags.set.map { .tag($0.key) }, of: work.key)
        for tag in tags.set { try await secondary.setTag(tag, ofRegisteredModel: name) }
        for tag in tags.delete { try await secondary.deleteTag(tag, ofRegisteredModel: name) }
        work.tags += tags.set.count
        work.wrote = work.wrote || !tags.set.isEmpty || !tags.delete.isEmpty
        if isTheirs("description", record.description, actual.description, work) {
            guard !record.description.isEmpty else { return }
            return work.conflicts.append(
                Conflict(
                    key: work.key, field: "description", kind: .description, decision: .secondary,
                    detail: "the secondary's own description was left as it is"))
        }
        if work.decide("description", .description, record.description, actual.description) {
            try state.noteWrites([Base.Field("description")], of: work.key)
            try await secondary.setDescription(record.description, ofRegisteredModel: name)
            work.wrote = true
        }
    }

    /// What somebody else's model said before ours came to it: we have never written it.
    private func isTheirs(_ name: String, _ desired: String, _ actual: String, _ work: RegistryWork) -> Bool {
        let field = Base.Field(name)
        return work.isForeign && !actual.isEmpty && actual != desired && work.base?[field] == nil && !work.inDoubt.contains(field.digest)
            && work.rules.resolutions[ExactName(name)] != .primary
    }
}
