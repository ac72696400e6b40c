import Foundation
import TestSupport
import Testing

/// A workspace of Databricks as the primary, with its emulator in its place and the official client as the one who writes there.
@Suite(.enabled(if: MLflowServer.executable != nil, "no mlflow executable; set MLMIRROR_TEST_MLFLOW"))
struct DatabricksTests {
    @Test func aWorkspaceIsCopiedProvenAndFollowed() async throws {
        async let started = DatabricksEmulator.start()
        async let server = MLflowServer.start()
        let workspace = try await started
        let secondary = try await server
        let folder = try TemporaryFolder()
        defer {
            workspace.stop()
            secondary.stop()
        }
        let flags = ["--primary", "databricks", "--secondary", secondary.url, "--state", folder.file("state.db")]
        func mlmirror(_ command: String, _ more: [String] = []) async throws -> RealPair.Result {
            try await RealPair.run(RealPair.binary, [command] + flags + more, workspace.principal)
        }
        try await Self.write(["all"], workspace)

        let checked = try await mlmirror("check")
        #expect(checked.status == 0, "\(checked.output)\(checked.errors)")
        let about = "Databricks workspace \(workspace.description.workspace_id), asked as oauth-m2m by DATABRICKS_CLIENT_SECRET"
        #expect(checked.output.contains("\(workspace.description.host), \(about)"), "\(checked.output)")
        #expect(!checked.output.contains(workspace.description.client_secret))

        // Tokens and addresses end meanwhile.
        try await workspace.control("POST", "/faults", #"{"expired_sas": {"count": 5, "method": "GET"}}"#)
        try await workspace.control("POST", "/tokens/expire")
        let copied = try await mlmirror("backfill")
        #expect(copied.status == 0, "\(copied.output)\(copied.errors)")
        let verified = try await mlmirror("verify", ["--deep"])
        #expect(verified.status == 0 && verified.output.contains("Both sides agree"), "\(verified.output)\(verified.errors)")
        let counted = try await secondary.count()
        #expect(counted == ["runs": 5, "models": 1, "versions": 2, "logged models": 1], "\(counted)")

        try await workspace.control("DELETE", "/requests")
        let before = try await secondary.fingerprint()
        let again = try await mlmirror("backfill")
        #expect(again.status == 0, "\(again.output)\(again.errors)")
        #expect(try await secondary.fingerprint() == before)
        // Nothing is ever written to the workspace.
        let written = try await workspace.requests().filter {
            $0.path.contains("/mlflow/") && $0.method != "GET"
                && !["/search", "credentials-for-", "/traces/metrics"].contains(where: $0.path.contains)
        }
        #expect(written.isEmpty, "\(written)")

        let daemon = Process()
        daemon.executableURL = URL(fileURLWithPath: RealPair.binary)
        daemon.arguments = ["run"] + flags
        daemon.environment = ProcessInfo.processInfo.environment.merging(workspace.principal) { $1 }
        daemon.standardOutput = FileHandle.nullDevice
        daemon.standardError = FileHandle.nullDevice
        try daemon.run()
        defer { if daemon.isRunning { daemon.terminate() } }
        try await Self.write(["run", "fresh"], workspace)
        let end = ContinuousClock.now + .seconds(120)
        var found = ""
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(3))
            let looked = try await mlmirror("verify", ["--deep"])
            found = looked.output + looked.errors
            if looked.status == 0, try await secondary.count()["runs"] == 6 { break }
        }
        #expect(found.contains("Both sides agree"), "\(found)")
        #expect(try await secondary.count()["runs"] == 6)
        let throttled = try await workspace.requests().count { $0.status == 429 }
        #expect(throttled == 0, "the share of the rates is kept")
        daemon.terminate()
        daemon.waitUntilExit()
        #expect(daemon.terminationStatus == 0)
    }

    /// A workspace does not list what is closed: that is never taken for deleted.
    @Test func whatIsClosedMeanwhileStaysWhereItIs() async throws {
        async let started = DatabricksEmulator.start(["--rate-scale", "0"])
        async let server = MLflowServer.start()
        let workspace = try await started
        let secondary = try await server
        let folder = try TemporaryFolder()
        defer {
            workspace.stop()
            secondary.stop()
        }
        let flags = ["--primary", "databricks", "--secondary", secondary.url, "--state", folder.file("state.db")]
        func mlmirror(_ command: String, _ more: [String] = []) async throws -> RealPair.Result {
            try await RealPair.run(RealPair.binary, [command] + flags + more, workspace.environment)
        }
        for name in ["open", "closed"] { try await Self.write(["run", name], workspace) }
        let first = try await mlmirror("backfill")
        #expect(first.status == 0, "\(first.output)\(first.errors)")
        let program = "from mlflow import MlflowClient; print(MlflowClient().get_experiment_by_name('/Shared/closed').experiment_id)"
        let closed = try await Self.python(program, workspace).trimmingCharacters(in: .whitespacesAndNewlines)
        try await workspace.control("POST", "/faults", "{\"denied\": [\"\(closed)\"]}")
        try await Self.write(["run", "open"], workspace)
        let second = try await mlmirror("backfill")
        #expect(second.status == 0, "\(second.output)\(second.errors)")
        #expect(try await secondary.count()["runs"] == 3)

        try await workspace.control("DELETE", "/faults")
        let proven = try await mlmirror("verify", ["--deep"])
        #expect(proven.status == 0, "\(proven.output)\(proven.errors)")
    }

    /// All that a team does, with the registry of Unity Catalog, while it is followed.
    @Test func aTeamsWorkIsFollowed() async throws {
        async let started = DatabricksEmulator.start(["--rate-scale", "0", "--unity-storage", "presigned"])
        async let server = MLflowServer.start()
        let workspace = try await started
        let secondary = try await server
        let folder = try TemporaryFolder()
        defer {
            workspace.stop()
            secondary.stop()
        }
        let configuration = """
            primary: { uri: databricks, registry: databricks-uc, rate_share: 100 }
            secondary: { uri: "\(secondary.url)" }
            state: state.db
            """
        let path = folder.file("mlmirror.yaml")
        try configuration.write(toFile: path, atomically: true, encoding: .utf8)
        let daemon = Process()
        daemon.executableURL = URL(fileURLWithPath: RealPair.binary)
        daemon.arguments = ["run", "--config", path]
        daemon.environment = ProcessInfo.processInfo.environment.merging(workspace.environment) { $1 }
        daemon.standardOutput = FileHandle.nullDevice
        daemon.standardError = FileHandle.nullDevice
        try daemon.run()
        defer { if daemon.isRunning { daemon.terminate() } }
        let script = RealPair.package.appendingPathComponent("Tests/Support/python/databricks_workload.py").path
        try await Self.run([script, "--seed", "5", "--live", "20"], workspace, registry: "databricks-uc")
        let end = ContinuousClock.now + .seconds(240)
        var found = ""
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(5))
            let looked = try await RealPair.run(RealPair.binary, ["verify", "--deep", "--config", path], workspace.environment)
            found = looked.output + looked.errors
            if looked.status == 0, try await secondary.count()["versions", default: 0] > 0 { break }
        }
        #expect(found.contains("Both sides agree"), "\(found.suffix(3000))")
        #expect(try await secondary.count()["versions", default: 0] > 0)
        daemon.terminate()
        daemon.waitUntilExit()
        #expect(daemon.terminationStatus == 0)
    }

    /// ARM_* and DATABRICKS_* say who asks the one, AZURE_* and the machine who asks the other.
    @Test func aWorkspaceIsCopiedToAzureML() async throws {
        async let started = DatabricksEmulator.start(["--rate-scale", "0", "--storage", "AZURE_ADLS_GEN2_SAS_URI"])
        async let other = AzureMLEmulator.start()
        let workspace = try await started
        let secondary = try await other
        let folder = try TemporaryFolder()
        defer {
            workspace.stop()
            secondary.stop()
        }
        try await Self.write(["all"], workspace)
        let flags = ["--primary", "databricks", "--secondary", secondary.description.tracking_uri, "--state", folder.file("state.db")]
        let environment = secondary.environment.merging(workspace.environment.filter { $0.key.hasPrefix("DATABRICKS_") }) { $1 }
        let copied = try await RealPair.run(RealPair.binary, ["backfill"] + flags, environment)
        // A version that was made of a folder without an MLmodel file is nothing that Azure ML registers.
        #expect(copied.status == 3, "\(copied.output)\(copied.errors)")
        let letters = try await RealPair.run(RealPair.binary, ["dead-letters", "list", "--state", folder.file("state.db")])
        #expect(letters.output.contains("constant") && !letters.output.contains("run"), "\(letters.output)")
    }

    /// The storage account of the one fetches from that of the other: what is large does not pass through here.
    @Test func largeFilesPassFromStorageToStorage() async throws {
        async let started = DatabricksEmulator.start(["--rate-scale", "0", "--no-headers"])
        async let other = AzureMLEmulator.start()
        let workspace = try await started
        let secondary = try await other
        let folder = try TemporaryFolder()
        defer {
            workspace.stop()
            secondary.stop()
        }
        let flags = ["--primary", "databricks", "--secondary", secondary.description.tracking_uri, "--state", folder.file("state.db")]
        let environment = secondary.environment.merging(workspace.environment.filter { $0.key.hasPrefix("DATABRICKS_") }) { $1 }
        func mlmirror(_ command: String, _ more: [String] = []) async throws -> RealPair.Result {
            try await RealPair.run(RealPair.binary, [command] + flags + more, environment)
        }
        struct Request: Decodable {
            var method: String
            var path: String
            var bytes_in: Int
        }
        func copied(megabytes: Int) async throws -> [Request] {
            try await Self.writeFile(megabytes: megabytes, workspace)
            try await secondary.control("DELETE", "/requests")
            let done = try await mlmirror("backfill")
            #expect(done.status == 0, "\(done.output)\(done.errors)")
            let requests = try JSONDecoder().decode([Request].self, from: try await secondary.control("GET", "/requests"))
            let proven = try await mlmirror("verify", ["--deep"])
            #expect(proven.status == 0 && proven.output.contains("Both sides agree"), "\(proven.output)\(proven.errors)")
            return requests
        }
        // The first address that is fetched from has ended.
        try await workspace.control("POST", "/faults", #"{"expired_sas": {"count": 1, "method": "GET"}}"#)
        let fetched = try await copied(megabytes: 130)
        #expect(fetched.reduce(0) { $0 + $1.bytes_in } < 1 << 20)
        #expect(fetched.count { $0.method == "PUT" && $0.path.contains("comp=block&") } >= 3)

        try await secondary.control("POST", "/faults", #"{"copy_refused": [409, "PublicAccessNotPermitted"]}"#)
        let carried = try await copied(megabytes: 5)
        #expect(carried.reduce(0) { $0 + $1.bytes_in } > 5 << 20)
    }

    // MARK: The official client

    private static func writeFile(megabytes: Int, _ workspace: DatabricksEmulator) async throws {
        let program = """
            import mlflow, os, tempfile
            mlflow.set_experiment("/Shared/large")
            with mlflow.start_run(), tempfile.TemporaryDirectory() as folder:
                with open(f"{folder}/large.bin", "wb") as file:
                    for _ in range(\(megabytes)):
                        file.write(os.urandom(1 << 20))
                mlflow.log_artifact(f"{folder}/large.bin", "checkpoints")
            """
        _ = try await python(program, workspace)
    }

    private static func write(_ arguments: [String], _ workspace: DatabricksEmulator) async throws {
        let script = RealPair.package.appendingPathComponent("Tests/Support/python/databricks_writer.py").path
        try await run([script] + arguments, workspace)
    }

    private static func python(_ program: String, _ workspace: DatabricksEmulator) async throws -> String {
        try await run(["-c", program], workspace)
    }

    @discardableResult
    private static func run(
        _ arguments: [String], _ workspace: DatabricksEmulator, registry: String = "databricks"
    ) async throws -> String {
        let client = registry == "databricks" ? "mlflow3" : "databricks"
        let interpreter = RealPair.package.appendingPathComponent(".venv/\(client)/bin/python").path
        let environment = workspace.environment.merging(
            [
                "MLFLOW_TRACKING_URI": "databricks", "MLFLOW_REGISTRY_URI": registry, "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "GIT_PYTHON_REFRESH": "quiet",
            ]) { $1 }
        let result = try await RealPair.run(interpreter, arguments, environment)
        guard result.status == 0 else { throw RealPair.ScriptFailed(text: String((result.output + result.errors).suffix(3000))) }
        return result.output
    }
}

extension MLflowServer {
    private static let program = """
        import sys, json, mlflow
        from mlflow import MlflowClient
        from mlflow.entities import ViewType
        client = MlflowClient(sys.argv[1])
        experiments = client.search_experiments(view_type=ViewType.ALL)
        runs = [r for e in experiments for r in client.search_runs([e.experiment_id], run_view_type=ViewType.ALL)]
        models = client.search_registered_models()
        versions = [v for m in models for v in client.search_model_versions(f"name='{m.name}'")]
        logged = [m for e in experiments for m in client.search_logged_models([e.experiment_id])]
        if sys.argv[2] == "count":
            print(json.dumps({"runs": len(runs), "models": len(models), "versions": len(versions), "logged models": len(logged)}))
        else:
            print([dict(e) for e in experiments], [r.to_dictionary() for r in runs], [dict(v) for v in versions], [dict(m) for m in models])
        """

    private func looked(_ what: String) async throws -> String {
        let interpreter = URL(fileURLWithPath: MLflowServer.executable ?? "").deletingLastPathComponent().appendingPathComponent("python")
            .path
        let result = try await RealPair.run(interpreter, ["-c", Self.program, url, what], ["MLFLOW_DISABLE_TELEMETRY": "true"])
        guard result.status == 0 else { throw RealPair.ScriptFailed(text: String(result.errors.suffix(3000))) }
        return result.output
    }

    /// How much is there, as the official client counts it.
    func count() async throws -> [String: Int] { try JSONDecoder().decode([String: Int].self, from: Data(try await looked("count").utf8)) }
    /// All records, with their times of change.
    func fingerprint() async throws -> String { try await looked("everything") }
}
