import ArgumentParser
import Replication

struct StatusCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Is it healthy, how far behind, what is stuck, and why: also while the daemon is down.",
        discussion: """
            Examples:
              mlmirror status
              mlmirror status --instance team-a --watch
              mlmirror status --config /etc/mlmirror/mlmirror.yaml
              mlmirror status --state mirror.db --json
              mlmirror status --state mirror.db --warning-lag 60 --critical-lag 600

            The first line is what monitoring plug-ins print. Exit codes: 0 ok,
            1 warning, 2 critical, 3 unknown. Who may not read the state file of
            the service is answered from the journal.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Option(help: ArgumentHelp("Seconds behind from which on it is a warning.", valueName: "seconds"))
    var warningLag: Double = 300

    @Option(help: ArgumentHelp("Seconds behind from which on it is critical.", valueName: "seconds"))
    var criticalLag: Double = 3600

    @Flag(help: "Look again every two seconds, until interrupted.")
    var watch = false

    func validate() throws {
        guard warningLag >= 0, criticalLag >= warningLag else {
            throw ValidationError("--warning-lag must be at least 0, and --critical-lag at least --warning-lag")
        }
    }

    func execute(in session: Session) async throws -> Outcome {
        guard watch else { return try await look(session) }
        do {
            while true {
                if session.console.outputIsTerminal, !session.isTerminalDumb, !output.json { session.console.result("\u{1B}[H\u{1B}[2J") }
                _ = try await look(session)
                try await session.clock.sleep(seconds: 2)
            }
        } catch is CancellationError {
            return .ok
        }
    }

    private func look(_ session: Session) async throws -> Outcome {
        do {
            let path = try stateOptions.path(session)
            let status = try await session.visitingState(path) { try MirrorStatus(of: $0, at: session.clock.nowMilliseconds) }
            return try show(StatusDocument(status, StatusVerdict(status, warningLag: warningLag, criticalLag: criticalLag)), session)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            // Whatever it is, a monitoring plug-in knows no other code for it.
            return try fromJournal(insteadOf: error, session)
        }
    }

    /// What the service said of itself last; when it said nothing, why the state file could not be asked.
    private func fromJournal(insteadOf error: any Error, _ session: Session) throws -> Outcome {
        if let unit = stateOptions.unit, let snapshot = JournaledStatus.newest(of: unit, session.lastStatusEvent) {
            var document = snapshot.document
            document.judge(snapshot, now: session.clock.nowMilliseconds, warningLag: warningLag, criticalLag: criticalLag)
            return try show(document, session)
        }
        session.console.result(output.json ? "" : "UNKNOWN - \("\(error)".printable)\n")
        return Outcome(ExitStatus(rawValue: 3), "\(error)")
    }

    private func show(_ document: StatusDocument, _ session: Session) throws -> Outcome {
        if output.json {
            session.console.result(try JSONLine.encode(document) + "\n")
        } else {
            let style = session.style(output.color)
            let text = StatusText(
                status: document, warningLag: warningLag, criticalLag: criticalLag, now: session.clock.nowMilliseconds, style: style)
            session.console.result(text.text)
        }
        return Outcome(ExitStatus(rawValue: StatusVerdict.Level(document.level).rawValue), document.reason)
    }
}
