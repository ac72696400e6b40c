/// Reads the metric histories of many runs with few requests, where the store can: one for each metric of a group of runs.
enum HistoryPrefetch {
    /// Requests under way at once.
    private static let concurrency = 4

    /// Cuts runs into groups whose histories probably fit into one bulk answer. The step of the latest point is a guess at a series' length.
    static func groups(_ runs: [Run], dialect: Dialect) -> [[Run]] {
        var groups: [[Run]] = []
        var group: [Run] = []
        var guesses: [String: Int64] = [:]
        let most = Int64(dialect.bulkHistoryPoints) * 8 / 10
        for run in runs {
            var next = guesses
            for metric in run.latestMetrics { next[metric.key, default: 0] += guess(metric) }
            let isFull = group.count >= max(1, min(dialect.bulkHistoryRuns, 64)) || next.values.contains { $0 > most }
            if isFull, !group.isEmpty {
                groups.append(group)
                group = []
                next = [:]
                for metric in run.latestMetrics { next[metric.key, default: 0] += guess(metric) }
            }
            guesses = next
            group.append(run)
        }
        if !group.isEmpty { groups.append(group) }
        return groups
    }

    private static func guess(_ metric: LatestMetric) -> Int64 { min(max(metric.point.step, 0), 1 << 40) + 1 }

    static func read<Store: TrackingStore>(
        _ group: [Run], from store: Store,
        _ retrying: @escaping @Sendable (@Sendable () async throws -> [RunID: [MetricPoint]]?) async throws -> [RunID: [MetricPoint]]?
    ) async throws -> [FreshRecords.FreshRun] {
        guard store.dialect.bulkHistoryRuns > 0, group.count > 1 else { return group.map { FreshRecords.FreshRun(run: $0) } }
        var runsByMetric: [String: [RunID]] = [:]
        for run in group { for metric in run.latestMetrics { runsByMetric[metric.key, default: []].append(run.id) } }
        // A metric of one run alone gains nothing; a series that fills the answer by itself would be cut.
        let wanted = runsByMetric.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }
        var histories: [RunID: [String: [MetricPoint]]] = [:]
        try await withThrowingTaskGroup(of: (String, [RunID: [MetricPoint]]?).self) { tasks in
            var rest = wanted.makeIterator()
            func start() -> Bool {
                guard let (metric, runs) = rest.next() else { return false }
                tasks.addTask { (metric, try await retrying { try await store.histories(of: runs, metric: metric) }) }
                return true
            }
            for _ in 0..<concurrency where !start() { break }
            while let (metric, found) = try await tasks.next() {
                for (run, points) in found ?? [:] { histories[run, default: [:]][metric] = points }
                _ = start()
            }
        }
        return group.map { FreshRecords.FreshRun(run: $0, histories: histories[$0.id] ?? [:]) }
    }
}
