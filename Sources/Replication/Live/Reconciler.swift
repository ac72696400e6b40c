import Logging

/// Compares everything anew whenever that was asked for, by a broken feed, another scope or a person. What was not finished when the process
/// ended is begun again. What could not be listed then is listed by itself, again and again: nothing else would.
struct Reconciler<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let desk: LiveDesk

    /// Seconds between two looks at what could not be listed, and between two attempts at one.
    private static var rest: Double { 60 }
    private static var between: Backoff { Backoff(first: 60, most: 600) }
    private static var mostAtOnce: Int { 20 }

    func run() async throws {
        var failures = 0
        while true {
            guard let why = try mirror.state.control(.reconciling) else {
                try await waitForWork()
                try await listUnlisted()
                continue
            }
            do {
                try await reconcile(why)
                failures = 0
                desk.listed()
            } catch let error as StoreError {
                failures += 1
                desk.listingFailed("\(error)")
                if failures == 1 { mirror.logger.event(.comparingInterrupted, ["detail": "\(error)"]) }
                try await mirror.clock.sleep(seconds: Backoff(first: 2, most: 60).pause(attempt: failures))
            }
        }
    }

    private func reconcile(_ asked: String) async throws {
        mirror.logger.event(.comparing, ["detail": "\(asked.prefix { $0 != "\n" })"])
        let start = mirror.clock.monotonicSeconds
        try await listing(Enumerator(mirror: mirror, wakeup: desk.wakeup)) { try await $0.run() }
        try mirror.state.endReconciliation(asked)
        let seconds = Int(mirror.clock.monotonicSeconds - start)
        mirror.logger.event(.compared, ["seconds": "\(seconds)"])
    }

    private func listing(
        _ enumerator: Enumerator<Primary, Secondary>, _ body: (Enumerator<Primary, Secondary>) async throws -> Void
    ) async throws {
        desk.set(isListing: true)
        defer { desk.set(isListing: false) }
        try await mirror.fresh.listing { try await body(enumerator) }
    }

    /// Until something is asked for, or for a while.
    private func waitForWork() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await desk.reconcile.wait() }
            group.addTask { try await mirror.clock.sleep(seconds: Self.rest) }
            defer { group.cancelAll() }
            try await group.next()
        }
        try Task.checkCancellation()
    }

    private func listUnlisted() async throws {
        for noted in try mirror.state.unlisted(limit: Self.mostAtOnce) {
            let pause = Int64(Self.between.pause(attempt: noted.tries) * 1000)
            guard try mirror.state.control(.reconciling) == nil else { return }
            guard mirror.clock.nowMilliseconds - noted.lastAt >= pause else { continue }
            do {
                let enumerator = Enumerator(mirror: mirror, wakeup: desk.wakeup, triesOnce: true)
                try await listing(enumerator) { try await $0.list(noted.letter.key) }
                if noted.letter.reason == StoreError.Reason.forbidden.rawValue { try requeueForbidden() }
                try mirror.state.dropUnlisted(noted.number)
            } catch let error as StoreError {
                // One that is away is away for all of them.
                if error.decision != .setAside, error.reason != .malformed, await !mirror.primary.failsAlone(error) { return }
                let letter = DeadLetter(key: noted.letter.key, path: noted.letter.path, error)
                mirror.tell(letter, try mirror.state.setAside(letter, entry: nil, at: mirror.clock.nowMilliseconds), again: false)
            }
        }
    }

    /// What was refused one by one while its experiment was closed, and has not changed since, shows in no listing. A letter does not say of which
    /// experiment it is: what is still closed comes back.
    private func requeueForbidden() throws {
        for kind in [EntityKey.Kind.run, .runArtifacts, .loggedModel, .loggedModelArtifacts] {
            let selection = LetterSelection(kind: kind, reason: StoreError.Reason.forbidden.rawValue)
            try mirror.state.requeue(selection, at: mirror.clock.nowMilliseconds)
        }
        desk.wakeup.raise()
    }
}
