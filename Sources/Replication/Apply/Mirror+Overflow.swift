import Hashing

/// A run's overflow document.
extension Mirror {
    static var overflowField: Base.Field { Base.Field("overflow") }
    /// The document without its histories.
    private static var overflowRestField: Base.Field { Base.Field("overflow_rest") }
    /// Set while the document's histories are older than the run's record.
    private static var overflowDueField: Base.Field { Base.Field("overflow_due") }
    /// Bytes: a document up to this size is made once and held, a larger one is made twice.
    private static var largestHeld: Int { 8 << 20 }

    /// Writes a run's overflow document where it is not as it was last written. One that is no longer needed is left, empty: files of a run
    /// cannot be deleted.
    ///
    /// - Parameters:
    ///   - actual: the secondary's run, as it was before.
    ///   - known: forgets what was there before anything is written over it, here and in the state file.
    /// - Returns: false when its run is open and it was written a moment ago: it is, later.
    func writeOverflow(
        _ overflow: Overflow, of record: Run, _ target: RunTarget, _ actual: Run, _ known: inout Identity?, into base: inout Base
    ) async throws -> Bool {
        let field = Self.overflowField
        let before = known?.base?[field]
        let mayBeThere = before != nil || actual.tags.contains { $0.key == Overflow.markerKey }
        guard !overflow.isEmpty || mayBeThere else { return true }
        base[Self.overflowRestField] = try await restDigest(overflow, record.id)
        let isRestAsItWas = known?.base?[Self.overflowRestField] == base[Self.overflowRestField]
        if before != nil, isRestAsItWas, !overflow.metrics.isEmpty, isTooSoon(record) {
            base[field] = before
            base[Self.overflowDueField] = FieldDigest("")
            return false
        }
        let document = OverflowDocument(overflow: overflow, run: record.id)
        let made = try await make(document)
        base[field] = FieldDigest(made.digest.hex)
        guard before != base[field] else { return true }
        let owner = ArtifactOwner(.run(target.id), root: target.root)
        if before == nil, mayBeThere, try await documentDigest(Overflow.path, of: owner) == made.digest { return true }
        if before != nil, var noted = known?.base {
            noted[field] = nil
            try state.save(noted, of: .run, record.id.rawValue)
            known?.base = noted
        }
        if !overflow.isEmpty { note(conversions: ["overflow: \(overflow.summary)"], of: .run(record.id)) }
        base[field] = FieldDigest(try await write(made, document, to: owner).hex)
        overflowWrites.withLock { writes in
            if writes.count > 20_000 { writes = [:] }
            writes[record.id] = clock.nowMilliseconds
        }
        return true
    }

    /// Histories in the document are whole: of an open run they are not written anew for every point.
    private func isTooSoon(_ record: Run) -> Bool {
        guard configuration.filePause != nil, configuration.scope.artifacts, !record.status.isTerminal, record.lifecycle == .active else {
            return false
        }
        guard let last = overflowWrites.withLock({ $0[record.id] }) else { return false }
        return clock.nowMilliseconds - last < configuration.overflowPause
    }

    /// Of a document without histories.
    private func restDigest(_ overflow: Overflow, _ run: RunID) async throws -> FieldDigest {
        var rest = overflow
        rest.metrics = []
        return FieldDigest(try await make(OverflowDocument(overflow: rest, run: run)).digest.hex)
    }

    /// Told whenever an open run's files are looked at.
    func writeOverflowIfDue(of run: RunID, _ base: Base?) throws {
        guard base?[Self.overflowDueField] != nil,
            clock.nowMilliseconds - overflowWrites.withLock({ $0[run, default: 0] }) >= configuration.overflowPause
        else { return }
        try append([.run(run)])
    }

    // MARK: Making

    private struct Made: Sendable {
        var size: Int64
        var digest: SHA256Digest
        /// Nil when it is too large to be held.
        var bytes: [UInt8]?
        /// Of each history that is in it.
        var points: [String: Int]
    }

    private func make(_ document: OverflowDocument) async throws -> Made {
        let held = Locked<[UInt8]?>([])
        let size = Locked<Int64>(0)
        let meter = Meter(board)
        let points = Locked<[String: Int]>([:])
        try await document.write(history(of: document.run, points)) { piece in
            size.withLock { $0 += Int64(piece.count) }
            held.withLock { held in
                if let count = held?.count, count + piece.count <= Self.largestHeld { held? += piece } else { held = nil }
            }
            try meter.add(piece, Overflow.path, expected: .max)
        }
        return Made(size: size.withLock { $0 }, digest: meter.digest(), bytes: held.withLock { $0 }, points: points.withLock { $0 })
    }

    /// The digest of what the document would be now.
    func digest(of document: OverflowDocument) async throws -> SHA256Digest { try await make(document).digest }

    private func history(of run: RunID, _ counts: Locked<[String: Int]>) -> OverflowDocument.History {
        { [primary] metric, receive in
            do {
                try await primary.history(of: run, metric: metric) { points in
                    counts.withLock { $0[metric, default: 0] += points.count }
                    try await receive(points)
                }
            } catch let error as StoreError where error.reason == .notFound {}
        }
    }

    /// The same histories as far as they were: points come on meanwhile.
    private func history(of run: RunID, upTo counts: [String: Int]) -> OverflowDocument.History {
        { [primary] metric, receive in
            let rest = Locked(counts[metric, default: 0])
            do {
                try await primary.history(of: run, metric: metric) { points in
                    let count = rest.withLock { rest in
                        let count = min(rest, points.count)
                        rest -= count
                        return count
                    }
                    if count > 0 { try await receive(Array(points.prefix(count))) }
                }
            } catch let error as StoreError where error.reason == .notFound {}
        }
    }

    // MARK: Writing

    /// - Returns: the digest of what was written.
    private func write(_ made: Made, _ document: OverflowDocument, to owner: ArtifactOwner) async throws -> SHA256Digest {
        if let bytes = made.bytes {
            try await secondary.writeArtifact(Overflow.path, size: made.size, to: owner, .once(bytes))
            return made.digest
        }
        let history = history(of: document.run, upTo: made.points)
        let buffer = ReadAhead<[UInt8]>(capacity: 8)
        let meter = Meter(board)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // What ends too early is told by its size.
                defer { buffer.finish() }
                try await document.write(history) { piece in
                    try meter.add(piece, Overflow.path, expected: made.size)
                    try await buffer.send(piece)
                }
            }
            try await secondary.writeArtifact(Overflow.path, size: made.size, to: owner, ByteStream { try await buffer.next() })
            try await group.waitForAll()
        }
        return meter.digest()
    }

    /// Of a document that is there; nil when there is none.
    func documentDigest(_ path: String, of owner: ArtifactOwner) async throws -> SHA256Digest? {
        do {
            return try await secondary.readArtifact(path, of: owner) { source in
                let meter = Meter(board)
                while let chunk = try await source.next() { try meter.add(chunk, path, expected: .max) }
                return meter.digest()
            }
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        }
    }
}

extension ByteStream {
    /// These bytes in one piece.
    static func once(_ bytes: [UInt8]) -> ByteStream {
        let rest = Locked<[UInt8]?>(bytes.isEmpty ? nil : bytes)
        return ByteStream {
            rest.withLock { rest in
                defer { rest = nil }
                return rest
            }
        }
    }
}
