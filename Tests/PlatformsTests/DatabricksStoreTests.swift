import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

/// One emulated workspace for a suite, without its rates: those are another's to look at.
struct DatabricksBench: SuiteTrait, TestTrait, TestScoping {
    @TaskLocal static var current: DatabricksEmulator?

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let emulator = try await DatabricksEmulator.start(["--rate-scale", "0"])
        try await Self.$current.withValue(emulator) { try await function() }
        emulator.stop()
    }

    static func with(_ change: (DatabricksEmulator) -> [String: String], _ body: (DatabricksEmulator, MLflowStore) async throws -> Void)
        async throws
    {
        let emulator = try #require(current)
        let environment = change(emulator)
        let variables = try DatabricksVariables(.standard, environment: environment)
        let connection = try DatabricksConnection(
            host: variables.host, try DatabricksCredential(variables), variables, environment: environment, rateShare: 1)
        defer { connection.close() }
        try await body(emulator, connection.store)
    }
}

extension Trait where Self == DatabricksBench {
    static var databricksBench: Self { DatabricksBench() }
}

/// One after the other: the faults of a workspace are for all who use it.
@Suite(.needsServer, .databricksBench, .serialized) struct DatabricksStoreTests {
    private func experiment(_ store: MLflowStore, _ name: String = StoreConformance.fresh("/Shared/e")) async throws -> ExperimentID {
        try await store.createExperiment(name: name, tags: [Tag("a", "b")])
    }

    private func run(_ store: MLflowStore, _ experiment: ExperimentID, start: Int64 = 1) async throws -> Run {
        try await store.createRun(NewRun(experiment: experiment, name: "r", userID: "u", startTime: start, tags: []))
    }

    @Test func aNameMayBeUsedAgain() async throws {
        try await DatabricksBench.with(\.environment) { _, store in
            let name = StoreConformance.fresh("/Shared/again")
            let first = try await experiment(store, name)
            try await store.deleteExperiment(first)
            let second = try await experiment(store, name)
            #expect(try await store.experiment(named: name)?.id == second)
            let listed = try await StoreConformance.all { try await store.experiments($0) }
            #expect(listed.first { $0.id == first }?.lifecycle == .deleted && listed.first { $0.id == second }?.lifecycle == .active)
            #expect(listed.first { $0.id == first }?.name == name)
        }
    }

    @Test func runsHistoriesAndTagsAreRead() async throws {
        try await DatabricksBench.with(\.principal) { emulator, store in
            let experiment = try await experiment(store)
            let run = try await run(store, experiment)
            let points = (0..<3000).map {
                MetricRow(key: "m", point: MetricPoint(value: Double($0), timestamp: Int64($0), step: Int64($0)))
            }
            for part in [points[..<1000], points[1000..<2000], points[2000...]] {
                try await emulator.control("POST", "/tokens/expire")
                try await store.logBatch(RunBatch(metrics: Array(part)), toRun: run.id)
            }
            try await store.logBatch(RunBatch(params: [Param("p", "ü")], tags: [Tag("t", "x")]), toRun: run.id)
            #expect(try await StoreConformance.history(store, run.id, "m").count == 3000)
            let page = try await store.runs(RunQuery(experiments: [experiment]), nil)
            #expect(page.elements.map(\.id) == [run.id] && page.elements[0].params == [Param("p", "ü")])
            #expect(run.artifactURI.hasPrefix("dbfs:/databricks/mlflow-tracking/"))
        }
    }

    /// More than a search takes are refused, and what is closed is closed alone.
    @Test func aListOfTooManyExperimentsIsRefused() async throws {
        try await DatabricksBench.with(\.environment) { emulator, store in
            var ids: [ExperimentID] = []
            for _ in 0..<11 { ids.append(try await experiment(store)) }
            let fitting = try await store.runs(RunQuery(experiments: Array(ids.prefix(store.dialect.experimentsPerSearch))), nil).elements
            await expectFailure(.invalid) { try await store.runs(RunQuery(experiments: ids), nil) }
            try await emulator.control("POST", "/faults", "{\"denied\": [\"\(ids[3])\"]}")
            await expectFailure(.forbidden) { try await store.runs(RunQuery(experiments: Array(ids.prefix(5))), nil) }
            let open = try await store.runs(RunQuery(experiments: [ids[4]]), nil).elements
            #expect(fitting.isEmpty && open.isEmpty)
            try await emulator.control("DELETE", "/faults")
        }
    }

    @Test func theWorkspacesNumberIsItsIdentity() async throws {
        try await DatabricksBench.with(\.environment) { emulator, store in
            let identity = try await store.identity()
            #expect(identity == DatabricksWorkspace.identity(emulator.description.workspace_id))
        }
    }

    @Test func aBadDayIsToldWithItsDecision() async throws {
        try await DatabricksBench.with(\.environment) { emulator, store in
            let store = store.askingOnce
            let experiment = try await experiment(store)
            for (fault, reason) in [
                (#"{"throttle": {"class": "search", "count": 1, "retry_after": 1}}"#, StoreError.Reason.throttled),
                (#"{"errors": {"class": "search", "count": 1, "status": 503}}"#, .serverFailure),
                (#"{"html": {"class": "search", "count": 1, "status": 502}}"#, .serverFailure),
            ] {
                try await emulator.control("POST", "/faults", fault)
                await expectFailure(reason) { try await store.runs(RunQuery(experiments: [experiment]), nil) }
            }
            try await emulator.control("DELETE", "/faults")
        }
    }
}
