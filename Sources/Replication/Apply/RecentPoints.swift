/// The points of live series that were written a moment ago: a feed that names the earliest new timestamp may name one that reaches back a
/// little, and what was written already is then told from what is new without asking anyone.
///
/// Bounded; what is not here is read in another way.
final class RecentPoints: Sendable {
    /// A point as it is compared: NaN is equal to itself.
    struct Key: Hashable, Sendable {
        private let timestamp: Int64
        private let step: Int64
        private let value: UInt64
        init(_ point: MetricPoint) {
            timestamp = point.timestamp
            step = point.step
            value = point.value.isNaN ? 0x7ff8_0000_0000_0000 : (point.value == 0 ? 0 : point.value.bitPattern)
        }
    }
    struct Note: Sendable {
        var key: String
        var points: [MetricPoint]
        /// These and those noted before are all the points with timestamps from here on.
        var isCompleteFrom: Int64
    }
    private struct Series {
        var points: [MetricPoint] = []
        var from: Int64
    }
    private let state = Locked<[RunID: [FieldDigest: Series]]>([:])
    private static let pointsPerSeries = 512
    private static let runs = 1000

    func note(_ notes: [Note], of run: RunID) {
        guard !notes.isEmpty else { return }
        state.withLock { runs in
            if runs[run] == nil, runs.count >= Self.runs { runs = [:] }
            for note in notes {
                var series = runs[run]?[FieldDigest(note.key)] ?? Series(from: note.isCompleteFrom)
                series.points += note.points
                if series.points.count > Self.pointsPerSeries {
                    series.points.sort { $0.timestamp < $1.timestamp }
                    series.points.removeFirst(series.points.count - Self.pointsPerSeries / 2)
                    // Others of the same instant may be among those that were dropped.
                    series.from = (series.points.first?.timestamp ?? 0) + 1
                }
                runs[run, default: [:]][FieldDigest(note.key)] = series
            }
        }
    }

    /// Every written point from a timestamp on; nil when that is not known.
    func points(of run: RunID, _ metric: String, since: Int64) -> Set<Key>? {
        state.withLock { runs in
            guard let series = runs[run]?[FieldDigest(metric)], series.from <= since else { return nil }
            return Set(series.points.lazy.filter { $0.timestamp >= since }.map { Key($0) })
        }
    }

    /// After a series was written in another way, what is known of it is no longer all.
    func forget(_ run: RunID, _ metrics: some Sequence<String>) {
        state.withLock { runs in
            for metric in metrics { runs[run]?[FieldDigest(metric)] = nil }
        }
    }
}
