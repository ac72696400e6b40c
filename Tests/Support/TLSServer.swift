import Foundation

/// A TLS server of a test's own on 127.0.0.1, with certificates that nobody else knows.
public final class TLSServer: Sendable {
    struct NotStarted: Error {}

    /// What the server tells about a request that reached it.
    public struct Seen: Decodable, Sendable {
        /// 1 for the first request that the server answers.
        public let number: Int
        /// The common name in the client's certificate.
        public let client: String?
        /// The names of the request's headers in lower case.
        public let headers: [String]?
        /// 1 for the server's first connection (HTTP/2 only).
        public let connection: Int?

        public init(_ body: [UInt8]) throws { self = try JSONDecoder().decode(Self.self, from: Data(body)) }
    }

    public let port: UInt16
    public var url: String { "https://127.0.0.1:\(port)" }
    /// A folder of hashed certificates.
    public var folder: String { temporary.path }
    /// For 127.0.0.1 and server.invalid.
    public var certificate: String { temporary.file("server.pem") }
    /// The one certificate that the server accepts, with its key.
    public var clientCertificate: String { temporary.file("client.pem") }

    private let temporary: TemporaryFolder
    private let process = Process()
    // The server ends with its standard input, so also when this process is killed.
    private let input = Pipe()

    /// The options are those of `tls_server.py`.
    public static func start(_ options: [String] = []) async throws -> TLSServer {
        try await withCheckedThrowingContinuation { continuation in
            // Waits for another process, which the few threads of the tasks must not.
            Thread { continuation.resume(with: Result { try TLSServer(options) }) }.start()
        }
    }

    private init(_ options: [String]) throws {
        temporary = try TemporaryFolder()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("python/tls_server.py").path
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-I", "-S", script, temporary.path] + options
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let port = UInt16(line.trimmingCharacters(in: .newlines)) else { throw NotStarted() }
        self.port = port
    }

    public func stop() { process.terminate() }
}
