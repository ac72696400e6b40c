import TestSupport
import Testing

@testable import Replication

@Suite struct OverflowTests {
    private static let limits = RunLimits(
        tags: 50, tagKeyLength: 100, tagValueLength: 1000, params: 200, paramKeyLength: 250, paramValueLength: 500, metricNames: 50,
        metricNameLength: 255, datasets: 2, nameLength: 256)

    private static func fixture() throws -> MirrorFixture {
        var dialect = Dialect.mlflow
        dialect.metricsAreIdempotent = false
        dialect.runLimits = limits
        let secondary = FakeStore(name: "narrow", dialect: dialect)
        secondary.now += 5000
        return try MirrorFixture(secondary: secondary)
    }

    /// A run with too much of everything.
    private static func bigRun(_ store: FakeStore) async throws -> Run {
        let workload = Workload(store: store)
        let run = try await workload.run(in: ExperimentID("0"), String(repeating: "name ü ", count: 60))
        var batches: [RunBatch] = []
        for chunk in Array(0..<300).chunks(of: 100) {
            batches.append(
                RunBatch(tags: chunk.map { Tag("tag \($0)", $0 == 7 ? String(repeating: "long", count: 1500) : "value\n\"\($0)\"") }))
        }
        for chunk in Array(0..<1600).chunks(of: 100) {
            batches.append(RunBatch(params: chunk.map { Param("param \($0)", $0 == 9 ? String(repeating: "p", count: 6000) : "\($0)") }))
        }
        for name in 0..<120 {
            var rows = (0..<5).map {
                MetricRow(key: "metric \(name)", point: MetricPoint(value: Double($0) / 3, timestamp: 1000, step: Int64($0)))
            }
            if name == 110 {
                rows += [Double.nan, 0, -1e300].map {
                    MetricRow(key: "metric 110", point: MetricPoint(value: $0, timestamp: 2000, step: 9))
                }
            }
            batches.append(RunBatch(metrics: rows))
        }
        for batch in batches { try await store.logBatch(batch, toRun: run.id) }
        let datasets = (0..<4).map {
            DatasetInput(name: "data", digest: "\($0)", sourceType: "local", source: "{}", tags: [Tag("mlflow.data.context", "training")])
        }
        try await store.logInputs(datasets: datasets, models: [], toRun: run.id)
        return run
    }

    private func copy(of run: Run, _ fixture: MirrorFixture) async throws -> Run {
        let query = RunQuery(experiments: [ExperimentID("0")], tag: Tag(Stamp.idKey(.run), run.id.rawValue))
        return try #require(try await fixture.secondary.runs(query, nil).elements.first)
    }

    @Test func whatIsTooMuchStandsInTheDocument() async throws {
        let fixture = try Self.fixture()
        let run = try await Self.bigRun(fixture.primary)
        let summary = try await fixture.backfill()
        #expect(summary.failures == [])
        #expect(summary.counts.conversions["overflow"] == 1)
        #expect(fixture.said(.converted))
        let record = try #require(try await fixture.primary.run(run.id))
        let there = try await copy(of: run, fixture)
        #expect(there.tags.count == 50)
        #expect(there.params.count == 200)
        #expect(there.latestMetrics.count == 50)
        #expect(there.datasets.count == 2)
        #expect(there.name.utf16.count <= 256)
        #expect(there.tags[Overflow.markerKey]?.contains("\(record.params.count - 200) params") == true)
        let verified = try await fixture.verify()
        #expect(verified.differences == [])
        #expect(verified.summary.converted["params in overflow documents"] == record.params.count - 200)
        #expect(verified.summary.converted["metrics in overflow documents"] == record.latestMetrics.count - 50)
        #expect(verified.summary.converted["datasets in overflow documents"] == 2)
        // Every tag of the primary's, and three of the stamp, less those that fit beside the marker.
        #expect(verified.summary.converted["tags in overflow documents"] == record.tags.count + 3 - 49 + 1)
    }

    @Test func aSecondRunWritesNothingAndALostStateFileNeither() async throws {
        let fixture = try Self.fixture()
        _ = try await Self.bigRun(fixture.primary)
        try await fixture.backfill()
        fixture.secondary.forgetWrites()
        try await fixture.backfill()
        try await fixture.backfill(state: "new.db")
        #expect(fixture.secondary.writes.map(\.description) == [])
        #expect(try await fixture.verify(state: "new.db").differences == [])
    }

    @Test func aRunGrowsAndShrinks() async throws {
        let fixture = try Self.fixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "grows")
        try await fixture.primary.logBatch(RunBatch(tags: (0..<40).map { Tag("t\($0)", "1") }), toRun: run.id)
        try await fixture.backfill()
        #expect(try await copy(of: run, fixture).tags[Overflow.markerKey] == nil)
        try await fixture.primary.logBatch(RunBatch(tags: (0..<40).map { Tag("a\($0)", "1") }), toRun: run.id)
        try await fixture.backfill()
        #expect(try await fixture.verify().differences == [])
        let grown = try await copy(of: run, fixture)
        // What was there stays.
        #expect((0..<40).allSatisfy { number in grown.tags["t\(number)"] == "1" })
        for number in 0..<40 { try await fixture.primary.deleteTag("t\(number)", ofRun: run.id) }
        try await fixture.backfill()
        let shrunk = try await copy(of: run, fixture)
        #expect((0..<40).allSatisfy { number in shrunk.tags["a\(number)"] == "1" })
        #expect(shrunk.tags[Overflow.markerKey] == nil)
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aDocumentThatWasChangedIsFoundAndMended() async throws {
        let fixture = try Self.fixture()
        let run = try await Self.bigRun(fixture.primary)
        try await fixture.backfill()
        let there = try await copy(of: run, fixture)
        fixture.secondary.replace(Overflow.path, of: .run(there.id), with: Array("{}".utf8))
        #expect(try await fixture.verify().differences.map(\.field) == [Overflow.path])
        try await fixture.verify(repairing: true)
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aFileOfTheDocumentsNameIsSetAside() async throws {
        let fixture = try Self.fixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "files")
        try await workload.file(Overflow.path, "mine", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        let summary = try await fixture.backfill()
        #expect("\(summary.failures)".contains("reserved_name"))
    }

    @Test func theDocumentIsTheSameWhateverTheOrderOfTies() async throws {
        var overflow = Overflow()
        overflow.metrics = ["m"]
        let tie = [MetricPoint(value: .nan, timestamp: 1, step: 1), MetricPoint(value: 0, timestamp: 1, step: 1)]
        let last = MetricPoint(value: -.infinity, timestamp: 2, step: 1)
        var texts: Set<String> = []
        for points in [[tie, [last]], [tie.reversed(), [last]], [[tie[0]], [tie[1], last]]] {
            let bytes = Locked<[UInt8]>([])
            try await OverflowDocument(overflow: overflow, run: RunID("r")).write(
                { _, receive in
                    for chunk in points { try await receive(chunk) }
                }, to: { piece in bytes.withLock { $0 += piece } })
            texts.insert(bytes.withLock { String(decoding: $0, as: UTF8.self) })
        }
        #expect(
            texts == [
                "{\n\"format\": \"mlmirror overflow 1\",\n\"run\": \"r\",\n\"metrics\": {\n\"m\": [[0.0, 1, 1], [\"NaN\", 1, 1], [\"-Infinity\", 2, 1]]\n}\n}\n"
            ])
    }
}
