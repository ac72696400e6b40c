/// What was sent and not answered may still be under way, and be done after somebody has looked for it and found nothing.
extension Mirror {
    /// Looks for what an earlier attempt may have created. That it is not there is believed only when nothing can be under way any more: a
    /// process that was killed a moment ago may have sent it.
    func find<Found>(inDoubt key: EntityKey, _ look: () async throws -> Found?) async throws -> Found? {
        let began = clock.monotonicSeconds
        if let found = try await look() { return found }
        return try await waitForLanding(of: key, lookBegan: began) ? try await look() : nil
    }

    /// Waits until nothing can be under way any more. Called when the secondary has answered since: one that hangs has what it was
    /// sent still before it.
    ///
    /// - Parameter lookBegan: in monotonic seconds; nil: no look yet. A look is as old as its beginning: what landed behind it, it did
    ///   not see.
    /// - Returns: whether that look came too early, and another one is needed.
    @discardableResult
    func waitForLanding(of key: EntityKey, lookBegan: Double? = nil) async throws -> Bool {
        let now = clock.monotonicSeconds
        // Given up by this process, or sent by one that ended before it began.
        let wasGivenUp = sent.withLock { $0.contains(key) }
        let landed = (wasGivenUp ? now : startedAt) + configuration.landingTime
        guard lookBegan ?? now < landed else { return false }
        if landed > now { try await clock.sleep(seconds: landed - now) }
        _ = sent.withLock { $0.remove(key) }
        return true
    }

    /// Sends a write that must not be done twice, and remembers when it was given up without an answer.
    func sending<R>(_ key: EntityKey, _ send: () async throws -> R) async throws -> R {
        do {
            let result = try await send()
            noteAnswered(key)
            return result
        } catch let error as StoreError where !error.isInDoubt {
            noteAnswered(key)
            throw error
        } catch {
            noteGivenUp(key)
            throw error
        }
    }

    /// A slow server goes on with what nobody waits for any longer.
    func noteGivenUp(_ key: EntityKey) { _ = sent.withLock { $0.insert(key) } }

    func noteAnswered(_ key: EntityKey) { _ = sent.withLock { $0.remove(key) } }
}
