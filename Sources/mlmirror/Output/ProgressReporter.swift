import Logging
import Replication

/// Shows a board's progress while work goes on: a bar twice a second on a terminal, else a line a minute and at each phase.
struct ProgressReporter: Sendable {
    enum Form: Sendable {
        case bar, lines, none
        /// As often as lines.
        case events(Logger)

        var isShown: Bool { if case .none = self { false } else { true } }
    }

    let board: ProgressBoard
    private let console: Console
    private let clock: any ReplicationClock
    private let form: Form
    private let meter: Locked<RateMeter>

    static let secondsBetweenBars = 0.5
    static let secondsBetweenLines = 60.0

    init(_ board: ProgressBoard, console: Console, clock: any ReplicationClock, form: Form) {
        self.board = board
        self.console = console
        self.clock = clock
        self.form = form
        if case .bar = form { meter = Locked(RateMeter(span: 10)) } else { meter = Locked(RateMeter(span: Self.secondsBetweenLines)) }
    }

    /// Runs `work`, and shows its progress until it returns or throws.
    func during<Result: Sendable>(_ signals: Signals, _ work: @Sendable () async throws -> Result) async throws -> Result {
        signals.onStatusRequest { console.message(line.plain) }
        defer { signals.onStatusRequest(nil) }
        // Cancelled and awaited when this scope ends.
        async let _: Void = show()
        return try await work()
    }

    /// The present line. Also notes a sample for the rates.
    private var line: ProgressLine {
        let snapshot = board.snapshot
        return meter.withLock { meter in
            meter.add(snapshot, at: clock.monotonicSeconds)
            return ProgressLine(snapshot: snapshot, rates: meter.rates, secondsLeft: meter.secondsLeft)
        }
    }

    /// Until it is cancelled.
    private func show() async {
        switch form {
        case .bar: await showBars()
        case .lines: await showLines { console.message($0.plain) }
        case .events(let logger): await showLines { logger.event(.backfillProgress, $0.fields) }
        case .none: break
        }
    }

    private func showBars() async {
        while await pause(Self.secondsBetweenBars) { console.draw(line.bar(width: console.width - 1)) }
        console.clearBar()
    }

    private func showLines(_ tell: (ProgressLine) -> Void) async {
        var phase: String?
        var last = clock.monotonicSeconds
        while await pause(1) {
            let line = line
            let now = clock.monotonicSeconds
            guard line.snapshot.phase != phase || now - last >= Self.secondsBetweenLines else { continue }
            tell(line)
            phase = line.snapshot.phase
            last = now
        }
    }

    /// False when the work is over.
    private func pause(_ seconds: Double) async -> Bool {
        do {
            try await clock.sleep(seconds: seconds)
            return true
        } catch {
            return false
        }
    }
}
