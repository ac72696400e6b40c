import Curl
import Replication

/// Which workspace it is, and what it asks of those who want to read.
enum DatabricksWorkspace {
    /// From the header that every answer bears; behind a proxy that takes it away, from the host's name, from what the workspace publishes
    /// of itself, or from what people say.
    ///
    /// - Parameter said: the number, or another name, that a variable or a profile gives.
    static func id(_ service: MLflowService, said: String? = nil) async throws -> String {
        struct Body: Encodable, Sendable { var maxResults = 1 }
        let call = try MLflowCall.search(MLflowCall.api("experiments/search"), Body(), of: "which workspace it is")
        let answer = try await service.repeating(call) {
            try await service.authorized(call) { try await service.answer(call, $0, .bytes(call.body), orSay: "not JSON") }
        }
        if let id = answer.header("x-databricks-org-id").nonEmpty ?? DatabricksHost.workspaceID(of: service.endpoint.baseURL) {
            guard let said, DatabricksHost.isNumber(said), said != id else { return id }
            throw StoreError(
                .stop, .notMLflow,
                "\(service.endpoint.name): workspace \(id) answers, and \(said) was named; correct DATABRICKS_WORKSPACE_ID, workspace_id of the "
                    + "profile, or ?o= in the host")
        }
        if let id = try await published(service) ?? said.nonEmpty { return id }
        throw StoreError(
            .stop, .notMLflow,
            "\(service.endpoint.name): the answer has no header x-databricks-org-id, and \(configuration) names no workspace; check that the "
                + "address is a Databricks workspace's, and set DATABRICKS_WORKSPACE_ID where something between takes the header away")
    }

    private static let configuration = "/.well-known/databricks-config"

    /// Asked without what proves who asks, as databricks-sdk 0.162 does (`config.py`, `_resolve_host_metadata`). A host of a whole account names
    /// none.
    private static func published(_ service: MLflowService) async throws -> String? {
        struct Answer: Decodable { var workspaceId: String? }
        let call = MLflowCall.get(configuration, of: "which workspace it is")
        var request = HTTPRequest(.get, service.endpoint.baseURL + configuration, headers: [HTTPHeader("Accept", "application/json")])
        request.timeouts = Timeouts(connect: 10, firstByte: 30, stall: 30)
        request.maximumResponseBytes = 1 << 20
        let response: HTTPResponse
        do { response = try await service.client.send(request.about(.other)) } catch let error as HTTPError {
            throw service.failure.thrown(call, error)
        }
        guard response.status == 200 else {
            let error = service.failure.error(call, status: response.status, headers: response.headers, body: response.body)
            // Away for a moment: then nothing is known of what it would have said.
            if error.isRetriable { throw error }
            return nil
        }
        return (try? WireDecoder.decode(Answer.self, from: response.body))?.workspaceId.nonEmpty
    }

    /// The same for every address of a workspace.
    static func identity(_ id: String) -> StoreIdentity {
        var hash = StableHash()
        hash.add(id)
        return StoreIdentity("databricks-\(hash.hexadecimal)")
    }
}

/// Which grant is missing where a workspace answers 403.
enum DatabricksAccess {
    static let advice: @Sendable (MLflowCall) -> String = { call in
        if call.path.contains("/registered-models/") || call.path.contains("/model-versions/") {
            return call.path.contains("/unity-catalog/")
                ? "grant EXECUTE on the model, USE SCHEMA and USE CATALOG to whom these credentials belong"
                : "grant CAN READ on the registered model to whom these credentials belong"
        }
        if call.path.contains("/experiments/search") { return "give whom these credentials belong to access to the workspace" }
        return "grant CAN READ on the experiment to whom these credentials belong"
    }
}

/// What Databricks documents of the rates of a workspace, shared by all its users ("Resource limits": MLflow; of the workspace's registry, its
/// knowledge base).
enum DatabricksRates {
    static let perSecond = ["experiments": 7.0, "runs/search": 7.0, "log-batch": 47.0, "registry": 40.0, "others": 127.0]

    static let name: @Sendable (MLflowCall) -> String = { call in
        let route = call.path.prefix { $0 != "?" }
        if route.hasSuffix("/runs/search") { return "runs/search" }
        if route.hasSuffix("/runs/log-batch") { return "log-batch" }
        let isOfRegistry = ["/mlflow/registered-models/", "/mlflow/model-versions/"].contains { route.contains($0) }
        if isOfRegistry { return "registry" }
        let managed = ["search", "list", "update", "delete", "restore"]
        return managed.contains { route.hasSuffix("/experiments/\($0)") } ? "experiments" : "others"
    }
}

extension MLflowStore {
    /// Searches a second that this store sends at most; nil: as many as it is asked for.
    public var searchesPerSecond: Double? { service.rates?.limit("runs/search") }
}

extension AzureCloud {
    /// `ARM_ENVIRONMENT` over what the host says, `AZURE_AUTHORITY_HOST` over both.
    init(databricks environment: [String: String], name: String?, host: String) throws(AzureIdentity.Incomplete) {
        let cloud: String
        switch name?.lowercased() {
        case "public", "azurepubliccloud", "azurecloud": cloud = "AzureCloud"
        case "usgovernment", "azureusgovernment": cloud = "AzureUSGovernment"
        case "china", "azurechinacloud": cloud = "AzureChinaCloud"
        case nil:
            let authority = TrackingURI.authority(of: host)
            cloud =
                authority.hasSuffix(".databricks.azure.us")
                ? "AzureUSGovernment" : authority.hasSuffix(".databricks.azure.cn") ? "AzureChinaCloud" : "AzureCloud"
        default: throw AzureIdentity.Incomplete("ARM_ENVIRONMENT: no such cloud; expected PUBLIC, USGOVERNMENT or CHINA")
        }
        var environment = environment
        environment["AZUREML_CURRENT_CLOUD"] = cloud
        try self.init(environment)
    }

    /// What a token for the resource manager is asked for, as Azure Databricks takes it.
    var databricksManagement: String {
        switch name {
        case "AzureUSGovernment": "https://management.core.usgovcloudapi.net/"
        case "AzureChinaCloud": "https://management.core.chinacloudapi.cn/"
        default: "https://management.core.windows.net/"
        }
    }
}
