import Hashing
import Logging

/// One file of a run or logged model.
extension Mirror {
    /// - Returns: false when the file was set aside.
    func copy(
        _ file: ArtifactEntry, _ owners: Owners, _ known: ManifestRow?, sizeThere: Int64?, _ key: EntityKey, _ conflicts: FileConflicts
    ) async throws -> Bool {
        do {
            // A server leaves the size out when it is zero, or when it does not know it: then the bytes are counted first.
            let size = if let size = file.size { size } else { try await length(file.path, owners.primary) }
            let isPresent = sizeThere == size || known?.size == size
            if isPresent, let content = try await unchanged(file.path, size, owners, known), conflicts.mayRest(file.path) {
                try state.note(ManifestRow(path: file.path, size: size, content: content, isSettled: owners.isSettled), of: key)
                return true
            }
            let asked = conflicts.asks(file.path)
            if let decision = asked {
                // What is there may be ours, although nobody lived to say so.
                let intent = FileConflicts.intent(file.path)
                let mayBeOurs = try conflicts.heedsDoubt && state.isInDoubt(intent, of: key)
                if !mayBeOurs, try await hasMoved(file, size, owners, known) {
                    conflicts.note(file.path, decision, Conflict.detail(ofEdit: decision))
                    return true
                }
                try state.noteWrites([intent], of: key)
            }
            // Whether somebody has changed a file there is told by the digest of the bytes that were written.
            let copied = asked == nil ? try await copyInStorage(file.path, size, owners, key) : nil
            let written = if let copied { copied } else { FileContent.sha256(try await transfer(file.path, size, owners)) }
            conflicts.overwrote(file.path)
            try state.note(ManifestRow(path: file.path, size: size, content: written, isSettled: owners.isSettled), of: key)
            board.count { counts in
                counts.files += 1
                counts.fileBytes += size
                if copied != nil { counts.copiedFileBytes += size }
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

    /// What the primary's file is known by, where it is still the one that was written; nil: it is another one, or nobody knows.
    private func unchanged(_ path: String, _ size: Int64, _ owners: Owners, _ known: ManifestRow?) async throws -> FileContent? {
        if let tag = known?.tag {
            // Its storage says so, without giving a byte.
            return try await primary.copySource(path, of: owners.primary)?.tag == tag ? .tag(tag) : nil
        }
        let here = try await digest(primary, path, owners.primary, size)
        let there = if let known { known.sha256 } else { try await digestThere(owners.there(path), owners, size) }
        return here == there ? .sha256(here) : nil
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

    /// Whether the secondary's file is another one than we left there, and than the primary's. Of one whose bytes nobody here has seen, the
    /// former is not known: it counts as changed.
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
            try await writing {
                try await secondary.writeArtifact(owners.there(path), size: size, to: owners.secondary, counted)
            }
            // A writer that knows the length may never ask for the end.
            try meter.finish(path, expected: size)
            return meter.digest()
        }
    }

    /// A file of this many bytes or fewer is here sooner than storage has been asked for it and has said what it did.
    private static var smallestCopied: Int64 { 4 << 20 }

    /// The secondary's storage fetches the file from the primary's; nil: the bytes are to be carried.
    private func copyInStorage(_ path: String, _ size: Int64, _ owners: Owners, _ key: EntityKey) async throws -> FileContent? {
        guard configuration.copiesInStorage, secondary.dialect.fetchesFiles, size > Self.smallestCopied,
            let source = try await primary.copySource(path, of: owners.primary), source.size == size
        else { return nil }
        let outcome = try await writing {
            try await secondary.copyArtifact(owners.there(path), to: owners.secondary, from: source) { board.beat() }
        }
        switch outcome {
        case .copied: return .tag(source.tag)
        case .notTried: return nil
        case .refused(let why):
            logger.event(.copyRefused, ["entity": "\(key)", "path": path, "detail": why])
            return nil
        }
    }

    private func writing<Answer>(_ write: () async throws -> Answer) async throws -> Answer {
        do { return try await write() } catch let error as StoreError where error.reason == .notFound {
            // Not the file has vanished, but the place it goes to.
            throw StoreError(.retry(after: nil), .serverFailure, error.message)
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
}
