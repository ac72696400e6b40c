import Foundation
import Logging
import Replication
import TestSupport
import Testing

@testable import mlmirror

@Suite("dead-letters")
struct DeadLetterCommandTests {
    private let folder: TemporaryFolder
    private let world = TestWorld()
    private var state: String { folder.file("state.db") }

    init() throws { folder = try TemporaryFolder() }

    private func letters(_ command: String, _ options: [String] = []) async -> Status {
        await world.run(["dead-letters", command, "--state", state] + options)
    }

    private func backfill() async -> Status {
        await world.run(["backfill", "--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", state])
    }

    private func setAside(_ letters: [DeadLetter]) throws {
        let owner = try ReplicationState.open(path: state)
        for letter in letters { try owner.setAside(letter, entry: nil, at: 1_700_000_000_000) }
        try owner.close()
    }

    private func some(_ count: Int) throws {
        try setAside((1...count).map { DeadLetter(key: EntityKey(.run, "r\($0)"), reason: "invalid", message: "why \($0)\u{1B}[2J") })
    }

    private func refuseBatches() {
        let exchange = StoreExchange(request: "POST /api/2.0/mlflow/runs/log-batch", answer: "HTTP 400 INVALID: so it says")
        world.secondary.setFault { operation in
            operation.name == "logBatch" ? .before(StoreError(.setAside, .invalid, "refused as it is", exchange: exchange)) : nil
        }
    }

