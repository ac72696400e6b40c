import Replication

extension MLflowStore {
    /// This store, sending every request once: for who counts requests.
    public var askingOnce: MLflowStore {
        var store = self
        store.service.repeatsReads = false
        return store
    }
}

extension MLflowService {
    /// Seconds before a read that failed in passing is sent again.
    private static let pausesOfReads = [0.1, 0.4]
    /// Seconds: one that took longer to fail is left to the caller.
    private static let briefFailure = 30.0

    /// Sends a read again that failed in passing. One entity takes many reads, and a bad network that loses one in ten would otherwise lose
    /// them all, again and again. A write is sent once, and so is what the server asks to send less often.
    ///
    /// A young server fails by itself: until MLflow's optional authentication module has been imported once, parallel searches of runs find it
    /// half imported and answer 500 with `auth_config` in the text (`search_runs_impl` of mlflow/server/handlers.py).
    func repeating<R: Sendable>(_ call: MLflowCall, _ read: () async throws -> R) async throws -> R {
        guard repeatsReads, !call.isWrite else { return try await read() }
        for pause in Self.pausesOfReads {
            let start = ContinuousClock.now
            do {
                return try await read()
            } catch let error as StoreError where Self.mayPass(error) && start.duration(to: .now) < .seconds(Self.briefFailure) {
                try await Task.sleep(for: .seconds(pause))
            }
        }
        return try await read()
    }

    private static func mayPass(_ error: StoreError) -> Bool {
        error.decision == .retry(after: nil) && [.unreachable, .truncated, .serverFailure].contains(error.reason)
    }
}
