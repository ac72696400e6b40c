import ArgumentParser
import Replication

/// What the secondary will not accept as it is.
struct DeadLettersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "What was set aside: list, show, try again, or leave out for good.",
        discussion: """
            Examples:
              mlmirror dead-letters list --config mlmirror.yaml
              mlmirror dead-letters show --config mlmirror.yaml 12
              mlmirror dead-letters requeue --config mlmirror.yaml 12 13
              mlmirror dead-letters discard --config mlmirror.yaml 12

            A dead letter is a thing, or one field, file or version of it, that the
            secondary refuses as it is. It is in nobody's way, and every start and
            every backfill try it again, until it is there or discarded.
            """,
        subcommands: [DeadLetterListCommand.self, DeadLetterShowCommand.self, DeadLetterRequeueCommand.self, DeadLetterDiscardCommand.self]
    )
}

/// What a letter is about, as people write it.
enum LetterKind: String, CaseIterable, ExpressibleByArgument {
    case experiment, run, model
    case loggedModel = "logged-model"
    case runFiles = "run-files"
    case loggedModelFiles = "logged-model-files"
    case deletion

    var key: EntityKey.Kind {
        switch self {
        case .experiment: .experiment
        case .run: .run
        case .model: .registeredModel
        case .loggedModel: .loggedModel
        case .runFiles: .runArtifacts
        case .loggedModelFiles: .loggedModelArtifacts
        case .deletion: .experimentDeletion
        }
    }

    static func name(of kind: EntityKey.Kind) -> String { allCases.first { $0.key == kind }?.rawValue ?? kind.rawValue }
}

/// `12`, or `#12` as it is shown.
struct LetterNumber: ExpressibleByArgument {
    var value: Int64
    init?(argument: String) {
        guard let value = Int64(argument.hasPrefix("#") ? argument.dropFirst() : argument[...]), value > 0 else { return nil }
        self.value = value
    }
}

/// Some of all letters.
struct LetterFilter: ParsableArguments {
    @Option(help: ArgumentHelp("Only of this kind: \(LetterKind.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "kind"))
    var kind: LetterKind?

    @Option(help: ArgumentHelp("Only with this reason, as the list shows it.", valueName: "reason"))
    var reason: String?

    var isEmpty: Bool { kind == nil && reason == nil }
    var selection: LetterSelection { LetterSelection(kind: kind?.key, reason: reason) }
}

struct DeadLetterListCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "What is set aside, each with its number, reason and message.",
        discussion: """
            Examples:
              mlmirror dead-letters list --config mlmirror.yaml
              mlmirror dead-letters list --state mirror.db --kind run-files
              mlmirror dead-letters list --state mirror.db --reason invalid --json
              mlmirror dead-letters list --state mirror.db --discarded --limit 1000

            Reads the state file, whether a daemon runs or not.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup var filter: LetterFilter

    @Option(help: ArgumentHelp("Show so many at most; the rest is counted.", valueName: "count"))
    var limit = 20

    @Flag(help: "Those that are left out by decision instead.")
    var discarded = false

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit takes a number from 1 on") }
    }

    func execute(in session: Session) async throws -> Outcome {
        let list = try await session.visitingState(try stateOptions.path(session)) { state in
            LetterList(
                letters: try state.letters(filter.selection, discarded: discarded, limit: limit),
                count: try state.letterCount(filter.selection, discarded: discarded),
                discarded: try state.discardedCount(), showsDiscarded: discarded)
        }
        if output.json {
            session.console.result(try JSONLine.encode(LetterListDocument(list)) + "\n")
        } else {
            session.console.result(LetterText(now: session.clock.nowMilliseconds, style: session.style(output.color)).text(list))
        }
        return .ok
    }
}

struct DeadLetterShowCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "All that is known of one dead letter: also what was asked and answered.",
        discussion: """
            Examples:
              mlmirror dead-letters show --config mlmirror.yaml 12
              mlmirror dead-letters show --state mirror.db 12 --json

            Of a request its method and path are kept, of the answer its status,
            error code and at most 300 characters of its words.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Argument(help: "The letter's number.")
    var number: LetterNumber

    func execute(in session: Session) async throws -> Outcome {
        let letter = try await session.visitingState(try stateOptions.path(session)) { state in
            try state.letters(numbered: [number.value])[0]
        }
        if output.json {
            session.console.result(try JSONLine.encode(LetterDocument(letter, messageType: "dead_letter")) + "\n")
        } else {
            session.console.result(LetterText(now: session.clock.nowMilliseconds, style: session.style(output.color)).whole(letter))
        }
        return .ok
    }
}

extension ReplicationState {
    /// The letters of these numbers, which must all be there.
    ///
    /// - Throws: `CommandFailure` that names those that are not.
    func letters(numbered numbers: [Int64]) throws -> [NotedLetter] {
        let found = try letters(LetterSelection(numbers: numbers), limit: numbers.count)
        let missing = Set(numbers).subtracting(found.map(\.number)).sorted()
        guard missing.isEmpty else {
            let names = missing.map { "#\($0)" }.joined(separator: ", ")
            throw CommandFailure(
                "there is no dead letter \(names): it was never there, or what it was about is copied by now. "
                    + "`mlmirror dead-letters list` shows those that are")
        }
        return found
    }
}
