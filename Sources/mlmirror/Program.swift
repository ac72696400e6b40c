import ArgumentParser
import Logging
import Replication

/// One run of the program, from its arguments to its exit status.
enum Program {
    static let version = "0.1.0"

    static func run(_ arguments: [String], in session: Session) async -> ExitStatus {
        let command: any ParsableCommand
        do {
            var parsed = try MlmirrorCommand.parseAsRoot(arguments)
            guard parsed is any SessionCommand else {
                // No command was named: ArgumentParser answers with the help text.
                try parsed.run()
                return .ok
            }
            command = parsed
        } catch {
            return refuse(error, isJSON: arguments.contains("--json"), session)
        }
        guard let command = command as? any SessionCommand else { return .failed }
        return await perform(command, session)
    }

    private static func perform(_ command: some SessionCommand, _ session: Session) async -> ExitStatus {
        let isJSON = command.output.json
        do {
            let outcome = try await command.execute(in: session)
            session.console.clearBar()
            if let why = session.console.resultFailure {
                // Half a result is none.
                let unwritten = Outcome(outcome.status == .ok ? .failed : outcome.status, "cannot write the result: \(why)")
                report(unwritten, command.output, session)
                return unwritten.status
            }
            if outcome.status != .ok, isJSON { report(outcome, command.output, session) }
            return outcome.status
        } catch {
            session.console.clearBar()
            let outcome = failure(error, session.signals.received)
            report(outcome, command.output, session)
            return outcome.status
        }
    }

    /// What a failure means; `signal` is the one that asked for an end, if any did.
    static func failure(_ error: any Error, _ signal: Int32?) -> Outcome {
        guard let signal else { return Outcome(ExitStatus.of(error), "\(error)") }
        let what = "interrupted; what was done is kept, and the same command goes on from there"
        return Outcome(.signal(signal), error is CancellationError ? what : "\(what) (\(error))")
    }

    private static func report(_ outcome: Outcome, _ output: OutputOptions, _ session: Session) {
        if !output.json, case let form = output.logFormat.resolved(session.environment), form != .text {
            session.logger(output).event(.failed, ["code": "\(outcome.status.rawValue)", "detail": "\(outcome.message)"])
        } else {
            report(outcome, isJSON: output.json, session)
        }
    }

    private static func report(_ outcome: Outcome, isJSON: Bool, _ session: Session) {
        let document = ExitErrorDocument(code: outcome.status.rawValue, message: outcome.message)
        if isJSON, let line = try? JSONLine.encode(document) {
            session.console.message(line)
        } else {
            session.console.message("error: \(outcome.message.printable)")
        }
    }

    /// Help and version go to standard output; a wrong command line, with the right one, to standard error.
    private static func refuse(_ error: any Error, isJSON: Bool, _ session: Session) -> ExitStatus {
        let code = MlmirrorCommand.exitCode(for: error)
        if code.isSuccess {
            session.console.result(MlmirrorCommand.fullMessage(for: error) + "\n")
            return .ok
        }
        if isJSON {
            report(Outcome(.usage, MlmirrorCommand.message(for: error)), isJSON: true, session)
        } else {
            session.console.message(MlmirrorCommand.fullMessage(for: error))
        }
        return .usage
    }
}
