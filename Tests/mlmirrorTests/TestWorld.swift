import Replication
import TestSupport

@testable import mlmirror

/// Ours: Swift Testing has one of the same name.
typealias Status = mlmirror.ExitStatus

/// A session whose streams are kept, whose environment is given, and whose stores are in memory.
final class TestWorld: Sendable {
    let primary = FakeStore(name: "primary")
    let secondary = FakeStore(name: "secondary")
    private let output = Locked("")
    private let errors = Locked("")

    var printed: String { output.withLock { $0 } }
    var complained: String { errors.withLock { $0 } }

    func session(_ variables: [String: String] = [:], isTerminal: Bool = false) -> Session {
        let console = Console(
            output: Console.Stream(isTerminal: false) { text in self.output.withLock { $0 += text } },
            errors: Console.Stream(isTerminal: isTerminal) { text in self.errors.withLock { $0 += text } })
        return Session(
            environment: Environment(variables), console: console, signals: Signals(), clock: SystemClock(), standardFile: nil,
            openStore: { settings in
                let store = settings.role == .primary ? self.primary : self.secondary
                return OpenedStore(store: store, version: { "3.17.2" }, requestCount: { 0 }, close: {})
            })
    }

    /// Runs the program; forgets what earlier runs said.
    func run(_ arguments: [String], _ variables: [String: String] = [:]) async -> ExitStatus {
        output.withLock { $0 = "" }
        errors.withLock { $0 = "" }
        return await Program.run(arguments, in: session(variables))
    }

    /// One experiment with a finished run that has a metric, a param and a file.
    func fill() async throws {
        let experiment = try await primary.createExperiment(name: "team/curves", tags: [])
        let run = try await primary.createRun(
            NewRun(experiment: experiment, name: "first", userID: "ann", startTime: 1_700_000_000_000, tags: []))
        let points = (0..<10).map {
            MetricRow(key: "loss", point: MetricPoint(value: 1 / Double($0 + 1), timestamp: Int64($0), step: Int64($0)))
        }
        try await primary.logBatch(RunBatch(metrics: points, params: [Param("depth", "3")], tags: []), toRun: run.id)
        try await primary.updateRun(run.id, status: .finished, endTime: 1_700_000_001_000, name: nil)
    }
}

/// A folder that is removed with its owner.
final class TemporaryFolder: Sendable {
    let path: String
    init() throws { path = try FolderMaker.make() }
    deinit { FolderMaker.remove(path) }
    func file(_ name: String) -> String { "\(path)/\(name)" }

    @discardableResult
    func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
        try FolderMaker.write(text, to: file(name), mode: mode)
        return file(name)
    }
}
