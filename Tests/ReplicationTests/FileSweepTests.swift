import TestSupport
import Testing

@testable import Replication

/// Files that come into a run or logged model long after its end: no feed shows them.
@Suite struct FileSweepTests {
    private static func quick(_ configuration: inout LiveConfiguration) {
        configuration.fileGrace = 0
        configuration.fileSweepPerSecond = 100
        configuration.fileSweepPause = 60
    }

    @Test func filesThatComeLongAfterTheEndAreFound() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        try await workload.everything()
        let run = try await workload.run(in: ExperimentID("0"), "ended")
        let models = try await primary.loggedModels(in: try await primary.experiments(nil).elements.map(\.id), nil).elements
        let model = try #require(models.first { $0.status == .ready })
        try await fixture.live(Self.quick) { daemon in
            try await daemon.settled()
            try await workload.file("late/report.html", "bytes", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
            try await workload.file("late.txt", "bytes", of: ArtifactOwner(.loggedModel(model.id), root: model.artifactURI))
            try await daemon.until("found") {
                try daemon.state.manifest(of: EntityKey(.runArtifacts, run.id.rawValue))["late/report.html"] != nil
                    && daemon.state.manifest(of: EntityKey(.loggedModelArtifacts, model.id.rawValue))["late.txt"] != nil
            }
            try await daemon.until("told") { try LiveReport(encoded: daemon.state.control(.report) ?? "")?.filesSweptSince != nil }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Its client gives it times of long ago, and its files later.
    @Test func aRunThatAFeedReportsIsWatchedFromThenOn() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await fixture.live({ $0.fileGrace = 20_000 }) { daemon in
            try await daemon.settled()
            let run = try await workload.run(in: ExperimentID("0"), "of long ago", start: 1000)
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("copied") { try daemon.state.identity(.run, run.id.rawValue)?.record != nil }
            try await daemon.settled()
            try await workload.file("late.txt", "1", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
            try await daemon.until("found") { try daemon.state.manifest(of: EntityKey(.runArtifacts, run.id.rawValue))["late.txt"] != nil }
        }
    }

    /// Each of many sweeps sees it; one is enough.
    @Test func whatCannotBeCopiedIsNotTriedAgainAndAgain() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "ended")
        try await fixture.live(Self.quick) { daemon in
            try await daemon.settled()
            fixture.pair.secondary.setFault { operation in
                operation.name == "writeArtifact" ? .before(StoreError(.setAside, .invalid, "no")) : nil
            }
            primary.replace("late.txt", of: .run(run.id), with: [1])
            try await daemon.until("set aside") { try daemon.state.deadLetterCount() > 0 }
            try await daemon.settled()
            let head = try daemon.state.head()
            let before = try FileSweep<FakeStore, FakeStore>.place(in: daemon.state)?.finishedStart ?? 0
            try await daemon.until("three sweeps more") {
                try FileSweep<FakeStore, FakeStore>.place(in: daemon.state)?.finishedStart ?? 0 > before + 200_000
            }
            #expect(try daemon.state.head() == head)
        }
    }

    @Test func itGoesOnWhereItWas() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        let first = try await primary.createExperiment(name: "first", tags: [])
        let second = try await primary.createExperiment(name: "second", tags: [])
        let early = try await workload.run(in: first, "early")
        let late = try await workload.run(in: second, "late")
        try await fixture.live(Self.quick) { try await $0.settled() }
        // A daemon that had done the first one was ended.
        let state = try ReplicationState.open(path: fixture.pair.statePath)
        let now = fixture.clock.nowMilliseconds
        try state.setControl(.fileSweep, #"{"startedAt": \#(now), "after": "\#(first.rawValue)", "hasGaps": false}"#)
        try state.close()
        for run in [early, late] { primary.replace("late.txt", of: .run(run.id), with: [1]) }
        func slow(_ configuration: inout LiveConfiguration) {
            Self.quick(&configuration)
            configuration.fileSweepPause = 1_000_000
        }
        try await fixture.live(slow) { daemon in
            try await daemon.until("found") { try daemon.state.manifest(of: EntityKey(.runArtifacts, late.id.rawValue))["late.txt"] != nil }
            try await daemon.until("at its end") {
                try FileSweep<FakeStore, FakeStore>.place(in: daemon.state)?.finishedStart == now
            }
            #expect(try daemon.state.manifest(of: EntityKey(.runArtifacts, early.id.rawValue))["late.txt"] == nil)
        }
    }

    /// It has no files that could have been missed.
    @Test func whatIsGoneLeavesNoGap() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let gone = try await primary.createExperiment(name: "gone", tags: [])
        try await fixture.live({ $0.fileGrace = 0 }) { try await $0.settled() }
        primary.setFault { operation in
            operation.name == "runs" && operation.target == gone.rawValue ? .before(StoreError(.setAside, .notFound, "404")) : nil
        }
        try await fixture.live(Self.quick) { daemon in
            try await daemon.until("swept") { try FileSweep<FakeStore, FakeStore>.place(in: daemon.state)?.finishedStart != nil }
        }
    }

    /// Nothing is said to be checked that is not.
    @Test func aPlaceThatIsRefusedLeavesTheOthers() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        try await workload.run(in: ExperimentID("0"), "closed", files: ["closed/a.txt": "a"])
        let open = try await workload.run(in: try await primary.createExperiment(name: "open", tags: []), "open")
        try await fixture.live({ $0.fileGrace = 0 }) { try await $0.settled() }
        primary.setFault { operation in
            operation.name == "artifacts" && operation.target == "closed"
                ? .before(StoreError(.setAside, .forbidden, "closed")) : nil
        }
        primary.replace("late.txt", of: .run(open.id), with: [1])
        try await fixture.live(Self.quick) { daemon in
            try await daemon.until("found") { try daemon.state.manifest(of: EntityKey(.runArtifacts, open.id.rawValue))["late.txt"] != nil }
            try await daemon.until("at its end") {
                let place = try FileSweep<FakeStore, FakeStore>.place(in: daemon.state)
                return place?.after == nil && place?.hasGaps == true
            }
            #expect(try FileSweep<FakeStore, FakeStore>.place(in: daemon.state)?.finishedStart == nil)
        }
    }
}
