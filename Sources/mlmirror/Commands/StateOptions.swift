import ArgumentParser

/// For a command that asks the state file alone.
struct StateOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The state file.", valueName: "file"))
    var state: String?

    @Option(help: ArgumentHelp("A configuration file that names it.", valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp("An instance of the service, mlmirror@NAME: its configuration is \(Self.folder)/NAME.yaml.", valueName: "name"))
    var instance: String?

    private static let folder = "/etc/mlmirror"

    func validate() throws {
        guard let instance else { return }
        if state != nil || config != nil { throw ValidationError("--instance names the configuration; leave out --state and --config") }
        guard !instance.isEmpty, !instance.contains("/") else { throw ValidationError("--instance takes the name of an instance") }
    }

    /// The unit whose state this is; nil: some file, of which no unit is known.
    var unit: String? {
        if let instance { return "mlmirror@\(instance).service" }
        return state == nil && config == nil ? "mlmirror.service" : nil
    }

    func path(_ session: Session) throws -> String {
        var flags = FlagValues()
        flags.state = state
        // The default file is only for who names nothing.
        flags.config = config ?? instance.map { "\(Self.folder)/\($0).yaml" }
        let standard = state == nil ? session.standardFile : nil
        return try SettingsLoader(flags: flags, environment: session.environment, standardFile: standard).loadState().value
    }
}
