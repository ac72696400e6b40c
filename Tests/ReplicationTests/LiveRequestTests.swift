import TestSupport
import Testing

@testable import Replication

/// What people ask of a daemon: to pause, to copy again.
@Suite struct LiveRequestTests {
    @Test func whatIsPausedWaits() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        try await fixture.live({ $0.filePause = 10_000 }) { daemon in
            try await daemon.settled()
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            try visitor.setPause(.everything)
            let run = try await workload.run(in: ExperimentID("0"), "paused")
            // A moment for the daemon to obey.
            try await Task.sleep(for: .milliseconds(100))
            fixture.pair.secondary.forgetWrites()
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("captured") { try daemon.state.backlog().count == 1 }
            try await Task.sleep(for: .milliseconds(100))
            #expect(fixture.pair.secondary.writes.isEmpty)
            try visitor.setPause(.nothing)
            try await daemon.settled()
            try visitor.close()
        }
        #expect(fixture.pair.said(.paused) && fixture.pair.said(.resumed))
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Of everything in the paused experiment nothing is written, nor of what needs something of it; the rest goes on.
    @Test func whatIsPausedByNameWaits() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary, feed) = (fixture.pair.primary, fixture.pair.secondary, fixture.feed)
        let workload = Workload(store: primary)
        try await workload.everything()
        try await fixture.live({ $0.filePause = 10_000 }) { daemon in
            try await daemon.settled()
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            _ = try visitor.changePausedScope { $0.adding(NameScope(experiments: ["scratch", "new *"])) }
            try await Task.sleep(for: .milliseconds(100))
            secondary.forgetWrites()
            let scratch = try await primary.createExperiment(name: "scratch", tags: [])
            let held = try await workload.run(in: scratch, "held", files: ["a": "b"])
            let free = try await workload.run(in: ExperimentID("0"), "free", files: ["a": "b"])
            let model = ModelName("of held")
            try await primary.createRegisteredModel(model, description: "", tags: [])
            _ = try await primary.createVersion(NewVersion(model: model, source: "\(held.artifactURI)/a", run: held.id))
            feed.say([Change(.run(held.id)), Change(.registeredModel(model)), Change(.experiment(scratch)), Change(.run(free.id))])
            try await daemon.until("the free one is there") {
                let waiting = try daemon.state.backlog().count
                return try daemon.state.manifest(of: EntityKey(.runArtifacts, free.id.rawValue)).count == 1 && waiting == 3
            }
            try await daemon.until("held") { try daemon.state.heldCount() == 3 }
            #expect(secondary.writes.allSatisfy { !$0.description.contains("held") && !$0.description.contains("scratch") })
            // A change of what is held already, and one more that is paused.
            try await primary.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: held.id)
            feed.say([Change(.run(held.id))])
            _ = try visitor.changePausedScope { $0.adding(NameScope(models: ["of *"])) }
            try await Task.sleep(for: .milliseconds(50))
            _ = try visitor.changePausedScope { $0.removing(NameScope(experiments: ["scratch", "new *"])) }
            try await daemon.until("only the model is held") { try daemon.state.backlog().count == 1 && daemon.state.heldCount() == 1 }
            _ = try visitor.changePausedScope { _ in .nothing }
            try await daemon.settled()
            try visitor.close()
        }
        #expect(fixture.pair.said(.pausedByName))
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func oneRunIsCopiedAgainWhenAsked() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let workload = Workload(store: primary)
        let run = try await workload.run(in: ExperimentID("0"), "one", files: ["a.txt": "right"])
        try await fixture.live { daemon in
            try await daemon.settled()
            let there = RunID(try #require(try daemon.state.secondaryID(.run, run.id.rawValue)))
            secondary.replace("a.txt", of: .run(there), with: Array("wrong".utf8))
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            let number = try visitor.ask(.resync, "run \(run.id)", at: 0)
            let unknown = try visitor.ask(.resync, "run nobody", at: 0)
            try await daemon.until("answered") {
                try visitor.request(number)?.state == .done && visitor.request(unknown)?.state == .refused
            }
            try visitor.close()
        }
        #expect(fixture.pair.said(.asked))
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func aResyncSaysWhatIsNotThereAfterIt() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let workload = Workload(store: primary)
        let run = try await workload.run(in: ExperimentID("0"), "one", files: ["a.txt": "right"])
        let outside = try await workload.run(in: try await primary.createExperiment(name: "outside", tags: []), "two", start: 5)
        let experiments = PatternList(["Default"])
        try await fixture.live({ $0.mirror.scope.experiments = experiments }) { daemon in
            try await daemon.settled()
            secondary.setFault { $0.name == "writeArtifact" ? .before(StoreError(.setAside, .invalid, "no")) : nil }
            primary.replace("a.txt", of: .run(run.id), with: Array("other".utf8))
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            let of = ["run \(run.id)", "experiment 0", "run \(outside.id)", "experiment \(outside.experiment)", "model nobody"]
            let numbers = try of.map { try visitor.ask(.resync, $0, at: 0) }
            try await daemon.until("answered") {
                try numbers.allSatisfy { [.done, .refused].contains(try visitor.request($0)?.state) }
            }
            let answers = try numbers.map { try visitor.request($0) }
            #expect(answers.map { $0?.state } == [.done, .done, .refused, .refused, .refused])
            // One for the file, and one that says that there is one.
            #expect(answers[0]?.message == "2" && answers[1]?.message == "2")
            #expect(answers[2]?.message.contains("out of scope") == true)
            secondary.setFault(nil)
            let again = try visitor.ask(.resync, "run \(run.id)", at: 0)
            try await daemon.until("copied") { try visitor.request(again)?.state == .done }
            #expect(try visitor.request(again)?.message == "")
            try visitor.close()
        }
        #expect(try await fixture.pair.verify { $0.scope.experiments = experiments }.differences == [])
    }

    /// What is held waits for people: an answer does not.
    @Test func whatIsHeldHoldsUpNoAnswer() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        let free = try await workload.run(in: ExperimentID("0"), "free")
        let held = try await workload.run(in: try await primary.createExperiment(name: "scratch", tags: []), "held", start: 5)
        try await fixture.live({ $0.filePause = 10_000 }) { daemon in
            try await daemon.settled()
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            _ = try visitor.changePausedScope { $0.adding(NameScope(experiments: ["scratch"])) }
            // A moment for the daemon to obey.
            try await Task.sleep(for: .milliseconds(100))
            try await primary.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: held.id)
            fixture.feed.say([Change(.run(held.id))])
            try await daemon.until("held") { try daemon.state.heldCount() > 0 }
            var answers: [OwnerRequest.Remainder] = []
            for (what, argument) in [
                (OwnerRequest.What.resync, "run \(free.id)"), (.backfill, ""), (.requeue, ""), (.resync, "run \(held.id)"),
            ] {
                let number = try visitor.ask(what, argument, at: 0)
                try await daemon.until("answered") { try visitor.request(number)?.state == .done }
                answers.append(try #require(try visitor.request(number)).remainder)
            }
            #expect(answers.map { $0.held > 0 } == [false, true, true, true] && answers.allSatisfy { $0.letters == 0 })
            _ = try visitor.changePausedScope { _ in .nothing }
            try await daemon.settled()
            try visitor.close()
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Files that are being copied hold it up, and a pause is what may be wanted then.
    @Test func aResyncThatWaitsHoldsUpNoOtherRequest() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let run = try await Workload(store: fixture.pair.primary).run(in: ExperimentID("0"), "one", files: ["a.txt": "1"])
        let gate = Gate(on: "writeArtifact")
        try await FakeStore.$passage.withValue(gate) {
            try await fixture.live { daemon in
                try await daemon.until("copying") { gate.isReached }
                let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
                let resync = try visitor.ask(.resync, "run \(run.id)", at: 0)
                try await daemon.until("begun") { try visitor.request(resync)?.state == .running }
                let other = try visitor.ask(.resync, "run nobody", at: 0)
                try await daemon.until("answered") { try visitor.request(other)?.state == .refused }
                #expect(try visitor.request(resync)?.state == .running)
                gate.open()
                try await daemon.until("done") { try visitor.request(resync)?.state == .done }
                try visitor.close()
            }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func aBackfillCanBeAskedFor() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await fixture.live { daemon in
            try await daemon.settled()
            try await workload.everything()
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            let number = try visitor.ask(.backfill, at: 0)
            try await daemon.until("answered") { try visitor.request(number)?.state == .done }
            try visitor.close()
        }
        #expect(try await fixture.pair.verify().differences == [])
    }
}
