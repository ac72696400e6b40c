import Foundation
import Replication
import TestSupport

/// A real MLflow server, an emulated Azure ML workspace, and the real binary between them.
final class AzurePair: Sendable {
    let primary: MLflowServer
    let workspace: AzureMLEmulator
    let folder: TemporaryFolder

    init(_ options: [String] = []) async throws {
        async let one = MLflowServer.start()
        async let other = AzureMLEmulator.start(options)
        (primary, workspace) = try await (one, other)
        folder = try TemporaryFolder()
    }

    func stop() {
        primary.stop()
        workspace.stop()
    }

    private var flags: [String] {
        ["--primary", primary.url, "--secondary", workspace.description.tracking_uri, "--state", folder.file("state.db")]
    }

    func mlmirror(_ command: String, _ more: [String] = [], environment: [String: String] = [:]) async throws -> RealPair.Result {
        try await RealPair.run(RealPair.binary, [command] + flags + more, workspace.environment.merging(environment) { $1 })
    }

    /// A process that goes on; its messages are in `log`.
    func start(_ command: String, _ more: [String] = []) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: RealPair.binary)
        process.arguments = [command] + flags + more
        process.environment = ProcessInfo.processInfo.environment.merging(workspace.environment) { $1 }
        process.standardOutput = FileHandle.nullDevice
        if !FileManager.default.fileExists(atPath: log) { try Data().write(to: URL(fileURLWithPath: log)) }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try handle.seekToEnd()
        process.standardError = handle
        try process.run()
        return process
    }

    var said: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Whether the daemon has nothing before it.
    func isSettled() async throws -> Bool {
        struct Status: Decodable {
            struct Lag: Decodable { var changes: Int }
            var state: String
            var lag: Lag
            var reconciling: String?
        }
        let result = try await RealPair.run(RealPair.binary, ["status", "--json", "--state", folder.file("state.db")])
        guard let status = try? JSONDecoder().decode(Status.self, from: Data(result.output.utf8)) else { return false }
        return status.state == "running" && status.lag.changes == 0 && status.reconciling == nil
    }

    var log: String { folder.file("log") }

    /// A program of the official client of MLflow 3, on the primary.
    func onPrimary(_ script: String, _ arguments: [String] = []) async throws -> String {
        let python = RealPair.package.appendingPathComponent(".venv/mlflow3/bin/python").path
        return try await output(python, script, [primary.url] + arguments, [:])
    }

    /// A program of Microsoft's client, on the workspace.
    func onWorkspace(_ script: String, _ arguments: [String]) async throws -> String {
        let python = RealPair.package.appendingPathComponent(".venv/azureml2/bin/python").path
        var environment = workspace.environment
        environment["MLFLOW_TRACKING_URI"] = workspace.description.tracking_uri
        return try await output(python, script, arguments, environment)
    }

    private func output(_ python: String, _ script: String, _ arguments: [String], _ environment: [String: String]) async throws -> String {
        let path = RealPair.package.appendingPathComponent("Tests/Support/python/\(script)").path
        let result = try await RealPair.run(python, [path] + arguments, environment)
        guard result.status == 0 else { throw RealPair.ScriptFailed(text: String((result.output + result.errors).suffix(3000))) }
        return result.output
    }
}
