import Foundation
import Platforms
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// What Prometheus reads.
@Suite struct MetricsTests {
    static func text(pair: String = "team-a") -> String {
        var report = LiveReport()
        report.startedAt = 1_700_000_000_000
        report.writtenAt = 1_700_000_000_050
        report.outages = [Outage(store: "secondary", since: 0, reason: "unreachable", message: "refused")]
        var counts = Counts()
        counts.runs.created = 3
        counts.fileBytes = 5_000_000_000
        counts.copiedFileBytes = 4_000_000_000
        counts.conversions = ["overflow": 4]
        let standing = LiveStanding(
            report: report, counts: counts, isConnected: true, isReconciling: false, checkpoint: LSN(rawValue: 7), head: LSN(rawValue: 9),
            waiting: 2, oldestWaitingAt: nil, secondsWithoutProgress: 0)
        var requests = RequestFigures()
        for seconds in [0.005, 0.02, 0.02, 2, 31] { requests.count(.points, seconds: seconds) }
        requests.countWait(seconds: 1.5)
        for _ in 0..<3 { requests.countRetry() }
        return MetricsText(
            pair: pair, standing: standing, deadLetters: 1, conflicts: [.param: 2], pending: [.run: 2], mode: .dual, stragglers: 0,
            verifiedAt: 1_700_000_001_000, stateBytes: 4096,
            stores: [.secondary: MetricsText.Store(requests: requests, credentialEndsAt: 1_700_003_600)]
        ).text
    }

    /// Without the label that all have.
    static func bare(_ text: String, pair: String = "team-a") -> String {
        text.replacing(",pair=\"\(pair)\"", with: "").replacing("{pair=\"\(pair)\"}", with: "")
    }

    /// One node_exporter reads the files of all instances, and takes no series twice.
    @Test func twoDaemonsShareNoSeries() {
        func series(_ pair: String) -> Set<Substring> {
            Set(Self.text(pair: pair).split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { $0.split(separator: " ").first })
        }
        #expect(series("team-a").count > 50 && series("team-a").isDisjoint(with: series("team-b")))
    }

    /// Every name that a sample may have.
    static func names() -> Set<String> {
        Set(text().split(separator: "\n").filter { !$0.hasPrefix("#") }.map { String($0.prefix { $0 != " " && $0 != "{" }) })
    }

