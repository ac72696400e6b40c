/// Wakes one waiter; signals that nobody waits for coalesce into one.
package final class Signal: Sendable {
    private struct State {
        var isRaised = false
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Locked(State())

    package init() {}

    package func raise() {
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

    /// Returns at the next signal, at once when one was raised before, and when the task is cancelled.
    package func wait() async {
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
