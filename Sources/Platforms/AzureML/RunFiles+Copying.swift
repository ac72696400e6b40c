import Curl
import Replication

extension RunFiles {
    /// Bytes of a block that storage fetches: every version of its interface takes 100 MiB, and one that fails costs no more than this.
    static let copiedBlock: Int64 = 64 << 20
    private static let blocksAtOnce = 4
    /// Fewer than for a block that is sent: the file has another way.
    private static let attemptsOfCopy = 5

    /// Storage fetches the blocks from the other account by itself. What was fetched and not committed is no file.
    func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy {
        try check(path, owner)
        let place = try place(owner)
        let subject = "copying file \(path) of \(owner)"
        defer { listings.forget(place.path) }
        let (url, isNew) = try await target(path, place, owner, subject)
        let accounts = CopyBreaker.Accounts(
            from: TrackingURI.authority(of: source.address), to: TrackingURI.authority(of: url))
        func refused(_ outcome: ArtifactCopy) async -> ArtifactCopy {
            // It was given for a path that is declared once: who writes the bytes needs it.
            if isNew { await declarations.giveBack(url, of: path, place.path) }
            return outcome
        }
        guard !breaker.isOpen(accounts, now: BearerTokens.continuousSeconds()) else { return await refused(.notTried) }
        let ends = CopyEnds(source: source.address, target: url)
        let ids: [String]
        do {
            ids = try await copyBlocks(path, place, source, ends, subject, progress)
        } catch let refusal as BlobStore.CopyRefusal {
            if !refusal.isOfFile { breaker.open(accounts, now: BearerTokens.continuousSeconds()) }
            return await refused(.refused(refusal.message))
        } catch let error as StoreError {
            return await refused(.refused(error.message))
        }
        try await commit(path, place, ends.target, ids, md5: source.md5, isNew: isNew, subject)
        guard try await size(path, place, owner) == source.size else {
            throw history.failure.truncated(
                MLflowCall(method: .head, path: "a blob", subject: subject, isWrite: true),
                "what storage fetched has another size than the \(source.size) bytes it was to fetch")
        }
        return .copied
    }

    private func copyBlocks(
        _ path: String, _ place: Place, _ source: ArtifactCopySource, _ ends: CopyEnds, _ subject: String,
        _ progress: @escaping @Sendable () -> Void
    ) async throws -> [String] {
        let length = max(Self.copiedBlock, (source.size + Self.mostBlocks - 1) / Self.mostBlocks)
        let count = Int((source.size + length - 1) / length)
        try await withThrowingTaskGroup(of: Void.self) { group in
            var rest = Array(0..<count)[...]
            func addNext() {
                guard let number = rest.popFirst() else { return }
                let start = Int64(number) * length
                let range = start..<min(source.size, start + length)
                group.addTask {
                    // Of a part nobody knows it.
                    let md5 = count == 1 ? source.md5 : nil
                    try await copyBlock(Self.blockID(number), range, md5, path, place, source, ends, subject)
                    progress()
                }
            }
            for _ in 0..<Self.blocksAtOnce { addNext() }
            while try await group.next() != nil { addNext() }
        }
        return (0..<count).map { Self.blockID($0) }
    }

    /// An address that has ended is replaced once.
    private func copyBlock(
        _ id: String, _ range: Range<Int64>, _ md5: String?, _ path: String, _ place: Place, _ source: ArtifactCopySource, _ ends: CopyEnds,
        _ subject: String
    ) async throws {
        var attempt = 1
        var isRenewed = false
        while true {
            let (from, to) = await ends.addresses
            do {
                return try await blobs.copyBlock(to, id, from: from, range, tag: source.tag, md5: md5, of: subject)
            } catch let refusal as BlobStore.CopyRefusal where refusal.isOfAuthority && !isRenewed {
                isRenewed = true
                if refusal.isOfSource {
                    guard try await ends.replaceSource(from, by: source.renew) else { throw refusal }
                } else {
                    try await ends.replaceTarget(to) { try await writeAddress(path, place, subject) }
                }
            } catch let error as StoreError where error.isRetriable && attempt < Self.attemptsOfCopy {
                try await Self.rest(attempt, error)
                attempt += 1
            }
        }
    }
}

/// The addresses of a copy's two ends: one that has ended is replaced for all blocks.
private actor CopyEnds {
    private(set) var source: String
    private(set) var target: String

    init(source: String, target: String) {
        self.source = source
        self.target = target
    }

    var addresses: (source: String, target: String) { (source, target) }

    /// - Parameter used: nothing is done where it is no longer the present one.
    /// - Returns: false where there is no other.
    func replaceSource(_ used: String, by renew: @Sendable () async throws -> String?) async throws -> Bool {
        guard used == source else { return true }
        guard let fresh = try await renew() else { return false }
        source = fresh
        return true
    }

    func replaceTarget(_ used: String, by renew: @Sendable () async throws -> String) async throws {
        guard used == target else { return }
        target = try await renew()
    }
}
