import Hashing
import Logging

extension Mirror {
    /// Copies the files of a run or logged model that are not on the secondary yet.
    func applyArtifacts(_ entry: ChangeLogEntry) async throws {
        // What waited when the scope was another one.
        guard configuration.scope.artifacts else {
            if try isBrought(entry.key.kind == .runArtifacts ? .run(RunID(entry.key.id)) : .loggedModel(LoggedModelID(entry.key.id))) {
                try leaveToWiderScopes()
            }
            return try acknowledge(Acknowledgement(entry: entry, keepsIntents: true))
        }
        try await holdIfPaused(filesOf: entry.key)
        guard let owners = try await artifactOwners(entry.key) else {
            return try acknowledge(Acknowledgement(entry: entry, keepsIntents: true))
        }
        try await locks.withLock(entry.key) {
            let leftOut = try state.questionFileLetters(of: entry.key)
            let manifest = try state.manifest(of: entry.key)
            let look = fileLook(entry, owners)
            let rules = try await rules(of: entry.key, in: owners.subject)
            let conflicts = FileConflicts(entry.key, rules, mayBeEdited: configuration.secondaryIsEdited)
            // Without a manifest, a run that was adopted may have its files already: the secondary is asked.
            let there =
                manifest.isEmpty && owners.mayHaveFiles
                ? try await secondary.listing(filesOf: owners.secondary, under: String(owners.folder.dropLast())) : [:]
            let (isWhole, kept) = try await withThrowingTaskGroup(of: FileOutcome.self) { group in
                var inFlight = 0
                var isWhole = true
                var kept: [ExactName: SHA256Digest] = [:]
                var failures: [StoreError] = []
                // What concerns one file alone does not hold up the others; several in a row say something of a store.
                func take(_ outcome: FileOutcome) throws {
                    switch outcome {
                    case .copied: break
                    case .setAside: isWhole = false
                    case .failed(let error):
                        failures.append(error)
                        if failures.count > Self.mostFailures { throw error }
                    }
                }
                try await primary.walk(filesOf: owners.primary) { file in
                    let name = ExactName(file.path)
                    if let known = leftOut[name], known.map({ $0 == ReplicationState.blob(Self.digest(of: file)) }) ?? true {
                        kept[name] = Self.digest(of: file)
                        return
                    }
                    if let content = owners.reservation(of: file.path) {
                        let counts = try setFileAside(
                            entry.key, file.path, "reserved_name",
                            "on the secondary this is the name of the document that holds \(content). It was not copied.",
                            record: Self.digest(of: file))
                        isWhole = isWhole && !counts
                        return
                    }
                    if conflicts.isTheirs(file.path) { return }
                    if let known = manifest[name], known.size == file.size ?? 0, !look.mustRead(known),
                        conflicts.mayRest(file.path)
                    {
                        return
                    }
                    if inFlight >= configuration.artifactWindow * 2 {
                        if let outcome = try await group.next() { try take(outcome) }
                        inFlight -= 1
                    }
                    inFlight += 1
                    let sizeThere = manifest[name] == nil ? there[ExactName(owners.there(file.path))] : nil
                    group.addTask {
                        try await filePermits.withPermit {
                            do {
                                return try await copy(file, owners, manifest[name], sizeThere: sizeThere, entry.key, conflicts)
                                    ? .copied : .setAside
                            } catch let error as StoreError where error.mayBeOfOneFile {
                                return .failed(error)
                            }
                        }
                    }
                } refused: { path, why in
                    let counts = try setFileAside(
                        entry.key, path, "refused_name", "its name is refused: \(why). Nothing was written for it.")
                    isWhole = isWhole && !counts
                }
                while let outcome = try await group.next() { try take(outcome) }
                if let error = failures.first { throw error }
                return (isWhole, kept)
            }
            try state.keepFileLetters(kept, of: entry.key)
            if isWhole, entry.key.kind == .loggedModelArtifacts { try await finalize(LoggedModelID(entry.key.id), owners.secondary) }
            try finish(entry, isWhole: isWhole, conflicts.all)
        }
    }