    private func daemon() -> Task<Void, any Error> {
        Task { [world, state] in
            let owner = try ReplicationState.open(path: state)
            let configuration = LiveConfiguration()
            let live = LiveReplication(
                primary: world.primary, secondary: world.secondary, state: owner, configuration: configuration, board: ProgressBoard(),
                clock: ScaledClock(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            ) {
                PollingFeed(
                    world.primary, state: owner, scope: configuration.mirror.scope, PollingConfiguration(), clock: ScaledClock())
            }
            do { try await live.run() } catch is CancellationError {}
            try owner.close()
        }
    }

    /// The daemon has the file, and has said so.
    private func begun() async throws {
        let visitor = try ReplicationState.visit(path: state)
        for _ in 0..<2000 where try visitor.control(.report) == nil { try await Task.sleep(for: .milliseconds(5)) }
        try visitor.close()
    }

    @Test("list shows number, kind, id and reason, as many as asked for, and counts the rest")
    func list() async throws {
        try some(3)
        try setAside([DeadLetter(key: EntityKey(.runArtifacts, "r1"), path: "a/b.bin", reason: "too_large", message: "too much")])
        #expect(await letters("list", ["--limit", "2"]) == .ok)
        let lines = world.printed.split(separator: "\n").map(String.init)
        #expect(lines[0].hasPrefix("#1  run r1  invalid, tried 1 time, last ") && lines[0].hasSuffix(" ago"))
        #expect(lines[1] == "    why 1\\u{1b}[2J")
        #expect(lines.suffix(2) == ["  and 2 more; --limit shows them", "4 letters set aside."])
        #expect(await letters("list", ["--kind", "run-files"]) == .ok)
        #expect(world.printed.hasPrefix("#4  run-files r1, a/b.bin  too_large, tried 1 time") && !world.printed.contains("#1"))
        #expect(await letters("list", ["--reason", "invalid", "--kind", "run", "--json"]) == .ok)
        let object = try #require(FolderMaker.object(world.printed))
        #expect(object["message_type"] as? String == "dead_letters" && object["count"] as? Int == 3 && object["discarded"] as? Int == 0)
        let first = try #require((object["letters"] as? [[String: Any]])?.first)
        #expect(first["number"] as? Int == 1 && first["kind"] as? String == "run" && first["id"] as? String == "r1")
        #expect(first["tries"] as? Int == 1 && first["first_at"] as? String == "2023-11-14T22:13:20.000Z" && first["path"] == nil)
        #expect(await letters("list", ["--reason", "none"]) == .ok)
        #expect(world.printed == "Nothing set aside.\n")
    }

    @Test("show prints what was asked and answered")
    func show() async throws {
        try await world.fill()
        refuseBatches()
        #expect(await backfill() == .incomplete)
        #expect(await letters("show", ["1"]) == .ok)
        #expect(world.printed.contains("reason:       invalid\nmessage:      refused as it is\n"), "\(world.printed)")
        #expect(world.printed.contains("request:      POST /api/2.0/mlflow/runs/log-batch\nanswer:       HTTP 400 INVALID: so it says\n"))
        #expect(await letters("show", ["#1", "--json"]) == .ok)
        let object = try #require(FolderMaker.object(world.printed))
        #expect(object["message_type"] as? String == "dead_letter" && object["answer"] as? String == "HTTP 400 INVALID: so it says")
    }

    @Test("a number that is nobody's is named, with what to do")
    func unknown() async throws {
        try some(1)
        for command in [["show", "7"], ["requeue", "1", "7"], ["discard", "7", "--yes"]] {
            #expect(await letters(command[0], Array(command.dropFirst())) == .failed)
            #expect(world.complained.contains("there is no dead letter #7") && world.complained.contains("mlmirror dead-letters list"))
        }
        #expect(await letters("show", ["7", "--json"]) == .failed)
        #expect(FolderMaker.object(world.complained)?["code"] as? Int == 1)
        #expect(await world.run(["dead-letters", "list", "--state", folder.file("none.db")]) == .configuration)
    }

    @Test(
        "what is wrong with the command line is 64",
        arguments: [
            ["requeue"], ["discard"], ["requeue", "1", "--all"], ["requeue", "1", "--kind", "run"], ["requeue", "x"], ["show", "0"],
            ["show"],
            ["list", "--kind", "thing"], ["list", "--limit", "0"], ["requeue", "--all", "--yes"],
        ])
    func usage(_ command: [String]) async throws {
        try some(1)
        #expect(await letters(command[0], Array(command.dropFirst())) == .usage)
    }

    @Test("discard asks on a terminal, and is refused where there is none without --yes")
    func confirmation() async throws {
        try some(2)
        #expect(await letters("discard", ["1"]) == .usage)
        #expect(world.complained.contains("there is no terminal to ask; confirm the decision with --yes"))
        let asked = ["dead-letters", "discard", "--state", state, "1"]
        var session = world.session([:], isTerminal: true)
        session.answers = .nobody
        #expect(await Program.run(asked, in: session) == .usage)
        session.answers = Answers(read: { "y" })
        #expect(await Program.run(asked, in: session) == .failed)
        #expect(world.complained.contains("Leave out what 1 letter is about?") && world.complained.contains("nothing was discarded"))
        #expect(await letters("list") == .ok)
        #expect(world.printed.hasSuffix("2 letters set aside.\n"))
        session.answers = Answers(read: { "yes" })
        #expect(await Program.run(asked, in: session) == .ok)
        #expect(world.printed.hasSuffix("Discarded: 1 letter.\n"))
    }

    @Test("what is discarded is no longer counted, and a backfill leaves it alone until it is requeued")
    func discarded() async throws {
        try await world.fill()
        refuseBatches()
        #expect(await backfill() == .incomplete)
        #expect(await letters("discard", ["--all", "--kind", "run", "--yes", "--json"]) == .ok)
        #expect(FolderMaker.object(world.printed)?["letters"] as? Int == 1)
        world.secondary.forgetWrites()
        #expect(await backfill() == .ok, "\(world.printed)")
        #expect(world.secondary.writes.isEmpty)
        _ = await world.run(["status", "--state", state, "--json"])
        #expect(FolderMaker.object(world.printed)?["dead_letters"] as? Int == 0)
        #expect(FolderMaker.object(world.printed)?["discarded"] as? Int == 1)
        _ = await world.run(["status", "--state", state])
        #expect(world.printed.contains("set aside:    0, 1 more left out by decision\n"))
        #expect(await letters("list") == .ok)
        #expect(world.printed == "Nothing set aside.\n1 more left out by decision: --discarded shows them.\n")
        #expect(await letters("list", ["--discarded"]) == .ok)
        #expect(world.printed.hasPrefix("#1  run ") && world.printed.hasSuffix("1 letter left out by decision.\n"))
        #expect(await letters("discard", ["--all", "--yes"]) == .ok)
        #expect(world.printed == "Nothing to discard: nothing like that is set aside.\n")
        let run = try #require(try await world.primary.runs(RunQuery(experiments: [ExperimentID("1")]), nil).elements.first)
        #expect(await world.run(["resolve", "--state", state, run.id.rawValue]) == .ok)
        #expect(world.printed.contains("left out by decision: refused as it is"))

        world.secondary.setFault(nil)
        #expect(await backfill() == .ok)
        #expect(world.printed.hasPrefix("Nothing to do"))
        #expect(await letters("requeue", ["1"]) == .ok)
        #expect(world.printed == "1 letter put back; no daemon runs: the next start or backfill tries again.\n")
        #expect(await backfill() == .ok)
        #expect(await letters("show", ["1"]) == .failed, "it is there now")
        #expect(
            await world.run(["verify", "--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", state]) == .ok)
    }

