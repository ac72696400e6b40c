import Curl

/// As whom mlmirror asks a workspace, and who said so. The methods are those of databricks-sdk, in its order.
public struct DatabricksCredential: Sendable, Hashable {
    public enum Method: String, Sendable, Hashable, CaseIterable {
        case pat, basic
        case oauth = "oauth-m2m"
        case variableOIDC = "env-oidc"
        case fileOIDC = "file-oidc"
        case azureSecret = "azure-client-secret"
        case azureIdentity = "azure-msi"
    }
    enum Proof: Sendable, Hashable {
        case fixed(MLflowCredentials)
        case oauth(client: String, secret: String)
        /// A token of another issuer, which the workspace is set up to trust.
        case exchange(client: String?, TokenPlace)
        case azure(AzureIdentity, tenantIsKnown: Bool)
    }
    enum TokenPlace: Sendable, Hashable {
        case variable(String)
        case file(String)
    }

    public let method: Method
    let proof: Proof
    /// For people: `DATABRICKS_TOKEN`.
    public let source: String

    /// One that was given to mlmirror itself.
    public init(_ own: MLflowCredentials, source: String) {
        if case .basic = own { method = .basic } else { method = .pat }
        proof = .fixed(own)
        self.source = source
    }

    /// - Throws: `DatabricksVariables.Invalid`, when there is none, or more than one.
    public init(_ variables: DatabricksVariables) throws(DatabricksVariables.Invalid) {
        var found: [DatabricksCredential] = []
        let pinned = variables["auth_type"]
        if let pinned {
            guard let method = Method(rawValue: pinned.text) else {
                throw Self.invalid(
                    "\(pinned.source): this version knows \(Method.allCases.map(\.rawValue).joined(separator: ", ")); set one of them")
            }
            guard let credential = try Self.find(method, variables, isPinned: true) else {
                throw Self.invalid("\(pinned.source) says \(method.rawValue), and its secret is missing: set \(Self.needed(method))")
            }
            found = [credential]
        } else {
            for method in Method.allCases {
                if let credential = try Self.find(method, variables, isPinned: false) { found.append(credential) }
            }
        }
        guard let first = found.first else { throw Self.none(variables) }
        if found.count > 1 {
            let all = found.map { "\($0.method.rawValue) by \($0.source)" }.joined(separator: ", ")
            throw Self.invalid("more than one way to ask the workspace: \(all); unset all but one, or set DATABRICKS_AUTH_TYPE")
        }
        self = first
    }

    private init(_ method: Method, _ proof: Proof, source: String) {
        self.method = method
        self.proof = proof
        self.source = source
    }

    private static func invalid(_ text: String) -> DatabricksVariables.Invalid { .init(text) }

    private static func needed(_ method: Method) -> String {
        switch method {
        case .pat: "DATABRICKS_TOKEN"
        case .basic: "DATABRICKS_USERNAME and DATABRICKS_PASSWORD"
        case .oauth: "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"
        case .variableOIDC: "DATABRICKS_OIDC_TOKEN, or the variable that DATABRICKS_OIDC_TOKEN_ENV names"
        case .fileOIDC: "DATABRICKS_OIDC_TOKEN_FILEPATH or DATABRICKS_OIDC_TOKEN_FILE"
        case .azureSecret: "ARM_TENANT_ID, ARM_CLIENT_ID and ARM_CLIENT_SECRET"
        case .azureIdentity: "ARM_USE_MSI=true"
        }
    }

    private static func find(
        _ method: Method, _ variables: DatabricksVariables, isPinned: Bool
    ) throws(DatabricksVariables.Invalid) -> DatabricksCredential? {
        func beside(_ name: String, _ secret: DatabricksVariables.Value) throws(DatabricksVariables.Invalid) -> String {
            guard let value = variables[name] else {
                throw invalid("\(secret.source) is there, and \(name) is not; set \(needed(method))")
            }
            return value.text
        }
        func made(_ proof: Proof, _ value: DatabricksVariables.Value) throws(DatabricksVariables.Invalid) -> DatabricksCredential {
            try variables.requireOwn(value)
            return DatabricksCredential(method, proof, source: value.source)
        }
        switch method {
        case .pat:
            guard let token = variables["token"] else { return nil }
            return try made(.fixed(.bearer(token: token.text)), token)
        case .basic:
            guard let password = variables["password"] else { return nil }
            return try made(.fixed(.basic(username: try beside("username", password), password: password.text)), password)
        case .oauth:
            guard let secret = variables["client_secret"] else { return nil }
            return try made(.oauth(client: try beside("client_id", secret), secret: secret.text), secret)
        case .variableOIDC:
            let name = variables["oidc_token_env"]?.text ?? "DATABRICKS_OIDC_TOKEN"
            guard variables.environment[name].map({ !$0.isEmpty }) ?? false else { return nil }
            let value = DatabricksVariables.Value(text: "", source: name)
            return try made(.exchange(client: variables["client_id"]?.text, .variable(name)), value)
        case .fileOIDC:
            guard let file = variables["oidc_token_filepath"] else { return nil }
            return try made(.exchange(client: variables["client_id"]?.text, .file(file.text)), file)
        case .azureSecret:
            guard let secret = variables["azure_client_secret"] else { return nil }
            let identity = AzureIdentity.clientSecret(
                tenant: variables["azure_tenant_id"]?.text ?? "", client: try beside("azure_client_id", secret), secret: secret.text)
            return try made(.azure(identity, tenantIsKnown: variables["azure_tenant_id"] != nil), secret)
        case .azureIdentity:
            let said = variables["azure_use_msi"]
            guard isPinned || ["true", "1", "t"].contains(said?.text.lowercased() ?? "") else { return nil }
            let client = variables["azure_client_id"]?.text
            let identity: AzureIdentity
            // The machine's own, whichever way it has: nobody's secret.
            if let endpoint = variables.environment["IDENTITY_ENDPOINT"], let header = variables.environment["IDENTITY_HEADER"],
                !endpoint.isEmpty, !header.isEmpty
            {
                identity = .managed(endpoint: endpoint, header: header, client: client)
            } else {
                identity = .machine(
                    endpoint: variables.environment["AZURE_POD_IDENTITY_AUTHORITY_HOST"] ?? "http://169.254.169.254", client: client)
            }
            return try made(.azure(identity, tenantIsKnown: true), said ?? .init(text: "", source: "DATABRICKS_AUTH_TYPE"))
        }
    }

    /// `AZURE_*` belong to a workspace of Azure ML, and are never sent here.
    private static func none(_ variables: DatabricksVariables) -> DatabricksVariables.Invalid {
        let foreign = variables.environment.keys.filter {
            $0.hasPrefix("AZURE_CLIENT_") || $0 == "AZURE_TENANT_ID" || $0 == "AZURE_FEDERATED_TOKEN_FILE"
        }.sorted()
        guard let name = foreign.first else {
            return invalid(
                "nothing says who asks the workspace \(variables.host): set DATABRICKS_TOKEN, DATABRICKS_CLIENT_ID and "
                    + "DATABRICKS_CLIENT_SECRET, or ARM_*")
        }
        return invalid(
            "nothing says who asks the workspace \(variables.host): \(name) belongs to Azure ML. The Databricks store takes DATABRICKS_* or "
                + "ARM_*: set ARM_TENANT_ID, ARM_CLIENT_ID and ARM_CLIENT_SECRET, also where they are the same")
    }
}

extension DatabricksCredential: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The method, and who said so: no value.
    public var description: String { "\(method.rawValue) by \(source)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["kind": description]) }
}