    private enum FileOutcome: Sendable {
        case copied, setAside
        case failed(StoreError)
    }
    private static var mostFailures: Int { 3 }

    /// A listing shows no times: another file of the same size is told by its bytes alone.
    private struct FileLook: Sendable {
        var isOwnerSettled: Bool
        var readsSmallFiles: Bool
        var isDeep: Bool

        func mustRead(_ known: ManifestRow) -> Bool {
            // A file of more than 16 MB is read again once, when its owner has ended.
            isDeep || isOwnerSettled && !known.isSettled || readsSmallFiles && known.size <= 16 << 20
        }
    }

    /// Small files are read again at most once a minute while their owner has not ended; when it has, or was deleted, and at the last look of all.
    private func fileLook(_ entry: ChangeLogEntry, _ owners: Owners) -> FileLook {
        var look = FileLook(isOwnerSettled: owners.isSettled, readsSmallFiles: false, isDeep: configuration.deep)
        guard configuration.filePause != nil else {
            look.isDeep = look.isDeep || !owners.isSettled
            return look
        }
        if owners.isSettled {
            look.readsSmallFiles = entry.extent == .whole
        } else if owners.isDeleted, entry.extent == .whole {
            // It may stay as it is for good: nothing else reads its large files again.
            look.isDeep = true
        } else {
            let now = clock.nowMilliseconds
            look.readsSmallFiles = readings.withLock { readings in
                guard now - readings[entry.key, default: 0] >= Self.millisecondsBetweenReadings else { return false }
                if readings.count > 20_000 { readings = [:] }
                readings[entry.key] = now
                return true
            }
        }
        return look
    }
    private static var millisecondsBetweenReadings: Int64 { 60_000 }

    struct Owners: Sendable {
        var primary: ArtifactOwner
        var secondary: ArtifactOwner
        /// Where they are on the secondary, with a slash at its end, when not at the root.
        var folder = ""
        /// Folders of a run's files that hold logged models there.
        var modelFolders: Set<String> = []
        var isSettled: Bool
        /// On the primary, whatever its status.
        var isDeleted: Bool
        var mayHaveFiles: Bool
        /// What the owner's rules are found by.
        var subject = RuleSubject.nameless
        var mayOverflow = false
        var hasUnknownFields = false

        /// What the mirror's own document of that name holds; nil: the name is free.
        func reservation(of path: String) -> String? {
            if mayOverflow, path.hasPrefix(Overflow.folder) { return "what does not fit into the run" }
            return hasUnknownFields && path == UnknownDocument.path ? "fields that nobody here knows (scope.unknown_fields)" : nil
        }

        func there(_ path: String) -> String { Overflow.place(of: folder + path, besides: folder.isEmpty ? modelFolders : []) }
    }

