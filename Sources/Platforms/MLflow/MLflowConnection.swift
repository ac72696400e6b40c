import Curl

/// A store and the connections to it.
public struct MLflowConnection: Sendable {
    public let store: MLflowStore
    private let client: HTTPClient
    private let tally = RequestTally()

    /// Opens nothing yet: the first request does.
    ///
    /// - Parameters:
    ///   - environment: proxies, CA files, and the time-outs and TLS habits of MLflow's own client.
    ///   - caFile: PEM; wins over the environment's.
    ///   - clientCertificate: PEM with its key; wins likewise.
    ///   - database: behind the server, for histories.
    public init(
        _ endpoint: MLflowEndpoint, environment: [String: String], caFile: String? = nil, clientCertificate: String? = nil,
        database: MLflowDatabase? = nil
    ) {
        var configuration = HTTPClientConfiguration.fromEnvironment(environment)
        if let caFile { configuration.caFile = caFile }
        if let clientCertificate { configuration.clientCertificate = clientCertificate }
        let tally = tally
        configuration.onExchange = { tally.note($0) }
        client = HTTPClient(configuration)
        store = MLflowStore(endpoint, client: client, database: database)
    }

    /// What was asked so far, by what it was about.
    public var requests: RequestFigures { tally.figures }
    /// Of what was given, in seconds since 1970; nil: it says nothing of an end.
    public var credentialEndsAt: Double? { store.endpoint.credentials.endsAt }

    /// Requests sent so far.
    public var requestCount: Int { client.requestCount }

    /// Ends what is under way. Later requests fail.
    public func close() { client.shutdown() }
}
