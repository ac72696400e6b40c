public import Foundation
import Replication

/// An emulator of a Databricks workspace, of a test's own: plain HTTP, a real MLflow server behind.
public final class DatabricksEmulator: Sendable {
    public struct NotStarted: Error {}

    /// What it says of itself.
    public struct Description: Decodable, Sendable {
        public var host: String
        public var token: String
        public var client_id: String
        public var client_secret: String
        public var workspace_id: String
        public var control: String
    }

    public let description: Description
    private let process = Process()
    // It ends with its standard input, so also when this process is killed.
    private let input = Pipe()
    private let temporary: TemporaryFolder

    /// The options are those of `databricks_emulator.py`.
    public static func start(_ options: [String] = []) async throws -> DatabricksEmulator {
        try await withCheckedThrowingContinuation { continuation in
            // Waits for another process, which the few threads of the tasks must not.
            Thread { continuation.resume(with: Result { try DatabricksEmulator(options) }) }.start()
        }
    }

    private init(_ options: [String]) throws {
        temporary = try TemporaryFolder()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("python/databricks_emulator.py")
            .path
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-B", script, "--directory", temporary.path] + options
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var line = Data()
        while !line.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw NotStarted() }
            line += more
        }
        description = try JSONDecoder().decode(Description.self, from: line)
    }

    /// It ends by itself, a moment later: nobody's thread waits for that.
    public func stop() { try? input.fileHandleForWriting.close() }

    /// What leads a client there, and says who asks; no profile of this machine's own.
    public var environment: [String: String] {
        [
            "DATABRICKS_HOST": description.host, "DATABRICKS_TOKEN": description.token, "DATABRICKS_CONFIG_FILE": "/dev/null",
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        ]
    }

    /// The same with a service principal and its secret.
    public var principal: [String: String] {
        var environment = environment
        environment["DATABRICKS_TOKEN"] = ""
        environment["DATABRICKS_CLIENT_ID"] = description.client_id
        environment["DATABRICKS_CLIENT_SECRET"] = description.client_secret
        return environment
    }

    /// Asks its control port.
    @discardableResult
    public func control(_ method: String, _ path: String, _ body: String = "") async throws -> Data {
        try await withCheckedThrowingContinuation { continuation in
            Thread {
                continuation.resume(
                    with: Result {
                        let process = Process()
                        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
                        let program = """
                            import sys, urllib.request
                            r = urllib.request.Request(sys.argv[2], sys.argv[3].encode() or None, method=sys.argv[1])
                            sys.stdout.buffer.write(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(r).read())
                            """
                        process.arguments = ["-I", "-c", program, method, self.description.control + "/emulator" + path, body]
                        let output = Pipe()
                        process.standardOutput = output
                        try process.run()
                        let answer = output.fileHandleForReading.readDataToEndOfFile()
                        process.waitUntilExit()
                        guard process.terminationStatus == 0 else { throw NotStarted() }
                        return answer
                    })
            }.start()
        }
    }

    public struct Request: Decodable, Sendable {
        public var method: String
        public var path: String
        public var status: Int
    }

    public func requests() async throws -> [Request] {
        try JSONDecoder().decode([Request].self, from: try await control("GET", "/requests"))
    }
}
