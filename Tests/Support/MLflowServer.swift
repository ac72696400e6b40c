public import Foundation
import Glibc
import Replication

/// A real `mlflow server` of a test's own, on a data base and files of its own, ended with everything it started.
public final class MLflowServer: Sendable {
    public enum Failure: Error, CustomStringConvertible {
        case missing(String)
        case notStarted(String)
        case noPort
        public var description: String {
            switch self {
            case .missing(let path): "no mlflow at \(path); set MLMIRROR_TEST_MLFLOW"
            case .notStarted(let log): "mlflow server did not come up; its log is \(log)"
            case .noPort: "no port between 15000 and 27000 is free"
            }
        }
    }

    /// The path of the `mlflow` executable to test with; nil where there is none. A relative path is one below the package.
    public static var executable: String? {
        let given = ProcessInfo.processInfo.environment["MLMIRROR_TEST_MLFLOW"] ?? ".venv/mlflow3/bin/mlflow"
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let path = given.hasPrefix("/") ? given : root.appendingPathComponent(given).path
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }

    public let url: String
    public let folder: URL
    private let process: Locked<pid_t>
    private let command: [String]
    private let variables: [String: String]

    /// Starts a server and waits until it answers. `options` are further arguments; `environment` is added to this process's.
    public static func start(
        options: [String] = [], environment: [String: String] = [:], executable: String? = MLflowServer.executable
    ) async throws -> MLflowServer {
        guard let executable else {
            throw Failure.missing(ProcessInfo.processInfo.environment["MLMIRROR_TEST_MLFLOW"] ?? ".venv/mlflow3/bin/mlflow")
        }
        var log = ""
        // Between asking the kernel for a free port and using it, another process may take it.
        for _ in 0..<5 {
            let server = try MLflowServer(executable, port: try freePort(), options, environment)
            if try await server.isUp() { return server }
            log = server.folder.appendingPathComponent("server.log").path
        }
        throw Failure.notStarted(log)
    }

    private init(_ executable: String, port: UInt16, _ options: [String], _ environment: [String: String]) throws {
        url = "http://127.0.0.1:\(port)"
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("mlflow-\(UUID().uuidString)")
        let working = folder.appendingPathComponent("cwd")
        try FileManager.default.createDirectory(at: working, withIntermediateDirectories: true)
        var arguments = [
            executable, "server", "--host", "127.0.0.1", "--port", String(port), "--workers", "1", "--backend-store-uri",
            "sqlite:///\(folder.appendingPathComponent("mlflow.db").path)",
        ]
        if !options.contains("--artifacts-destination"), !options.contains("--no-serve-artifacts") {
            arguments += ["--artifacts-destination", folder.appendingPathComponent("artifacts").path]
        }
        var variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        variables["MLFLOW_DISABLE_TELEMETRY"] = "true"
        // A dozen processes that nothing here needs, at some seconds of processor time each.
        variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] ?? "false"
        command = arguments + options
        self.variables = variables
        process = Locked(
            try Self.spawn(arguments + options, variables, in: working.path, log: folder.appendingPathComponent("server.log").path))
    }

    /// Kills it amid whatever it does, and starts it again at the same address with what it has.
    public func restart() async throws {
        kill()
        let log = folder.appendingPathComponent("server.log").path
        let started = try Self.spawn(command, variables, in: folder.appendingPathComponent("cwd").path, log: log)
        process.withLock { $0 = started }
        guard try await isUp() else { throw Failure.notStarted(log) }
    }

    /// Kills it amid whatever it does; `restart` brings it back.
    public func kill() {
        let id = process.withLock { $0 }
        Glibc.kill(-id, SIGKILL)
        var status: Int32 = 0
        waitpid(id, &status, 0)
    }

    deinit { stop() }

    /// Ends the server's process group and removes its folder.
    public func stop() {
        kill()
        try? FileManager.default.removeItem(at: folder)
    }

    private func isUp() async throws -> Bool {
        // A first start makes the data base: 10 to 30 s on a busy machine.
        for _ in 0..<1200 {
            var status: Int32 = 0
            if waitpid(process.withLock { $0 }, &status, WNOHANG) != 0 { return false }
            if Self.answers(url) { return true }
            try await Task.sleep(for: .milliseconds(100))
        }
        return false
    }

    /// Asks `GET /health` over a plain socket.
    private static func answers(_ url: String) -> Bool {
        guard let port = url.split(separator: ":").last.flatMap({ UInt16($0) }) else { return false }
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = loopback(port)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard isConnected == 0 else { return false }
        let request = Array("GET /health HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\r\n".utf8)
        guard send(socket, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return false }
        var answer = [UInt8](repeating: 0, count: 15)
        return recv(socket, &answer, answer.count, Int32(MSG_WAITALL)) == 15 && answer.starts(with: "HTTP/1.1 200".utf8)
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static let firstPort = UInt16.random(in: 15_000..<25_000)
    private static let portsGiven = Locked<UInt16>(0)

    /// A port that nobody listens on at this moment, and none that the kernel gives to others: a server takes seconds until it listens, and
    /// `GET /health` would be answered by whoever was given its port meanwhile.
    private static func freePort() throws -> UInt16 {
        for _ in 0..<2000 {
            let port =
                firstPort
                + portsGiven.withLock { given in
                    given += 1
                    return given
                }
            let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(socket) }
            var address = loopback(port)
            let isBound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if isBound { return port }
        }
        throw Failure.noPort
    }

    /// A process group of its own, so that the server's workers end with it.
    private static func spawn(_ arguments: [String], _ variables: [String: String], in folder: String, log: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        let arguments = ["/usr/bin/env", "-C", folder] + arguments
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, arguments[0], &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .ENOENT) }
        return process
    }
}
