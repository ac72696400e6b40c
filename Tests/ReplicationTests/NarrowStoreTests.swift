import TestSupport
import Testing

@testable import Replication

/// A secondary that lacks what Azure ML lacks.
@Suite struct NarrowStoreTests {
    private static func fixture() throws -> MirrorFixture {
        var dialect = Dialect.mlflow
        dialect.metricsAreIdempotent = false
        dialect.runLimits = RunLimits(
            tags: 8, tagKeyLength: 100, tagValueLength: 200, params: 5, paramKeyLength: 250, paramValueLength: 100, metricNames: 3,
            metricNameLength: 255, datasets: 2, nameLength: 256)
        dialect.experimentTagValueLength = 200
        dialect.experimentTags = 10
        dialect.registryTagValueLength = 260
        dialect.lackWhatAzureMLLacks(nameLength: 60)
        let secondary = FakeStore(name: "narrow", dialect: dialect)
        secondary.now += 5000
        return try MirrorFixture(secondary: secondary)
    }

    private func copy(of run: RunID, _ fixture: MirrorFixture) throws -> Run {
        try #require(fixture.secondary.snapshot.runs.first { $0.run.tags[Stamp.idKey(.run)] == run.rawValue }?.run)
    }

    @Test func everythingStandsThereInAnotherForm() async throws {
        let fixture = try Self.fixture()
        try await Workload(store: fixture.primary).everything()
        let summary = try await fixture.backfill()
        #expect(summary.failures == [])
        let verified = try await fixture.verify()
        #expect(verified.differences == [])
        #expect(verified.summary.converted["logged models as files of their runs", default: 0] > 0)
        fixture.secondary.forgetWrites()
        try await fixture.backfill()
        try await fixture.backfill(state: "new.db")
        #expect(fixture.secondary.writes.map(\.description) == [])
        #expect(try await fixture.verify(state: "new.db").differences == [])
    }

    /// Its points are there all the same, and a store that keeps them twice must not get them twice.
    @Test(arguments: [false, true]) func aRunThatIsRestoredThereAfterADeletionHasItsPointsOnce(_ losesState: Bool) async throws {
        let fixture = try Self.fixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r")
        try await fixture.backfill()
        let copy = try copy(of: run.id, fixture)
        let before = try #require(fixture.secondary.snapshot.runs.first { $0.run.id == copy.id }).points.mapValues(\.count)
        #expect(!before.isEmpty)
        try await fixture.secondary.deleteRun(copy.id)
        let state = losesState ? "new.db" : "state.db"
        try await fixture.backfill(state: state)
        try await fixture.backfill(state: state)
        try await fixture.secondary.restoreRun(copy.id)
        let late = MetricRow(key: "loss", point: MetricPoint(value: 9, timestamp: 99_000, step: 999))
        try await fixture.primary.logBatch(RunBatch(metrics: [late]), toRun: run.id)
        try await fixture.backfill(state: state)
        try await fixture.backfill(state: state)
        let after = try #require(fixture.secondary.snapshot.runs.first { $0.run.id == copy.id }).points.mapValues(\.count)
        #expect(after == before.merging(["loss": before["loss", default: 0] + 1]) { $1 })
    }

    @Test func theForecastIsWhatIsVerified() async throws {
        let fixture = try Self.fixture()
        try await Workload(store: fixture.primary).everything()
        let forecast = try await Assess(
            primary: fixture.primary, dialect: fixture.secondary.dialect, configuration: fixture.configuration(), board: ProgressBoard(),
            clock: fixture.clock
        ).run()
        try await fixture.backfill()
        let verified = try await fixture.verify()
        #expect(verified.summary.converted == forecast.converted)
        for label in ["experiments", "runs", "files", "logged models", "registered models", "model versions"] {
            #expect(verified.summary.compared[label] == forecast.there[label], "\(label)")
        }
        #expect(forecast.refused == [])
    }

