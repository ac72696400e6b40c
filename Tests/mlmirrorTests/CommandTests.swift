import Foundation
import Replication
import TestSupport
import Testing

@testable import mlmirror

@Suite("commands")
struct CommandTests {
    let folder: TemporaryFolder
    let world = TestWorld()
    var state: String { folder.file("state.db") }

    init() throws { folder = try TemporaryFolder() }

    func mlmirror(_ command: String, _ options: [String] = [], _ variables: [String: String] = [:]) async -> Status {
        let common = [command, "--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", state]
        return await world.run(common + options, variables)
    }

    @Test("backfill copies, a second one has nothing to do, verify proves it")
    func copies() async throws {
        try await world.fill()
        #expect(await mlmirror("backfill") == .ok)
        #expect(world.printed.hasPrefix("Copied http://a:5000 to http://b:5000 in "), "\(world.printed)\(world.complained)")
        #expect(world.printed.contains("10 metric points, 1 param"))
        world.secondary.forgetWrites()
        #expect(await mlmirror("backfill") == .ok)
        #expect(world.printed.hasPrefix("Nothing to do: nothing new on the primary"))
        #expect(world.secondary.writes.isEmpty)
        #expect(await mlmirror("verify", ["--deep"]) == .ok)
        #expect(world.printed.hasPrefix("Both sides agree"), "\(world.printed)")
    }

    @Test("backfill --dry-run writes neither to the secondary nor beside the state file")
    func rehearses() async throws {
        try await world.fill()
        #expect(await mlmirror("backfill", ["-n"]) == .ok)
        #expect(world.printed.hasPrefix("Dry run: nothing was written."), "\(world.complained)")
        #expect(world.secondary.writes.isEmpty)
        #expect(try FolderMaker.list(folder.path).isEmpty)
    }

    @Test("backfill --json prints one document on standard output and nothing else there")
    func json() async throws {
        try await world.fill()
        #expect(await mlmirror("backfill", ["--json", "--quiet"]) == .ok)
        let object = try #require(FolderMaker.object(world.printed))
        #expect(object["message_type"] as? String == "backfill_summary")
        #expect(object["metric_points"] as? Int == 10)
        #expect((object["runs"] as? [String: Any])?["created"] as? Int == 1)
        #expect(object["file_bytes"] as? Int == 0)
        #expect(object["is_complete"] as? Bool == true)
        #expect(object["duration_seconds"] as? Double != nil)
        #expect((object["finished_at"] as? String).flatMap(Instant.milliseconds) != nil)
        #expect(world.complained.isEmpty)
    }

    @Test("a partial success ends with 3 and names what was set aside")
    func partial() async throws {
        try await world.fill()
        world.secondary.setFault { operation in
            operation.name == "logBatch" ? .before(StoreError(.setAside, .invalid, "the server refuses it as it is")) : nil
        }
        #expect(await mlmirror("backfill", ["--json"]) == .incomplete)
        #expect(FolderMaker.object(world.printed)?["is_complete"] as? Bool == false)
        let last = world.complained.split(separator: "\n").last.map(String.init) ?? ""
        let object = try #require(FolderMaker.object(last), "\(world.complained)")
        #expect(object["message_type"] as? String == "exit_error")
        #expect(object["code"] as? Int == 3)
        #expect(await mlmirror("backfill") == .incomplete)
        #expect(world.printed.contains("the server refuses it as it is"))
    }

    @Test("verify names differences, writes the report, and --repair mends them")
    func repairs() async throws {
        try await world.fill()
        #expect(await mlmirror("backfill") == .ok)
        let experiment = try #require(try await world.secondary.experiment(named: "team/curves"))
        let run = try #require(try await world.secondary.runs(RunQuery(experiments: [experiment.id]), nil).elements.first)
        try await world.secondary.updateRun(run.id, status: .failed, endTime: nil, name: nil)

        let report = folder.file("r.json")
        #expect(await mlmirror("verify", ["--report", report]) == .differences)
        #expect(world.printed.contains(": status: primary \"FINISHED\", secondary \"FAILED\"\n"), "\(world.printed)\(world.complained)")
        let object = try #require(FolderMaker.object(try FolderMaker.read(report)))
        #expect((object["differences"] as? [[String: Any]])?.count == 1)

        #expect(await mlmirror("verify", ["--repair", "--json"]) == .ok, "\(world.complained)")
        let repaired = try #require(FolderMaker.object(world.printed)?["summary"] as? [String: Any])
        #expect(repaired["differences"] as? Int == 1)
        #expect(repaired["differences_after_repair"] as? Int == 0)
        #expect(await mlmirror("verify") == .ok)
    }

