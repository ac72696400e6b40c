import Replication
import Yams

/// What one configuration file says. Everything is optional; a key that is not known is an error.
struct ConfigurationFile: Sendable {
    /// A store's section.
    struct Store: Sendable {
        var uri: Setting<String>?
        var username: Setting<String>?
        var passwordFile: Setting<String>?
        var tokenFile: Setting<String>?
        var workspace: Setting<String>?
        var caFile: Setting<String>?
        var clientCertificateFile: Setting<String>?
        var authentication: Origin? { username?.origin ?? passwordFile?.origin ?? tokenFile?.origin }
        /// A key that leads to a secret.
        var secret: Origin? { passwordFile?.origin ?? tokenFile?.origin ?? clientCertificateFile?.origin }
    }

    var path: String
    var primary = Store()
    var secondary = Store()
    var state: Setting<String>?
    var pair: Setting<String>?
    var experiments: Setting<[String]>?
    var models: Setting<[String]>?
    var since: Setting<Int64>?
    var until: Setting<Int64>?
    var artifacts: Setting<Bool>?
    var unknownFields: Setting<Bool>?
    var owners: Setting<[String]>?
    var passage = PassageSection()
    /// Of the secondary.
    var experimentNames: Setting<NameTemplate>?
    var edited: Setting<Bool>?
    /// Of the primary: where its changes are seen, and the data base behind it.
    var feed: Setting<String>?
    var database: Setting<String>?
    var reinstallTriggers: Setting<Bool>?
    /// Of the primary, where it is a workspace of Databricks.
    var registry: Setting<String>?
    var rateShare: Setting<Int>?
    var cycleSeconds: Setting<Int>?
    var requestsPerSecond: Setting<Int>?
    var fileGraceSeconds: Setting<Int>?
    var fileSweepPerSecond: Setting<Int>?
    var canarySeconds: Setting<Int>?
    var canaryExperiment: Setting<String>?
    var window: Setting<Int>?
    var artifactWindow: Setting<Int>?
    var serverSideCopy: Setting<Bool>?
    var metricsFile: Setting<String>?
    var metricsListen: Setting<LoopbackAddress>?
    var stragglers: Setting<StragglerRule>?
    var retirePrimary: Setting<RetirementRule>?
    var rules: Setting<ConflictRules>?

    static let windowRange = 1...64
    static let artifactWindowRange = 1...32
    static let shareRange = 1...100
    static let cycleRange = 1...3600
    static let requestsRange = 1...1000
    static let graceRange = 0...604_800
    static let sweepRange = 0...100
    static let canaryRange = 0...86_400

    private static let topKeys = KeyTable(
        known: [
            "primary", "secondary", "state", "pair", "scope", "live", "window", "artifact_window", "server_side_copy", "metrics_file",
            "metrics_listen", "mode", "rules",
        ])
    private static let storeKeys = KeyTable(
        known: ["uri", "auth", "workspace", "ca_file", "client_certificate_file", "experiment_names", "edited"],
        refused: [
            "feed": "only the primary is followed", "database": "only the primary is followed",
            "registry": "only a primary has a choice of registries", "rate_share": "only a primary has one",
        ])
    private static let primaryKeys = KeyTable(
        known: [
            "uri", "auth", "workspace", "ca_file", "client_certificate_file", "feed", "database", "reinstall_triggers", "registry",
            "rate_share",
        ])
    private static let liveKeys = KeyTable(known: [
        "cycle_seconds", "requests_per_second", "file_grace_seconds", "file_sweep_per_second", "canary_seconds", "canary_experiment",
    ])
    private static let modeKeys = KeyTable(known: ["stragglers", "retire_primary"])
    private static let scopeKeys = KeyTable(known: [
        "experiments", "models", "since", "until", "artifacts", "owners", "leave_out", "rename", "mask", "unknown_fields",
    ])
    private static let authenticationKeys = KeyTable(
        known: ["username", "password_file", "token_file"],
        refused: [
            "password": "no secret in this file; put it in a file of its own and name that with password_file",
            "token": "no secret in this file; put it in a file of its own and name that with token_file",
        ])

    /// Reads and checks the file.
    init(path: String, _ origin: Origin?) throws {
        let content = try TextFile.read(path, limit: 1 << 20, origin, what: "the configuration file")
        try self.init(text: content.text, path: path)
        if content.isWritableByOthers, let secret = primary.secret ?? secondary.secret ?? passage.keyFile?.origin {
            throw ConfigurationError(secret, "names a secret, but everyone may write this file; run: chmod o-w \(path)")
        }
    }

