import Replication

/// What the command line said; nil or empty where it said nothing.
struct FlagValues: Sendable {
    var config: String?
    var primary: String?
    var secondary: String?
    var state: String?
    var experiments: [String] = []
    var models: [String] = []
    var since: Int64?
    var until: Int64?
    var noArtifacts = false
    var feed: String?
    var primaryDatabase: String?
    init() {}
}

/// Lays flags over the environment over the file over the defaults.
///
/// Keys of the file: `primary` and `secondary` (`uri`, `auth.username`, `auth.password_file`, `auth.token_file`, `workspace`, `ca_file`,
/// `client_certificate_file`), of the primary also `feed` ("auto"), `database`, `reinstall_triggers` (false), `registry` and `rate_share` (40), of the secondary `experiment_names` and `edited` (true), `state`, `pair` ("default"),
/// `scope` (`experiments`, `models`, `since`, `until`, `artifacts`: true, `owners`, and see `PassageSection`), `live` (`cycle_seconds` 5, `requests_per_second` 5,
/// `file_grace_seconds` 600, `file_sweep_per_second` 2, `canary_seconds` 0, `canary_experiment` "mlmirror-canary"),
/// `window` (8), `artifact_window` (4), `server_side_copy` (true), `metrics_file`, `metrics_listen`, `mode` (`stragglers`: carry, `retire_primary`: keep), `rules` (see `RulesSection`).
/// `Environment.names` lists the variables.
struct SettingsLoader {
    static let standardFile = "/etc/mlmirror/mlmirror.yaml"

    let flags: FlagValues
    let environment: Environment
    /// Where the default file lies; nil: there is none.
    var standardFile: String? = Self.standardFile
    var needsCredentials = true

    func load() throws -> MirrorSettings {
        let file = try configurationFile()
        let primaryURI = try uri(.primary, flags.primary, file)
        let secondaryURI = try uri(.secondary, flags.secondary, file)
        var settings = MirrorSettings(
            file: file?.path,
            primary: try store(.primary, primaryURI, file),
            secondary: try store(.secondary, secondaryURI, file),
            state: try required(
                "state", flags.state, "MLMIRROR_STATE", file?.state?.map { TextFile.path($0, besides: file?.path) }, "FILE", file),
            pair: try pair(file),
            experiments: try list(flags.experiments, "--experiment", file?.experiments),
            models: try list(flags.models, "--model", file?.models),
            since: try instant(flags.since, "--since", "MLMIRROR_SINCE", file?.since),
            until: try instant(flags.until, "--until", "MLMIRROR_UNTIL", file?.until),
            artifacts: flags.noArtifacts ? Setting(false, .flag("--no-artifacts")) : file?.artifacts ?? Setting(true, .standard),
            unknownFields: file?.unknownFields ?? Setting(false, .standard),
            owners: file?.owners ?? Setting([], .standard),
            leaveOut: file?.passage.leaveOut ?? Setting(LeaveOut(), .standard),
            renaming: file?.passage.renaming ?? Setting(.none, .standard),
            mask: try mask(file),
            experimentNames: file?.experimentNames ?? Setting(.last, .standard),
            edited: file?.edited ?? Setting(true, .standard),
            feed: try feed(file),
            reinstallTriggers: file?.reinstallTriggers ?? Setting(false, .standard),
            cycleSeconds: try number("MLMIRROR_CYCLE_SECONDS", ConfigurationFile.cycleRange, file?.cycleSeconds, 5),
            requestsPerSecond: try number("MLMIRROR_REQUESTS_PER_SECOND", ConfigurationFile.requestsRange, file?.requestsPerSecond, 5),
            fileGraceSeconds: try number("MLMIRROR_FILE_GRACE_SECONDS", ConfigurationFile.graceRange, file?.fileGraceSeconds, 600),
            fileSweepPerSecond: try number("MLMIRROR_FILE_SWEEP_PER_SECOND", ConfigurationFile.sweepRange, file?.fileSweepPerSecond, 2),
            canarySeconds: try number("MLMIRROR_CANARY_SECONDS", ConfigurationFile.canaryRange, file?.canarySeconds, 0),
            canaryExperiment: environment.setting("MLMIRROR_CANARY_EXPERIMENT") ?? file?.canaryExperiment
                ?? Setting(CanaryConfiguration(seconds: 0).experiment, .standard),
            window: try number("MLMIRROR_WINDOW", ConfigurationFile.windowRange, file?.window, 8),
            artifactWindow: try number("MLMIRROR_ARTIFACT_WINDOW", ConfigurationFile.artifactWindowRange, file?.artifactWindow, 4),
            serverSideCopy: file?.serverSideCopy ?? Setting(true, .standard),
            metricsFile: environment.setting("MLMIRROR_METRICS_FILE") ?? file?.metricsFile?.map { TextFile.path($0, besides: file?.path) },
            metricsListen: try environment.setting("MLMIRROR_METRICS_LISTEN").map {
                Setting(try LoopbackAddress($0.value, $0.origin), $0.origin)
            } ?? file?.metricsListen,
            stragglers: file?.stragglers ?? Setting(.carry, .standard),
            retirePrimary: file?.retirePrimary ?? Setting(.keep, .standard),
            rules: file?.rules ?? Setting(.standard, .standard)
        )
        if let since = settings.since, let until = settings.until, since.value >= until.value {
            throw ConfigurationError(
                until.origin,
                "until (\(Instant.text(until.value))) must be later than since (\(Instant.text(since.value)), \(since.origin))")
        }
        try checkCanary(settings)
        try checkEdits(settings)
        settings.primary.carriesUnknownFields = settings.scope.carriesUnknownFields
        return settings
    }

