import Replication

/// How fast things go, over the last seconds.
struct RateMeter: Sendable {
    struct Rates: Sendable, Hashable {
        var runs = 0.0
        var bytes = 0.0
        init() {}
    }

    private struct Sample: Sendable {
        var time: Double
        var snapshot: ProgressSnapshot
    }

    /// Seconds that a rate looks back.
    let span: Double
    private var samples: [Sample] = []

    init(span: Double) { self.span = span }

    mutating func add(_ snapshot: ProgressSnapshot, at time: Double) {
        samples.append(Sample(time: time, snapshot: snapshot))
        while samples.count > 2, time - samples[1].time >= span { samples.removeFirst() }
    }

    var rates: Rates {
        var rates = Rates()
        guard let first = samples.first, let last = samples.last, last.time > first.time else { return rates }
        let seconds = last.time - first.time
        rates.runs = Double(last.snapshot.counts.runs.seen - first.snapshot.counts.runs.seen) / seconds
        rates.bytes = Double(last.snapshot.counts.fileBytes - first.snapshot.counts.fileBytes) / seconds
        return rates
    }

    /// Seconds until everything is done at the present rate; nil while that cannot be said.
    var secondsLeft: Double? {
        // While runs are still being listed, those that need nothing pass at once: no measure of the others.
        guard let last = samples.last, let first = samples.first(where: \.snapshot.enumerationComplete), last.time > first.time else {
            return nil
        }
        let remaining = Self.remaining(last.snapshot)
        let rate = Double(Self.remaining(first.snapshot) - remaining) / (last.time - first.time)
        return remaining > 0 && rate > 0 ? Double(remaining) / rate : nil
    }

    /// Changes that wait, where they are counted; else runs.
    private static func remaining(_ snapshot: ProgressSnapshot) -> Int {
        snapshot.pending > 0 ? snapshot.pending : max(0, snapshot.runsTotal - snapshot.counts.runs.seen)
    }
}
