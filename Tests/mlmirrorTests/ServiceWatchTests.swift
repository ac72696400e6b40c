import Foundation
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

/// Events, their words and where they go.
@Suite struct EventTests {
    private func entries(_ body: (Logger) -> Void) -> [[String: String]] {
        let sent = Locked<[[String: String]]>([])
        var logger = Logger(label: "test") { _ in
            JournalLog { fields in sent.withLock { $0.append(Dictionary(fields.map { ($0.name, $0.value) }) { $1 }) } }
        }
        logger.logLevel = .trace
        body(logger)
        return sent.withLock { $0 }
    }

    @Test func aJournalEntryHasItsFactsInFields() throws {
        let entry = try #require(
            entries { $0.event(.outageBegan, ["store": "secondary", "lag_ms": "7", "detail": "two\nlines"]) }.first)
        #expect(entry["MESSAGE"] == "store is away")
        #expect(entry["MESSAGE_ID"] == MirrorEvent.outageBegan.messageID)
        #expect(entry["PRIORITY"] == "3")
        #expect(entry["SYSLOG_IDENTIFIER"] == "mlmirror")
        #expect(entry["MLMIRROR_EVENT"] == "outage_began")
        #expect(entry["MLMIRROR_STORE"] == "secondary" && entry["MLMIRROR_LAG_MS"] == "7" && entry["MLMIRROR_DETAIL"] == "two\nlines")
        #expect(entry["CODE_FILE"]?.hasSuffix("ServiceWatchTests.swift") == true)
    }

    @Test func aFieldsNameIsOneThatTheJournalTakes() {
        #expect(JournalLog.field("lag_ms") == "MLMIRROR_LAG_MS")
        #expect(JournalLog.field("a.b-c ä") == "MLMIRROR_A_B_C__")
        #expect(JournalLog.field(String(repeating: "x", count: 90)).count == 64)
    }

    @Test func linesDoNotRepeatTheEventsName() {
        let line = LogLines.line(.error, "store is away", ["event": "outage_began", "store": "secondary"])
        #expect(line == "error store is away store=secondary")
    }

    @Test func everyEventIsInTheCatalogAndEveryIdInTheCatalogIsAnEvents() throws {
        let catalog = try FolderMaker.read(FolderMaker.package + "/systemd/mlmirror.catalog")
        let ids = catalog.split(separator: "\n").filter { $0.hasPrefix("-- ") }.map { String($0.dropFirst(3)) }
        #expect(ids.count == Set(ids).count)
        #expect(Set(ids) == Set(MirrorEvent.allCases.map(\.messageID)))
        for event in MirrorEvent.allCases {
            #expect(catalog.contains("# \(event.rawValue)\n-- \(event.messageID)\nSubject: "), "\(event)")
        }
    }

    /// What nobody says need not be explained.
    @Test func everyEventIsSaidSomewhereWithTheFieldsThatTheCatalogNames() throws {
        let sources = try FolderMaker.sources().map { try FolderMaker.read($0) }.joined(separator: "\n")
        let catalog = try FolderMaker.read(FolderMaker.package + "/systemd/mlmirror.catalog")
        let sections = catalog.components("-- ").dropFirst()
        for event in MirrorEvent.allCases {
            #expect(
                sources.contains(".\(event),") || sources.contains(".\(event))") || sources.contains(".\(event) "), "\(event) is never said"
            )
            let section = try #require(sections.first { $0.hasPrefix(event.messageID) })
            for field in section.components("@MLMIRROR_").dropFirst() {
                let name = field.prefix { $0 != "@" }.lowercased()
                #expect(sources.contains("\"\(name)\":"), "\(event): no event has a field \(name)")
            }
        }
    }

    /// By the program, and not by the test itself: what is provoked nowhere may never be said, or with other fields than the catalog's.
    @Test func everyEventIsProvokedByATest() throws {
        let root = FolderMaker.package + "/Tests"
        let files = try FileManager.default.subpathsOfDirectory(atPath: root).filter { $0.hasSuffix(".swift") || $0.hasSuffix(".py") }
        let lines = try files.flatMap { try FolderMaker.read("\(root)/\($0)").split(separator: "\n").map(String.init) }.filter { line in
            let isAboutOne = line.contains("said(.") || line.lowercased().contains("event")
            return isAboutOne && !line.contains(".event(.")
        }
        for event in MirrorEvent.allCases {
            // As a whole word: `comparing` is also how `comparing_interrupted` begins.
            let isNamed = lines.contains { line in
                line.contains("\"\(event.rawValue)\"")
                    || line.components(".\(event)").dropFirst().contains { $0.first.map { !$0.isLetter } ?? true }
            }
            #expect(isNamed, "no test provokes \(event.rawValue)")
        }
    }

    @Test func jsonLinesHaveTheSameFacts() async throws {
        let folder = try TemporaryFolder()
        let world = TestWorld()
        try await world.fill()
        let arguments = ["--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", folder.file("state.db")]
        #expect(await world.run(["backfill", "--log-format", "json", "-v"] + arguments) == .ok)
        let lines = world.complained.split(separator: "\n").compactMap { FolderMaker.object(String($0)) }
        let finished = try #require(lines.first { $0["event"] as? String == "backfill_finished" }, "\(world.complained)")
        #expect(finished["level"] as? String == "notice" && (finished["fields"] as? [String: String])?["runs"] == "1")
        #expect(Instant.milliseconds(finished["time"] as? String ?? "") != nil)
        world.primary.setFault { _ in .before(StoreError(.stop, .unauthorized, "who are you?")) }
        #expect(await world.run(["backfill", "--log-format", "json"] + arguments) == .refused)
        let failed = try #require(world.complained.split(separator: "\n").last.flatMap { FolderMaker.object(String($0)) })
        #expect(failed["event"] as? String == "failed" && (failed["fields"] as? [String: String])?["code"] == "77")
    }
}