    /// What is kept or brought back has to be seen first.
    private func checkEdits(_ settings: MirrorSettings) throws {
        guard !settings.edited.value else { return }
        let rules = settings.rules.value
        let ofRuns: [ConflictKind] = [.tag, .description, .runName, .runStatus, .artifact, .deletedOnSecondary]
        for decisions in [rules.decisions] + rules.overrides.filter({ $0.subject == .experiment }).map(\.decisions) {
            for kind in ofRuns {
                guard let decision = decisions[kind], decision != kind.standard else { continue }
                throw ConfigurationError(
                    settings.edited.origin,
                    "secondary.edited is false, nobody edits it, but rules say \(kind.rawValue): \(decision.rawValue) of what people edit there; "
                        + "remove one of them")
            }
        }
    }

    /// What is out of scope never arrives.
    private func checkCanary(_ settings: MirrorSettings) throws {
        guard settings.canarySeconds.value > 0 else { return }
        let experiment = settings.canaryExperiment
        guard !settings.primary.uri.value.isDatabricks || experiment.value.hasPrefix("/") else {
            throw ConfigurationError(
                experiment.origin,
                "live.canary_experiment: experiments of a Databricks workspace are named by their path: write /Shared/\(experiment.value.printable)"
            )
        }
        var leavesOut: (key: String, origin: Origin?)?
        if let until = settings.until { leavesOut = ("scope.until", until.origin) }
        if !PatternList(settings.owners.value).matches(CanaryConfiguration.owner) { leavesOut = ("scope.owners", settings.owners.origin) }
        if !PatternList(settings.experiments.value).matches(experiment.value) {
            leavesOut = ("scope.experiments", settings.experiments.origin)
        }
        if let (key, origin) = leavesOut {
            throw ConfigurationError(
                origin,
                "\(key): leaves out the canary's experiment \(experiment.value.printable); widen it, or set live.canary_seconds to 0")
        }
    }

    private func mask(_ file: ConfigurationFile?) throws -> Setting<Mask> {
        guard var mask = file?.passage.mask else { return Setting(Mask(), .standard) }
        guard let keyFile = file?.passage.keyFile else { return mask }
        let key = try SecretFile(environment: environment, configurationPath: file?.path, mayBeMissing: !needsCredentials).read(keyFile)
        // A credential that only the service has is empty here.
        guard key.revealed.isEmpty || key.revealed.count >= PseudonymKey.minimumLength else {
            throw ConfigurationError(
                keyFile.origin,
                "scope.mask.key_file: expected \(PseudonymKey.minimumLength) characters or more: whoever guesses it knows who is who; "
                    + "`openssl rand -hex 32` makes one")
        }
        mask.value.key = PseudonymKey(key.revealed)
        return mask
    }

    /// Only the state file's path: for what asks it alone.
    func loadState() throws -> Setting<String> {
        let file = try configurationFile()
        return try required(
            "state", flags.state, "MLMIRROR_STATE", file?.state?.map { TextFile.path($0, besides: file?.path) }, "FILE", file)
    }

