/// An entity in a scope that people have paused, or that is for another pass than this one: it stays in the log. Not a failure.
struct Held: Error {
    /// Of the pauses that it was held by.
    let version: Int
}

/// The paused scope, and a number that grows whenever it changes.
struct PausedNow: Sendable {
    private(set) var scope = NameScope.nothing
    private(set) var version = 0
    /// The one that the log's marks are by; nil: they are an earlier process's.
    private(set) var markedVersion: Int?
    /// Whether what is held in the log is held by this scope, and no longer by the one before.
    var isMarked: Bool { markedVersion == version }

    mutating func set(_ scope: NameScope) {
        guard scope != self.scope else { return }
        self.scope = scope
        version += 1
    }

    mutating func noteMarked(_ version: Int) { markedVersion = version }
}

extension Mirror {
    /// - Throws: `Held` when people have paused the experiment.
    func holdIfPaused(_ id: ExperimentID) async throws {
        let now = paused.withLock { $0 }
        guard !now.scope.experiments.isEmpty, let name = try await experimentName(id), now.scope.holds(experimentNamed: name) else {
            return
        }
        throw Held(version: now.version)
    }

    func holdIfPaused(_ record: Experiment) throws {
        let now = paused.withLock { $0 }
        if now.scope.holds(experimentNamed: record.name) { throw Held(version: now.version) }
    }

    func holdIfPaused(_ model: ModelName) throws {
        let now = paused.withLock { $0 }
        if now.scope.holds(modelNamed: model) { throw Held(version: now.version) }
    }

    /// Files do not say what experiment they belong to: their owner is read, while any is paused.
    func holdIfPaused(filesOf key: EntityKey) async throws {
        guard !paused.withLock({ $0.scope.experiments.isEmpty }) else { return }
        if key.kind == .runArtifacts {
            if let run = try await readRun(RunID(key.id)) { try await holdIfPaused(run.experiment) }
        } else if let model = try await primary.loggedModel(LoggedModelID(key.id)) {
            try await holdIfPaused(model.experiment)
        }
    }
}
