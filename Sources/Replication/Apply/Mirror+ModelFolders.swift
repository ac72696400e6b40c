import FoundationEssentials
import Hashing

/// Logged models on a store that has none.
extension Mirror {
    private static var documentField: Base.Field { Base.Field("document") }

    /// What of these ids has a counterpart that is one of its kind.
    func counterparts(of found: References.Found) throws -> References.Map {
        var found = found
        if !secondary.dialect.hasLoggedModels { found.models = [] }
        return try state.counterparts(of: found)
    }

    /// Beginnings of what the mirror has put among a run's files.
    func added(toFilesOf owner: ArtifactOwner) throws -> [String] {
        guard case .run(let run) = owner.id else { return [] }
        var added: [String] = secondary.dialect.runLimits == nil ? [] : [Overflow.folder]
        if !secondary.dialect.hasLoggedModels { added += try state.modelFolders(of: run).map { $0 + "/" } }
        return added
    }

    // MARK: Ensuring

    /// The folder of a logged model: as its document says, where an earlier state file knew it, else a new one.
    func ensureModelFolder(_ record: LoggedModel, in experiment: ExperimentTarget, _ source: RunID?) async throws -> LoggedModelID {
        let key = EntityKey.loggedModel(record.id)
        let (run, root) = try await place(of: record, in: experiment, source)
        return try await locks.withLock(EntityKey(.run, "folders of " + run.rawValue)) {
            if let there = try state.secondaryID(.loggedModel, record.id.rawValue) { return LoggedModelID(there) }
            let owner = ArtifactOwner(.run(run), root: root)
            let noted = try await noted(folderOf: record.id, owner)
            var name = noted ?? ""
            if noted == nil {
                let taken = try state.modelFolders(of: run)
                name = try await ModelFolder.name(for: record) { name in
                    if taken.contains(name) { return true }
                    guard let source = record.sourceRun, let files = try await self.artifactRoot(ofRun: source) else { return false }
                    return try await primaryHasFiles(under: name, ArtifactOwner(.run(source), root: files))
                }
            }
            let folder = ModelFolder(run: run, root: root, name: name)
            try state.created(folder.identity(of: record.id), followUps: [key], at: clock.nowMilliseconds)
            board.count { counts in if noted == nil { counts.loggedModels.created += 1 } else { counts.loggedModels.adopted += 1 } }
            return LoggedModelID(folder.id)
        }
    }

    /// What an earlier state file knew of a logged model's place; nil when nothing is there.
    func findModelFolder(_ record: LoggedModel) async throws -> Identity? {
        var place: (run: RunID, root: String)?
        if let source = record.sourceRun {
            guard let run = try state.identity(.run, source.rawValue), let root = run.root else { return nil }
            place = (RunID(run.secondaryID), root)
        } else if let experiment = try state.secondaryID(.experiment, record.experiment.rawValue),
            let run = try await holder(of: record.id, in: ExperimentID(experiment))
        {
            place = (run.id, run.artifactURI)
        }
        guard let place, let name = try await noted(folderOf: record.id, ArtifactOwner(.run(place.run), root: place.root)) else {
            return nil
        }
        return ModelFolder(run: place.run, root: place.root, name: name).identity(of: record.id)
    }

    private func primaryHasFiles(under folder: String, _ owner: ArtifactOwner) async throws -> Bool {
        do { return try await !primary.artifacts(of: owner, under: folder, nil).elements.isEmpty } catch let error as StoreError
            where error.reason == .notFound || error.reason == .invalid
        { return false }
    }

    private func noted(folderOf model: LoggedModelID, _ owner: ArtifactOwner) async throws -> String? {
        guard let bytes = try await document(ModelFolder.documentPath(model), of: owner) else { return nil }
        return try? JSONDecoder().decode(NotedFolder.self, from: Data(bytes)).folder
    }

    private func document(_ path: String, of owner: ArtifactOwner) async throws -> [UInt8]? {
        do {
            return try await secondary.readArtifact(path, of: owner) { source in
                var bytes: [UInt8] = []
                while let chunk = try await source.next() { bytes += chunk }
                return bytes
            }
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        }
    }

