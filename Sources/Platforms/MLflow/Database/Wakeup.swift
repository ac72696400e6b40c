import Replication

/// Wakes one waiting task; what is raised while none waits is kept, as one.
final class Wakeup: Sendable {
    private struct State {
        var isRaised = false
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Locked(State())

    func raise() {
        let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard let waiter = state.waiter else {
                state.isRaised = true
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    /// Returns when it is raised, or was before, and after `seconds` at the latest.
    ///
    /// - Throws: `CancellationError`.
    func wait(atMost seconds: Double) async throws {
        try Task.checkCancellation()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await Task.sleep(for: .seconds(max(0, seconds))) }
            await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // A second waiter would push the first one out: both look again.
                let (ready, former) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
                    if state.isRaised {
                        state.isRaised = false
                        return (true, nil)
                    }
                    // The handler below ran before there was anyone to wake.
                    if Task.isCancelled { return (true, nil) }
                    let former = state.waiter
                    state.waiter = continuation
                    return (false, former)
                }
                former?.resume()
                if ready { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
    }
}
