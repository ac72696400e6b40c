/// One history to be carried across.
struct ChangedSeries: Sendable {
    var key: String
    /// As the run's record shows it; nil when the record was not read.
    var latest: MetricPoint?
    /// The earliest timestamp of what is new, where the feed says it.
    var since: Int64?
    /// Read with many others already.
    var prefetched: [MetricPoint]?
}

/// Carries one run's params, tags and metric histories across: what is new of each series, in batches, several at once.
struct MetricWriter<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let run: RunID
    let target: RunID
    let gate: WriteGate
    /// As saved before this attempt.
    let saved: Base?
    /// Nothing is known of what the secondary has: it is asked, series by series.
    let asksSecondary: Bool

    /// Chunks of history read ahead of the batches being sent.
    private static var chunksAhead: Int { 32 }

    /// What has gathered to be sent, and how far each series is when it has been.
    private struct Round {
        var builder: BatchBuilder
        var sender: BatchSender<Primary, Secondary>
        var series: [FieldDigest: SeriesMark] = [:]
        /// For `RecentPoints`, once all this is acknowledged.
        var recent: [RecentPoints.Note] = []
    }

    struct Written: Sendable {
        var points = 0
        var recent: [RecentPoints.Note] = []
    }

    private var pointsKey: EntityKey { EntityKey(.run, "points of " + run.rawValue) }

    private typealias Group = BatchSender<Primary, Secondary>.Group

    func write(params: [Param], tags: [Tag], _ changed: [ChangedSeries], into base: inout Base) async throws -> Written {
        do {
            return try await writeAll(params: params, tags: tags, changed, into: &base)
        } catch {
            // More may have arrived, and been noted, than is remembered.
            mirror.recent.forget(run, changed.map(\.key))
            throw error
        }
    }

    private func writeAll(
        params: [Param], tags: [Tag], _ changed: [ChangedSeries], into base: inout Base
    ) async throws -> Written {
        var round = Round(
            builder: BatchBuilder(mirror.secondary.dialect),
            sender: BatchSender(mirror: mirror, run: run, target: target, gate: gate), series: saved?.series ?? [:])
        var inDoubt = asksSecondary
        if !mirror.secondary.dialect.metricsAreIdempotent, !changed.isEmpty {
            if try mirror.state.noteOrFind(Intent(.run(run), .metrics)) {
                inDoubt = true
                try await mirror.waitForLanding(of: pointsKey)
            }
        }
        do {
            try await writeRows(params: params, tags: tags, changed, asksSecondary: inDoubt, &round)
        } catch {
            // One batch was refused, or its answer lost; others may have been under way when they were given up.
            mirror.noteGivenUp(pointsKey)
            throw error
        }
        mirror.noteAnswered(pointsKey)
        base.series = round.series
        return Written(points: round.sender.points, recent: round.recent)
    }

    private func writeRows(
        params: [Param], tags: [Tag], _ changed: [ChangedSeries], asksSecondary asks: Bool, _ round: inout Round
    ) async throws {
        try await withThrowingTaskGroup(of: BatchSender<Primary, Secondary>.Sent.self) { group in
            for param in params { try await send(round.builder.add(param), &round, &group) }
            for tag in tags { try await send(round.builder.add(tag), &round, &group) }
            for series in changed {
                var isWritten = false
                if !asks {
                    isWritten = try await writeTail(series, &round, &group)
                    if !isWritten { isWritten = try await writeNew(series, &round, &group) }
                }
                if !isWritten { try await writeMissing(series, &round, &group) }
                if let latest = series.latest { round.series[FieldDigest(series.key)]?.latest = SeriesMark.digest(ofLatest: latest) }
            }
            try await round.sender.sendLast(round.builder.finish(), &group)
        }
    }

    // MARK: What is new of one series

    /// Reads only what is new, where the primary can give it.
    ///
    /// - Returns: false when it cannot, or when points may have arrived among those that were written before.
    private func writeTail(_ series: ChangedSeries, _ round: inout Round, _ group: inout Group) async throws -> Bool {
        guard series.prefetched == nil, !mirror.configuration.deep, let mark = saved?.series[FieldDigest(series.key)], mark.count > 0 else {
            return false
        }
        if let since = series.since, mirror.primary.dialect.readsHistorySince,
            try await writeSince(since, series, mark, &round, &group)
        {
            return true
        }
        return mirror.primary.dialect.readsHistoryFromPlace ? try await writeFromPlace(series, mark, &round, &group) : false
    }

    /// Everything from a timestamp on but what is known to have been written.
    private func writeSince(_ since: Int64, _ series: ChangedSeries, _ mark: SeriesMark, _ round: inout Round, _ group: inout Group)
        async throws -> Bool
    {
        let known: Set<RecentPoints.Key>
        if since > mark.last.timestamp {
            known = []
        } else if let recent = mirror.recent.points(of: run, series.key, since: since) {
            known = recent
        } else {
            return false
        }
        let found = Locked<[MetricPoint]>([])
        var now = mark
        let (primary, board) = (mirror.primary, mirror.board)
        let (id, key) = (run, series.key)
        try await primary.history(of: id, metric: key, since: since) { points in
            board.beat()
            found.withLock { $0 += points.filter { !known.contains(RecentPoints.Key($0)) } }
        }
        let new = found.withLock { $0 }
        now.latest = mark.latest(after: new)
        for point in new {
            let before = now
            now.add(point)
            try await send(MetricRow(key: key, point: point), FieldDigest(key), known.isEmpty ? before : nil, &round, &group)
        }
        round.series[FieldDigest(key)] = now
        round.recent.append(
            RecentPoints.Note(key: key, points: new, isCompleteFrom: mark.last.timestamp == .max ? .max : mark.last.timestamp + 1))
        return true
    }

    /// What follows the last point that was written, if that one still has its place: then nothing has come before it.
    ///
    /// Of points that rank alike (NaN and zero of one instant and step) either may come first, in one answer so and in the next otherwise:
    /// beside such a one a place proves nothing.
    private func writeFromPlace(_ series: ChangedSeries, _ mark: SeriesMark, _ round: inout Round, _ group: inout Group) async throws
        -> Bool
    {
        guard mark.count < 1 << 60 else { return false }
        let (primary, board) = (mirror.primary, mirror.board)
        let (id, key) = (run, series.key)
        let name = FieldDigest(key)
        var now = mark
        var isFirst = true
        var isInPlace = false
        let place = max(0, Int(mark.count) - 2)
        let isKnown = Locked(true)
        try await ReadAhead<[MetricPoint]>.run(
            capacity: Self.chunksAhead,
            produce: { buffer in
                let answered = try await primary.history(of: id, metric: key, fromPlace: place) { points in
                    board.beat()
                    try await buffer.send(points)
                }
                isKnown.withLock { $0 = answered }
            },
            consume: { points in
                var points = points[...]
                if isFirst {
                    isFirst = false
                    let lead = points.prefix(Int(mark.count) - place)
                    guard lead.count == Int(mark.count) - place, let last = lead.last, last.isSameInHistory(as: mark.last),
                        !lead.dropLast().contains(where: { $0.ranksAlike(mark.last) })
                    else { return .stop }
                    isInPlace = true
                    points = points.dropFirst(lead.count)
                }
                for point in points {
                    if now.count == mark.count, point.ranksAlike(mark.last) {
                        isInPlace = false
                        return .stop
                    }
                    let before = now
                    now.add(point)
                    try await send(MetricRow(key: key, point: point), name, before, &round, &group)
                }
                return .goOn
            })
        guard isInPlace, isKnown.withLock({ $0 }) else { return false }
        if now.count != mark.count { now.latest = nil }
        round.series[name] = now
        return true
    }

    /// Writes what follows the points that are on the secondary already.
    ///
    /// - Returns: false when those are no longer the first ones: some arrived late, among or before them.
    private func writeNew(_ metric: ChangedSeries, _ round: inout Round, _ group: inout Group) async throws -> Bool {
        let key = metric.key
        let name = FieldDigest(key)
        let mark = saved?.series[name] ?? .empty
        var now = SeriesMark.empty
        var isPrefix = mark.count == 0
        try await forEachChunk(metric) { chunk in
            for point in chunk {
                if !isPrefix, now.count == mark.count {
                    guard now.hasSamePoints(as: mark) else { return .stop }
                    isPrefix = true
                }
                let before = now
                now.add(point)
                if now.count > mark.count { try await send(MetricRow(key: key, point: point), name, before, &round, &group) }
            }
            return .goOn
        }
        if !isPrefix { isPrefix = now.hasSamePoints(as: mark) }
        if isPrefix { round.series[name] = now }
        return isPrefix
    }

    /// Compares with the secondary's own history and writes what it lacks.
    private func writeMissing(_ metric: ChangedSeries, _ round: inout Round, _ group: inout Group) async throws {
        let key = metric.key
        let name = FieldDigest(key)
        round.series[name] = nil
        try await send(round.builder.finish(), &round, &group)
        try await round.sender.drain(&group)
        let there = Locked(PointBag())
        do {
            let board = mirror.board
            try await mirror.secondary.history(of: target, metric: key) { points in
                board.beat()
                there.withLock { $0.add(points) }
            }
        } catch let error as StoreError where error.reason == .notFound {}
        var now = SeriesMark.empty
        try await forEachChunk(metric) { chunk in
            for point in chunk {
                now.add(point)
                if there.withLock({ !$0.remove(point) }) { try await send(MetricRow(key: key, point: point), name, nil, &round, &group) }
            }
            return .goOn
        }
        round.series[name] = now
    }

    /// A series in chunks: as read in bulk, or from the primary, read ahead while batches are sent.
    private func forEachChunk(
        _ metric: ChangedSeries, _ consume: ([MetricPoint]) async throws -> ReadAhead<[MetricPoint]>.Step
    ) async throws {
        if let prefetched = metric.prefetched {
            _ = try await consume(Self.latestFirst(prefetched, metric.latest))
            return
        }
        let key = metric.key
        let (primary, board) = (mirror.primary, mirror.board)
        let id = run
        try await ReadAhead<[MetricPoint]>.run(
            capacity: Self.chunksAhead,
            produce: { buffer in
                do {
                    try await primary.history(of: id, metric: key) { points in
                        board.beat()
                        try await buffer.send(points)
                    }
                } catch let error as StoreError where error.reason == .notFound {
                    // Deleted while it is copied: the run's own record tells on the next reading.
                }
            },
            consume: { try await consume(Self.latestFirst($0, metric.latest)) })
    }

    /// MLflow stores NaN as a zero with a mark, and of two points that rank alike keeps the one that came first as the latest: the
    /// primary's latest goes first here too.
    private static func latestFirst(_ points: [MetricPoint], _ latest: MetricPoint?) -> [MetricPoint] {
        guard let latest, latest.value.isNaN || latest.value == 0 else { return points }
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
    private func send(
        _ row: MetricRow, _ name: FieldDigest, _ before: SeriesMark?, _ round: inout Round, _ group: inout Group
    ) async throws {
        try await send(round.builder.add(row), opening: (name, before), &round, &group)
    }

    /// - Parameter opening: the history that the next batch goes on with.
    private func send(
        _ batch: RunBatch?, opening: (name: FieldDigest, before: SeriesMark?)? = nil, _ round: inout Round, _ group: inout Group
    ) async throws {
        guard let batch else { return }
        let (saved, series) = (saved ?? Base(), round.series)
        try await round.sender.send(batch, &group) {
            var reached = saved
            reached.series = series
            if let opening, let before = opening.before { reached.series[opening.name] = before.count == 0 ? nil : before }
            return reached
        }
    }
}
