/// The environment's variables. One that is empty counts as not set, as MLflow's clients have it.
struct Environment: Sendable {
    private let values: [String: String]
    init(_ values: [String: String]) { self.values = values }

    subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    func setting(_ name: String) -> Setting<String>? { self[name].map { Setting($0, .environment(name)) } }

    /// Without the variables that speak of MLflow's own client: those belong to one store.
    var withoutTrackingVariables: [String: String] {
        values.filter { !$0.key.hasPrefix("MLFLOW_TRACKING_") && $0.key != "MLFLOW_WORKSPACE" }
    }
    var all: [String: String] { values }

    static let names =
        [
            "CONFIG", "PRIMARY", "SECONDARY", "STATE", "PAIR", "SINCE", "UNTIL", "WINDOW", "ARTIFACT_WINDOW", "FEED", "PRIMARY_DATABASE",
            "PRIMARY_RATE_SHARE",
            "CYCLE_SECONDS", "REQUESTS_PER_SECOND", "FILE_GRACE_SECONDS", "FILE_SWEEP_PER_SECOND", "CANARY_SECONDS",
            "CANARY_EXPERIMENT", "METRICS_FILE", "METRICS_LISTEN",
        ].map { "MLMIRROR_\($0)" }
        + Role.allCases.flatMap { role in
            ["USERNAME", "PASSWORD", "TOKEN", "WORKSPACE", "CA_FILE", "CLIENT_CERTIFICATE_FILE"].map { "\(role.variable)_\($0)" }
        }

    /// Variables that look like misspelt ones of ours, with what was probably meant.
    var suspicious: [(name: String, meant: String)] {
        values.keys.filter { $0.hasPrefix("MLMIR") && !Self.names.contains($0) }.sorted().compactMap { name in
            guard let meant = Self.names.min(by: { NearestName.distance(name, $0) < NearestName.distance(name, $1) }),
                NearestName.distance(name, meant) <= 2
            else { return nil }
            return (name, meant)
        }
    }
}