    /// The run that is to hold a model: its own, or one made for it.
    private func place(of record: LoggedModel, in experiment: ExperimentTarget, _ source: RunID?) async throws -> (RunID, root: String) {
        if let source, let id = record.sourceRun, let root = try state.identity(.run, id.rawValue)?.root { return (source, root) }
        let key = EntityKey.loggedModel(record.id)
        return try await locks.withLock(EntityKey(.loggedModel, "holder of " + record.id.rawValue)) {
            let isInDoubt = try state.noteOrFind(Intent(key, .create))
            let look = { try await holder(of: record.id, in: experiment.secondary) }
            if let found = isInDoubt ? try await find(inDoubt: key, look) : try await look() { return (found.id, found.artifactURI) }
            let tags = stamp.tags(key) + [Tag(Stamp.holderKey, "true")]
            let new = NewRun(
                experiment: experiment.secondary, name: Overflow.fitting(name: "logged model \(record.name)", secondary.dialect.runLimits),
                userID: "", startTime: record.creationTime ?? 0, tags: tags)
            try await makeWritable(experiment)
            let made = try await sending(key) { try await secondary.createRun(new) }
            return (made.id, made.artifactURI)
        }
    }

    private func holder(of model: LoggedModelID, in experiment: ExperimentID) async throws -> Run? {
        let query = RunQuery(experiments: [experiment], tag: Tag(Stamp.idKey(.loggedModel), model.rawValue), pageSize: 10)
        return try await secondary.runs(query, nil).elements.first { run in
            run.tags.contains(Tag(Stamp.holderKey, "true"))
                && stamp.owner(Stamp.idKey(.loggedModel), of: run.tags) == .ours(id: model.rawValue)
        }
    }

    /// One that holds a model does nothing itself.
    private func endHolder(_ run: RunID, _ record: LoggedModel) async throws {
        guard let actual = try await secondary.run(run), actual.status == .running, actual.lifecycle == .active,
            actual.tags.contains(where: { $0.key == Stamp.holderKey })
        else { return }
        try await secondary.updateRun(run, status: .finished, endTime: record.creationTime ?? 0, name: nil)
    }

    // MARK: Writing

    func writeModelDocument(_ record: LoggedModel, _ entry: ChangeLogEntry, isBrought: Bool) async throws {
        guard let known = try state.identity(.loggedModel, record.id.rawValue), let folder = ModelFolder(known) else {
            throw Waits(key: entry.key)
        }
        let bytes = Array(ModelDocument(model: carried(record), folder: folder.name).text.utf8)
        let digest = FieldDigest(SHA256Digest.of(bytes).hex)
        let path = ModelFolder.documentPath(record.id)
        var wrote = false
        if known.base?[Self.documentField] != digest {
            let isThere = known.base == nil ? try await document(path, of: folder.owner) == bytes : false
            if !isThere {
                if var noted = known.base {
                    // Should this attempt not live, the next one must not take the document for what it was.
                    noted[Self.documentField] = nil
                    try state.save(noted, of: .loggedModel, record.id.rawValue)
                }
                try await secondary.writeArtifact(path, size: Int64(bytes.count), to: folder.owner, .once(bytes))
                wrote = true
            }
        }
        if record.sourceRun == nil, wrote { try await endHolder(folder.run, record) }
        if wrote, known.base == nil { note(conversions: ["logged_model_as_files: \(folder.id)"], of: entry.key) }
        var base = Base()
        base[Self.documentField] = digest
        if known.base?[.adopted] != nil || known.base == nil { base[.adopted] = FieldDigest("") }
        if isBrought { base[Self.broughtField] = FieldDigest("") }
        let identity = Identity(
            kind: .loggedModel, primaryID: record.id.rawValue, secondaryID: known.secondaryID, root: known.root,
            record: record.recordDigest, isSettled: record.status != .pending, base: base)
        let followUps = configuration.scope.artifacts ? [EntityKey(.loggedModelArtifacts, record.id.rawValue)] : []
        try acknowledge(
            Acknowledgement(
                entry: entry, identity: identity, followUps: followUps, watch: fileWatch(of: record),
                endsWatch: record.status != .pending ? fileWatchEnd : nil))
        let (isFirst, hasWritten) = (known.base == nil, wrote)
        board.count { counts in
            if isFirst { return }
            if hasWritten { counts.loggedModels.updated += 1 } else { counts.loggedModels.unchanged += 1 }
        }
    }

    /// Of the document that is there; nil when there is none.
    func modelDocument(_ model: LoggedModelID, _ folder: ModelFolder) async throws -> [UInt8]? {
        try await document(ModelFolder.documentPath(model), of: folder.owner)
    }
}

/// What a logged model's document says of its place.
private struct NotedFolder: Decodable { var folder: String }
