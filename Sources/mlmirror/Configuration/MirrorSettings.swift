import Replication

/// Everything that is known of one store before it is asked anything.
struct StoreSettings: Sendable {
    var role: Role
    var uri: Setting<StoreURI>
    var credentials: Setting<Credentials>
    var workspace: Setting<String>?
    var caFile: Setting<String>?
    var clientCertificateFile: Setting<String>?
    /// The data base behind it, as MLflow names it; the primary's only.
    var database: Setting<String>?
    /// Of a workspace of Databricks: `databricks`, also when it is not said, or `databricks-uc`.
    var registry: Setting<String>?
    /// Of a workspace of Databricks: how much of its documented rates is used, in percent; the primary's only.
    var rateShare: Setting<Int>?
    /// Fields that are newer than this program are read too; the primary's only.
    var carriesUnknownFields = false
    /// What the HTTP client may read: without the variables that belong to the other store.
    var environment: [String: String]
}

extension StoreSettings: CustomStringConvertible, CustomDebugStringConvertible {
    /// Without the environment, which may hold credentials.
    var description: String { "\(role.rawValue) \(uri.value)" }
    var debugDescription: String { description }
}

/// Where the primary's changes are seen.
enum FeedChoice: String, Sendable, CaseIterable {
    /// `triggers` when a data base is named, else `poll`.
    case auto, poll, triggers
}

/// Whether `mlmirror retire` may delete the primary's copies.
enum RetirementRule: String, Sendable, CaseIterable {
    case keep, delete
}

/// The whole configuration, each value with where it came from.
struct MirrorSettings: Sendable {
    /// The file that was read.
    var file: String?
    var primary: StoreSettings
    var secondary: StoreSettings
    var state: Setting<String>
    var pair: Setting<String>
    var experiments: Setting<[String]>
    var models: Setting<[String]>
    var since: Setting<Int64>?
    var until: Setting<Int64>?
    var artifacts: Setting<Bool>
    var unknownFields: Setting<Bool>
    var owners: Setting<[String]>
    var leaveOut: Setting<LeaveOut>
    var renaming: Setting<Renaming>
    var mask: Setting<Mask>
    var experimentNames: Setting<NameTemplate>
    /// People may change what is on the secondary.
    var edited: Setting<Bool>
    var feed: Setting<FeedChoice>
    var reinstallTriggers: Setting<Bool>
    var cycleSeconds: Setting<Int>
    var requestsPerSecond: Setting<Int>
    var fileGraceSeconds: Setting<Int>
    var fileSweepPerSecond: Setting<Int>
    /// 0: no canary.
    var canarySeconds: Setting<Int>
    var canaryExperiment: Setting<String>
    var window: Setting<Int>
    var artifactWindow: Setting<Int>
    /// The secondary's storage fetches files from the primary's by itself, where it can.
    var serverSideCopy: Setting<Bool>
    /// For Prometheus; nil: none is written.
    var metricsFile: Setting<String>?
    /// Where Prometheus may ask; nil: nowhere.
    var metricsListen: Setting<LoopbackAddress>?
    var stragglers: Setting<StragglerRule>
    var retirePrimary: Setting<RetirementRule>
    var rules: Setting<ConflictRules>

    func liveConfiguration() -> LiveConfiguration {
        var configuration = LiveConfiguration()
        configuration.mirror = mirrorConfiguration()
        configuration.fileGrace = Double(fileGraceSeconds.value)
        configuration.fileSweepPerSecond = Double(fileSweepPerSecond.value)
        if canarySeconds.value > 0 {
            var canary = CanaryConfiguration(seconds: Double(canarySeconds.value))
            canary.experiment = canaryExperiment.value
            configuration.canary = canary
        }
        return configuration
    }

    var scope: Scope {
        Scope(
            experiments: PatternList(experiments.value), models: PatternList(models.value), since: since?.value, until: until?.value,
            owners: PatternList(owners.value), artifacts: artifacts.value, passage: Passage(leaveOut: leaveOut.value, mask: mask.value),
            renaming: renaming.value, unknownFields: unknownFields.value)
    }

    /// The primary, seen as it may be seen.
    func passing(_ primary: any WritableStore) -> any WritableStore {
        func through(_ store: some WritableStore) -> any WritableStore { PassingStore(store, scope) }
        return scope.passage.isWhole ? primary : through(primary)
    }

    func mirrorConfiguration(deep: Bool = false) -> MirrorConfiguration {
        var configuration = MirrorConfiguration()
        configuration.pair = pair.value
        configuration.scope = scope
        configuration.experimentNames = experimentNames.value
        configuration.secondaryIsEdited = edited.value
        configuration.rules = rules.value
        configuration.window = window.value
        configuration.artifactWindow = artifactWindow.value
        configuration.copiesInStorage = serverSideCopy.value
        configuration.deep = deep
        configuration.stragglers = stragglers.value
        return configuration
    }
}

