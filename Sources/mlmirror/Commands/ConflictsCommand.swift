import ArgumentParser
import Replication

/// What somebody else has changed on the secondary, and what is to be done about it.
struct ConflictsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conflicts",
        abstract: "List what differs on the secondary because somebody changed it there, and decide about it.",
        discussion: """
            Examples:
              mlmirror conflicts list --config mlmirror.yaml
              mlmirror conflicts show --config mlmirror.yaml 3f2a8c0d
              mlmirror conflicts resolve --config mlmirror.yaml 3f2a8c0d \\
                  --decision primary

            What is done about conflicts is said by `rules` in the configuration; a
            decision about one goes before them.
            """,
        subcommands: [ConflictsListCommand.self, ConflictsShowCommand.self, ConflictsResolveCommand.self]
    )
}

/// Which conflicts.
struct ConflictFilter: ParsableArguments {
    @Option(help: ArgumentHelp("Only conflicts of this kind: a key of `rules`.", valueName: "kind"), transform: Self.parse)
    var kind: ConflictKind?

    private static func parse(_ text: String) throws -> ConflictKind {
        if let kind = ConflictKind(rawValue: text) { return kind }
        let all = ConflictKind.allCases.map(\.rawValue)
        let hint = NearestName.of(text, among: all).map { "did you mean \($0)?" } ?? "expected one of \(all.joined(separator: ", "))"
        throw ValidationError("\(text.printable) is no kind of conflict; \(hint)")
    }

    func callAsFunction(_ conflicts: [NotedConflict]) -> [NotedConflict] {
        conflicts.filter { kind == nil || $0.conflict.kind == kind }
    }
}

struct ConflictsListCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "One line for each conflict, the oldest first.",
        discussion: """
            Examples:
              mlmirror conflicts list --config mlmirror.yaml
              mlmirror conflicts list --state mirror.db --kind tag --json
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup var filter: ConflictFilter

    func execute(in session: Session) async throws -> Outcome {
        let found = try await session.visitingState(try stateOptions.path(session)) { filter(try $0.conflicts()) }
        let text = found.isEmpty ? "No conflicts." : found.map(ConflictText.line).joined(separator: "\n")
        return session.answer(output, ConflictsDocument(found), text)
    }
}

struct ConflictsShowCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "All that is known of one conflict, and what can be decided.",
        discussion: """
            Examples:
              mlmirror conflicts show --config mlmirror.yaml 3f2a8c0d
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Argument(help: "Its id, as `list` prints it.")
    var id: String

    func execute(in session: Session) async throws -> Outcome {
        let found = try await session.visitingState(try stateOptions.path(session)) { state in
            let found = try state.conflicts().filter { $0.conflict.id == id }
            if found.isEmpty { throw ConflictText.unknown(id, state.path) }
            return found
        }
        return session.answer(output, ConflictsDocument(found), found.map(ConflictText.whole).joined(separator: "\n\n"))
    }
}

struct ConflictsResolveCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve",
        abstract: "Decide about one conflict, or about all of a kind, whatever the rules say.",
        discussion: """
            Examples:
              mlmirror conflicts resolve --config mlmirror.yaml 3f2a8c0d \\
                  --decision primary
              mlmirror conflicts resolve --state mirror.db --all --kind tag \\
                  --decision secondary

            A decision holds for that field of that thing from then on. A daemon
            carries it out within seconds; without one the next backfill, or the
            next daemon, does.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup var filter: ConflictFilter

    @Argument(help: "Ids, as `list` prints them.")
    var ids: [String] = []

    @Flag(help: "All conflicts of the kind that --kind names.")
    var all = false

    @Option(help: "What is to be done; `show` prints what can be.", transform: Self.parse)
    var decision: ConflictDecision

    private static func parse(_ text: String) throws -> ConflictDecision {
        if let decision = ConflictDecision(rawValue: text) { return decision }
        let all = ConflictDecision.allCases.map(\.rawValue)
        let hint = NearestName.of(text, among: all).map { "did you mean \($0)?" } ?? "expected one of \(all.joined(separator: ", "))"
        throw ValidationError("\(text.printable) is no decision; \(hint)")
    }

    func validate() throws {
        if !all, ids.isEmpty { throw ValidationError("name conflicts by their ids, or all of a kind with --all --kind") }
        if all, !ids.isEmpty { throw ValidationError("--all goes without ids") }
        if all != (filter.kind != nil) { throw ValidationError("--all and --kind go together") }
    }

    func execute(in session: Session) async throws -> Outcome {
        try await session.visitingState(try stateOptions.path(session)) { state in
            let noted = try state.conflicts()
            var chosen = all ? filter(noted) : []
            for id in ids {
                let found = noted.filter { $0.conflict.id == id }
                if found.isEmpty { throw ConflictText.unknown(id, state.path) }
                chosen += found
            }
            // All or none.
            for conflict in chosen.map(\.conflict) where !conflict.kind.allowed.contains(decision) {
                throw MirrorError(
                    .configuration,
                    "--decision: conflict \(conflict.id) is of the kind \(conflict.kind.rawValue): expected one of "
                        + "\(ConflictText.allowed(conflict.kind)), found \(decision.rawValue)")
            }
            try state.resolve(chosen.map(\.conflict), decision, at: session.clock.nowMilliseconds)
            let isRunning = try MirrorStatus(of: state, at: session.clock.nowMilliseconds).hasDaemon
            let ids = Set(chosen.map(\.conflict.id))
            let now = try state.conflicts().filter { ids.contains($0.conflict.id) }
            let count = Quantity.count(chosen.count, "conflict")
            let when = chosen.isEmpty ? "" : (isRunning ? " The daemon carries it out." : " The next backfill or daemon carries it out.")
            return session.answer(output, ConflictsDocument(now), "\(count): \(decision.rawValue).\(when)")
        }
    }
}