    @Test("requeue waits for a daemon, and says how it ended")
    func requeuedLive() async throws {
        try await world.fill()
        refuseBatches()
        #expect(await backfill() == .incomplete)
        let daemon = daemon()
        try await begun()
        #expect(await letters("requeue", ["1"]) == .incomplete, "\(world.printed)\(world.complained)")
        #expect(world.printed.hasPrefix("Tried again: 1 letter, 1 set aside again:\n#1  run "), "\(world.printed)")
        #expect(await letters("requeue", ["--all", "--no-wait"]) == .ok)
        #expect(world.printed == "Noted: 1 letter.\n")
        world.secondary.setFault(nil)
        #expect(await letters("requeue", ["--all", "--json"]) == .ok, "\(world.printed)\(world.complained)")
        daemon.cancel()
        try await daemon.value
        #expect(
            await world.run(["verify", "--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", state]) == .ok)
    }

    @Test("what is paused by name is not waited for, and is no success", .timeLimit(.minutes(1)))
    func pausedLive() async throws {
        try await world.fill()
        #expect(await backfill() == .ok)
        let run = try #require(try await world.primary.runs(RunQuery(experiments: [ExperimentID("1")]), nil).elements.first)
        let daemon = daemon()
        try await begun()
        #expect(await world.run(["pause", "--state", state, "--experiment", "team/**"]) == .ok)
        #expect(
            await world.run(["resync", "--state", state, "run", run.id.rawValue]) == .incomplete, "\(world.printed)\(world.complained)")
        #expect(world.printed == "run \(run.id): tried, 2 changes held until `mlmirror resume`\n")
        let notice = "Paused: experiment team/**. What is held waits for `mlmirror resume`.\n"
        #expect(world.complained.contains(notice))
        #expect(await backfill() == .incomplete, "\(world.printed)\(world.complained)")
        #expect(world.printed.hasPrefix("Done by the daemon. Set aside: 0. Held until `mlmirror resume`: "), "\(world.printed)")
        #expect(world.complained.contains(notice))
        #expect(await world.run(["pause", "--state", state]) == .ok)
        #expect(await backfill() == .incomplete)
        #expect(world.printed == "Noted. Nothing is written before `mlmirror resume`.\n")
        #expect(await world.run(["resume", "--state", state]) == .ok)
        #expect(await world.run(["resync", "--state", state, "run", run.id.rawValue]) == .ok, "\(world.printed)\(world.complained)")
        daemon.cancel()
        try await daemon.value
    }

    @Test("of more things than are remembered, all that is left is counted", arguments: [2, 3, 4])
    func countsAllThatIsLeft(most: Int) throws {
        try some(3)
        try setAside([DeadLetter(key: EntityKey(.registeredModel, "m"), reason: "invalid", message: "why")])
        let visitor = try ReplicationState.visit(path: state)
        let things = try LetterThings(LetterSelection(kind: .run, reason: "invalid"), in: visitor, most: most)
        // Tried again, each has another reason, and one has another part too.
        try setAside((1...3).map { DeadLetter(key: EntityKey(.run, "r\($0)"), reason: "forbidden", message: "why") })
        try setAside([DeadLetter(key: EntityKey(.run, "r1"), path: "a", reason: "forbidden", message: "why")])
        let (letters, count, held) = try things.left(in: visitor, shown: 2)
        #expect(count == 4 && held == 0 && letters.count == 2 && letters.allSatisfy { $0.letter.key.kind == .run })
        try visitor.close()
    }

    @Test("discard is carried out by a daemon, where one runs")
    func discardedLive() async throws {
        try some(2)
        let owner = try ReplicationState.open(path: state)
        #expect(await letters("discard", ["2", "--yes", "--no-wait"]) == .ok)
        #expect(world.printed == "Noted: 1 letter.\n")
        let request = try #require(try owner.openRequests().first)
        #expect(request.what == .discard && request.argument == #"{"numbers":[2]}"#)
        // Nobody waits for what is paused.
        try owner.setPause(.everything)
        #expect(await letters("requeue", ["--all", "--kind", "run"]) == .incomplete)
        #expect(world.printed == "Noted: 2 letters. Nothing is written before `mlmirror resume`.\n")
        #expect(try owner.openRequests().last?.argument == #"{"kind":"run","last":2}"#)
        #expect(await world.run(["resync", "--state", state, "run", "r1", "--no-wait"]) == .ok)
        #expect(await world.run(["resync", "--state", state, "run", "r1"]) == .incomplete)
        #expect(world.printed == "Noted. Nothing is written before `mlmirror resume`.\n")
        try owner.setPause(.artifacts)
        #expect(await letters("requeue", ["--all"]) == .incomplete)
        #expect(world.printed == "Noted: 2 letters. No files are written before `mlmirror resume`.\n")
        try owner.close()
    }

    @Test("beside a command that has the state file, and answers nobody, nobody waits", .timeLimit(.minutes(1)))
    func besideABackfill() async throws {
        try some(2)
        let owner = try ReplicationState.open(path: state)
        let notice = "; another command has the state file, and no daemon: the next daemon does it.\n"
        #expect(await world.run(["resync", "--state", state, "run", "r1"]) == .ok)
        #expect(world.printed == "Noted\(notice)")
        #expect(await letters("requeue", ["--all"]) == .ok)
        #expect(world.printed == "Noted: 2 letters\(notice)")
        #expect(await letters("discard", ["1", "--yes"]) == .ok)
        #expect(world.printed == "Noted: 1 letter\(notice)")
        #expect(try owner.openRequests().map(\.what) == [.resync, .requeue, .discard])
        try owner.close()
    }

    @Test("help begins with examples", arguments: [[], ["list"], ["show"], ["requeue"], ["discard"]])
    func help(_ command: [String]) async {
        #expect(await world.run(["dead-letters"] + command + ["--help"], [:]) == .ok)
        #expect(world.printed.contains("Examples:\n"))
    }
}
