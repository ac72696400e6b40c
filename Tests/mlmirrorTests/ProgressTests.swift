import Logging
import Replication
import Systemd
import TestSupport
import Testing

@testable import mlmirror

@Suite("progress")
struct ProgressTests {
    private var snapshot: ProgressSnapshot {
        var snapshot = ProgressSnapshot()
        snapshot.phase = "runs"
        snapshot.runsTotal = 4000
        snapshot.enumerationComplete = true
        snapshot.pending = 600
        snapshot.counts.runs.created = 900
        snapshot.counts.runs.unchanged = 100
        snapshot.counts.metricPoints = 25_024
        snapshot.counts.files = 106
        snapshot.counts.fileBytes = 6_800_000
        return snapshot
    }

    private func line(_ snapshot: ProgressSnapshot, left: Double? = 65) -> ProgressLine {
        var rates = RateMeter.Rates()
        rates.runs = 12.34
        rates.bytes = 3_100_000
        return ProgressLine(snapshot: snapshot, rates: rates, secondsLeft: left)
    }

    @Test("says everything in words where there is no terminal")
    func plain() {
        #expect(
            line(snapshot).plain
                == "runs: 1,000/4,000 runs, 25,024 points, 106 files (6.8 MB), 12.3 runs/s, 3.1 MB/s, 1 min 5 s left")
    }

    @Test("says that the total still grows")
    func growing() {
        var growing = snapshot
        growing.enumerationComplete = false
        #expect(line(growing, left: nil).plain.hasPrefix("runs: 1,000/4,000+ runs, "))
        #expect(!line(growing, left: nil).bar(width: 200).contains("["))
    }

    @Test("fits any width, and keeps what matters most")
    func widths() {
        for width in 0...200 { #expect(line(snapshot).bar(width: width).count <= width) }
        #expect(line(snapshot).bar(width: 60) == "runs [===>             ]  1,000/4,000 runs  1 min 5 s left")
        #expect(line(snapshot).bar(width: 24) == "runs  1,000/4,000 runs")
    }

    @Test("cannot steer a terminal")
    func hostilePhase() {
        var hostile = snapshot
        hostile.phase = "a\u{1B}[2Jb\n"
        #expect(line(hostile).plain.hasPrefix("a\\u{1b}[2Jb\\n: "))
    }

    @Test("rates look back over the span only")
    func rates() {
        var meter = RateMeter(span: 10)
        var now = snapshot
        now.counts.runs.created = 0
        #expect(meter.rates.runs == 0)
        for second in 0...30 {
            now.counts.runs.created += second < 15 ? 100 : 5
            now.pending = 1000 - 10 * second
            meter.add(now, at: Double(second))
        }
        #expect(meter.rates.runs == 5)
        #expect(meter.secondsLeft == 70)
    }

    @Test("no time left is named while nothing moves or the work is still being counted")
    func unknownTimeLeft() {
        var meter = RateMeter(span: 10)
        meter.add(snapshot, at: 0)
        meter.add(snapshot, at: 5)
        #expect(meter.secondsLeft == nil)
        var growing = snapshot
        growing.enumerationComplete = false
        var other = RateMeter(span: 10)
        for second in 0...5 {
            growing.counts.runs.unchanged += 100
            other.add(growing, at: Double(second))
        }
        #expect(other.secondsLeft == nil)
    }

    @Test("lines come at phase changes and once a minute, and end with the work")
    func lines() async throws {
        let world = TestWorld()
        let session = world.session()
        let clock = InstantClock()
        let board = ProgressBoard()
        let reporter = ProgressReporter(board, console: session.console, clock: clock, form: .lines)
        let start = clock.monotonicSeconds
        try await reporter.during(session.signals) {
            board.update { $0.phase = "runs" }
            while clock.monotonicSeconds < start + 130 { try await Task.sleep(for: .milliseconds(1)) }
        }
        let lines = world.complained.split(separator: "\n")
        let minutes = Int((clock.monotonicSeconds - start) / 60)
        #expect((minutes - 1...minutes + 3).contains(lines.count), "\(minutes) minutes: \(lines)")
        #expect(lines.allSatisfy { $0.hasPrefix("runs: 0/0+ runs") || $0.hasPrefix("starting: ") })
    }

    @Test("events come instead of lines where the journal takes them")
    func events() async throws {
        let told = Locked<[[String: String]]>([])
        var logger = Logger(label: "test") { _ in
            JournalLog { fields in told.withLock { $0.append(Dictionary(fields.map { ($0.name, $0.value) }) { $1 }) } }
        }
        logger.logLevel = .notice
        let session = TestWorld().session()
        let board = ProgressBoard()
        let reporter = ProgressReporter(board, console: session.console, clock: InstantClock(), form: .events(logger))
        try await reporter.during(session.signals) {
            board.update { $0.phase = "runs" }
            while told.withLock({ !$0.contains { $0["MLMIRROR_PHASE"] == "runs" } }) { try await Task.sleep(for: .milliseconds(1)) }
        }
        #expect(told.withLock { $0.allSatisfy { $0["MLMIRROR_EVENT"] == "backfill_progress" } })
    }

    @Test("a bar never mixes with results and messages")
    func console() {
        let world = TestWorld()
        let console = world.session(isTerminal: true).console
        console.draw("half")
        console.draw("half")
        console.message("note")
        console.result("result\n")
        console.message("after")
        #expect(world.complained == "\rhalf\u{1B}[K\r\u{1B}[Knote\nhalf\r\u{1B}[Kafter\n")
        #expect(world.printed == "result\n")
    }
}
