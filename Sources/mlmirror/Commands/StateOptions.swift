import ArgumentParser
import Replication

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

extension Session {
    /// Opens the state file as a visitor, whoever owns it, for the length of `body`.
    func visitingState<Result>(_ path: String, _ body: (ReplicationState) async throws -> Result) async throws -> Result {
        let state = try ReplicationState.visit(path: path)
        let result: Result
        do {
            result = try await body(state)
        } catch {
            try? state.close()
            throw error
        }
        try state.close()
        return result
    }
}
