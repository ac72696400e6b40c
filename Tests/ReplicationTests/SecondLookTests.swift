import TestSupport
import Testing

@testable import Replication

/// A secondary that others use too: what is theirs stays, whatever the primary does to its own.
@Suite struct SharedSecondaryTests {
    @Test func anExperimentOfOthersOutlivesThePrimarys() async throws {
        let fixture = try MirrorFixture()
        let theirs = try await fixture.secondary.createExperiment(name: "shared", tags: [])
        let foreign = try await Workload(store: fixture.secondary).run(in: theirs, "theirs")
        let ours = try await fixture.primary.createExperiment(name: "shared", tags: [])
        try await Workload(store: fixture.primary).run(in: ours, "ours", start: 3)
        try await fixture.backfill()
        try await fixture.primary.deleteExperiment(ours)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.secondary.experiment(theirs)?.lifecycle == .active)
        #expect(try await fixture.secondary.run(foreign.id)?.lifecycle == .active)
        let runs = try await fixture.secondary.runs(RunQuery(experiments: [theirs]), nil).elements
        #expect(runs.first { $0.name == "ours" }?.lifecycle == .deleted)
        #expect(try await fixture.verify().differences == [])

        try await fixture.primary.restoreExperiment(ours)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    @Test func anAliasOfOthersStays() async throws {
        let fixture = try MirrorFixture()
        let name = ModelName("net")
        for store in [fixture.secondary, fixture.primary] {
            let run = try await Workload(store: store).run(in: ExperimentID("0"), "r")
            try await store.createRegisteredModel(name, description: "", tags: [])
            _ = try await store.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/model", run: run.id))
            try await store.setAlias("champion", to: 1, ofRegisteredModel: name)
        }
        let summary = try await fixture.backfill()
        #expect(try await fixture.secondary.registeredModel(name)?.aliases == ["champion": 1])
        #expect(summary.counts.conflicts >= 3)
    }
}

