import Logging

/// Answers what other processes ask through the state file, and obeys the control rows.
struct RequestClerk<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let desk: LiveDesk
    /// Seconds between two looks.
    let pause: Double

    private var state: ReplicationState { mirror.state }

    /// What a request that is under way waits for.
    private struct Open {
        /// Nothing up to here is left in the log; nil: not known before the listing is over.
        var upTo: LSN?
    }

    func run() async throws {
        var version: Int64?
        var open: [Int64: Open] = [:]
        while true {
            let now = try state.foreignVersion()
            if now != version {
                version = now
                try obey()
                if try mirror.takeResolutions() { desk.wakeup.raise() }
                try await take(&open)
            }
            for (id, request) in open where try isDone(request) {
                try state.answer(id, .done)
                open[id] = nil
            }
            if try state.control(.reconciling) == nil {
                let head = try state.head()
                for (id, request) in open where request.upTo == nil { open[id] = Open(upTo: head) }
            }
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
        let seals = mirror.modes.withLock { $0.ledger.sealedScopes }
        try mirror.obeyModes()
        for scope in seals where try !state.modes.sealedScopes.contains(scope) {
            mirror.logger.event(.modeStep, ["step": Mode.dual.rawValue, "names": scope.text])
        }
        if try state.control(.reconciling) != nil { desk.reconcile.raise() }
        let pause = try state.pause
        guard pause != desk.pause else { return }
        desk.set(pause: pause)
        mirror.logger.event(pause == .nothing ? .resumed : .paused, ["what": "\(pause.rawValue)"])
    }

    private func isDone(_ request: Open) throws -> Bool {
        guard let upTo = request.upTo else { return false }
        return try state.checkpoint() >= upTo
    }

    private func take(_ open: inout [Int64: Open]) async throws {
        for request in try state.openRequests() where open[request.id] == nil {
            mirror.logger.event(.asked, ["what": "\(request.what.rawValue)", "argument": "\(request.argument)"])
            do {
                try state.answer(request.id, .running)
                switch request.what {
                case .backfill:
                    try state.requeue(.all, at: mirror.clock.nowMilliseconds)
                    try state.beginReconciliation(nil, why: "asked for")
                    desk.reconcile.raise()
                    open[request.id] = Open()
                case .requeue:
                    try state.requeue(
                        try LetterSelection(encoded: request.argument), listsAgain: true, at: mirror.clock.nowMilliseconds)
                    desk.wakeup.raise()
                    desk.reconcile.raise()
                    let lists = try state.control(.reconciling) != nil
                    open[request.id] = Open(upTo: lists ? nil : try state.head())
                case .discard:
                    let count = try state.discard(try LetterSelection(encoded: request.argument), at: mirror.clock.nowMilliseconds)
                    try state.answer(request.id, .done, "\(count)")
                case .resync:
                    try await Resync(mirror: mirror).run(request.argument)
                    desk.wakeup.raise()
                    open[request.id] = Open(upTo: try state.head())
                }
            } catch let error as StoreError {
                try state.answer(request.id, .refused, error.message)
            } catch let error as MirrorError {
                try state.answer(request.id, .refused, error.description)
            }
        }
    }
}

/// Queues one thing again, whole, as if nothing were known of its content.
struct Resync<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>

    /// - Parameter argument: `run ID`, `experiment ID`, `model NAME` or `logged-model ID`, by the primary's id.
    func run(_ argument: String) async throws {
        let parts = argument.split(separator: " ", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { throw MirrorError(.configuration, "\(argument): expected a kind and an id") }
        let id = parts[1]
        switch parts[0] {
        case "run":
            guard try await mirror.primary.run(RunID(id)) != nil else { throw unknown("run", id) }
            try await queue([.run(RunID(id)), EntityKey(.runArtifacts, id)])
        case "experiment":
            guard try await mirror.primary.experiment(ExperimentID(id)) != nil else { throw unknown("experiment", id) }
            try await queue([.experiment(ExperimentID(id))])
            var pages = RunPages(mirror.primary, RunQuery(experiments: [ExperimentID(id)]), mirror.retrying)
            while let page = try await pages.next() {
                try await queue(page.elements.flatMap { [.run($0.id), EntityKey(.runArtifacts, $0.id.rawValue)] })
            }
            guard mirror.primary.dialect.hasLoggedModels else { return }
            try await mirror.retrying.pages({ try await mirror.primary.loggedModels(in: [ExperimentID(id)], $0) }) { page in
                try await queue(page.elements.flatMap { [.loggedModel($0.id), EntityKey(.loggedModelArtifacts, $0.id.rawValue)] })
            }
        case "model":
            guard try await mirror.primary.registeredModel(ModelName(id)) != nil else { throw unknown("registered model", id) }
            try await queue([.registeredModel(ModelName(id))])
        case "logged-model":
            guard try await mirror.primary.loggedModel(LoggedModelID(id)) != nil else { throw unknown("logged model", id) }
            try await queue([.loggedModel(LoggedModelID(id)), EntityKey(.loggedModelArtifacts, id)])
        default:
            throw MirrorError(.configuration, "\(parts[0]): expected run, experiment, model or logged-model")
        }
    }

    private func unknown(_ kind: String, _ id: String) -> MirrorError {
        MirrorError(.configuration, "the primary has no \(kind) \(id)")
    }

    private func queue(_ keys: [EntityKey]) async throws {
        // What is being applied would note the base again that it has read.
        for key in keys { try await mirror.locks.withLock(key) { try mirror.state.forgetBase(key) } }
        mirror.fresh.noteChanged(keys)
        try mirror.append(keys)
    }
}
