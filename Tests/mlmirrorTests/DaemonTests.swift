import Foundation
import Replication
import TestSupport
import Testing

/// What a daemon is told, and what happens to it, between two real servers.
extension RealServersTests {
    private func client(_ follower: Follower, _ code: String) async throws {
        let python = URL(fileURLWithPath: MLflowServer.executable ?? "").deletingLastPathComponent().appendingPathComponent("python").path
        let start = "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]); c = mlflow.MlflowClient(); "
        let result = try await RealPair.run(python, ["-c", start + code, follower.pair.primary.url], ["MLFLOW_DISABLE_TELEMETRY": "true"])
        guard result.status == 0 else { throw RealPair.ScriptFailed(text: result.output + result.errors) }
    }

    private func names(_ follower: Follower) async throws -> String {
        let found = try await RealPair.run(
            "/usr/bin/env", ["curl", "-sS", "\(follower.pair.secondary.url)/api/2.0/mlflow/experiments/search?max_results=100"])
        return found.output
    }

    @Test func theConfigurationIsReadAgainUnlessItIsWrong() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        let file = URL(fileURLWithPath: follower.pair.folder.file("mlmirror.yaml"))
        try Data("scope: {experiments: ['a*']}\n".utf8).write(to: file)
        try await client(follower, "[c.create_experiment(n) for n in ('apples', 'bananas', 'cherries')]")
        try follower.start(["--config", file.path])
        #expect(try await follower.until { try await self.names(follower).contains("apples") }, "\(follower.log)")

        try Data("scope: {experiment: ['b*']}\n".utf8).write(to: file)
        follower.signal(SIGHUP)
        #expect(try await follower.said("configuration refused; the old one stays"), "\(follower.log)")
        #expect(follower.log.contains("experiment") && follower.log.contains("did you mean experiments?"), "\(follower.log)")
        try await client(follower, "c.create_experiment('avocados'); c.create_experiment('blueberries')")
        #expect(try await follower.until { try await self.names(follower).contains("avocados") }, "\(follower.log)")
        for name in ["bananas", "blueberries"] { #expect(try await !names(follower).contains(name)) }

        try Data("scope: {experiments: ['a*', 'b*']}\n".utf8).write(to: file)
        follower.signal(SIGHUP)
        #expect(try await follower.said("configuration read again"), "\(follower.log)")
        for name in ["bananas", "blueberries"] {
            #expect(try await follower.until { try await self.names(follower).contains(name) }, "\(follower.log)")
        }
        #expect(try await !names(follower).contains("cherries"))
        try await follower.expectCleanEnd()
    }

    /// Another program has the state file for longer than SQLite waits.
    @Test func aLockedStateFileIsWaitedFor() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        try follower.start()
        try await follower.expectEqual()
        let hold = """
            import sqlite3, sys, time
            c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
            c.execute("BEGIN IMMEDIATE"); time.sleep(13); c.execute("ROLLBACK")
            """
        async let holding = RealPair.run("/usr/bin/env", ["python3", "-c", hold, follower.pair.folder.file("state.db")])
        try await client(follower, "c.log_param(c.create_run(c.create_experiment('meanwhile')).info.run_id, 'a', 'b')")
        #expect(try await holding.status == 0)
        #expect(try await follower.until { try await self.names(follower).contains("meanwhile") }, "\(follower.log)")
        try await follower.expectEqual()
        #expect(follower.log.contains("in use by another program"), "\(follower.log)")
        try await follower.expectCleanEnd()
    }

    /// Told to end amid a file of 10 GB, it ends, and the next one begins with that file.
    @Test func itEndsAmidALargeFile() async throws {
        let follower = try await Follower(triggers: true)
        defer { follower.stop() }
        try await client(
            follower, "r = c.create_run('0').info.run_id; c.log_text(r, 'x', 'sub/small.txt'); c.set_terminated(r)")
        let small = try #require(
            FileManager.default.enumerator(
                at: follower.pair.primary.folder.appendingPathComponent("artifacts"), includingPropertiesForKeys: nil)?
                .compactMap { $0 as? URL }.first { $0.lastPathComponent == "small.txt" })
        let large = small.deletingLastPathComponent().appendingPathComponent("large.bin")
        #expect(FileManager.default.createFile(atPath: large.path, contents: nil))
        // Sparse: takes no room here.
        try FileHandle(forWritingTo: large).truncate(atOffset: 10 << 30)
        try follower.start()
        let received = follower.pair.secondary.folder
        #expect(
            try await follower.until {
                try await RealPair.run("/usr/bin/env", ["du", "-sm", received.path]).output.split(separator: "\t").first.flatMap { Int($0) }
                    .map { $0 > 100 } ?? false
            }, "\(follower.log)")
        try await follower.expectCleanEnd()
        let status = try await follower.status()
        #expect(status.state == "stopped" && status.lag.changes >= 1)
        // Smaller by now: the whole test need not write 10 GB.
        try FileHandle(forWritingTo: large).truncate(atOffset: 3_000_000)
        try follower.start()
        try await follower.expectEqual()
        try await follower.expectCleanEnd()
    }
}