/// Another scope than last time.
@Suite struct ScopeChangeTests {
    @Test func filesFollowWhenTheyAreAskedFor() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        try await fixture.backfill { $0.scope.artifacts = false }
        let summary = try await fixture.backfill()
        #expect(summary.counts.files == 4, "\(summary.counts.files)")
        #expect(try await fixture.verify().differences == [])
        fixture.secondary.forgetWrites()
        try await fixture.backfill()
        #expect(fixture.secondary.writes.map(\.description) == [])
    }

    @Test func aParentThatWasTooOldIsLinkedOnceItIsInScope() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let old = try await workload.run(in: ExperimentID("0"), "old parent", start: 10)
        let child = try await workload.run(in: ExperimentID("0"), "child", parent: old.id, start: 5000)
        let model = try await fixture.primary.createLoggedModel(
            NewLoggedModel(experiment: ExperimentID("0"), name: "m", modelType: nil, sourceRun: child.id, params: [], tags: []))
        try await fixture.primary.setStatus(.ready, ofLoggedModel: model.id)
        try await fixture.backfill { $0.scope.since = 1000 }
        #expect(try await fixture.backfill().failures == [])
        let copies = try await fixture.secondary.runs(RunQuery(experiments: [ExperimentID("0")]), nil).elements
        let parent = try #require(copies.first { $0.name == "old parent" })
        #expect(copies.first { $0.name == "child" }?.parent == parent.id)
        #expect(try await fixture.verify().differences == [])
    }

    /// It is out of scope, and was only brought: no listing tells of it.
    @Test func whatWaitsIsNotForgottenWithAnotherScope() async throws {
        let fixture = try MirrorFixture()
        let dev = try await fixture.primary.createExperiment(name: "dev", tags: [])
        let run = try await Workload(store: fixture.primary).run(in: dev, "trained", files: ["model/x": "1"])
        let name = ModelName("net")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/model", run: run.id))
        func narrow(_ configuration: inout MirrorConfiguration) { configuration.scope.experiments = PatternList(["prod"]) }
        fixture.secondary.setFault { operation in
            operation.name == "writeArtifact" ? .before(StoreError(.stop, .unauthorized, "it ends here")) : nil
        }
        await #expect(throws: StoreError.self) { try await fixture.backfill(narrow) }
        fixture.secondary.setFault(nil)
        let copy = try #require(fixture.secondary.snapshot.runs.first { $0.run.name == "trained" })
        let summary = try await fixture.backfill {
            narrow(&$0)
            $0.scope.since = 1
        } prepare: {
            let pending = try $0.pending()
            #expect(pending[.runArtifacts] == 1)
        }
        #expect(summary.failures == [])
        #expect(fixture.secondary.files(of: .run(copy.run.id)) == ["model/x": Array("1".utf8)])
    }

    /// Nor by a pass that copies no files: it was brought, and no listing tells of it when another one does.
    @Test func filesThatWaitAreNotForgottenByAPassWithoutFiles() async throws {
        let fixture = try MirrorFixture()
        let dev = try await fixture.primary.createExperiment(name: "dev", tags: [])
        let run = try await Workload(store: fixture.primary).run(in: dev, "trained", files: ["model/x": "1"])
        let name = ModelName("net")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/model", run: run.id))
        func narrow(_ configuration: inout MirrorConfiguration) { configuration.scope.experiments = PatternList(["prod"]) }
        fixture.secondary.setFault { operation in
            operation.name == "writeArtifact" ? .before(StoreError(.stop, .unauthorized, "it ends here")) : nil
        }
        await #expect(throws: StoreError.self) { try await fixture.backfill(narrow) }
        fixture.secondary.setFault(nil)
        let copy = try #require(fixture.secondary.snapshot.runs.first { $0.run.name == "trained" })
        for _ in 0..<2 {
            let summary = try await fixture.backfill {
                narrow(&$0)
                $0.scope.artifacts = false
            }
            #expect(summary.failures == [])
            #expect(try fixture.withState { try $0.pending() } == [.runArtifacts: 1])
        }
        #expect(fixture.secondary.files(of: .run(copy.run.id)).isEmpty)
        try await fixture.backfill(narrow)
        #expect(fixture.secondary.files(of: .run(copy.run.id)) == ["model/x": Array("1".utf8)])
        #expect(try fixture.withState { try $0.pending() }.isEmpty)
    }

    @Test func aModelsPurgeWaitsForAScopeThatHasIt() async throws {
        let fixture = try MirrorFixture()
        func replicate(_ configuration: inout MirrorConfiguration) { configuration.rules = ConflictRules([.purgedOnPrimary: .replicate]) }
        let name = ModelName("net")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        try await fixture.backfill(replicate)
        try await fixture.primary.deleteRegisteredModel(name)
        try await fixture.backfill {
            replicate(&$0)
            $0.scope.models = PatternList(["other"])
        } prepare: {
            try $0.append([Change(.registeredModel(name))], at: 0)
        }
        #expect(try await fixture.secondary.registeredModel(name) != nil)
        try await fixture.backfill(replicate)
        #expect(try await fixture.secondary.registeredModel(name) == nil)
        #expect(try fixture.withState { try $0.pending() }.isEmpty)
    }

    /// It may have been made, by an attempt that did not live to note it: that is not forgotten by who lets it go.
    @Test func whatIsInDoubtStaysSoWhereItIsLetGo() async throws {
        let fixture = try MirrorFixture()
        let id = try await fixture.primary.createExperiment(name: "a", tags: [])
        try await Workload(store: fixture.primary).run(in: id, "r")
        fixture.secondary.setFault { operation in
            operation.name == "createRun" ? .after(StoreError(.stop, .unauthorized, isInDoubt: true, "it ends here")) : nil
        }
        await #expect(throws: StoreError.self) { try await fixture.backfill() }
        fixture.secondary.setFault(nil)
        #expect(try await fixture.backfill { $0.scope.experiments = PatternList(["b"]) }.failures == [])
        #expect(try await fixture.backfill().failures == [])
        #expect(fixture.secondary.snapshot.runs.count == 1)
        #expect(try await fixture.verify().differences == [])
    }

    /// It is gone from the primary: no listing tells of that either. Whether it is in the new scope, a name may say.
    @Test(arguments: [PatternList.everything, PatternList(["Def*"]), PatternList(["none"])])
    func aPurgeThatWaitsIsNotForgottenWithAnotherScope(_ experiments: PatternList) async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "purged")
        func replicate(_ configuration: inout MirrorConfiguration) { configuration.rules = ConflictRules([.purgedOnPrimary: .replicate]) }
        try await fixture.backfill {
            replicate(&$0)
            $0.scope.artifacts = false
        }
        fixture.primary.collect(run.id)
        try await fixture.backfill {
            replicate(&$0)
            $0.scope.experiments = experiments
        } prepare: {
            try $0.append([Change(.run(run.id))], at: 0)
        }
        #expect(fixture.secondary.snapshot.runs.map(\.run.lifecycle) == [experiments == PatternList(["none"]) ? .active : .deleted])
    }

    @Test func whatWaitsOutsideANarrowerScopeIsNotWritten() async throws {
        let fixture = try MirrorFixture()
        for name in ["a", "b"] {
            let id = try await fixture.primary.createExperiment(name: name, tags: [])
            for n in 0..<10 { try await Workload(store: fixture.primary).run(in: id, "\(name)\(n)", start: Int64(n)) }
        }
        fixture.secondary.setFault { $0.name == "createRun" ? .before(StoreError(.stop, .unauthorized, "no")) : nil }
        await #expect(throws: StoreError.self) { try await fixture.backfill() }
        fixture.secondary.setFault(nil)
        let narrow = try await fixture.backfill { $0.scope.experiments = PatternList(["a"]) }
        #expect(narrow.counts.runs.created == 10)
        #expect(try await fixture.backfill().counts.runs.created == 10)
        #expect(try await fixture.verify().differences == [])
    }
}

