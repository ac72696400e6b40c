import ArgumentParser
import FoundationEssentials
import Glibc
import Logging
import Platforms

/// The root of the command line.
struct MlmirrorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mlmirror",
        abstract: "Copies one MLflow server to another or to Azure ML, exactly once, and proves it.",
        discussion: """
            Examples:
              mlmirror check --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db
              mlmirror backfill --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db
              mlmirror run --config mlmirror.yaml
              mlmirror status --config mlmirror.yaml
              mlmirror verify --config mlmirror.yaml --deep --report report.json

            Exit codes:
              0   ok
              1   failed
              3   finished, but something was set aside or could not be read
              4   differences found
              64  usage
              69  a store is unreachable, or is no MLflow server
              75  the state file or the database is in use: try later
              77  a store refused
              78  configuration
              129, 130, 143  interrupted by SIGHUP, SIGINT, SIGTERM
            """,
        version: Program.version,
        subcommands: [
            RunCommand.self, BackfillCommand.self, VerifyCommand.self, CheckCommand.self, StatusCommand.self, PauseCommand.self,
            ResumeCommand.self, ModeCommand.self, RetireCommand.self, ResyncCommand.self, ResolveCommand.self, ConflictsCommand.self,
            DeadLettersCommand.self, TrackingURICommand.self, FeedCommand.self,
        ]
    )
}

@main
enum Main {
    static func main() {
        StandardStreams.hold()
        Secrecy.begin()
        Signals.hold()
        let console = Console.standard()
        LoggingSystem.bootstrap { _ in LogLines(console) }
        let session = Session(
            environment: Environment(ProcessInfo.processInfo.environment), console: console, signals: Signals(), clock: SystemClock(),
            manager: .systemd,
            lastStatusEvent: JournaledStatus.search,
            openStore: StoreFactory.open)
        let arguments = Array(CommandLine.arguments.dropFirst())
        // A daemon that has read nothing yet has nothing to read again.
        if arguments.first == RunCommand.configuration.commandName { session.signals.onReload {} }
        // The one task without a parent: it is the program. The main thread is left to signals.
        let work = Task<Void, Never>.detached { exit(await Program.run(arguments, in: session).rawValue) }
        session.signals.serve(work) { console.clearBar() }
    }
}
