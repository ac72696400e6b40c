import Replication
import TestSupport
import Testing

@testable import mlmirror

/// Commands that ask the state file alone.
@Suite struct StatusTests {
    let folder: TemporaryFolder
    let world = TestWorld()
    init() throws { folder = try TemporaryFolder() }

    private var state: String { folder.file("state.db") }

    @Test func nobodyKnowsWhereThereIsNoFile() async {
        #expect(await world.run(["status", "--state", state]).rawValue == 3)
        #expect(world.printed.hasPrefix("UNKNOWN - ") && world.printed.contains("no such file"))
        for command in [["pause"], ["resume"], ["resolve", "x"], ["resync", "run", "x"]] {
            #expect(await world.run([command[0], "--state", state] + command.dropFirst()) == .configuration)
            #expect(world.complained.contains("no such file"))
        }
    }

    @Test func nobodyKnowsWhereTheConfigurationCannotBeRead() async throws {
        #expect(await world.run(["status", "--config", folder.file("none.yaml")]).rawValue == 3)
        #expect(world.printed.hasPrefix("UNKNOWN - ") && world.printed.contains("none.yaml"), "\(world.printed)")
        let file = try folder.write("m.yaml", "stat: s.db\n")
        #expect(await world.run(["status", "--config", file]).rawValue == 3)
        #expect(world.printed.hasPrefix("UNKNOWN - "), "\(world.printed)")
    }

    @Test func aStoppedMirrorIsCritical() async throws {
        try ReplicationState.open(path: state).close()
        #expect(await world.run(["status", "--state", state]).rawValue == 2)
        #expect(world.printed.hasPrefix("CRITICAL - stopped | changes=0 dead_letters=0 conflicts=0"))
        #expect(await world.run(["status", "--state", state, "--json"]).rawValue == 2)
        for name in [
            "mode", "state", "checkpoint", "head", "lag", "rates", "dead_letters", "conflicts", "outages", "conversions", "unknown_fields",
            "left_out", "retries",
        ] {
            #expect(world.printed.contains("\"\(name)\":"), "\(name)")
        }
        #expect(await world.run(["status", "--state", state, "--warning-lag", "9", "--critical-lag", "8"]) == .usage)
    }

    @Test func aRunningMirrorIsJudgedByItsLag() async throws {
        let owner = try ReplicationState.open(path: state)
        defer { try? owner.close() }
        #expect(await world.run(["status", "--state", state]).rawValue == 0)
        try owner.append([Change(EntityKey(.run, "r"))], at: SystemClock().nowMilliseconds - 500_000)
        #expect(await world.run(["status", "--state", state]).rawValue == 1)
        #expect(world.printed.hasPrefix("WARNING - 8 min 20 s behind | lag=500"))
        #expect(world.printed.contains("waiting:      run 1"))
        #expect(await world.run(["status", "--state", state, "--critical-lag", "400"]).rawValue == 2)
    }

    @Test func pausesHoldOverProcesses() async throws {
        try ReplicationState.open(path: state).close()
        #expect(await world.run(["pause", "--state", state, "--artifacts"]) == .ok)
        var owner = try ReplicationState.open(path: state)
        #expect(try owner.pause == .artifacts)
        // Also while it is owned.
        #expect(await world.run(["pause", "--state", state]) == .ok)
        #expect(try owner.pause == .everything)
        #expect(await world.run(["status", "--state", state]).rawValue == 1)
        #expect(world.printed.contains("paused: everything"))
        try owner.close()
        #expect(await world.run(["resume", "--state", state]) == .ok)
        owner = try ReplicationState.open(path: state)
        #expect(try owner.pause == .nothing)
        try owner.close()
    }

    @Test func aPauseByNameIsEndedByTheSameName() async throws {
        try ReplicationState.open(path: state).close()
        #expect(await world.run(["pause", "--state", state, "--experiment", "a/**", "--model", "m"]) == .ok)
        #expect(await world.run(["pause", "--state", state, "--experiment", "b", "--json"]) == .ok)
        #expect(world.printed.contains(#""paused_experiments":["a/**","b"]"#))
        let owner = try ReplicationState.open(path: state)
        #expect(try owner.pausedScope == NameScope(experiments: ["a/**", "b"], models: ["m"]))
        try owner.append([Change(EntityKey(.run, "r"))], at: SystemClock().nowMilliseconds)
        #expect(await world.run(["status", "--state", state]).rawValue == 1)
        #expect(world.printed.contains("paused:       experiment a/**, experiment b, model m (0 changes held)"))
        try owner.close()
        #expect(await world.run(["resume", "--state", state, "--experiment", "c"]) == .configuration)
        #expect(world.complained.contains("experiment c: not paused by these patterns; paused is: experiment a/**"))
        #expect(await world.run(["resume", "--state", state, "--experiment", "b"]) == .ok)
        #expect(world.printed == "Resumed: experiment b. Still paused: experiment a/**, model m.\n")
        #expect(await world.run(["resume", "--state", state]) == .ok)
        #expect(await world.run(["pause", "--state", state, "--experiment", ""]) == .usage)
        #expect(await world.run(["pause", "--state", state, "--model", "!"]) == .usage)
        #expect(await world.run(["pause", "--state", state, "--experiment", "a", "--artifacts"]) == .usage)
        #expect(await world.run(["resume", "--state", state, "--model", "a", "--deletions"]) == .usage)
        let visitor = try ReplicationState.visit(path: state)
        #expect(try visitor.pausedScope.isEmpty)
        try visitor.close()
    }

    @Test func anIdLeadsToTheOtherSide() async throws {
        let owner = try ReplicationState.open(path: state)
        try owner.adopt([Identity(kind: .run, primaryID: "aaa", secondaryID: "bbb")])
        try owner.setAside(DeadLetter(key: EntityKey(.run, "aaa"), reason: "x", message: "why not"), entry: nil, at: 0)
        try owner.close()
        for id in ["aaa", "bbb", "http://host:5000/#/experiments/1/runs/aaa"] {
            #expect(await world.run(["resolve", "--state", state, id]) == .ok)
            #expect(world.printed == "run  primary aaa  secondary bbb  set aside: why not\n")
        }
        #expect(await world.run(["resolve", "--state", state, "ccc"]) == .failed)
        #expect(world.complained == "error: ccc: known on neither side; ids are as the servers give them\n" && world.printed.isEmpty)
        #expect(await world.run(["resolve", "--state", state, "ccc", "--json"]) == .failed)
        #expect(world.complained.contains(#""message_type":"exit_error""#) && world.printed.isEmpty)
        #expect(await world.run(["resync", "--state", state, "run", "aaa"]) == .ok)
        #expect(world.printed.contains("no daemon runs"))
        let visitor = try ReplicationState.visit(path: state)
        #expect(try visitor.openRequests().map(\.argument) == ["run aaa"])
        #expect(throws: StateError.self) { try visitor.append([Change(EntityKey(.run, "r"))], at: 0) }
        try visitor.close()
    }
}
