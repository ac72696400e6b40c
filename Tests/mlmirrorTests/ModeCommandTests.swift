import Replication
import TestSupport
import Testing

@testable import mlmirror

@Suite struct ModeCommandTests {
    let folder: TemporaryFolder
    let world = TestWorld()
    init() throws { folder = try TemporaryFolder() }

    private var state: String { folder.file("state.db") }

    @Test func withoutADaemonTheNextOneDoesIt() async throws {
        #expect(await world.run(["mode", "--state", state]) == .configuration)
        #expect(world.complained.contains("no such file"))
        try ReplicationState.open(path: state).close()
        #expect(await world.run(["mode", "--state", state]) == .ok)
        #expect(world.printed == "mode: dual\n")
        #expect(await world.run(["mode", "azureml-only", "--state", state, "--experiment", "a/**", "--model", "m"]) == .ok)
        #expect(world.complained.contains("no daemon runs: the next one does it"))
        #expect(world.printed == "mode: dual\nexperiment a/**, model m: fence\n")
        #expect(await world.run(["mode", "azureml-only", "--state", state, "--experiment", "a/**", "--model", "m", "--quiet"]) == .ok)
        #expect(world.complained.isEmpty && !world.printed.isEmpty)
        #expect(await world.run(["mode", "azureml-only", "--state", state, "--deep", "--accept-differences", "--json"]) == .ok)
        for part in [
            #""message_type":"mode""#, #""mode":"dual""#, #""experiments":["a/**"],"is_deep":false"#, #""is_deep":true"#,
            #""accepts_differences":true"#, #""step":"fence""#, #""stragglers":0"#,
        ] {
            #expect(world.printed.contains(part), "\(part) in \(world.printed)")
        }
        let owner = try ReplicationState.open(path: state)
        #expect(try owner.modes.switches.map(\.scope) == [NameScope(experiments: ["a/**"], models: ["m"]), .everything])
        #expect(await world.run(["status", "--state", state]).rawValue == 0)
        #expect(world.printed.contains("mode:         dual\n"))
        #expect(world.printed.contains("experiment a/**, model m: fence"))
        try owner.close()
    }

    @Test func itIsAskedAboutOnATerminal() async throws {
        try ReplicationState.open(path: state).close()
        var session = world.session([:], isTerminal: true)
        func switches() throws -> Int {
            let visitor = try ReplicationState.visit(path: state)
            defer { try? visitor.close() }
            return try visitor.modes.switches.count
        }
        let switching = ["mode", "azureml-only", "--state", state, "--no-wait"]
        session.answers = Answers(read: { "no" })
        #expect(await Program.run(switching, in: session) == .failed)
        #expect(world.complained.contains("Hand everything over to the secondary?") && world.complained.contains("nothing was switched"))
        #expect(try switches() == 0)
        session.answers = Answers(read: { "yes" })
        #expect(await Program.run(switching, in: session) == .ok)
        #expect(try switches() == 1)
        session.answers = Answers(read: { "no" })
        #expect(await Program.run(["mode", "dual", "--state", state], in: session) == .failed)
        #expect(try switches() == 1)
        #expect(await Program.run(["mode", "dual", "--state", state, "-y"], in: session) == .ok)
        #expect(try switches() == 0)
    }

    @Test func itIsEndedByTheNamesThatItHas() async throws {
        try ReplicationState.open(path: state).close()
        #expect(await world.run(["mode", "azureml-only", "--state", state, "--experiment", "a"]) == .ok)
        #expect(await world.run(["mode", "dual", "--state", state, "--experiment", "b"]) == .configuration)
        #expect(world.complained.contains("experiment b: not switched by these patterns; switched is: experiment a"))
        #expect(await world.run(["mode", "dual", "--state", state, "--experiment", "a"]) == .ok)
        #expect(world.printed == "mode: dual\n")
        // What is so already is no error.
        #expect(await world.run(["mode", "dual", "--state", state]) == .ok)
        let owner = try ReplicationState.open(path: state)
        // Nothing had been sealed: nothing went on unseen.
        #expect(try owner.modes.switches == [] && owner.control(.reconciling) == nil)
        try owner.close()
    }

