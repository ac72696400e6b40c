public import Replication

/// What triggers in a store's database would note of each write: every row that is another than before.
extension FakeStore {
    /// From now on every write is noted.
    public func beginJournal() { state.withLock { $0.journal = [] } }

    /// Whether a file was written anew, with other bytes.
    public var hasReplacedFiles: Bool { state.withLock { $0.hasReplacedFiles } }

    public var journalEnd: Int { state.withLock { $0.journal?.count ?? 0 } }

    /// What was noted from a place on.
    public func journal(from place: Int) -> [Change] { state.withLock { Array(($0.journal ?? []).dropFirst(place)) } }
}

extension FakeStore.State {
    mutating func note(changesSince before: FakeStore.State) {
        var changes: [Change] = []
        for (id, record) in runs {
            let old = before.runs[id]
            guard record.run == old?.run else {
                changes.append(Change(.run(id), onlyPoints(record, old) ? .points : .whole, series: series(record, old)))
                continue
            }
            let grown = series(record, old)
            if !grown.isEmpty { changes.append(Change(.run(id), .points, series: grown)) }
        }
        changes += before.runs.keys.filter { runs[$0] == nil }.map { Change(.run($0)) }
        changes += experiments.keys.filter { experiments[$0] != before.experiments[$0] }.map { Change(.experiment($0)) }
        changes += loggedModels.keys.filter {
            loggedModels[$0] != before.loggedModels[$0] || deletedLoggedModels.contains($0) != before.deletedLoggedModels.contains($0)
        }.map { Change(.loggedModel($0)) }
        let names = Set(registered.keys).union(before.registered.keys)
        changes += names.filter { registered[$0] != before.registered[$0] }.map { Change(.registeredModel($0)) }
        journal?.append(contentsOf: changes.sorted { "\($0.key)" < "\($1.key)" })
    }

    /// Nothing but its latest points is another.
    private func onlyPoints(_ record: FakeStore.RunRecord, _ old: FakeStore.RunRecord?) -> Bool {
        guard var run = old?.run else { return false }
        run.latestMetrics = record.run.latestMetrics
        return run == record.run
    }

    private func series(_ record: FakeStore.RunRecord, _ old: FakeStore.RunRecord?) -> [ExactName: Int64] {
        var series: [ExactName: Int64] = [:]
        for (metric, points) in record.history {
            let new = points.subtracting(old?.history[metric] ?? [])
            if let since = new.map(\.timestamp).min() { series[ExactName(metric)] = since }
        }
        return series
    }
}
