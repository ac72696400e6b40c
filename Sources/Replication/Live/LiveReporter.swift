/// Notes in the state file how things stand, so that anyone can ask without the daemon, and tells who runs it.
struct LiveReporter<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    private let mirror: Mirror<Primary, Secondary>
    private let desk: LiveDesk
    private let health: StoreHealth<Primary, Secondary>
    private let feed: any ChangeFeed
    private let startedAt: Int64
    private let pause: Double
    private let tell: @Sendable (LiveNews) -> Void

    init(
        _ mirror: Mirror<Primary, Secondary>, _ desk: LiveDesk, _ health: StoreHealth<Primary, Secondary>, feed: any ChangeFeed,
        _ startedAt: Int64, _ pause: Double, tell: @escaping @Sendable (LiveNews) -> Void
    ) {
        self.mirror = mirror
        self.desk = desk
        self.health = health
        self.feed = feed
        self.startedAt = startedAt
        self.pause = pause
        self.tell = tell
    }

    private struct Sample {
        var at: Double
        var lsn: LSN
        var points: Int
        var bytes: Int64
    }

    private var isConnected: Bool { desk.feedLastSuccessAt != nil && desk.isReplicating && health.outages.isEmpty }

    func run() async throws {
        var before: Sample?
        var watch = ProgressWatch()
        var hasConnected = false
        // Who waits for the first answers is not kept waiting for a whole pause.
        var shortPause = min(pause, 0.25)
        while true {
            let checkpoint = try mirror.state.checkpoint()
            let report = report(since: &before, checkpoint)
            try mirror.state.setControl(.report, report.encoded())
            try tell(ofUnknown: report.unknownFields ?? [:])
            hasConnected = hasConnected || isConnected
            tell(.standing(try standing(report, checkpoint, hasConnected, &watch)))
            try await mirror.clock.sleep(seconds: hasConnected ? pause : shortPause)
            shortPause = min(pause, shortPause * 1.5)
        }
    }

    /// Each field once, whatever starts there are.
    private func tell(ofUnknown fields: [String: Int]) throws {
        guard !fields.isEmpty else { return }
        let told = Set(try mirror.state.control(.unknownTold)?.split(separator: "\n").map(String.init) ?? [])
        let new = Set(fields.keys).subtracting(told).sorted()
        guard !new.isEmpty else { return }
        for field in new { mirror.logger.event(.unknownField, ["field": "\(field)", "count": "\(fields[field] ?? 0)"]) }
        try mirror.state.setControl(.unknownTold, told.union(new).sorted().joined(separator: "\n"))
    }

    private func report(since before: inout Sample?, _ checkpoint: LSN) -> LiveReport {
        let counts = mirror.board.snapshot.counts
        let now = Sample(at: mirror.clock.monotonicSeconds, lsn: checkpoint, points: counts.metricPoints, bytes: counts.fileBytes)
        var report = LiveReport()
        report.startedAt = startedAt
        report.writtenAt = mirror.clock.nowMilliseconds
        report.lastAppliedAt = mirror.lastAppliedAt
        report.feed = feed.name
        report.feedLastSuccessAt = desk.feedLastSuccessAt
        report.feedTrouble = desk.feedTrouble
        report.listingTrouble = desk.listingTrouble
        report.sweepOldestAt = feed.sweepOldestAt
        report.filesSweptSince = desk.filesSweptSince
        report.outages = health.outages
        report.canary = desk.canary
        report.conversions = counts.conversions
        report.retries = counts.retries
        report.unknownFields = mirror.primary.unknownFields
        if let before, now.at > before.at {
            let seconds = now.at - before.at
            report.rates.changesPerSecond = Double(now.lsn.rawValue - before.lsn.rawValue) / seconds
            report.rates.metricPointsPerSecond = Double(now.points - before.points) / seconds
            report.rates.fileBytesPerSecond = Double(now.bytes - before.bytes) / seconds
        }
        before = now
        return report
    }

    private func standing(_ report: LiveReport, _ checkpoint: LSN, _ isConnected: Bool, _ watch: inout ProgressWatch) throws -> LiveStanding
    {
        let backlog = try mirror.state.backlog()
        let waiting = backlog.count - backlog.held
        let isKept = health.isHeld || desk.pause != .nothing || !desk.isReplicating
        let done = mirror.board.snapshot
        // While the primary is listed, deletions wait for the end of the listing.
        let hasWork = !isKept && (done.pending > 0 || waiting > 0 && !desk.isListing)
        return LiveStanding(
            report: report, counts: done.counts, isConnected: isConnected,
            isReconciling: try mirror.state.control(.reconciling) != nil, checkpoint: checkpoint,
            head: try mirror.state.head(), waiting: waiting, oldestWaitingAt: backlog.oldest,
            secondsWithoutProgress: watch.look(beats: mirror.board.beats, hasWork: hasWork, at: mirror.clock.monotonicSeconds))
    }
}
