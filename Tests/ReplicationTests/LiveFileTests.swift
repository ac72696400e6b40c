import TestSupport
import Testing

@testable import Replication

/// Files that come when nobody tells of them.
@Suite struct LiveFileTests {
    @Test func filesThatComeLaterAreFound() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        let run = try await workload.run(in: ExperimentID("0"), "active", end: false)
        try await fixture.live { daemon in
            try await daemon.settled()
            try await workload.file("late/checkpoint.bin", "bytes", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
            try await daemon.until("found") {
                try daemon.state.manifest(of: EntityKey(.runArtifacts, run.id.rawValue))["late/checkpoint.bin"] != nil
            }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// Nothing is known of such a run when it is seen first, and a file leaves no trace.
    @Test(arguments: [true, false]) func filesThatComeIntoADeletedRunAreFound(isKnownBefore: Bool) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let workload = Workload(store: primary)
        let run = try await workload.run(in: ExperimentID("0"), "deleted", end: false)
        if !isKnownBefore { try await primary.deleteRun(run.id) }
        // Time runs fast here, and a busy machine is slow.
        try await fixture.live({ $0.fileGrace = 6000 }) { daemon in
            try await daemon.settled()
            if isKnownBefore {
                try await primary.deleteRun(run.id)
                fixture.feed.say([Change(.run(run.id))])
                try await daemon.until("deleted there") {
                    try daemon.state.identity(.run, run.id.rawValue)?.base?[.init("lifecycle")] == FieldDigest("deleted")
                }
                try await daemon.settled()
            }
            try await workload.file("late/part 2.txt", "bytes", of: ArtifactOwner(.run(run.id), root: run.artifactURI))
            try await daemon.until("found") {
                try daemon.state.manifest(of: EntityKey(.runArtifacts, run.id.rawValue))["late/part 2.txt"] != nil
            }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }

    /// It was overwritten with as many bytes, of which a listing says nothing; small files are read again anyway.
    @Test func aLargeFileOfADeletedRunIsReadOnceMore() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let primary = fixture.pair.primary
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "deleted", end: false)
        let size = (16 << 20) + 1
        primary.replace("weights.bin", of: .run(run.id), with: [UInt8](repeating: 1, count: size))
        let files = EntityKey(.runArtifacts, run.id.rawValue)
        try await fixture.live { daemon in
            try await daemon.settled()
            let before = try #require(try daemon.state.manifest(of: files)["weights.bin"])
            primary.replace("weights.bin", of: .run(run.id), with: [UInt8](repeating: 2, count: size))
            try await primary.deleteRun(run.id)
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("read again") { try daemon.state.manifest(of: files)["weights.bin"]?.sha256 != before.sha256 }
        }
        #expect(try await fixture.pair.verify().differences == [])
    }
}
