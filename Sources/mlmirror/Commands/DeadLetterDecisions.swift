import ArgumentParser
import Replication

/// Which letters a decision is about: some by number, or all of some kind.
struct LetterChoice: ParsableArguments {
    @Argument(help: "Numbers of letters, as the list shows them.")
    var numbers: [LetterNumber] = []

    @Flag(help: "All that are set aside, of the kind and reason that are named.")
    var all = false

    @OptionGroup var filter: LetterFilter

    func validate() throws {
        if numbers.isEmpty, !all { throw ValidationError("name letters by their numbers, or give --all") }
        if !numbers.isEmpty, all || !filter.isEmpty { throw ValidationError("--all, --kind and --reason go without numbers") }
    }

    /// What is meant, as things are now: nothing that comes later.
    ///
    /// - Throws: `CommandFailure` when a number is nobody's.
    func resolved(_ state: ReplicationState) throws -> (selection: LetterSelection, count: Int) {
        guard numbers.isEmpty else {
            let found = try state.letters(numbered: numbers.map(\.value))
            return (LetterSelection(numbers: found.map(\.number)), found.count)
        }
        var selection = filter.selection
        selection.last = try state.lastLetterNumber()
        return (selection, try state.letterCount(selection))
    }
}

struct DeadLetterRequeueCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "requeue",
        abstract: "Try again what was set aside: its cause is mended.",
        discussion: """
            Examples:
              mlmirror dead-letters requeue --config mlmirror.yaml 12 13
              mlmirror dead-letters requeue --state mirror.db --all
              mlmirror dead-letters requeue --state mirror.db --all --reason forbidden

            Puts the things back into the change log, each whole, also where a letter
            is about one field or file of it. A daemon tries them at once; without one
            the next start or backfill does. Waits for the daemon and says how it
            ended: 0 when all are off the list, 3 when some are set aside again or held
            by a pause. A letter that was discarded is no longer, when it is named by
            its number. While everything, or all files, are paused it does not wait, and
            ends with 3.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup var choice: LetterChoice

    @Flag(help: "Do not wait until they have been tried.")
    var noWait = false

    func execute(in session: Session) async throws -> Outcome {
        let path = try stateOptions.path(session)
        let decision = try await LetterDecision(choice, path, session)
        guard decision.count > 0 else {
            return session.answer(output, DecisionDocument("requeue", letters: 0), "Nothing to try again: nothing like that is set aside.")
        }
        let letters = Quantity.count(decision.count, "letter")
        guard decision.hasOwner else {
            try await session.withState(path) {
                _ = try $0.requeue(decision.selection, listsAgain: true, at: session.clock.nowMilliseconds)
            }
            return session.answer(
                output, DecisionDocument("requeue", .waiting, letters: decision.count),
                "\(letters) put back; no daemon runs: the next start or backfill tries again.")
        }
        guard let request = try await decision.ask(.requeue, path, session, output, waits: !noWait && decision.pause == .nothing) else {
            let paused = decision.pause.notice.map { ". \($0)" }
            let notice = paused ?? (noWait ? nil : decision.absence) ?? "."
            let outcome = session.answer(
                output, DecisionDocument("requeue", .waiting, letters: decision.count), "Noted: \(letters)\(notice)")
            // Who would have waited has not got what was asked for.
            return paused == nil || noWait ? outcome : Outcome(.incomplete, "the daemon is paused")
        }
        guard request.state == .done else { throw CommandFailure(request.message) }
        return try await tell(decision, path, session)
    }

    private func tell(_ decision: LetterDecision, _ path: String, _ session: Session) async throws -> Outcome {
        let shown = 20
        // Of a thing that is set aside again, another part or another reason may be to blame now.
        let (rest, count, held) = try await session.visitingState(path) { state in
            try decision.things.left(in: state, shown: shown)
        }
        let document = DecisionDocument("requeue", .done, letters: decision.count, remaining: rest, remainingCount: count, held: held)
        guard count > 0 else {
            return session.answer(output, document, "Tried again: \(Quantity.count(decision.count, "letter")), none is left.")
        }
        let text = LetterText(now: session.clock.nowMilliseconds, style: session.style(output.color))
        let more = count > rest.count ? "  and \(Quantity.count(count - rest.count)) more\n" : ""
        let message =
            held > 0
            ? "\(Quantity.count(count)) left, \(Quantity.count(held, "thing")) held until `mlmirror resume`"
            : "\(Quantity.count(count)) set aside again"
        _ = session.answer(
            output, document,
            "Tried again: \(Quantity.count(decision.count, "letter")), \(message):\n" + (rest.map(text.line).joined() + more).dropLast())
        return Outcome(.incomplete, message)
    }
}

struct DeadLetterDiscardCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Leave out what was set aside, by decision.",
        discussion: """
            Examples:
              mlmirror dead-letters discard --config mlmirror.yaml 12
              mlmirror dead-letters discard --state mirror.db --all --kind run-files --yes

            It stays off the secondary; `status` no longer counts it and nothing tries
            it again while it is what it is now. When it changes on the primary it is
            tried like any other change. `verify` goes on naming the difference. The
            decision is kept (list --discarded), and requeue takes it back.
            Asks on a terminal; without one it wants --yes.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup var choice: LetterChoice

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @Flag(help: "Do not wait for a daemon's answer.")
    var noWait = false

    func execute(in session: Session) async throws -> Outcome {
        let path = try stateOptions.path(session)
        let decision = try await LetterDecision(choice, path, session)
        guard decision.count > 0 else {
            return session.answer(output, DecisionDocument("discard", letters: 0), "Nothing to discard: nothing like that is set aside.")
        }
        let letters = Quantity.count(decision.count, "letter")
        if !yes {
            let question = "Leave out what \(letters) \(decision.count == 1 ? "is" : "are") about? It stays off the secondary."
            guard try session.isConfirmed(question, "the decision") else { throw CommandFailure("not confirmed; nothing was discarded") }
        }
        var count = 0
        if decision.hasOwner {
            guard let request = try await decision.ask(.discard, path, session, output, waits: !noWait) else {
                let notice = (noWait ? nil : decision.absence) ?? "."
                return session.answer(output, DecisionDocument("discard", .waiting, letters: decision.count), "Noted: \(letters)\(notice)")
            }
            guard request.state == .done else { throw CommandFailure(request.message) }
            count = Int(request.message) ?? decision.count
        } else {
            count = try await session.withState(path) { try $0.discard(decision.selection, at: session.clock.nowMilliseconds) }
        }
        return session.answer(output, DecisionDocument("discard", .done, letters: count), "Discarded: \(Quantity.count(count, "letter")).")
    }
}

