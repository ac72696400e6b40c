import Hashing
import Logging

extension Mirror {
    /// Copies the files of a run or logged model that are not on the secondary yet.
    func applyArtifacts(_ entry: ChangeLogEntry) async throws {
        // What waited when the scope was another one.
        guard configuration.scope.artifacts else { return try acknowledge(Acknowledgement(entry: entry, keepsIntents: true)) }
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
                    if entry.key.kind == .runArtifacts, file.path.hasPrefix(Overflow.folder), secondary.dialect.runLimits != nil {
                        let counts = try setFileAside(
                            entry.key, file.path, "reserved_name",
                            "on the secondary this is the name of the document that holds what does not fit into the run. It was not copied.",
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

    private struct Owners: Sendable {
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
            guard let record = try await artifactRoot(ofRun: RunID(key.id)) else { return nil }
            if hasEdge, try identity.record == nil || mayHaveLeft(RunID(key.id)), let run = try await readRun(RunID(key.id)),
                try await !isInScope(run)
            {
                // That ends the watching of its files.
                if identity.record != nil { try append([.run(run.id)]) }
                return nil
            }
            let looksAtNames = configuration.rules.looksAtNames(of: .experiment) || modes.withLock { $0.ledger.hasSeals }
            if looksAtNames, let run = try await readRun(RunID(key.id)) {
                subject = .experiment(run.experiment)
            }
            here = ArtifactOwner(.run(RunID(key.id)), root: record)
        } else {
            guard let record = try await primary.loggedModel(LoggedModelID(key.id)) else { return nil }
            if hasEdge, try await !isInScope(record) { return nil }
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
        if isRun { try writeOverflowIfDue(of: RunID(key.id), identity.base) }
        if isRun, !secondary.dialect.hasLoggedModels {
            owners.modelFolders = try state.modelFolders(of: RunID(identity.secondaryID))
        }
        return owners
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
    private func setFileAside(
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
    private static func digest(of file: ArtifactEntry) -> SHA256Digest { .of("\(file.size ?? -1)".utf8) }

    // MARK: One file

    /// - Returns: false when the file was set aside.
    private func copy(
        _ file: ArtifactEntry, _ owners: Owners, _ known: ManifestRow?, sizeThere: Int64?, _ key: EntityKey, _ conflicts: FileConflicts
    ) async throws -> Bool {
        do {
            // A server leaves the size out when it is zero, or when it does not know it: then the bytes are counted first.
            let size = if let size = file.size { size } else { try await length(file.path, owners.primary) }
            let isPresent = sizeThere == size || known?.size == size
            if isPresent {
                let here = try await digest(primary, file.path, owners.primary, size)
                let there = if let known { known.sha256 } else { try await digestThere(owners.there(file.path), owners, size) }
                if here == there, conflicts.mayRest(file.path) {
                    try state.note(ManifestRow(path: file.path, size: size, sha256: here, isSettled: owners.isSettled), of: key)
                    return true
                }
            }
            if let decision = conflicts.asks(file.path) {
                // What is there may be ours, although nobody lived to say so.
                let intent = FileConflicts.intent(file.path)
                let mayBeOurs = try conflicts.heedsDoubt && state.isInDoubt(intent, of: key)
                if !mayBeOurs, try await hasMoved(file, size, owners, known) {
                    conflicts.note(file.path, decision, Conflict.detail(ofEdit: decision))
                    return true
                }
                try state.noteWrites([intent], of: key)
            }
            let written = try await transfer(file.path, size, owners)
            conflicts.overwrote(file.path)
            try state.note(ManifestRow(path: file.path, size: size, sha256: written, isSettled: owners.isSettled), of: key)
            board.count { counts in
                counts.files += 1
                counts.fileBytes += size
            }
            return true
        } catch let error as StoreError where error.reason == .notFound {
            // Listed a moment ago, gone now: the next look at its owner settles it. What is still listed is not gone.
            guard try await !isListed(file.path, owners.primary) else {
                throw StoreError(
                    .retry(after: nil), .serverFailure, "\(error.message); it is listed all the same", exchange: error.exchange)
            }
            logger.event(.fileVanished, ["entity": "\(key)", "path": "\(file.path)"])
            return true
        } catch let error as StoreError where error.decision == .setAside {
            // Refused for certain: whatever is there is not ours.
            if !error.isInDoubt { try state.forgetWrite(FileConflicts.intent(file.path), of: key) }
            return try !setFileAside(
                key, file.path, error.reason.rawValue, error.message, error.exchange, record: Self.digest(of: file))
        }
    }

    private func isListed(_ path: String, _ owner: ArtifactOwner) async throws -> Bool {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        var (token, seen): (PageToken?, Set<PageToken>) = (nil, [])
        do {
            repeat {
                let page = try await primary.artifacts(of: owner, under: folder, token)
                if page.elements.contains(where: { $0.path == path && !$0.isDirectory }) { return true }
                token = page.next
            } while token.map { seen.insert($0).inserted } ?? false
        } catch let error as StoreError where error.reason == .notFound {}
        return false
    }

    /// Whether the secondary's file is another one than we left there, and than the primary's.
    private func hasMoved(_ file: ArtifactEntry, _ size: Int64, _ owners: Owners, _ known: ManifestRow?) async throws -> Bool {
        guard let there = try await digestThere(owners.there(file.path), owners) else { return known != nil }
        if there == known?.sha256 { return false }
        return try await digest(primary, file.path, owners.primary, size) != there
    }

    /// Of a file of whatever size; nil when there is none.
    private func digestThere(_ path: String, _ owners: Owners) async throws -> SHA256Digest? {
        do {
            return try await secondary.readArtifact(path, of: owners.secondary) { source in
                let meter = Meter(board)
                while let chunk = try await source.next() { try meter.add(chunk, path, expected: .max) }
                return meter.digest()
            }
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        }
    }

    private func length(_ path: String, _ owner: ArtifactOwner) async throws -> Int64 {
        try await primary.readArtifact(path, of: owner) { source in
            var count: Int64 = 0
            while let chunk = try await source.next() { count += Int64(chunk.count) }
            return count
        }
    }

    private func transfer(_ path: String, _ size: Int64, _ owners: Owners) async throws -> SHA256Digest {
        try await primary.readArtifact(path, of: owners.primary) { source in
            let meter = Meter(board)
            let counted = ByteStream {
                guard let chunk = try await source.next() else {
                    try meter.finish(path, expected: size)
                    return nil
                }
                try meter.add(chunk, path, expected: size)
                return chunk
            }
            do {
                try await secondary.writeArtifact(owners.there(path), size: size, to: owners.secondary, counted)
            } catch let error as StoreError where error.reason == .notFound {
                // Not the file has vanished, but the place it goes to.
                throw StoreError(.retry(after: nil), .serverFailure, error.message)
            }
            // A writer that knows the length may never ask for the end.
            try meter.finish(path, expected: size)
            return meter.digest()
        }
    }

    /// Nil when the secondary has no such file after all.
    private func digestThere(_ path: String, _ owners: Owners, _ size: Int64) async throws -> SHA256Digest? {
        do { return try await digest(secondary, path, owners.secondary, size) } catch let error as StoreError
            where error.reason == .notFound
        { return nil }
    }

    func digest(_ store: some TrackingStore, _ path: String, _ owner: ArtifactOwner, _ size: Int64) async throws -> SHA256Digest {
        try await store.readArtifact(path, of: owner) { source in
            let meter = Meter(board)
            while let chunk = try await source.next() { try meter.add(chunk, path, expected: size) }
            try meter.finish(path, expected: size)
            return meter.digest()
        }
    }

    /// A logged model is ready once its files are there.
    private func finalize(_ id: LoggedModelID, _ owner: ArtifactOwner) async throws {
        guard case .loggedModel(let there) = owner.id, let record = try await primary.loggedModel(id),
            record.status == .ready || record.status == .uploadFailed, let actual = try await secondary.loggedModel(there),
            actual.status != record.status
        else { return }
        try await secondary.setStatus(record.status, ofLoggedModel: there)
    }
}
