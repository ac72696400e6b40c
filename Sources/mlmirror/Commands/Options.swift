import ArgumentParser
import Logging
import Replication

/// Which two stores, and where the state is kept.
struct StoreOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The MLflow server that is copied: http(s)://HOST[:PORT], or a Databricks workspace: databricks[://PROFILE].", valueName: "uri")
    )
    var primary: String?

    @Option(help: ArgumentHelp("The MLflow server that receives, or an Azure ML workspace: azureml://...", valueName: "uri"))
    var secondary: String?

    @Option(
        help: ArgumentHelp(
            "The data base behind the primary, as MLflow names it: sqlite:////srv/mlflow.db. Histories are then read from it.",
            valueName: "uri"))
    var primaryDatabase: String?

    @Option(help: ArgumentHelp("The state file: what is where, and what was done. Made when it does not exist.", valueName: "file"))
    var state: String?

    @Option(
        help: ArgumentHelp(
            "A configuration file. Without it and without --primary: \(SettingsLoader.standardFile), when that exists.", valueName: "file"))
    var config: String?
}

/// What of the primary is meant.
struct ScopeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Only experiments with such names; may be repeated. * is any text without /, ** any text, a leading ! excludes.",
            valueName: "pattern"))
    var experiment: [String] = []

    @Option(help: ArgumentHelp("Only registered models with such names; may be repeated.", valueName: "pattern"))
    var model: [String] = []

    @Option(
        help: ArgumentHelp("Only runs that started at or after this: YYYY-MM-DD or RFC 3339, in UTC.", valueName: "date"),
        transform: ScopeOptions.instant)
    var since: Int64?

    @Option(help: ArgumentHelp("Only runs that started before this.", valueName: "date"), transform: ScopeOptions.instant)
    var until: Int64?

    @Flag(help: "Leave out the files of runs and models.")
    var noArtifacts = false

    private static func instant(_ text: String) throws -> Int64 {
        guard let instant = Instant.milliseconds(text) else {
            throw ValidationError("expected a date like 2024-01-31 or 2024-01-31T12:00:00Z")
        }
        return instant
    }
}

/// How much is said, and in which form.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print the result as one JSON document, and a failure as one on standard error.")
    var json = false

    @Flag(name: .shortAndLong, help: "No progress, and no messages but errors.")
    var quiet = false

    @Flag(help: "No progress.")
    var noProgress = false

    @Option(help: ArgumentHelp("Colour in the result: auto, always or never.", valueName: "when"))
    var color = ColorChoice.auto

    @Flag(name: .shortAndLong, help: "Say more; twice: everything.")
    var verbose: Int

    @Option(
        help: ArgumentHelp(
            "Form of messages on standard error: auto, text or json. auto: fields of the systemd journal where that takes them, else text.",
            valueName: "form"))
    var logFormat = LogFormat.auto

    func validate() throws {
        if quiet, verbose > 0 { throw ValidationError("--quiet and --verbose exclude each other") }
    }

    var logLevel: Logger.Level {
        switch (quiet, verbose) {
        case (true, _): .error
        case (_, 0): .warning
        case (_, 1): .info
        default: .debug
        }
    }

    func progressForm(_ session: Session) -> ProgressReporter.Form {
        if quiet || noProgress { return .none }
        if case .text = logFormat.resolved(session.environment) {
            return session.console.showsBars && !session.isTerminalDumb ? .bar : .lines
        }
        return .events(session.logger(self, atLeast: .notice))
    }
}

/// The options that every command has.
struct CommonOptions: ParsableArguments {
    @OptionGroup(title: "Stores") var stores: StoreOptions
    @OptionGroup(title: "Scope") var scope: ScopeOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    var flagValues: FlagValues {
        var flags = FlagValues()
        flags.config = stores.config
        flags.primary = stores.primary
        flags.primaryDatabase = stores.primaryDatabase
        flags.secondary = stores.secondary
        flags.state = stores.state
        flags.experiments = scope.experiment
        flags.models = scope.model
        flags.since = scope.since
        flags.until = scope.until
        flags.noArtifacts = scope.noArtifacts
        return flags
    }

    /// The whole configuration. Warns of variables that are probably misspelt.
    ///
    /// - Parameter needsCredentials: false: a systemd credential may be missing, as it is for whom the service manager only asks to look.
    func settings(_ session: Session, _ flags: FlagValues? = nil, needsCredentials: Bool = true) throws -> MirrorSettings {
        for (name, meant) in session.environment.suspicious {
            session.logger(output).event(.variableUnknown, ["name": "\(name)", "meant": "\(meant)"])
        }
        return try SettingsLoader(
            flags: flags ?? flagValues, environment: session.environment, standardFile: session.standardFile,
            needsCredentials: needsCredentials
        ).load()
    }
}
