import ArgumentParser

/// For a command that asks the state file alone.
struct StateOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The state file.", valueName: "file"))
    var state: String?

    @Option(help: ArgumentHelp("A configuration file that names it.", valueName: "file"))
    var config: String?

    func path(_ session: Session) throws -> String {
        var flags = FlagValues()
        flags.state = state
        // The default file is only for who names nothing.
        flags.config = config
        let standard = state == nil ? session.standardFile : nil
        return try SettingsLoader(flags: flags, environment: session.environment, standardFile: standard).loadState().value
    }
}
