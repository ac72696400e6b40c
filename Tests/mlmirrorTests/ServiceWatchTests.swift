import Logging
import Platforms
import Replication
import Systemd
import TestSupport
import Testing

@testable import mlmirror

/// What is told of a daemon, and when.
@Suite struct ServiceWatchTests {
    private func standing(
        connected: Bool = true, waiting: Int = 0, since oldest: Int64? = nil, checkpoint: Int64 = 1, idle seconds: Double = 0,
        reconciling: Bool = false, outages: [Outage] = []
    ) -> LiveNews {
        var report = LiveReport()
        report.outages = outages
        return .standing(
            LiveStanding(
                report: report, isConnected: connected, isReconciling: reconciling, checkpoint: LSN(rawValue: checkpoint),
                head: LSN(rawValue: checkpoint),
                waiting: waiting, oldestWaitingAt: oldest, secondsWithoutProgress: seconds))
    }

    private func events(_ told: [ServiceWatch.Announcement]) -> [MirrorEvent] {
        told.compactMap { if case .event(let event, _) = $0 { event } else { nil } }
    }

    @Test func itIsReadyOnceWhenAllHaveAnswered() {
        var watch = ServiceWatch()
        #expect(!watch.announce(standing(connected: false), at: 0).contains(.ready))
        #expect(watch.announce(standing(), at: 1000).contains(.ready))
        #expect(!watch.announce(standing(), at: 2000).contains(.ready))
    }

    @Test func lagIsToldWhenItBeginsAndWhenItEnds() {
        var watch = ServiceWatch()
        #expect(events(watch.announce(standing(waiting: 9, since: 0, reconciling: true), at: 1000)) == [])
        #expect(events(watch.announce(standing(), at: 2000)) == [.caughtUp])
        #expect(events(watch.announce(standing(waiting: 1, since: 2000), at: 301_000)) == [])
        #expect(events(watch.announce(standing(waiting: 1, since: 2000), at: 302_000)) == [.fallingBehind])
        #expect(events(watch.announce(standing(waiting: 1, since: 2000), at: 400_000)) == [])
        #expect(events(watch.announce(standing(waiting: 3, since: 350_000), at: 410_000)) == [])
        #expect(events(watch.announce(standing(waiting: 3, since: 400_000), at: 411_000)) == [.caughtUp])
    }

    @Test func checkpointsAndSnapshotsHaveTheirPace() {
        var watch = ServiceWatch()
        var (checkpoints, snapshots, fed) = (0, 0, 0)
        for second in 0..<600 {
            let told = watch.announce(standing(checkpoint: Int64(second)), at: Int64(second) * 1000)
            checkpoints += events(told).count { $0 == .checkpoint }
            snapshots += told.count { $0 == .snapshot }
            fed += told.count { $0 == .feedWatchdog }
        }
        #expect(checkpoints == 9 && snapshots == 10 && fed == 600)
        // An outage is news by itself.
        let outage = Outage(store: "secondary", since: 0, reason: "unreachable", message: "refused")
        #expect(watch.announce(standing(checkpoint: 599, outages: [outage]), at: 601_000).contains(.snapshot))
        #expect(watch.announce(standing(checkpoint: 599, outages: [outage]), at: 602_000).contains(.snapshot) == false)
    }

    /// A clock that is set back does not silence it for years.
    @Test func aClockThatIsSetBackSilencesNothing() {
        var watch = ServiceWatch()
        _ = watch.announce(standing(), at: 10_000_000)
        let told = watch.announce(standing(checkpoint: 2), at: 5_000_000)
        #expect(told.contains(.snapshot) && events(told) == [.checkpoint])
    }

    @Test func whoHangsIsNotFed() {
        var watch = ServiceWatch(ServiceWatch.Limits(watchdogSeconds: 60))
        #expect(watch.announce(standing(waiting: 1, since: 0, idle: 29), at: 1000).contains(.feedWatchdog))
        let told = watch.announce(standing(waiting: 1, since: 0, idle: 30), at: 2000)
        #expect(!told.contains(.feedWatchdog) && events(told).contains(.stuck))
        #expect(!events(watch.announce(standing(waiting: 1, since: 0, idle: 35), at: 3000)).contains(.stuck))
        #expect(watch.announce(standing(waiting: 1, since: 0, idle: 0), at: 4000).contains(.feedWatchdog))
        // What waits for its disk is fed.
        #expect(watch.announce(.waits("disk full"), at: 5000).contains(.feedWatchdog))
    }

