import Curl
import Foundation
import Platforms
import Replication
import TestSupport
import Testing

/// What each operation on a real server is reported as.
@Suite(.serialized, .needsServer, .realServer) struct TriggerServerTests {
    private let uri: DatabaseURI
    private let store: MLflowStore

    init() throws {
        let server = try #require(RealServer.current)
        uri = DatabaseURI(path: server.folder.appendingPathComponent("mlflow.db").path)
        store = try RealServer.store()
        try TriggerSet(uri).install()
    }

    private func reader() async throws -> FeedReader { try await FeedReader(TriggerFeed(try MLflowDatabase(uri))) }

    private func newRun(in experiment: ExperimentID) async throws -> RunID {
        try await store.createRun(NewRun(experiment: experiment, name: "r", userID: "u", startTime: 1, tags: [])).id
    }

    private func point(_ value: Double, at timestamp: Int64, _ key: String = "loss") -> RunBatch {
        RunBatch(metrics: [MetricRow(key: key, point: MetricPoint(value: value, timestamp: timestamp, step: 0))])
    }

    @Test func itIsThisServersDatabase() async throws {
        let experiment = try #require(try await store.experiment(ExperimentID("0")))
        #expect(try await MLflowDatabase(uri).holds(experiment))
        #expect(try TriggerSet(uri).inspect().isSchemaKnown)
    }

    @Test func experiments() async throws {
        let reader = try await reader()
        var id = ExperimentID("")
        let made = try await reader.keys { id = try await store.createExperiment(name: "e-\(UUID())", tags: [Tag("a", "b")]) }
        #expect(made == [.experiment(id)])
        #expect(try await reader.keys { try await store.setTag(Tag("a", "c"), ofExperiment: id) } == [.experiment(id)])
        #expect(try await reader.keys { try await store.setTag(Tag("a", "c"), ofExperiment: id) } == [])
        #expect(try await reader.keys { try await store.renameExperiment(id, to: "f-\(UUID())") } == [.experiment(id)])
        let run = try await newRun(in: id)
        _ = try await reader.changes()
        #expect(try await reader.keys { try await store.deleteExperiment(id) } == [.experiment(id), .run(run)])
        #expect(try await reader.keys { try await store.restoreExperiment(id) } == [.experiment(id), .run(run)])
    }

