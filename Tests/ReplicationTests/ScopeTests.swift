import Foundation
import TestSupport
import Testing

@testable import Replication

/// What of the primary passes, and what happens when that becomes something else.
@Suite struct ScopeTests {
    static let key = PseudonymKey("a secret of some length")

    func settled(_ fixture: MirrorFixture, _ change: (inout MirrorConfiguration) -> Void) async throws {
        #expect(try await fixture.verify(change).differences == [])
        fixture.secondary.forgetWrites()
        let again = try await fixture.backfill(change)
        #expect(again.failures == [])
        #expect(fixture.secondary.writes.map(\.description) == [], "running again changes nothing")
    }

    func copy(_ fixture: MirrorFixture, _ name: String) throws -> Run {
        try #require(fixture.secondary.snapshot.runs.first { $0.run.name == name }?.run)
    }

    // MARK: Leaving out

    @Test func whatIsLeftOutDoesNotComeAndWhatComesBackInDoes() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        try await workload.everything()
        try await workload.run(
            in: ExperimentID("0"), "r", files: ["a.tmp": "1", "x/b.tmp": "2", "x/c.txt": "3"], tags: [Tag("dbx.id", "1"), Tag("team", "a")])
        func leave(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.leaveOut = LeaveOut(tags: ["dbx.*", "acc"], params: ["layers", "depth"], artifacts: ["**/*.tmp"])
        }
        #expect(try await fixture.backfill(leave).failures == [])
        let there = try copy(fixture, "r")
        #expect(there.tags["dbx.id"] == nil && there.tags["team"] == "a")
        #expect(there.params.map(\.key) == ["lr"])
        #expect(Set(fixture.secondary.files(of: .run(there.id)).keys) == ["x/c.txt"])
        #expect(fixture.secondary.snapshot.versions.values.joined().allSatisfy { $0.tags["acc"] == nil })
        try await settled(fixture, leave)