@Suite struct SecondLookTests {
    @Test func aRunDeletedAfterItsExperimentCameBackIsDeleted() async throws {
        let fixture = try MirrorFixture()
        let experiment = try await fixture.primary.createExperiment(name: "e", tags: [])
        let workload = Workload(store: fixture.primary)
        try await workload.run(in: experiment, "stays", start: 1)
        let goes = try await workload.run(in: experiment, "goes", start: 2)
        try await fixture.backfill()
        try await fixture.primary.deleteExperiment(experiment)
        try await fixture.backfill()
        try await fixture.primary.restoreExperiment(experiment)
        try await fixture.primary.deleteRun(goes.id)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    /// The model's registered version stays when the logged model is deleted; with a new state file nobody may wait for it for ever.
    @Test func aVersionOfADeletedLoggedModelEnds() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        let model = try #require(try await fixture.primary.loggedModels(in: [ExperimentID("1")], nil).elements.first)
        try await fixture.backfill()
        try await fixture.primary.deleteLoggedModel(model.id)
        fixture.endAfterRequests(2000)
        let again = try await fixture.backfill(state: "new.db")
        #expect(again.counts.versions.created == 0)
        #expect(try await fixture.secondary.versions(of: ModelName("net"), nil).elements.map(\.number) == [1, 3, 4])
    }

