import TestSupport
import Testing

@testable import Replication

/// Names that are mapped.
extension ScopeTests {
    @Test func namesAreMapped() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        func rename(_ configuration: inout MirrorConfiguration) {
            configuration.scope.renaming = Renaming(experiments: [.init("/Shared/**", "vision/**")], models: [.init("net", "vision-net")])
        }
        #expect(try await fixture.backfill(rename).failures == [])
        let sweep = try #require(fixture.secondary.snapshot.experiments.first { $0.name == "vision/sweep" })
        #expect(sweep.tags[Stamp.nameKey] == "/Shared/sweep")
        #expect(fixture.secondary.snapshot.models.map(\.name.rawValue) == ["vision-net"])
        try await settled(fixture, rename)
        // By its own name again: experiments follow, a registered model stays what it is.
        #expect(try await fixture.backfill().failures == [])
        let back = try #require(fixture.secondary.snapshot.experiments.first { $0.name == "/Shared/sweep" })
        #expect(back.id == sweep.id && back.tags[Stamp.nameKey] == nil)
        try await settled(fixture) { _ in }
        #expect(try await fixture.backfill(rename).failures == [])
        #expect(fixture.secondary.snapshot.experiments.contains { $0.name == "vision/sweep" })
        // A renamed one on the primary follows its map.
        try await fixture.primary.renameExperiment(ExperimentID("1"), to: "/Shared/other")
        #expect(try await fixture.backfill(rename).failures == [])
        #expect(fixture.secondary.snapshot.experiments.contains { $0.name == "vision/other" })
        try await settled(fixture, rename)
    }

    @Test func aMappedNameThatIsTakenIsAMatterOfTheRules() async throws {
        let fixture = try MirrorFixture()
        _ = try await fixture.secondary.createExperiment(name: "there", tags: [])
        let id = try await fixture.primary.createExperiment(name: "here", tags: [])
        try await Workload(store: fixture.primary).run(in: id, "r")
        func rename(_ configuration: inout MirrorConfiguration) {
            configuration.scope.renaming.experiments = [.init("here", "there")]
            configuration.rules = ConflictRules([.nameTaken: .rename])
        }
        #expect(try await fixture.backfill(rename).counts.conflicts == 1)
        #expect(fixture.secondary.snapshot.experiments.map(\.name).sorted() == ["Default", "default/there", "there"])
        fixture.secondary.forgetWrites()
        try await fixture.backfill(rename)
        #expect(fixture.secondary.writes.map(\.description) == [])
        #expect(try await fixture.verify(rename).differences == [])
    }

    /// The map is read with a version that was made from one of a model that is called otherwise there.
    @Test func aVersionOfARenamedModelsVersionIsFound() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: ["model/x": "1"])
        for name in ["churn", "copy"] { try await fixture.primary.createRegisteredModel(ModelName(name), description: "", tags: []) }
        _ = try await fixture.primary.createVersion(
            NewVersion(model: ModelName("churn"), source: "\(run.artifactURI)/model", run: run.id))
        _ = try await fixture.primary.createVersion(NewVersion(model: ModelName("copy"), source: "models:/churn/1"))
        func rename(_ configuration: inout MirrorConfiguration) { configuration.scope.renaming.models = [.init("churn", "prod-churn")] }
        #expect(try await fixture.backfill(rename).failures == [])
        #expect(fixture.secondary.snapshot.versions[ModelName("copy")]?.map(\.source) == ["models:/prod-churn/1"])
        try await settled(fixture, rename)
    }

    @Test func threeOfOneNameStayThree() async throws {
        let fixture = try MirrorFixture()
        for name in ["ann", "bo", "cy", "di"] {
            let id = try await fixture.primary.createExperiment(name: "/Users/\(name)/churn", tags: [])
            try await Workload(store: fixture.primary).run(in: id, "of \(name)")
        }
        func mask(_ configuration: inout MirrorConfiguration) { configuration.scope.passage.mask = Mask(users: .drop) }
        let summary = try await fixture.backfill(mask)
        #expect(summary.failures == [])
        let names = fixture.secondary.snapshot.experiments.map(\.name)
        #expect(Set(names).count == 5 && fixture.secondary.snapshot.runs.count == 4, "\(names)")
        try await settled(fixture, mask)
    }
}