    /// The base must not vouch for what an attempt has written over and did not live to finish.
    @Test func aDocumentThatAFailedAttemptHasWrittenOverIsWrittenAnew() async throws {
        let fixture = try Self.fixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "big", end: false)
        try await fixture.primary.logBatch(RunBatch(tags: (0..<20).map { Tag("t\($0)", "1") }), toRun: run.id)
        try await fixture.backfill()
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("t9", "2"), Tag("t1", "2")]), toRun: run.id)
        fixture.secondary.setFault { operation in
            operation.name == "logBatch" ? .before(StoreError(.stop, .unauthorized, "the token has ended")) : nil
        }
        await #expect(throws: StoreError.self) { try await fixture.backfill() }
        fixture.secondary.setFault(nil)
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("t9", "1"), Tag("t1", "1")]), toRun: run.id)
        try await fixture.backfill()
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aPlaceThatIsGoneIsNoFileThatHasVanished() async throws {
        let fixture = try Self.fixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "files")
        try await workload.file("model/MLmodel", "m", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        fixture.secondary.setFault { operation in
            operation.name == "writeArtifact" ? .before(StoreError(.setAside, .notFound, "no container")) : nil
        }
        let summary = try? await fixture.backfill()
        #expect(summary?.isComplete != true)
        fixture.secondary.setFault(nil)
        try await fixture.backfill()
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aRunsOwnFileBesideALoggedModelsIsKeptApart() async throws {
        let fixture = try Self.fixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "both", end: false)
        let model = try await fixture.primary.createLoggedModel(
            NewLoggedModel(experiment: ExperimentID("0"), name: "net", modelType: nil, sourceRun: run.id, params: [], tags: []))
        try await workload.file("MLmodel", "the model's", of: ArtifactOwner(.loggedModel(model.id), root: model.artifactURI))
        try await fixture.backfill()
        for (path, text) in [("net/MLmodel", "the run's"), ("net/extra.txt", "extra")] {
            try await workload.file(path, text, of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        }
        try await fixture.backfill { $0.deep = true }
        let files = fixture.secondary.files(of: .run(try copy(of: run.id, fixture).id))
        #expect(files["net/MLmodel"] == Array("the model's".utf8))
        #expect(files["mlmirror/files/net/MLmodel"] == Array("the run's".utf8))
        let verified = try await fixture.verify()
        #expect(verified.differences == [])
        #expect(verified.summary.converted["files of runs beside those of a logged model"] == 2)
    }

    @Test func twoModelsOfOneNameHaveTwoFoldersAndOneWithoutARunHasAHolder() async throws {
        let fixture = try Self.fixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "checkpoints")
        for (number, source) in [run.id, run.id, nil].enumerated() {
            let model = try await fixture.primary.createLoggedModel(
                NewLoggedModel(
                    experiment: ExperimentID("0"), name: "net", modelType: nil, sourceRun: source, params: [], tags: [Tag("n", "\(number)")]
                ))
            try await workload.file("MLmodel", "\(number)", of: ArtifactOwner(.loggedModel(model.id), root: model.artifactURI))
            try await fixture.primary.setStatus(.ready, ofLoggedModel: model.id)
        }
        try await fixture.backfill()
        #expect(try await fixture.verify().differences == [])
        let there = fixture.secondary.snapshot
        let folders = there.files[.run(try copy(of: run.id, fixture).id)]?.keys.filter { $0.hasSuffix("/MLmodel") } ?? []
        #expect(Set(folders).count == 2 && folders.contains("net/MLmodel"))
        let holders = there.runs.filter { $0.run.tags[Stamp.holderKey] != nil }
        #expect(holders.count == 1 && holders.first?.run.status == .finished)
    }

    @Test func whatIsTooMuchForAnExperimentOrAVersionIsSetAsideAlone() async throws {
        let fixture = try Self.fixture()
        let workload = Workload(store: fixture.primary)
        let long = String(repeating: "x", count: 300)
        let experiment = try await fixture.primary.createExperiment(
            name: "/Users/ann/e", tags: [Tag("note", long)] + (0..<12).map { Tag("t\($0)", "1") })
        let run = try await workload.run(in: experiment, "a")
        try await workload.file("model/MLmodel", "m", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        let name = ModelName("my model")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [Tag("long", long)])
        _ = try await fixture.primary.createVersion(
            NewVersion(model: name, source: "runs:/\(run.id)/model", run: run.id, tags: [Tag("long", long), Tag("short", "1")]))
        let alias = String(repeating: "a", count: 249)
        try await fixture.primary.setAlias(alias, to: 1, ofRegisteredModel: name)
        let summary = try await fixture.backfill()
        #expect(!summary.isComplete)
        let there = fixture.secondary.snapshot
        #expect(there.runs.contains { $0.run.tags[Stamp.idKey(.run)] == run.id.rawValue })
        #expect((there.experiments.first { $0.tags[Stamp.nameKey] == "/Users/ann/e" }?.tags.count ?? 99) <= 10)
        let version = try #require(there.versions.values.joined().first)
        #expect(version.tags["short"] == "1" && version.tags["long"] == nil)
        #expect(version.tags.compactMap { Stamp.alias(of: $0) } == [alias])
        #expect(try await fixture.verify().differences.allSatisfy { $0.field.hasPrefix("tag:") || $0.field.hasSuffix("tag:long") })
    }

    /// The service has no call for them, or does not take these, as it turns out; a new process does not know that yet.
    @Test(arguments: [StoreError.Reason.unsupported, .forbidden, .invalid])
    func datasetsThatAreNotTakenAreInTheDocument(_ reason: StoreError.Reason) async throws {
        let fixture = try Self.fixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "data", end: false)
        let data = DatasetInput(name: "d", digest: "1", sourceType: "local", source: "{}")
        try await fixture.primary.logInputs(datasets: [data], models: [], toRun: run.id)
        fixture.secondary.setFault { operation in
            operation.name == "logInputs" ? .before(StoreError(.setAside, reason, "refused")) : nil
        }
        for value in ["1", "2"] {
            try await fixture.primary.logBatch(RunBatch(tags: [Tag("changed", value)]), toRun: run.id)
            let summary = try await fixture.backfill()
            #expect(summary.failures == [])
            let verified = try await fixture.verify()
            #expect(verified.differences == [])
            #expect(verified.summary.converted["datasets in overflow documents"] == 1)
        }
    }

    /// Histories in the document are written whole: not for every point of a run that is under way.
    @Test func aLiveRunWithTooManyMetricNamesIsFollowed() async throws {
        let fixture = LiveFixture(try Self.fixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "live", points: 0, end: false)
        @Sendable func log(_ step: Int) async throws {
            let rows = (0..<6).map { MetricRow(key: "m\($0)", point: MetricPoint(value: 1, timestamp: Int64(step), step: Int64(step))) }
            try await primary.logBatch(RunBatch(metrics: rows), toRun: run.id)
        }
        try await log(0)
        try await fixture.live({ $0.mirror.overflowPause = 1 << 40 }) { daemon in
            try await daemon.settled()
            secondary.forgetWrites()
            for step in 1...20 {
                try await log(step)
                let series = Dictionary(uniqueKeysWithValues: (0..<6).map { (ExactName("m\($0)"), Int64(step)) })
                fixture.feed.say([Change(.run(run.id), .points, series: series)])
                try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "\(step)" }
                try await daemon.settled()
            }
            // What fits is there already.
            let there = try #require(secondary.snapshot.runs.first)
            #expect(there.points["m0"]?.count == 21)
            #expect(secondary.writes.count { $0.name == "writeArtifact" } == 0)
            try await primary.updateRun(run.id, status: .finished, endTime: 100, name: nil)
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "21" }
            try await daemon.settled()
        }
        #expect(secondary.writes.count { $0.name == "writeArtifact" } == 1)
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Nothing is in doubt after a batch that was answered: nothing is read back.
    @Test func aStoreThatAppendsPointsIsNotReadForEveryOne() async throws {
        let fixture = LiveFixture(try Self.fixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "live", points: 3, end: false)
        let reads = Locked(0)
        try await fixture.live { daemon in
            try await daemon.settled()
            secondary.setFault { operation in
                if operation.name.hasPrefix("histor") { reads.withLock { $0 += 1 } }
                return nil
            }
            for step in 1...10 {
                let row = MetricRow(key: "loss", point: MetricPoint(value: 1, timestamp: 100_000 + Int64(step), step: 100 + Int64(step)))
                try await primary.logBatch(RunBatch(metrics: [row]), toRun: run.id)
                fixture.feed.say([Change(.run(run.id), .points, series: ["loss": 100_000 + Int64(step)])])
                try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "\(step)" }
                try await daemon.settled()
            }
            secondary.setFault(nil)
        }
        #expect(reads.withLock { $0 } == 0)
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func namesThatAreNotTakenStayApart() {
        let rule = NameRule(punctuation: "-_", length: 40)
        #expect(rule.fitting("churn_2-a") == "churn_2-a")
        let names = ["/Users/ann/churn", "Users/ann/churn", "/Users/ann churn", "_x", "é", "", String(repeating: "a", count: 41), "-a"]
        let fitted = names.map { rule.fitting($0) }
        #expect(Set(fitted).count == names.count)
        for name in fitted {
            #expect(rule.fitting(name) == name, "\(name)")
            #expect(!name.isEmpty && name.count <= 40)
        }
        #expect(fitted[0].hasPrefix("Users-ann-churn-"))
    }
}
