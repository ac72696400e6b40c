import ArgumentParser
import Replication

struct StatusCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Is it healthy, how far behind, what is stuck, and why: also while the daemon is down.",
        discussion: """
            Examples:
              mlmirror status --config /etc/mlmirror/mlmirror.yaml
              mlmirror status --state mirror.db --json
              mlmirror status --state mirror.db --warning-lag 60 --critical-lag 600

            The first line is what monitoring plug-ins print. Exit codes: 0 ok,
            1 warning, 2 critical, 3 unknown.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Option(help: ArgumentHelp("Seconds behind from which on it is a warning.", valueName: "seconds"))
    var warningLag: Double = 300

    @Option(help: ArgumentHelp("Seconds behind from which on it is critical.", valueName: "seconds"))
    var criticalLag: Double = 3600

    func validate() throws {
        guard warningLag >= 0, criticalLag >= warningLag else {
            throw ValidationError("--warning-lag must be at least 0, and --critical-lag at least --warning-lag")
        }
    }

    func execute(in session: Session) async throws -> Outcome {
        let status: MirrorStatus
        do {
            let path = try stateOptions.path(session)
            status = try await session.visitingState(path) { try MirrorStatus(of: $0, at: session.clock.nowMilliseconds) }
        } catch let error as StateError {
            session.console.result(output.json ? "" : "UNKNOWN - \(error.description.printable)\n")
            return Outcome(ExitStatus(rawValue: 3), error.description)
        }
        let verdict = StatusVerdict(status, warningLag: warningLag, criticalLag: criticalLag)
        if output.json {
            session.console.result(try JSONLine.encode(StatusDocument(status, verdict)) + "\n")
        } else {
            let style = session.style(output.color)
            session.console.result(StatusText(status: status, verdict: verdict, now: session.clock.nowMilliseconds, style: style).text)
        }
        return Outcome(ExitStatus(rawValue: verdict.level.rawValue), verdict.reason)
    }
}
