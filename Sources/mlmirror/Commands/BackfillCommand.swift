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
            interrupted one goes on where it was. Beside a daemon that one is asked to
            do it; what is paused there is not waited for, and makes the end 3.
            """
    )

    @OptionGroup var common: CommonOptions

    @Flag(help: "Look again at the histories and files of runs whose record has not changed.")
    var deep = false

    @Flag(name: [.customShort("n"), .long], help: "Say what would be done, and write nothing.")
    var dryRun = false

    func execute(in session: Session) async throws -> Outcome {
        let settings = try common.settings(session)
        do {
            return try await backfill(settings, session)
        } catch let error as StateError where error.kind == .locked && !dryRun {
            return try await askDaemon(settings, error, session)
        }
    }

    /// A daemon owns the state file: it does the work, and this shows how far it is.
    private func askDaemon(_ settings: MirrorSettings, _ error: StateError, _ session: Session) async throws -> Outcome {
        try await session.visitingState(settings.state.value) { state in
            let status = try MirrorStatus(of: state, at: session.clock.nowMilliseconds)
            guard status.condition != .stopped, let report = status.report, !report.hasEnded else { throw error }
            guard try state.isMirroring(settings.mirrorConfiguration().scope), !deep else {
                throw StateError(
                    .locked,
                    "\(settings.state.value): a daemon owns it and mirrors another scope than this command names. Change its configuration, or "
                        + "leave the scope flags and --deep out.")
            }
            // It would copy its own two stores, whichever are named here.
            let pair = try await session.withStores(settings) { primary, secondary, _ in
                try await Pair.identify(primary, secondary, name: settings.pair.value)
            }
            try state.expectBound(to: pair)
            session.remark("A daemon has this state file: it is asked to do the backfill.", common.output)
            let number = try state.ask(.backfill, at: session.clock.nowMilliseconds)
            if let notice = status.pause.notice {
                _ = session.answer(common.output, RequestDocument(state: OwnerRequest.State.waiting.rawValue), "Noted. \(notice)")
                return Outcome(.incomplete, "the daemon is paused")
            }
            let showsProgress = common.output.progressForm(session).isShown
            var last = ""
            let request = try await OwnerWait(state, session, common.output).answer(to: number) { status in
                // Whoever has the file is none that answers: it had not said so yet.
                guard status.report?.hasEnded == false else { throw error }
                let line = "\(status.reconciling == nil ? "copying" : "comparing"): \(Quantity.count(status.lagChanges, "thing")) to do"
                if showsProgress, line != last { session.console.message(line) }
                last = line
            }
            guard request.state == .done else { throw CommandFailure(request.message) }
            let after = try MirrorStatus(of: state, at: session.clock.nowMilliseconds)
            let (left, held) = (after.deadLetters, request.remainder.held)
            let waiting = held > 0 ? " Held until `mlmirror resume`: \(Quantity.count(held, "change"))." : ""
            let outcome = session.answer(
                common.output, RequestDocument(state: request.state.rawValue, setAside: left, held: held),
                "Done by the daemon. Set aside: \(Quantity.count(left)).\(waiting)")
            guard left + held > 0 else { return outcome }
            let rest = [
                left > 0 ? "\(Quantity.count(left, "thing is", "things are")) set aside" : nil,
                held > 0 ? "\(Quantity.count(held, "change is", "changes are")) held by a pause" : nil,
            ]
            return Outcome(.incomplete, rest.compactMap { $0 }.joined(separator: ", "))
        }
    }

    private func backfill(_ settings: MirrorSettings, _ session: Session) async throws -> Outcome {
        let summary = try await session.withStores(settings) { primary, secondary, requests in
            var summary =
                try await dryRun
                ? StateCopy.with(of: settings.state.value) { try await copy(primary, secondary, statePath: $0, settings, session) }
                : copy(primary, secondary, statePath: settings.state.value, settings, session)
            summary.counts.requests = requests()
            return summary
        }
        let counts = summary.counts
        session.logger(common.output).event(
            .backfillFinished,
            [
                "complete": "\(summary.isComplete)", "dry_run": "\(dryRun)", "seconds": "\(summary.seconds)",
                "experiments": "\(counts.experiments.written)", "runs": "\(counts.runs.written)", "metric_points": "\(counts.metricPoints)",
                "files": "\(counts.files)", "file_bytes": "\(counts.fileBytes)", "versions": "\(counts.versions.written)",
                "dead_letters": "\(summary.failureCount)", "conflicts": "\(counts.conflicts)", "requests": "\(counts.requests)",
            ])
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
            try LiveReport.noteEnd(in: state)
            let board = ProgressBoard()
            let reporter = ProgressReporter(
                board, console: session.console, clock: session.clock, form: common.output.progressForm(session))
            let backfill = Backfill(
                primary: primary, secondary: secondary, state: state, configuration: settings.mirrorConfiguration(deep: deep), board: board,
                clock: session.clock, logger: session.logger(common.output))
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
                summary: summary, primary: settings.primary.uri.value.shortName, secondary: settings.secondary.uri.value.shortName,
                statePath: settings.state.value, isDryRun: dryRun, style: session.style(common.output.color))
            session.console.result(text.text)
        }
    }
}
