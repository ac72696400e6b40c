import Logging
import TestSupport
import Testing

@testable import Replication

/// What was given up without an answer may still be done.
@Suite struct LandingTests {
    @Test func aSlowWriteIsWaitedForFromWhenItWasGivenUp() async throws {
        let fixture = try MirrorFixture()
        let state = try ReplicationState.open(path: fixture.statePath)
        let clock = ScaledClock()
        let mirror = Mirror(
            primary: fixture.primary, secondary: fixture.secondary, state: state, configuration: fixture.configuration(),
            stamp: Stamp(pair: "p", store: StoreIdentity("s")), board: ProgressBoard(), clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let key = EntityKey.run(RunID("1"))
        let landing = mirror.configuration.landingTime
        #expect(landing >= 5)
        // Longer under way than what is waited for.
        await #expect(throws: StoreError.self) {
            try await mirror.sending(key) {
                try await clock.sleep(seconds: landing * 3)
                throw StoreError(.retry(after: nil), .unreachable, isInDoubt: true, "no answer")
            }
        }
        let before = clock.monotonicSeconds
        #expect(try await mirror.waitForLanding(of: key))
        #expect(clock.monotonicSeconds - before >= landing / 2)
        #expect(try await !mirror.waitForLanding(of: key))
        try state.close()
    }

    /// Where a name is left to people nothing was sent: nothing can land.
    @Test func aParkedNameKeepsNobodyWaiting() async throws {
        let fixture = try MirrorFixture()
        _ = try await fixture.secondary.createExperiment(name: "e", tags: [])
        let id = try await fixture.primary.createExperiment(name: "e", tags: [])
        try await Workload(store: fixture.primary).run(in: id, "r")
        let before = fixture.clock.monotonicSeconds
        for _ in 0..<2 { try await fixture.backfill { $0.rules = ConflictRules([.nameTaken: .park]) } }
        #expect(fixture.clock.monotonicSeconds - before < fixture.configuration().landingTime / 2)
    }

    /// What lands while somebody looks for it is seen by the next look, however long the first one took.
    @Test(arguments: [false, true]) func whatLandsBehindASlowLookIsFound(wasGivenUp: Bool) async throws {
        let fixture = try MirrorFixture()
        let state = try ReplicationState.open(path: fixture.statePath)
        let mirror = Mirror(
            primary: fixture.primary, secondary: fixture.secondary, state: state, configuration: fixture.configuration(),
            stamp: Stamp(pair: "p", store: StoreIdentity("s")), board: ProgressBoard(), clock: fixture.clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let key = EntityKey.run(RunID("1"))
        if wasGivenUp {
            mirror.noteGivenUp(key)
            // The secondary hung meanwhile, with what it was sent before it.
            try await fixture.clock.sleep(seconds: 600)
        }
        let answered = Locked<Double?>(nil)
        let found = try await mirror.find(inDoubt: key) { () async throws -> Bool? in
            if let first = answered.withLock({ $0 }) {
                #expect(!wasGivenUp || fixture.clock.monotonicSeconds - first >= mirror.configuration.landingTime)
                return true
            }
            try await fixture.clock.sleep(seconds: mirror.configuration.landingTime * 2)
            answered.withLock { $0 = fixture.clock.monotonicSeconds }
            return nil
        }
        #expect(found == true)
        try state.close()
    }

    /// It is under way when the daemon dies, and renamed on the primary before the next one looks for it.
    @Test func anExperimentThatLandsLateIsNotMadeAgain() async throws {
        let fixture = try MirrorFixture()
        let experiment = try await fixture.primary.createExperiment(name: "before", tags: [Tag("a", "b")])
        fixture.secondary.setFault { operation in
            operation.name == "createExperiment" ? .before(StoreError(.stop, .unauthorized, isInDoubt: true, "dies here")) : nil
        }
        _ = try? await fixture.backfill()
        fixture.secondary.setFault(nil)
        try await fixture.primary.renameExperiment(experiment, to: "after")
        let state = try ReplicationState.open(path: fixture.statePath)
        let stamp = Stamp(pair: fixture.configuration().pair, store: try #require(try state.pair()).primary)
        try state.close()
        let landing = LandingClock(fixture.clock) {
            _ = try? await fixture.secondary.createExperiment(name: "before", tags: stamp.tags(.experiment(experiment)))
        }
        let again = try ReplicationState.open(path: fixture.statePath)
        _ = try await Backfill(
            primary: fixture.primary, secondary: fixture.secondary, state: again, configuration: fixture.configuration(),
            board: ProgressBoard(), clock: landing, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ).run()
        try again.close()
        await landing.land()
        try await fixture.backfill()
        let copies = try await fixture.secondary.experiments(nil).elements.filter { $0.name != "Default" }
        #expect(copies.map(\.name) == ["after"])
    }
}

/// Something lands at the first wait, or when nobody waits for it any more.
private final class LandingClock: ReplicationClock {
    private let clock: InstantClock
    private let landing: @Sendable () async -> Void
    private let hasLanded = Locked(false)
    init(_ clock: InstantClock, _ landing: @escaping @Sendable () async -> Void) {
        self.clock = clock
        self.landing = landing
    }
    var nowMilliseconds: Int64 { clock.nowMilliseconds }
    var monotonicSeconds: Double { clock.monotonicSeconds }
    func sleep(seconds: Double) async throws {
        await land()
        try await clock.sleep(seconds: seconds)
    }
    /// Unless it has.
    func land() async {
        let isFirst = hasLanded.withLock { hasLanded in
            defer { hasLanded = true }
            return !hasLanded
        }
        if isFirst { await landing() }
    }
}
