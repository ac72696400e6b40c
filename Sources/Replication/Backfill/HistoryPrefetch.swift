/// Reads the metric histories of many runs with few requests, where the store can: one for each run, or for each metric of a group of runs.
enum HistoryPrefetch {
    /// Requests under way at once.
    private static let concurrency = 4
    /// Runs of the very first group, so that writing begins soon, and of the largest.
    private static let sizes = (first: 2, most: 64)

    /// Cuts runs into groups whose histories probably fit into one bulk answer. The step of the latest point is a guess at a series' length.
    ///
    /// - Parameter startsSmall: the groups grow from a few runs to the largest size.
    static func groups(_ runs: [Run], dialect: Dialect, startsSmall: Bool) -> [[Run]] {
        var groups: [[Run]] = []
        var group: [Run] = []
        var guesses: [FieldDigest: Int64] = [:]
        let most = most(dialect)
        var size = startsSmall ? sizes.first : sizes.most
        for run in runs {
            var next = guesses
            for metric in run.latestMetrics { next[FieldDigest(metric.key), default: 0] += guess(metric) }
            let isFull = group.count >= max(1, min(dialect.bulkHistoryRuns, size)) || next.values.contains { $0 > most }
            if isFull, !group.isEmpty {
                groups.append(group)
                size = min(size * 2, sizes.most)
                group = []
                next = [:]
                for metric in run.latestMetrics { next[FieldDigest(metric.key), default: 0] += guess(metric) }
            }
            guesses = next
            group.append(run)
        }
        if !group.isEmpty { groups.append(group) }
        return groups
    }

    /// Most points of one group that are read ahead.
    private static var pointsOfOneGroup: Int64 { 200_000 }
    private static func most(_ dialect: Dialect) -> Int64 { Int64(dialect.bulkHistoryPoints) * 8 / 10 }
    private static func guess(_ metric: LatestMetric) -> Int64 { min(max(metric.point.step, 0), 1 << 40) + 1 }

    /// - Returns: one for each run; nil for one that cannot be read by itself, which its own turn tells of.
    static func read<Store: TrackingStore>(
        _ group: [Run], from store: Store, asksForInputs: Bool,
        _ reading: Retrying
    ) async throws -> [FreshRecords.FreshRun?] {
        async let complete = asksForInputs ? withModelInputs(group, from: store, reading) : group
        let histories = try await histories(of: group, from: store, reading)
        return try await complete.map { run in run.map { FreshRecords.FreshRun(run: $0, histories: histories[$0.id] ?? [:]) } }
    }

    private static func histories<Store: TrackingStore>(
        of group: [Run], from store: Store, _ reading: Retrying
    ) async throws -> [RunID: [FieldDigest: [MetricPoint]]] {
        if store.dialect.readsWholeRuns { return try await wholeRuns(group, from: store, reading) }
        guard store.dialect.bulkHistoryRuns > 0 else { return [:] }
        var runsByMetric: [FieldDigest: (metric: String, runs: [RunID])] = [:]
        // What is read ahead lies in memory, and a series that fills an answer by itself would be cut: the rest is read when its turn comes.
        var room = pointsOfOneGroup
        for run in group {
            for metric in run.latestMetrics where guess(metric) <= min(most(store.dialect), room) {
                room -= guess(metric)
                runsByMetric[FieldDigest(metric.key), default: (metric.key, [])].runs.append(run.id)
            }
        }
        let wanted = runsByMetric.values.sorted { $0.metric < $1.metric }
        var histories: [RunID: [FieldDigest: [MetricPoint]]] = [:]
        try await withThrowingTaskGroup(of: (String, [RunID: [MetricPoint]]?).self) { tasks in
            var rest = wanted.makeIterator()
            func start() -> Bool {
                guard let (metric, runs) = rest.next() else { return false }
                tasks.addTask {
                    do {
                        return (metric, try await reading { try await store.histories(of: runs, metric: metric) })
                    } catch let error as StoreError where error.decision == .setAside || error.reason == .serverFailure {
                        // Each run asks by itself then, and fails alone if it must.
                        return (metric, nil)
                    }
                }
                return true
            }
            for _ in 0..<concurrency where !start() { break }
            while let (metric, found) = try await tasks.next() {
                for (run, points) in found ?? [:] { histories[run, default: [:]][FieldDigest(metric)] = points }
                _ = start()
            }
        }
        return histories
    }

    /// Most points of one run that are read before they are asked for.
    static let pointsOfOneRun = 20_000

    /// Histories that come by another way than the record may lag behind it: those are left out, and read as any other.
    static func whole(_ run: Run, _ histories: [FieldDigest: [MetricPoint]]?) -> [FieldDigest: [MetricPoint]] {
        guard let histories else { return [:] }
        let pairs: [(FieldDigest, [MetricPoint])] = run.latestMetrics.compactMap { metric in
            let name = FieldDigest(metric.key)
            return histories[name].flatMap { $0.shows(metric.point) ? (name, $0) : nil }
        }
        return Dictionary(pairs) { first, _ in first }
    }

    private static func wholeRuns<Store: TrackingStore>(
        _ group: [Run], from store: Store, _ reading: Retrying
    ) async throws -> [RunID: [FieldDigest: [MetricPoint]]] {
        var histories: [RunID: [FieldDigest: [MetricPoint]]] = [:]
        for run in group where !run.latestMetrics.isEmpty {
            do {
                histories[run.id] = whole(run, try await reading { try await store.histories(of: run.id, limit: pointsOfOneRun) })
            } catch let error as StoreError where error.decision == .setAside {
                // Deleted or closed since it was listed, and nobody else's business.
            }
        }
        return histories
    }

    /// The runs again, each by itself: a listing does not show everything.
    private static func withModelInputs<Store: TrackingStore>(_ group: [Run], from store: Store, _ reading: Retrying) async throws -> [Run?]
    {
        try await withThrowingTaskGroup(of: (Int, Run?).self) { tasks in
            var runs: [Run?] = group
            var next = 0
            func start() {
                guard next < group.count else { return }
                let at = next
                let id = group[at].id
                next += 1
                tasks.addTask {
                    do { return (at, try await reading { try await store.run(id) }) } catch let error as StoreError
                        where error.decision == .setAside
                    {
                        return (at, nil)
                    }
                }
            }
            for _ in 0..<concurrency { start() }
            while let (at, run) = try await tasks.next() {
                if let run { runs[at]?.modelInputs = run.modelInputs } else { runs[at] = nil }
                start()
            }
            return runs
        }
    }
}
