import Curl

/// A store and the connections to it.
public struct MLflowConnection: Sendable {
    public let store: MLflowStore
    private let client: HTTPClient

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
        client = HTTPClient(configuration)
        store = MLflowStore(endpoint, client: client, database: database)
    }

    /// Requests sent so far.
    public var requestCount: Int { client.requestCount }

    /// Ends what is under way. Later requests fail.
    public func close() { client.shutdown() }
}
