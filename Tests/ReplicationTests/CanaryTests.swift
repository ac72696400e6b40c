import TestSupport
import Testing

@testable import Replication

@Suite struct CanaryTests {
    private func report(_ daemon: LiveFixture.Observer) throws -> CanaryReport? {
        try daemon.state.control(.report).flatMap { LiveReport(encoded: $0) }?.canary
    }

    @Test func itGoesTheWholeWayAndIsMissedWhenItDoesNot() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        try await fixture.live(polling: true, { $0.canary = CanaryConfiguration(seconds: 600) }) { daemon in
            try await daemon.until("arrived") { try report(daemon)?.lastArrivedAt != nil }
            // The clock of this test is fast, and the machine may be busy: no less than nothing, no more than has passed.
            let took = try #require(try report(daemon)?.seconds)
            #expect(took > 0 && took <= fixture.clock.monotonicSeconds)
            #expect(try MirrorStatus(of: daemon.state, at: 0).condition == .running)

            // Everything but the canary's own way is well.
            secondary.setFault { $0.name == "logBatch" ? .before(StoreError(.retry(after: nil), .throttled, "later")) : nil }
            try await daemon.until("missed") { try report(daemon)?.missingSince != nil }
            let status = try MirrorStatus(of: daemon.state, at: 0)
            #expect(status.condition == .failing)
            #expect(status.troubles.contains { $0.contains("the canary does not arrive: not on the secondary after 600 s") })

            secondary.setFault(nil)
            try await daemon.until("arrives again") { try report(daemon).map { $0.missingSince == nil } ?? false }
        }
        #expect(fixture.pair.said(.canaryMissing) && fixture.pair.said(.canaryBack))
        // One run, however often it is changed; and a second daemon goes on with it.
        try await fixture.live(polling: true, { $0.canary = CanaryConfiguration(seconds: 600) }) { daemon in
            let before = try report(daemon)?.lastArrivedAt ?? 0
            try await daemon.until("arrived") { try report(daemon)?.lastArrivedAt ?? 0 > before }
        }
        let experiment = try #require(try await primary.experiment(named: "mlmirror-canary"))
        #expect(try await primary.runs(RunQuery(experiments: [experiment.id]), nil).elements.count == 1)
        #expect(primary.writes.count { $0.name == "createRun" } == 1)
    }

    @Test func withoutOneNothingIsWrittenToThePrimary() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        try await fixture.live(polling: true) { daemon in
            try await daemon.until("reported") { try daemon.state.control(.report) != nil && daemon.state.control(.reconciling) == nil }
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(fixture.pair.primary.writes.isEmpty)
    }
}
