public import Foundation
import Replication

/// An emulator of an Azure ML workspace, of a test's own: TLS for all its hosts, a proxy that leads to it, a real MLflow server behind.
public final class AzureMLEmulator: Sendable {
    public struct NotStarted: Error {}

    /// What it says of itself.
    public struct Description: Decodable, Sendable {
        public var tracking_uri: String
        public var proxy: String
        public var ca_file: String
        public var control: String
        public var tls_port: Int
        public var identity_endpoint: String
        public var identity_header: String
        public var tenant: String
        public var client_id: String
        public var client_secret: String
        public var scope: String
    }

    public let description: Description
    private let process = Process()
    // It ends with its standard input, so also when this process is killed.
    private let input = Pipe()
    private let temporary: TemporaryFolder

    /// The options are those of `azureml_emulator.py`.
    public static func start(_ options: [String] = []) async throws -> AzureMLEmulator {
        try await withCheckedThrowingContinuation { continuation in
            // Waits for another process, which the few threads of the tasks must not.
            Thread { continuation.resume(with: Result { try AzureMLEmulator(options) }) }.start()
        }
    }

    private init(_ options: [String]) throws {
        temporary = try TemporaryFolder()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("python/azureml_emulator.py").path
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

    /// The workspace's address that needs no proxy.
    public var url: String { "https://127.0.0.1:\(description.tls_port)/mlflow/v2.0\(description.scope)" }

    /// What leads a client there, and says who asks; nothing of this machine's own.
    public var environment: [String: String] {
        [
            "HTTPS_PROXY": description.proxy, "https_proxy": description.proxy, "NO_PROXY": "", "no_proxy": "",
            "REQUESTS_CA_BUNDLE": description.ca_file, "CURL_CA_BUNDLE": description.ca_file, "SSL_CERT_FILE": description.ca_file,
            "IDENTITY_ENDPOINT": description.identity_endpoint, "IDENTITY_HEADER": description.identity_header,
            "AZUREML_CURRENT_CLOUD": "AzureCloud",
        ]
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
                        process.arguments = ["-I", "-c", program, method, self.description.control + path, body]
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
}
