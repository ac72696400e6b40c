import Logging
import TestSupport
import Testing

@testable import Replication

/// Two stores in memory, a state file, and the commands over them.
final class MirrorFixture: Sendable {
    let primary: FakeStore
    let secondary: FakeStore
    let folder: TemporaryFolder
    let clock = InstantClock()
    /// What was logged.
    let told = Locked<[String]>([])
    private let events = Locked<Set<MirrorEvent>>([])

    init(primary: FakeStore = FakeStore(name: "primary"), secondary: FakeStore? = nil) throws {
        self.primary = primary
        let other = secondary ?? FakeStore(name: "secondary")
        if secondary == nil { other.now += 5000 }
        self.secondary = other
        folder = try TemporaryFolder()
    }

    /// Whether an operator was told of it.
    func said(_ event: MirrorEvent) -> Bool { events.withLock { $0.contains(event) } }

    /// The state file, between two commands.
    func withState<R>(_ body: (ReplicationState) throws -> R) throws -> R {
        let state = try ReplicationState.open(path: statePath)
        defer { #expect(throws: Never.self) { try state.close() } }
        return try body(state)
    }

    /// The secondary's id of something of the primary.
    func there(_ kind: EntityKey.Kind, _ id: String) throws -> String { try withState { try #require(try $0.secondaryID(kind, id)) } }

    func conflicts() throws -> [NotedConflict] { try withState { try $0.conflicts() } }

    /// From now on the secondary leads these.
    func seal(_ scope: NameScope = .everything) throws { try withState { try $0.seal(scope) } }

    /// What goes on without end fails, instead of the test never ending.
    func endAfterRequests(_ count: Int) {
        let asked = Locked(0)
        primary.setFault { _ in
            let isEndless = asked.withLock { asked in
                asked += 1
                return asked > count
            }
            return isEndless ? .before(StoreError(.stop, .invalid, "the primary is asked without end")) : nil
        }
    }

    var statePath: String { folder.file("state.db") }

    func configuration(_ change: (inout MirrorConfiguration) -> Void = { _ in }) -> MirrorConfiguration {
        var configuration = MirrorConfiguration()
        configuration.attempts = 6
        change(&configuration)
        return configuration
    }

    @discardableResult
    /// - Parameter prepare: what is done to the opened state file first.
    func backfill(
        state name: String = "state.db", _ change: (inout MirrorConfiguration) -> Void = { _ in },
        prepare: (ReplicationState) async throws -> Void = { _ in }
    ) async throws -> BackfillSummary {
        let state = try ReplicationState.open(path: folder.file(name))
        try await prepare(state)
        let summary = try await backfill(seen(by: configuration(change)), state, configuration(change))
        try state.close()
        return summary
    }

    /// The primary as it may be seen.
    private func seen(by configuration: MirrorConfiguration) -> any TrackingStore {
        configuration.scope.passage.isWhole ? primary : PassingStore(primary, configuration.scope)
    }

    private func backfill(
        _ primary: some TrackingStore, _ state: ReplicationState, _ configuration: MirrorConfiguration
    ) async throws -> BackfillSummary {
        try await Backfill(
            primary: primary, secondary: secondary, state: state, configuration: configuration, board: ProgressBoard(), clock: clock,
            logger: logger
        ).run()
    }

    var logger: Logger {
        Logger(label: "test") { [told, events] _ in
            var handler = TellingLogHandler(told: told, events: events)
            handler.logLevel = .trace
            return handler
        }
    }

    /// What is set aside: `KIND ID` and which part of it.
    func letters() throws -> [String] {
        let state = try ReplicationState.open(path: statePath)
        defer { try? state.close() }
        return try state.letters(.all, limit: 100).map { "\($0.letter.key) \($0.letter.path)" }
    }

    /// The differences, by a state file that a daemon has open.
    func verifyOpen(_ state: ReplicationState) async throws -> [Difference] {
        let found = Locked<[Difference]>([])
        _ = try await Verify(
            primary: primary, secondary: secondary, state: state, configuration: configuration(), deep: true, board: ProgressBoard(),
            clock: clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ).run { difference in found.withLock { $0.append(difference) } }
        return found.withLock { $0 }
    }

    @discardableResult
    func verify(
        state name: String = "state.db", deep: Bool = true, repairing: Bool = false,
        _ change: (inout MirrorConfiguration) -> Void = { _ in }
    ) async throws -> (summary: VerifySummary, differences: [Difference]) {
        let state = try ReplicationState.open(path: folder.file(name))
        let found = Locked<[Difference]>([])
        let summary = try await verify(
            seen(by: configuration(change)), state, configuration(change), deep: deep, repairing: repairing
        ) { difference in found.withLock { $0.append(difference) } }
        try state.close()
        return (summary, found.withLock { $0 })
    }

    private func verify(
        _ primary: some TrackingStore, _ state: ReplicationState, _ configuration: MirrorConfiguration, deep: Bool, repairing: Bool,
        _ report: @escaping @Sendable (Difference) -> Void
    ) async throws -> VerifySummary {
        let summary = try await Verify(
            primary: primary, secondary: secondary, state: state, configuration: configuration, deep: deep, board: ProgressBoard(),
            clock: clock, logger: logger
        ).run(repairing: repairing, report)
        if repairing {
            _ = try await Backfill(
                primary: primary, secondary: secondary, state: state, configuration: configuration, board: ProgressBoard(), clock: clock,
                logger: logger
            ).repair()
        }
        return summary
    }
}

/// Keeps what is logged, as text, and which events it were.
struct TellingLogHandler: LogHandler {
    let told: Locked<[String]>
    let events: Locked<Set<MirrorEvent>>
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
        told.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
        guard let name = event.metadata?[MirrorEvent.metadataKey], let known = MirrorEvent(rawValue: "\(name)") else { return }
        events.withLock { _ = $0.insert(known) }
    }
}