/// A status that comes from the journal.
@Suite struct JournaledStatusTests {
    let world = TestWorld()

    private func status(
        at: Int64, endedAt: Int64? = nil, lag: Double? = 3, asked arguments: [String] = ["status"]
    ) async throws -> Status {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("s.db"))
        var document = StatusDocument(try MirrorStatus(of: state, at: at), StatusVerdict(try MirrorStatus(of: state, at: at)))
        document.lag.seconds = lag
        document.conversions = ["version_number_filled": 2]
        try state.close()
        let json = try JSONLine.encode(document)
        var session = world.session()
        session.lastStatusEvent = { unit, event in
            guard unit == (arguments.contains("--instance") ? "mlmirror@team.service" : "mlmirror.service") else { return nil }
            switch event {
            case .status: return JournalReader.Entry(at: at, fields: ["MLMIRROR_STATUS": json])
            case .ended: return endedAt.map { JournalReader.Entry(at: $0, fields: [:]) }
            default: return nil
            }
        }
        return await Program.run(arguments, in: session)
    }

    private var now: Int64 { SystemClock().nowMilliseconds }

    @Test func whoMayNotReadTheStateIsAnsweredFromTheJournal() async throws {
        #expect(try await status(at: now - 20_000).rawValue == 0)
        #expect(world.printed.hasPrefix("OK - ") && world.printed.contains("from:         the journal, 20"), "\(world.printed)")
        #expect(world.printed.contains("conversions:  version number filled 2"), "\(world.printed)")
        #expect(try await status(at: now, asked: ["status", "--json", "--instance", "team"]).rawValue == 0)
        #expect(world.printed.contains(#""source":"journal""#), "\(world.printed)")
    }

    @Test func whatIsOldOrBehindIsNotOk() async throws {
        #expect(try await status(at: now - 200_000).rawValue == 2)
        #expect(world.printed.hasPrefix("CRITICAL - it has said nothing for 3 min"), "\(world.printed)")
        #expect(try await status(at: now, lag: 400).rawValue == 1)
        #expect(try await status(at: now - 1000, endedAt: now).rawValue == 2)
        #expect(world.printed.contains("CRITICAL - stopped"), "\(world.printed)")
        #expect(try await status(at: now, asked: ["status", "--state", "/nowhere/s.db"]).rawValue == 3)
    }
}
