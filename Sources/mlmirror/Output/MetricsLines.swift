/// The text format of Prometheus, version 0.0.4: each name once, with its help and type before its samples.
struct MetricsLines {
    private var lines: [String] = []
    /// On every sample: `pair="default"`.
    private let common: String

    init(common: String) { self.common = common }

    var text: String { lines.joined(separator: "\n") + "\n" }

    private mutating func begin(_ name: String, _ type: String, _ help: String) {
        lines.append("# HELP mlmirror_\(name) \(help)")
        lines.append("# TYPE mlmirror_\(name) \(type)")
    }

    /// - Parameter samples: `store="primary",class="runs"`, and what it is.
    mutating func metric(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: String)]) {
        begin(name, type, help)
        for (labels, value) in samples {
            lines.append("mlmirror_\(name){\(labels.isEmpty ? common : "\(labels),\(common)")} \(value)")
        }
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Int64) { metric(name, "gauge", help, [("", "\(value)")]) }

    mutating func counter(_ name: String, _ help: String, _ value: Int64) { metric(name, "counter", help, [("", "\(value)")]) }

    /// - Parameter milliseconds: since 1970.
    mutating func moment(_ name: String, _ help: String, _ milliseconds: Int64?) {
        metric(name, "gauge", help + " 0: never.", [("", Self.seconds(milliseconds ?? 0))])
    }

    struct Histogram {
        /// `store="primary"`
        var label: String
        /// How many fell into each, and as the last number those above all bounds.
        var counts: [Int]
        var sum: Double
    }

    /// - Parameter bounds: upper ones, ascending.
    mutating func histogram(_ name: String, _ help: String, _ bounds: [Double], _ histograms: [Histogram]) {
        begin(name, "histogram", help)
        for histogram in histograms {
            var total = 0
            for (bound, count) in zip(bounds.map(Self.bound) + ["+Inf"], histogram.counts) {
                total += count
                lines.append("mlmirror_\(name)_bucket{\(histogram.label),\(common),le=\"\(bound)\"} \(total)")
            }
            lines.append("mlmirror_\(name)_sum{\(histogram.label),\(common)} \(Self.seconds(histogram.sum))")
            lines.append("mlmirror_\(name)_count{\(histogram.label),\(common)} \(total)")
        }
    }

    private static func bound(_ bound: Double) -> String { bound == bound.rounded() ? "\(Int(bound))" : "\(bound)" }

    /// Without an exponent.
    static func seconds(_ milliseconds: Int64) -> String {
        let rest = String(milliseconds % 1000)
        return milliseconds % 1000 == 0
            ? "\(milliseconds / 1000)" : "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }

    /// Likewise, to the millisecond.
    static func seconds(_ seconds: Double) -> String { Self.seconds(Int64((seconds * 1000).rounded())) }
}
