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
}
