/// Notes in the state file how things stand, so that anyone can ask without the daemon.
struct LiveReporter<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    private let mirror: Mirror<Primary, Secondary>
    private let desk: LiveDesk
    private let health: StoreHealth<Primary, Secondary>
    private let feed: any ChangeFeed
    private let startedAt: Int64
    private let pause: Double

    init(
        _ mirror: Mirror<Primary, Secondary>, _ desk: LiveDesk, _ health: StoreHealth<Primary, Secondary>, feed: any ChangeFeed,
        _ startedAt: Int64,
        _ pause: Double
    ) {
        self.mirror = mirror
        self.desk = desk
        self.health = health
        self.feed = feed
        self.startedAt = startedAt
        self.pause = pause
    }

    private struct Sample {
        var at: Double
        var lsn: LSN
        var points: Int
        var bytes: Int64
    }

    func run() async throws {
        var before: Sample?
        while true {
            let counts = mirror.board.snapshot.counts
            let now = Sample(
                at: mirror.clock.monotonicSeconds, lsn: try mirror.state.checkpoint(), points: counts.metricPoints, bytes: counts.fileBytes)
            var report = LiveReport()
            report.startedAt = startedAt
            report.writtenAt = mirror.clock.nowMilliseconds
            report.lastAppliedAt = mirror.lastAppliedAt
            report.feed = feed.name
            report.feedLastSuccessAt = desk.feedLastSuccessAt
            report.feedTrouble = desk.feedTrouble
            report.sweepOldestAt = feed.sweepOldestAt
            report.outages = health.outages
            report.canary = desk.canary
            report.conversions = counts.conversions
            report.retries = counts.retries
            if let before, now.at > before.at {
                let seconds = now.at - before.at
                report.rates.changesPerSecond = Double(now.lsn.rawValue - before.lsn.rawValue) / seconds
                report.rates.metricPointsPerSecond = Double(now.points - before.points) / seconds
                report.rates.fileBytesPerSecond = Double(now.bytes - before.bytes) / seconds
            }
            try mirror.state.setControl(.report, report.encoded())
            before = now
            try await mirror.clock.sleep(seconds: pause)
        }
    }
}
