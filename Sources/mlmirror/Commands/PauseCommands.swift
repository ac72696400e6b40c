import ArgumentParser
import Replication

struct PauseCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Write nothing to the secondary for now; changes are still seen and noted.",
        discussion: """
            Examples:
              mlmirror pause --config /etc/mlmirror/mlmirror.yaml
              mlmirror pause --state mirror.db --artifacts

            Holds until `mlmirror resume`, also over restarts. A daemon obeys within
            a second; what is under way is finished.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Flag(help: "Only the files of runs and models.")
    var artifacts = false

    func execute(in session: Session) async throws -> Outcome {
        let pause: Pause = artifacts ? .artifacts : .everything
        try await session.visitingState(try stateOptions.path(session)) { try $0.setPause(pause) }
        return session.answer(output, PauseDocument(paused: pause.rawValue), "Paused: \(pause.rawValue). `mlmirror resume` ends it.")
    }
}

struct ResumeCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Go on after `mlmirror pause`.",
        discussion: """
            Examples:
              mlmirror resume --config /etc/mlmirror/mlmirror.yaml
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    func execute(in session: Session) async throws -> Outcome {
        try await session.visitingState(try stateOptions.path(session)) { try $0.setPause(.nothing) }
        return session.answer(output, PauseDocument(paused: Pause.nothing.rawValue), "Resumed.")
    }
}

struct PauseDocument: Encodable {
    var messageType = "pause"
    var paused: String
}

extension Session {
    /// A short result, in the form that was asked for.
    func answer(_ output: OutputOptions, _ document: some Encodable, _ text: String) -> Outcome {
        console.result(((try? output.json ? JSONLine.encode(document) : text) ?? text) + "\n")
        return .ok
    }
}
