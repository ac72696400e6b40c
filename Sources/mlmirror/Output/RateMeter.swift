import Replication

/// How fast things go, over the last seconds.
struct RateMeter: Sendable {
    struct Rates: Sendable, Hashable {
        var runs = 0.0
        var bytes = 0.0
        /// How fast the change log shrinks.
        var pending = 0.0
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
        if first.snapshot.enumerationComplete { rates.pending = Double(first.snapshot.pending - last.snapshot.pending) / seconds }
        return rates
    }

    /// Seconds until the change log is empty at the present rate; nil while that cannot be said.
    var secondsLeft: Double? {
        guard let last = samples.last?.snapshot, last.enumerationComplete, last.pending > 0 else { return nil }
        let rate = rates.pending
        return rate > 0 ? Double(last.pending) / rate : nil
    }
}
