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

            The id is the primary's. A daemon does it at once; without one it is done
            when the next one starts. Ends with 0 when all of it is copied, with 3 when
            some of it is set aside, and refuses what is out of scope.
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
            guard status.condition != .stopped, !noWait else {
                return session.answer(
                    output, RequestDocument(state: OwnerRequest.State.waiting.rawValue),
                    status.condition == .stopped ? "Noted; no daemon runs: the next one does it." : "Noted.")
            }
            let request = try await OwnerWait(state, clock: session.clock).answer(to: number)
            guard request.state == .done else { return Outcome(.failed, request.message) }
            if let left = Int(request.message) {
                _ = session.answer(
                    output, RequestDocument(state: request.state.rawValue, setAside: left),
                    "\(kind.rawValue) \(id): tried, \(Quantity.count(left, "letter")) set aside; `mlmirror dead-letters` shows them")
                return Outcome(.incomplete, "\(Quantity.count(left, "letter")) set aside")
            }
            return session.answer(output, RequestDocument(state: request.state.rawValue), "\(kind.rawValue) \(id): done")
        }
    }
}

struct RequestDocument: Encodable {
    var messageType = "request"
    var state: String
    /// How many letters say what of it is not on the secondary.
    var setAside: Int?
}

/// Waits for the owner's answer to a request.
struct OwnerWait {
    private let state: ReplicationState
    private let clock: any ReplicationClock

    init(_ state: ReplicationState, clock: any ReplicationClock) {
        self.state = state
        self.clock = clock
    }

    /// - Parameter whileWaiting: told of how things stand, about twice a second.
    /// - Throws: `StateError` when the owner ends before it has answered, and whatever `whileWaiting` throws.
    func answer(to number: Int64, whileWaiting: (MirrorStatus) throws -> Void = { _ in }) async throws -> OwnerRequest {
        while true {
            guard let request = try state.request(number) else {
                throw StateError(.locked, "\(state.path): the request is no longer in the file")
            }
            if request.state == .done || request.state == .refused { return request }
            let status = try MirrorStatus(of: state, at: clock.nowMilliseconds)
            guard status.condition != .stopped else {
                throw StateError(.locked, "\(state.path): the daemon ended before it was done; the next one goes on with it.")
            }
            try whileWaiting(status)
            try await clock.sleep(seconds: 0.4)
        }
    }
}
