import TestSupport
import Testing

@testable import Replication

/// Fields that are newer than this program, carried in documents.
@Suite struct UnknownFieldTests {
    private static let fields = [UnknownField(path: "info.mood", json: "{\"a\":1}"), UnknownField(path: "z", json: nil)]

    private static func carrying(_ configuration: inout MirrorConfiguration) { configuration.scope.unknownFields = true }

    private func document(of run: Run, _ fixture: MirrorFixture) throws -> String? {
        let there = RunID(try fixture.there(.run, run.id.rawValue))
        return fixture.secondary.files(of: .run(there))[UnknownDocument.path].map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func theyArriveAndFollow() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "newer", files: ["a.txt": "x"])
        fixture.primary.setUnknown(Self.fields, of: run.id)
        #expect(try await fixture.backfill(Self.carrying).failures == [])
        #expect(
            try document(of: run, fixture)
                == "{\n\"format\": \"mlmirror unknown fields 1\",\n\"run\": \"\(run.id)\",\n\"fields\": {\n\"info.mood\": {\"a\":1}\n},\n\"not_carried\": [\"z\"]\n}\n"
        )
        #expect(try await fixture.verify(Self.carrying).differences == [])
        fixture.secondary.forgetWrites()
        try await fixture.backfill(Self.carrying)
        try await fixture.backfill { configuration in
            Self.carrying(&configuration)
            configuration.deep = true
        }
        try await fixture.backfill(state: "new.db", Self.carrying)
        #expect(fixture.secondary.writes.map(\.description) == [])
        fixture.primary.setUnknown([UnknownField(path: "info.mood", json: "2")], of: run.id)
        try await fixture.backfill(Self.carrying)
        #expect(try document(of: run, fixture)?.contains("\"info.mood\": 2\n") == true)
        fixture.primary.setUnknown([], of: run.id)
        try await fixture.backfill(Self.carrying)
        #expect(try document(of: run, fixture)?.contains("fields\":") == false)
        #expect(try await fixture.verify(Self.carrying).differences == [])
    }

    @Test func theyAreNotCarriedUnlessAskedFor() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "newer")
        fixture.primary.setUnknown(Self.fields, of: run.id)
        try await fixture.backfill()
        #expect(try document(of: run, fixture) == nil)
        #expect(try await fixture.verify().differences == [])
    }

    @Test func whatMayHoldSomethingMaskedIsNotCarriedAndNotKept() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "newer")
        fixture.primary.setUnknown(Self.fields, of: run.id)
        func masking(_ configuration: inout MirrorConfiguration) {
            Self.carrying(&configuration)
            configuration.scope.passage.mask.params = [.init("lr", .drop)]
        }
        try await fixture.backfill(masking)
        #expect(try document(of: run, fixture) == nil)
        // Carried while nothing was masked, and then masked.
        try await fixture.backfill(Self.carrying)
        #expect(try document(of: run, fixture)?.contains("mood") == true)
        try await fixture.backfill(masking)
        #expect(try document(of: run, fixture)?.contains("mood") == false)
        var scope = Scope(unknownFields: true)
        #expect(scope.carriesUnknownFields)
        scope.passage.leaveOut = LeaveOut(tags: ["a"], params: ["b"], artifacts: ["mlmirror"])
        #expect(scope.unknownFieldsObstacles == ["scope.leave_out.tags", "scope.leave_out.params", "scope.leave_out.artifacts"])
        #expect(!scope.carriesUnknownFields)
    }

    @Test func aDocumentThatWasChangedIsFoundAndMended() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "newer")
        fixture.primary.setUnknown(Self.fields, of: run.id)
        try await fixture.backfill(Self.carrying)
        let there = RunID(try fixture.there(.run, run.id.rawValue))
        fixture.secondary.replace(UnknownDocument.path, of: .run(there), with: Array("{}".utf8))
        #expect(try await fixture.verify(Self.carrying).differences.map(\.field) == [UnknownDocument.path])
        try await fixture.verify(repairing: true, Self.carrying)
        #expect(try await fixture.verify(Self.carrying).differences == [])
        #expect(try document(of: run, fixture)?.contains("mood") == true)
    }

    @Test func aFileOfTheDocumentsNameIsSetAside() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "files", files: [UnknownDocument.path: "mine"])
        #expect("\(try await fixture.backfill(Self.carrying).failures)".contains("reserved_name"))
        #expect(try document(of: run, fixture) == nil)
        try await fixture.backfill()
        #expect(try document(of: run, fixture) == "mine")
    }

    @Test func thoseOfALoggedModelAreAmongItsFilesOrInItsDocument() async throws {
        var dialect = Dialect.mlflow
        dialect.metricsAreIdempotent = false
        dialect.hasLoggedModels = false
        dialect.runLimits = RunLimits(
            tags: 50, tagKeyLength: 100, tagValueLength: 1000, params: 200, paramKeyLength: 250, paramValueLength: 500, metricNames: 50,
            metricNameLength: 255, datasets: 2, nameLength: 256)
        for secondary in [nil, FakeStore(name: "narrow", dialect: dialect)] {
            let fixture = try MirrorFixture(secondary: secondary)
            let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "parent")
            let model = try await fixture.primary.createLoggedModel(
                NewLoggedModel(
                    experiment: ExperimentID("0"), name: "net", modelType: nil, sourceRun: run.id, params: [], tags: []))
            try await fixture.primary.setStatus(.ready, ofLoggedModel: model.id)
            fixture.primary.setUnknown(Self.fields, of: model.id)
            #expect(try await fixture.backfill(Self.carrying).failures == [])
            let files: [String: [UInt8]]
            if secondary == nil {
                files = fixture.secondary.files(of: .loggedModel(LoggedModelID(try fixture.there(.loggedModel, model.id.rawValue))))
            } else {
                files = fixture.secondary.files(of: .run(RunID(try fixture.there(.run, run.id.rawValue))))
            }
            let path = secondary == nil ? UnknownDocument.path : ModelFolder.documentPath(model.id)
            #expect(String(decoding: files[path] ?? [], as: UTF8.self).contains("\"fields\": {\n\"info.mood\": {\"a\":1}\n}"))
            #expect(try await fixture.verify(Self.carrying).differences == [])
            fixture.secondary.forgetWrites()
            try await fixture.backfill(Self.carrying)
            #expect(fixture.secondary.writes.map(\.description) == [])
        }
    }
}
