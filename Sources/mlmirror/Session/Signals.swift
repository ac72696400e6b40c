import Glibc
import Replication

/// Signals, taken one by one by the main thread, which does nothing else.
///
/// SIGINT and SIGTERM cancel the work; a second one ends the process at once, as a crash would: the state file is made for that.
/// SIGUSR1 asks for a line of progress; SIGHUP has the daemon read its configuration again, and ends everything else.
final class Signals: Sendable {
    private struct State: Sendable {
        var received: Int32?
        var onStatusRequest: (@Sendable () -> Void)?
        var onReload: (@Sendable () -> Void)?
        var onEnd: (@Sendable () -> Void)?
    }
    private let state = Locked(State())

    init() {}

    /// The first signal that asked for an end.
    var received: Int32? { state.withLock { $0.received } }

    /// What SIGUSR1 does; nil: nothing.
    func onStatusRequest(_ action: (@Sendable () -> Void)?) { state.withLock { $0.onStatusRequest = action } }

    /// What SIGHUP does; nil: as SIGTERM.
    func onReload(_ action: (@Sendable () -> Void)?) { state.withLock { $0.onReload = action } }

    /// What the first signal that asks for an end does, before the work is cancelled.
    func onEnd(_ action: (@Sendable () -> Void)?) { state.withLock { $0.onEnd = action } }

    /// Keeps the signals for `serve`. Call it before any other thread exists: threads inherit it.
    static func hold() {
        var set = heldSet()
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // A reader that leaves early (`| head`) is an error of the next write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Never returns: the work ends the process.
    func serve(_ work: Task<Void, Never>, beforeAbruptEnd: () -> Void) -> Never {
        var set = Self.heldSet()
        while true {
            var number: Int32 = 0
            guard sigwait(&set, &number) == 0 else { continue }
            take(number, work, beforeAbruptEnd)
        }
    }

    func take(_ number: Int32, _ work: Task<Void, Never>, _ beforeAbruptEnd: () -> Void) {
        if number == SIGUSR1 {
            state.withLock { $0.onStatusRequest }?()
            return
        }
        if number == SIGHUP, let reload = state.withLock({ $0.onReload }) { return reload() }
        let isSecond = state.withLock { state in
            defer { state.received = state.received ?? number }
            return state.received != nil
        }
        guard isSecond else {
            state.withLock { $0.onEnd }?()
            return work.cancel()
        }
        beforeAbruptEnd()
        _exit(ExitStatus.signal(number).rawValue)
    }

    private static func heldSet() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGUSR1, SIGHUP] { sigaddset(&set, number) }
        return set
    }
}
