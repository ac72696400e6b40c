import ArgumentParser
import Replication

struct ResyncCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "resync",
        abstract: "Copy one experiment, run or model again and whole, as if nothing were known of it.",
        discussion: """
            Examples:
              mlmirror resync --config mlmirror.yaml run 3f2a8c0d9e...
              mlmirror resync --state mirror.db experiment 12
              mlmirror resync --state mirror.db model churn

            The id is the primary's. A daemon does it at once; without one, also while
            a backfill has the state file, it is done when the next one starts. Ends with 0 when all of it is copied, with 3 when
            some of it is set aside, or held by a pause, and refuses what is out of
            scope. While everything, or all files, are paused it does not wait, and ends
            with 3.
            """
    )

    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case run, experiment, model
        case loggedModel = "logged-model"
    }

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Argument(help: "run, experiment, model or logged-model.")
    var kind: Kind

    @Argument(help: "Its id, or a model's name, on the primary.")
    var id: String

    @Flag(help: "Do not wait until it is done.")
    var noWait = false

    func execute(in session: Session) async throws -> Outcome {
        try await session.visitingState(try stateOptions.path(session)) { state in
            let number = try state.ask(.resync, "\(kind.rawValue) \(id)", at: session.clock.nowMilliseconds)
            let status = try MirrorStatus(of: state, at: session.clock.nowMilliseconds)
            guard status.hasDaemon, !noWait, status.pause == .nothing else {
                let paused = status.condition == .stopped ? nil : status.pause.notice.map { ". \($0)" }
                let notice = paused ?? status.absenceNotice ?? "."
                let outcome = session.answer(output, RequestDocument(state: OwnerRequest.State.waiting.rawValue), "Noted\(notice)")
                // Who would have waited has not got what was asked for.
                return paused == nil || noWait ? outcome : Outcome(.incomplete, "the daemon is paused")
            }
            let request = try await OwnerWait(state, session, output).answer(to: number)
            guard request.state == .done else { throw CommandFailure(request.message) }
            let (left, held) = (request.remainder.letters, request.remainder.held)
            guard left + held > 0 else {
                return session.answer(output, RequestDocument(state: request.state.rawValue), "\(kind.rawValue) \(id): done")
            }
            let rest = [
                left > 0 ? "\(Quantity.count(left, "letter")) set aside" : nil,
                held > 0 ? "\(Quantity.count(held, "change")) held until `mlmirror resume`" : nil,
            ].compactMap { $0 }.joined(separator: ", ")
            let advice = left > 0 ? "; `mlmirror dead-letters` shows them" : ""
            _ = session.answer(
                output, RequestDocument(state: request.state.rawValue, setAside: left, held: held),
                "\(kind.rawValue) \(id): tried, \(rest)\(advice)")
            return Outcome(.incomplete, rest)
        }
    }
}

struct RequestDocument: Encodable {
    var messageType = "request"
    var state: String
    /// How many letters say what of it is not on the secondary.
    var setAside: Int?
    /// How many changes of it a pause holds.
    var held: Int?
}

extension Pause {
    /// Why what is asked for is not waited for; nil: nothing is paused.
    var notice: String? {
        switch self {
        case .nothing: nil
        case .artifacts: "No files are written before `mlmirror resume`."
        case .everything: "Nothing is written before `mlmirror resume`."
        }
    }
}

extension MirrorStatus {
    /// Why nobody answers; nil: a daemon does.
    var absenceNotice: String? {
        if condition == .stopped { return "; no daemon runs: the next one does it." }
        return hasDaemon ? nil : "; another command has the state file, and no daemon: the next daemon does it."
    }

    /// What people have paused, also by name; nil: nothing.
    var pauseNotice: String? {
        if let notice = pause.notice { return notice }
        return pausedScope.isEmpty ? nil : "Paused: \(pausedScope.text.printable). What is held waits for `mlmirror resume`."
    }
}

/// Waits for the owner's answer to a request, and says what is paused meanwhile.
struct OwnerWait {
    private let state: ReplicationState
    private let session: Session
    private let output: OutputOptions

    init(_ state: ReplicationState, _ session: Session, _ output: OutputOptions) {
        self.state = state
        self.session = session
        self.output = output
    }

    /// - Parameter whileWaiting: told of how things stand, about twice a second.
    /// - Throws: `StateError` when the owner ends before it has answered, and whatever `whileWaiting` throws.
    func answer(to number: Int64, whileWaiting: (MirrorStatus) throws -> Void = { _ in }) async throws -> OwnerRequest {
        var told: String?
        while true {
            // Before the request is read: who answers and then ends has answered.
            let status = try MirrorStatus(of: state, at: session.clock.nowMilliseconds)
            if let notice = status.pauseNotice, notice != told { session.remark(notice, output) }
            told = status.pauseNotice
            guard let request = try state.request(number) else {
                throw StateError(.locked, "\(state.path): the request is no longer in the file")
            }
            if request.state == .done || request.state == .refused { return request }
            guard status.hasDaemon else {
                throw StateError(.locked, "\(state.path): the daemon ended before it was done; the next one goes on with it.")
            }
            try whileWaiting(status)
            try await session.clock.sleep(seconds: 0.4)
        }
    }
}
