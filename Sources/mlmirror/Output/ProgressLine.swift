import Replication

/// One line that says how far the work is.
struct ProgressLine: Sendable {
    var snapshot: ProgressSnapshot
    var rates: RateMeter.Rates
    var secondsLeft: Double?

    /// For a file: everything, in words.
    var plain: String { "\(phase): \(parts.map(\.text).joined(separator: ", "))" }

    /// For an event.
    var fields: [String: String] {
        let counts = snapshot.counts
        var fields: [String: String] = [
            "phase": "\(snapshot.phase)", "runs": "\(counts.runs.seen)", "runs_total": "\(max(snapshot.runsTotal, counts.runs.seen))",
            "metric_points": "\(counts.metricPoints)", "file_bytes": "\(counts.fileBytes)", "dead_letters": "\(counts.deadLetters)",
        ]
        if let secondsLeft { fields["seconds_left"] = "\(Int(secondsLeft.rounded(.up)))" }
        return fields
    }

    /// For a terminal: a bar and as much of the rest as fits. Never longer than `width`.
    func bar(width: Int) -> String {
        var shown = parts
        while length(shown) + (fraction == nil ? 0 : 13) > width, let least = shown.map(\.weight).max(), shown.count > 1 {
            shown.removeAll { $0.weight == least }
        }
        let room = width - length(shown) - 3
        let drawn = fraction.flatMap { room >= 10 ? " " + Self.bar($0, width: min(30, room)) : nil } ?? ""
        return "\(phase)\(drawn)\(shown.map { "  \($0.text)" }.joined())".shortened(to: width)
    }

    private struct Part {
        var text: String
        /// The heaviest goes first where room is short.
        var weight: Int
    }

    private var phase: String { snapshot.phase.printable }

    /// Done of what there is; nil while it is still being counted.
    private var fraction: Double? {
        guard snapshot.enumerationComplete, snapshot.runsTotal > 0 else { return nil }
        return min(1, Double(snapshot.counts.runs.seen) / Double(snapshot.runsTotal))
    }

    private var parts: [Part] {
        let counts = snapshot.counts
        let total = Quantity.count(max(snapshot.runsTotal, counts.runs.seen)) + (snapshot.enumerationComplete ? "" : "+")
        var parts = [Part(text: "\(Quantity.count(counts.runs.seen))/\(total) runs", weight: 0)]
        parts.append(Part(text: Quantity.count(counts.metricPoints, "point"), weight: 4))
        parts.append(Part(text: "\(Quantity.count(counts.files, "file")) (\(Quantity.bytes(counts.fileBytes)))", weight: 3))
        if counts.deadLetters > 0 { parts.append(Part(text: "\(Quantity.count(counts.deadLetters)) set aside", weight: 2)) }
        if rates.runs > 0 { parts.append(Part(text: "\(Quantity.decimal(rates.runs)) runs/s", weight: 5)) }
        if rates.bytes > 0 { parts.append(Part(text: "\(Quantity.bytes(Int64(rates.bytes)))/s", weight: 6)) }
        if let secondsLeft { parts.append(Part(text: "\(Quantity.duration(secondsLeft.rounded(.up))) left", weight: 1)) }
        return parts
    }

    private func length(_ parts: [Part]) -> Int { parts.reduce(phase.count) { $0 + $1.text.count + 2 } }

    private static func bar(_ fraction: Double, width: Int) -> String {
        let inside = width - 2
        let filled = Int(fraction * Double(inside))
        let head = filled < inside && filled > 0 ? String(repeating: "=", count: filled - 1) + ">" : String(repeating: "=", count: filled)
        return "[\(head)\(String(repeating: " ", count: inside - filled))]"
    }
}
