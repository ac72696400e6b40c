import Hashing
import Logging

/// A primary, a secondary, and what is needed to carry one entity across. Applying is ensuring: each entity ensures what it
/// refers to first, so the order of the change log encodes no dependency.
struct Mirror<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let primary: Primary
    let secondary: Secondary
    let state: ReplicationState
    let configuration: MirrorConfiguration
    let stamp: Stamp
    let board: ProgressBoard
    let clock: any ReplicationClock
    let logger: Logger
    /// Records read a moment ago, so that they are not read twice.
    let fresh: FreshRecords
    let recent = RecentPoints()
    let locks = KeyedLock<EntityKey>()
    let filePermits: Permits
    /// When the bytes of an active owner's files were compared last: milliseconds since 1970.
    let readings = Locked<[EntityKey: Int64]>([:])
    /// The primary's experiments as they were when they were looked at last.
    let experimentNames = Locked<[ExperimentID: KnownExperiment]>([:])
    let left = Locked(LeftExperiments())
    let paused = Locked(PausedNow())
    let modes = Locked(ModesNow())
    /// Writes that must not be done twice and were given up without an answer.
    let sent = Locked<Set<EntityKey>>([])
    /// When the overflow documents of open runs were written last: milliseconds since 1970.
    let overflowWrites = Locked<[RunID: Int64]>([:])
    /// Runs that did not take what was written to them without being read first.
    let refused = Locked<Set<EntityKey>>([])
    /// The secondary has turned out to take no dataset inputs.
    let lacksDatasets = Locked(false)
    /// Versions that are to be made, and the files and models that were looked at for them.
    let lookedAtFiles = Locked<[ModelName: Set<String>]>([:])
    /// Of what is being applied: for a letter that tells what it was about.
    private let recordsRead = Locked<[EntityKey: @Sendable () -> SHA256Digest]>([:])
    /// Monotonic seconds.
    let startedAt: Double
    private let appliedAt = Locked<Int64?>(nil)
    /// Milliseconds since 1970.
    var lastAppliedAt: Int64? { appliedAt.withLock { $0 } }
    /// For reads that no entry of the log stands behind.
    let retrying: Retrying

    init(
        primary: Primary, secondary: Secondary, state: ReplicationState, configuration: MirrorConfiguration, stamp: Stamp,
        board: ProgressBoard, clock: any ReplicationClock, logger: Logger
    ) {
        self.primary = primary
        self.secondary = secondary
        self.state = state
        self.configuration = configuration
        self.stamp = stamp
        self.board = board
        self.clock = clock
        startedAt = clock.monotonicSeconds
        self.logger = logger
        fresh = FreshRecords()
        filePermits = Permits(configuration.artifactWindow)
        retrying = Retrying(attempts: configuration.attempts, clock: clock, board: board)
    }

    /// From here on: an owner that has ended, or was deleted, may still be given files for a while.
    var fileWatchEnd: Int64 { clock.nowMilliseconds + configuration.fileGrace }

    /// Carries one entity across and commits that it is there.
    ///
    /// - Parameter waits: whether it may wait for another entity to be finished.
    /// - Throws: `StoreError`, `StateError`, `Waits`, `SetAside`, `CancellationError`.
    func apply(_ entry: ChangeLogEntry, waits: Bool = true) async throws {
        defer { fresh.discard(entry.key, upTo: entry.latest) }
        let mode = modes.withLock { $0.began() }
        defer { modes.withLock { $0.ended(mode) } }
        if try await onlyReports(entry) { return }
        switch entry.key.kind {
        case .experiment: try await applyExperiment(entry, waits: waits)
        case .run: try await applyRun(entry)
        case .loggedModel: try await applyLoggedModel(entry)
        case .registeredModel: try await applyRegisteredModel(entry, waits: waits)
        case .runArtifacts, .loggedModelArtifacts: try await applyArtifacts(entry)
        case .experimentDeletion: try await applyExperimentDeletion(entry)
        }
    }

    /// Queues other things that have to be looked at, whole.
    func append(_ keys: [EntityKey]) throws {
        try state.append(keys.map { Change($0) }, at: clock.nowMilliseconds)
    }

    func acknowledge(_ done: Acknowledgement) throws {
        let now = clock.nowMilliseconds
        let notes = try state.acknowledge(done, at: now)
        appliedAt.withLock { $0 = now }
        tell(notes.conflicts)
        board.count { $0.conflicts += notes.conflicts.count }
        // An active run is looked at again and again: each of its letters is told once.
        for (letter, note) in zip(done.letters, notes.letters) { tell(letter, note, again: false) }
    }

    // MARK: What is set aside

    func noteRead(_ key: EntityKey, _ digest: @escaping @Sendable () -> SHA256Digest) { recordsRead.withLock { $0[key] = digest } }
    func recordRead(_ key: EntityKey) -> SHA256Digest? { recordsRead.withLock { $0[key] }?() }
    func forgetRead(_ key: EntityKey) { recordsRead.withLock { $0[key] = nil } }

    /// Counts what was set aside, and says so, unless it is left out by decision.
    ///
    /// - Parameter again: also when it was set aside before.
    func tell(_ letter: DeadLetter, _ note: LetterNote, again: Bool = true) {
        guard !note.isDiscarded else { return }
        board.count { $0.deadLetters += 1 }
        guard again || note.isNew else { return }
        var fields = [
            "entity": "\(letter.key)", "letter": "\(note.number)", "reason": "\(letter.reason)", "detail": "\(letter.message)",
        ]
        if !letter.path.isEmpty { fields["path"] = "\(letter.path)" }
        logger.event(.deadLetter, fields)
    }

    /// A flood of deletions is held, one letter for each, until someone says that they are meant.
    func brake(_ key: EntityKey) throws {
        guard try !state.mayDelete(key, at: clock.nowMilliseconds) else { return }
        throw SetAside(reason: Brake.reason, message: Brake.message("\(key)"))
    }

    /// Values that the secondary would cut are not written: each is a letter of its entity, which is otherwise whole.
    func tooLong(_ fields: [String], of key: EntityKey) -> [DeadLetter] {
        fields.map { field in
            DeadLetter(
                key: key, path: field, reason: "too_long",
                message: "\(key): the value of \(field) is longer than the secondary keeps; it was not written, so that it is not cut")
        }
    }

    func note(conversions: [String], of key: EntityKey) {
        guard !conversions.isEmpty else { return }
        board.count { counts in
            for conversion in conversions { counts.conversions[String(conversion.prefix { $0 != ":" }), default: 0] += 1 }
        }
        for conversion in conversions { logger.event(.converted, ["entity": "\(key)", "what": "\(conversion)"]) }
    }
}
