import Replication
import Testing

@testable import mlmirror

@Suite("results")
struct SummaryTests {
    private var counts: Counts {
        var counts = Counts()
        counts.experiments.created = 2
        counts.runs.created = 1234
        counts.runs.unchanged = 5
        counts.metricPoints = 25_024
        counts.params = 506
        counts.tags = 1
        counts.files = 106
        counts.fileBytes = 6_800_000
        counts.requests = 2000
        counts.retries = 3
        counts.conversions = ["tag_too_long": 2]
        counts.leftOut = ["prompts": 3, "traces": 12]
        return counts
    }

    private func text(_ summary: BackfillSummary, isDryRun: Bool = false) -> String {
        BackfillText(
            summary: summary, primary: "http://a", secondary: "http://b", statePath: "s.db", isDryRun: isDryRun,
            style: Style(isColored: false)
        ).text
    }

    @Test("of a copy")
    func copied() {
        let expected = """
            Copied http://a to http://b in 12.3 s.

                                   created     adopted     updated   unchanged     deleted
            experiments                  2           0           0           0           0
            runs                     1,234           0           0           5           0
            logged models                0           0           0           0           0
            registered models            0           0           0           0           0
            model versions               0           0           0           0           0

            25,024 metric points, 506 params, 1 tag, 0 inputs, 106 files (6.8 MB); 2,000 requests, 3 repeated
            converted:    tag too long 2
            left out:     prompts 3, traces 12

            """
        #expect(text(BackfillSummary(counts: counts, failures: [], seconds: 12.3)) == expected)
    }

    @Test("of a second run")
    func nothing() {
        var counts = Counts()
        counts.runs.unchanged = 50
        #expect(
            text(BackfillSummary(counts: counts, failures: [], seconds: 1)).hasPrefix(
                "Nothing to do: nothing new on the primary (1.0 s).\n"))
    }

    @Test("of a partial success names the first twenty failures and where all are")
    func partial() {
        var counts = counts
        counts.deadLetters = 57
        let failures = (1...20).map { "run \($0)\u{7}: too large [too_large]" }
        let text = text(BackfillSummary(counts: counts, failures: failures, seconds: 1))
        #expect(text.hasPrefix("Finished in 1.0 s, but 57 things were set aside: http://b is not a whole copy of http://a.\n"))
        #expect(text.contains("  run 20\\u{7}: too large [too_large]\n  and 37 more\n"))
        #expect(text.hasSuffix("All of them are kept in s.db (`mlmirror dead-letters list`) and tried again by the next backfill.\n"))
    }

    @Test("of a rehearsal")
    func rehearsal() {
        let text = text(BackfillSummary(counts: counts, failures: [], seconds: 1), isDryRun: true)
        #expect(text.hasPrefix("Dry run: nothing was written. A backfill from http://a to http://b would do this:\n"))
        #expect(text.contains("not counted by a dry run") && !text.contains("model versions  "))
    }

    @Test("of a verification")
    func verified() {
        var summary = VerifySummary()
        summary.compared = ["runs": 50, "experiments": 2]
        summary.seconds = 2
        func text(_ hidden: Int = 0, report: String? = nil) -> String {
            VerifyText(summary: summary, hidden: hidden, report: report, isDeep: true, style: Style(isColored: false)).text
        }
        #expect(text() == "Both sides agree (2.0 s).\ncompared:     experiments 2, runs 50\n")
        var ofNothing = VerifySummary()
        ofNothing.isOfNothing = true
        let said = VerifyText(summary: ofNothing, hidden: 0, report: nil, isDeep: true, style: Style(isColored: false)).text
        #expect(said == "Nothing is in scope: nothing was compared (0.0 s).\n" && !ofNothing.isProven)
        summary.unreadable = 1
        #expect(text().hasPrefix("No difference in what could be read, but 1 thing could not be read (2.0 s).\n"))
        summary.differences = 107
        #expect(text(7).hasPrefix("... and 7 more; name a file with --report FILE.json to have them all\n107 differences, and 1 thing"))
        #expect(text(7, report: "r.json").hasPrefix("... and 7 more; all are in r.json\n"))
    }

    @Test("name each difference, and cannot steer a terminal")
    func differences() {
        let long = String(repeating: "x", count: 100)
        let difference = Difference(
            kind: .loggedModel, primary: "m-1", secondary: "m-2", field: "tag:a\u{1B}", primaryValue: long, secondaryValue: nil)
        #expect(
            DifferenceLines.line(difference)
                == "logged model m-1 (secondary m-2): tag:a\\u{1b}: primary \"\(long.prefix(77))...\", secondary has none")
    }

    @Test(
        "are in numbers that people read",
        arguments: [
            (Quantity.count(0), "0"), (Quantity.count(999), "999"), (Quantity.count(1_000), "1,000"),
            (Quantity.count(-1_234_567), "-1,234,567"),
            (Quantity.bytes(0), "0 B"), (Quantity.bytes(999), "999 B"), (Quantity.bytes(1000), "1.0 kB"),
            (Quantity.bytes(999_960), "1.0 MB"), (Quantity.bytes(rate: 1e300), "unknown"), (Quantity.bytes(rate: .nan), "unknown"),
            (Quantity.decimal(-1e300), "unknown"), (Quantity.decimal(.infinity), "unknown"),
            (Quantity.bytes(5_000_000_000), "5.0 GB"), (Quantity.bytes(.max), "9,223,372.0 TB"), (Quantity.duration(0.04), "0.0 s"),
            (Quantity.duration(59.96), "1 min 0 s"), (Quantity.duration(7620), "2 h 7 min"), (Quantity.duration(270_000), "3 d 3 h"),
            (Quantity.duration(.infinity), "unknown"), (Quantity.duration(-1), "unknown"),
        ])
    func quantities(_ text: String, _ expected: String) { #expect(text == expected) }
}
