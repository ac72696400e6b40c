import TestSupport
import Testing

@testable import Replication

/// A secondary that nobody edits: what has changed is written there without being read first, and comes out the same.
@Suite struct UneditedTests {
    private let fixture: MirrorFixture
    private var primary: FakeStore { fixture.primary }
    private var secondary: FakeStore { fixture.secondary }
    private var workload: Workload { Workload(store: primary) }

    init() throws { fixture = try MirrorFixture() }

    private func copy(_ name: String) throws -> Run { try #require(secondary.snapshot.runs.first { $0.run.name == name }?.run) }

    /// How often the secondary is asked for a run, or a file's bytes.
    private func backfill(isEdited: Bool = false, _ rules: ConflictRules = .standard) async throws -> (runs: Int, files: Int) {
        let counts = Locked((runs: 0, files: 0))
        secondary.setFault { operation in
            counts.withLock { counts in
                if operation.name == "run" { counts.runs += 1 }
                if operation.name == "readArtifact" { counts.files += 1 }
            }
            return nil
        }
        defer { secondary.setFault(nil) }
        let summary = try await fixture.backfill {
            $0.secondaryIsEdited = isEdited
            $0.rules = rules
        }
        #expect(summary.failures == [])
        return counts.withLock { $0 }
    }

    private func change(_ run: Run, _ value: String, _ step: Int64) async throws {
        let point = MetricPoint(value: 1, timestamp: 5000 + step, step: step)
        try await primary.logBatch(
            RunBatch(
                metrics: [MetricRow(key: "late", point: point)], params: [Param("p\(step)", value)],
                tags: [Tag("a", value), Tag("new\(step)", value)]), toRun: run.id)
        try await primary.updateRun(run.id, status: step > 1 ? .finished : nil, endTime: step > 1 ? 9000 : nil, name: "renamed \(step)")
    }

    @Test func aRunThatHasChangedIsNotRead() async throws {
        let data = DatasetInput(name: "d", digest: "1", sourceType: "local", source: "{}", tags: [Tag("mlflow.data.context", "training")])
        let run = try await workload.run(in: ExperimentID("0"), "r", tags: [Tag("a", "0"), Tag("b", "0")], end: false)
        try await primary.logInputs(datasets: [data], models: [], toRun: run.id)
        _ = try await backfill()
        for (step, isEdited) in [(Int64(1), true), (2, false), (3, false)] {
            try await change(run, "\(step)", step)
            let asked = try await backfill(isEdited: isEdited)
            #expect(asked.runs == (isEdited ? 1 : 0), "step \(step)")
            #expect(try copy("renamed \(step)").tags["a"] == "\(step)")
        }
        #expect(try await fixture.verify().differences == [])
        secondary.forgetWrites()
        _ = try await backfill()
        #expect(secondary.writes.map(\.description) == [])
    }

    /// The base does not say all of it, or is in doubt.
    @Test(arguments: ["tag deleted", "dataset", "deleted", "answer lost", "deleted there", "everything"])
    func whatTheBaseDoesNotSayIsRead(_ what: String) async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r", tags: [Tag("a", "0"), Tag("b", "0")], end: false)
        _ = try await backfill()
        switch what {
        case "tag deleted": try await primary.deleteTag("b", ofRun: run.id)
        case "dataset":
            let data = DatasetInput(name: "d", digest: "1", sourceType: "local", source: "{}")
            try await primary.logInputs(datasets: [data], models: [], toRun: run.id)
        case "deleted": try await primary.deleteRun(run.id)
        case "deleted there":
            try await secondary.deleteRun(try copy("r").id)
            try await change(run, "1", 1)
        case "answer lost":
            try await change(run, "1", 1)
            let isFirst = Locked(true)
            secondary.setFault { operation in
                let loses =
                    operation.name == "logBatch"
                    && isFirst.withLock { isFirst in
                        defer { isFirst = false }
                        return isFirst
                    }
                return loses ? .answerLost : nil
            }
            // Nothing is known of the run but what is in doubt: it is read, and nothing is sent twice.
            #expect(try await fixture.backfill { $0.secondaryIsEdited = false }.failures == [])
            secondary.setFault(nil)
            #expect(!isFirst.withLock { $0 } && secondary.snapshot.runs.first?.points["late"]?.count == 1)
            return #expect(try await fixture.verify().differences == [])
        default: try await workload.everything()
        }
        let asked = try await backfill()
        if what != "everything" { #expect(asked.runs > 0) }
        guard what != "deleted there" else {
            // Refused, looked at, and respected as ever.
            return #expect(try copy("r").lifecycle == .deleted && copy("r").tags["a"] == "0")
        }
        #expect(try await fixture.verify().differences == [])
    }

    @Test func whatPeopleLeadIsRead() async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r", tags: [Tag("a", "0")], end: false)
        _ = try await backfill()
        try fixture.seal()
        try await secondary.logBatch(RunBatch(tags: [Tag("a", "theirs")]), toRun: try copy("r").id)
        try await primary.logBatch(RunBatch(tags: [Tag("a", "1"), Tag("b", "1")]), toRun: run.id)
        #expect(try await backfill().runs > 0)
        #expect(try copy("r").tags["a"] == "theirs" && copy("r").tags["b"] == "1")
    }

    @Test(arguments: [true, false]) func aFileIsWrittenOverWithoutALook(isEdited: Bool) async throws {
        let rules = ConflictRules([.artifact: .park])
        let run = try await workload.run(in: ExperimentID("0"), "r", files: ["a.txt": "1"], end: false)
        _ = try await backfill(isEdited: isEdited, rules)
        try await workload.file("a.txt", "longer", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        try await primary.logBatch(RunBatch(tags: [Tag("t", "1")]), toRun: run.id)
        #expect(try await backfill(isEdited: isEdited, rules).files == (isEdited ? 1 : 0))
        #expect(secondary.files(of: .run(try copy("r").id))["a.txt"] == Array("longer".utf8))
    }
}
