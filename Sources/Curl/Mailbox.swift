import CCurl

/// What the tasks ask of the loop's thread.
enum Command {
    case start(Transfer)
    /// The caller made room or brought bytes.
    case resume(Transfer)
    /// The caller lost interest.
    case cancel(Transfer)
}

/// Commands on their way to the loop's thread, and the bell that wakes it.
final class Mailbox: Sendable {
    private struct State {
        var commands: [Command] = []
        var started = 0
        var isPolling = false
        var isStopped = false
        /// Nil once the thread has freed it, or when it could not be made.
        var multi: UnsafeMutableRawPointer?

        /// Costs a system call, so only when the thread sleeps. Called under the lock, which keeps `multi` alive.
        mutating func wake() {
            guard isPolling, let multi else { return }
            isPolling = false
            curl_multi_wakeup(multi)
        }
    }

    private let state: Locked<State>

    /// `multi` is used here for nothing but waking.
    init(waking multi: UnsafeMutableRawPointer?) {
        state = Locked(State(isStopped: multi == nil, multi: multi))
    }

    /// False when the loop has stopped or is stopping.
    @discardableResult
    func post(_ command: Command) -> Bool {
        state.withLock { state in
            guard !state.isStopped else { return false }
            state.commands.append(command)
            if case .start = command { state.started += 1 }
            state.wake()
            return true
        }
    }

    /// Exchanges asked for since the beginning.
    var started: Int { state.withLock { $0.started } }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.wake()
        }
    }

    // MARK: For the loop's thread

    /// What was posted since the last call, and whether to stop.
    func take() -> (commands: [Command], isStopped: Bool) {
        state.withLock { state in
            var commands: [Command] = []
            swap(&commands, &state.commands)
            return (commands, state.isStopped)
        }
    }

    /// True when there is nothing to do but sleep; from then on `post` and `stop` wake the thread.
    func prepareToPoll() -> Bool {
        state.withLock { state in
            state.isPolling = state.commands.isEmpty && !state.isStopped
            return state.isPolling
        }
    }

    func didPoll() { state.withLock { $0.isPolling = false } }

    /// After this nobody wakes the multi handle, so that it can be freed.
    func detach() {
        state.withLock { state in
            state.isStopped = true
            state.multi = nil
        }
    }
}
