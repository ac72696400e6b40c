import ArgumentParser
import Logging
import Replication

struct RetireCommand: MirrorCommand {
    static let configuration = CommandConfiguration(
        commandName: "retire",
        abstract: "Delete runs on the primary, softly, that are azureml-only and proven to be on the secondary.",
        discussion: """
            Examples:
              mlmirror retire --config /etc/mlmirror/mlmirror.yaml --dry-run
              mlmirror retire --config /etc/mlmirror/mlmirror.yaml --yes

            Each run is read again on both sides, every metric point and every byte of
            every file. One that is not wholly on the secondary is named, and nothing of
            it is deleted. So is one that still runs, or ended within the last minutes
            (live.file_grace_seconds), left for later. What people have edited on the
            secondary since the switch is no reason to refuse.

            Only runs are deleted, and in the way that MLflow can restore; models and
            experiments stay. The configuration must say mode.retire_primary: delete.
            The copies on the secondary stay, also when the mode is dual again.
            Asks on a terminal; without one it wants --yes.

            Exit code 4: something was refused; 3: something could not be read.
            """
    )

    @OptionGroup var common: CommonOptions

    @Flag(name: [.customShort("n"), .long], help: "Delete nothing; show what would be.")
    var dryRun = false

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func execute(in session: Session) async throws -> Outcome {
        let settings = try common.settings(session)
        if !dryRun {
            guard settings.retirePrimary.value == .delete else {
                throw ConfigurationError(
                    settings.retirePrimary.origin,
                    "mode.retire_primary is keep: nothing is deleted on the primary; write mode: { retire_primary: delete }, or look with --dry-run"
                )
            }
            let question = "Delete all runs on the primary that are azureml-only and wholly on the secondary? MLflow can restore them."
            if !yes, try !session.isConfirmed(question, "the deletion of runs on the primary") {
                throw CommandFailure("not confirmed; nothing was deleted")
            }
        }
        let summary = try await session.withStores(settings) { primary, secondary, _ in
            try await retire(primary, secondary, settings, session)
        }
        if summary.refused > 0 {
            return Outcome(.differences, "\(Quantity.count(summary.refused, "run")) not wholly on the secondary; kept")
        }
        if summary.unread > 0 { return Outcome(.incomplete, "\(Quantity.count(summary.unread)) could not be read") }
        return .ok
    }

    private func retire<Primary: TrackingStore, Secondary: WritableStore>(
        _ primary: Primary, _ secondary: Secondary, _ settings: MirrorSettings, _ session: Session
    ) async throws -> RetireDocument {
        try await session.visitingState(settings.state.value) { state in
            let board = ProgressBoard()
            let retirement = try await Retirement(
                primary: primary, secondary: secondary, state: state, configuration: settings.mirrorConfiguration(deep: true),
                grace: Int64(settings.fileGraceSeconds.value) * 1000, isDryRun: dryRun, board: board, clock: session.clock,
                logger: session.logger(output, atLeast: .notice))
            let refusals = Locked<[RetireDocument.Refusal]>([])
            // It reads every point and every byte: that takes its time.
            let reporter = ProgressReporter(
                board, console: session.console, clock: session.clock, form: output.progressForm(session))
            let summary = try await reporter.during(session.signals) {
                try await retirement.run { run, fate in
                    guard case .refused(let why) = fate else { return }
                    let fields = Array(why.prefix(RetireDocument.shown))
                    refusals.withLock { refusals in
                        if refusals.count < RetireDocument.shown {
                            refusals.append(RetireDocument.Refusal(run: run.rawValue, fields: fields))
                        }
                    }
                    session.console.message("kept: run \(run): \(fields.joined(separator: ", ").printable)")
                }
            }
            let document = RetireDocument(
                isDryRun: dryRun, retired: summary.retired, refused: summary.refused, leftOut: summary.leftOut, unread: summary.unread,
                refusals: refusals.withLock { $0 })
            _ = session.answer(output, document, document.text)
            return document
        }
    }
}

struct RetireDocument: Encodable {
    struct Refusal: Encodable {
        var run: String
        var fields: [String]
    }
    static let shown = 20
    var messageType = "retire"
    var isDryRun: Bool
    var retired: Int
    var refused: Int
    var leftOut: [String: Int]
    /// Of those, what could not be read.
    var unread: Int
    /// The first ones.
    var refusals: [Refusal]

    var text: String {
        let done = isDryRun ? "would be deleted on the primary" : "deleted on the primary"
        var lines = ["\(Quantity.count(retired, "run")) \(done); \(Quantity.count(refused)) not wholly on the secondary"]
        if !leftOut.isEmpty { lines.append("left for later: \(LabelCounts.text(leftOut))") }
        return lines.joined(separator: "\n")
    }
}
