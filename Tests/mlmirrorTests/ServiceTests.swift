import Foundation
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// What a service manager hears of a daemon, and what others learn of it.
extension RealServersTests {
    @Test func theServiceManagerIsToldWhatHappens() async throws {
        let follower = try await Follower(triggers: false)
        defer { follower.stop() }
        let folder = try TemporaryFolder()
        let socket = try NotifySocket(folder)
        let file = folder.file("mlmirror.yaml")
        try folder.write("mlmirror.yaml", "scope: {experiments: ['a*']}\n")
        try follower.start(["--config", file, "--log-format", "json", "-v"], ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "3000000"])
        var heard: [String] = []
        func until(_ isSo: @escaping ([String]) -> Bool) async throws -> Bool {
            let end = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < end {
                heard += socket.heard()
                if isSo(heard) { return true }
                try await Task.sleep(for: .milliseconds(20))
            }
            return false
        }
        #expect(try await until { $0.contains("READY=1") }, "\(heard) \(follower.log)")
        #expect(heard.first == "STATUS=dual, waiting for the first answers", "\(heard)")
        #expect(try await until { $0.contains { $0.hasPrefix("STATUS=dual, nothing waits") } }, "\(heard)")
        heard = []
        #expect(try await until { $0.count { $0 == "WATCHDOG=1" } > 3 }, "\(heard)")

        heard = []
        follower.signal(SIGHUP)
        #expect(try await until { $0.contains("READY=1") }, "\(heard)")
        let reloading = try #require(heard.firstIndex(of: "RELOADING=1"))
        #expect(heard[reloading + 1].hasPrefix("MONOTONIC_USEC="))
        try await follower.expectCleanEnd()
        #expect(try await until { $0.contains("STOPPING=1") }, "\(heard)")

        let events = follower.log.split(separator: "\n").compactMap { FolderMaker.object(String($0))?["event"] as? String }
        for event in ["started", "following", "comparing", "compared", "caught_up", "status", "configuration_reloaded", "ended"] {
            #expect(events.contains(event), "\(event): \(events)")
        }
    }

    /// A daily comparison needs no pause of the mirror.
    @Test func aVerificationBesideTheDaemonFindsWhatDiffers() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        try await follower.pair.workload("small")
        try follower.start()
        try await follower.expectEqual()
        async let load: Void = follower.workload(seconds: 8, seed: 3)
        let busy = try await follower.pair.mlmirror("verify", ["--deep"])
        #expect(busy.status == 0, "\(busy.output)\(busy.errors)")
        try await load
        try await follower.expectEqual()
        let url = follower.pair.secondary.url
        let edit = """
            import mlflow, sys; c = mlflow.MlflowClient(sys.argv[1])
            e = [e.experiment_id for e in c.search_experiments()]
            r = next(r for r in c.search_runs(e) if 'mlmirror.primary.run_id' in r.data.tags); c.set_tag(r.info.run_id, 'edited', 'there')
            """
        let python = URL(fileURLWithPath: MLflowServer.executable ?? "").deletingLastPathComponent().appendingPathComponent("python").path
        let edited = try await RealPair.run(python, ["-c", edit, url], ["MLFLOW_DISABLE_TELEMETRY": "true"])
        #expect(edited.status == 0, "\(edited.errors)")
        let found = try await follower.pair.mlmirror("verify")
        #expect(found.status == 4 && found.output.contains("tag:edited"), "\(found.output)\(found.errors)")
        let repair = try await follower.pair.mlmirror("verify", ["--repair"])
        #expect(repair.status == 75, "\(repair.output)\(repair.errors)")
        try await follower.expectCleanEnd()
    }
}
