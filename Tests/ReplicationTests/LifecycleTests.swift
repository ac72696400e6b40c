import TestSupport
import Testing

@testable import Replication

/// Deletions and returns of experiments and runs, which take one another along at different times on both sides.
@Suite struct LifecycleTests {
    private let fixture: LiveFixture
    private let primary: FakeStore
    private let secondary: FakeStore
    private let workload: Workload

    init() throws {
        fixture = LiveFixture(try MirrorFixture())
        primary = fixture.pair.primary
        secondary = fixture.pair.secondary
        workload = Workload(store: primary)
    }

    private func experiment() async throws -> (ExperimentID, Run) {
        let id = try await primary.createExperiment(name: "e", tags: [])
        return (id, try await workload.run(in: id, "r"))
    }

    /// Tells the daemon, and waits until it has done everything.
    private func tell(_ changes: [Change], _ daemon: LiveFixture.Observer) async throws {
        let next = "\((Int(try daemon.state.cursor(of: "scripted") ?? "0") ?? 0) + 1)"
        fixture.feed.say(changes)
        try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == next }
        try await daemon.settled()
    }

    private func both(_ experiment: ExperimentID, _ run: Run) -> [Change] {
        [Change(.experiment(experiment)), Change(.run(run.id), .record)]
    }

    private func there(_ kind: EntityKey.Kind, _ id: String, _ daemon: LiveFixture.Observer) throws -> String {
        try #require(try daemon.state.secondaryID(kind, id))
    }

    /// What somebody has deleted on the secondary is left, and holds up nothing else.
    @Test func anExperimentThatSomebodyDeletedHoldsUpNothing() async throws {
        let (id, run) = try await experiment()
        let other = try await workload.run(in: ExperimentID("0"), "other", end: false)
        try await fixture.live { daemon in
            try await daemon.settled()
            let there = ExperimentID(try there(.experiment, id.rawValue, daemon))
            try await secondary.deleteExperiment(there)
            for number in 0..<5 {
                try await primary.logBatch(RunBatch(tags: [Tag("a", "\(number)")]), toRun: run.id)
                try await primary.logBatch(RunBatch(tags: [Tag("a", "\(number)")]), toRun: other.id)
                try await tell([Change(.run(run.id), .record), Change(.run(other.id), .record)], daemon)
            }
            #expect(try daemon.state.deadLetters(limit: 5).map(\.reason) == ["experiment_deleted_on_secondary"])
            // Nor by the experiment's own next change, nor the one after that.
            for number in 0..<2 {
                try await primary.setTag(Tag("t", "\(number)"), ofExperiment: id)
                try await tell([Change(.experiment(id))], daemon)
                #expect(try await secondary.experiment(there)?.lifecycle == .deleted)
            }
            // Brought back by hand, it goes on.
            try await secondary.restoreExperiment(there)
            try await tell([Change(.run(run.id), .record), Change(.experiment(id))], daemon)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// The deletion's answer is lost: a run that was restored alone in it is brought back all the same.
    @Test func aRunRestoredAloneComesBackAlsoInASecondAttempt() async throws {
        let (id, run) = try await experiment()
        try await fixture.live { daemon in
            try await daemon.settled()
            let isLost = Locked(false)
            secondary.setFault { operation in
                guard operation.name == "deleteExperiment", !isLost.withLock({ $0 }) else { return nil }
                isLost.withLock { $0 = true }
                return .answerLost
            }
            try await primary.deleteExperiment(id)
            try await primary.restoreRun(run.id)
            try await tell(both(id, run), daemon)
            #expect(isLost.withLock { $0 })
            let copy = RunID(try there(.run, run.id.rawValue, daemon))
            #expect(try await secondary.run(copy)?.lifecycle == .active)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// In an experiment that is deleted on both sides.
    @Test func aRunDeletedAgainInADeletedExperimentIsDeleted() async throws {
        let (id, run) = try await experiment()
        try await fixture.live { daemon in
            try await daemon.settled()
            try await primary.deleteExperiment(id)
            try await tell(both(id, run), daemon)
            try await primary.restoreRun(run.id)
            try await tell([Change(.run(run.id), .record)], daemon)
            let copy = RunID(try there(.run, run.id.rawValue, daemon))
            #expect(try await secondary.run(copy)?.lifecycle == .active)
            try await primary.deleteRun(run.id)
            try await tell([Change(.run(run.id), .record)], daemon)
            #expect(try await secondary.run(copy)?.lifecycle == .deleted)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// By records alone, as polling sees it: deleted before, active for a moment, deleted again.
    @Test(arguments: [false, true]) func aRunDeletedAfterItsExperimentReturnedIsDeleted(answerIsLost: Bool) async throws {
        let (id, run) = try await experiment()
        try await fixture.live { daemon in
            try await daemon.settled()
            try await primary.deleteExperiment(id)
            try await tell(both(id, run), daemon)
            let isLost = Locked(!answerIsLost)
            secondary.setFault { operation in
                guard operation.name == "restoreExperiment", !isLost.withLock({ $0 }) else { return nil }
                isLost.withLock { $0 = true }
                return .answerLost
            }
            try await primary.restoreExperiment(id)
            try await primary.deleteRun(run.id)
            // The run's record is what it was when it was copied: nobody tells of it.
            try await tell([Change(.experiment(id))], daemon)
            let copy = RunID(try there(.run, run.id.rawValue, daemon))
            #expect(try await secondary.run(copy)?.lifecycle == .deleted)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Runs that go with their experiment, and are looked at first, are no flood.
    @Test func anExperimentsRunsAreNoFlood() async throws {
        let id = try await primary.createExperiment(name: "e", tags: [])
        var runs: [RunID] = []
        for number in 0..<150 { runs.append(try await workload.run(in: id, "\(number)", start: Int64(number), points: 1).id) }
        let ids = runs
        try await fixture.live { daemon in
            try await daemon.settled()
            try await primary.deleteExperiment(id)
            try await tell(ids.map { Change(.run($0), .record) }, daemon)
            #expect(try daemon.state.deadLetterCount() == 0)
            let there = ExperimentID(try there(.experiment, id.rawValue, daemon))
            #expect(try await secondary.experiment(there)?.lifecycle == .deleted)
            #expect(!secondary.writes.contains { $0.name == "deleteRun" })
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// A store that is back and asks for time is not held for ever.
    @Test func aStoreThatComesBackSlowlyIsBack() async throws {
        let (_, run) = try await experiment()
        try await fixture.live { daemon in
            try await daemon.settled()
            let looks = Locked(0)
            secondary.setFault { operation in
                let number = looks.withLock { looks in
                    looks += 1
                    return looks
                }
                if number < 8 { return .unreachable }
                return number < 12 ? .before(StoreError(.retry(after: 2), .throttled, "slowly")) : nil
            }
            try await primary.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: run.id)
            try await tell([Change(.run(run.id), .record)], daemon)
            secondary.setFault(nil)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// MLflow's return of an experiment brings back all its runs: also those that were deleted on both sides, when somebody does it by hand.
    @Test(arguments: [false, true]) func runsThatCameBackByHandGoAgain(changesFirst: Bool) async throws {
        let (id, run) = try await experiment()
        let gone = try await workload.run(in: id, "gone")
        try await primary.deleteRun(gone.id)
        try await fixture.live { daemon in
            try await daemon.settled()
            let there = ExperimentID(try there(.experiment, id.rawValue, daemon))
            try await secondary.deleteExperiment(there)
            if changesFirst {
                try await primary.setTag(Tag("t", "1"), ofExperiment: id)
                try await tell([Change(.experiment(id))], daemon)
            } else {
                try await primary.logBatch(RunBatch(tags: [Tag("a", "b")]), toRun: run.id)
                try await tell([Change(.run(run.id), .record)], daemon)
            }
            try await secondary.restoreExperiment(there)
            try await tell([Change(.run(run.id), .record), Change(.experiment(id))], daemon)
            let copy = RunID(try self.there(.run, gone.id.rawValue, daemon))
            #expect(try await secondary.run(copy)?.lifecycle == .deleted)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Deleted there by somebody, then on the primary, then back on the primary: what somebody deleted stays deleted.
    @Test func whatSomebodyDeletedStaysSo() async throws {
        let (id, run) = try await experiment()
        try await fixture.live { daemon in
            try await daemon.settled()
            let there = ExperimentID(try there(.experiment, id.rawValue, daemon))
            try await secondary.deleteExperiment(there)
            try await tell([Change(.experiment(id))], daemon)
            try await primary.deleteExperiment(id)
            try await tell(both(id, run), daemon)
            try await primary.restoreExperiment(id)
            try await tell(both(id, run), daemon)
            #expect(try await secondary.experiment(there)?.lifecycle == .deleted)
        }
    }

    /// One of its runs is gone from the secondary for good: the others come back all the same.
    @Test func oneRunThatCannotBeRestoredKeepsNoOtherAway() async throws {
        let (id, first) = try await experiment()
        let second = try await workload.run(in: id, "second")
        try await fixture.live { daemon in
            try await daemon.settled()
            secondary.collect(RunID(try there(.run, first.id.rawValue, daemon)))
            try await primary.deleteExperiment(id)
            for run in [first, second] { try await primary.restoreRun(run.id) }
            try await tell([Change(.experiment(id))], daemon)
            let copy = RunID(try there(.run, second.id.rawValue, daemon))
            #expect(try await secondary.run(copy)?.lifecycle == .active)
            #expect(try daemon.state.deadLetters(limit: 5).map(\.reason) == ["gone_from_secondary"])
        }
    }
}
