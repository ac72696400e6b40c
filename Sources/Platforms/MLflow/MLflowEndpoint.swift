import Curl

/// How a client proves who it is to an MLflow server or to the proxy in front of it.
public enum MLflowCredentials: Sendable, Hashable {
    case none
    case basic(username: String, password: String)
    case bearer(token: String)
}

extension MLflowCredentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The kind alone.
    public var description: String {
        switch self {
        case .none: "no credentials"
        case .basic: "user and password"
        case .bearer: "token"
        }
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["kind": description]) }
}

/// Where an MLflow server is and how it is spoken to.
public struct MLflowEndpoint: Sendable, Hashable {
    /// Scheme, host, port and path prefix, without user, query or trailing slash: `https://host/prefix`.
    public let baseURL: String
    public var credentials: MLflowCredentials
    /// Sent as `X-MLFLOW-WORKSPACE`; nil: the server's default workspace.
    public var workspace: String?
    /// Seconds until the first byte of an answer. MLflow's own client waits as long (`MLFLOW_HTTP_REQUEST_TIMEOUT`).
    public var requestTimeout: Double
    /// Its address as people write it, where that is another.
    var knownAs: String?
    /// What tells a host of several stores which one is meant.
    var routing: [HTTPHeader] = []

    /// What is wrong with a tracking URI. Its text never repeats user or password.
    public struct InvalidURI: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// Takes `http://` and `https://` addresses. A user and password in the address become the credentials.
    public init(uri: String, credentials: MLflowCredentials = .none, workspace: String? = nil, requestTimeout: Double = 120)
        throws(InvalidURI)
    {
        let parts = try TrackingURI(uri)
        baseURL = parts.base
        if let user = parts.user {
            guard credentials == .none || credentials == .basic(username: user, password: parts.password ?? "") else {
                throw InvalidURI(description: "\(parts.base): credentials are given both in the address and beside it; keep one of them")
            }
            self.credentials = .basic(username: user, password: parts.password ?? "")
        } else {
            self.credentials = credentials
        }
        self.workspace = workspace.flatMap { $0.isEmpty ? nil : $0 }
        self.requestTimeout = requestTimeout
    }

    /// How people know the store: no credential is in it.
    public var name: String { knownAs ?? workspace.map { "\(baseURL) (workspace \($0))" } ?? baseURL }

    /// Scheme, lower-case host, port and path, for comparing with an artifact URI's authority.
    var host: String { TrackingURI.authority(of: baseURL) }

    /// The headers that every request to this server bears beside its authorization, and none to any other.
    var headers: [HTTPHeader] {
        var headers = [HTTPHeader("Accept", "application/json")]
        if let workspace { headers.append(HTTPHeader("X-MLFLOW-WORKSPACE", workspace)) }
        return headers + routing
    }
}

/// The parts of a tracking URI.
struct TrackingURI {
    var base: String
    var user: String?
    var password: String?

    init(_ text: String) throws(MLflowEndpoint.InvalidURI) {
        func refuse(_ why: String) -> MLflowEndpoint.InvalidURI {
            MLflowEndpoint.InvalidURI(description: "\(Redaction.url(text)): \(why)")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw MLflowEndpoint.InvalidURI(
                description: "the tracking URI holds a space, a control character or a letter that is not ASCII")
        }
        guard let separator = text.firstRange(of: "://") else {
            throw refuse("not the address of an MLflow server; write http://HOST:PORT or https://HOST")
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw refuse("the scheme must be http or https: run an MLflow server in front of a file store or a data base")
        }
        var rest = text[separator.upperBound...]
        guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else { throw refuse("no ? or # can be in the address of an MLflow server") }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var path = rest[slash...]
        rest = rest[..<slash]
        if let at = rest.lastIndex(of: "@") {
            let info = rest[..<at]
            rest = rest[rest.index(after: at)...]
            let colon = info.firstIndex(of: ":") ?? info.endIndex
            guard let user = PercentEncoding.decode(info[..<colon]), let secret = PercentEncoding.decode(info[colon...].dropFirst()) else {
                throw MLflowEndpoint.InvalidURI(description: "user or password in the tracking URI is not percent-encoded UTF-8")
            }
            self.user = user.isEmpty ? nil : user
            password = secret
        }
        var host = rest.lowercased()
        let port = scheme == "http" ? ":80" : ":443"
        if host.hasSuffix(port) { host.removeLast(port.count) }
        guard !host.isEmpty, host != ":" else { throw refuse("the host is missing") }
        while path.hasSuffix("/") { path.removeLast() }
        base = "\(scheme)://\(host)\(path)"
    }

    /// Host and port of an address, in lower case.
    static func authority(of url: String) -> String {
        guard let separator = url.firstRange(of: "://") else { return "" }
        let rest = url[separator.upperBound...]
        let authority = rest[..<(rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex)]
        return authority[(authority.lastIndex(of: "@").map { authority.index(after: $0) } ?? authority.startIndex)...].lowercased()
    }
}
