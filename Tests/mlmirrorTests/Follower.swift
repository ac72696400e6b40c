import Foundation
import Glibc
import Replication
import TestSupport
import Testing

/// A daemon between two real servers, with what tests do to it.
final class Follower: Sendable {
    let pair: RealPair
    private let triggers: Bool
    private let daemon = Locked<Process?>(nil)
    private let network = Locked<(primary: String, secondary: String)?>(nil)
    private let proxies = Locked<[Process]>([])

    init(triggers: Bool) async throws {
        pair = try await RealPair()
        self.triggers = triggers
        guard triggers else { return }
        let installed = try await RealPair.run(RealPair.binary, ["feed", "install", "--database", pair.primaryDatabase])
        guard installed.status == 0 else { throw RealPair.ScriptFailed(text: installed.errors) }
    }

    func stop() {
        daemon.withLock { process in
            if let process, process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
        }
        for proxy in proxies.withLock({ $0 }) { proxy.terminate() }
        pair.stop()
    }

    /// - Parameter more: further arguments.
    func start(_ more: [String] = [], _ variables: [String: String] = [:]) throws {
        let feed = triggers ? ["--primary-database", pair.primaryDatabase] : ["--feed", "poll"]
        let environment = ["MLMIRROR_CYCLE_SECONDS": "2", "MLMIRROR_REQUESTS_PER_SECOND": "20"].merging(variables) { $1 }
        let process = try pair.start("run", feed + more, through: network.withLock { $0 }, environment: environment, log: "daemon.log")
        daemon.withLock { $0 = process }
    }

    /// What the daemon said.
    var log: String { (try? String(contentsOfFile: pair.folder.file("daemon.log"), encoding: .utf8)) ?? "" }

    func workload(seconds: Int, seed: Int) async throws {
        let arguments = [
            pair.primary.url, "--seconds", "\(seconds)", "--clients", "8", "--seed", "\(seed)", "--models", "--prefix", "s\(seed)",
        ]
        let result = try await pair.python("live_workload.py", arguments)
        guard result.status == 0 else {
            let server = (try? String(contentsOf: pair.primary.folder.appendingPathComponent("server.log"), encoding: .utf8)) ?? ""
            throw RealPair.ScriptFailed(text: "\(result.output)\(result.errors)\nThe server said:\n\(server.suffix(4000))")
        }
    }

    /// kill -9 at moments that a seed gives, each time followed by a new start.
    func kill(times: Int, seed: UInt64, _ between: (Int) async throws -> Void = { _ in }) async throws {
        var random = seed &* 0x9e37_79b9_7f4a_7c15
        for number in 1...times {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            try await Task.sleep(for: .milliseconds(200 + Int(random >> 33) % 1600))
            let process = try #require(daemon.withLock { $0 })
            #expect(process.isRunning, "the daemon ended by itself: \(log.suffix(1000))")
            Glibc.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            try await between(number)
            try start()
        }
    }

    /// Delays, 429 and 503, cut connections, and lost answers of requests that took effect.
    func goThroughBadNetwork(seed: Int) async throws {
        let one = try proxy(pair.primary.url, seed)
        let other = try proxy(pair.secondary.url, seed + 1)
        network.withLock { $0 = (one, other) }
    }

    private func proxy(_ target: String, _ seed: Int) throws -> String {
        let process = Process()
        let interpreter = URL(fileURLWithPath: MLflowServer.executable ?? "").deletingLastPathComponent().appendingPathComponent("python")
        process.executableURL = interpreter
        let script = RealPair.package.appendingPathComponent("Tests/Support/python/fault_proxy.py").path
        process.arguments =
            [script, target, "--seed", "\(seed)", "--until-eof"]
            + ["--delay", ".02", "--status", ".02", "--cut", ".02", "--drop-answer", ".03"]
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = Pipe()
        process.standardError = FileHandle.nullDevice
        try process.run()
        proxies.withLock { $0.append(process) }
        var line = Data()
        while !line.contains(10) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw RealPair.ScriptFailed(text: "the proxy did not come up") }
            line += more
        }
        struct Answer: Decodable { var uri: String }
        return try JSONDecoder().decode(Answer.self, from: line).uri
    }

    func signal(_ number: Int32) {
        daemon.withLock { process in if let process { Glibc.kill(process.processIdentifier, number) } }
    }

    /// Waits until the daemon has said this.
    func said(_ text: String, within seconds: Double = 60) async throws -> Bool {
        try await until(within: seconds) { self.log.contains(text) }
    }

    func until(within seconds: Double = 60, _ isSo: () async throws -> Bool) async throws -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if try await isSo() { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    func loseState() {
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: pair.folder.file("state.db") + suffix) }
    }

    struct Status: Decodable {
        struct Lag: Decodable { var changes: Int }
        var state: String
        var lag: Lag
        var deadLetters: Int
        var failures: [String]
        var reconciling: String?
        var condition: String { state }
    }

    func status() async throws -> Status {
        let result = try await RealPair.run(RealPair.binary, ["status", "--json", "--state", pair.folder.file("state.db")])
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Status.self, from: Data(result.output.utf8))
    }

    /// Both servers show the same, once everything has been carried across: files of active runs are looked at again within a minute or so.
    func expectEqual(within seconds: Double = 180) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        var found = "never settled"
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(2))
            guard let status = try? await status(), status.state == "running", status.reconciling == nil, status.lag.changes == 0 else {
                continue
            }
            #expect(status.deadLetters == 0, "\(status.failures)")
            found = try await pair.judge()
            if found.isEmpty { return }
        }
        let status = try? await status()
        Issue.record("\(found)\n\(String(describing: status))\n\(log.suffix(3000))")
    }

    /// SIGTERM: within five seconds, with 0.
    func expectCleanEnd() async throws {
        let process = try #require(daemon.withLock { $0 })
        let start = ContinuousClock.now
        process.terminate()
        process.waitUntilExit()
        #expect(ContinuousClock.now - start < .seconds(5))
        #expect(process.terminationStatus == 0, "\(log.suffix(1000))")
    }

    /// What stands twice on the secondary.
    func doubles() async throws -> String {
        let result = try await pair.python("doubles.py", [pair.secondary.url])
        return result.status == 0 ? "" : result.output + result.errors
    }
}
