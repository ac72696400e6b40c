import FoundationEssentials

/// What the daemon knew of itself a moment ago. It lies in the state file, so that `status` needs no daemon to answer.
public struct LiveReport: Sendable, Hashable, Codable {
    public struct Rates: Sendable, Hashable, Codable {
        public var changesPerSecond = 0.0
        public var metricPointsPerSecond = 0.0
        public var fileBytesPerSecond = 0.0
        public init() {}
    }
    /// Milliseconds since 1970, all of them.
    public var startedAt: Int64 = 0
    public var writtenAt: Int64 = 0
    public var lastAppliedAt: Int64?
    public var feed = ""
    /// The feed's own last success, whether or not there was anything new.
    public var feedLastSuccessAt: Int64?
    /// What keeps the feed from being read.
    public var feedTrouble: String?
    /// What keeps the primary from being listed to its end, where everything is to be compared.
    public var listingTrouble: String?
    /// Every run has been compared since then; nil where the feed misses nothing.
    public var sweepOldestAt: Int64?
    /// The names and sizes of everything's files have been compared since then; nil before the first whole sweep.
    public var filesSweptSince: Int64?
    public var rates = Rates()
    public var outages: [Outage] = []
    /// Nil where none is sent, and before the first has come or not come.
    public var canary: CanaryReport?
    public var conversions: [String: Int] = [:]
    public var retries = 0
    /// Fields of the primary that are newer than this, and in how many things they were seen; nil: an earlier version said it.
    public var unknownFields: [String: Int]?
    /// The daemon has ended: as it was told to, or it was killed and another command has taken the state file over since.
    public var hasEnded = false
    public init() {}

    /// The last word of a daemon that ends as it was told to, and the first of a command that owns the state file and is none: of one that
    /// was killed nobody has said it, and others would ask for what nobody answers.
    public static func noteEnd(in state: ReplicationState) throws {
        guard var report = try state.control(.report).flatMap({ LiveReport(encoded: $0) }), !report.hasEnded else { return }
        report.hasEnded = true
        try state.setControl(.report, report.encoded())
    }

    func encoded() throws -> String { String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }
    public init?(encoded text: String) {
        guard let report = try? JSONDecoder().decode(LiveReport.self, from: Data(text.utf8)) else { return nil }
        self = report
    }
}