    private func database(_ file: ConfigurationFile?) -> Setting<String>? {
        flags.primaryDatabase.map { Setting($0, .flag("--primary-database")) } ?? environment.setting("MLMIRROR_PRIMARY_DATABASE")
            ?? file?.database
    }

    private func registry(_ file: ConfigurationFile?, _ uri: StoreURI) throws -> Setting<String>? {
        guard let said = file?.registry else { return nil }
        func fail(_ why: String) -> ConfigurationError { ConfigurationError(said.origin, "primary.registry: \(why)") }
        guard uri.isDatabricks else { throw fail("only a workspace of Databricks has more than one; remove it") }
        guard ["databricks", "databricks-uc"].contains(said.value) else {
            throw fail("expected databricks (the workspace's own) or databricks-uc (Unity Catalog), found \"\(said.value.printable)\"")
        }
        return said
    }

    private func feed(_ file: ConfigurationFile?) throws -> Setting<FeedChoice> {
        guard let said = flags.feed.map({ Setting($0, .flag("--feed")) }) ?? environment.setting("MLMIRROR_FEED") ?? file?.feed else {
            return Setting(.auto, .standard)
        }
        guard let choice = FeedChoice(rawValue: said.value) else {
            let all = FeedChoice.allCases.map(\.rawValue).joined(separator: ", ")
            throw ConfigurationError(said.origin, "primary.feed: expected one of \(all), found \"\(said.value.printable)\"")
        }
        return Setting(choice, said.origin)
    }

    private func configurationFile() throws -> ConfigurationFile? {
        if let path = flags.config { return try ConfigurationFile(path: path, .flag("--config")) }
        if let path = environment.setting("MLMIRROR_CONFIG") { return try ConfigurationFile(path: path.value, path.origin) }
        guard flags.primary == nil, let standardFile, TextFile.exists(standardFile) else { return nil }
        return try ConfigurationFile(path: standardFile, nil)
    }

    private func required(
        _ key: String, _ flag: String?, _ variable: String, _ filed: Setting<String>?, _ placeholder: String, _ file: ConfigurationFile?
    ) throws -> Setting<String> {
        let name = key.prefix { $0 != "." }
        let flagged = flag.map { Setting($0, .flag("--\(name)")) }
        guard let setting = flagged ?? environment.setting(variable) ?? filed, !setting.value.isEmpty else {
            let inFile = file.map { "write \(key) in \($0.path)" } ?? "write \(key) in a file and name that with --config FILE"
            throw ConfigurationError(
                nil, "no \(key): give --\(name) \(placeholder), set \(variable), or \(inFile)", isMissingFlag: file == nil)
        }
        return setting
    }

    /// An address, with the host that it leads to.
    private func address(_ text: Setting<String>, key: String) throws -> StoreURI {
        try StoreURI(text.value, text.origin, key: key).found(in: environment, text.origin, key: key)
    }

    private func uri(_ role: Role, _ flag: String?, _ file: ConfigurationFile?) throws -> Setting<StoreURI> {
        let filed = role == .primary ? file?.primary.uri : file?.secondary.uri
        let setting = try required("\(role.rawValue).uri", flag, role.variable, filed, "URI", file)
        let uri = Setting(try address(setting, key: "\(role.rawValue).uri"), setting.origin)
        guard role == .primary || !uri.value.isDatabricks else {
            throw ConfigurationError(
                uri.origin, "a workspace of Databricks can only be the primary: this version writes nothing to one")
        }
        guard uri.value.hasCredentials else { return uri }
        switch uri.origin {
        case .flag:
            let advice = "everyone on this machine can read command lines; set \(role.variable)_USERNAME and \(role.variable)_PASSWORD"
            throw ConfigurationError(uri.origin, "no user or password in the address: \(advice)")
        case .file:
            let advice = "name the user with auth.username, and a file that holds the password with auth.password_file"
            throw ConfigurationError(uri.origin, "\(role.rawValue).uri: no user or password in the address: \(advice)")
        case .environment, .standard: return uri
        }
    }

