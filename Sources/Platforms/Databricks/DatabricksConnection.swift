import Curl
import Foundation
import Replication

/// A workspace of Databricks and the connections to it.
public struct DatabricksConnection: Sendable {
    public let store: MLflowStore
    private let client: HTTPClient
    private let tokenClient: HTTPClient?
    private let tally = RequestTally()
    /// Seconds since 1970; nil: it says nothing of an end, or is renewed.
    public let credentialEndsAt: Double?

    /// Which workspace a variable or a profile names: sent with each request, for several may share a host.
    private let saidID: String?

    /// Of Azure Databricks, in every cloud of Azure.
    private static let resource = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/"

    /// Opens nothing yet: the first request does.
    ///
    /// - Parameters:
    ///   - variables: which cloud of Azure it is in, and which resource there.
    ///   - environment: proxies, CA files, and where tokens are got.
    ///   - caFile: PEM; wins over the environment's.
    ///   - requestTimeout: seconds until the first byte of an answer.
    ///   - rateShare: how much of the rates that Databricks documents for a workspace is used, above 0 and at most 1.
    ///   - readsUnityCatalog: its registered models are those of Unity Catalog, not the workspace's own.
    /// - Throws: `MLflowEndpoint.InvalidURI`, `AzureIdentity.Incomplete`.
    public init(
        host: String, _ credential: DatabricksCredential, _ variables: DatabricksVariables? = nil,
        environment: [String: String], caFile: String? = nil, requestTimeout: Double = 120, rateShare: Double = 0.4,
        readsUnityCatalog: Bool = false
    ) throws {
        var configuration = HTTPClientConfiguration.fromEnvironment(environment)
        if let caFile { configuration.caFile = caFile }
        let tally = tally
        configuration.onExchange = { tally.note($0) }
        if case .fixed(let fixed) = credential.proof { credentialEndsAt = fixed.endsAt } else { credentialEndsAt = nil }
        let client = HTTPClient(configuration)
        self.client = client
        let authorization: any Authorization
        var tokenClient: HTTPClient?
        switch credential.proof {
        case .fixed(let fixed): authorization = fixed
        case .oauth, .exchange:
            let source = DatabricksTokenSource(host: host, credential: credential, client: client, environment: environment)
            authorization = BearerTokens(onRenewal: { tally.noteRenewal() }) { try await source.fetch($0) }
        case .azure(let identity, let tenantIsKnown):
            if identity.isLocal {
                // They are on this machine or beside it: no proxy knows them.
                configuration = HTTPClientConfiguration()
                configuration.proxy = .none
                configuration.onExchange = { tally.note($0) }
                tokenClient = HTTPClient(configuration)
            }
            let tenant = tenantIsKnown ? nil : TenantDiscovery(host: host, client: client)
            let named = variables?["azure_environment"]?.text
            let resourceID = variables?["azure_workspace_resource_id"]?.text
            func tokens(_ resource: String) throws -> BearerTokens {
                var cloud = try AzureCloud(databricks: environment, name: named, host: host)
                cloud.resource = resource
                let source = AzureTokenSource(identity: identity, cloud: cloud, client: tokenClient ?? client, variables: "ARM_*")
                return BearerTokens(onRenewal: { tally.noteRenewal() }) {
                    try await (try await tenant?.completing(source) ?? source).fetch($0)
                }
            }
            let management = try AzureCloud(databricks: environment, name: named, host: host).databricksManagement
            authorization = AzureDatabricksAuthorization(
                tokens: try tokens(Self.resource), resource: try resourceID.map { ($0, try tokens(management)) })
        }
        self.tokenClient = tokenClient
        let said = variables.map { $0["workspace_id"]?.text } ?? environment["DATABRICKS_WORKSPACE_ID"].nonEmpty
        saidID = said
        var endpoint = try MLflowEndpoint(uri: host, requestTimeout: requestTimeout)
        if let said { endpoint.routing = DatabricksHost.headers(to: said) }
        var service = MLflowService(endpoint, client: client, authorization: authorization)
        service.rates = AdaptiveRates(classOf: DatabricksRates.name, onWait: { tally.noteWait($0) }) {
            DatabricksRates.perSecond[$0].map { $0 * rateShare }
        }
        service.failure.access = DatabricksAccess.advice
        service.failure.withoutFeature = "this workspace has it switched off"
        let dialect = readsUnityCatalog ? Dialect.databricksUnityCatalog : .databricks
        let registry = readsUnityCatalog ? RegistryRoute.unityCatalog : .own
        let other = readsUnityCatalog ? RegistryRoute.own : .unityCatalog
        store = MLflowStore(service, dialect: dialect, files: DatabricksFiles(service), registry: registry, otherRegistry: other) {
            DatabricksWorkspace.identity(try await DatabricksWorkspace.id($0.service, said: said))
        }
    }

    /// The number that Databricks gave the workspace.
    ///
    /// - Throws: `StoreError`, `CancellationError`.
    public func workspaceID() async throws -> String { try await DatabricksWorkspace.id(store.service, said: saidID) }

    /// What was asked so far, by what it was about.
    public var requests: RequestFigures { tally.figures }

    /// Requests sent so far.
    public var requestCount: Int { client.requestCount + (tokenClient?.requestCount ?? 0) }

    /// Ends what is under way. Later requests fail.
    public func close() {
        client.shutdown()
        tokenClient?.shutdown()
    }
}

/// Which tenant of Microsoft Entra ID a workspace belongs to: it redirects there (databricks-sdk, `load_azure_tenant_id`).
struct TenantDiscovery: Sendable {
    var host: String
    var client: HTTPClient
    /// It does not change.
    let known = Locked<String?>(nil)

    func completing(_ source: AzureTokenSource) async throws -> AzureTokenSource {
        guard case .clientSecret(_, let client, let secret) = source.identity else { return source }
        var source = source
        source.identity = .clientSecret(tenant: try await tenant(), client: client, secret: secret)
        return source
    }

    private func tenant() async throws -> String {
        if let tenant = known.withLock({ $0 }) { return tenant }
        let found = try await ask()
        known.withLock { $0 = found }
        return found
    }

    private func ask() async throws -> String {
        // A request that is not said to be repeatable gets the redirect as its answer.
        let request = HTTPRequest(.get, host + "/aad/auth", isIdempotent: false, timeouts: Timeouts(connect: 10, firstByte: 30, stall: 30))
        let response: HTTPResponse
        do { response = try await client.send(request.about(.tokens)) } catch let error as HTTPError {
            if error.kind == .cancelled { throw CancellationError() }
            throw StoreError(.retry(after: nil), .unreachable, "the tenant of \(host): \(error.description); set ARM_TENANT_ID")
        }
        if response.status == 429 || response.status >= 500 {
            throw StoreError(
                .retry(after: RetryAfter.seconds(response.headers, now: Date().timeIntervalSince1970)), .serverFailure,
                "the tenant of \(host): HTTP \(response.status); ask again, or set ARM_TENANT_ID")
        }
        // https://login.microsoftonline.com/TENANT/oauth2/authorize?...
        let path = (response.header("Location") ?? "").split(separator: "/", omittingEmptySubsequences: true)
        guard path.count >= 3, path[0].hasSuffix(":"), let tenant = path.dropFirst(2).first, !tenant.contains("?") else {
            throw StoreError(.stop, .unauthorized, "\(host) does not say to which tenant it belongs; set ARM_TENANT_ID")
        }
        return String(tenant)
    }
}