        #expect(try await fixture.backfill().failures == [])
        let whole = try copy(fixture, "r")
        #expect(whole.tags["dbx.id"] == "1" && whole.params.count == 2)
        #expect(Set(fixture.secondary.files(of: .run(there.id)).keys) == ["a.tmp", "x/b.tmp", "x/c.txt"])
        try await settled(fixture) { _ in }
    }

    @Test func whatIsLeftOutLaterStaysAndIsNotFollowed() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "r", files: ["a.tmp": "1"], tags: [Tag("dbx.id", "1")], end: false)
        try await fixture.backfill()
        func leave(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.leaveOut = LeaveOut(tags: ["dbx.*"], params: ["lr"], artifacts: ["*.tmp"])
        }
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("dbx.id", "2"), Tag("team", "b")]), toRun: run.id)
        try await workload.file("a.tmp", "longer", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        #expect(try await fixture.backfill(leave).failures == [])
        let there = try copy(fixture, "r")
        #expect(there.tags["dbx.id"] == "1" && there.tags["team"] == "b" && there.params.count == 2)
        #expect(fixture.secondary.files(of: .run(there.id))["a.tmp"] == Array("1".utf8))
        try await settled(fixture, leave)
        // Not even where what is too much there is removed.
        _ = try await fixture.verify(repairing: true, leave)
        #expect(try copy(fixture, "r").tags["dbx.id"] == "1")
    }

    // MARK: Masks

    @Test(arguments: [Mask.Form.drop, .pseudonym])
    func whatIsMaskedIsNowhere(_ form: Mask.Form) async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let experiment = try await fixture.primary.createExperiment(
            name: "/Users/ann@example.com/churn",
            tags: [Tag("mlflow.ownerEmail", "ann@example.com"), Tag("mlflow.note.content", "ask ann@example.com")])
        let run = try await fixture.primary.createRun(
            NewRun(
                experiment: experiment, name: "of ann@example.com", userID: "ann@example.com", startTime: 1,
                tags: [
                    Tag("mlflow.user", "ann@example.com"), Tag("mlflow.source.name", "/Users/ann@example.com/nb"), Tag("patient", "Smith"),
                ]))
        try await fixture.primary.logBatch(
            RunBatch(params: [Param("path", "/home/ann@example.com/data"), Param("ward", "Smith 7"), Param("lr", "1")]), toRun: run.id)
        try await fixture.primary.logInputs(
            datasets: [DatasetInput(name: "d", digest: "1", sourceType: "local", source: "/Users/ann@example.com/d.csv")], models: [],
            toRun: run.id)
        try await workload.file("model/x", "x", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        let name = ModelName("churn")
        try await fixture.primary.createRegisteredModel(name, description: "by ann@example.com", tags: [Tag("who", "ann@example.com")])
        for source in ["\(run.artifactURI)/model", "s3://bucket/Users/ann@example.com/m"] {
            _ = try await fixture.primary.createVersion(
                NewVersion(model: name, source: source, run: run.id, description: "ann@example.com's", tags: [Tag("patient", "Smith")]))
        }
        func mask(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.mask = Mask(
                users: form, tags: [.init("patient", form)], params: [.init("ward", form)], key: Self.key)
        }
        let summary = try await fixture.backfill(mask)
        // The version whose files lie at an address that names somebody.
        #expect(summary.failures.count == 1 && summary.failures[0].hasSuffix("[source_refused]"), "\(summary.failures)")
        func verified(_ state: String) async throws {
            #expect(try await fixture.verify(state: state, mask).differences.map(\.field) == ["version:2"])
        }
        try await verified("state.db")

        let there = try #require(fixture.secondary.snapshot.runs.first?.run)
        #expect(there.params.first { $0.key == "lr" }?.value == "1")
        if form == .pseudonym {
            let ann = Mask(users: .pseudonym, key: Self.key).user("ann@example.com") ?? ""
            #expect(there.tags["mlflow.user"] == ann && there.userID == ann)
            #expect(fixture.secondary.snapshot.experiments.contains { $0.name == "/Users/\(ann)/churn" })
        } else {
            #expect(there.tags["mlflow.user"] == nil && there.userID == "" && there.tags["patient"] == nil)
        }
        var everything = "\(fixture.secondary.snapshot)\(fixture.told.withLock { $0 })\(summary.failures)"
        everything += String(decoding: try Data(contentsOf: URL(fileURLWithPath: fixture.statePath)), as: UTF8.self)
        #expect(everything.contains("churn"))
        for word in ["ann@", "Smith"] { #expect(!everything.contains(word)) }

        fixture.secondary.forgetWrites()
        _ = try await fixture.backfill(mask)
        _ = try await fixture.backfill(state: "new.db", mask)
        #expect(fixture.secondary.writes.map(\.description) == [])
        try await verified("new.db")
    }

    @Test func whatIsMaskedLaterIsReplacedWhereItCanBe() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(
            in: ExperimentID("0"), "r", tags: [Tag("patient", "Smith"), Tag("mlflow.source.name", "/home/ann/x.py")])
        try await fixture.primary.logBatch(RunBatch(params: [Param("ward", "7")]), toRun: run.id)
        try await fixture.backfill()
        func mask(_ configuration: inout MirrorConfiguration) {
            configuration.scope.passage.mask = Mask(users: .drop, tags: [.init("patient", .drop)], params: [.init("ward", .drop)])
        }
        _ = try await fixture.backfill(mask)
        let there = try copy(fixture, "r")
        #expect(there.tags["patient"] == nil && there.tags["mlflow.user"] == nil && there.tags["mlflow.source.name"] == "/home/user/x.py")
        // A param cannot be taken back, and nobody says that it was.
        #expect(try await fixture.verify(mask).differences.map(\.field).sorted() == ["param:ward", "user"])
    }

    // MARK: Owners

    @Test func onlyRunsOfSomeOwners() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        try await workload.run(in: ExperimentID("0"), "ann's")
        for (name, start) in [("bot's", Int64(1)), ("bot's second", 2000)] {
            _ = try await fixture.primary.createRun(
                NewRun(experiment: ExperimentID("0"), name: name, userID: "ann", startTime: start, tags: [Tag("mlflow.user", "bot-7")]))
        }
        for owner in ["ann", "bot-7"] {
            let model = try await fixture.primary.createLoggedModel(
                NewLoggedModel(
                    experiment: ExperimentID("0"), name: "of-\(owner)", modelType: nil, sourceRun: nil, params: [],
                    tags: [Tag("mlflow.user", owner)]))
            try await fixture.primary.setStatus(.ready, ofLoggedModel: model.id)
        }
        func owners(_ configuration: inout MirrorConfiguration) { configuration.scope.owners = PatternList(["!bot*"]) }
        let summary = try await fixture.backfill(owners)
        #expect(summary.counts.leftOut["runs of other owners"] == 2)
        #expect(fixture.secondary.snapshot.runs.map(\.run.name) == ["ann's"])
        #expect(fixture.secondary.snapshot.loggedModels.map(\.name) == ["of-ann"])
        try await settled(fixture, owners)
        #expect(try await fixture.backfill().counts.runs.created == 2)
        try await settled(fixture) { _ in }
        // And back: they stay, and nobody calls them too many.
        #expect(try await fixture.backfill(owners).failures == [])
        try await settled(fixture, owners)
    }
}