    @Test func valuesAreThereUnderTheirNames() {
        let lines = Set(Self.bare(Self.text()).split(separator: "\n").map(String.init))
        for line in [
            "mlmirror_build_info{version=\"\(Program.version)\"} 1", "mlmirror_mode_info{mode=\"dual\"} 1",
            "mlmirror_mode_info{mode=\"azureml-only\"} 0", "mlmirror_store_up{store=\"primary\"} 1",
            "mlmirror_store_up{store=\"secondary\"} 0",
            "mlmirror_checkpoint_lsn 7", "mlmirror_pending_changes{entity=\"run\"} 2", "mlmirror_pending_changes{entity=\"experiment\"} 0",
            "mlmirror_oldest_pending_timestamp_seconds 0", "mlmirror_start_timestamp_seconds 1700000000",
            "mlmirror_heartbeat_timestamp_seconds 1700000000.050", "mlmirror_changes_total{entity=\"run\",operation=\"create\"} 3",
            "mlmirror_artifact_bytes_total 5000000000", "mlmirror_artifact_copied_bytes_total 4000000000", "mlmirror_dead_letters 1",
            "mlmirror_state_file_bytes 4096",
            "mlmirror_verify_last_success_timestamp_seconds 1700000001", "mlmirror_conflicts{kind=\"param\"} 2",
            "mlmirror_conversions_total{kind=\"overflow\"} 4", "mlmirror_requests_total{store=\"secondary\",class=\"points\"} 5",
            "mlmirror_request_duration_seconds_bucket{store=\"secondary\",le=\"0.01\"} 1",
            "mlmirror_request_duration_seconds_bucket{store=\"secondary\",le=\"0.03\"} 3",
            "mlmirror_request_duration_seconds_bucket{store=\"secondary\",le=\"1\"} 3",
            "mlmirror_request_duration_seconds_bucket{store=\"secondary\",le=\"30\"} 4",
            "mlmirror_request_duration_seconds_bucket{store=\"secondary\",le=\"+Inf\"} 5",
            "mlmirror_request_duration_seconds_sum{store=\"secondary\"} 33.045",
            "mlmirror_request_duration_seconds_count{store=\"secondary\"} 5",
            "mlmirror_throttled_seconds_total{store=\"secondary\"} 1.500", "mlmirror_throttled_seconds_total{store=\"primary\"} 0",
            "mlmirror_retries_total{store=\"secondary\"} 3", "mlmirror_retries_total{store=\"primary\"} 0",
            "mlmirror_credential_expiry_timestamp_seconds{store=\"secondary\"} 1700003600",
            "mlmirror_credential_expiry_timestamp_seconds{store=\"primary\"} 0",
        ] { #expect(lines.contains(line), "\(line)") }
    }

    /// A rate of what began with its first event misses that event.
    @Test func everySeriesIsThereAtZero() {
        let text = Self.bare(Self.text())
        for kind in EntityKey.Kind.allCases { #expect(text.contains("mlmirror_pending_changes{entity=\"\(kind.rawValue)\"}")) }
        for kind in ConflictKind.allCases { #expect(text.contains("mlmirror_conflicts{kind=\"\(kind.rawValue)\"}")) }
        for kind in Counts.conversionKinds { #expect(text.contains("mlmirror_conversions_total{kind=\"\(kind)\"}")) }
        for kind in RequestClass.allCases {
            #expect(text.contains("mlmirror_requests_total{store=\"primary\",class=\"\(kind.rawValue)\"} 0"))
        }
        #expect(text.contains("mlmirror_request_duration_seconds_bucket{store=\"primary\",le=\"+Inf\"} 0"))
    }

    @Test func everyConversionThatIsCountedHasItsSeries() throws {
        var counted: Set<String> = []
        for file in try FolderMaker.sources() where file.contains("/Replication/") && !file.hasSuffix("Counts.swift") {
            for line in try FolderMaker.read(file).split(separator: "\n") where line.contains("onversions") && !line.contains("logger") {
                for found in line.matches(of: #/"([a-z_]+)[":]/#) { counted.insert(String(found.output.1)) }
            }
        }
        #expect(counted == Set(Counts.conversionKinds))
    }

    /// As the exposition format has it: help and type before the samples, each name once, counters end in `_total`.
    @Test func theFormIsPrometheus() throws {
        var types: [String: String] = [:]
        var seen: Set<Substring> = []
        for line in Self.text().split(separator: "\n") {
            if let help = try #/# HELP (mlmirror_[a-z_]+) (.+\.)/#.wholeMatch(in: line) {
                #expect(types[String(help.output.1)] == nil)
                types[String(help.output.1)] = ""
            } else if let type = try #/# TYPE (mlmirror_[a-z_]+) (gauge|counter|histogram)/#.wholeMatch(in: line) {
                #expect(types[String(type.output.1)] == "")
                types[String(type.output.1)] = String(type.output.2)
            } else {
                let sample = try #require(
                    try #/((mlmirror_[a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})?) [0-9]+(\.[0-9]+)?/#.wholeMatch(in: line), "\(line)")
                #expect(seen.insert(sample.output.1).inserted, "\(line) is there twice")
                let name = String(sample.output.2)
                let base = name.replacing(#/_(bucket|sum|count)$/#, with: "")
                let type = try #require(types[name] ?? (types[base] == "histogram" ? "histogram" : nil), "\(line)")
                #expect((type == "counter") == name.hasSuffix("_total"), "\(line)")
            }
        }
        #expect(types.count > 26)
    }

    @Test func readmeSpeaksOfMetricsThatExist() throws {
        let readme = try FolderMaker.read(FolderMaker.package + "/README.md")
        let named = Set(readme.matches(of: #/`(mlmirror_[a-z_]+)/#).map { String($0.output.1) })
        #expect(named.count > 8)
        for name in named { #expect(Self.text().contains("# TYPE \(name) "), "\(name)") }
    }
}

/// What the state file remembers of comparisons, for those who watch.
@Suite struct VerifiedMomentTests {
    @Test func onlyAWholeComparisonWithoutADifferenceIsASuccess() async throws {
        let folder = try TemporaryFolder()
        let world = TestWorld()
        let state = folder.file("state.db")
        let common = ["--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", state]
        func verifiedAt() throws -> Int64? {
            let file = try ReplicationState.visit(path: state)
            defer { try? file.close() }
            return try file.verifiedAt
        }
        try await world.fill()
        #expect(await world.run(["backfill"] + common) == .ok)
        #expect(await world.run(["verify", "--experiment", "team/*"] + common) == .ok)
        #expect(try verifiedAt() == nil, "a part is not everything")

        let before = SystemClock().nowMilliseconds
        #expect(await world.run(["verify"] + common) == .ok)
        let first = try #require(try verifiedAt())
        #expect((before...SystemClock().nowMilliseconds).contains(first))

        _ = try await world.primary.createExperiment(name: "new", tags: [])
        #expect(await world.run(["verify"] + common) == .differences)
        #expect(try verifiedAt() == first)
        #expect(await world.run(["verify", "--repair"] + common) == .ok)
        #expect(try #require(try verifiedAt()) >= first)
    }
}