    @Test("a scope that nothing is in proves nothing")
    func scopeOfNothing() async throws {
        try await world.fill()
        let typo = ["--experiment", "taem/**"]
        #expect(await mlmirror("backfill", typo) == .ok)
        #expect(await mlmirror("verify", typo) == .incomplete, "\(world.complained)")
        #expect(world.printed.hasPrefix("Nothing is in scope: nothing was compared ("), "\(world.printed)")
        let visitor = try ReplicationState.visit(path: state)
        #expect(try visitor.control(.verifiedAt) == nil)
        try visitor.close()
        #expect(await mlmirror("verify", typo + ["--json"]) == .incomplete)
        let summary = FolderMaker.object(world.printed)?["summary"] as? [String: Any]
        #expect(summary?["is_complete"] as? Bool == false && summary?["differences"] as? Int == 0)
        #expect(await mlmirror("verify", ["--experiment", "team/**"]) == .differences, "what was never copied is missing")
    }

    @Test("verify leaves a readable report when a store fails in its midst")
    func interruptedReport() async throws {
        try await world.fill()
        #expect(await mlmirror("backfill") == .ok)
        world.primary.setFault { $0.name == "experiments" ? .before(StoreError(.stop, .unauthorized, "who are you?")) : nil }
        #expect(await mlmirror("verify", ["--json"]) == .refused)
        let object = try #require(FolderMaker.object(world.printed))
        #expect(object["summary"] != nil && object["summary"] as? [String: Any] == nil)
    }

    @Test("a state file in use is 75 for backfill, and in order for check")
    func locked() async throws {
        let owner = try ReplicationState.open(path: state)
        #expect(await mlmirror("backfill") == .busy)
        #expect(await mlmirror("backfill", ["--dry-run"]) == .busy)
        #expect(await mlmirror("check") == .ok)
        try owner.close()
    }

    /// What a daemon says of itself: it goes on, or was killed.
    private func noteDaemon(_ state: ReplicationState) throws {
        try state.setControl(.report, String(decoding: try JSONEncoder().encode(LiveReport()), as: UTF8.self))
    }

    @Test("a daemon is asked for a backfill of its own two stores, and of no others", .timeLimit(.minutes(1)))
    func otherStores() async throws {
        try await world.fill()
        #expect(await mlmirror("backfill") == .ok)
        let owner = try ReplicationState.open(path: state)
        try noteDaemon(owner)
        for role in [Role.primary, .secondary] {
            var session = world.session()
            let (own, other) = (session.openStore, FakeStore(name: "another"))
            session.openStore = { settings in
                guard settings.role == role else { return try own(settings) }
                return OpenedStore(store: other, version: { nil }, requestCount: { 0 }, close: {})
            }
            let arguments = ["backfill", "--primary", "http://c", "--secondary", "http://d", "--state", state]
            #expect(await Program.run(arguments, in: session) == .configuration, "\(role)")
            #expect(world.complained.contains("it belongs to another \(role.rawValue)"), "\(world.complained)")
        }
        #expect(await mlmirror("backfill", [], ["MLMIRROR_PAIR": "another"]) == .configuration)
        #expect(try owner.openRequests().isEmpty)
        try owner.close()
    }

    @Test("what a killed daemon has left is not taken for one beside a command that owns the file", arguments: ["backfill", "verify"])
    func killedDaemon(_ command: String) async throws {
        try await world.fill()
        #expect(await mlmirror("backfill") == .ok)
        let owner = try ReplicationState.open(path: state)
        try noteDaemon(owner)
        try owner.close()
        let (path, saysDaemon) = (state, Locked<[Bool]>([]))
        world.primary.setFault { operation in
            guard operation.name == "experiments", let visitor = try? ReplicationState.visit(path: path) else { return nil }
            let report = try? MirrorStatus(of: visitor, at: 0).report
            saysDaemon.withLock { $0.append(report?.hasEnded == false) }
            try? visitor.close()
            return nil
        }
        #expect(await mlmirror(command) == .ok, "\(world.complained)")
        let said = saysDaemon.withLock { $0 }
        #expect(!said.isEmpty && !said.contains(true))
    }

    @Test("a foreign or impossible state file is 78")
    func foreignState() async throws {
        try folder.write("state.db", "not a database, but long enough to be looked at as one")
        #expect(await mlmirror("backfill") == .configuration, "\(world.complained)")
        #expect(await mlmirror("check", ["--offline"]) == .configuration)
        #expect(
            await world.run(
                ["check", "--offline", "--primary", "http://a", "--secondary", "http://b", "--state", folder.file("none/s.db")], [:])
                == .configuration)
    }
}
