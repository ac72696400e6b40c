import TestSupport
import Testing

@testable import Replication

/// What is deleted on the primary once it has moved: nothing but what is proven to be on the secondary.
@Suite struct RetirementTests {
    private func retire(
        _ fixture: MirrorFixture, grace: Int64 = 0, isDryRun: Bool = false, _ change: (inout MirrorConfiguration) -> Void = { _ in }
    ) async throws -> (Retirement<FakeStore, FakeStore>.Summary, [RunID: [String]]) {
        let state = try ReplicationState.visit(path: fixture.statePath)
        defer { try? state.close() }
        let refused = Locked<[RunID: [String]]>([:])
        let summary = try await Retirement(
            primary: fixture.primary, secondary: fixture.secondary, state: state, configuration: fixture.configuration(change),
            grace: grace,
            isDryRun: isDryRun, clock: fixture.clock, logger: fixture.logger
        ).run { run, fate in
            if case .refused(let why) = fate { refused.withLock { $0[run] = why } }
        }
        return (summary, refused.withLock { $0 })
    }

    private func isThere(_ run: RunID, _ store: FakeStore) async throws -> Bool { try await store.run(run)?.lifecycle == .active }

    private func copy(_ fixture: MirrorFixture, _ run: RunID) throws -> RunID {
        let state = try ReplicationState.visit(path: fixture.statePath)
        defer { try? state.close() }
        return RunID(try #require(try state.secondaryID(.run, run.rawValue)))
    }

    @Test func whatIsProvenIsDeletedThereAndStaysHere() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let ended = try await workload.run(in: ExperimentID("0"), "ended", files: ["a.txt": "a"])
        let open = try await workload.run(in: ExperimentID("0"), "open", end: false)
        try await fixture.backfill()
        try fixture.seal()
        let (rehearsal, _) = try await retire(fixture, isDryRun: true)
        #expect(rehearsal.retired == 1 && rehearsal.leftOut == ["still running": 1])
        #expect(try await isThere(ended.id, fixture.primary))
        let (early, _) = try await retire(fixture, grace: .max / 2)
        #expect(early.retired == 0 && early.leftOut["ended a moment ago"] == 1)

        let (summary, refused) = try await retire(fixture)
        #expect(summary.retired == 1 && refused == [:])
        #expect(fixture.said(.retired))
        #expect(try await !isThere(ended.id, fixture.primary))
        #expect(try await isThere(open.id, fixture.primary))
        // The deletion goes nowhere, whatever the mode.
        #expect(try await fixture.verify().differences == [])
        try await fixture.backfill()
        let state = try ReplicationState.open(path: fixture.statePath)
        _ = try state.changeModes(comparesAnew: "dual") { $0.end(.everything) }
        try state.close()
        try await fixture.backfill { $0.deep = true }
        #expect(try await isThere(try copy(fixture, ended.id), fixture.secondary))
        #expect(try await fixture.verify().differences == [])
    }

    /// The run itself says so too.
    @Test func theCopyOfARetiredRunOutlivesTheStateFile() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "a")
        try await fixture.backfill()
        try fixture.seal()
        #expect(try await retire(fixture).0.retired == 1)
        let there = try copy(fixture, run.id)
        try await fixture.backfill(state: "new.db") { $0.deep = true }
        #expect(try await isThere(there, fixture.secondary))
    }

    @Test func oneLostPointKeepsItsRun() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let whole = try await workload.run(in: ExperimentID("0"), "whole")
        let lacking = try await workload.run(in: ExperimentID("0"), "lacking", start: 2000)
        try await fixture.backfill()
        try fixture.seal()
        fixture.secondary.losePoint(of: try copy(fixture, lacking.id), metric: "loss")
        let (summary, refused) = try await retire(fixture)
        #expect(summary.retired == 1 && summary.refused == 1 && refused == [lacking.id: ["history:loss"]])
        #expect(try await !isThere(whole.id, fixture.primary))
        #expect(try await isThere(lacking.id, fixture.primary))
    }

    @Test func aFileThatDiffersKeepsItsRunAndAnEditDoesNot() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let edited = try await workload.run(in: ExperimentID("0"), "edited", tags: [Tag("k", "v")])
        let other = try await workload.run(in: ExperimentID("0"), "other", start: 2000, files: ["a.txt": "abc"])
        let gone = try await workload.run(in: ExperimentID("0"), "gone", start: 3000)
        let late = try await workload.run(in: ExperimentID("0"), "late", start: 4000)
        try await fixture.backfill()
        try fixture.seal()
        let there = try copy(fixture, edited.id)
        try await fixture.secondary.logBatch(RunBatch(tags: [Tag("k", "theirs"), Tag("more", "theirs")]), toRun: there)
        try await fixture.secondary.updateRun(there, status: nil, endTime: nil, name: "theirs")
        fixture.secondary.replace("a.txt", of: .run(try copy(fixture, other.id)), with: Array("abd".utf8))
        try await fixture.secondary.deleteRun(try copy(fixture, gone.id))
        // Never carried across: their edit hides nothing of ours.
        try await fixture.primary.logBatch(RunBatch(tags: [Tag("k", "new")]), toRun: late.id)
        let (summary, refused) = try await retire(fixture)
        #expect(summary.retired == 1 && Set(refused.keys) == [other.id, gone.id, late.id])
        #expect(refused[other.id] == ["file:a.txt:sha256"] && refused[gone.id] == ["missing"] && refused[late.id] == ["tag:k"])
        #expect(try await !isThere(edited.id, fixture.primary))
    }

    @Test func nothingIsRetiredThatIsNotSwitched() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "a")
        try await fixture.backfill()
        await #expect(throws: MirrorError.self) { try await retire(fixture) }
        try fixture.seal(NameScope(experiments: ["other/**"]))
        let (summary, _) = try await retire(fixture)
        #expect(summary == Retirement<FakeStore, FakeStore>.Summary())
        await #expect(throws: MirrorError.self) { try await retire(fixture) { $0.scope.artifacts = false } }
        await #expect(throws: MirrorError.self) { try await retire(fixture) { $0.scope.passage.leaveOut.params = ["a"] } }
        await #expect(throws: MirrorError.self) { try await retire(fixture) { $0.scope.passage.mask.users = .drop } }
    }
}