    @Test func aVersionMadeAgainIsNamedAndNotRelabelled() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let name = ModelName("again")
        let first = try await workload.run(in: ExperimentID("0"), "first", start: 1)
        let second = try await workload.run(in: ExperimentID("0"), "second", start: 2)
        for run in [first, second] {
            if run.id == second.id { try await fixture.primary.deleteRegisteredModel(name) }
            try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
            _ = try await fixture.primary.createVersion(NewVersion(model: name, source: "\(run.artifactURI)/model", run: run.id))
            let summary = try await fixture.backfill()
            #expect(summary.isComplete == (run.id == first.id))
            if run.id == second.id {
                #expect(summary.failures.contains { $0.contains("version_replaced") && $0.contains("again") }, "\(summary.failures)")
            }
        }
        let there = try #require(try await fixture.secondary.version(of: name, 1))
        #expect(there.tags.first { $0.key == Stamp.sourceKey }?.value == "\(first.artifactURI)/model")
        let found = try await fixture.verify().differences
        #expect(found.contains { $0.field == "version:1:primary source" }, "\(found)")
    }

    @Test func longRegistryTagsAreWrittenOrNamed() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        try await fixture.backfill()
        let name = ModelName("net")
        for (key, length) in [("fits", 100_000), ("cut", 100_001)] {
            let tag = Tag(key, String(repeating: "x", count: length))
            try await fixture.primary.setTag(tag, ofRegisteredModel: name)
            try await fixture.primary.setTag(tag, ofVersion: 1, of: name)
        }
        let summary = try await fixture.backfill()
        #expect(try await fixture.secondary.registeredModel(name)?.tags["fits"]?.count == 100_000)
        #expect(try await fixture.secondary.version(of: name, 1)?.tags["fits"]?.count == 100_000)
        #expect(summary.failures.count == 2 && summary.failures.allSatisfy { $0.contains("cut") }, "\(summary.failures)")
    }

    @Test func idsInTagsOfVersionsAreRewritten() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        let other = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "other", start: 77)
        try await fixture.primary.setTag(Tag("see", "runs:/\(other.id)/z"), ofVersion: 1, of: ModelName("net"))
        try await fixture.backfill()
        let copy = try #require(
            try await fixture.secondary.runs(RunQuery(experiments: [ExperimentID("0")]), nil).elements.first { $0.name == "other" })
        #expect(try await fixture.secondary.version(of: ModelName("net"), 1)?.tags["see"] == "runs:/\(copy.id)/z")
        #expect(try await fixture.verify().differences == [])
    }

    @Test func verifyNamesAFileThatCannotBeCopied() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: ["a.txt": "a"])
        fixture.primary.replace("..", of: .run(run.id), with: [1])
        #expect(try await fixture.backfill().isComplete == false)
        let verified = try await fixture.verify()
        #expect(verified.differences.contains { $0.field == "unreadable" && $0.primary?.contains("..") == true }, "\(verified.differences)")
        #expect(verified.summary.unreadable == 1)
    }

    @Test func anExperimentRenamedOnTheSecondaryIsNamedBack() async throws {
        let fixture = try MirrorFixture()
        let experiment = try await fixture.primary.createExperiment(name: "e", tags: [])
        try await fixture.backfill()
        let copy = try #require(try await fixture.secondary.experiment(named: "e"))
        try await fixture.secondary.renameExperiment(copy.id, to: "mine now")
        try await fixture.primary.setTag(Tag("a", "b"), ofExperiment: experiment)
        let summary = try await fixture.backfill()
        #expect(try await fixture.secondary.experiment(copy.id)?.name == "e")
        #expect(summary.counts.conflicts == 1)
    }

    /// `prod` becomes `old`, and another one `prod`; a chain of names needs a second run, or a third.
    @Test func aNameThatIsGivenOnIsFollowed() async throws {
        let fixture = try MirrorFixture()
        let first = try await fixture.primary.createExperiment(name: "prod", tags: [])
        let second = try await fixture.primary.createExperiment(name: "next", tags: [])
        try await fixture.backfill()
        try await fixture.primary.renameExperiment(first, to: "old")
        try await fixture.primary.renameExperiment(second, to: "prod")
        _ = try await fixture.primary.createExperiment(name: "next", tags: [])
        for _ in 0..<2 { try await fixture.backfill() }
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
        for name in ["old", "prod", "next"] { #expect(try await fixture.secondary.experiment(named: name) != nil, "\(name)") }
    }

    /// Nobody waits for a copy to make way that cannot: its new name is somebody else's.
    @Test func aNameThatCannotBeGivenOnHoldsUpNothing() async throws {
        let fixture = try MirrorFixture()
        let first = try await fixture.primary.createExperiment(name: "x", tags: [])
        try await fixture.backfill()
        let theirs = try await fixture.secondary.createExperiment(name: "y", tags: [])
        try await fixture.primary.renameExperiment(first, to: "y")
        let second = try await fixture.primary.createExperiment(name: "x", tags: [])
        fixture.endAfterRequests(2000)
        #expect(try await fixture.backfill().failures == [])
        let pair = fixture.configuration().pair
        let there = try await fixture.secondary.experiments(nil).elements
        #expect(there.contains { $0.name == "\(pair)/x" })
        #expect(there.contains { $0.name == "x" } && there.contains { $0.name == "y" && $0.id == theirs })
        // Once the name is free, both get theirs.
        try await fixture.secondary.renameExperiment(theirs, to: "z")
        for id in [first, second] { try await fixture.primary.setTag(Tag("a", "b"), ofExperiment: id) }
        for _ in 0..<2 { try await fixture.backfill() }
        #expect(try await fixture.secondary.experiment(named: "y") != nil)
    }

    @Test func repairRemovesWhatIsTooMuchOfOurs() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        try await fixture.backfill()
        let name = ModelName("net")
        let copy = try #require(try await fixture.secondary.experiment(named: "/Shared/sweep"))
        try await fixture.secondary.setTag(Tag("more", "x"), ofExperiment: copy.id)
        try await fixture.secondary.setTag(Tag("more", "x"), ofRegisteredModel: name)
        try await fixture.secondary.setTag(Tag("more", "x"), ofVersion: 1, of: name)
        try await fixture.secondary.setAlias("more", to: 1, ofRegisteredModel: name)
        #expect(try await fixture.verify(repairing: true).differences.count == 4)
        #expect(try await fixture.verify().differences == [])
    }

    @Test func whatIsRestoredByHandGoesOn() async throws {
        let fixture = try MirrorFixture()
        let experiment = try await fixture.primary.createExperiment(name: "e", tags: [])
        try await fixture.backfill()
        let copy = try #require(try await fixture.secondary.experiment(named: "e"))
        try await fixture.secondary.deleteExperiment(copy.id)
        try await fixture.primary.setTag(Tag("a", "b"), ofExperiment: experiment)
        try await Workload(store: fixture.primary).run(in: experiment, "new")
        #expect(try await fixture.backfill().isComplete == false)
        try await fixture.secondary.restoreExperiment(copy.id)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }
}

