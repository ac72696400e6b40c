import Foundation
import Logging
import Replication
import Systemd
import TestSupport
import Testing

@testable import mlmirror

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
        #expect(entry["CODE_FILE"]?.hasSuffix("EventTests.swift") == true)
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
        // As whole words: `comparing` is also how `comparing_interrupted` begins.
        var words: Set<String> = []
        for file in files {
            for line in try FolderMaker.read("\(root)/\(file)").split(separator: "\n") {
                let isAboutOne = line.contains("said(.") || line.contains("event") || line.contains("Event") || line.contains("EVENT")
                guard isAboutOne, !line.contains(".event(.") else { continue }
                words.formUnion(line.utf8.split { !($0 >= 97 && $0 <= 122 || $0 >= 65 && $0 <= 90 || $0 == 95) }.map { String($0) ?? "" })
            }
        }
        for event in MirrorEvent.allCases {
            #expect(words.contains(event.rawValue) || words.contains("\(event)"), "no test provokes \(event.rawValue)")
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
