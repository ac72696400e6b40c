import Curl
import Platforms
import TestSupport
import Testing

/// Runs a suite's tests against one real MLflow server that is started for it.
struct RealServer: SuiteTrait, TestTrait, TestScoping {
    @TaskLocal static var current: MLflowServer?
    var options: [String] = []
    var environment: [String: String] = [:]
    var executable: String? = MLflowServer.executable

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let server = try await MLflowServer.start(options: options, environment: environment, executable: executable)
        try await Self.$current.withValue(server) { try await function() }
        server.stop()
    }

    /// A store on the server of the running test.
    static func store(_ client: HTTPClient = HTTPClient()) throws -> MLflowStore {
        let server = try #require(current)
        return MLflowStore(try MLflowEndpoint(uri: server.url), client: client)
    }
}

extension Trait where Self == RealServer {
    static var realServer: Self { RealServer() }
}

extension Trait where Self == ConditionTrait {
    static var needsServer: Self { .enabled(if: MLflowServer.executable != nil, "no mlflow executable; set MLMIRROR_TEST_MLFLOW") }
}