    init(text: String, path: String) throws {
        self.path = path
        guard let root = try Self.compose(text, path) else { return }
        let top = try ConfigurationSection(root, name: "", file: path, keys: Self.topKeys)
        primary = try Self.store(top, "primary")
        secondary = try Self.store(top, "secondary")
        state = try top.text("state")
        pair = try top.text("pair")
        window = try top.wholeNumber("window", in: Self.windowRange)
        artifactWindow = try top.wholeNumber("artifact_window", in: Self.artifactWindowRange)
        serverSideCopy = try top.truth("server_side_copy")
        metricsFile = try top.text("metrics_file")
        metricsListen = try top.text("metrics_listen").map { Setting(try LoopbackAddress($0.value, $0.origin), $0.origin) }
        if let section = try top.section("secondary", keys: Self.storeKeys) {
            experimentNames = try Self.nameTemplate(section)
            edited = try section.truth("edited")
        }
        if let section = try top.section("primary", keys: Self.primaryKeys) {
            feed = try section.text("feed")
            database = try section.text("database")
            reinstallTriggers = try section.truth("reinstall_triggers")
            registry = try section.text("registry")
            rateShare = try section.wholeNumber("rate_share", in: Self.shareRange)
        }
        if let live = try top.section("live", keys: Self.liveKeys) {
            cycleSeconds = try live.wholeNumber("cycle_seconds", in: Self.cycleRange)
            requestsPerSecond = try live.wholeNumber("requests_per_second", in: Self.requestsRange)
            canarySeconds = try live.wholeNumber("canary_seconds", in: Self.canaryRange)
            canaryExperiment = try live.text("canary_experiment")
            fileGraceSeconds = try live.wholeNumber("file_grace_seconds", in: Self.graceRange)
            fileSweepPerSecond = try live.wholeNumber("file_sweep_per_second", in: Self.sweepRange)
        }
        if let mode = try top.section("mode", keys: Self.modeKeys) {
            stragglers = try Self.choice(mode, "stragglers")
            retirePrimary = try Self.choice(mode, "retire_primary")
        }
        if let place = top.keys.first(where: { $0.name == "rules" })?.origin,
            let section = try top.section("rules", keys: RulesSection.keys)
        {
            rules = Setting(try RulesSection.rules(section), place)
        }
        guard let scope = try top.section("scope", keys: Self.scopeKeys) else { return }
        experiments = try scope.names("experiments")
        models = try scope.names("models")
        since = try scope.instant("since")
        until = try scope.instant("until")
        artifacts = try scope.truth("artifacts")
        unknownFields = try scope.truth("unknown_fields")
        owners = try scope.names("owners")
        passage = try PassageSection(scope)
    }

    private static func store(_ top: ConfigurationSection, _ name: String) throws -> Store {
        var store = Store()
        guard let section = try top.section(name, keys: name == Role.primary.rawValue ? primaryKeys : storeKeys) else { return store }
        store.uri = try section.text("uri")
        store.workspace = try section.text("workspace")
        store.caFile = try section.text("ca_file")
        store.clientCertificateFile = try section.text("client_certificate_file")
        guard let authentication = try section.section("auth", keys: authenticationKeys) else { return store }
        store.username = try authentication.text("username")
        store.passwordFile = try authentication.text("password_file")
        store.tokenFile = try authentication.text("token_file")
        if let token = store.tokenFile, store.username != nil || store.passwordFile != nil {
            throw ConfigurationError(
                token.origin, "\(name).auth.token_file: expected either a token or username and password_file, found both")
        }
        return store
    }

    private static func nameTemplate(_ section: ConfigurationSection) throws -> Setting<NameTemplate>? {
        try section.text("experiment_names").map { said in
            guard let template = NameTemplate(said.value) else {
                throw ConfigurationError(
                    said.origin,
                    "secondary.experiment_names: expected {last} or {path} once, {hash} once, and else letters, digits, - and _, "
                        + "like \(NameTemplate.last); found \"\(said.value.printable)\"")
            }
            return Setting(template, said.origin)
        }
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
        _ section: ConfigurationSection, _ key: String
    ) throws -> Setting<Choice>? {
        guard let said = try section.text(key) else { return nil }
        return try said.map { text in
            guard let choice = Choice(rawValue: text) else {
                let all = Choice.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConfigurationError(said.origin, "mode.\(key): expected one of \(all), found \"\(text.printable)\"")
            }
            return choice
        }
    }

    private static func compose(_ text: String, _ path: String) throws -> Node? {
        func fail(_ mark: Mark?, _ message: String) -> ConfigurationError {
            ConfigurationError(.file(Place(file: path, line: mark?.line ?? 1, column: mark?.column ?? 1)), message)
        }
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            switch error {
            case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
                throw fail(mark, "not valid YAML: \(problem)")
            case .duplicatedKeysInMapping(let duplicates, let context):
                throw fail(context.mark, "\(duplicates.first?.printable ?? "a key") is given twice")
            case .reader(let problem, _, _, _):
                throw fail(nil, "not valid YAML: \(problem)")
            default:
                throw fail(nil, "not valid YAML")
            }
        }
    }
}
