import ArgumentParser
import Replication

struct ModeCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "mode",
        abstract: "Show which store is the system of record, or switch.",
        discussion: """
            Examples:
              mlmirror mode --config /etc/mlmirror/mlmirror.yaml
              mlmirror mode azureml-only --config /etc/mlmirror/mlmirror.yaml
              mlmirror mode azureml-only --state mirror.db --experiment '/Shared/risk/**'
              mlmirror mode dual --state mirror.db

            dual: the primary is the system of record, and everything in scope follows
            it. azureml-only: the secondary is, and nothing that people have changed
            there is written over any more. The daemon leads there in four steps that outlive it: fence (the
            cutover is noted), drain (everything up to it is carried across), verify
            (both sides are compared; what differs is mended, and compared again; of a
            model also the runs and logged models that its versions stand on),
            seal. Without a daemon the next one does it.

            What still changes on the primary afterwards is added to the secondary and
            named in the journal with its user and source; mode.stragglers: report in
            the configuration has it only named.

            dual ends it: with --experiment and --model the switch of these very
            patterns, else every one. Everything is compared anew then.

            A switch is asked about on a terminal, unless --yes is there.

            Exit code 4: both sides differ, and nothing was switched. It is compared
            again every ten minutes, and switched once it agrees, until you say dual.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Argument(
        help: "dual or azureml-only; without it the present mode is shown.", completion: .list(Mode.allCases.map(\.rawValue)),
        transform: { text in
            guard let mode = Mode(rawValue: text) else {
                throw ValidationError("expected dual or azureml-only, found \"\(text.printable)\"")
            }
            return mode
        })
    var mode: Mode?

    @OptionGroup var names: NameOptions

    @Flag(help: "azureml-only: compare every metric point, and every byte of every file.")
    var deep = false

    @Flag(help: "azureml-only: switch although both sides differ; `mode` shows by how much.")
    var acceptDifferences = false

    @Flag(help: "Do not wait until it is done.")
    var noWait = false

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func validate() throws {
        try names.check()
        if mode == nil, !names.scope.isEmpty { throw ValidationError("say azureml-only or dual before --experiment and --model") }
        if mode != .azureMLOnly, deep || acceptDifferences {
            throw ValidationError("--deep and --accept-differences are for azureml-only")
        }
    }

    private var scope: NameScope { names.scope.isEmpty ? .everything : names.scope }

    func execute(in session: Session) async throws -> Outcome {
        try await session.visitingState(try stateOptions.path(session)) { state in
            switch mode {
            case nil: return try show(state, session)
            case .dual:
                try confirm(
                    "Make the primary lead \(scope.text) again? What people edit on the secondary is then decided by the rules.", session)
                return try end(state, session)
            case .azureMLOnly:
                try confirm("Hand \(scope.text) over to the secondary? Clients have to log there from then on.", session)
                return try await begin(state, session)
            }
        }
    }

    /// Where nobody can be asked, the command says it all: a switch can be taken back.
    private func confirm(_ question: String, _ session: Session) throws {
        guard !yes, session.canAsk, try !session.isConfirmed(question, "the switch") else { return }
        throw CommandFailure("not confirmed; nothing was switched")
    }

    private func show(_ state: ReplicationState, _ session: Session) throws -> Outcome {
        let document = ModeDocument(try state.modes, try state.stragglerCount(), try state.stragglers(limit: ModeDocument.stragglersShown))
        return session.answer(output, document, document.text(at: session.clock.nowMilliseconds))
    }

    private func end(_ state: ReplicationState, _ session: Session) throws -> Outcome {
        let ended = try state.endModes(scope)
        // Marks that are still looked for may tell of more.
        let isKnown = try state.pair() == nil || state.hasAdopted()
        guard !ended.isEmpty || scope == .everything || !isKnown else {
            let switches = try state.modes.switches.map(\.scope.text)
            let there = switches.isEmpty ? "nothing" : switches.joined(separator: "; ")
            throw MirrorError(.configuration, "\(scope.text): not switched by these patterns; switched is: \(there)")
        }
        return try show(state, session)
    }

    private func begin(_ state: ReplicationState, _ session: Session) async throws -> Outcome {
        let asked = ModeSwitch(
            scope, askedAt: session.clock.nowMilliseconds, isDeep: deep, acceptsDifferences: acceptDifferences)
        try state.changeModes { $0.ask(asked) }
        var said: String?
        while let one = try state.modes.switches.first(where: { $0.scope == scope }), !one.step.isLast {
            let isRunning = try MirrorStatus(of: state, at: session.clock.nowMilliseconds).hasDaemon
            if !isRunning || noWait {
                session.remark(isRunning ? "Noted." : "Noted; no daemon runs: the next one does it.", output)
                return try show(state, session)
            }
            if one.isBlocked {
                _ = try show(state, session)
                let why = one.differences > 0 ? Quantity.count(one.differences, "difference") : "it waits for \(one.waitsFor ?? "people")"
                return Outcome(.differences, "\(scope.text): \(why); nothing was switched")
            }
            let line = "\(scope.text): \(one.progress)"
            if line != said { session.remark(line, output) }
            said = line
            try await session.clock.sleep(seconds: 0.4)
        }
        guard try state.modes.switches.contains(where: { $0.scope == scope }) else {
            throw CommandFailure("\(scope.text): the switch was taken back meanwhile")
        }
        return try show(state, session)
    }
}

extension ModeSwitch.Step {
    fileprivate var isLast: Bool { self == .sealed }
}
