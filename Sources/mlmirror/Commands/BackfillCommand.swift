import ArgumentParser
import Replication

struct BackfillCommand: MirrorCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill",
        abstract: "Copy everything in scope from the primary to the secondary, exactly once.",
        discussion: """
            Examples:
              mlmirror backfill --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db
              mlmirror backfill --config mlmirror.yaml --dry-run
              mlmirror backfill --config mlmirror.yaml --since 2024-01-01 \\
                  --experiment 'team/**' --experiment '!team/scratch/**'

            A second run copies what has changed since, and nothing twice. An
            interrupted one goes on where it was.
            """
    )

    @OptionGroup var common: CommonOptions

    @Flag(help: "Look again at the histories and files of runs whose record has not changed.")
    var deep = false

    @Flag(name: [.customShort("n"), .long], help: "Say what would be done, and write nothing.")
    var dryRun = false

    func execute(in session: Session) async throws -> Outcome {
        let settings = try common.settings(session)
        let summary = try await session.withStores(settings) { primary, secondary, requests in
            var summary =
                try await dryRun
                ? StateCopy.with(of: settings.state.value) { try await copy(primary, secondary, statePath: $0, settings, session) }
                : copy(primary, secondary, statePath: settings.state.value, settings, session)
            summary.counts.requests = requests()
            return summary
        }
        try show(summary, settings, session)
        guard summary.isComplete else {
            return Outcome(.incomplete, "\(Quantity.count(summary.failureCount, "thing was", "things were")) set aside")
        }
        return .ok
    }

    private func copy<Primary: TrackingStore, Secondary: WritableStore>(
        _ primary: Primary, _ secondary: Secondary, statePath: String, _ settings: MirrorSettings, _ session: Session
    ) async throws -> BackfillSummary {
        try await session.withState(statePath) { state in
            let board = ProgressBoard()
            let reporter = ProgressReporter(
                board, console: session.console, clock: session.clock, form: common.output.progressForm(session.console))
            let backfill = Backfill(
                primary: primary, secondary: secondary, state: state, configuration: settings.mirrorConfiguration(deep: deep), board: board,
                clock: session.clock, logger: session.logger(common.output.logLevel))
            let isDryRun = dryRun
            return try await reporter.during(session.signals) { try await isDryRun ? backfill.plan() : backfill.run() }
        }
    }

    private func show(_ summary: BackfillSummary, _ settings: MirrorSettings, _ session: Session) throws {
        if common.output.json {
            let document = BackfillDocument(summary, settings: settings, finishedAt: session.clock.nowMilliseconds, isDryRun: dryRun)
            session.console.result(try JSONLine.encode(document) + "\n")
        } else {
            let text = BackfillText(
                summary: summary, primary: settings.primary.uri.value.description, secondary: settings.secondary.uri.value.description,
                statePath: settings.state.value, isDryRun: dryRun, style: session.style(common.output.color))
            session.console.result(text.text)
        }
    }
}
