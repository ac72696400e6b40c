import Replication
import Testing

@testable import mlmirror

@Suite("settings")
struct SettingsLoaderTests {
    private let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func flags(_ change: (inout FlagValues) -> Void = { _ in }) -> FlagValues {
        var flags = FlagValues()
        flags.primary = "http://a:5000"
        flags.secondary = "http://b:5000"
        flags.state = "flag.db"
        change(&flags)
        return flags
    }

    private func load(_ flags: FlagValues, _ variables: [String: String] = [:], standardFile: String? = nil) throws -> MirrorSettings {
        try SettingsLoader(flags: flags, environment: Environment(variables), standardFile: standardFile).load()
    }

    private func refusal(_ flags: FlagValues, _ variables: [String: String] = [:]) -> ConfigurationError? {
        #expect(throws: ConfigurationError.self) { try load(flags, variables) }
    }

    // MARK: Precedence

    @Test("a flag goes before the environment, that before the file, that before the default")
    func precedence() throws {
        let path = try folder.write(
            "m.yaml", "primary: { uri: 'http://file' }\nsecondary: { uri: 'http://b' }\nstate: /file.db\nwindow: 4\npair: p\n")
        var flags = FlagValues()
        flags.config = path
        let fromFile = try load(flags)
        #expect(fromFile.primary.uri.value.description == "http://file")
        #expect(fromFile.state.value == "/file.db")
        #expect(fromFile.window.origin == .file(Place(file: path, line: 4, column: 9)))
        #expect(fromFile.artifactWindow.value == 4 && fromFile.artifactWindow.origin == .standard)

        let variables = [
            "MLMIRROR_PRIMARY": "http://variable", "MLMIRROR_STATE": "variable.db", "MLMIRROR_WINDOW": "9", "MLMIRROR_PAIR": "",
        ]
        let fromVariables = try load(flags, variables)
        #expect(fromVariables.primary.uri.value.description == "http://variable")
        #expect(fromVariables.state.value == "variable.db")
        #expect(fromVariables.window.value == 9 && fromVariables.window.origin == .environment("MLMIRROR_WINDOW"))
        #expect(fromVariables.pair.value == "p", "an empty variable is not set")

        flags.primary = "http://flag"
        flags.state = "flag.db"
        let fromFlags = try load(flags, variables)
        #expect(fromFlags.primary.uri.value.description == "http://flag")
        #expect(fromFlags.state.value == "flag.db" && fromFlags.state.origin == .flag("--state"))
    }

    @Test("storage fetches files by itself unless the file says otherwise")
    func serverSideCopy() throws {
        #expect(try load(flags()).mirrorConfiguration().copiesInStorage)
        let path = try folder.write("m.yaml", "server_side_copy: false\n")
        let settings = try load(flags { $0.config = path })
        #expect(!settings.mirrorConfiguration().copiesInStorage)
        #expect(settings.serverSideCopy.origin == .file(Place(file: path, line: 1, column: 19)))
    }

    @Test("patterns on the command line replace those in the file")
    func patterns() throws {
        let path = try folder.write("m.yaml", "scope: { experiments: [a, b], models: [m] }\n")
        let settings = try load(
            flags {
                $0.config = path
                $0.experiments = ["c"]
                $0.noArtifacts = true
            })
        #expect(settings.experiments.value == ["c"])
        #expect(settings.models.value == ["m"])
        #expect(settings.mirrorConfiguration().scope.artifacts == false)
    }

    @Test("unknown fields are carried by choice, and not where values are masked")
    func unknownFields() throws {
        #expect(try !load(flags()).primary.carriesUnknownFields)
        var settings = try load(flags { $0.config = try? folder.write("on.yaml", "scope: { unknown_fields: true }\n") })
        #expect(settings.primary.carriesUnknownFields && !settings.secondary.carriesUnknownFields)
        #expect(StateCheck.unknownFields(settings.scope).hasPrefix("carried"))
        settings = try load(
            flags { $0.config = try? folder.write("masked.yaml", "scope: { unknown_fields: true, mask: { users: drop } }\n") })
        #expect(!settings.primary.carriesUnknownFields)
        #expect(StateCheck.unknownFields(settings.scope).hasSuffix("by scope.mask"))
    }

