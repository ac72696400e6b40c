import Logging
import TestSupport
import Testing

@testable import Replication

/// What a daemon tells who runs it.
@Suite struct StandingTests {
    /// Holds every write to the secondary, for as long as it is told to.
    private final class Hang: FakeStore.Passage {
        let isOn = Locked(true)
        func request(_ operation: FakeStore.Operation, at store: String) async throws -> @Sendable () async throws -> Void {
            while store == "secondary", operation.name == "createRun", isOn.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
            return {}
        }
    }

    private func standings(_ fixture: LiveFixture) -> [LiveStanding] {
        fixture.news.withLock { $0.compactMap { if case .standing(let standing) = $0 { standing } else { nil } } }
    }

    /// With a clock two hundred times as fast, five minutes take one and a half seconds.
    @Test func whoHangsHasNoProgressAndWhoIsIdleHasNothingToDo() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        let hang = Hang()
        try await FakeStore.$passage.withValue(hang) {
            try await fixture.live { daemon in
                try await daemon.until("reported") { self.standings(fixture).contains { $0.isConnected } }
                let run = try await FakeStore.$passage.withValue(nil) { try await workload.run(in: ExperimentID("0"), "held") }
                fixture.feed.say([Change(.run(run.id))])
                try await daemon.until("stuck") { self.standings(fixture).last?.secondsWithoutProgress ?? 0 > 300 }
                #expect(self.standings(fixture).last?.waiting ?? 0 > 0)
                hang.isOn.withLock { $0 = false }
                try await daemon.settled()
                let seen = self.standings(fixture).count
                // Between two looks at its files.
                try await daemon.until("idle") {
                    self.standings(fixture).dropFirst(seen + 3).contains {
                        $0.secondsWithoutProgress == 0 && $0.waiting == 0 && $0.oldestWaitingAt == nil
                    }
                }
            }
        }
    }

    /// What cannot be done is not what hangs.
    @Test func aStoreThatIsAwayIsNoLackOfProgress() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            fixture.pair.secondary.setFault { _ in .unreachable }
            let run = try await workload.run(in: ExperimentID("0"), "meanwhile")
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("away") { self.standings(fixture).last?.report.outages.isEmpty == false }
            let start = fixture.clock.monotonicSeconds
            try await daemon.until("ten minutes") { fixture.clock.monotonicSeconds - start > 600 }
            let last = try #require(self.standings(fixture).last)
            #expect(last.secondsWithoutProgress < 60 && last.waiting > 0)
            fixture.pair.secondary.setFault(nil)
            try await daemon.settled()
        }
    }

    @Test func progressIsWhatMovesWhileThereIsWork() {
        var watch = ProgressWatch()
        #expect(watch.look(beats: 1, hasWork: true, at: 10) == 0)
        #expect(watch.look(beats: 1, hasWork: true, at: 25) == 15)
        #expect(watch.look(beats: 2, hasWork: true, at: 30) == 0)
        #expect(watch.look(beats: 2, hasWork: false, at: 90) == 0)
        #expect(watch.look(beats: 2, hasWork: true, at: 95) == 5)
    }
}

/// A verification beside a daemon, which owns the state file and goes on.
@Suite struct VerifyBesideTests {
    private func verify(_ live: LiveFixture) async throws -> (VerifySummary, [Difference]) {
        let fixture = live.pair
        let visitor = try ReplicationState.visit(path: fixture.statePath)
        let found = Locked<[Difference]>([])
        let summary = try await Verify(
            primary: fixture.primary, secondary: fixture.secondary, state: visitor, configuration: fixture.configuration(), deep: true,
            board: ProgressBoard(), clock: live.clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, isVisitor: true
        ).run { difference in found.withLock { $0.append(difference) } }
        try visitor.close()
        return (summary, found.withLock { $0 })
    }

    @Test func realDifferencesAreFound() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        try await Workload(store: primary).everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            let (clean, none) = try await verify(fixture)
            #expect(clean.areEqual && none == [] && clean.compared["runs", default: 0] > 0)
            let experiments = try await secondary.experiments(nil).elements.filter { $0.lifecycle == .active }
            let run = try #require(
                try await secondary.runs(RunQuery(experiments: experiments.map(\.id)), nil).elements.first { $0.lifecycle == .active })
            try await secondary.logBatch(RunBatch(metrics: [], params: [], tags: [Tag("edited", "there")]), toRun: run.id)
            let (summary, found) = try await verify(fixture)
            #expect(summary.differences == 1 && found.map(\.field) == ["tag:edited"], "\(found)")
        }
    }

    /// A copy of what is gone from the primary for good, and nobody has said so, has nothing that could be looked at once more.
    @Test func whatIsThereTooMuchIsFound() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let run = try await Workload(store: fixture.pair.primary).run(in: ExperimentID("0"), "gone")
        try await fixture.live { daemon in
            try await daemon.settled()
            fixture.pair.primary.collect(run.id)
            let (summary, found) = try await verify(fixture)
            #expect(summary.differences == 1 && found.map(\.field) == ["extra"], "\(found)")
        }
    }

    /// What is only late is none.
    @Test func whatIsBeingCarriedAcrossIsNoDifference() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            let run = try await workload.run(in: ExperimentID("0"), "late")
            let isSaid = Locked(false)
            // The feed sees it while the comparison is under way.
            fixture.pair.secondary.setFault { operation in
                if operation.name == "runs",
                    isSaid.withLock({ said in
                        defer { said = true }; return !said
                    })
                {
                    fixture.feed.say([Change(.run(run.id)), Change(EntityKey(.runArtifacts, run.id.rawValue))])
                }
                return nil
            }
            let (summary, found) = try await verify(fixture)
            #expect(isSaid.withLock { $0 })
            #expect(found == [] && summary.differences == 0, "\(found)")
        }
    }

    @Test(arguments: [true, false]) func whatIsHeldIsSaidToMove(_ hasEnded: Bool) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            let somebody = try ReplicationState.visit(path: fixture.pair.statePath)
            try somebody.setPause(.everything)
            try somebody.close()
            try await Task.sleep(for: .milliseconds(100))
            let run = try await workload.run(in: ExperimentID("0"), "held", end: hasEnded)
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("seen") { try daemon.state.backlog().count > 0 }
            let (summary, found) = try await verify(fixture)
            #expect(found == [] && summary.leftOut["things that change at the moment"] == 1, "\(found) \(summary.leftOut)")
            // Nobody writes to it, and it has not come: that is no proof.
            #expect(summary.areEqual && !summary.isProven && summary.overdue == 1)
        }
    }
}
