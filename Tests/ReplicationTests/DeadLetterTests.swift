import TestSupport
import Testing

@testable import Replication

/// What is set aside, tried again, and left out by decision, between two stores.
@Suite struct DeadLetterTests {
    private static let refusal = StoreError(
        .setAside, .invalid, "the server refuses it as it is", exchange: StoreExchange(request: "POST /x", answer: "HTTP 400 NO: no"))

    /// Refuses some writes, and counts how often.
    private func refuse(_ fixture: MirrorFixture, _ isMeant: @escaping @Sendable (FakeStore.Operation) -> Bool) -> Locked<Int> {
        let count = Locked(0)
        fixture.secondary.setFault { operation in
            guard operation.isWrite, isMeant(operation) else { return nil }
            count.withLock { $0 += 1 }
            return .before(Self.refusal)
        }
        return count
    }

    @Test func aDiscardedRunIsTriedAgainOnlyWhenItHasChanged() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "refused")
        let tried = refuse(fixture) { $0.name == "logBatch" }
        #expect(try await fixture.backfill().failureCount == 1)
        let letter = try fixture.withState { state in
            let letter = try state.letters(.all, limit: 9)[0]
            try state.discard(LetterSelection(numbers: [letter.number]), at: 0)
            return letter.letter
        }
        #expect(letter.key == .run(run.id) && letter.reason == "invalid" && letter.exchange == Self.refusal.exchange)
        let before = tried.withLock { $0 }
        for _ in 0..<2 { #expect(try await fixture.backfill().isComplete) }
        #expect(tried.withLock { $0 } == before)
        // Also one that looks at everything again says nothing new.
        #expect(try await fixture.backfill { $0.deep = true }.isComplete)

        try await fixture.primary.logBatch(RunBatch(tags: [Tag("new", "1")]), toRun: run.id)
        #expect(try await fixture.backfill().failureCount == 1)
        #expect(try fixture.withState { try $0.letters(.all, limit: 9).map(\.number) } == [1])
        try fixture.withState { _ = try $0.discard(.all, at: 0) }
        fixture.secondary.setFault(nil)
        // Mended; but nobody has said so.
        #expect(try await fixture.backfill().wroteNothing)
        #expect(try await fixture.verify().differences.isEmpty == false)
        try fixture.withState { _ = try $0.requeue(LetterSelection(numbers: [1]), at: 0) }
        #expect(try await fixture.backfill().isComplete)
        #expect(try await fixture.verify().differences == [])
        #expect(try fixture.withState { try $0.discardedCount() } == 0)
    }

    @Test func aDiscardedFileIsTriedAgainOnlyWhenItHasChanged() async throws {
        let fixture = try MirrorFixture()
        let workload = Workload(store: fixture.primary)
        let run = try await workload.run(in: ExperimentID("0"), "files", files: ["bad.bin": "xyz", "good.txt": "g"])
        let tried = refuse(fixture) { $0.name == "writeArtifact" && "\($0)".contains("bad.bin") }
        #expect(try await fixture.backfill().failureCount == 2)
        try fixture.withState { state in
            let letters = try state.letters(.all, limit: 9)
            #expect(letters.map(\.letter.path) == ["bad.bin", ""])
            #expect(try state.discard(LetterSelection(numbers: [letters[0].number]), at: 0) == 2)
        }
        let before = tried.withLock { $0 }
        for _ in 0..<2 { #expect(try await fixture.backfill { $0.deep = true }.isComplete) }
        #expect(tried.withLock { $0 } == before)
        #expect(try fixture.withState { try $0.discardedCount() } == 1, "the owner is whole but for what was decided")

        try await workload.file("bad.bin", "longer than it was", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
        #expect(try await fixture.backfill { $0.deep = true }.failureCount == 2)
        #expect(tried.withLock { $0 } == before + 1)
        fixture.secondary.setFault(nil)
        #expect(try await fixture.backfill().isComplete)
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aDiscardedVersionHoldsUpNothingOfItsModel() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "model", files: ["m/MLmodel": "x"])
        let name = ModelName("churn")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        for source in ["file:///etc/passwd", "runs:/\(run.id)/m"] {
            _ = try await fixture.primary.createVersion(
                NewVersion(model: name, source: source, description: "", tags: []))
        }
        #expect(try await fixture.backfill().failureCount == 1)
        try fixture.withState { state in
            #expect(try state.letters(.all, limit: 9).map(\.letter.path) == ["version 1"])
            try state.discard(.all, at: 0)
        }
        #expect(try await fixture.backfill().wroteNothing)
        // The model changes, the version does not.
        try await fixture.primary.setDescription("new", ofRegisteredModel: name)
        let summary = try await fixture.backfill()
        #expect(summary.isComplete && summary.counts.registeredModels.updated == 1, "\(summary)")
        #expect(try fixture.withState { try $0.discardedCount() } == 1)
        #expect(try await fixture.backfill().counts.registeredModels.unchanged == 1)
    }

    @Test func aDaemonTriesAgainWhenItIsAskedAndTheCauseIsMended() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.run(in: ExperimentID("0"), "refused", files: ["bad.bin": "xyz"])
        let tried = refuse(fixture.pair) { $0.name == "logBatch" || $0.name == "writeArtifact" }
        try await fixture.live { daemon in
            try await daemon.until("set aside") { try daemon.state.deadLetterCount() > 0 && daemon.state.backlog().count == 0 }
            let numbers = try daemon.state.letters(.all, limit: 9).map(\.number)
            fixture.pair.secondary.setFault(nil)
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            let request = try visitor.ask(.requeue, LetterSelection(numbers: numbers).encoded, at: 0)
            let wrong = try visitor.ask(.requeue, "nonsense", at: 0)
            try await daemon.until("done") { try visitor.request(request)?.state == .done && visitor.request(wrong)?.state == .refused }
            #expect(try visitor.deadLetterCount() == 0)
            try visitor.close()
            // Its files follow it.
            try await daemon.until("settled") { try daemon.state.backlog().count == 0 }
        }
        #expect(tried.withLock { $0 } > 0)
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test(arguments: [false, true]) func aDaemonLeavesOutWhatIsDiscardedAlsoAfterAStart(polling: Bool) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let run = try await Workload(store: fixture.pair.primary).run(in: ExperimentID("0"), "refused")
        let refused = Locked<String?>(nil)
        let tried = refuse(fixture.pair) { operation in
            guard operation.name == "logBatch" else { return false }
            return refused.withLock { first in
                first = first ?? operation.target
                return first == operation.target
            }
        }
        try await fixture.live(polling: polling) { daemon in
            try await daemon.until("set aside") { try daemon.state.deadLetterCount() == 1 && daemon.state.backlog().count == 0 }
            let visitor = try ReplicationState.visit(path: fixture.pair.statePath)
            let request = try visitor.ask(.discard, LetterSelection.all.encoded, at: 0)
            try await daemon.until("done") { try visitor.request(request)?.state == .done }
            #expect(try visitor.request(request)?.message == "1" && visitor.deadLetterCount() == 0)
            try visitor.close()
        }
        let before = tried.withLock { $0 }
        try await fixture.live(polling: polling) { daemon in
            let other = try await Workload(store: fixture.pair.primary).run(in: ExperimentID("0"), "other", points: 0)
            fixture.feed.say([Change(.run(other.id))])
            try await daemon.until("copied") {
                try daemon.state.identity(.run, other.id.rawValue)?.record != nil && daemon.state.backlog().count == 0
                    && daemon.state.control(.reconciling) == nil
            }
            #expect(try daemon.state.letters(.all, discarded: true, limit: 9).map(\.letter.key) == [.run(run.id)])
        }
        #expect(tried.withLock { $0 } == before)
    }
}
