import TestSupport
import Testing

@testable import Replication

/// What was copied under one mask is seen under another.
@Suite struct MaskChangeTests {
    private static let masks: [Mask] = [
        Mask(), Mask(users: .drop), Mask(users: .pseudonym, key: PseudonymKey("a secret of some length")),
        Mask(users: .pseudonym, key: PseudonymKey("another secret, as long")),
    ]

    @Test func peopleAreTheOnlyDifferenceBetweenMasks() {
        let text = "runs/1/artifacts/Users/ann@example.com/model"
        for mask in Self.masks {
            #expect(Mask.besidesPeople(mask.text(text)) == Mask.besidesPeople(text))
            #expect(Mask.hidesPeople(mask.text(text)) == (mask.users != nil))
            #expect(Mask.besidesPeople(mask.text(text)) != Mask.besidesPeople(text + "2"))
        }
        #expect(!Mask.hidesPeople("runs/1/artifacts/model") && !Mask.hidesPeople("/Users/ann/user-x"))
        #expect(Mask.besidesPeople("user-abc/x") == "user-abc/x")
    }

    @Test(arguments: 0..<4, 0..<4) func anotherMaskReplacesNoVersion(before: Int, after: Int) async throws {
        let fixture = try MirrorFixture()
        let path = "Users/ann@example.com/model"
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: [path + "/MLmodel": "x"])
        let name = ModelName("m")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/\(path)", run: run.id))
        #expect(try await fixture.backfill { $0.scope.passage.mask = Self.masks[before] }.failures == [])
        #expect(try await fixture.backfill { $0.scope.passage.mask = Self.masks[after] }.failures == [])
        #expect(fixture.secondary.snapshot.versions[name]?.count == 1)
    }

    /// Under one mask another person's path is another version.
    @Test func aVersionOfAnotherIsStillAnother() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(
            in: ExperimentID("0"), "r", files: ["Users/ann/model/MLmodel": "x", "Users/bob/model/MLmodel": "x"])
        let name = ModelName("m")
        for (number, person) in ["ann", "bob"].enumerated() {
            if number == 1 { try await fixture.primary.deleteRegisteredModel(name) }
            try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
            _ = try await fixture.primary.createVersion(
                NewVersion(model: name, source: "\(run.artifactURI)/Users/\(person)/model", run: run.id))
            let failures = try await fixture.backfill().failures
            #expect(failures.contains { $0.contains("version_replaced") } == (number == 1), "\(failures)")
        }
    }
}
