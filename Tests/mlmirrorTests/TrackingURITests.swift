import Foundation
import Replication
import TestSupport
import Testing

@testable import mlmirror

@Suite("tracking-uri")
struct TrackingURITests {
    private let folder: TemporaryFolder
    private let world = TestWorld()
    private var state: String { folder.file("state.db") }
    private static let workspace =
        "/mlflow/v1.0/subscriptions/s/resourceGroups/R/providers/Microsoft.MachineLearningServices/workspaces/W"

    init() throws { folder = try TemporaryFolder() }

    private func uri(_ options: [String] = [], secondary: String = "http://b:5000", _ variables: [String: String] = [:]) async -> Status {
        await world.run(["tracking-uri", "--primary", "http://a:5000", "--secondary", secondary, "--state", state] + options, variables)
    }

    private func set(_ mode: Mode) throws {
        let owner = try ReplicationState.open(path: state)
        try owner.changeModes { ledger in
            guard mode == .azureMLOnly else { return }
            var one = ModeSwitch(.everything, askedAt: 1)
            one.step = .sealed
            ledger.ask(one)
        }
        try owner.close()
    }

    @Test("of one experiment may be another one's")
    func ofAnExperiment() async throws {
        let owner = try ReplicationState.open(path: state)
        try owner.seal(NameScope(experiments: ["/Shared/**"]))
        try owner.close()
        #expect(await uri() == .ok)
        #expect(world.printed == "http://a:5000\n")
        #expect(await uri(["--experiment", "/Shared/churn"]) == .ok)
        #expect(world.printed == "http://b:5000\n")
        #expect(await uri(["--experiment", "/Users/ann/churn"]) == .ok)
        #expect(world.printed == "http://a:5000\n")
    }

    @Test("is the primary's while both are kept, and the secondary's in azureml-only")
    func modes() async throws {
        #expect(await uri() == .ok)
        #expect(world.printed == "http://a:5000\n")
        #expect(try FolderMaker.list(folder.path).isEmpty, "it makes no state file")
        try set(.dual)
        #expect(await uri() == .ok)
        #expect(world.printed == "http://a:5000\n")
        try set(.azureMLOnly)
        #expect(await uri() == .ok)
        #expect(world.printed == "http://b:5000\n")
        #expect(await uri(secondary: "azureml://host" + Self.workspace) == .ok)
        #expect(world.printed == "azureml://host\(Self.workspace)\n")
        #expect(await uri(["--json"]) == .ok)
        let object = try #require(FolderMaker.object(world.printed))
        #expect(object["mode"] as? String == "azureml-only" && object["registry_uri"] as? String == "http://b:5000")
        #expect(object["tracking_uri"] as? String == "http://b:5000" && object["message_type"] as? String == "tracking_uri")
        // A workspace behind another name: Microsoft's client knows it by its own scheme alone.
        #expect(await uri(secondary: "https://proxy:8443" + Self.workspace) == .ok)
        #expect(world.printed == "azureml://proxy:8443\(Self.workspace)\n")
    }

    @Test("a state file that cannot be read is told, not guessed at")
    func unreadable() async throws {
        try folder.write("state.db", "not a database, but long enough to be looked at as one")
        #expect(await uri() == .configuration)
        #expect(world.printed.isEmpty)
    }

    @Test("a state file that nobody can look at may say azureml-only: the primary is not named instead")
    func outOfSight() async throws {
        // Links that lead to each other: also for root there is no way.
        try FileManager.default.createSymbolicLink(atPath: state, withDestinationPath: folder.file("other"))
        try FileManager.default.createSymbolicLink(atPath: folder.file("other"), withDestinationPath: state)
        #expect(await uri() == .configuration)
        #expect(world.printed.isEmpty)
        #expect(world.complained.contains("\(state): cannot be read ("), "\(world.complained)")
        for command in ["status", "mode"] {
            _ = await world.run([command, "--state", state])
            let said = world.printed + world.complained
            #expect(said.contains("cannot be read (") && !said.contains("no such file"), "\(said)")
        }
        let stores = ["--primary", "http://a", "--secondary", "http://b", "--state", state]
        #expect(await world.run(["backfill", "--dry-run"] + stores) == .configuration)
        #expect(await world.run(["check", "--offline"] + stores) == .configuration)
    }

    @Test("--env is read by a shell as it was meant", arguments: ["/plain", "/it's/$HOME/`id`/\"x\"/a;b&c*"])
    func shell(_ path: String) async throws {
        #expect(
            await world.run(["tracking-uri", "--primary", "http://a:5000\(path)", "--secondary", "http://b", "--state", state, "--env"])
                == .ok)
        let shell = Process()
        let pipe = Pipe()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-euc", world.printed + #"/usr/bin/env | grep "^MLFLOW_""#]
        shell.environment = ["PATH": "/usr/bin:/bin"]
        shell.standardOutput = pipe
        try shell.run()
        let said = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        shell.waitUntilExit()
        #expect(
            said.split(separator: "\n").sorted() == [
                "MLFLOW_REGISTRY_URI=http://a:5000\(path)", "MLFLOW_TRACKING_URI=http://a:5000\(path)",
            ])
    }

    @Test("--cluster-policy fixes both variables of every notebook's compute")
    func policy() async throws {
        #expect(await uri(["--cluster-policy"]) == .ok)
        let policy = try #require(try JSONSerialization.jsonObject(with: Data(world.printed.utf8)) as? [String: [String: String]])
        let rule = ["type": "fixed", "value": "http://a:5000"]
        #expect(policy == ["spark_env_vars.MLFLOW_TRACKING_URI": rule, "spark_env_vars.MLFLOW_REGISTRY_URI": rule])
    }

    @Test("no form shows a password", arguments: [[], ["--env"], ["--cluster-policy"], ["--json"]])
    func secrets(_ form: [String]) async {
        let variables = ["MLMIRROR_PRIMARY": "http://ann:shibboleth@a:5000", "MLMIRROR_SECONDARY": "http://b", "MLMIRROR_STATE": state]
        #expect(await world.run(["tracking-uri"] + form, variables) == .ok)
        #expect(world.printed.contains("http://a:5000") && !(world.printed + world.complained).contains("shibboleth"))
        #expect(!world.printed.contains("ann"))
    }

    @Test("forms exclude each other, and help begins with examples")
    func usage() async {
        #expect(await uri(["--env", "--json"]) == .usage)
        #expect(await uri(["--env", "--cluster-policy"]) == .usage)
        #expect(await world.run(["tracking-uri", "--primary", "http://a"]) == .usage)
        #expect(await world.run(["tracking-uri", "--help"]) == .ok)
        #expect(world.printed.contains("Examples:\n"))
    }
}
