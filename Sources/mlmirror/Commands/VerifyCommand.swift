import ArgumentParser
import Replication

struct VerifyCommand: MirrorCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare both sides field by field, and name each difference.",
        discussion: """
            Examples:
              mlmirror verify --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db
              mlmirror verify --config mlmirror.yaml --deep --report report.json
              mlmirror verify --config mlmirror.yaml --repair

            Ends with 0 when both sides agree, and with 4 when there is a difference.
            Beside a daemon, what differs is looked at again once that has caught up;
            what it does not carry across meanwhile makes the end 3, and so does a
            scope that nothing is in.
            """
    )

    @OptionGroup var common: CommonOptions

    @Flag(help: "Compare every metric point, and every byte of every file by its hash.")
    var deep = false

    @Flag(help: "Copy what differs again, then compare once more: the result is the second comparison's.")
    var repair = false

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("Write all differences and the result to this file, as JSON.", valueName: "file.json"))
    var report: String?

    func validate() throws {
        guard let report else { return }
        if report == "-" { throw ValidationError("--report takes a file's name; --json prints the same report to standard output") }
        if !report.hasSuffix(".json") { throw ValidationError("--report writes JSON: its file's name must end in .json") }
    }

    func execute(in session: Session) async throws -> Outcome {
        let settings = try common.settings(session)
        let result = try await session.withStores(settings) { primary, secondary, _ in
            try await compare(primary, secondary, settings, session)
        }
        session.logger(common.output).event(
            .verifyFinished,
            [
                "differences": "\(result.differences)", "unreadable": "\(result.unreadable)", "deep": "\(deep)", "repaired": "\(repair)",
                "seconds": "\(result.seconds)",
            ])
        if result.differences > 0 { return Outcome(.differences, Quantity.count(result.differences, "difference")) }
        if result.unreadable > 0 { return Outcome(.incomplete, "\(Quantity.count(result.unreadable)) could not be read") }
        if result.overdue > 0 { return Outcome(.incomplete, "\(Quantity.count(result.overdue, "change")) had not been carried across") }
        if result.isOfNothing { return Outcome(.incomplete, "nothing is in scope") }
        return .ok
    }

    private func compare<Primary: TrackingStore, Secondary: WritableStore>(
        _ primary: Primary, _ secondary: Secondary, _ settings: MirrorSettings, _ session: Session
    ) async throws -> VerifySummary {
        // Before the work: a report that cannot be written is said at once.
        let outlets = try VerifyOutlets(self, settings, session)
        do {
            do {
                return try await session.withState(settings.state.value) { state in
                    try LiveReport.noteEnd(in: state)
                    return try await compare(VerifyRun(primary, secondary, state, settings, session, self), outlets)
                }
            } catch let error as StateError where error.kind == .locked && !repair {
                // Beside a daemon, which goes on meanwhile.
                return try await session.visitingState(settings.state.value) { state in
                    guard try MirrorStatus(of: state, at: session.clock.nowMilliseconds).report?.hasEnded == false else { throw error }
                    return try await compare(VerifyRun(primary, secondary, state, settings, session, self, isVisitor: true), outlets)
                }
            }
        } catch {
            outlets.abandon()
            throw error
        }
    }

    private func compare(_ run: VerifyRun<some TrackingStore, some WritableStore>, _ outlets: VerifyOutlets) async throws -> VerifySummary {
        let first = try await run.compare(repairing: repair) { try outlets.add($0) }
        guard repair, first.differences > 0 else {
            try outlets.finish(first, afterRepair: nil)
            run.noteSuccess(first)
            return first
        }
        outlets.showFirst(first)
        try outlets.showRepair(try await run.repair())
        let second = try await run.compare(repairing: false) { outlets.addAfterRepair($0) }
        try outlets.finish(first, afterRepair: second)
        run.noteSuccess(second)
        return second
    }
}

/// The steps of one verification.
private struct VerifyRun<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let primary: Primary
    let secondary: Secondary
    let state: ReplicationState
    let settings: MirrorSettings
    let session: Session
    let options: VerifyCommand
    let isVisitor: Bool

    init(
        _ primary: Primary, _ secondary: Secondary, _ state: ReplicationState, _ settings: MirrorSettings, _ session: Session,
        _ options: VerifyCommand, isVisitor: Bool = false
    ) {
        self.primary = primary
        self.secondary = secondary
        self.state = state
        self.settings = settings
        self.session = session
        self.options = options
        self.isVisitor = isVisitor
    }

    func compare(
        repairing: Bool, _ report: @escaping @Sendable (Difference) async throws -> Void
    ) async throws -> VerifySummary {
        let board = ProgressBoard()
        let verify = Verify(
            primary: primary, secondary: secondary, state: state, configuration: settings.mirrorConfiguration(deep: options.deep),
            deep: options.deep, board: board, clock: session.clock, logger: session.logger(options.common.output),
            isVisitor: isVisitor)
        return try await reporter(board).during(session.signals) { try await verify.run(repairing: repairing, report) }
    }

    /// For who watches. Of a part of what is mirrored it is not said; and who may only read the state file cannot say it.
    func noteSuccess(_ summary: VerifySummary) {
        guard summary.isProven, (try? state.isMirroring(settings.scope)) == true else { return }
        try? state.noteVerified(at: session.clock.nowMilliseconds)
    }

    func repair() async throws -> BackfillSummary {
        let board = ProgressBoard()
        let backfill = Backfill(
            primary: primary, secondary: secondary, state: state, configuration: settings.mirrorConfiguration(), board: board,
            clock: session.clock, logger: session.logger(options.common.output))
        return try await reporter(board).during(session.signals) { try await backfill.repair() }
    }

    private func reporter(_ board: ProgressBoard) -> ProgressReporter {
        ProgressReporter(board, console: session.console, clock: session.clock, form: options.common.output.progressForm(session))
    }
}
