import TestSupport
import Testing

@testable import Replication

/// The way to `azureml-only`, and what is true afterwards.
@Suite struct ModeTests {
    private func ask(_ state: ReplicationState, _ scope: NameScope = .everything, deep: Bool = false, accepts: Bool = false) throws {
        try state.changeModes { $0.ask(ModeSwitch(scope, askedAt: 7, isDeep: deep, acceptsDifferences: accepts)) }
    }

    /// As another process does it.
    private func visiting<R>(_ fixture: LiveFixture, _ body: (ReplicationState) throws -> R) throws -> R {
        let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
        defer { try? visitor.close() }
        return try body(visitor)
    }

    private func sealed(_ daemon: LiveFixture.Observer, _ scope: NameScope = .everything) async throws -> ModeSwitch {
        try await daemon.until("sealed") { try daemon.state.modes.switches.contains { $0.scope == scope && $0.step == .sealed } }
        return try #require(try daemon.state.modes.switches.first { $0.scope == scope })
    }

    private func copy(_ daemon: LiveFixture.Observer, _ run: RunID) throws -> RunID {
        RunID(try #require(try daemon.state.secondaryID(.run, run.rawValue)))
    }

    @Test func everythingIsCarriedAcrossAndComparedFirst() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        try await Workload(store: fixture.pair.primary).everything()
        try await fixture.live { daemon in
            // Asked for before anything is copied.
            try ask(daemon.state, deep: true)
            #expect(try daemon.state.modes.mode == .dual)
            let done = try await sealed(daemon)
            #expect(done.differences == 0 && done.compared["runs", default: 0] > 6 && done.compared["metric points", default: 0] > 0)
            #expect(try done.cutover != nil && daemon.state.checkpoint().rawValue >= done.cutover ?? .max)
            #expect(done.verifiedAt ?? .max <= done.sealedAt ?? 0 && done.waitsFor == nil)
            let status = try MirrorStatus(of: daemon.state, at: fixture.clock.nowMilliseconds)
            #expect(status.modes.mode == .azureMLOnly && status.stragglers == 0)
        }
        #expect(fixture.pair.said(.modeStep))
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Dies at one commit of a step after the other, before it and just after it.
    @Test(arguments: [true, false]) func killedInEveryStepItGoesOn(before: Bool) async throws {
        final class Guillotine: SimulatedDisk {
            let (commit, before): (Int, Bool)
            let seen = Locked(0)
            init(at commit: Int, before: Bool) { (self.commit, self.before) = (commit, before) }
            func fall(_ what: String) throws {
                guard what == "mode" else { return }
                let count = seen.withLock { seen in
                    seen += 1
                    return seen
                }
                if count == commit { throw StateError(.fenced, "killed") }
            }
            func willCommit(_ what: String) throws { if before { try fall(what) } }
            func hasCommitted(_ what: String) throws { if !before { try fall(what) } }
        }
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        let steps = Locked<Set<ModeSwitch.Step>>([])
        var isDone = false
        var commit = 0
        while !isDone {
            commit += 1
            let isFirst = commit == 1
            let guillotine = Guillotine(at: isFirst ? 1 : 2, before: before)
            let late = try await workload.run(in: ExperimentID("0"), "meanwhile \(commit)", start: Int64(commit))
            fixture.feed.say([Change(.run(late.id))])
            do {
                isDone = try await fixture.live(disk: guillotine) { daemon in
                    if isFirst { try ask(daemon.state) }
                    try await daemon.until("sealed or killed") {
                        let step = try #require(try daemon.state.modes.switches.first?.step)
                        steps.withLock { _ = $0.insert(step) }
                        return step == .sealed
                    }
                    return true
                }
            } catch let error as StateError where error.kind == .fenced {}
            try #require(commit < 40)
        }
        #expect(commit > 4, "it was killed in each step")
        try await fixture.live { try await $0.settled() }
        #expect(steps.withLock { $0 }.isSuperset(of: [.fence, .drain, .sealed]))
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func aLostPointIsFoundAndMendedBeforeTheSeal() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        let run = try await workload.run(in: ExperimentID("0"), "a", points: 9)
        try await fixture.live { daemon in
            try await daemon.settled()
            fixture.pair.secondary.losePoint(of: try copy(daemon, run.id), metric: "loss")
            try ask(daemon.state, deep: true)
            let done = try await sealed(daemon)
            #expect(done.comparisons == 2 && done.differences == 0)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func whatCannotBeMendedIsNamedAndNothingIsSwitched() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "a", end: false)
        try await fixture.live { daemon in
            try await daemon.settled()
            // Written once, on both sides.
            try await secondary.logBatch(RunBatch(params: [Param("p", "theirs")]), toRun: try copy(daemon, run.id))
            try await primary.logBatch(RunBatch(params: [Param("p", "ours")]), toRun: run.id)
            try await primary.updateRun(run.id, status: .finished, endTime: 2000, name: nil)
            fixture.feed.say([Change(.run(run.id))])
            try ask(daemon.state)
            try await daemon.until("blocked") { try daemon.state.modes.switches.first?.isBlocked == true }
            let blocked = try #require(try daemon.state.modes.switches.first)
            #expect(blocked.step == .verify && blocked.differences == 1 && blocked.examples == ["run \(run.id): param:p"])
            #expect(try daemon.state.modes.mode == .dual)
            // Asked again, knowing that.
            try daemon.state.changeModes { $0.ask(ModeSwitch(.everything, askedAt: 8, acceptsDifferences: true)) }
            let done = try await sealed(daemon)
            #expect(done.differences == 1 && done.acceptsDifferences)
        }
        #expect(fixture.pair.said(.modeBlocked) && fixture.pair.said(.conflict))
    }

    @Test func aPauseHoldsItUpAndIsNamed() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let run = try await Workload(store: fixture.pair.primary).run(in: ExperimentID("0"), "a")
        try await fixture.live { daemon in
            try visiting(fixture) { try $0.setPause(.everything) }
            fixture.feed.say([Change(.run(run.id))])
            try ask(daemon.state)
            try await daemon.until("held up") { try daemon.state.modes.switches.first?.waitsFor?.contains("mlmirror resume") == true }
            try visiting(fixture) { try $0.setPause(.nothing) }
            _ = try await sealed(daemon)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func whoStillWritesIsCarriedAndNamedOnce() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        let open = try await workload.run(in: ExperimentID("0"), "open", end: false)
        try await workload.run(in: ExperimentID("0"), "ended")
        try await fixture.live { daemon in
            try ask(daemon.state)
            _ = try await sealed(daemon)
            for step in 0..<2 {
                let row = MetricRow(key: "late", point: MetricPoint(value: 1, timestamp: Int64(step), step: Int64(step)))
                try await primary.logBatch(RunBatch(metrics: [row]), toRun: open.id)
                fixture.feed.say([Change(.run(open.id))])
                try await daemon.until("carried") { try daemon.state.stragglers(limit: 1).first?.changes == step + 1 }
            }
            let new = try await workload.run(in: ExperimentID("0"), "new")
            fixture.feed.say([Change(.run(new.id))])
            try await daemon.until("named") { try daemon.state.stragglerCount() == 2 }
            let stragglers = try daemon.state.stragglers(limit: 10)
            #expect(Set(stragglers.map(\.key)) == [.run(open.id), .run(new.id)])
            #expect(stragglers.first { $0.key == .run(open.id) }?.changes == 2)
        }
        #expect(fixture.pair.said(.straggler))
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func whatIsOnlyReportedComesWhenDualIsBack() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        let before = try await workload.run(in: ExperimentID("0"), "before")
        try await fixture.live({ $0.mirror.stragglers = .report }) { daemon in
            try ask(daemon.state)
            _ = try await sealed(daemon)
            // Shows in no record.
            let late = MetricRow(key: "loss", point: MetricPoint(value: 7, timestamp: 1, step: 0))
            try await fixture.pair.primary.logBatch(RunBatch(metrics: [late]), toRun: before.id)
            fixture.feed.say([Change(.run(before.id), .points, series: ["loss": 1])])
            let new = try await workload.run(in: ExperimentID("0"), "after")
            fixture.feed.say([Change(.run(new.id))])
            try await daemon.until("named") { try Set(daemon.state.stragglers(limit: 9).map(\.key)) == [.run(before.id), .run(new.id)] }
            try await daemon.settled()
            #expect(try daemon.state.secondaryID(.run, new.id.rawValue) == nil)
            let ended = try visiting(fixture) { state in try state.changeModes(comparesAnew: "back to dual") { $0.end(.everything) } }
            #expect(ended.count == 1)
            try await daemon.until("carried") { try daemon.state.secondaryID(.run, new.id.rawValue) != nil }
            try await daemon.settled()
            #expect(try daemon.state.stragglerCount() == 0)
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func onlyWhatIsNamedIsSwitched() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        let other = try await workload.run(in: ExperimentID("0"), "other", start: 9)
        let scope = NameScope(experiments: ["/Shared/**"])
        try await fixture.live { daemon in
            try ask(daemon.state, scope)
            let done = try await sealed(daemon, scope)
            #expect(done.compared["experiments"] == 1 && done.compared["registered models"] == nil)
            let ledger = try daemon.state.modes
            #expect(ledger.mode == .dual && ledger.mode(ofExperimentNamed: "/Shared/sweep") == .azureMLOnly)
            #expect(ledger.mode(ofExperimentNamed: "Default") == .dual && ledger.mode(ofModelNamed: ModelName("net")) == .dual)
            try await fixture.pair.primary.logBatch(RunBatch(tags: [Tag("seen", "1")]), toRun: other.id)
            fixture.feed.say([Change(.run(other.id))])
            try await daemon.settled()
            #expect(try daemon.state.stragglerCount() == 0)
        }
    }

    @Test func aLedgerIsAskedAndEndedByItsNames() {
        var ledger = ModeLedger()
        let part = NameScope(experiments: ["a/**"])
        ledger.ask(ModeSwitch(part, askedAt: 1))
        ledger.ask(ModeSwitch(part, askedAt: 2))
        #expect(ledger.switches.map(\.askedAt) == [2], "one of the same names begins anew")
        ledger.switches[0].step = .sealed
        ledger.ask(ModeSwitch(part, askedAt: 3))
        #expect(ledger.switches.map(\.askedAt) == [2], "what is sealed stays so")
        ledger.ask(ModeSwitch(.everything, askedAt: 4))
        #expect(ledger.mode == .dual && ledger.mode(ofExperimentNamed: "a/b") == .azureMLOnly)
        #expect(ledger.end(NameScope(models: ["m"])) == [])
        #expect(ledger.end(part).count == 1 && ledger.switches.count == 1)
        #expect(ledger.end(.everything).count == 1 && ledger.switches == [])
    }

    /// Taken for `dual`, it would have the secondary written over.
    @Test func aModeThatCannotBeReadStopsTheWork() throws {
        let fixture = try MirrorFixture()
        let state = try ReplicationState.open(path: fixture.statePath)
        defer { try? state.close() }
        try state.setControl(.modes, "{\"switches\":1}")
        #expect(throws: StateError.self) { try state.modes }
    }
}
