import TestSupport
import Testing

@testable import Replication

/// What one side has deleted.
extension RuleApplyTests {
    /// Also where only its files are looked at.
    @Test func nothingIsPutIntoACopyWhoseDeletionIsRespected() async throws {
        let run = try await workload.run(in: ExperimentID("0"), "r", files: ["a.txt": "1"])
        try await fixture.backfill()
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        try await secondary.deleteRun(copy)
        try await primary.logBatch(RunBatch(tags: [Tag("a", "1")]), toRun: run.id)
        try await fixture.backfill()
        primary.replace("late.txt", of: .run(run.id), with: [1])
        secondary.forgetWrites()
        try await fixture.backfill { _ in
        } prepare: {
            try $0.append([Change(EntityKey(.runArtifacts, run.id.rawValue))], at: 0)
        }
        #expect(secondary.writes.map(\.description) == [])
        // When it is back, so is what came meanwhile.
        try await secondary.restoreRun(copy)
        try await primary.logBatch(RunBatch(tags: [Tag("a", "2")]), toRun: run.id)
        try await fixture.backfill()
        #expect(secondary.files(of: .run(copy))["late.txt"] == [1])
    }

    @Test(arguments: [ConflictDecision.respect, .restore]) func deletedOnTheSecondary(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.deletedOnSecondary: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r")
        let id = try await primary.createExperiment(name: "e", tags: [])
        let inner = try await workload.run(in: id, "inner", start: 5)
        try await fixture.backfill { $0.rules = rules }
        let copy = RunID(try fixture.there(.run, run.id.rawValue))
        let experiment = ExperimentID(try fixture.there(.experiment, id.rawValue))
        try await secondary.deleteRun(copy)
        try await secondary.deleteExperiment(experiment)
        for run in [run, inner] { try await primary.logBatch(RunBatch(tags: [Tag("a", "1")]), toRun: run.id) }
        try await fixture.backfill { $0.rules = rules }
        let wanted: Lifecycle = decision == .restore ? .active : .deleted
        #expect(try await secondary.run(copy)?.lifecycle == wanted)
        #expect(try await secondary.run(copy)?.tags["a"] == (decision == .restore ? "1" : nil))
        #expect(try await secondary.experiment(experiment)?.lifecycle == wanted)
        let innerCopy = try await secondary.run(RunID(try fixture.there(.run, inner.id.rawValue)))
        #expect(innerCopy?.lifecycle == wanted && innerCopy?.tags["a"] == (decision == .restore ? "1" : nil))
        let (summary, differences) = try await fixture.verify { $0.rules = rules }
        #expect(differences == [])
        #expect(summary.accepted.isEmpty == (decision == .restore))
        if decision == .restore { try await expectQuiet(rules) }
    }

    @Test(arguments: [ConflictDecision.replicate, .keep]) func deletedOnThePrimary(_ decision: ConflictDecision) async throws {
        let rules = ConflictRules([.deletedOnPrimary: decision])
        let run = try await workload.run(in: ExperimentID("0"), "r")
        let id = try await primary.createExperiment(name: "e", tags: [])
        let inner = try await workload.run(in: id, "inner", start: 5)
        let name = ModelName("net")
        try await primary.createRegisteredModel(name, description: "", tags: [])
        for _ in 0..<2 { _ = try await primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/m", run: run.id)) }
        try await fixture.backfill { $0.rules = rules }
        try await primary.deleteRun(run.id)
        try await primary.deleteVersion(1, of: name)
        try await primary.setDescription("new", ofRegisteredModel: name)
        try await primary.deleteExperiment(id)
        // One that is deleted before it is copied comes as it is.
        let late = try await workload.run(in: ExperimentID("0"), "late", start: 9)
        try await primary.deleteRun(late.id)
        try await fixture.backfill { $0.rules = rules }
        let wanted: Lifecycle = decision == .keep ? .active : .deleted
        for run in [run, inner] {
            #expect(try await secondary.run(RunID(try fixture.there(.run, run.id.rawValue)))?.lifecycle == wanted)
        }
        #expect(try await secondary.run(RunID(try fixture.there(.run, late.id.rawValue)))?.lifecycle == .deleted)
        #expect(try await secondary.experiment(ExperimentID(try fixture.there(.experiment, id.rawValue)))?.lifecycle == wanted)
        #expect(try await (secondary.version(of: name, 1) == nil) == (decision == .replicate))
        try await expectQuiet(rules)
        try await expectVerdict(decision, rules)
        // Back on the primary, it is followed as before.
        try await primary.restoreExperiment(id)
        try await primary.restoreRun(run.id)
        try await primary.logBatch(RunBatch(tags: [Tag("back", "1")]), toRun: inner.id)
        try await fixture.backfill { $0.rules = rules }
        #expect(try await secondary.run(RunID(try fixture.there(.run, inner.id.rawValue)))?.tags["back"] == "1")
        #expect(try await secondary.run(RunID(try fixture.there(.run, run.id.rawValue)))?.lifecycle == .active)
    }

    /// Who says `keep` while a deletion is on its way means that one too.
    @Test func aDeletionThatWaitsIsKept() async throws {
        let id = try await primary.createExperiment(name: "e", tags: [])
        try await fixture.backfill()
        try await primary.deleteExperiment(id)
        try await fixture.backfill {
            $0.rules = ConflictRules([.deletedOnPrimary: .keep])
        } prepare: { state in
            try state.append([Change(EntityKey(.experimentDeletion, id.rawValue))], at: 0)
        }
        #expect(try await secondary.experiment(ExperimentID(try fixture.there(.experiment, id.rawValue)))?.lifecycle == .active)
    }

    @Test(arguments: [ConflictDecision.keep, .replicate]) func purgedOnThePrimary(_ decision: ConflictDecision) async throws {
        let live = LiveFixture(fixture)
        let run = try await workload.run(in: ExperimentID("0"), "r")
        let id = try await primary.createExperiment(name: "e", tags: [])
        let name = ModelName("net")
        try await primary.createRegisteredModel(name, description: "old", tags: [])
        let (primary, secondary) = (primary, secondary)
        let change: (inout LiveConfiguration) -> Void = { $0.mirror.rules = ConflictRules([.purgedOnPrimary: decision]) }
        try await live.live(change) { daemon in
            try await daemon.settled()
            let copy = RunID(try #require(try daemon.state.secondaryID(.run, run.id.rawValue)))
            let experiment = ExperimentID(try #require(try daemon.state.secondaryID(.experiment, id.rawValue)))
            try await primary.deleteRun(run.id)
            try await primary.deleteExperiment(id)
            primary.collect(run.id)
            primary.collect(id)
            try await primary.deleteRegisteredModel(name)
            live.feed.say([Change(.run(run.id)), Change(.experiment(id)), Change(.registeredModel(name))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
            let wanted: Lifecycle = decision == .keep ? .active : .deleted
            #expect(try await secondary.run(copy)?.lifecycle == wanted)
            #expect(try await secondary.experiment(experiment)?.lifecycle == wanted)
            #expect(try await (secondary.registeredModel(name) == nil) == (decision == .replicate))
            // Another one of that name is another one.
            try await primary.createRegisteredModel(name, description: "new", tags: [])
            live.feed.say([Change(.registeredModel(name))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "2" }
            try await daemon.settled()
            #expect(try await secondary.registeredModel(name)?.description == "new")
        }
    }
}
