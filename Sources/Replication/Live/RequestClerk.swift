import Logging

/// Answers what other processes ask through the state file, and obeys the control rows.
struct RequestClerk<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let desk: LiveDesk
    /// Seconds between two looks.
    let pause: Double

    private var state: ReplicationState { mirror.state }

    /// How far a request is that is under way.
    private enum Open: Sendable {
        /// What it means is being put into the log.
        case isQueued
        /// Done when nothing up to there is left in the log but what is held; nil: not known before the listing is over.
        case waits(upTo: LSN?, things: Set<EntityKey> = [])
        case failed(any Error)
    }
    private let open = Locked<[Int64: Open]>([:])

    init(mirror: Mirror<Primary, Secondary>, desk: LiveDesk, pause: Double) {
        self.mirror = mirror
        self.desk = desk
        self.pause = pause
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            try await goOn(&group)
        }
    }

    private func goOn(_ group: inout ThrowingTaskGroup<Void, any Error>) async throws {
        var version: Int64?
        while true {
            let now = try state.foreignVersion()
            if now != version {
                version = now
                try obey()
                if try mirror.takeResolutions() { desk.wakeup.raise() }
                try take(&group)
            }
            for (id, request) in open.withLock({ $0 }) { try look(at: request, id) }
            try await mirror.clock.sleep(seconds: pause)
        }
    }

    private func obey() throws {
        let scope = try state.pausedScope
        let hasChanged = mirror.paused.withLock { paused in
            defer { paused.set(scope) }
            return paused.scope != scope
        }
        if hasChanged {
            mirror.logger.event(.pausedByName, ["experiments": "\(scope.experiments)", "models": "\(scope.models)"])
            desk.wakeup.raise()
        }
        try mirror.obeyModes()
        if try state.control(.reconciling) != nil { desk.reconcile.raise() }
        let pause = try state.pause
        guard pause != desk.pause else { return }
        desk.set(pause: pause)
        mirror.logger.event(pause == .nothing ? .resumed : .paused, ["what": "\(pause.rawValue)"])
    }

    private func look(at request: Open, _ id: Int64) throws {
        switch request {
        case .isQueued: return
        case .failed(let error as StoreError): try state.answer(id, .refused, error.message)
        case .failed(let error as MirrorError): try state.answer(id, .refused, error.description)
        case .failed(let error): throw error
        case .waits(nil, let things):
            guard try state.control(.reconciling) == nil else { return }
            let head = try state.head()
            return open.withLock { $0[id] = .waits(upTo: head, things: things) }
        case .waits(let upTo?, let things):
            // What is held goes on when people say so, and that may be never. They may have said so a moment ago.
            guard mirror.paused.withLock({ $0.isMarked }), try !state.isAnythingFree(upTo: upTo) else { return }
            let held = try things.isEmpty ? state.heldCount() : state.heldCount(of: things)
            let remainder = OwnerRequest.Remainder(letters: try state.letterCount(of: things), held: held)
            try state.answer(id, .done, remainder.message)
        }
        open.withLock { $0[id] = nil }
    }

    private func take(_ group: inout ThrowingTaskGroup<Void, any Error>) throws {
        for request in try state.openRequests() where open.withLock({ $0[request.id] == nil }) {
            mirror.logger.event(.asked, ["what": "\(request.what.rawValue)", "argument": "\(request.argument)"])
            try state.answer(request.id, .running)
            do {
                if let begun = try begin(request, &group) { open.withLock { $0[request.id] = begun } }
            } catch let error as MirrorError {
                try state.answer(request.id, .refused, error.description)
            }
        }
    }

    /// - Returns: nil when it is answered already, or goes on by itself.
    private func begin(_ request: OwnerRequest, _ group: inout ThrowingTaskGroup<Void, any Error>) throws -> Open? {
        let now = mirror.clock.nowMilliseconds
        switch request.what {
        case .backfill:
            try state.requeue(.all, at: now)
            try state.beginReconciliation(nil, why: "asked for")
            desk.reconcile.raise()
            return .waits(upTo: nil)
        case .requeue:
            try state.requeue(try LetterSelection(encoded: request.argument), listsAgain: true, at: now)
            desk.wakeup.raise()
            desk.reconcile.raise()
            let lists = try state.control(.reconciling) != nil
            return .waits(upTo: lists ? nil : try state.head())
        case .discard:
            let count = try state.discard(try LetterSelection(encoded: request.argument), at: now)
            try state.answer(request.id, .done, "\(count)")
            return nil
        case .resync:
            // It waits for what is being copied of the thing at the moment; a pause, or another request, does not wait for that.
            open.withLock { $0[request.id] = .isQueued }
            group.addTask { [self] in
                let resync = Resync(mirror: mirror)
                do {
                    try await resync.run(request.argument)
                    desk.wakeup.raise()
                    let head = try state.head()
                    open.withLock { $0[request.id] = .waits(upTo: head, things: resync.queued.withLock { $0 }) }
                } catch {
                    open.withLock { $0[request.id] = .failed(error) }
                }
            }
            return nil
        }
    }
}