/// One line of `check --show-config`. Never holds a secret.
struct ShownSetting: Sendable, Hashable, Encodable {
    var key: String
    var value: String
    var source: String

    static func all(_ settings: MirrorSettings) -> [ShownSetting] {
        var lines: [ShownSetting] = []
        func add<Value>(_ key: String, _ setting: Setting<Value>?, absent: String = "not set", _ show: (Value) -> String) {
            let value = setting.map { show($0.value) } ?? absent
            lines.append(ShownSetting(key: key, value: value.printable, source: setting?.origin.description ?? Origin.standard.description))
        }
        func patterns(_ list: [String]) -> String { list.isEmpty ? "everything" : list.joined(separator: ", ") }
        for store in [settings.primary, settings.secondary] {
            let name = store.role.rawValue
            add("\(name).uri", store.uri, \.description)
            switch store.credentials.value {
            case .none: add("\(name).auth", store.credentials) { _ in "none" }
            case .basic(let username, let password):
                add("\(name).auth.username", store.credentials) { _ in username }
                add("\(name).auth.password", store.credentials) { _ in password.description }
            case .token(let token): add("\(name).auth.token", store.credentials) { _ in token.description }
            }
            add("\(name).workspace", store.workspace) { $0 }
            add("\(name).ca_file", store.caFile) { $0 }
            add("\(name).client_certificate_file", store.clientCertificateFile) { $0 }
        }
        add("state", settings.state) { $0 }
        add("pair", settings.pair) { $0 }
        add("scope.experiments", settings.experiments, patterns)
        add("scope.models", settings.models, patterns)
        add("scope.since", settings.since, Instant.text)
        add("scope.until", settings.until, Instant.text)
        add("scope.artifacts", settings.artifacts) { $0 ? "true" : "false" }
        add("scope.unknown_fields", settings.unknownFields) { $0 ? "true" : "false" }
        add("scope.owners", settings.owners, patterns)
        func list(_ texts: [String]) -> String { texts.isEmpty ? "nothing" : texts.joined(separator: ", ") }
        add("scope.leave_out.tags", settings.leaveOut) { list($0.tags) }
        add("scope.leave_out.params", settings.leaveOut) { list($0.params) }
        add("scope.leave_out.artifacts", settings.leaveOut) { list($0.artifacts) }
        add("scope.rename.experiments", settings.renaming) { list($0.experiments.map { "\($0.from) to \($0.to)" }) }
        add("scope.rename.models", settings.renaming) { list($0.models.map { "\($0.from) to \($0.to)" }) }
        add("scope.mask.users", settings.mask) { $0.users?.rawValue ?? "not masked" }
        add("scope.mask.tags", settings.mask) { list($0.tags.map { "\($0.pattern): \($0.form.rawValue)" }) }
        add("scope.mask.params", settings.mask) { list($0.params.map { "\($0.pattern): \($0.form.rawValue)" }) }
        add("secondary.experiment_names", settings.experimentNames, \.description)
        add("secondary.edited", settings.edited) { String($0) }
        add("primary.feed", settings.feed, \.rawValue)
        add("primary.database", settings.primary.database) { $0 }
        if settings.primary.uri.value.isDatabricks {
            add("primary.registry", settings.primary.registry, absent: "databricks") { $0 }
            add("primary.rate_share", settings.primary.rateShare) { "\($0) %" }
        }
        add("primary.reinstall_triggers", settings.reinstallTriggers) { String($0) }
        add("live.cycle_seconds", settings.cycleSeconds) { String($0) }
        add("live.requests_per_second", settings.requestsPerSecond) { String($0) }
        add("live.file_grace_seconds", settings.fileGraceSeconds) { String($0) }
        add("live.file_sweep_per_second", settings.fileSweepPerSecond) { String($0) }
        add("live.canary_seconds", settings.canarySeconds) { $0 == 0 ? "none is sent" : String($0) }
        add("live.canary_experiment", settings.canaryExperiment) { $0 }
        add("window", settings.window) { String($0) }
        add("artifact_window", settings.artifactWindow) { String($0) }
        add("server_side_copy", settings.serverSideCopy) { String($0) }
        add("mode.stragglers", settings.stragglers, \.rawValue)
        add("mode.retire_primary", settings.retirePrimary, \.rawValue)
        let rules = RulesSection.lines(settings.rules.value)
        if rules.isEmpty { add("rules", settings.rules) { _ in "the defaults" } }
        for (key, value) in rules { add(key.printable, settings.rules) { _ in value } }
        add("metrics_file", settings.metricsFile, absent: "none is written") { $0 }
        add("metrics_listen", settings.metricsListen, absent: "nowhere", \.description)
        return lines
    }
}
