import Replication

/// A finished verification for people.
struct VerifyText {
    var summary: VerifySummary
    var hidden: Int
    var report: String?
    var isDeep: Bool
    var style: Style

    var text: String { lines.map { $0 + "\n" }.joined() }

    private var lines: [String] {
        var lines: [String] = []
        if hidden > 0 {
            let place = report.map { "all are in \($0)" } ?? "name a file with --report FILE.json to have them all"
            lines.append("... and \(Quantity.count(hidden)) more; \(place)")
        }
        lines.append(headline)
        if !summary.compared.isEmpty { lines.append("compared:     \(LabelCounts.text(summary.compared))") }
        if !isDeep { lines.append("not compared: single metric points and the bytes of files; --deep compares them") }
        if !summary.converted.isEmpty { lines.append("converted:    \(LabelCounts.text(summary.converted))") }
        if !summary.accepted.isEmpty { lines.append("accepted:     \(LabelCounts.text(summary.accepted))") }
        if !summary.leftOut.isEmpty { lines.append("left out:     \(LabelCounts.text(summary.leftOut))") }
        if let report { lines.append("report:       \(report)") }
        return lines
    }

    private var headline: String {
        let took = Quantity.duration(summary.seconds)
        let unread = Quantity.count(summary.unreadable, "thing could not be read", "things could not be read")
        if summary.differences > 0 {
            let also = summary.unreadable > 0 ? ", and \(unread)" : ""
            return style.bad("\(Quantity.count(summary.differences, "difference"))\(also) (\(took)).")
        }
        if summary.unreadable > 0 { return style.bad("No difference in what could be read, but \(unread) (\(took)).") }
        if summary.overdue > 0 {
            let waits = Quantity.count(summary.overdue, "change waits", "changes wait")
            return style.bad("No difference in what was carried across, but \(waits) in the daemon's log (\(took)).")
        }
        if summary.isOfNothing { return style.bad("Nothing is in scope: nothing was compared (\(took)).") }
        return style.good("Both sides agree (\(took)).")
    }
}