/// What some letters are about, for whoever looks afterwards at what became of it.
struct LetterThings: Sendable {
    static let mostRemembered = 20_000
    private let things: Set<EntityKey>
    /// Where there are more than are remembered: all letters of the kind count, whatever their reason is by now. They may be more than
    /// were meant, never fewer than are left.
    private let instead: LetterSelection?

    init(_ selection: LetterSelection, in state: ReplicationState, most: Int = LetterThings.mostRemembered) throws {
        things = try state.things(selection, limit: most)
        var all = LetterSelection()
        all.kind = selection.kind
        instead = things.count < most ? nil : all
    }

    func left(in state: ReplicationState, shown: Int) throws -> (letters: [NotedLetter], count: Int, held: Int) {
        if let instead { return (try state.letters(instead, limit: shown), try state.letterCount(instead), try state.heldCount()) }
        return (try state.letters(of: things, limit: shown), try state.letterCount(of: things), try state.heldCount(of: things))
    }
}

/// What is decided about, and who is to carry it out.
private struct LetterDecision {
    var selection: LetterSelection
    var count: Int
    var things: LetterThings
    /// A daemon, or a command that copies: it alone writes to the letters.
    var hasOwner: Bool
    var pause: Pause
    /// Why it does not answer; nil: it does.
    var absence: String?

    init(_ choice: LetterChoice, _ path: String, _ session: Session) async throws {
        (selection, count, things, hasOwner, pause, absence) = try await session.visitingState(path) { state in
            let (selection, count) = try choice.resolved(state)
            let status = try MirrorStatus(of: state, at: session.clock.nowMilliseconds)
            return (
                selection, count, try LetterThings(selection, in: state), status.condition != .stopped, status.pause, status.absenceNotice
            )
        }
    }

    /// - Returns: nil when nobody waits for the answer.
    func ask(
        _ what: OwnerRequest.What, _ path: String, _ session: Session, _ output: OutputOptions, waits: Bool
    ) async throws -> OwnerRequest? {
        try await session.visitingState(path) { state in
            let number = try state.ask(what, selection.encoded, at: session.clock.nowMilliseconds)
            return waits && absence == nil ? try await OwnerWait(state, session, output).answer(to: number) : nil
        }
    }
}
