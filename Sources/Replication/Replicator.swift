import Logging

/// Drains the change log: the next entities in log order, a window of them in flight, never two writes of one entity at once.
///
/// Files have a lane of their own, so that a large one never holds up metadata. Deletions of experiments come last, when both other lanes are idle.
struct Replicator<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    /// Raised by whoever appends to the log, and when something that held the work up is over.
    let wakeup: Signal
    /// Nil: a store that cannot be reached ends the work.
    var health: StoreHealth<Primary, Secondary>?
    /// A store that is away is waited for by `health`: what else fails is soon tried again.
    private var backoff: Backoff { health == nil ? Backoff() : Backoff(most: 10) }

    /// What is still to come.
    enum Outlook: Sendable {
        /// The primary is being listed.
        case listing
        /// Whatever changes.
        case following
        /// Nothing: when the log is empty the work is done.
        case complete
    }

    private enum Event: Sendable {
        case finished(ChangeLogEntry)
        case waits(ChangeLogEntry, on: EntityKey)
        case failed(ChangeLogEntry, StoreError, DeadLetter)
        case setAside(ChangeLogEntry, DeadLetter)
        /// By a store, which may have seen it in a passing state.
        case refused(ChangeLogEntry, StoreError, DeadLetter)
        case rested(ChangeLogEntry)
        case held(ChangeLogEntry, version: Int)
        case woken
    }

    /// Runs until the log is empty and nothing more is to come.
    ///
    /// - Throws: the first error that stops the work. Everything not finished stays in the log.
    func drain(_ outlook: @escaping @Sendable () -> Outlook, pause: @escaping @Sendable () -> Pause = { .nothing }) async throws {
        var schedule = Schedule(mirror.configuration)
        try await withThrowingTaskGroup(of: Event.self) { group in
            group.addTask { await waitForWakeup() }
            while true {
                // Asked before the log is looked at: what was appended before completion is then seen.
                let outlook = outlook()
                let isHeld = health?.isHeld ?? false
                let pausedVersion = mirror.paused.withLock { $0.version }
                if schedule.pausedVersion != pausedVersion {
                    try mirror.state.releaseHeld()
                    mirror.paused.withLock { $0.noteMarked(pausedVersion) }
                    schedule.pausedVersion = pausedVersion
                    schedule.rewind()
                }
                schedule.logHasGrown()
                while !isHeld, let entry = try schedule.next(mirror.state, outlook, pause: pause()) {
                    schedule.busy.insert(entry.key)
                    schedule.withLane(of: entry.key) { $0.started() }
                    let waits = schedule.impatient.remove(entry.key) == nil
                    group.addTask { try await attempt(entry, waits: waits) }
                }
                if schedule.busy.isEmpty, schedule.resting.isEmpty, !isHeld, pause() == .nothing {
                    let hasReleased = try releaseParked(&schedule)
                    if outlook == .complete {
                        if schedule.isIdle, schedule.deletions.isIdle { break }
                        continue
                    }
                    if hasReleased { continue }
                }
                let (inFlight, resting) = (schedule.busy.count, schedule.resting.count)
                mirror.board.update { $0.pending = inFlight + resting }
                guard let event = try await group.next() else { break }
                try await handle(event, &schedule, &group)
                try Task.checkCancellation()
            }
            group.cancelAll()
        }
    }

    private func waitForWakeup() async -> Event {
        await wakeup.wait()
        return .woken
    }

    private func attempt(_ entry: ChangeLogEntry, waits: Bool) async throws -> Event {
        let key = entry.key
        defer { mirror.forgetRead(key) }
        do {
            try await mirror.apply(entry, waits: waits)
            return .finished(entry)
        } catch let waits as Waits {
            return .waits(entry, on: waits.key)
        } catch let held as Held {
            return .held(entry, version: held.version)
        } catch let aside as SetAside {
            return .setAside(entry, DeadLetter(key: key, reason: aside.reason, message: aside.message, record: mirror.recordRead(key)))
        } catch let error as StoreError {
            let letter = DeadLetter(key: key, error, record: mirror.recordRead(key))
            switch error.decision {
            case .retry: return .failed(entry, error, letter)
            case .setAside: return .refused(entry, error, letter)
            case .stop:
                guard health != nil else { throw error }
                return .failed(entry, error, letter)
            }
        }
    }

    private func handle(_ event: Event, _ schedule: inout Schedule, _ group: inout ThrowingTaskGroup<Event, any Error>) async throws {
        switch event {
        case .woken:
            group.addTask { await waitForWakeup() }
        case .finished(let entry):
            release(entry, &schedule)
        case .held(let entry, let version):
            // Judged by a scope that has changed since: judged again.
            guard version == schedule.pausedVersion else {
                schedule.busy.remove(entry.key)
                return schedule.withLane(of: entry.key) { lane in
                    lane.ended()
                    lane.putBack(entry)
                }
            }
            try mirror.state.hold(entry.key)
            release(entry, &schedule)
        case .waits(let entry, let key):
            if try mirror.state.isHeld(key) {
                try mirror.state.hold(entry.key)
                return release(entry, &schedule)
            }
            schedule.busy.remove(entry.key)
            schedule.withLane(of: entry.key) { $0.ended() }
            let isCircle = schedule.isCircle(entry.key, waitingFor: key)
            if isCircle { schedule.impatient.insert(entry.key) }
            if try isCircle || mirror.state.entry(key) == nil {
                schedule.withLane(of: entry.key) { $0.putBack(entry) }
            } else {
                schedule.parked[key, default: []].append(entry)
            }
        case .setAside(let entry, let letter):
            try setAside(entry, letter)
            release(entry, &schedule)
        case .refused(let entry, let error, let letter):
            let attempt = schedule.refusals[entry.key, default: 0] + 1
            guard health != nil, attempt < Self.refusalsBelieved else {
                try setAside(entry, letter)
                return release(entry, &schedule)
            }
            schedule.refusals[entry.key] = attempt
            rest(entry, error, attempt: attempt, &schedule, &group)
        case .failed(let entry, let error, let letter):
            // While a store is away, its failures say nothing about this entity.
            let isCounted = await health?.suspect(error) ?? true
            let attempt = schedule.attempts[entry.key, default: 0] + (isCounted ? 1 : 0)
            guard attempt < attemptsAllowed(error) else {
                // A store that cannot be reached is nobody's fault in particular: the work stops, and the log keeps it. One that
                // answers everything but this is another matter.
                if error.reason == .unreachable, try await !storesAnswer() { throw error }
                try setAside(entry, letter)
                return release(entry, &schedule)
            }
            schedule.attempts[entry.key] = attempt
            rest(entry, error, attempt: max(1, attempt), &schedule, &group)
        case .rested(let entry):
            schedule.resting.remove(entry.key)
            schedule.withLane(of: entry.key) { $0.putBack(entry) }
        }
    }

    /// While a primary is followed, what refuses a write may have changed a moment ago: an experiment that is being deleted, a run restored.
    private static var refusalsBelieved: Int { 4 }

    private func rest(
        _ entry: ChangeLogEntry, _ error: StoreError, attempt: Int, _ schedule: inout Schedule,
        _ group: inout ThrowingTaskGroup<Event, any Error>
    ) {
        schedule.busy.remove(entry.key)
        schedule.withLane(of: entry.key) { $0.ended() }
        schedule.resting.insert(entry.key)
        let pause = backoff.pause(attempt: attempt, key: entry.key, error)
        mirror.board.count { $0.retries += 1 }
        mirror.logger.event(
            .retry, ["entity": "\(entry.key)", "attempt": "\(attempt)", "seconds": "\(pause)", "detail": "\(error)"])
        let clock = mirror.clock
        group.addTask {
            try await clock.sleep(seconds: pause)
            return .rested(entry)
        }
    }

    /// One that follows a primary for months does not give up on what may pass; a store's own failure over one entity, again and again, may not.
    /// Nor may a file that is never as long as it was listed, or whose storage lets nobody in.
    private func attemptsAllowed(_ error: StoreError) -> Int {
        let mayStay = [.serverFailure, .truncated, .forbidden].contains(error.reason) || error.decision == .stop
        return health == nil || mayStay ? mirror.configuration.attempts : .max
    }

    private func storesAnswer() async throws -> Bool {
        do {
            _ = try await mirror.primary.identity()
            _ = try await mirror.secondary.identity()
            return true
        } catch is StoreError {
            return false
        }
    }

    private func release(_ entry: ChangeLogEntry, _ schedule: inout Schedule) {
        schedule.attempts[entry.key] = nil
        schedule.refusals[entry.key] = nil
        schedule.busy.remove(entry.key)
        schedule.withLane(of: entry.key) { $0.ended() }
        for parked in schedule.parked.removeValue(forKey: entry.key) ?? [] {
            schedule.withLane(of: parked.key) { $0.putBack(parked) }
        }
    }

    /// Nothing is in flight, yet something is parked: what it waits for has left the log by another way, or waits for it in turn.
    ///
    /// - Returns: whether anything was.
    private func releaseParked(_ schedule: inout Schedule) throws -> Bool {
        let parked = schedule.parked
        let forgotten = try parked.filter { try mirror.state.entry($0.key) == nil }
        for (key, entries) in forgotten.isEmpty ? parked : forgotten {
            schedule.parked[key] = nil
            for entry in entries {
                if forgotten.isEmpty { schedule.impatient.insert(entry.key) }
                schedule.withLane(of: entry.key) { $0.putBack(entry) }
            }
        }
        return !parked.isEmpty
    }

    private func setAside(_ entry: ChangeLogEntry, _ letter: DeadLetter) throws {
        mirror.tell(letter, try mirror.state.setAside(letter, entry: entry, at: mirror.clock.nowMilliseconds))
    }
}