    @Test func oneLineSaysHowItStands() {
        var watch = ServiceWatch()
        let outage = Outage(store: "secondary", since: 0, reason: "unreachable", message: "connection refused")
        let expected: [(LiveNews, String)] = [
            (standing(connected: false), "dual, waiting for the first answers"),
            (standing(outages: [outage]), "dual, secondary is away: connection refused"),
            (standing(waiting: 2, since: 0), "dual, 2 changes wait, 1.0 s behind, 0.0 changes/s"),
            (standing(reconciling: true), "dual, nothing waits, comparing everything, 0.0 changes/s"),
        ]
        for (news, line) in expected { #expect(watch.announce(news, at: 1000).contains(.status(line)), "\(line)") }
    }

    @Test func renewedCredentialsAreToldOfNowAndThen() {
        var watch = RenewalWatch()
        #expect(watch.look([.primary: 0, .secondary: 0], at: 0).isEmpty)
        #expect(watch.look([.primary: 0, .secondary: 1], at: 1000) == [.secondary])
        #expect(watch.look([.primary: 0, .secondary: 1], at: 900_000).isEmpty)
        #expect(watch.look([.primary: 1, .secondary: 2], at: 901_000) == [.primary, .secondary])
        #expect(watch.look([.primary: 2, .secondary: 3], at: 902_000).isEmpty)
        // Opened anew, after a reload.
        #expect(watch.look([.primary: 0, .secondary: 0], at: 2_000_000).isEmpty)
        #expect(watch.look([.primary: 0, .secondary: 1], at: 2_001_000) == [.secondary])
    }

    @Test func renewedCredentialsAreAnEvent() throws {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("s.db"))
        defer { try? state.close() }
        let world = TestWorld()
        let count = Locked(0)
        let store = OpenedStore(
            store: world.primary, version: { nil }, requestCount: { 0 }, close: {},
            figures: {
                var figures = RequestFigures()
                for _ in 0..<count.withLock({ $0 }) { figures.countRenewal() }
                return figures
            })
        let told = Locked<[[String: String]]>([])
        var logger = Logger(label: "test") { _ in
            JournalLog { fields in told.withLock { $0.append(Dictionary(fields.map { ($0.name, $0.value) }) { $1 }) } }
        }
        logger.logLevel = .info
        let announcer = Announcer(world.session(), state, logger)
        announcer.metrics.follow(store, store, pair: "p", file: nil)
        func renewed() -> [String] {
            told.withLock { $0.filter { $0["MLMIRROR_EVENT"] == "credentials_renewed" }.compactMap { $0["MLMIRROR_STORE"] } }
        }
        announcer.take(standing())
        #expect(renewed().isEmpty)
        count.withLock { $0 = 1 }
        announcer.take(standing())
        announcer.take(standing())
        #expect(renewed() == ["primary", "secondary"])
    }

    @Test func metricsThatCannotBeWrittenAreToldOfOnce() throws {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("s.db"))
        defer { try? state.close() }
        let world = TestWorld()
        let told = Locked(0)
        var logger = Logger(label: "test") { _ in
            JournalLog { fields in
                let isIt = fields.contains(Journal.Field("MLMIRROR_EVENT", "metrics_blocked"))
                told.withLock { $0 += isIt ? 1 : 0 }
            }
        }
        logger.logLevel = .info
        let announcer = Announcer(world.session(), state, logger)
        let store = OpenedStore(store: world.primary, version: { nil }, requestCount: { 0 }, close: {})
        announcer.metrics.follow(store, store, pair: "p", file: folder.file("none/mirror.prom"))
        announcer.take(standing())
        announcer.take(standing())
        #expect(told.withLock { $0 } == 1)
        announcer.metrics.follow(store, store, pair: "p", file: folder.file("mirror.prom"))
        announcer.take(standing())
        #expect(try FolderMaker.read(folder.file("mirror.prom")).contains("mlmirror_store_up{store=\"primary\",pair=\"p\"} 1"))
        #expect(told.withLock { $0 } == 1)
    }

    @Test func theLineNamesThePresentMode() throws {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("s.db"))
        defer { try? state.close() }
        let lines = Locked<[String]>([])
        var session = TestWorld().session()
        session.manager.status = { line in lines.withLock { $0.append(line) } }
        let announcer = Announcer(session, state, Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        announcer.take(standing())
        try state.seal()
        announcer.take(standing())
        #expect(lines.withLock { $0 } == ["dual, nothing waits, 0.0 changes/s", "azureml-only, nothing waits, 0.0 changes/s"])
    }
}