    @Test func runs() async throws {
        let experiment = try await store.createExperiment(name: "r-\(UUID())", tags: [])
        let reader = try await reader()
        var run = RunID("")
        #expect(try await reader.keys { run = try await newRun(in: experiment) } == [.run(run)])

        func reported(_ operation: () async throws -> Void) async throws -> [Change] {
            try await operation()
            return try await reader.changes()
        }
        let record = [Change(.run(run), .record)]
        #expect(
            try await reported { try await store.logBatch(point(1, at: 20), toRun: run) } == [
                Change(.run(run), .points, series: ["loss": 20])
            ])
        #expect(try await reported { try await store.logBatch(point(1, at: 20), toRun: run) } == [], "an exact duplicate")
        try await reader.feed.release(upTo: reader.position)
        #expect(try await reported { try await store.logBatch(point(2, at: 10), toRun: run) }.first?.series == ["loss": 10])
        let params = RunBatch(params: [Param("a", "1")])
        #expect(try await reported { try await store.logBatch(params, toRun: run) } == record)
        #expect(try await reported { try await store.logBatch(params, toRun: run) } == [])
        let tags = RunBatch(tags: [Tag("t", "1")])
        #expect(try await reported { try await store.logBatch(tags, toRun: run) } == record)
        #expect(try await reported { try await store.logBatch(tags, toRun: run) } == [])
        #expect(try await reported { try await store.deleteTag("t", ofRun: run) } == record)
        #expect(try await reported { try await store.updateRun(run, status: .finished, endTime: 9, name: "n") } == record)
        let dataset = DatasetInput(name: "d", digest: "x", sourceType: "local", source: "s", tags: [Tag("context", "train")])
        #expect(try await reported { try await store.logInputs(datasets: [dataset], models: [], toRun: run) } == record)
        #expect(try await reported { try await store.logInputs(datasets: [dataset], models: [], toRun: run) } == [])
        #expect(try await reported { try await store.deleteRun(run) } == record)
        #expect(try await reported { try await store.restoreRun(run) } == record)
        let history = RunBatch(tags: [Tag("mlflow.log-model.history", "[]")])
        #expect(
            try await reader.keys { try await store.logBatch(history, toRun: run) } == [.run(run), EntityKey(.runArtifacts, run.rawValue)])
    }

    @Test func loggedModels() async throws {
        let experiment = try await store.createExperiment(name: "m-\(UUID())", tags: [])
        let run = try await newRun(in: experiment)
        let reader = try await reader()
        var id = LoggedModelID("")
        let new = NewLoggedModel(
            experiment: experiment, name: "m", modelType: nil, sourceRun: run, params: [Param("a", "1")], tags: [Tag("x", "y")])
        let made = try await reader.keys { id = try await store.createLoggedModel(new).id }
        let both: Set<EntityKey> = [.loggedModel(id), EntityKey(.loggedModelArtifacts, id.rawValue)]
        #expect(made == both)
        #expect(try await reader.keys { try await store.setTags([Tag("x", "z")], ofLoggedModel: id) } == both)
        #expect(try await reader.keys { try await store.setStatus(.ready, ofLoggedModel: id) } == both)
        #expect(try await reader.keys { try await store.logOutputs([ModelOutput(model: id, step: 1)], toRun: run) } == [.run(run)])
        #expect(try await reader.keys { try await store.logInputs(datasets: [], models: [id], toRun: run) } == [.run(run)])
        let metric = ModelMetric(key: "acc", point: MetricPoint(value: 1, timestamp: 5, step: 0), run: run)
        let logged = try await reader.keys { try await store.logMetrics([metric], ofLoggedModel: id, toRun: run) }
        #expect(logged == [.loggedModel(id), .run(run)])
        #expect(try await reader.keys { try await store.deleteLoggedModel(id) }.isSuperset(of: both))
    }

    @Test func registry() async throws {
        let (name, renamed) = (ModelName("m-\(UUID())"), ModelName("n-\(UUID())"))
        let reader = try await reader()
        let key: Set<EntityKey> = [.registeredModel(name)]
        #expect(try await reader.keys { try await store.createRegisteredModel(name, description: "d", tags: [Tag("a", "b")]) } == key)
        #expect(try await reader.keys { try await store.setTag(Tag("a", "c"), ofRegisteredModel: name) } == key)
        #expect(try await reader.keys { try await store.setTag(Tag("a", "c"), ofRegisteredModel: name) } == [])
        let version = NewVersion(model: name, source: "s3://bucket/x", tags: [Tag("v", "1")])
        #expect(try await reader.keys { _ = try await store.createVersion(version) } == key)
        #expect(try await reader.keys { try await store.setAlias("best", to: 1, ofRegisteredModel: name) } == key)
        #expect(try await reader.keys { try await store.setTag(Tag("v", "2"), ofVersion: 1, of: name) } == key)
        #expect(try await reader.keys { try await store.setStage("Staging", ofVersion: 1, of: name) } == key)
        #expect(
            try await reader.keys { try await store.renameRegisteredModel(name, to: renamed) } == [
                .registeredModel(name), .registeredModel(renamed),
            ])
        #expect(try await reader.keys { try await store.deleteVersion(1, of: renamed) } == [.registeredModel(renamed)])
        #expect(try await reader.keys { try await store.deleteRegisteredModel(renamed) } == [.registeredModel(renamed)])
    }

    @Test func removalLeavesTheServerWorking() async throws {
        #expect(try TriggerSet(uri).remove())
        _ = try await store.createExperiment(name: "after-\(UUID())", tags: [])
        #expect(try TriggerSet(uri).inspect().status == .none)
    }
}

/// MLflow 2 has no logged models, and its schema is migrated with triggers in it.
@Suite(.enabled(if: olderMLflow != nil && MLflowServer.executable != nil)) struct OlderSchemaTests {
    @Test(RealServer(executable: olderMLflow)) func installsAndIsMigrated() async throws {
        let server = try #require(RealServer.current)
        let uri = DatabaseURI(path: server.folder.appendingPathComponent("mlflow.db").path)
        let set = TriggerSet(uri)
        try set.install()
        let before = try set.inspect()
        #expect(before.isComplete && before.triggers < 51)
        let reader = try await FeedReader(TriggerFeed(try MLflowDatabase(uri), reinstalls: true))
        let store = try RealServer.store()
        var id = ExperimentID("")
        #expect(try await reader.keys { id = try await store.createExperiment(name: "old", tags: []) } == [.experiment(id)])

        let migration = Process()
        migration.executableURL = URL(fileURLWithPath: try #require(MLflowServer.executable))
        migration.arguments = ["db", "upgrade", "\(uri)"]
        (migration.standardOutput, migration.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            migration.terminationHandler = { _ in done.resume() }
            do { try migration.run() } catch { done.resume(throwing: error) }
        }
        #expect(migration.terminationStatus == 0, "triggers must not stand in a migration's way")
        #expect(try !set.inspect().isComplete)
        await #expect(throws: FeedBreak.self) { try await reader.changes() }
        #expect(try set.inspect().isComplete && set.inspect().triggers == 51)
    }
}

private let olderMLflow: String? = MLflowServer.executable
    .map { $0.replacingOccurrences(of: "mlflow3", with: "mlflow2") }
    .flatMap { $0.contains("mlflow2") && FileManager.default.isExecutableFile(atPath: $0) ? $0 : nil }
