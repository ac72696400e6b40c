import TestSupport
import Testing

@testable import Replication

/// Back to `dual`: no mark stays on the secondary that would bring a seal back once the state file is lost.
@Suite struct UnsealTests {
    private func ask(_ scope: NameScope, at time: Int64, in state: ReplicationState) throws {
        try state.changeModes { ledger in
            var one = ModeSwitch(scope, askedAt: time)
            one.step = .sealed
            ledger.ask(one)
        }
    }

    private func marks(_ store: FakeStore) async throws -> [String: String] {
        var found: [String: String] = [:]
        for experiment in try await store.experiments(nil).elements {
            if let mark = experiment.tags["mlmirror.sealed"], !mark.isEmpty { found[experiment.name] = mark }
        }
        for model in try await store.registeredModels(nil).elements {
            if let mark = model.tags["mlmirror.sealed"] { found["model " + model.name.rawValue] = mark }
        }
        return found
    }

    private func fixture() async throws -> (LiveFixture, ExperimentID) {
        let fixture = LiveFixture(try MirrorFixture())
        let experiment = try await fixture.pair.primary.createExperiment(name: "a", tags: [])
        try await Workload(store: fixture.pair.primary).run(in: experiment, "r")
        try await fixture.pair.primary.createRegisteredModel(ModelName("m"), description: "", tags: [])
        try await fixture.pair.backfill()
        return (fixture, experiment)
    }

    /// Waits for what only a store's answer tells.
    private func until(_ what: String, _ isSo: () async throws -> Bool) async throws {
        for _ in 0..<4000 {
            if try await isSo() { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw StateError(.damaged, "never came about: \(what)")
    }

    /// - Parameter narrow: the scope in which the seal ends.
    private func sealAndUnseal(
        _ fixture: LiveFixture, narrow: @escaping @Sendable (inout LiveConfiguration) -> Void = { _ in },
        before: @escaping @Sendable () async throws -> Void
    ) async throws {
        let secondary = fixture.pair.secondary
        try await fixture.live { daemon in
            try await daemon.settled()
            try ask(.everything, at: 1, in: daemon.state)
        }
        try await fixture.live { _ in try await until("marked") { try await marks(secondary).count == 3 } }
        try await before()
        try await fixture.live(narrow) { daemon in
            try daemon.state.changeModes(comparesAnew: "back to dual") { _ = $0.end(.everything) }
            try await daemon.until("taken off") { try daemon.state.control(.endedSeals) == nil }
            try await daemon.settled()
        }
        #expect(try await marks(secondary) == [:])
        _ = try await fixture.pair.backfill(state: "new.db")
        let state = try ReplicationState.open(path: fixture.pair.folder.file("new.db"))
        #expect(try !state.modes.hasSeals)
        try state.close()
    }

    @Test func whatIsGoneFromThePrimaryHasItsMarkTakenOff() async throws {
        let (fixture, experiment) = try await fixture()
        let primary = fixture.pair.primary
        try await sealAndUnseal(fixture) {
            primary.collect(experiment)
            try await primary.deleteRegisteredModel(ModelName("m"))
        }
        #expect(try await fixture.pair.secondary.experiment(named: "a") != nil)
    }

    @Test func whatIsOutOfScopeHasItsMarkTakenOff() async throws {
        let (fixture, _) = try await fixture()
        try await sealAndUnseal(fixture) {
            $0.mirror.scope.experiments = PatternList(["none"])
            $0.mirror.scope.models = PatternList(["none"])
        } before: {
        }
    }

    /// It is done when the store is back; and what was asked for before the process ended is done by the next.
    @Test func aStoreThatIsAwayHasItDoneLater() async throws {
        let (fixture, _) = try await fixture()
        let secondary = fixture.pair.secondary
        try await fixture.live { daemon in
            try await daemon.settled()
            try ask(.everything, at: 1, in: daemon.state)
        }
        try await fixture.live { _ in try await until("marked") { try await marks(secondary).count == 3 } }
        let asked = Locked(0)
        secondary.setFault { operation in
            guard operation.name.hasPrefix("delete") else { return nil }
            asked.withLock { $0 += 1 }
            return FakeStore.Fault.unreachable
        }
        try await fixture.live { daemon in
            try daemon.state.changeModes(comparesAnew: "back to dual") { _ = $0.end(.everything) }
            try await until("refused") { asked.withLock { $0 } > 0 }
        }
        secondary.setFault(nil)
        #expect(try await marks(secondary) != [:])
        try await fixture.live { daemon in
            try await daemon.until("taken off") { try daemon.state.control(.endedSeals) == nil }
        }
        #expect(try await marks(secondary) == [:])
    }

    /// It was not carried out while the secondary led, and nobody renamed anything there.
    @Test func aRenameUnderASealIsCarriedOutAfterIt() async throws {
        let (fixture, experiment) = try await fixture()
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        try await fixture.live { daemon in
            try await daemon.settled()
            try ask(.everything, at: 1, in: daemon.state)
        }
        try await fixture.live { daemon in
            try await daemon.settled()
            try await primary.renameExperiment(experiment, to: "b")
            fixture.feed.say([Change(.experiment(experiment))])
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
            #expect(try await secondary.experiment(named: "a") != nil)
            // As another process says it.
            try ReplicationState.visit(path: fixture.pair.statePath).changeModes(comparesAnew: "back to dual") { _ = $0.end(.everything) }
            try await until("renamed") { try await secondary.experiment(named: "b") != nil }
            try await daemon.settled()
            #expect(try daemon.state.conflictCount() == 0)
        }
    }

    @Test func whatAnotherSealHoldsIsMarkedByThat() async throws {
        let (fixture, _) = try await fixture()
        let secondary = fixture.pair.secondary
        let (wide, narrow) = (NameScope(experiments: ["a*"]), NameScope(experiments: ["a"]))
        for (number, scope) in [wide, narrow].enumerated() {
            try await fixture.live { daemon in try ask(scope, at: Int64(number), in: daemon.state) }
            try await fixture.live { _ in try await until("marked") { try await marks(secondary)["a"] == scope.mark } }
        }
        try await fixture.live { daemon in
            try daemon.state.changeModes(comparesAnew: "back to dual") { _ = $0.end(narrow) }
            try await daemon.until("taken off") { try daemon.state.control(.endedSeals) == nil }
            try await daemon.settled()
        }
        #expect(try await marks(secondary) == ["a": wide.mark])
    }
}
