import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

/// What is counted of the requests to a store.
@Suite struct RequestTallyTests {
    @Test(arguments: [
        ("/api/2.0/mlflow/experiments/search", RequestClass.experiments), ("/api/2.0/mlflow/experiments/get?experiment_id=1", .experiments),
        ("/api/2.0/mlflow/runs/search", .runs), ("/api/2.0/mlflow/runs/delete-tag", .runs), ("/api/2.0/mlflow/runs/log-batch", .points),
        ("/api/2.0/mlflow/metrics/get-history?run_id=artifacts", .points),
        ("/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id=1", .points),
        ("/api/2.0/mlflow/logged-models/m-1", .models), ("/api/2.0/mlflow/registered-models/search?filter=x", .models),
        ("/api/2.0/mlflow/model-versions/get?name=runs", .models), ("/api/2.0/mlflow/unity-catalog/model-versions/search", .models),
        ("/api/2.0/mlflow/artifacts/list?run_id=1", .files), ("/api/2.0/mlflow-artifacts/artifacts/1/a/f.txt", .files),
        ("/get-artifact?path=a", .files), ("/ajax-api/2.0/mlflow/upload-artifact?path=a", .files),
        ("/model-versions/get-artifact?name=m", .files), ("/api/2.0/mlflow/artifacts/credentials-for-read", .files),
        ("/api/2.0/mlflow/logged-models/m-1/artifacts/directories", .files),
        // Of Azure's own services, whose address comes before it.
        ("/experiments/1/runs/2/artifacts/contentinfo?path=a", .files), ("/artifacts/ExperimentRun/dcid.2/write", .files),
        ("/version", .other), ("/api/2.0/mlflow/traces", .other), ("/", .other),
    ])
    func everyPathHasItsClass(path: String, kind: RequestClass) {
        #expect(MLflowCall.get(path, of: "it").requestClass == kind)
    }

    @Test func durationsFallIntoTheirBounds() {
        var figures = RequestFigures()
        for seconds in [0.001, 0.01, 0.011, 0.5, 30, 31, 4000] { figures.count(.runs, seconds: seconds) }
        #expect(figures.durations == [2, 1, 0, 0, 1, 0, 0, 1, 2])
        #expect(figures.counts == [.runs: 7] && abs(figures.seconds - 4061.522) < 1e-9)
    }

    /// What fails counts, and what is redirected counts for each hop.
    @Test func requestsAreCountedWhereTheyLeave() async throws {
        let server = try RawServer { connection in
            while true {
                let request = try connection.readRequest()
                switch request.target {
                case let target where target.hasPrefix("/moved"): try connection.json("{}")
                case let target where target.contains("/experiments/get"):
                    try connection.answer(307, ["Location: /moved"])
                case let target where target.contains("/runs/get"):
                    try connection.json("{\"error_code\":\"RESOURCE_DOES_NOT_EXIST\",\"message\":\"no\"}", 404)
                case let target where target.contains("get-artifact"):
                    try connection.answer(200, ["Content-Disposition: attachment"], body: Array("bytes".utf8))
                default: try connection.json("{}")
                }
            }
        }
        defer { server.stop() }
        let connection = MLflowConnection(try MLflowEndpoint(uri: server.url), environment: ["NO_PROXY": "*"])
        defer { connection.close() }
        #expect(connection.requests == RequestFigures())
        _ = try? await connection.store.run(RunID("r"))
        _ = try? await connection.store.experiment(ExperimentID("1"))
        _ = try? await connection.store.serverVersion()
        let owner = ArtifactOwner(.run(RunID("r")), root: "s3://elsewhere/r/artifacts")
        let read = try await connection.store.readArtifact("f", of: owner) { bytes in
            var count = 0
            while let chunk = try await bytes.next() { count += chunk.count }
            return count
        }
        let figures = connection.requests
        #expect(read == 5)
        #expect(figures.counts[.runs] == 1 && figures.counts[.experiments] == 2 && figures.counts[.files] == 1, "\(figures.counts)")
        #expect(figures.counts.values.reduce(0, +) == connection.requestCount && figures.durations.reduce(0, +) == connection.requestCount)
        #expect(figures.seconds > 0 && figures.seconds < 30 && figures.throttledSeconds == 0)
    }

