import Hashing

extension Mirror {
    private static var overflowField: Base.Field { Base.Field("overflow") }

    /// Writes a run's overflow document where it is not as it was last written. One that is no longer needed is left, empty: files of a run
    /// cannot be deleted.
    ///
    /// - Parameter actual: the secondary's run, as it was before.
    func writeOverflow(
        _ overflow: Overflow, of record: Run, _ target: RunTarget, _ actual: Run, _ known: Base?, into base: inout Base
    ) async throws {
        let field = Self.overflowField
        let mayBeThere = known?[field] != nil || actual.tags.contains { $0.key == Overflow.markerKey }
        guard !overflow.isEmpty || mayBeThere else { return }
        let document = OverflowDocument(overflow: overflow, run: record.id)
        let (size, digest) = try await measure(document)
        base[field] = FieldDigest(digest.hex)
        guard known?[field] != base[field] else { return }
        let owner = ArtifactOwner(.run(target.id), root: target.root)
        if known?[field] == nil, mayBeThere, try await overflowDigest(of: owner) == digest { return }
        if !overflow.isEmpty { note(conversions: ["overflow: \(overflow.summary)"], of: .run(record.id)) }
        let history = history(of: record.id)
        let buffer = ReadAhead<[UInt8]>(capacity: 8)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // What ends too early is told by its size.
                defer { buffer.finish() }
                try await document.write(history) { try await buffer.send($0) }
            }
            try await secondary.writeArtifact(Overflow.path, size: size, to: owner, ByteStream { try await buffer.next() })
            group.cancelAll()
        }
    }

    /// Of the document that is there; nil when there is none.
    func overflowDigest(of owner: ArtifactOwner) async throws -> SHA256Digest? {
        do {
            return try await secondary.readArtifact(Overflow.path, of: owner) { source in
                let meter = Meter()
                while let chunk = try await source.next() { try meter.add(chunk, Overflow.path, expected: .max) }
                return meter.digest()
            }
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        }
    }

    /// How long the document is, and its digest. Its points may be more than memory holds: it is made twice, and kept never.
    func measure(_ document: OverflowDocument) async throws -> (size: Int64, digest: SHA256Digest) {
        let size = Locked<Int64>(0)
        let meter = Meter()
        try await document.write(history(of: document.run)) { piece in
            size.withLock { $0 += Int64(piece.count) }
            try meter.add(piece, Overflow.path, expected: .max)
        }
        return (size.withLock { $0 }, meter.digest())
    }

    private func history(of run: RunID) -> OverflowDocument.History {
        { [primary] metric, receive in
            do { try await primary.history(of: run, metric: metric, receive) } catch let error as StoreError where error.reason == .notFound
            {}
        }
    }
}
