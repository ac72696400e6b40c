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
        abstract: "Go on after `mlmirror pause`, or with deletions that were held.",
        discussion: """
            Examples:
              mlmirror resume --config /etc/mlmirror/mlmirror.yaml
              mlmirror resume --state mirror.db --deletions

            When more runs, experiments and versions are deleted on the primary within
            an hour than a tenth of the copied runs (at least a hundred, at most a
            thousand), further deletions are held, and `status` says so. --deletions
            lets them through, and all others of the next hour; it leaves a pause as
            it is.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Flag(help: "Let deletions through that were held because they were so many.")
    var deletions = false

    func execute(in session: Session) async throws -> Outcome {
        if deletions {
            let now = session.clock.nowMilliseconds
            let paused = try await session.visitingState(try stateOptions.path(session)) { state in
                try state.releaseBrake(at: now)
                _ = try state.ask(.requeue, at: now)
                return try state.pause
            }
            return session.answer(output, PauseDocument(paused: paused.rawValue), "Deletions of the next hour are let through.")
        }
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
