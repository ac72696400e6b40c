import Curl
import Replication

/// One request to an MLflow server and how its failures are to be understood.
struct MLflowCall: Sendable {
    /// What a broken uniqueness in the server's data base means. Two clients may have written the same new thing at once, which
    /// another try settles; or the thing was there before.
    enum Duplicate: Sendable { case raced, exists }

    var method: HTTPRequest.Method
    /// From the base URL on, percent-encoded: `/api/2.0/mlflow/runs/get?run_id=...`.
    var path: String
    var body: [UInt8] = []
    /// For people: `run 17f2`.
    var subject: String
    var isWrite: Bool
    var duplicate = Duplicate.raced
    var maximumResponseBytes = 64 << 20
    /// Its body is not `body`: it comes from elsewhere, once.
    var streamsBody = false

    /// A read with GET.
    static func get(_ path: String, _ query: [(String, String)] = [], of subject: String) -> Self {
        Self(method: .get, path: path + PercentEncoding.query(query), subject: subject, isWrite: false)
    }

    /// A read with POST: a search.
    static func search(_ path: String, _ body: some Encodable & Sendable, of subject: String) throws(StoreError) -> Self {
        Self(method: .post, path: path, body: try JSONBody.encode(body), subject: subject, isWrite: false)
    }

    static func write(
        _ path: String, _ body: some Encodable & Sendable, method: HTTPRequest.Method = .post, of subject: String,
        duplicate: Duplicate = .raced
    ) throws(StoreError) -> Self {
        Self(method: method, path: path, body: try JSONBody.encode(body), subject: subject, isWrite: true, duplicate: duplicate)
    }

    /// A path below `/api/2.0/mlflow`.
    static func api(_ path: String) -> String { "/api/2.0/mlflow/" + path }
    /// A path below `/ajax-api/2.0/mlflow`: what the web pages of the server use and `/api` lacks.
    static func ajax(_ path: String) -> String { "/ajax-api/2.0/mlflow/" + path }

    /// Without the query, for messages.
    var route: String { "\(method.rawValue) \(path.prefix { $0 != "?" })" }
}
