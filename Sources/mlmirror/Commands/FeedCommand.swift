import ArgumentParser
import Platforms
import Replication

/// The triggers in a primary's database that note what changes.
struct FeedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "feed",
        abstract: "Install, inspect or remove the triggers that note changes in the primary's database.",
        discussion: """
            Examples:
              mlmirror feed install --database sqlite:////srv/mlflow/mlflow.db
              mlmirror feed inspect --database sqlite:////srv/mlflow/mlflow.db --json
              mlmirror feed remove --database sqlite:////srv/mlflow/mlflow.db --yes

            The address is the one of `mlflow server --backend-store-uri`. The
            server may run meanwhile. Migrations of MLflow's schema drop triggers:
            install them again afterwards.
            """,
        subcommands: [FeedInstallCommand.self, FeedInspectCommand.self, FeedRemoveCommand.self]
    )
}

struct DatabaseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("MLflow's backend database: sqlite:////ABSOLUTE/PATH or sqlite:///RELATIVE/PATH.", valueName: "uri"))
    var database: String

    func triggers() throws -> TriggerSet {
        do { return TriggerSet(try DatabaseURI(database)) } catch let error as FeedError {
            throw ConfigurationError(nil, "--database: \(error)")
        }
    }
}

struct FeedInstallCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "install",
        abstract: "Put the triggers into the database, all in one transaction.",
        discussion: """
            Examples:
              mlmirror feed install --database sqlite:////srv/mlflow/mlflow.db

            Run it as the user that owns the file. Triggers that are complete are
            left as they are; incomplete ones are made anew, and a running mirror
            then compares everything once.
            """
    )

    @OptionGroup var options: DatabaseOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    func execute(in session: Session) async throws -> Outcome {
        try FeedAction.run(options) { triggers in
            let isChanged = try triggers.install()
            let report = try triggers.inspect()
            let text = isChanged ? "Installed \(report.triggers) triggers" : "Nothing to do: all \(report.triggers) triggers are installed"
            let note = report.isSchemaKnown ? "" : "Its schema is \(FeedText.schema(report)).\n"
            try FeedAction.show("install", triggers, report, isChanged: isChanged, "\(text) in \(triggers.uri).\n\(note)", output, session)
            return .ok
        }
    }
}

struct FeedInspectCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Say whether the triggers are there and as they should be.",
        discussion: """
            Examples:
              mlmirror feed inspect --database sqlite:////srv/mlflow/mlflow.db

            Writes nothing. Ends with 0 when the triggers are complete, and with 3
            when some or all are missing.
            """
    )

    @OptionGroup var options: DatabaseOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    func execute(in session: Session) async throws -> Outcome {
        try FeedAction.run(options) { triggers in
            let report = try triggers.inspect()
            try FeedAction.show("inspect", triggers, report, isChanged: false, FeedText.text(report, triggers.uri), output, session)
            return report.isComplete ? .ok : Outcome(.incomplete, FeedText.status(report))
        }
    }
}

struct FeedRemoveCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take the triggers and their tables out of the database.",
        discussion: """
            Examples:
              mlmirror feed remove --database sqlite:////srv/mlflow/mlflow.db --yes

            A mirror that used them then needs them again, or another feed.
            """
    )

    @OptionGroup var options: DatabaseOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func execute(in session: Session) async throws -> Outcome {
        try FeedAction.run(options) { triggers in
            if !yes, try !session.isConfirmed("Remove all triggers and noted changes from \(triggers.uri)?", "the removal") {
                throw CommandFailure("not confirmed; nothing was removed")
            }
            let isChanged = try triggers.remove()
            let text = isChanged ? "Removed the triggers from" : "Nothing to do: there are no triggers in"
            try FeedAction.show(
                "remove", triggers, try triggers.inspect(), isChanged: isChanged, "\(text) \(triggers.uri).\n", output, session)
            return .ok
        }
    }
}

/// What the three have in common.
private enum FeedAction {
    static func run(_ options: DatabaseOptions, _ body: (TriggerSet) throws -> Outcome) throws -> Outcome {
        let triggers = try options.triggers()
        do { return try body(triggers) } catch let error as StoreError {
            // A file is not unreachable as a server is: it is in use, or it is in no order.
            throw CommandFailure(error.message, error.isRetriable ? .busy : .failed)
        }
    }

    static func show(
        _ action: String, _ triggers: TriggerSet, _ report: TriggerReport, isChanged: Bool, _ text: String, _ output: OutputOptions,
        _ session: Session
    ) throws {
        let document = FeedDocument(action, triggers.uri, report, isChanged: isChanged)
        session.console.result(output.json ? try JSONLine.encode(document) + "\n" : text)
    }
}
