import Curl
import Foundation
import Platforms
import Replication
import TestSupport
import Testing

@Suite(.needsServer, .realServer) struct RealServerTests {
    @Test func hasOneIdentityUnderTwoAddresses() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let server = try #require(RealServer.current)
        let port = try #require(server.url.split(separator: ":").last)
        let first = try await MLflowStore(MLflowEndpoint(uri: server.url), client: client).identity()
        let second = try await MLflowStore(MLflowEndpoint(uri: "HTTP://LocalHost:\(port)//"), client: client).identity()
        #expect(first == second && first.rawValue.count == 39)
        // This server has no workspaces.
        let named = try MLflowEndpoint(uri: server.url, workspace: "team")
        await expectFailure(.unsupported) { try await MLflowStore(named, client: client).identity() }
    }

    @Test func saysItsVersion() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        #expect(try await RealServer.store(client).serverVersion()?.first == "3")
    }

    /// A whole history of 60,000 points comes in pages, complete and in order.
    @Test func aLongHistoryIsRead() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let store = try RealServer.store(client)
        let parent = try await store.createExperiment(name: "long", tags: [])
        let run = try await store.createRun(NewRun(experiment: parent, name: "r", userID: "u", startTime: 1, tags: [])).id
        for start in stride(from: 0, to: 60_000, by: 1000) {
            let rows = (start..<start + 1000).map {
                MetricRow(key: "m", point: MetricPoint(value: Double($0) / 3, timestamp: Int64($0), step: 0))
            }
            try await store.logBatch(RunBatch(metrics: rows), toRun: run)
        }
        let points = try await StoreConformance.history(store, run, "m")
        #expect(points.map(\.timestamp) == (0..<60_000).map { Int64($0) })
        // The bulk answer is cut at 25,000 points, so it says nothing about this run.
        #expect(try await store.histories(of: [run], metric: "m") == [:])
    }

    /// Eight clients name one new dataset at once: some are told to ask again, none is told that it is impossible.
    @Test func racingInputsAreAskedAgain() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let store = try RealServer.store(client)
        let parent = try await store.createExperiment(name: "race", tags: [])
        var runs: [RunID] = []
        for _ in 0..<8 {
            runs.append(try await store.createRun(NewRun(experiment: parent, name: "r", userID: "u", startTime: 1, tags: [])).id)
        }
        for round in 0..<5 {
            let input = DatasetInput(name: "data \(round)", digest: "d", sourceType: "local", source: "s")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for run in runs {
                    group.addTask {
                        for _ in 0..<20 {
                            do {
                                try await store.logInputs(datasets: [input], models: [], toRun: run)
                                return
                            } catch let error as StoreError where error.isRetriable {
                                continue
                            }
                        }
                        Issue.record("still racing")
                    }
                }
                try await group.waitForAll()
            }
        }
        for run in runs { #expect(try await store.run(run)?.datasets.count == 5) }
    }
}

/// A server of MLflow 2, named by MLMIRROR_TEST_MLFLOW2: it can be read, and has fewer things.
@Suite(.enabled(if: MLflow2.executable != nil, "set MLMIRROR_TEST_MLFLOW2"), RealServer(executable: MLflow2.executable))
struct MLflow2Tests {
    /// What MLflow 2 cannot do. It also refuses a NaN that it has already, and keeps the aliases of deleted versions.
    private static let missing = [
        "made, found, tagged, renamed", "inputs and outputs", "logged model", "ties, odd values, sent twice", "stage, aliases",
    ]

    @Test(arguments: StoreConformance.cases.filter { test in !missing.contains { test.name.contains($0) } })
    func conforms(_ test: StoreConformance.Case) async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        try await test.run(try RealServer.store(client))
    }

    @Test func hasNoLoggedModels() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let store = try RealServer.store(client)
        #expect(try await store.serverVersion()?.hasPrefix("2.") == true)
        let parent = try await store.createExperiment(name: "two", tags: [Tag("a", "b")])
        #expect(try await store.loggedModels(in: [parent], nil).elements == [])
        #expect(try await store.loggedModels(in: [parent], tagged: Tag("a", "b")) == [])
        await expectFailure(.unsupported) { try await store.deleteTag("a", ofExperiment: parent) }
        await expectFailure(.unsupported) {
            try await store.createLoggedModel(
                NewLoggedModel(experiment: parent, name: "m", modelType: nil, sourceRun: nil, params: [], tags: []))
        }
    }

    /// One answer with all points, whatever page was asked for.
    @Test func givesAHistoryWhole() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let store = try RealServer.store(client)
        let parent = try await store.createExperiment(name: "whole", tags: [])
        let run = try await store.createRun(NewRun(experiment: parent, name: "r", userID: "u", startTime: 1, tags: [])).id
        for start in stride(from: 0, to: 30_000, by: 1000) {
            let rows = (start..<start + 1000).map { MetricRow(key: "m", point: MetricPoint(value: 1, timestamp: Int64($0), step: 0)) }
            try await store.logBatch(RunBatch(metrics: rows), toRun: run)
        }
        #expect(try await StoreConformance.history(store, run, "m").map(\.timestamp) == (0..<30_000).map { Int64($0) })
    }
}

enum MLflow2 {
    static var executable: String? {
        ProcessInfo.processInfo.environment["MLMIRROR_TEST_MLFLOW2"].flatMap { FileManager.default.isExecutableFile(atPath: $0) ? $0 : nil }
    }
}

@Suite(.needsServer, RealServer(options: ["--enable-workspaces"])) struct WorkspaceTests {
    /// Two workspaces of one server are two stores.
    @Test func areApart() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let server = try #require(RealServer.current)
        let made = HTTPRequest(
            .post, "\(server.url)/api/3.0/mlflow/workspaces", headers: [HTTPHeader("Content-Type", "application/json")])
        #expect(try await client.send(made, body: .bytes(Array("{\"name\":\"team\"}".utf8))).status < 300)
        let plain = MLflowStore(try MLflowEndpoint(uri: server.url), client: client)
        let named = MLflowStore(try MLflowEndpoint(uri: server.url, workspace: "default"), client: client)
        let team = MLflowStore(try MLflowEndpoint(uri: server.url, workspace: "team"), client: client)
        let id = try await team.createExperiment(name: "only here", tags: [])
        #expect(try await plain.experiment(named: "only here") == nil)
        #expect(try await named.identity() == plain.identity())
        #expect(try await team.identity() != plain.identity())
        let run = try await team.createRun(NewRun(experiment: id, name: "r", userID: "u", startTime: 1, tags: []))
        let owner = ArtifactOwner(.run(run.id), root: run.artifactURI)
        try await StoreConformance.write(team, "d/a b", [1, 2, 3], owner)
        #expect(try await StoreConformance.read(team, "d/a b", owner) == [1, 2, 3])
        #expect(try await StoreConformance.tree(team, owner) == ["d/a b": 3])
    }
}
