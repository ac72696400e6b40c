import Replication
import Logging
public import TestSupport

/// A primary, a secondary, the network and the disk between them, and a daemon that lives and dies, in one simulation.
public struct World: Sendable {
    public enum FeedKind: String, Sendable, CaseIterable {
        case journal, polling
    }
    public let scheduler: Scheduler
    public let primary: FakeStore
    public let secondary: FakeStore
    public let feedKind: FeedKind
    let clock: SimulatedClock
    let statePath: String
    let planted: PlantedBug?
    /// The daemon's machine dies with it.
    public var losesPower = false
    /// The daemon takes it that somebody edits the secondary, which nobody does.
    public var secondaryIsEdited = true
    private let sweptUntil = Locked<(@Sendable () -> Int64?)?>(nil)

    /// How it ended.
    public struct Outcome: Sendable {
        /// What is lost, twice, different or stuck; empty when all is well.
        public var findings: [String] = []
        public var trace: UInt64 = 0
        public var steps = 0
        public var lives = 0
        /// Which of its kinds it was.
        public var kind = ""
    }

    public init(
        seed: UInt64, feed: FeedKind = .journal, readsDatabase: Bool = false, appendsPoints: Bool = false, isNarrow: Bool = false,
        statePath: String, planted: PlantedBug? = nil
    ) {
        scheduler = Scheduler(seed: seed)
        clock = SimulatedClock(scheduler)
        var dialect = Dialect.mlflow
        dialect.readsHistorySince = readsDatabase
        dialect.readsWholeRuns = readsDatabase
        primary = FakeStore(name: "primary", dialect: dialect, pageSize: 3)
        dialect = .mlflow
        dialect.metricsAreIdempotent = !appendsPoints
        if isNarrow {
            dialect.runLimits = .narrow
            dialect.lackWhatAzureMLLacks(nameLength: 40)
        }
        secondary = FakeStore(name: "secondary", dialect: dialect, pageSize: 4)
        secondary.now += 5000
        feedKind = feed
        self.statePath = statePath
        self.planted = planted
        primary.beginJournal()
        planted?.plant(primary, secondary)
    }

    /// A world that goes on from where another was; its state file is at `statePath`.
    init(seed: UInt64, at milliseconds: Int64, primary: FakeStore, secondary: FakeStore, statePath: String) {
        scheduler = Scheduler(seed: seed, at: milliseconds)
        clock = SimulatedClock(scheduler)
        self.primary = primary
        self.secondary = secondary
        feedKind = .journal
        self.statePath = statePath
        planted = nil
    }

    /// Lets users work while the daemon runs, then heals everything and judges.
    ///
    /// - Parameter work: what users do; ends.
    public func play(
        fates: any Fates, heal: @escaping @Sendable () -> Void = {}, losesState: Bool = false,
        before: (@Sendable () async throws -> Void)? = nil,
        work: @escaping @Sendable () async throws -> Void
    ) -> Outcome {
        let outcome = Locked(Outcome())
        do {
            try scheduler.run {
                do {
                    try await before?()
                    try await live(fates, heal, losesState, work, outcome)
                } catch { outcome.withLock { $0.findings.append("\(error)") } }
            }
        } catch { outcome.withLock { $0.findings.append("\(error)") } }
        outcome.withLock { outcome in
            outcome.trace = scheduler.trace
            outcome.steps = scheduler.steps
            outcome.kind =
                "\(feedKind.rawValue)\(primary.dialect.readsHistorySince ? ", database" : "")\(secondary.dialect.metricsAreIdempotent ? "" : ", appends points")\(secondary.dialect.runLimits == nil ? "" : ", narrow")"
        }
        return outcome.withLock { $0 }
    }

