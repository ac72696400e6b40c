import Logging

/// Compares everything anew whenever that was asked for, by a broken feed, another scope or a person. What was not finished when the process
/// ended is begun again.
struct Reconciler<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let desk: LiveDesk

    func run() async throws {
        var failures = 0
        while true {
            guard let why = try mirror.state.control(.reconciling) else {
                await desk.reconcile.wait()
                try Task.checkCancellation()
                continue
            }
            do {
                try await reconcile(why)
                failures = 0
            } catch let error as StoreError {
                failures += 1
                if failures == 1 { mirror.logger.event(.comparingInterrupted, ["detail": "\(error)"]) }
                try await mirror.clock.sleep(seconds: Backoff(first: 2, most: 60).pause(attempt: failures))
            }
        }
    }

    private func reconcile(_ asked: String) async throws {
        mirror.logger.event(.comparing, ["detail": "\(asked.prefix { $0 != "\n" })"])
        let start = mirror.clock.monotonicSeconds
        desk.set(isListing: true)
        defer { desk.set(isListing: false) }
        try await mirror.fresh.listing {
            try await Enumerator(mirror: mirror, wakeup: desk.wakeup).run()
        }
        try mirror.state.endReconciliation(asked)
        let seconds = Int(mirror.clock.monotonicSeconds - start)
        mirror.logger.event(.compared, ["seconds": "\(seconds)"])
    }
}
