import Foundation
import Replication
import TestSupport

/// Two real MLflow servers, the real binary, and the official Python client as workload and judge.
final class RealPair: Sendable {
    let primary: MLflowServer
    let secondary: MLflowServer
    let folder: TemporaryFolder
    private let primaryExecutable: String?

    /// - Parameter primaryExecutable: another MLflow for the primary.
    init(primaryExecutable: String? = MLflowServer.executable) async throws {
        async let one = MLflowServer.start(executable: primaryExecutable)
        async let other = MLflowServer.start()
        self.primaryExecutable = primaryExecutable
        (primary, secondary) = try await (one, other)
        folder = try TemporaryFolder()
    }

    func stop() {
        primary.stop()
        secondary.stop()
    }

    static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The binary beside the test bundle.
    static var binary: String {
        var folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        while folder.path != "/", !FileManager.default.isExecutableFile(atPath: folder.appendingPathComponent("mlmirror").path) {
            folder.deleteLastPathComponent()
        }
        return folder.appendingPathComponent("mlmirror").path
    }

    struct Result: Sendable {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Runs one of the commands over this pair.
    func mlmirror(_ command: String, _ more: [String] = [], state: String = "state.db", environment: [String: String] = [:]) async throws
        -> Result
    {
        let flags = ["--primary", primary.url, "--secondary", secondary.url, "--state", folder.file(state)]
        return try await Self.run(Self.binary, [command] + flags + more, environment)
    }

    /// - Parameters:
    ///   - through: addresses that stand for the servers' own.
    ///   - log: where its messages are added to; nil: nowhere.
    func start(
        _ command: String, _ more: [String] = [], state: String = "state.db", through: (primary: String, secondary: String)? = nil,
        environment: [String: String] = [:], log: String? = nil
    ) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.binary)
        let (one, other) = through ?? (primary.url, secondary.url)
        process.arguments = [command, "--primary", one, "--secondary", other, "--state", folder.file(state)] + more
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        if let log {
            let path = folder.file(log)
            if !FileManager.default.fileExists(atPath: path) { try Data().write(to: URL(fileURLWithPath: path)) }
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try handle.seekToEnd()
            process.standardError = handle
        }
        try process.run()
        return process
    }

    /// The data base behind the primary, as MLflow names it.
    var primaryDatabase: String { "sqlite:///" + primary.folder.appendingPathComponent("mlflow.db").path }

    /// - Parameter executable: the MLflow whose client is used.
    func python(_ script: String, _ arguments: [String], of executable: String? = MLflowServer.executable) async throws -> Result {
        let path = Self.package.appendingPathComponent("Tests/Support/python/\(script)").path
        let interpreter = URL(fileURLWithPath: executable ?? "").deletingLastPathComponent().appendingPathComponent("python")
            .path
        return try await Self.run(interpreter, [path] + arguments, ["MLFLOW_DISABLE_TELEMETRY": "true"])
    }

    func workload(_ size: String, seed: Int = 1) async throws {
        let arguments = [primary.url, "--size", size, "--seed", "\(seed)"]
        let result = try await python("workload.py", arguments, of: primaryExecutable)
        guard result.status == 0 else { throw ScriptFailed(text: result.output + result.errors) }
    }

    /// The official client's comparison of both servers; empty when they agree.
    func judge() async throws -> String {
        let result = try await python("judge.py", [primary.url, secondary.url])
        return result.status == 0 ? "" : result.output + result.errors
    }

    struct ScriptFailed: Error { var text: String }

    /// Waits on a thread of its own: the cooperative pool must not be held up.
    static func run(_ path: String, _ arguments: [String], _ environment: [String: String] = [:]) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                do {
                    let process = Process()
                    process.executableURL = URL(fileURLWithPath: path)
                    process.arguments = arguments
                    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
                    let output = Pipe()
                    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("mlmirror-\(UUID().uuidString)")
                    try Data().write(to: scratch)
                    process.standardOutput = output
                    process.standardError = try FileHandle(forWritingTo: scratch)
                    process.standardInput = FileHandle.nullDevice
                    try process.run()
                    let text = output.fileHandleForReading.readDataToEndOfFile()
                    process.waitUntilExit()
                    let errors = try Data(contentsOf: scratch)
                    try FileManager.default.removeItem(at: scratch)
                    continuation.resume(
                        returning: Result(
                            status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
                            errors: String(decoding: errors, as: UTF8.self)))
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}
