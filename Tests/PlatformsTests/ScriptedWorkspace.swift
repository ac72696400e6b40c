import Foundation
import Replication
import TestSupport

@testable import Platforms

/// A workspace, its token endpoint and its storage in one: what a test does not answer itself is answered as by default.
final class Workspace: Sendable {
    let server: RawServer
    let tokens = Locked(0)

    /// - Parameter answer: false: by default.
    init(_ answer: @escaping @Sendable (RawRequest, RawConnection) throws -> Bool = { _, _ in false }) throws {
        let tokens = tokens
        server = try RawServer { connection in
            while true {
                let request = try connection.readRequest()
                if try answer(request, connection) { continue }
                let route = request.target.prefix { $0 != "?" }
                let host = "http://" + (request.header("host") ?? "")
                if route.hasSuffix("oauth-authorization-server") {
                    try connection.json("{\"token_endpoint\":\"\(host)/oidc/v1/token\"}")
                } else if route.hasSuffix("/token") {
                    let number = tokens.withLock { count in
                        count += 1
                        return count
                    }
                    try connection.json("{\"access_token\":\"canary-\(number)\",\"token_type\":\"Bearer\",\"expires_in\":3600}")
                } else {
                    try connection.answer(200, ["Content-Type: application/json", "x-databricks-org-id: 77"], body: Array("{}".utf8))
                }
            }
        }
    }

    func connection(_ environment: [String: String], readsUnityCatalog: Bool = false) throws -> DatabricksConnection {
        let environment = ["DATABRICKS_HOST": server.url, "DATABRICKS_CONFIG_FILE": "/dev/null", "NO_PROXY": "127.0.0.1"].merging(
            environment
        ) { $1 }
        let variables = try DatabricksVariables(.standard, environment: environment)
        return try DatabricksConnection(
            host: variables.host, try DatabricksCredential(variables), variables, environment: environment, rateShare: 1,
            readsUnityCatalog: readsUnityCatalog)
    }

    func with(
        _ environment: [String: String], readsUnityCatalog: Bool = false, _ body: (MLflowStore) async throws -> Void
    ) async throws {
        let connection = try connection(environment, readsUnityCatalog: readsUnityCatalog)
        defer {
            connection.close()
            server.stop()
        }
        try await body(connection.store)
    }

    /// What was asked of the workspace itself.
    var asked: [RawRequest] { server.requests.filter { $0.target.contains("/api/2.0/mlflow/") } }
}
