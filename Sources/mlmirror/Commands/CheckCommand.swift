import ArgumentParser

struct CheckCommand: MirrorCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check configuration, state file, both servers and permissions, before anything is copied.",
        discussion: """
            Examples:
              mlmirror check --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db
              mlmirror check --config mlmirror.yaml --show-config
              mlmirror check --config mlmirror.yaml --offline

            Writes nothing, to neither side. Ends with the code of the first step
            that failed.
            """
    )

    @OptionGroup var common: CommonOptions

    @Flag(help: "Print each value and where it came from; secrets are masked.")
    var showConfig = false

    @Flag(help: "Ask neither server.")
    var offline = false

    func execute(in session: Session) async throws -> Outcome {
        var list = CheckList()
        var shown: [ShownSetting] = []
        do {
            let settings = try common.settings(session)
            list.ok("configuration", settings.file.map { "from \($0), flags and environment" } ?? "from flags and environment")
            shown = showConfig ? ShownSetting.all(settings) : []
            list.run("state file") { try StateCheck.run(settings.state.value) }
            if offline {
                for role in Role.allCases { list.skip(role.rawValue, "not asked (--offline)") }
            } else {
                try await ServerCheck(session: session).run(settings, &list)
            }
        } catch let error as ConfigurationError {
            list.failed("configuration", error)
        }
        try show(list, shown, session)
        return list.outcome
    }

    private func show(_ list: CheckList, _ settings: [ShownSetting], _ session: Session) throws {
        guard !common.output.json else {
            let document = CheckDocument(steps: list.steps, settings: showConfig ? settings : nil, exitCode: list.outcome.status.rawValue)
            return session.console.result(try JSONLine.encode(document) + "\n")
        }
        let style = session.style(common.output.color)
        session.console.result(SettingTable.text(settings, style) + list.text(style))
    }
}
