import Curl

/// An Azure ML workspace and the connections to it.
public struct AzureMLConnection: Sendable {
    public let store: MLflowStore
    private let client: HTTPClient
    private let tokenClient: HTTPClient?
    private let tally = RequestTally()
    /// Seconds since 1970; nil: it says nothing of an end, or is renewed.
    public let credentialEndsAt: Double?

    /// Opens nothing yet: the first request does.
    ///
    /// - Parameters:
    ///   - token: sent as it is; nil: tokens are got and renewed, as the variables `AZURE_*` say.
    ///   - environment: proxies, CA files, and who asks.
    ///   - caFile: PEM; wins over the environment's.
    ///   - requestTimeout: seconds until the first byte of an answer.
    public init(
        _ workspace: AzureWorkspace, token: String?, environment: [String: String], caFile: String? = nil, requestTimeout: Double = 120
    ) throws {
        var configuration = HTTPClientConfiguration.fromEnvironment(environment)
        if let caFile { configuration.caFile = caFile }
        let tally = tally
        configuration.onExchange = { tally.note($0) }
        credentialEndsAt = token.flatMap { MLflowCredentials.bearer(token: $0).endsAt }
        let client = HTTPClient(configuration)
        self.client = client
        let authorization: any Authorization
        if let token {
            tokenClient = nil
            authorization = MLflowCredentials.bearer(token: token)
        } else {
            let identity = try AzureIdentity(environment)
            if identity.isLocal {
                // They are on this machine or beside it: no proxy knows them.
                configuration = HTTPClientConfiguration()
                configuration.proxy = .none
                configuration.onExchange = { tally.note($0) }
                tokenClient = HTTPClient(configuration)
            } else {
                tokenClient = nil
            }
            authorization = BearerTokens(
                identity, cloud: try AzureCloud(environment), client: tokenClient ?? client, onRenewal: { tally.noteRenewal() })
        }
        func service(_ base: String) throws -> MLflowService {
            var endpoint = try MLflowEndpoint(uri: base, requestTimeout: requestTimeout)
            endpoint.knownAs = workspace.address
            var service = MLflowService(endpoint, client: client, authorization: authorization)
            service.rates = AdaptiveRates(onWait: { tally.noteWait($0) })
            return service
        }
        let tracking = try service(workspace.mlflowURL)
        var (history, artifacts) = (try service(workspace.historyURL), try service(workspace.artifactURL))
        // `UserError` with an inner `NotFoundError`, of files that were never declared; an unknown route has an empty body.
        history.failure.saysWhatIsMissing = true
        artifacts.failure.saysWhatIsMissing = true
        let files = RunFiles(
            workspace, history: history, artifacts: artifacts,
            blobs: BlobStore(client: client, failure: tracking.failure, timeout: requestTimeout))
        store = MLflowStore(tracking, dialect: .azureML, files: files) { store in
            // Only who can be reached and asked has one.
            _ = try await store.experiments(nil)
            return workspace.identity
        }
    }

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
