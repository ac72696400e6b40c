/// A number of places; who finds none waits, first come first served.
final class Permits: Sendable {
    private struct State {
        var free: Int
        var waiters: [(ticket: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        var cancelled: Set<UInt64> = []
        var nextTicket: UInt64 = 0
    }
    private let state: Locked<State>

    init(_ count: Int) { state = Locked(State(free: count)) }

    func withPermit<R: Sendable>(_ body: () async throws -> R) async throws -> R {
        try await acquire()
        defer { release() }
        return try await body()
    }

    func acquire() async throws {
        let ticket: UInt64? = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            state.nextTicket += 1
            return state.nextTicket
        }
        guard let ticket else { return }
        let acquired = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: Bool? = state.withLock { state in
                    if state.cancelled.remove(ticket) != nil { return false }
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.waiters.append((ticket, continuation))
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            let waiting: CheckedContinuation<Bool, Never>? = state.withLock { state in
                if let at = state.waiters.firstIndex(where: { $0.ticket == ticket }) { return state.waiters.remove(at: at).continuation }
                state.cancelled.insert(ticket)
                return nil
            }
            waiting?.resume(returning: false)
        }
        state.withLock { _ = $0.cancelled.remove(ticket) }
        guard acquired else { throw CancellationError() }
    }

    func release() {
        let next: CheckedContinuation<Bool, Never>? = state.withLock { state in
            if state.waiters.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiters.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}
