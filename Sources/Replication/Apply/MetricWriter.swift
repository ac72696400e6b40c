/// Carries one run's params, tags and metric histories across: what is new of each series, in batches, several at once.
struct MetricWriter<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let run: Run
    let target: RunID
    let gate: WriteGate
    /// As saved before this attempt.
    let saved: Base?
    /// Nothing is known of what the secondary has: it is asked, series by series.
    let asksSecondary: Bool

    /// Batches in flight for one run. An MLflow server on SQLite takes twice as much from two as from one, and less from four.
    private static var sendersPerRun: Int { 2 }
    /// Batches between two notes of how far a long run has come.
    private static var batchesPerNote: Int { 24 }
    /// Chunks of history read ahead of the batches being sent.
    private static var chunksAhead: Int { 32 }

    /// What has gathered to be sent, and how far each series is when it has been.
    private struct Round {
        var builder: BatchBuilder
        var full: [RunBatch] = []
        /// Points in the batches that have not been sent, and in those that have.
        var points = 0
        var written = 0
        var series: [FieldDigest: SeriesMark] = [:]
    }

    /// - Returns: how many points were written.
    func write(params: [Param], tags: [Tag], prefetched: [String: [MetricPoint]], into base: inout Base) async throws -> Int {
        var round = Round(builder: BatchBuilder(mirror.secondary.dialect), series: saved?.series ?? [:])
        for param in params { if let full = round.builder.add(param) { round.full.append(full) } }
        for tag in tags { if let full = round.builder.add(tag) { round.full.append(full) } }
        var inDoubt = asksSecondary
        if !mirror.secondary.dialect.metricsAreIdempotent, !run.latestMetrics.isEmpty {
            inDoubt = try mirror.state.noteOrFind(Intent(.run(run.id), .metrics)) || inDoubt
        }
        for metric in run.latestMetrics {
            let isWritten = inDoubt ? false : try await writeNew(metric, prefetched[metric.key], &round)
            if !isWritten { try await writeMissing(metric, prefetched[metric.key], &round) }
        }
        if let rest = round.builder.finish() { round.full.append(rest) }
        try await sendLast(round.full)
        base.series = round.series
        let points = round.points
        mirror.board.count { $0.metricPoints += points }
        return round.written + points
    }

    /// Writes what follows the points that are on the secondary already.
    ///
    /// - Returns: false when those are no longer the first ones: some arrived late, among or before them.
    private func writeNew(_ metric: LatestMetric, _ prefetched: [MetricPoint]?, _ round: inout Round) async throws -> Bool {
        let key = metric.key
        let name = FieldDigest(key)
        let mark = saved?.series[name] ?? .empty
        var now = SeriesMark.empty
        var isPrefix = mark.count == 0
        try await forEachChunk(metric, prefetched) { chunk in
            for point in chunk {
                if !isPrefix, now.count == mark.count {
                    guard now.hasSamePoints(as: mark) else { return .stop }
                    isPrefix = true
                }
                let before = now
                now.add(point)
                if now.count > mark.count { try await send(MetricRow(key: key, point: point), name, before, &round) }
            }
            return .goOn
        }
        if !isPrefix { isPrefix = now.hasSamePoints(as: mark) }
        if isPrefix { round.series[name] = now }
        return isPrefix
    }

    /// Compares with the secondary's own history and writes what it lacks.
    private func writeMissing(_ metric: LatestMetric, _ prefetched: [MetricPoint]?, _ round: inout Round) async throws {
        let key = metric.key
        let name = FieldDigest(key)
        round.series[name] = nil
        if let rest = round.builder.finish() { round.full.append(rest) }
        try await sendAll(round.full)
        round.full = []
        let there = Locked(PointBag())
        do {
            try await mirror.secondary.history(of: target, metric: key) { points in there.withLock { $0.add(points) } }
        } catch let error as StoreError where error.reason == .notFound {}
        var now = SeriesMark.empty
        try await forEachChunk(metric, prefetched) { chunk in
            for point in chunk {
                now.add(point)
                if there.withLock({ !$0.remove(point) }) { try await send(MetricRow(key: key, point: point), name, nil, &round) }
            }
            return .goOn
        }
        round.series[name] = now
    }

    /// A series in chunks: as read in bulk, or from the primary, read ahead while batches are sent.
    private func forEachChunk(
        _ metric: LatestMetric, _ prefetched: [MetricPoint]?, _ consume: ([MetricPoint]) async throws -> ReadAhead<[MetricPoint]>.Step
    ) async throws {
        if let prefetched {
            _ = try await consume(Self.latestFirst(prefetched, metric.point))
            return
        }
        let key = metric.key
        let primary = mirror.primary
        let id = run.id
        try await ReadAhead<[MetricPoint]>.run(
            capacity: Self.chunksAhead,
            produce: { buffer in
                do {
                    try await primary.history(of: id, metric: key) { try await buffer.send($0) }
                } catch let error as StoreError where error.reason == .notFound {
                    // Deleted while it is copied: the run's own record tells on the next reading.
                }
            },
            consume: { try await consume(Self.latestFirst($0, metric.point)) })
    }

    /// MLflow stores NaN as a zero with a mark, and of two points that rank alike keeps the one that came first as the latest: the
    /// primary's latest goes first here too.
    private static func latestFirst(_ points: [MetricPoint], _ latest: MetricPoint) -> [MetricPoint] {
        guard latest.value.isNaN || latest.value == 0 else { return points }
        let ties = points.indices.filter { index in
            let point = points[index]
            return point.step == latest.step && point.timestamp == latest.timestamp && (point.value.isNaN || point.value == 0)
        }
        guard ties.count == 2, points[ties[0]].value.isNaN != latest.value.isNaN else { return points }
        var reordered = points
        reordered.swapAt(ties[0], ties[1])
        return reordered
    }

    // MARK: Sending

    /// - Parameter before: how far the series was before this point; nil when its points are not written in order.
    private func send(_ row: MetricRow, _ name: FieldDigest, _ before: SeriesMark?, _ round: inout Round) async throws {
        let full = round.builder.add(row)
        round.points += 1
        guard let full else { return }
        round.full.append(full)
        guard round.full.count >= Self.batchesPerNote else { return }
        try await sendAll(round.full)
        round.full = []
        // Everything before this row is there now; this row opens the next batch.
        var reached = saved ?? Base()
        reached.series = round.series
        if let before { reached.series[name] = before.count == 0 ? nil : before }
        if mirror.secondary.dialect.metricsAreIdempotent { try mirror.state.save(reached, of: .run, run.id.rawValue) }
        let points = round.points
        mirror.board.count { $0.metricPoints += points }
        round.points = 0
        round.written += points
    }

    private func sendAll(_ batches: [RunBatch]) async throws {
        guard !batches.isEmpty else { return }
        try await gate.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            var remaining = batches.makeIterator()
            for _ in 0..<Self.sendersPerRun {
                guard let batch = remaining.next() else { break }
                group.addTask { try await mirror.secondary.logBatch(batch, toRun: target) }
            }
            while try await group.next() != nil {
                guard let batch = remaining.next() else { continue }
                group.addTask { try await mirror.secondary.logBatch(batch, toRun: target) }
            }
        }
    }

    /// The last batch goes alone: two at once could leave an older point as the latest.
    private func sendLast(_ batches: [RunBatch]) async throws {
        guard let last = batches.last else { return }
        try await sendAll(batches.dropLast())
        try await gate.open()
        try await mirror.secondary.logBatch(last, toRun: target)
    }
}