    private func store(_ role: Role, _ uri: Setting<StoreURI>, _ file: ConfigurationFile?) throws -> StoreSettings {
        let filed = role == .primary ? file?.primary : file?.secondary
        try refuseForeignCredentials(role, uri, filed)
        let owns = try ownsTrackingVariables(role, uri.value)
        let finder = CredentialFinder(
            role: role, uri: uri, file: filed, environment: environment, ownsTrackingVariables: owns, configurationPath: file?.path,
            needsCredentials: needsCredentials)
        func path(_ suffix: String, _ setting: Setting<String>?) -> Setting<String>? {
            environment.setting("\(role.variable)_\(suffix)") ?? setting?.map { TextFile.path($0, besides: file?.path) }
        }
        return StoreSettings(
            role: role, uri: uri, credentials: try finder.find(),
            workspace: environment.setting("\(role.variable)_WORKSPACE") ?? filed?.workspace
                ?? (owns ? environment.setting("MLFLOW_WORKSPACE") : nil),
            caFile: path("CA_FILE", filed?.caFile),
            clientCertificateFile: path("CLIENT_CERTIFICATE_FILE", filed?.clientCertificateFile),
            database: role == .primary ? database(file) : nil,
            registry: role == .primary ? try registry(file, uri.value) : nil,
            rateShare: role == .primary
                ? try number("MLMIRROR_PRIMARY_RATE_SHARE", ConfigurationFile.shareRange, file?.rateShare, 40) : nil,
            environment: owns ? environment.all : environment.withoutTrackingVariables
        )
    }

    /// Credentials in the file were written for the address in the file.
    private func refuseForeignCredentials(_ role: Role, _ uri: Setting<StoreURI>, _ file: ConfigurationFile.Store?) throws {
        guard let file, let authentication = file.authentication ?? file.secret, let filed = file.uri else { return }
        guard let filedURI = try? address(filed, key: "\(role.rawValue).uri"), !uri.value.isSameAddress(as: filedURI)
        else { return }
        throw ConfigurationError(
            authentication,
            "these credentials belong to \(filedURI), but \(uri.origin) says \(uri.value); remove one, or write another file for that store"
        )
    }

    /// `MLFLOW_TRACKING_*` speak of the server that `MLFLOW_TRACKING_URI` names; when that is not set, of the primary.
    private func ownsTrackingVariables(_ role: Role, _ uri: StoreURI) throws -> Bool {
        // MLflow's own client does not use them for a workspace of Databricks.
        if uri.isDatabricks { return false }
        guard let named = environment.setting("MLFLOW_TRACKING_URI") else { return role == .primary }
        guard let other = try? address(named, key: "MLFLOW_TRACKING_URI") else { return false }
        return uri.isSameAddress(as: other)
    }

    private func pair(_ file: ConfigurationFile?) throws -> Setting<String> {
        let pair = environment.setting("MLMIRROR_PAIR") ?? file?.pair ?? Setting("default", .standard)
        let isValid =
            (1...64).contains(pair.value.count)
            && pair.value.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
        guard isValid else { throw ConfigurationError(pair.origin, "pair: expected 1 to 64 letters, digits, dots, underscores or hyphens") }
        return pair
    }

    private func list(_ flagged: [String], _ flag: String, _ filed: Setting<[String]>?) throws -> Setting<[String]> {
        if flagged.contains(where: PatternList.isBlank) { throw ConfigurationError(.flag(flag), "a pattern may not be empty") }
        return flagged.isEmpty ? filed ?? Setting([], .standard) : Setting(flagged, .flag(flag))
    }

    private func instant(_ flagged: Int64?, _ flag: String, _ variable: String, _ filed: Setting<Int64>?) throws -> Setting<Int64>? {
        if let flagged { return Setting(flagged, .flag(flag)) }
        guard let text = environment.setting(variable) else { return filed }
        guard let instant = Instant.milliseconds(text.value) else {
            throw ConfigurationError(text.origin, "expected a date like 2024-01-31 or 2024-01-31T12:00:00Z")
        }
        return Setting(instant, text.origin)
    }

    private func number(_ variable: String, _ range: ClosedRange<Int>, _ filed: Setting<Int>?, _ standard: Int) throws -> Setting<Int> {
        guard let text = environment.setting(variable) else { return filed ?? Setting(standard, .standard) }
        guard let number = Int(text.value), range.contains(number) else {
            throw ConfigurationError(text.origin, "expected a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return Setting(number, text.origin)
    }
}
