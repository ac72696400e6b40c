/// Which proxy requests go through.
public enum ProxyRule: Sendable, Hashable, CustomStringConvertible {
    /// As curl reads them: `https_proxy`, `all_proxy` and `no_proxy` in either case, `http_proxy` in lower case only.
    case environment
    case none
    /// `http://`, `https://` or `socks5://`, with user and password if needed. `no_proxy` still applies.
    case url(String)

    /// Without all that stands before the last @: a password that nobody percent-encoded looks like a port, a path or a query.
    public var description: String {
        switch self {
        case .environment: "environment"
        case .none: "none"
        case .url(let url): url.lastIndex(of: "@").map { Redaction.mask + Redaction.url(String(url[$0...])) } ?? Redaction.url(url)
        }
    }
}

/// A request that has ended, for who counts.
public struct HTTPExchange: Sendable {
    /// The request's.
    public var label: String
    /// Until its answer was whole; of an answer that is read while it arrives, until its head came; until it failed, where it did.
    public var seconds: Double
    /// Nil where no answer came.
    public var status: Int?
    /// What kept it from one.
    public var failure: HTTPError.Kind?
}

/// Settings of one client, the same for all its requests.
public struct HTTPClientConfiguration: Sendable {
    /// At least 1. Over HTTP/2 many requests share one connection.
    ///
    /// A guard, not a throttle: callers bound how much they have in flight. A stream that waits for another request's bytes holds its
    /// connection, so fewer connections than streams can block each other for good.
    public var maximumConnectionsPerHost = 128
    /// A PEM file or a folder of hashed certificates; nil: the system's.
    public var caFile: String?
    /// False accepts any certificate.
    public var verifiesTLS = true
    /// One PEM file with certificate and key.
    public var clientCertificate: String?
    public var proxy: ProxyRule = .environment
    public var userAgent = "mlmirror"
    /// Told of every request that has ended, each redirect for itself; on the caller's task, so it must be quick.
    public var onExchange: (@Sendable (HTTPExchange) -> Void)?

    public init() {}

    /// Reads the names that MLflow's Python client reads.
    ///
    /// `caFile` is the first of `MLFLOW_TRACKING_SERVER_CERT_PATH`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` and `SSL_CERT_FILE` that is
    /// not empty; `MLFLOW_TRACKING_INSECURE_TLS` is on when `true` or `1`; `MLFLOW_TRACKING_CLIENT_CERT_PATH` is `clientCertificate`.
    public static func fromEnvironment(_ environment: [String: String]) -> Self {
        func value(_ names: String...) -> String? {
            names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        var result = Self()
        result.caFile = value("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
        result.clientCertificate = value("MLFLOW_TRACKING_CLIENT_CERT_PATH")
        let insecure = value("MLFLOW_TRACKING_INSECURE_TLS")?.asciiLowercased
        result.verifiesTLS = insecure != "true" && insecure != "1"
        return result
    }
}