    private func artifactOwners(_ key: EntityKey) async throws -> Owners? {
        let isRun = key.kind == .runArtifacts
        guard let identity = try state.identity(isRun ? .run : .loggedModel, key.id), let root = identity.root else { return nil }
        let hasEdge = !configuration.scope.hasNoEdge && identity.base.map { $0[Self.broughtField] == nil } ?? false
        let here: ArtifactOwner
        var subject = RuleSubject.nameless
        if isRun {
            // Somebody deleted the copy, and that is respected: nothing is put into it.
            guard identity.base?[Self.historiesUnknownField] == nil else { return nil }
            guard let record = try await artifactRoot(ofRun: RunID(key.id)) else { return try endWatch(key) }
            if hasEdge, try identity.record == nil || mayHaveLeft(RunID(key.id)), let run = try await readRun(RunID(key.id)),
                try await !isInScope(run)
            {
                if identity.record != nil { try append([.run(run.id)]) }
                return try endWatch(key)
            }
            let looksAtNames = configuration.rules.looksAtNames(of: .experiment) || modes.withLock { $0.ledger.hasSeals }
            if looksAtNames, let run = try await readRun(RunID(key.id)) {
                subject = .experiment(run.experiment)
            }
            here = ArtifactOwner(.run(RunID(key.id)), root: record)
        } else {
            guard let record = try await primary.loggedModel(LoggedModelID(key.id)) else { return try endWatch(key) }
            if hasEdge, try await !isInScope(record) {
                if identity.record != nil { try append([.loggedModel(record.id)]) }
                return try endWatch(key)
            }
            here = ArtifactOwner(.loggedModel(record.id), root: record.artifactURI)
            subject = .experiment(record.experiment)
        }
        if !isRun, let place = ModelFolder(identity) {
            var owners = Owners(
                primary: here, secondary: place.owner, isSettled: identity.isSettled, isDeleted: false,
                mayHaveFiles: configuration.repairs || identity.base?[.adopted] != nil)
            owners.folder = place.name + "/"
            owners.subject = subject
            return owners
        }
        let there: ArtifactOwner.ID = isRun ? .run(RunID(identity.secondaryID)) : .loggedModel(LoggedModelID(identity.secondaryID))
        var owners = Owners(
            primary: here, secondary: ArtifactOwner(there, root: root), isSettled: identity.isSettled,
            isDeleted: identity.base?[Self.lifecycleField] == FieldDigest(Lifecycle.deleted.rawValue),
            mayHaveFiles: configuration.repairs || identity.base?[.adopted] != nil)
        owners.subject = subject
        owners.mayOverflow = isRun && secondary.dialect.runLimits != nil
        owners.hasUnknownFields = configuration.scope.carriesUnknownFields || identity.base?[.unknown] != nil
        if isRun { try writeOverflowIfDue(of: RunID(key.id), identity.base) }
        if isRun, !secondary.dialect.hasLoggedModels {
            owners.modelFolders = try state.modelFolders(of: RunID(identity.secondaryID))
        }
        return owners
    }

    /// What is out of scope, or gone, has no end that would be seen.
    private func endWatch(_ key: EntityKey) throws -> Owners? {
        try state.endWatch(key, at: clock.nowMilliseconds)
        return nil
    }

    /// Reading a run only for its root would be a request a run: the last reading is remembered for a while.
    func artifactRoot(ofRun id: RunID) async throws -> String? {
        if let root = fresh.root(of: id) { return root }
        return try await primary.run(id)?.artifactURI
    }

    private func finish(_ entry: ChangeLogEntry, isWhole: Bool, _ conflicts: [Conflict]) throws {
        guard !isWhole else { return try acknowledge(Acknowledgement(entry: entry, conflicts: conflicts, hasAllConflicts: true)) }
        if !conflicts.isEmpty { try acknowledge(Acknowledgement(conflicts: conflicts)) }
        let letter = DeadLetter(
            key: entry.key, reason: ReplicationState.incomplete,
            message: "\(entry.key): some files could not be copied; each has its own letter")
        try state.setAside(letter, entry: entry, endsLook: true, at: clock.nowMilliseconds)
    }

    /// - Returns: false when it is left out by decision.
    func setFileAside(
        _ owner: EntityKey, _ path: String, _ reason: String, _ message: String, _ exchange: StoreExchange? = nil,
        record: SHA256Digest? = nil
    ) throws -> Bool {
        let letter = DeadLetter(
            key: owner, path: path, reason: reason, message: "file \"\(path)\" of \(owner): \(message)", exchange: exchange, record: record)
        let note = try state.setAside(letter, entry: nil, at: clock.nowMilliseconds)
        tell(letter, note)
        return !note.isDiscarded
    }

    /// All that a listing tells of a file.
    static func digest(of file: ArtifactEntry) -> SHA256Digest { .of("\(file.size ?? -1)".utf8) }

    /// A logged model is ready once its files are there.
    private func finalize(_ id: LoggedModelID, _ owner: ArtifactOwner) async throws {
        guard case .loggedModel(let there) = owner.id, let record = try await primary.loggedModel(id),
            record.status == .ready || record.status == .uploadFailed, let actual = try await secondary.loggedModel(there),
            actual.status != record.status
        else { return }
        try await secondary.setStatus(record.status, ofLoggedModel: there)
    }
}
