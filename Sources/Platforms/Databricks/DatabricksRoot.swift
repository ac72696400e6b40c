import Replication

/// Whose files an address of a workspace's own storage means: `dbfs:/databricks/mlflow-tracking/EXPERIMENT/RUN/artifacts`, or
/// `.../EXPERIMENT/logged_models/MODEL/artifacts`. The registry of a workspace says of a version only that.
struct DatabricksRoot: Sendable, Hashable {
    private(set) var run: RunID?
    private(set) var loggedModel: LoggedModelID?

    init?(of source: String) {
        guard source.hasPrefix("dbfs:/databricks/mlflow-tracking/") else { return nil }
        let parts = source.split(separator: "/").dropFirst(3).map(String.init)
        if parts.count >= 4, parts[1] == "logged_models", parts[3] == "artifacts" {
            loggedModel = LoggedModelID(parts[2])
        } else if parts.count >= 3, parts[2] == "artifacts" {
            run = RunID(parts[1])
        } else {
            return nil
        }
    }
}