    /// Of the store that failed; what it refuses is no such thing.
    @Test func whatFailsInPassingIsCounted() async throws {
        let server = try RawServer { connection in
            while true {
                let request = try connection.readRequest()
                try connection.json("{}", request.target.contains("/runs/") ? 404 : 503)
            }
        }
        defer { server.stop() }
        let connection = MLflowConnection(try MLflowEndpoint(uri: server.url), environment: ["NO_PROXY": "*"])
        defer { connection.close() }
        _ = try? await connection.store.run(RunID("r"))
        #expect(connection.requests.retries == 0 && connection.requestCount > 0)
        _ = try? await connection.store.experiment(ExperimentID("1"))
        #expect(connection.requests.retries == connection.requests.counts[.experiments] && connection.requests.retries > 0)

        let nobody = MLflowConnection(try MLflowEndpoint(uri: "http://127.0.0.1:1"), environment: ["NO_PROXY": "*"])
        defer { nobody.close() }
        _ = try? await nobody.store.experiment(ExperimentID("1"))
        #expect(nobody.requests.retries == nobody.requests.counts[.experiments] && nobody.requests.retries > 0)
    }

    @Test func aTokenThatTakesAnothersPlaceIsCounted() async throws {
        let (number, told, now) = (Locked(0), Locked(0), Locked(0.0))
        let tokens = BearerTokens(clock: { now.withLock { $0 } }, onRenewal: { told.withLock { $0 += 1 } }) { clock in
            let next = number.withLock { number in
                number += 1
                return number
            }
            return AccessToken("\(next)", life: 100, now: clock())
        }
        #expect(try await tokens.header()?.value == "Bearer 1" && told.withLock { $0 } == 0)
        now.withLock { $0 = 200 }
        #expect(try await tokens.header()?.value == "Bearer 2" && told.withLock { $0 } == 1)
        let refused = HTTPHeader("Authorization", "Bearer 2")
        #expect(await tokens.wasRefused(refused))
        #expect(try await tokens.header()?.value == "Bearer 3" && told.withLock { $0 } == 2)
    }

    @Test func waitingForATurnIsCounted() async throws {
        let waited = Locked(0.0)
        let rates = AdaptiveRates(classOf: { _ in "all" }, onWait: { seconds in waited.withLock { $0 += seconds } })
        try await rates.turn("all")
        #expect(waited.withLock { $0 } == 0)
        rates.wasRefused("all", after: 1)
        try await rates.turn("all")
        #expect(waited.withLock { $0 } > 0 && waited.withLock { $0 } <= 1)
    }

    /// A header, claims and a signature, none of which is looked at but the end.
    private func token(_ claims: String) -> String {
        let payload = Base64.encode(Array(claims.utf8)).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        return "eyJhbGciOiJSUzI1NiJ9.\(payload).c2lnbmF0dXJl"
    }

    @Test func aTokenSaysWhenItEnds() throws {
        #expect(MLflowCredentials.bearer(token: token("{\"aud\":\"~~~???\",\"exp\":1700000000}")).endsAt == 1_700_000_000)
        for other in [
            token("{\"aud\":\"x\"}"), token("{\"exp\":-1}"), token("{\"exp\":1e300}"), token("[]"), "dapi0123456789", "a.b.c", "",
        ] {
            #expect(MLflowCredentials.bearer(token: other).endsAt == nil, "\(other)")
        }
        #expect(MLflowCredentials.none.endsAt == nil && MLflowCredentials.basic(username: "a.b.c", password: "d.e.f").endsAt == nil)

        let given = token("{\"exp\":1700000000.5}")
        let workspace = try AzureWorkspace(
            uri: "azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/s/resourceGroups/g/providers/"
                + "Microsoft.MachineLearningServices/workspaces/w")
        let azure = try AzureMLConnection(workspace, token: given, environment: [:])
        defer { azure.close() }
        #expect(azure.credentialEndsAt == 1_700_000_000.5)
        let databricks = try DatabricksConnection(
            host: "https://adb-1.azuredatabricks.net", DatabricksCredential(.bearer(token: given), source: "a test"), environment: [:])
        defer { databricks.close() }
        #expect(databricks.credentialEndsAt == 1_700_000_000.5)
    }
}
