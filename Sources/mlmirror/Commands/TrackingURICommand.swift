import ArgumentParser
import FoundationEssentials
import Replication

struct TrackingURICommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "tracking-uri",
        abstract: "What MLflow clients use now: the primary's address, or the secondary's in mode azureml-only.",
        discussion: """
            Examples:
              mlmirror tracking-uri --config mlmirror.yaml
              eval "$(mlmirror tracking-uri --config mlmirror.yaml --env)"
              mlmirror tracking-uri --config mlmirror.yaml --cluster-policy
              mlmirror tracking-uri --config mlmirror.yaml --experiment /Shared/churn

            Prints one line, the address. --env prints lines for a shell; clients log
            to that address and register models there. --cluster-policy prints JSON to
            be merged into the definition of a Databricks compute policy: compute that
            is made by it, and so every notebook there, uses that address.
            Asks no server. No secret is printed: give clients their own.
            """
    )

    @OptionGroup(title: "Stores") var stores: StoreOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "Where clients of this experiment log to: the mode may be another one for some names.", valueName: "name"))
    var experiment: String?

    @Flag(help: "Lines for a shell: export MLFLOW_TRACKING_URI=... and MLFLOW_REGISTRY_URI.")
    var env = false

    @Flag(help: "JSON for a Databricks compute policy.")
    var clusterPolicy = false

    func validate() throws {
        if [env, clusterPolicy, output.json].count(where: { $0 }) > 1 {
            throw ValidationError("give one of --env, --cluster-policy and --json")
        }
    }

    func execute(in session: Session) async throws -> Outcome {
        var flags = FlagValues()
        flags.config = stores.config
        flags.primary = stores.primary
        flags.primaryDatabase = stores.primaryDatabase
        flags.secondary = stores.secondary
        flags.state = stores.state
        let settings = try SettingsLoader(
            flags: flags, environment: session.environment, standardFile: session.standardFile, needsCredentials: false
        ).load()
        let mode = try await presentMode(of: settings.state.value, session, experiment: experiment)
        let place = ClientPlace(mode: mode, (mode == .dual ? settings.primary : settings.secondary).uri.value)
        let text =
            if output.json {
                try JSONLine.encode(place)
            } else if env {
                place.variables.map { "export \($0.name)=\(ClientPlace.quoted($0.value))" }.joined(separator: "\n")
            } else if clusterPolicy {
                try place.clusterPolicy()
            } else {
                place.trackingUri
            }
        session.console.result(text + "\n")
        return .ok
    }
}

/// `dual`, until the state file says otherwise.
///
/// - Parameter experiment: its own, by its name on the primary; nil: of the installation as a whole.
func presentMode(of path: String?, _ session: Session, experiment: String? = nil) async throws -> Mode {
    guard let path, !ReplicationState.isMissing(path) else { return .dual }
    return try await session.visitingState(path) { state in
        let modes = try state.modes
        return experiment.map { modes.mode(ofExperimentNamed: $0) } ?? modes.mode
    }
}

/// Where clients log to.
struct ClientPlace: Encodable {
    var messageType = "tracking_uri"
    var mode: String
    var trackingUri: String
    var registryUri: String

    /// Without user and password.
    init(mode: Mode, _ uri: StoreURI) {
        self.mode = mode.rawValue
        // Microsoft's client takes azureml alone for a workspace.
        var uri = uri
        if uri.isAzureML { uri.scheme = "azureml" }
        trackingUri = uri.databricksURI ?? uri.description
        registryUri = trackingUri
    }

    var variables: [(name: String, value: String)] {
        [("MLFLOW_TRACKING_URI", trackingUri), ("MLFLOW_REGISTRY_URI", registryUri)]
    }

    /// One word of a POSIX shell.
    static func quoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// https://docs.databricks.com/admin/clusters/policy-definition.html: `spark_env_vars.NAME`, of the type `fixed`.
    func clusterPolicy() throws -> String {
        struct Rule: Encodable {
            var type = "fixed"
            var value: String
        }
        let rules = Dictionary(
            variables.map { ("spark_env_vars.\($0.name)", Rule(value: $0.value)) }, uniquingKeysWith: { first, _ in first })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(rules), as: UTF8.self)
    }
}