    private func live(
        _ fates: any Fates, _ heal: @escaping @Sendable () -> Void, _ losesState: Bool, _ work: @escaping @Sendable () async throws -> Void,
        _ outcome: Locked<Outcome>
    ) async throws {
        let isQuiet = Locked(false)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await work()
                heal()
                isQuiet.withLock { $0 = true }
            }
            group.addTask { try await liveAndDie(fates, isQuiet, losesState, outcome) }
            try await group.waitForAll()
        }
        let findings = Oracle.compare(primary, secondary, mayHoldMore: losesState)
        outcome.withLock { $0.findings += findings }
    }

    /// One life after the other, until all is quiet and settled.
    private func liveAndDie(
        _ fates: any Fates, _ isQuiet: Locked<Bool>, _ losesState: Bool, _ outcome: Locked<Outcome>
    ) async throws {
        var mayLose = losesState
        while true {
            outcome.withLock { $0.lives += 1 }
            let process = SimulatedProcess(scheduler, fates, secondary: secondary.name)
            let hasSettled = try await oneLife(process, isQuiet, outcome)
            if hasSettled, !mayLose { return }
            if hasSettled || mayLose && scheduler.chance.oneIn(2) {
                mayLose = false
                StateTemplate.remove(statePath)
            }
            guard outcome.withLock({ $0.lives }) < 60 else { throw Scheduler.Stuck(description: "the daemon died 60 times") }
            try await scheduler.sleep(milliseconds: Int64(scheduler.chance.below(3000)))
        }
    }

    /// - Returns: whether it has settled; else it died.
    private func oneLife(_ process: SimulatedProcess, _ isQuiet: Locked<Bool>, _ outcome: Locked<Outcome>) async throws -> Bool {
        try StateTemplate.prepare(statePath)
        let state = try ReplicationState.open(path: statePath, disk: process)
        try planted?.plant(inState: statePath)
        defer { bury(state) }
        let ended = Locked<(any Error)?>(nil)
        let task = Task(executorPreference: scheduler) {
            do { try await FakeStore.$passage.withValue(process) { try await daemon(state).run() } } catch {
                ended.withLock { $0 = error }
            }
            process.die()
        }
        process.set(task)
        var quietSince: Int64?
        while process.isAlive {
            try? await scheduler.sleep(milliseconds: quietSince == nil ? 500 : 3000)
            guard process.isAlive, isQuiet.withLock({ $0 }) else { continue }
            let since = quietSince ?? scheduler.now
            quietSince = since
            if scheduler.now - since > Self.patience { break }
            // Files are looked at until some time after the end.
            guard scheduler.now - since > grace, try isSettled(state, since: since) else { continue }
            process.die()
            await task.value
            return true
        }
        let isStuck = process.isAlive
        process.die()
        await task.value
        if isStuck { throw Scheduler.Stuck(description: "never settled: \(try describe(state))") }
        let error = ended.withLock { $0 }
        if let error, !(error is Died), !(error is CancellationError) { throw error }
        return false
    }

    /// Leaves the state file as the death of its process left it, or the loss of power.
    private func bury(_ state: ReplicationState) {
        // Closing it would fold its log, which nobody does who dies.
        let remains = ["", "-wal"].map { suffix in
            let path = statePath + suffix
            return (path, losesPower ? try? PowerLoss.remains(of: path, &scheduler.chance) : try? Files.read(path))
        }
        try? state.abandon()
        StateTemplate.remove(statePath)
        for (path, bytes) in remains {
            PowerLoss.forget(path)
            if let bytes { try? Files.write(path, bytes) }
        }
    }

    /// Milliseconds: files that were replaced are seen by their bytes alone, and histories are compared, once in a while.
    private var grace: Int64 {
        primary.hasReplacedFiles || feedKind == .polling ? 90_000 : secondary.dialect.runLimits == nil ? 12_000 : 30_000
    }
    private static var patience: Int64 { 3_600_000 }

    private func isSettled(_ state: ReplicationState, since: Int64) throws -> Bool {
        guard try state.control(.reconciling) == nil, try state.backlog().count == 0, try state.deadLetterCount() == 0 else { return false }
        switch feedKind {
        case .journal: return try state.cursor(of: "journal") == String(primary.journalEnd)
        case .polling: return (sweptUntil.withLock { $0 }?() ?? 0) > clock.nowMilliseconds - scheduler.now + since
        }
    }

    private func describe(_ state: ReplicationState) throws -> String {
        let waiting = try state.pending().map { "\($0.key.rawValue) \($0.value)" }.sorted().joined(separator: ", ")
        let letters = try state.deadLetters(limit: 5).map { "\($0.reason): \($0.message)" }.joined(separator: "; ")
        return "waiting [\(waiting)], set aside [\(letters)], reconciling \(try state.control(.reconciling) ?? "no")"
    }

    private func daemon(_ state: ReplicationState) -> LiveReplication<FakeStore, FakeStore> {
        var configuration = LiveConfiguration()
        configuration.filePause = 5
        // It writes nothing of its own, and would be most of what happens.
        configuration.fileSweepPerSecond = 0
        configuration.longestFilePause = 10
        configuration.fileGrace = 30
        configuration.reportPause = 30
        configuration.requestPause = 5
        configuration.mirror.overflowPause = 5000
        configuration.mirror.secondaryIsEdited = secondaryIsEdited
        planted?.configure?(&configuration)
        let (primary, clock, feedKind, sweptUntil, planted) = (primary, clock, feedKind, sweptUntil, planted)
        return LiveReplication(
            primary: primary, secondary: secondary, state: state, configuration: configuration, board: ProgressBoard(), clock: clock,
            logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() },
            feed: {
                switch feedKind {
                case .journal:
                    let feed = JournalFeed(store: primary, clock: clock)
                    return planted?.feed(feed) ?? feed
                case .polling:
                    var polling = PollingConfiguration()
                    polling.requestsPerSecond = 20
                    polling.historyPause = 40
                    let feed = PollingFeed(primary, state: state, scope: .everything, polling, clock: clock)
                    sweptUntil.withLock { $0 = { feed.sweepOldestAt } }
                    return feed
                }
            })
    }
}

/// An empty state file, made once: making one takes longer than a simulation.
enum StateTemplate {
    private static let bytes: Result<[UInt8], any Error> = Result {
        let folder = try TemporaryFolder()
        let path = folder.file("template.db")
        try ReplicationState.open(path: path).close()
        return try Files.read(path)
    }

    /// Makes the file where there is none.
    static func prepare(_ path: String) throws {
        guard !Files.exists(path) else { return }
        try Files.write(path, try bytes.get())
    }

    /// The file as it is with its log folded in.
    static func fold(_ path: String) throws -> [UInt8] {
        try ReplicationState.open(path: path).close()
        return try Files.read(path)
    }

    static func remove(_ path: String) { for suffix in ["", "-wal", "-shm"] { Files.remove(path + suffix) } }
}

extension RunLimits {
    /// So little that most runs of a simulation hold more.
    static let narrow = RunLimits(
        tags: 6, tagKeyLength: 40, tagValueLength: 60, params: 1, paramKeyLength: 40, paramValueLength: 40, metricNames: 1,
        metricNameLength: 40, datasets: 1, nameLength: 60)
}