    @Test("an empty pattern, as an unset variable of a shell makes it, is refused", arguments: ["", "!"])
    func blankPatterns(_ pattern: String) throws {
        let experiment = refusal(flags { $0.experiments = ["a", pattern] })
        #expect(experiment?.isUsage == true && experiment?.description.contains("--experiment") == true)
        let model = refusal(flags { $0.models = [pattern] })
        #expect(model?.description.contains("--model") == true && model?.description.hasSuffix("a pattern may not be empty") == true)
        #expect(!PatternList(["!**"]).matches("a/b") && !PatternList(["!**"]).matches(""), "what stands for none")
    }

    @Test("the default file is read when there is no --primary")
    func standardFile() throws {
        let path = try folder.write("m.yaml", "primary: { uri: 'http://file' }\nsecondary: { uri: 'http://b' }\nstate: s.db\n")
        let settings = try load(FlagValues(), standardFile: path)
        #expect(settings.file == path)
        #expect(settings.state.value == folder.file("s.db"), "a relative path in a file starts at the file's folder")
        #expect(try load(flags(), standardFile: path).file == nil)
        #expect(refusal(FlagValues())?.isUsage == true)
    }

    @Test("what is missing is named with all the ways to give it")
    func missing() throws {
        let nothing = refusal(flags { $0.state = nil })
        #expect(
            nothing?.description
                == "no state: give --state FILE, set MLMIRROR_STATE, or write state in a file and name that with --config FILE")
        #expect(nothing.map(Status.of) == .usage)
        let path = try folder.write("m.yaml", "primary: { uri: 'http://a' }\nstate: s\n")
        var flags = FlagValues()
        flags.config = path
        let inFile = refusal(flags)
        #expect(
            inFile?.description == "no secondary.uri: give --secondary URI, set MLMIRROR_SECONDARY, or write secondary.uri in \(path)")
        #expect(inFile.map(Status.of) == .configuration)
    }

    @Test("a secondary that nobody edits is not read, and has no rules for edits")
    func unedited() throws {
        var flags = flags()
        func settings(_ text: String) throws -> MirrorSettings {
            flags.config = try folder.write("m.yaml", text)
            return try load(flags)
        }
        #expect(try settings("pair: a\n").mirrorConfiguration().secondaryIsEdited)
        let unedited = try settings("secondary: { uri: \"http://b\", edited: false }\nrules: { alias: park, tag: primary }\n")
        #expect(!unedited.mirrorConfiguration().secondaryIsEdited)
        #expect(ShownSetting.all(unedited).first { $0.key == "secondary.edited" }?.value == "false")
        for rules in ["tag: park", "experiments: { \"a/**\": { artifact: secondary } }", "deleted_on_secondary: restore"] {
            let error = #expect(throws: ConfigurationError.self) {
                try settings("secondary: { uri: \"http://b\", edited: false }\nrules: { \(rules) }\n")
            }
            #expect(error?.description.contains("secondary.edited is false") == true, "\(rules): \(error?.description ?? "")")
        }
    }

    @Test("what passes is read with the key of its pseudonyms, which is shown nowhere")
    func passage() throws {
        let text = """
            scope:
              owners: [ann*]
              leave_out: { tags: ["dbx.*"], params: [p], artifacts: ["**/*.tmp"] }
              rename: { experiments: { "/Users/**": "people/**" }, models: { a: b } }
              mask: { users: pseudonym, tags: { team: drop }, params: { path: pseudonym }, key_file: mask.key }
            secondary: { uri: "http://b", experiment_names: "x-{path}-{hash}" }

            """
        var flags = flags()
        flags.config = try folder.write("m.yaml", text)
        _ = try folder.write("mask.key", "shibboleth of some length\n")
        let settings = try load(flags)
        let scope = settings.scope
        #expect(scope.owners == PatternList(["ann*"]))
        #expect(scope.passage.leaveOut == LeaveOut(tags: ["dbx.*"], params: ["p"], artifacts: ["**/*.tmp"]))
        #expect(scope.renaming == Renaming(experiments: [.init("/Users/**", "people/**")], models: [.init("a", "b")]))
        let key = PseudonymKey("shibboleth of some length")
        #expect(
            scope.passage.mask
                == Mask(users: .pseudonym, tags: [.init("team", .drop)], params: [.init("path", .pseudonym)], key: key))
        #expect(settings.mirrorConfiguration().experimentNames == NameTemplate("x-{path}-{hash}"))
        let shown = ShownSetting.all(settings)
        #expect(shown.first { $0.key == "scope.mask.tags" }?.value == "team: drop")
        #expect(shown.first { $0.key == "scope.rename.experiments" }?.value == "/Users/** to people/**")
        #expect(!"\(shown)\(settings)".contains("shibboleth"))

        _ = try folder.write("mask.key", "shibboleth\n")
        let short = refusal(flags)
        #expect(short?.description.contains("scope.mask.key_file: expected 16 characters or more") == true)
        #expect(short?.description.contains("shibboleth") == false)
        let canary = refusal(flags, ["MLMIRROR_CANARY_SECONDS": "60"])
        #expect(canary != nil)
    }

    @Test("a canary out of scope would never arrive")
    func canary() throws {
        let settings = try load(flags(), ["MLMIRROR_CANARY_SECONDS": "60"])
        #expect(settings.liveConfiguration().canary?.seconds == 60)
        #expect(settings.liveConfiguration().canary?.experiment == "mlmirror-canary")
        #expect(try load(flags()).liveConfiguration().canary == nil)
        let outside = refusal(flags { $0.experiments = ["a*"] }, ["MLMIRROR_CANARY_SECONDS": "60"])
        #expect(
            outside?.description == "--experiment: scope.experiments: leaves out the canary's experiment mlmirror-canary; widen it, "
                + "or set live.canary_seconds to 0")
        let ended = refusal(flags { $0.until = 1_704_067_200_000 }, ["MLMIRROR_CANARY_SECONDS": "60"])
        #expect(ended?.description.hasPrefix("--until: scope.until: leaves out the canary's") == true)
        #expect(
            try load(flags { $0.experiments = ["a*"] }, ["MLMIRROR_CANARY_SECONDS": "6", "MLMIRROR_CANARY_EXPERIMENT": "ab"])
                .canaryExperiment.value == "ab")
    }

    @Test("impossible combinations are refused")
    func impossible() throws {
        let reversed = refusal(
            flags {
                $0.since = 1_704_067_200_000
                $0.until = 1_704_067_200_000
            })
        #expect(
            reversed?.description
                == "--until: until (2024-01-01T00:00:00.000Z) must be later than since (2024-01-01T00:00:00.000Z, flag --since)")
        #expect(refusal(flags(), ["MLMIRROR_PAIR": "a b"])?.description.hasPrefix("MLMIRROR_PAIR: pair: expected") == true)
        #expect(refusal(flags(), ["MLMIRROR_WINDOW": "0"])?.description == "MLMIRROR_WINDOW: expected a whole number from 1 to 64")
        #expect(refusal(flags(), ["MLMIRROR_SINCE": "soon"])?.description.hasPrefix("MLMIRROR_SINCE: expected a date") == true)
    }

    // MARK: Credentials

    private func basic(_ user: String, _ password: String) -> Credentials { .basic(username: user, password: Secret(password)) }

    @Test("MLFLOW_TRACKING_* serve the primary alone, or the one store that MLFLOW_TRACKING_URI names")
    func trackingVariables() throws {
        let variables = ["MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p", "MLFLOW_TRACKING_TOKEN": "t"]
        let alone = try load(flags(), variables)
        #expect(alone.primary.credentials.value == basic("u", "p"), "user and password win over a token")
        #expect(alone.secondary.credentials.value == .none)
        #expect(alone.secondary.environment["MLFLOW_TRACKING_PASSWORD"] == nil)

        let named = try load(flags(), variables.merging(["MLFLOW_TRACKING_URI": "HTTP://B:5000/"]) { _, new in new })
        #expect(named.primary.credentials.value == .none)
        #expect(named.primary.environment["MLFLOW_TRACKING_TOKEN"] == nil)
        #expect(named.secondary.credentials.value == basic("u", "p"))

        for other in ["http://c:5000", "databricks", "sqlite:///x.db"] {
            let neither = try load(flags(), variables.merging(["MLFLOW_TRACKING_URI": other]) { _, new in new })
            #expect(neither.primary.credentials.value == .none && neither.secondary.credentials.value == .none)
        }
    }

    private static let workspace = ["DATABRICKS_HOST": "adb-1.2.azuredatabricks.net", "DATABRICKS_TOKEN": "shibboleth"]

    @Test("a workspace of Databricks is known by its host, however it is named")
    func workspaceOfDatabricks() throws {
        var flags = flags()
        for address in ["databricks", "https://adb-1.2.azuredatabricks.net"] {
            flags.primary = address
            let settings = try load(flags, Self.workspace.merging(["MLFLOW_TRACKING_TOKEN": "other"]) { own, _ in own })
            #expect(
                settings.primary.uri.value.description == "https://adb-1.2.azuredatabricks.net" && settings.primary.uri.value.isDatabricks)
            #expect(settings.primary.credentials.value == .none, "MLflow's own variables are not for it")
            #expect(settings.primary.rateShare?.value == 40)
        }
        let share = try load(flags, Self.workspace.merging(["MLMIRROR_PRIMARY_RATE_SHARE": "25"]) { own, _ in own })
        #expect(share.primary.rateShare?.value == 25)
        flags.primary = "databricks"
        #expect(
            refusal(flags, ["DATABRICKS_CONFIG_FILE": "/nowhere"])?.description
                == "--primary: no host of a workspace: set DATABRICKS_HOST, or write host under [DEFAULT] in /nowhere")
        #expect(
            refusal(flags, Self.workspace.merging(["MLMIRROR_CANARY_SECONDS": "5"]) { own, _ in own })?.description
                == "live.canary_experiment: experiments of a Databricks workspace are named by their path: write /Shared/mlmirror-canary")
        flags.primary = "http://a:5000"
        flags.secondary = "databricks"
        #expect(
            refusal(flags, Self.workspace)?.description
                == "--secondary: a workspace of Databricks can only be the primary: this version writes nothing to one")
    }

    @Test("the registry of a workspace is its own")
    func registryOfAWorkspace() throws {
        func load(_ primary: String) throws -> MirrorSettings {
            let folder = try TemporaryFolder()
            let path = try folder.write("m.yaml", "primary: { \(primary) }\nsecondary: { uri: 'http://b' }\nstate: s.db\n")
            var flags = FlagValues()
            flags.config = path
            return try self.load(flags, Self.workspace)
        }
        #expect(try load("uri: databricks, registry: databricks").primary.registry?.value == "databricks")
        #expect(try load("uri: databricks, registry: databricks-uc").primary.registry?.value == "databricks-uc")
        for (primary, why) in [
            (
                "uri: databricks, registry: x",
                "expected databricks (the workspace's own) or databricks-uc (Unity Catalog), found \"x\""
            ),
            ("uri: 'http://a', registry: databricks", "only a workspace of Databricks has more than one"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try load(primary) }
            #expect(error?.message.contains("primary.registry: \(why)") == true, "\(String(describing: error))")
        }
    }

    @Test("a store's own variables go before everything else")
    func ownVariables() throws {
        let variables = [
            "MLMIRROR_SECONDARY_TOKEN": "own", "MLMIRROR_PRIMARY_USERNAME": "u", "MLMIRROR_PRIMARY_PASSWORD": "p",
            "MLFLOW_TRACKING_TOKEN": "other",
        ]
        let settings = try load(flags(), variables)
        #expect(settings.primary.credentials.value == basic("u", "p"))
        #expect(settings.primary.credentials.origin == .environment("MLMIRROR_PRIMARY_PASSWORD"))
        #expect(settings.secondary.credentials.value == .token(Secret("own")))
    }

    @Test("a user and password in an address are taken from the environment alone")
    func userinfo() throws {
        var flags = flags()
        flags.primary = "http://u:shibboleth@a"
        let refused = refusal(flags)
        #expect(refused?.description.hasPrefix("--primary: no user or password in the address: everyone on this machine") == true)
        #expect(refused.map(Status.of) == .usage)
        #expect(refused?.description.contains("shibboleth") == false)

        flags.primary = nil
        let settings = try load(flags, ["MLMIRROR_PRIMARY": "http://u:p%40q@a"])
        #expect(settings.primary.credentials.value == basic("u", "p@q"))
        #expect(settings.primary.uri.value.description == "http://a")

        let path = try folder.write("m.yaml", "primary: { uri: 'http://u:shibboleth@a' }\n")
        flags.config = path
        let inFile = refusal(flags)
        #expect(inFile?.description.contains("name the user with auth.username") == true)
        #expect(inFile?.description.contains("shibboleth") == false)
    }

    @Test("ambiguous or half credentials are refused, naming both sources")
    func ambiguous() {
        let both = refusal(flags(), ["MLMIRROR_PRIMARY_TOKEN": "shibboleth", "MLMIRROR_PRIMARY_PASSWORD": "shibboleth"])
        #expect(
            both?.description
                == "MLMIRROR_PRIMARY_TOKEN: expected a token or a user and password, found environment MLMIRROR_PRIMARY_PASSWORD too; unset one"
        )
        let half = refusal(flags(), ["MLMIRROR_SECONDARY_PASSWORD": "shibboleth"])
        #expect(half?.description == "MLMIRROR_SECONDARY_PASSWORD: a password without a user; set MLMIRROR_SECONDARY_USERNAME")
        #expect(refusal(flags(), ["MLMIRROR_PRIMARY_USERNAME": "u"])?.description.contains("set MLMIRROR_PRIMARY_PASSWORD") == true)
    }

    @Test("secrets come from files beside the configuration, or from systemd's credentials")
    func secretFiles() throws {
        try folder.write("token", "filed\n")
        let path = try folder.write(
            "m.yaml", "primary: { uri: 'http://a', auth: { token_file: token } }\nsecondary: { uri: 'http://b' }\nstate: s\n")
        var flags = FlagValues()
        flags.config = path
        #expect(try load(flags).primary.credentials.value == .token(Secret("filed")))

        let credentials = try TemporaryFolder()
        try credentials.write("token", "from systemd")
        let settings = try load(flags, ["CREDENTIALS_DIRECTORY": credentials.path])
        #expect(settings.primary.credentials.value == .token(Secret("from systemd")))

        // Whom the service manager only asks to look has none.
        FolderMaker.remove(credentials.file("token"))
        var looking = SettingsLoader(
            flags: flags, environment: Environment(["CREDENTIALS_DIRECTORY": credentials.path]), standardFile: nil, needsCredentials: false)
        #expect(try looking.load().primary.credentials.value == .token(Secret("")))
        looking.needsCredentials = true
        #expect(throws: ConfigurationError.self) { try looking.load() }
        // A folder's file has the folder's name before its own.
        try credentials.write("mlmirror_token", "of a folder")
        #expect(try looking.load().primary.credentials.value == .token(Secret("of a folder")))

        try folder.write("token", "two\nlines\n")
        #expect(refusal(flags)?.description.contains("more than one line") == true)
        try folder.write("token", "\n")
        #expect(refusal(flags)?.description.contains("is empty") == true)
    }

    @Test("credentials in the file never go to another address than the file's")
    func foreignCredentials() throws {
        try folder.write("token", "filed")
        let path = try folder.write(
            "m.yaml", "primary:\n  uri: http://a\n  auth: { token_file: token }\nsecondary: { uri: 'http://b' }\nstate: s\n")
        var flags = FlagValues()
        flags.config = path
        flags.primary = "http://elsewhere"
        let error = refusal(flags)
        #expect(
            error?.description
                == "\(path):3:23: these credentials belong to http://a, but flag --primary says http://elsewhere; remove one, or write another file for that store"
        )
        flags.primary = "http://A:80/"
        #expect(try load(flags).primary.credentials.value == .token(Secret("filed")))
    }

    @Test("MLflow's own credentials file serves as its variables do")
    func clientFile() throws {
        try FolderMaker.makeFolder(folder.file(".mlflow"))
        try folder.write(".mlflow/credentials", "[mlflow]\nmlflow_tracking_username = u\nmlflow_tracking_password = p\n")
        let settings = try load(flags(), ["HOME": folder.path])
        #expect(settings.primary.credentials.value == basic("u", "p"))
        #expect(settings.secondary.credentials.value == .none)
    }

    // MARK: --show-config

    @Test("shows each value with its source, and no secret")
    func shown() throws {
        let variables = [
            "MLMIRROR_PRIMARY": "http://ann:shibboleth@a:5000", "MLMIRROR_SECONDARY_TOKEN": "shibboleth", "MLMIRROR_SINCE": "2024-01-01",
        ]
        let settings = try load(flags { $0.primary = nil }, variables)
        let lines = ShownSetting.all(settings)
        func line(_ key: String) -> ShownSetting? { lines.first { $0.key == key } }
        #expect(line("primary.uri") == ShownSetting(key: "primary.uri", value: "http://a:5000", source: "environment MLMIRROR_PRIMARY"))
        #expect(line("primary.auth.username")?.value == "ann")
        #expect(line("primary.auth.password")?.value == "********")
        #expect(line("secondary.auth.token")?.source == "environment MLMIRROR_SECONDARY_TOKEN")
        #expect(line("state") == ShownSetting(key: "state", value: "flag.db", source: "flag --state"))
        #expect(line("scope.since")?.value == "2024-01-01T00:00:00.000Z")
        #expect(line("window") == ShownSetting(key: "window", value: "8", source: "default"))
        #expect(!"\(lines)".contains("shibboleth"))
        #expect(!"\(settings)".contains("shibboleth"), "not even a careless interpolation shows it")
    }

    @Test("variables that look misspelt are noticed")
    func suspicious() {
        let environment = Environment(["MLMIRROR_SECONDRY": "x", "MLMIRROR_STATE": "y", "MLMIRROR_SOMETHING_ELSE": "z"])
        #expect(environment.suspicious.map(\.name) == ["MLMIRROR_SECONDRY"])
        #expect(environment.suspicious.map(\.meant) == ["MLMIRROR_SECONDARY"])
    }

    @Test("variables that look misspelt are told of")
    func suspicionIsTold() async {
        let world = TestWorld()
        let arguments = [
            "check", "--offline", "--log-format", "json", "--primary", "http://a", "--secondary", "http://b", "--state", "s.db",
        ]
        _ = await world.run(arguments, ["MLMIRROR_SECONDRY": "x"])
        #expect(world.complained.contains(#""event":"variable_unknown""#), "\(world.complained)")
        #expect(world.complained.contains(#""meant":"MLMIRROR_SECONDARY""#))
    }
}
