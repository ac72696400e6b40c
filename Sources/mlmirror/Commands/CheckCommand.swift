import ArgumentParser
import Replication

struct CheckCommand: MirrorCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check configuration, state file, both servers, permissions and feed, before anything is copied.",
        discussion: """
            Examples:
              mlmirror check --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db
              mlmirror check --config mlmirror.yaml --show-config
              mlmirror check --config mlmirror.yaml --offline
              mlmirror check --config mlmirror.yaml --assess

            Writes nothing, to neither side. Ends with the code of the first step
            that failed.
            """
    )

    @OptionGroup var common: CommonOptions

    @Flag(help: "Print each value and where it came from; secrets are masked.")
    var showConfig = false

    @Flag(help: "Ask neither server.")
    var offline = false

    @Flag(help: "Read the whole primary, and say what the secondary will hold in another form, or not at all.")
    var assess = false

    func validate() throws {
        if assess, offline { throw ValidationError("--assess reads the primary, and --offline asks nobody; give one of them") }
    }

    func execute(in session: Session) async throws -> Outcome {
        var list = CheckList()
        var shown: [ShownSetting] = []
        var assessment: Assessment?
        do {
            let settings = try common.settings(session, needsCredentials: !offline)
            list.ok("configuration", settings.file.map { "from \($0), flags and environment" } ?? "from flags and environment")
            shown = showConfig ? ShownSetting.all(settings) : []
            list.run("state file") { try StateCheck.run(settings.state.value) }
            if !list.hasFailure { list.run("scope") { try StateCheck.scope(settings) } }
            if settings.unknownFields.value { list.ok("unknown fields", StateCheck.unknownFields(settings.scope)) }
            let servers = ServerCheck(session: session)
            if offline { servers.runOffline(settings, &list) } else { try await servers.run(settings, &list) }
            list.run("feed") { try FeedCheck.run(settings) }
            if assess, !list.hasFailure { assessment = try await forecast(of: settings, session) }
        } catch let error as ConfigurationError {
            list.failed("configuration", error)
        }
        // As a service's reload asks first: the one that runs stays as it is.
        if [.usage, .configuration].contains(list.outcome.status),
            case .journal = common.output.logFormat.resolved(session.environment)
        {
            session.logger(common.output).event(.configurationRefused, ["detail": "\(list.outcome.message)"])
        }
        try show(list, shown, assessment, session)
        return list.outcome
    }

    private func forecast(of settings: MirrorSettings, _ session: Session) async throws -> Assessment {
        try await session.withStores(settings) { primary, secondary, _ in
            try await assess(primary, secondary.dialect, settings, session)
        }
    }

    private func assess(
        _ primary: some TrackingStore, _ dialect: Dialect, _ settings: MirrorSettings, _ session: Session
    ) async throws -> Assessment {
        let board = ProgressBoard()
        let reporter = ProgressReporter(
            board, console: session.console, clock: session.clock, form: common.output.progressForm(session))
        let assess = Assess(
            primary: primary, dialect: dialect, configuration: settings.mirrorConfiguration(), board: board, clock: session.clock)
        return try await reporter.during(session.signals) { try await assess.run() }
    }

    private func show(_ list: CheckList, _ settings: [ShownSetting], _ assessment: Assessment?, _ session: Session) throws {
        guard !common.output.json else {
            let document = CheckDocument(
                steps: list.steps, settings: showConfig ? settings : nil, assessment: assessment.map { AssessmentDocument($0) },
                exitCode: list.outcome.status.rawValue)
            return session.console.result(try JSONLine.encode(document) + "\n")
        }
        let style = session.style(common.output.color)
        let forecast = assessment.map { "\n" + AssessmentText(assessment: $0).text } ?? ""
        session.console.result(SettingTable.text(settings, style) + list.text(style) + forecast)
    }
}
