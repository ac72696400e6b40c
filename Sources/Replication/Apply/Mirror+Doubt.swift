/// What was sent and not answered may still be under way, and be done after somebody has looked for it and found nothing.
extension Mirror {
    /// Looks for what an earlier attempt may have created. That it is not there is believed only when nothing can be under way any more: a
    /// process that was killed a moment ago may have sent it.
    func find<Found>(inDoubt key: EntityKey, _ look: () async throws -> Found?) async throws -> Found? {
        if let found = try await look() { return found }
        return try await waitForLanding(of: key) ? try await look() : nil
    }

    /// - Returns: whether it took any time.
    @discardableResult
    func waitForLanding(of key: EntityKey) async throws -> Bool {
        // Given up by this process, or sent by one that ended before it began.
        let since = sent.withLock { $0[key] } ?? startedAt
        let rest = since + configuration.landingTime - clock.monotonicSeconds
        guard rest > 0 else { return false }
        try await clock.sleep(seconds: rest)
        return true
    }

    /// Sends a write that must not be done twice, and remembers when it was given up without an answer.
    func sending<R>(_ key: EntityKey, _ send: () async throws -> R) async throws -> R {
        do {
            let result = try await send()
            sent.withLock { $0[key] = nil }
            return result
        } catch let error as StoreError where !error.isInDoubt {
            sent.withLock { $0[key] = nil }
            throw error
        } catch {
            noteGivenUp(key)
            throw error
        }
    }

    /// A slow server goes on with what nobody waits for any longer: what counts is when it was given up, not when it was sent.
    func noteGivenUp(_ key: EntityKey) {
        let now = clock.monotonicSeconds
        sent.withLock { $0[key] = now }
    }
}