extension SecondLookTests {
    /// Written, but the process died before it could say so; then taken away on the primary: nobody else's, so it goes.
    @Test func aTagWhoseWriteWasInDoubtGoesWithThePrimarys() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "r", tags: [Tag("a", "1")])
        let name = ModelName("m")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [Tag("a", "1")])
        for (write, remove) in [("logBatch", "a"), ("logBatch", "b"), ("setStage", "c")] {
            fixture.secondary.setFault { operation in
                operation.name == write ? .after(StoreError(.stop, .unauthorized, isInDoubt: true, "dies here")) : nil
            }
            _ = try? await fixture.backfill()
            fixture.secondary.setFault(nil)
            if remove == "a" {
                try await fixture.primary.deleteTag("a", ofRun: run.id)
                try await fixture.primary.logBatch(RunBatch(tags: [Tag("b", "2")]), toRun: run.id)
            } else if remove == "b" {
                try await fixture.primary.deleteTag("b", ofRun: run.id)
                _ = try await fixture.primary.createVersion(
                    NewVersion(model: name, source: run.artifactURI, run: run.id, tags: [Tag("c", "3")]))
                try await fixture.primary.setStage("Production", ofVersion: 1, of: name)
            } else {
                try await fixture.primary.deleteTag("c", ofVersion: 1, of: name)
            }
        }
        try await fixture.backfill()
        #expect(try await fixture.verify().differences == [])
    }

    /// A version that was deleted hides its number; the next one still gets its own.
    @Test func aVersionAfterADeletedOneKeepsItsNumber() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r")
        let name = ModelName("m")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        let new = NewVersion(model: name, source: run.artifactURI, run: run.id)
        for number in 1...3 {
            _ = try await fixture.primary.createVersion(new)
            try await fixture.backfill()
            try await fixture.primary.deleteVersion(number, of: name)
            let summary = try await fixture.backfill()
            #expect(summary.counts.conflicts == 0)
        }
        _ = try await fixture.primary.createVersion(new)
        // Nor does a lost state file change it.
        let summary = try await fixture.backfill(state: "lost.db")
        #expect(summary.counts.conflicts == 0 && summary.failures == [])
        #expect(try await fixture.verify(state: "lost.db").differences == [])
        #expect(try await fixture.secondary.version(of: name, 4) != nil)
    }
}
