/// One of Azure's separate clouds: who gives tokens, and for what.
///
/// Names and hosts as in azure-identity's `AzureAuthorityHosts` and azureml-mlflow's `AZUREML_CURRENT_CLOUD`.
public struct AzureCloud: Sendable, Hashable {
    public var name: String
    /// `https://HOST`, of the Microsoft Entra ID that gives the tokens.
    public var authority: String
    /// What a token for the workspace's MLflow endpoint is asked for: the cloud's resource manager, with a slash at its end.
    public var resource: String

    public static let all = [
        AzureCloud(
            name: "AzureCloud", authority: "https://login.microsoftonline.com", resource: "https://management.azure.com/"),
        AzureCloud(
            name: "AzureChinaCloud", authority: "https://login.chinacloudapi.cn", resource: "https://management.chinacloudapi.cn/"),
        AzureCloud(
            name: "AzureUSGovernment", authority: "https://login.microsoftonline.us",
            resource: "https://management.usgovcloudapi.net/"),
    ]

    /// Reads `AZUREML_CURRENT_CLOUD`, and `AZURE_AUTHORITY_HOST` over it.
    public init(_ environment: [String: String]) throws(AzureIdentity.Incomplete) {
        let name = environment["AZUREML_CURRENT_CLOUD"].flatMap { $0.isEmpty ? nil : $0 } ?? "AzureCloud"
        guard let cloud = Self.all.first(where: { $0.name == name }) else {
            throw AzureIdentity.Incomplete(
                "AZUREML_CURRENT_CLOUD: no such cloud; expected \(Self.all.map(\.name).joined(separator: ", "))")
        }
        self = cloud
        guard var authority = environment["AZURE_AUTHORITY_HOST"], !authority.isEmpty else { return }
        if !authority.contains("://") { authority = "https://\(authority)" }
        while authority.hasSuffix("/") { authority.removeLast() }
        guard authority.hasPrefix("https://") || Self.isOnThisMachine(authority) else {
            throw AzureIdentity.Incomplete("AZURE_AUTHORITY_HOST: expected an https address: a secret is sent there")
        }
        self.authority = authority
    }

    private init(name: String, authority: String, resource: String) {
        self.name = name
        self.authority = authority
        self.resource = resource
    }

    private static func isOnThisMachine(_ url: String) -> Bool {
        let host = TrackingURI.authority(of: url)
        return url.hasPrefix("http://") && (host == "127.0.0.1" || host.hasPrefix("127.0.0.1:"))
    }
}
