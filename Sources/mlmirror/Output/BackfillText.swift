import Replication

/// A finished backfill for people.
struct BackfillText {
    var summary: BackfillSummary
    var primary: String
    var secondary: String
    var statePath: String
    var isDryRun: Bool
    var style: Style

    var text: String { lines.map { $0 + "\n" }.joined() }

    private var counts: Counts { summary.counts }

    private var lines: [String] {
        [headline, ""] + table + [""] + [amounts] + notes + failures
    }

    private var headline: String {
        let took = Quantity.duration(summary.seconds)
        if isDryRun { return style.strong("Dry run: nothing was written. A backfill from \(primary) to \(secondary) would do this:") }
        guard summary.isComplete else {
            let aside = Quantity.count(summary.failureCount, "thing was", "things were")
            return style.bad("Finished in \(took), but \(aside) set aside: \(secondary) is not a whole copy of \(primary).")
        }
        if !hasScope { return style.bad("Nothing is in scope: no experiment and no registered model of \(primary) matches.") }
        if summary.wroteNothing { return style.good("Nothing to do: nothing new on the primary (\(took)).") }
        return style.good("Copied \(primary) to \(secondary) in \(took).")
    }

    /// Every server has at least its default experiment, so that nothing at all means patterns that match nothing.
    private var hasScope: Bool {
        [counts.experiments, counts.runs, counts.registeredModels].contains {
            $0.created + $0.adopted + $0.updated + $0.unchanged + $0.deleted > 0
        }
            || summary.failureCount > 0
    }

    private var table: [String] {
        var rows: [(String, Counts.Entities)] = [
            ("experiments", counts.experiments), ("runs", counts.runs), ("logged models", counts.loggedModels),
            ("registered models", counts.registeredModels),
        ]
        if !isDryRun { rows.append(("model versions", counts.versions)) }
        let head = Self.row("", ["created", "adopted", "updated", "unchanged", "deleted"])
        return [style.faint(head)]
            + rows.map { name, entities in
                let numbers = [entities.created, entities.adopted, entities.updated, entities.unchanged, entities.deleted]
                return Self.row(name, numbers.map { Quantity.count($0) })
            }
    }

    private static func row(_ name: String, _ cells: [String]) -> String {
        let padded = cells.map { String(repeating: " ", count: max(1, 12 - $0.count)) + $0 }
        return name + String(repeating: " ", count: max(0, 18 - name.count)) + padded.joined()
    }

    private var amounts: String {
        if isDryRun { return "From the records alone: model versions, metric points and files are not counted by a dry run." }
        let parts = [
            Quantity.count(counts.metricPoints, "metric point"), Quantity.count(counts.params, "param"), Quantity.count(counts.tags, "tag"),
            Quantity.count(counts.inputs, "input"), "\(Quantity.count(counts.files, "file")) (\(Quantity.bytes(counts.fileBytes)))",
        ]
        let requests =
            counts.requests > 0 ? "; \(Quantity.count(counts.requests, "request")), \(Quantity.count(counts.retries)) repeated" : ""
        return parts.joined(separator: ", ") + requests
    }

    private var notes: [String] {
        var notes: [String] = []
        if !counts.conversions.isEmpty { notes.append("converted:    \(LabelCounts.text(counts.conversions))") }
        if !counts.leftOut.isEmpty { notes.append("left out:     \(LabelCounts.text(counts.leftOut))") }
        if counts.conflicts > 0 {
            notes.append(
                "conflicts:    \(Quantity.count(counts.conflicts)) (each is logged, with what was decided)"
            )
        }
        return notes
    }

    private var failures: [String] {
        guard summary.failureCount > 0 else { return [] }
        let shown = summary.failures.prefix(20)
        let more = summary.failureCount - shown.count
        let rest = more > 0 ? ["  and \(Quantity.count(more)) more"] : []
        let place = "All of them are kept in \(statePath) (`mlmirror dead-letters list`) and tried again by the next backfill."
        return [style.bad("set aside:    \(Quantity.count(summary.failureCount))")] + shown.map { "  \($0.printable)" } + rest + [place]
    }
}

/// Counts by label.
enum LabelCounts {
    /// `prompts 3, tag too long 1`.
    static func text(_ counts: [String: Int]) -> String {
        counts.sorted { $0.key < $1.key }.map { label, count in
            "\(label.printable.split(separator: "_").joined(separator: " ")) \(Quantity.count(count))"
        }.joined(separator: ", ")
    }
}
