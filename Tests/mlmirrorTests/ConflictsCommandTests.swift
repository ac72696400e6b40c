import Logging
import Replication
import TestSupport
import Testing

@testable import mlmirror

@Suite("conflicts")
struct ConflictsCommandTests {
    private let folder: TemporaryFolder
    private let world = TestWorld()
    private var state: String { folder.file("state.db") }

    init() throws { folder = try TemporaryFolder() }

    private func mlmirror(_ command: String, _ options: [String] = []) async -> Status {
        await world.run([command, "--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", state] + options)
    }

    private func conflicts(_ arguments: [String]) async -> Status { await world.run(["conflicts"] + arguments + ["--state", state]) }

    /// A parked tag and a parked param of one run.
    private func park() async throws -> RunID {
        let config = try folder.write("m.yaml", "rules: { tag: park }\n")
        let run = try await world.primary.createRun(
            NewRun(experiment: ExperimentID("0"), name: "r", userID: "ann", startTime: 1, tags: [Tag("a", "1")]))
        #expect(await mlmirror("backfill", ["--config", config]) == .ok, "\(world.complained)")
        let copy = try #require(try await world.secondary.runs(RunQuery(experiments: [ExperimentID("0")]), nil).elements.first)
        try await world.secondary.logBatch(RunBatch(params: [Param("p", "theirs")], tags: [Tag("a", "theirs")]), toRun: copy.id)
        try await world.primary.logBatch(RunBatch(params: [Param("p", "ours")], tags: [Tag("b", "1")]), toRun: run.id)
        #expect(await mlmirror("backfill", ["--config", config]) == .ok)
        #expect(world.complained.contains("kind=tag") && world.complained.contains("decision=park"), "\(world.complained)")
        return copy.id
    }

    private func listed(_ more: [String] = []) async throws -> [[String: Any]] {
        #expect(await conflicts(["list", "--json"] + more) == .ok, "\(world.complained)")
        return try #require(FolderMaker.object(world.printed)?["conflicts"] as? [[String: Any]])
    }

    @Test("are listed, shown and decided; the next backfill carries it out")
    func decided() async throws {
        let copy = try await park()
        let all = try await listed()
        #expect(Set(all.compactMap { $0["kind"] as? String }) == ["tag", "param"])
        let tag = try #require(try await listed(["--kind", "tag"]).first)
        let id = try #require(tag["id"] as? String)
        #expect(tag["field"] as? String == "tag:a" && tag["decision"] as? String == "park" && tag["resolution"] == nil)
        #expect(tag["possible"] as? [String] == ["primary", "secondary", "park"])

        #expect(await conflicts(["show", id]) == .ok)
        #expect(
            world.printed.contains("field:    tag:a\n") && world.printed.contains("possible: primary, secondary, park\n"),
            "\(world.printed)")
        #expect(await conflicts(["resolve", id, "--decision", "primary"]) == .ok, "\(world.complained)")
        #expect(world.printed == "1 conflict: primary. The next backfill or daemon carries it out.\n")
        #expect(await conflicts(["list"]) == .ok)
        #expect(
            world.printed.contains("\(id)  tag  run ") && world.printed.contains("primary (decided, not carried out yet)"),
            "\(world.printed)")

        let config = folder.file("m.yaml")
        #expect(await mlmirror("backfill", ["--config", config]) == .ok)
        #expect(try await world.secondary.run(copy)?.tags["a"] == "1")
        #expect(try await world.secondary.run(copy)?.params.first { $0.key == "p" }?.value == "theirs")
        // What no longer holds is gone with the next look.
        #expect(await mlmirror("backfill", ["--config", config, "--deep"]) == .ok)
        #expect(try await listed().compactMap { $0["kind"] as? String } == ["param"])
        #expect(await conflicts(["show", id]) == .configuration)
    }

    @Test("all of a kind are decided at once; verify then accepts them")
    func allOfAKind() async throws {
        let copy = try await park()
        #expect(await conflicts(["resolve", "--all", "--kind", "tag", "--decision", "secondary"]) == .ok)
        #expect(await conflicts(["resolve", "--all", "--kind", "param", "--decision", "secondary"]) == .ok)
        let config = folder.file("m.yaml")
        #expect(await mlmirror("backfill", ["--config", config]) == .ok)
        #expect(try await world.secondary.run(copy)?.tags["a"] == "theirs")
        #expect(await mlmirror("verify", ["--config", config]) == .ok, "\(world.printed)")
        #expect(world.printed.contains("accepted:     param 1, tag 1\n"), "\(world.printed)")
        #expect(await conflicts(["resolve", "--all", "--kind", "stage", "--decision", "primary"]) == .ok)
        #expect(world.printed.hasPrefix("0 conflicts"), "\(world.printed)")
    }

    @Test("an impossible decision is refused with those that can be, and nothing is decided")
    func impossible() async throws {
        _ = try await park()
        let ids = try await listed().compactMap { $0["id"] as? String }
        #expect(await conflicts(["resolve"] + ids + ["--decision", "primary"]) == .configuration)
        #expect(world.complained.contains("is of the kind param: expected one of park, secondary, found primary"), "\(world.complained)")
        #expect(try await listed().allSatisfy { $0["resolution"] == nil })
        for wrong in [
            ["resolve", "--decision", "primary"], ["resolve", "--all", "--decision", "primary"], ["resolve", ids[0]],
            ["resolve", ids[0], "--kind", "tag", "--decision", "primary"], ["resolve", ids[0], "--decision", "primry"],
            ["list", "--kind", "tags"],
        ] { #expect(await conflicts(wrong) == .usage, "\(wrong)") }
        #expect(world.complained.contains("did you mean tag?"))
        #expect(await conflicts(["resolve", "00000000", "--decision", "primary"]) == .configuration)
        #expect(world.complained.contains("no conflict 00000000"))
    }

    @Test("check --show-config prints the rules that are not the defaults")
    func shown() async throws {
        #expect(await mlmirror("check", ["--offline", "--show-config"]) == .ok)
        #expect(world.printed.contains("the defaults"), "\(world.printed)")
        let config = try folder.write("r.yaml", "rules:\n  tag: secondary\n  models: { 'prod.*': { alias: park } }\n")
        #expect(await mlmirror("check", ["--offline", "--show-config", "--config", config]) == .ok)
        for text in ["rules.tag", "secondary", "rules.models.prod.*", "alias: park"] { #expect(world.printed.contains(text), "\(text)") }
    }

    @Test(
        "help begins with examples", arguments: [["conflicts"], ["conflicts", "list"], ["conflicts", "show"], ["conflicts", "resolve"]])
    func help(_ command: [String]) async {
        #expect(await world.run(command + ["--help"], [:]) == .ok)
        #expect(world.printed.contains("Examples:\n"))
    }
}
