import Logging

/// One store that is away.
public struct Outage: Sendable, Hashable, Codable {
    /// primary or secondary.
    public var store: String
    /// Milliseconds since 1970.
    public var since: Int64
    /// `StoreError.Reason`.
    public var reason: String
    public var message: String

    package init(store: String, since: Int64, reason: String, message: String) {
        self.store = store
        self.since = since
        self.reason = reason
        self.message = message
    }
}

/// A breaker for each store. When one fails in a way that may be the whole store's, both are asked who they are; what does not answer is away,
/// and nothing is begun until it is back. One line in the log when it goes, one when it comes.
final class StoreHealth<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    private struct State {
        var outages: [String: Outage] = [:]
        /// Seconds that the store itself asked for.
        var rest: Double = 0
    }
    private let primary: Primary
    private let secondary: Secondary
    private let clock: any ReplicationClock
    private let logger: Logger
    private let state = Locked(State())
    private let doubt = Signal()
    private let onReturn: @Sendable () -> Void

    init(
        primary: Primary, secondary: Secondary, clock: any ReplicationClock, logger: Logger, onReturn: @escaping @Sendable () -> Void
    ) {
        self.primary = primary
        self.secondary = secondary
        self.clock = clock
        self.logger = logger
        self.onReturn = onReturn
    }

    var outages: [Outage] { state.withLock { $0.outages.values.sorted { $0.store < $1.store } } }
    /// Nothing is to be begun now.
    var isHeld: Bool { state.withLock { !$0.outages.isEmpty || $0.rest > 0 } }

    /// Looks at both stores when an error may be about the whole of one.
    ///
    /// - Returns: whether the error is about one thing only.
    func suspect(_ error: StoreError) async -> Bool {
        switch error.reason {
        case .throttled:
            rest(error)
            doubt.raise()
            return false
        case .unreachable, .unauthorized, .notMLflow, .serverFailure:
            await look()
            if isHeld { doubt.raise() }
            return !isHeld
        default: return true
        }
    }

    /// Watches what is away until it is back. Runs until it is cancelled.
    func watch() async throws {
        while true {
            await doubt.wait()
            try Task.checkCancellation()
            var pause = 0.5
            while isHeld {
                // A look may find a store that is back, and asks for time.
                let rest = state.withLock { $0.rest }
                if rest > 0 {
                    try await clock.sleep(seconds: rest)
                    state.withLock { $0.rest = max(0, $0.rest - rest) }
                }
                guard !outages.isEmpty else { continue }
                try await clock.sleep(seconds: pause)
                pause = min(pause * 2, 30)
                await look()
            }
            onReturn()
        }
    }

    /// A store that asks for time is there.
    private func rest(_ error: StoreError) {
        guard case .retry(let after) = error.decision else { return }
        state.withLock { $0.rest = max($0.rest, min(max(after ?? 1, 0.5), 3600)) }
    }

    private func look() async {
        async let one: Void = ask(primary, "primary")
        async let other: Void = ask(secondary, "secondary")
        _ = await (one, other)
    }

    private func isBack(_ role: String) {
        guard let outage = state.withLock({ $0.outages.removeValue(forKey: role) }) else { return }
        let seconds = (clock.nowMilliseconds - outage.since) / 1000
        logger.event(.outageEnded, ["store": "\(role)", "seconds": "\(seconds)"])
    }

    private func ask(_ store: some TrackingStore, _ role: String) async {
        do {
            _ = try await store.identity()
            isBack(role)
        } catch let error as StoreError where error.reason == .throttled {
            rest(error)
            isBack(role)
        } catch let error as StoreError {
            let outage = Outage(store: role, since: clock.nowMilliseconds, reason: error.reason.rawValue, message: error.message)
            let isNew = state.withLock { state in
                let old = state.outages[role]
                state.outages[role] = Outage(
                    store: role, since: old?.since ?? outage.since, reason: outage.reason, message: outage.message)
                return old == nil
            }
            if isNew {
                let event = error.reason == .unauthorized ? MirrorEvent.credentialsRefused : .outageBegan
                logger.event(event, ["store": "\(role)", "reason": "\(outage.reason)", "detail": "\(outage.message)"])
            }
        } catch {
            // Cancelled: nobody is interested any more.
        }
    }
}
