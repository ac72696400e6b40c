/// Makes one run writable at its first write, and not before: its experiment and the run itself may be deleted on the secondary, and a deleted
/// one takes no writes.
final class WriteGate: Sendable {
    private let state = Locked((isOpen: false, hasRestoredRun: false))
    private let restoreExperiment: @Sendable () async throws -> Void
    private let restoreRun: (@Sendable () async throws -> Bool)?

    /// - Parameter restoreRun: says whether there was anything to do; nil when the run is active.
    init(restoreExperiment: @escaping @Sendable () async throws -> Void, restoreRun: (@Sendable () async throws -> Bool)?) {
        self.restoreExperiment = restoreExperiment
        self.restoreRun = restoreRun
    }

    /// Called before every write, by one task of the run at a time.
    func open() async throws {
        guard !state.withLock({ $0.isOpen }) else { return }
        try await restoreExperiment()
        if let restoreRun, try await restoreRun() { state.withLock { $0.hasRestoredRun = true } }
        state.withLock { $0.isOpen = true }
    }

    /// The run must be deleted again.
    var hasRestoredRun: Bool { state.withLock { $0.hasRestoredRun } }
}
