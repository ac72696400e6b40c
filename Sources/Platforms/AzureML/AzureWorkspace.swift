public import Replication

/// An Azure ML workspace: where its services are, and which one it is.
///
/// Addresses as azureml-mlflow 1.62 builds them from the workspace's `mlFlowTrackingUri` (`_internal/utils.py`).
public struct AzureWorkspace: Sendable, Hashable {
    /// Host and port, in lower case. One with a private link has a host of its own: it is taken as given, never made from the region.
    public let host: String
    /// `/subscriptions/.../workspaces/NAME`, as it was written.
    public let scope: String
    public let name: String

    private static let expected =
        "expected azureml://HOST/mlflow/v1.0/subscriptions/ID/resourceGroups/NAME/providers/Microsoft.MachineLearningServices/workspaces/NAME, "
        + "as `az ml workspace show --query mlflow_tracking_uri` prints it"
    private static let fixed = [
        (0, "subscriptions"), (2, "resourcegroups"), (4, "providers"), (5, "microsoft.machinelearningservices"), (6, "workspaces"),
    ]

    /// - Throws: `MLflowEndpoint.InvalidURI`, which says what was expected.
    public init(uri: String) throws(MLflowEndpoint.InvalidURI) {
        let (host, segments) = try Self.split(uri)
        if segments.contains(where: { $0.lowercased() == "registries" }) {
            throw MLflowEndpoint.InvalidURI(
                description: "\(uri): a registry of an organisation takes no runs; name a workspace: \(Self.expected)")
        }
        guard segments.count == 10, let scope = Self.scope(segments[2...]) else {
            throw MLflowEndpoint.InvalidURI(description: "\(uri): \(Self.expected)")
        }
        self.host = host
        self.scope = scope
        name = String(segments[9])
    }

    /// Whatever version the address names: every client of MLflow 2 and later speaks this one.
    public var mlflowURL: String { "https://\(host)/mlflow/v2.0\(scope)" }
    /// Of the run history service, which gives addresses for a run's files.
    public var historyURL: String { "https://\(host)/history/v1.0\(scope)" }
    /// Of the artifact service, for files that are there already.
    public var artifactURL: String { "https://\(host)/artifact/v2.0\(scope)" }
    /// How people know it.
    public var address: String { "azureml://\(host) (workspace \(name))" }

    /// Whether an https address is a workspace's: one that is not reached by its usual name.
    public static func isMeant(by uri: String) -> Bool {
        uri.lowercased().hasPrefix("https://") && uri.lowercased().contains("/providers/microsoft.machinelearningservices/workspaces/")
    }

    /// The same for every address of a workspace, also through a private link: Azure compares these ids without case.
    public var identity: StoreIdentity {
        var hash = StableHash()
        hash.add(scope.lowercased())
        return StoreIdentity("azureml-\(hash.hexadecimal)")
    }

    /// The run whose files an artifact address of a workspace means; nil where it is another kind of address, or another workspace's.
    public func owner(ofRoot root: String) -> (experiment: String, run: RunID)? {
        guard let (_, segments) = try? Self.split(root), segments.count >= 15, segments[10] == "experiments", segments[12] == "runs",
            segments[14] == "artifacts", let scope = Self.scope(segments[2..<10]), scope.lowercased() == self.scope.lowercased()
        else { return nil }
        return (String(segments[11]), RunID(String(segments[13])))
    }

    private static func split(_ uri: String) throws(MLflowEndpoint.InvalidURI) -> (host: String, segments: [Substring]) {
        func refuse(_ why: String) -> MLflowEndpoint.InvalidURI { .init(description: "\(why); \(expected)") }
        guard uri.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw refuse("the address holds a space, a control character or a letter that is not ASCII")
        }
        guard let prefix = ["azureml://", "https://"].first(where: { uri.lowercased().hasPrefix($0) }) else {
            throw refuse("no azureml:// address")
        }
        let rest = uri.dropFirst(prefix.count)
        guard !rest.contains(where: { "?#@".contains($0) }) else {
            throw refuse("an azureml:// address has no user, no ? and no #")
        }
        var segments = rest.split(separator: "/", omittingEmptySubsequences: false)
        if segments.last?.isEmpty == true { segments.removeLast() }
        guard segments.count >= 3, !segments[0].isEmpty, segments[1] == "mlflow", segments[2].hasPrefix("v"),
            !segments.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." })
        else { throw refuse("not the address of a workspace") }
        return (segments[0].lowercased(), Array(segments.dropFirst()))
    }

    private static func scope(_ segments: ArraySlice<Substring>) -> String? {
        let parts = Array(segments)
        guard parts.count == 8, fixed.allSatisfy({ parts[$0.0].lowercased() == $0.1 }) else { return nil }
        return "/" + parts.joined(separator: "/")
    }
}
