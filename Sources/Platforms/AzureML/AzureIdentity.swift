/// As whom mlmirror asks Azure for tokens. The variables are those of Microsoft's own clients (azure-identity's
/// `DefaultAzureCredential`), in their order.
public enum AzureIdentity: Sendable, Hashable {
    case clientSecret(tenant: String, client: String, secret: String)
    /// The file holds certificate and key, in PEM: it is read for every token.
    case certificate(tenant: String, client: String, file: String, password: String?)
    /// The file holds an assertion that Kubernetes renews: it is read for every token.
    case workload(tenant: String, client: String, file: String)
    /// Of a web app, a function or an Azure ML compute: its own endpoint gives the tokens.
    case managed(endpoint: String, header: String, client: String?)
    /// Of a virtual machine: the metadata service gives the tokens.
    case machine(endpoint: String, client: String?)

    /// The variables say less, or other, than what is needed. No value is in the text.
    public struct Incomplete: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
        init(_ description: String) { self.description = description }
    }

    /// The first of these whose variables are there:
    ///
    /// - `AZURE_CLIENT_SECRET`, with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`
    /// - `AZURE_CLIENT_CERTIFICATE_PATH`, with the same two; `AZURE_CLIENT_CERTIFICATE_PASSWORD` is its key's
    /// - `AZURE_FEDERATED_TOKEN_FILE`, with the same two
    /// - `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`; `AZURE_CLIENT_ID` names one of several identities
    /// - the virtual machine's; likewise
    public init(_ environment: [String: String]) throws(Incomplete) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        func needed(_ name: String, besides other: String) throws(Incomplete) -> String {
            guard let value = value(name) else { throw Incomplete("\(other) is set and \(name) is not; set \(name) too") }
            return value
        }
        let client = value("AZURE_CLIENT_ID")
        if let secret = value("AZURE_CLIENT_SECRET") {
            self = .clientSecret(
                tenant: try needed("AZURE_TENANT_ID", besides: "AZURE_CLIENT_SECRET"),
                client: try needed("AZURE_CLIENT_ID", besides: "AZURE_CLIENT_SECRET"), secret: secret)
        } else if let file = value("AZURE_CLIENT_CERTIFICATE_PATH") {
            self = .certificate(
                tenant: try needed("AZURE_TENANT_ID", besides: "AZURE_CLIENT_CERTIFICATE_PATH"),
                client: try needed("AZURE_CLIENT_ID", besides: "AZURE_CLIENT_CERTIFICATE_PATH"), file: file,
                password: value("AZURE_CLIENT_CERTIFICATE_PASSWORD"))
        } else if let file = value("AZURE_FEDERATED_TOKEN_FILE") {
            self = .workload(
                tenant: try needed("AZURE_TENANT_ID", besides: "AZURE_FEDERATED_TOKEN_FILE"),
                client: try needed("AZURE_CLIENT_ID", besides: "AZURE_FEDERATED_TOKEN_FILE"), file: file)
        } else if let endpoint = value("IDENTITY_ENDPOINT") {
            self = .managed(
                endpoint: endpoint, header: try needed("IDENTITY_HEADER", besides: "IDENTITY_ENDPOINT"), client: client)
        } else {
            self = .machine(endpoint: value("AZURE_POD_IDENTITY_AUTHORITY_HOST") ?? "http://169.254.169.254", client: client)
        }
    }

    /// The metadata endpoints are on the machine or beside it: no proxy knows them.
    public var isLocal: Bool {
        switch self {
        case .managed, .machine: true
        case .clientSecret, .certificate, .workload: false
        }
    }
}

extension AzureIdentity: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// For people; without secrets.
    public var description: String {
        switch self {
        case .clientSecret(_, let client, _): "the service principal \(client) and its secret"
        case .certificate(_, let client, let file, _): "the service principal \(client) and its certificate in \(file)"
        case .workload(_, let client, let file): "the workload identity \(client) by \(file)"
        case .managed(_, _, let client): "the managed identity" + (client.map { " \($0)" } ?? "")
        case .machine(_, let client): "the virtual machine's identity" + (client.map { " \($0)" } ?? "")
        }
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["kind": description]) }
}
