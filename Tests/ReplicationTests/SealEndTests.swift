import TestSupport
import Testing

@testable import Replication

/// Back to `dual`: no mark stays that a later state file would believe, and what the seal kept from being done is done.
@Suite struct SealEndTests {
    private static let narrow = Scope(experiments: PatternList(["a"]), models: PatternList(["none"]))

    private func changeModes(_ fixture: LiveFixture, _ change: (inout ModeLedger) -> Void) throws {
        let state = try ReplicationState.visit(path: fixture.pair.statePath)
        defer { try? state.close() }
        try state.changeModes(comparesAnew: "a test", change)
    }

    private func sealEverything(_ fixture: LiveFixture) async throws {
        try await fixture.live { daemon in
            try await daemon.settled()
            try daemon.state.changeModes { $0.ask(ModeSwitch(.everything, askedAt: 7)) }
            try await daemon.until("sealed") { try daemon.state.modes.switches.first?.step == .sealed }
        }
    }

    private func marked(_ store: FakeStore) -> Set<String> {
        let snapshot = store.snapshot
        let experiments = snapshot.experiments.filter { $0.tags[Stamp.sealKey] != nil }.map(\.name)
        return Set(experiments + snapshot.models.filter { $0.tags[Stamp.sealKey] != nil }.map(\.name.rawValue))
    }

    /// Also where nobody looks any more: it is gone from the primary, or out of scope. And the store is away for a while.
    @Test(arguments: [false, true]) func anEndedSealLeavesNoMark(_ isGone: Bool) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        for name in ["a", "b"] { _ = try await primary.createExperiment(name: name, tags: []) }
        try await primary.createRegisteredModel(ModelName("net"), description: "", tags: [])
        try await sealEverything(fixture)
        #expect(marked(secondary) == ["Default", "a", "b", "net"])
        let b = try #require(try await primary.experiment(named: "b"))
        if isGone {
            try await primary.deleteExperiment(b.id)
            primary.collect(b.id)
        }
        // While no daemon runs.
        try changeModes(fixture) { _ = $0.end(.everything) }
        let failures = Locked(0)
        secondary.setFault { operation in
            guard operation.name == "deleteExperimentTag" else { return nil }
            return failures.withLock { failures in
                failures += 1
                return failures <= 3 ? .unreachable : nil
            }
        }
        try await fixture.live({ if !isGone { $0.mirror.scope = Self.narrow } }) { daemon in
            try await daemon.settled()
            try await daemon.until("unmarked") { try daemon.state.control(.endedSeals) == nil }
        }
        secondary.setFault(nil)
        #expect(failures.withLock { $0 } > 3)
        #expect(fixture.pair.said(.sealMarksStay))
        #expect(marked(secondary) == [])
        try await fixture.pair.backfill(state: "new.db")
        let restored = try ReplicationState.open(path: fixture.pair.folder.file("new.db"))
        #expect(try restored.modes.switches == [])
        try restored.close()
    }

    /// With a lost state file the marks tell of seals, after people have taken them back.
    @Test(arguments: [NameScope.everything, NameScope(experiments: ["b"])])
    func whatIsTakenBackBeforeItsMarksAreReadStaysSo(_ scope: NameScope) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        _ = try await fixture.pair.primary.createExperiment(name: "a", tags: [])
        try await sealEverything(fixture)
        try await fixture.pair.backfill(state: "new.db") { _ in
        } prepare: { state in
            _ = try state.endModes(scope)
        }
        let restored = try ReplicationState.open(path: fixture.pair.folder.file("new.db"))
        #expect(try restored.modes.switches.map(\.step) == (scope == .everything ? [] : [.sealed]))
        #expect(try restored.control(.dualAsked) == nil)
        try restored.close()
        #expect(marked(fixture.pair.secondary) == (scope == .everything ? [] : ["Default", "a"]))
    }

    /// Another seal that holds for it has its mark there.
    @Test func whatAnotherSealHoldsStaysMarked() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        for name in ["a", "b"] { _ = try await fixture.pair.primary.createExperiment(name: name, tags: []) }
        try await sealEverything(fixture)
        let part = NameScope(experiments: ["b"])
        try changeModes(fixture) { ledger in
            ledger.switches = [ModeSwitch(part, askedAt: 8)]
            ledger.switches[0].step = .sealed
        }
        try await fixture.live({ $0.mirror.scope = Self.narrow }) { daemon in
            try await daemon.settled()
            try await daemon.until("unmarked") { try daemon.state.control(.endedSeals) == nil }
        }
        let there = fixture.pair.secondary.snapshot.experiments
        #expect(marked(fixture.pair.secondary) == ["b"])
        #expect(there.first { $0.name == "b" }?.tags[Stamp.sealKey] == part.mark)
    }

    /// It is taken back while its marks are being set.
    @Test func anEndedSwitchMarksNothingMore() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        for name in ["a", "b", "c"] { _ = try await primary.createExperiment(name: name, tags: []) }
        try await fixture.live { try await $0.settled() }
        let path = fixture.pair.statePath
        let marks = Locked<[String]>([])
        secondary.setFault { operation in
            guard operation.name == "setExperimentTag", operation.detail.contains(Stamp.sealKey) else { return nil }
            let isFirst = marks.withLock { marks in
                marks.append(operation.target)
                return marks.count == 1
            }
            guard isFirst else { return nil }
            do {
                let state = try ReplicationState.visit(path: path)
                _ = try state.changeModes(comparesAnew: "a test") { $0.end(.everything) }
                try state.close()
            } catch { Issue.record(error) }
            return nil
        }
        try await fixture.live({ $0.mirror.scope = Self.narrow }) { daemon in
            try await daemon.settled()
            try daemon.state.changeModes { $0.ask(ModeSwitch(.everything, askedAt: 7)) }
            try await daemon.until("ended") { try daemon.state.modes.switches.isEmpty }
            try await daemon.until("unmarked") { try daemon.state.control(.endedSeals) == nil }
            try await daemon.settled()
        }
        let outside = secondary.snapshot.experiments.filter { ["b", "c"].contains($0.name) }.map(\.id.rawValue)
        #expect(outside.count == 2 && marks.withLock { $0 }.allSatisfy { !outside.contains($0) })
        #expect(marked(secondary) == [])
    }

    /// Its new name was not written, and nobody has edited it on the secondary.
    @Test(arguments: [ConflictDecision.primary, .secondary, .park])
    func aRenameUnderASealComesWithDual(_ decision: ConflictDecision) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let id = try await primary.createExperiment(name: "old", tags: [])
        let rules = ConflictRules([.experimentName: decision])
        try await sealEverything(fixture)
        try await primary.renameExperiment(id, to: "new")
        try await fixture.pair.backfill { $0.rules = rules }
        #expect(try await secondary.experiment(named: "old") != nil)
        try changeModes(fixture) { _ = $0.end(.everything) }
        let summary = try await fixture.pair.backfill { $0.rules = rules }
        #expect(summary.counts.conflicts == 0)
        #expect(try await secondary.experiment(named: "new") != nil)
        #expect(try await secondary.experiment(named: "old") == nil)
    }
}