    @Test func whatIsSealedIsShown() async throws {
        let owner = try ReplicationState.open(path: state)
        try owner.changeModes { ledger in
            var one = ModeSwitch(.everything, askedAt: 1_700_000_000_000)
            (one.step, one.cutover, one.sealedAt, one.verifiedAt) = (.sealed, 41, 1_700_000_002_000, 1_700_000_001_000)
            (one.compared, one.moving) = (["runs": 3], 1)
            ledger.ask(one)
        }
        #expect(await world.run(["mode", "--state", state]) == .ok)
        #expect(
            world.printed == """
                mode: azureml-only
                everything: azureml-only since 2023-11-14T22:13:22.000Z, cutover at 41
                  compared 2023-11-14T22:13:21.000Z: runs 3: no differences; 1 thing was being written

                """, "\(world.printed)")
        #expect(await world.run(["status", "--state", state]).rawValue == 0)
        #expect(world.printed.contains("mode:         azureml-only\n"))
        // Back again: what went on meanwhile is looked at.
        #expect(await world.run(["mode", "dual", "--state", state]) == .ok)
        #expect(try owner.control(.reconciling)?.hasPrefix("back to dual") == true)
        try owner.close()
    }

    @Test func whatIsBlockedIsAWarningAndCodeFour() async throws {
        let owner = try ReplicationState.open(path: state)
        try owner.changeModes { ledger in
            var one = ModeSwitch(.everything, askedAt: 1_700_000_000_000)
            (one.step, one.differences, one.waitsFor, one.examples) = (.verify, 2, "people", ["run x: param:p"])
            one.blockedAt = 1_700_000_000_500
            ledger.ask(one)
        }
        #expect(await world.run(["status", "--state", state]).rawValue == 1)
        #expect(world.printed.hasPrefix("WARNING - everything cannot be switched to azureml-only: 2 differences"))
        #expect(await world.run(["mode", "--state", state]) == .ok)
        #expect(world.printed.contains("    run x: param:p\n"))
        try owner.close()
    }

    @Test(arguments: [
        (["azureml"], "expected dual or azureml-only, found \"azureml\""),
        (["--experiment", "a"], "say azureml-only or dual before"),
        (["dual", "--deep"], "--deep and --accept-differences are for azureml-only"),
        (["azureml-only", "--experiment", ""], "a pattern may not be empty"),
    ]) func whatMakesNoSenseIsRefused(arguments: [String], why: String) async {
        #expect(await world.run(["mode", "--state", state] + arguments) == .usage)
        #expect(world.complained.contains(why), "\(world.complained)")
    }

    @Test func aRuleForStragglersIsReadAndShown() async throws {
        let file = try folder.write(
            "m.yaml", "primary: { uri: http://a }\nsecondary: { uri: http://b }\nstate: s.db\nmode: { stragglers: report }\n")
        #expect(await world.run(["check", "--offline", "--show-config", "--config", file]) == .ok)
        #expect(world.printed.contains("mode.stragglers") && world.printed.contains("report"))
        try folder.write("m.yaml", "primary: { uri: http://a }\nsecondary: { uri: http://b }\nstate: s.db\nmode: { stragglers: shoot }\n")
        #expect(await world.run(["check", "--offline", "--config", file]) == .configuration)
        let said = world.printed + world.complained
        #expect(said.contains("m.yaml:4:21: mode.stragglers: expected one of carry, report, found \"shoot\""), "\(said)")
    }
}

@Suite struct RetireCommandTests {
    let folder: TemporaryFolder
    let world = TestWorld()
    init() throws { folder = try TemporaryFolder() }

    private func configuration(_ more: String = "") throws -> String {
        let stores = "primary: { uri: http://a }\nsecondary: { uri: http://b }\nstate: s.db\nlive: { file_grace_seconds: 0 }\n"
        return try folder.write("m.yaml", stores + more)
    }

    @Test func itIsAllowedConfirmedAndThenDone() async throws {
        try await world.fill()
        let keeping = try configuration()
        #expect(await world.run(["backfill", "--config", keeping]) == .ok)
        #expect(await world.run(["retire", "--config", keeping, "--yes"]) == .configuration)
        #expect(world.complained.contains("mode.retire_primary is keep"))
        let file = try configuration("mode: { retire_primary: delete }\n")
        #expect(await world.run(["retire", "--config", file]) == .usage)
        #expect(world.complained.contains("there is no terminal to ask; confirm the deletion of runs on the primary with --yes"))
        var session = world.session([:], isTerminal: true)
        session.answers = Answers(read: { "no" })
        #expect(await Program.run(["retire", "--config", file], in: session) == .failed)
        #expect(world.complained.contains("not confirmed; nothing was deleted"))
        #expect(await world.run(["retire", "--config", file, "--yes"]) == .configuration)
        #expect(world.complained.contains("nothing is azureml-only yet"))

        let owner = try ReplicationState.open(path: folder.file("s.db"))
        try owner.seal()
        try owner.close()
        #expect(await world.run(["retire", "--config", keeping, "-n"]) == .ok)
        #expect(world.printed == "1 run would be deleted on the primary; 0 not wholly on the secondary\n")
        #expect(await world.run(["retire", "--config", file, "--yes", "--json"]) == .ok)
        #expect(world.printed.contains(#""retired":1"#))
        #expect(await world.run(["retire", "--config", file, "-y"]) == .ok)
        #expect(world.printed.hasPrefix("0 runs deleted on the primary"))
    }

    @Test func whatIsClosedIsNotDoneWith() async throws {
        try await world.fill()
        let file = try configuration("mode: { retire_primary: delete }\n")
        #expect(await world.run(["backfill", "--config", file]) == .ok)
        let owner = try ReplicationState.open(path: folder.file("s.db"))
        try owner.seal()
        try owner.close()
        world.primary.setFault { $0.name == "runs" ? .before(StoreError(.setAside, .forbidden, "no grant")) : nil }
        #expect(await world.run(["retire", "--config", file, "--yes"]) == .incomplete)
        #expect(world.printed.contains("experiments closed to us"), "\(world.printed)\(world.complained)")
    }

    @Test func whatTheSecondaryLacksIsNamed() async throws {
        try await world.fill()
        let file = try configuration("mode: { retire_primary: delete }\n")
        #expect(await world.run(["backfill", "--config", file]) == .ok)
        let owner = try ReplicationState.open(path: folder.file("s.db"))
        try owner.seal()
        let (primary, secondary) = try #require(try owner.mappedIDs(.run, after: "", limit: 1).first)
        try owner.close()
        world.secondary.losePoint(of: RunID(secondary), metric: "loss")
        #expect(await world.run(["retire", "--config", file, "--yes"]) == .differences)
        #expect(world.complained.contains("kept: run \(primary): history:loss"))
        #expect(try await world.primary.run(RunID(primary))?.lifecycle == .active)
    }
}
