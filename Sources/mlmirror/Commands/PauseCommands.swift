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
              mlmirror pause --state mirror.db --experiment '/Shared/scratch/**'

            With --experiment or --model only what is named so is held: experiments
            with all their runs, logged models and files, or registered models with
            their versions. Patterns are those of the scope, and add up.

            Holds until `mlmirror resume`, also over restarts. A daemon obeys within
            a second; what is under way is finished.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Flag(help: "Only the files of runs and models.")
    var artifacts = false

    @OptionGroup var names: NameOptions

    func validate() throws {
        if artifacts, !names.scope.isEmpty { throw ValidationError("--artifacts goes without --experiment and --model") }
        try names.check()
    }

    func execute(in session: Session) async throws -> Outcome {
        if !names.scope.isEmpty {
            let (paused, scope) = try await session.visitingState(try stateOptions.path(session)) { state in
                let scope = try state.changePausedScope { $0.adding(names.scope) }
                return (try state.pause, scope ?? .nothing)
            }
            return session.answer(output, PauseDocument(paused, scope), "Paused: \(scope.text). `mlmirror resume` ends it.")
        }
        let pause: Pause = artifacts ? .artifacts : .everything
        let scope = try await session.visitingState(try stateOptions.path(session)) { state in
            try state.setPause(pause)
            return try state.pausedScope
        }
        return session.answer(output, PauseDocument(pause, scope), "Paused: \(pause.rawValue). `mlmirror resume` ends it.")
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
              mlmirror resume --state mirror.db --experiment '/Shared/scratch/**'

            Without --experiment and --model it ends every pause; with them, those of
            these patterns, which have to be named as they were for `pause`.

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

    @OptionGroup var names: NameOptions

    func validate() throws {
        if deletions, !names.scope.isEmpty { throw ValidationError("--deletions goes without --experiment and --model") }
        try names.check()
    }

    func execute(in session: Session) async throws -> Outcome {
        if deletions {
            let now = session.clock.nowMilliseconds
            let document = try await session.visitingState(try stateOptions.path(session)) { state in
                try state.releaseBrake(at: now)
                _ = try state.ask(.requeue, at: now)
                return PauseDocument(try state.pause, try state.pausedScope)
            }
            return session.answer(output, document, "Deletions of the next hour are let through.")
        }
        return try await session.visitingState(try stateOptions.path(session)) { state in
            guard names.scope.isEmpty else { return try resumeNames(state, session) }
            try state.setPause(.nothing)
            _ = try state.changePausedScope { _ in .nothing }
            return session.answer(output, PauseDocument(.nothing, .nothing), "Resumed.")
        }
    }

    private func resumeNames(_ state: ReplicationState, _ session: Session) throws -> Outcome {
        guard let scope = try state.changePausedScope({ $0.removing(names.scope) }) else {
            let paused = try state.pausedScope
            throw MirrorError(
                .configuration, "\(names.scope.text): not paused by these patterns; paused is: \(paused.isEmpty ? "nothing" : paused.text)")
        }
        let rest = scope.isEmpty ? "" : " Still paused: \(scope.text)."
        return session.answer(output, PauseDocument(try state.pause, scope), "Resumed: \(names.scope.text).\(rest)")
    }
}

struct PauseDocument: Encodable {
    var messageType = "pause"
    var paused: String
    var pausedExperiments: [String]
    var pausedModels: [String]

    init(_ pause: Pause, _ scope: NameScope) {
        paused = pause.rawValue
        (pausedExperiments, pausedModels) = (scope.experiments, scope.models)
    }
}

extension Session {
    /// What is said beside the result, for who has not asked for quiet.
    func remark(_ line: String, _ output: OutputOptions) {
        if !output.quiet { console.message(line) }
    }

    /// A short result, in the form that was asked for.
    func answer(_ output: OutputOptions, _ document: some Encodable, _ text: String) -> Outcome {
        console.result(((try? output.json ? JSONLine.encode(document) : text) ?? text) + "\n")
        return .ok
    }
}
