import FoundationEssentials
import Replication

/// A status as `--json` prints it: these names are a promise.
struct StatusDocument: Codable {
    struct Lag: Codable {
        var changes: Int
        var seconds: Double?
    }
    struct CanaryDocument: Codable {
        var lastArrivedAt: String?
        var seconds: Double?
        var missingSince: String?
        var why: String?
    }
    struct OutageDocument: Codable {
        var store: String
        var since: String
        var reason: String
        var message: String
    }
    var messageType = "status"
    var mode: String
    var modeSwitches: [ModeDocument.Switch]?
    /// Things that still change on the primary after their cutover.
    var stragglers: Int?
    var state: String
    var level: String
    var reason: String
    var pair: String
    var checkpoint: Int64
    var head: Int64
    var lag: Lag
    var pending: [String: Int]
    var rates: LiveReport.Rates
    var feed: String?
    var feedLastSuccessAt: String?
    var feedTrouble: String?
    var sweepOldestAt: String?
    var filesSweptSince: String?
    var lastAppliedAt: String?
    var reconciling: String?
    var paused: String
    var pausedExperiments: [String]
    var pausedModels: [String]
    var held: Int
    var deadLetters: Int
    /// Left out by decision; nil: an earlier version said it.
    var discarded: Int?
    var failures: [String]
    var conflicts: Int
    var outages: [OutageDocument]
    var canary: CanaryDocument?
    var conversions: [String: Int]
    /// What was tried again since the daemon began; nil: an earlier version said it.
    var retries: Int?
    /// Fields of the primary that are not copied, because they are newer than this; nil: an earlier version said it.
    var unknownFields: [String: Int]?
    /// What the primary holds and nobody copies, as the last listing of everything has counted it; nil: an earlier version said it.
    var leftOut: [String: Int]?
    var startedAt: String?
    /// What keeps it from its work, in words.
    var troubles: [String]
    /// Where this was read: the state file, or the journal.
    var source = "state"
    /// When the service said so, where that was read in the journal.
    var saidAt: String?

    init(_ status: MirrorStatus, _ verdict: StatusVerdict) {
        mode = status.modes.mode.rawValue
        modeSwitches = status.modes.switches.map(ModeDocument.Switch.init)
        stragglers = status.stragglers
        state = status.condition.rawValue
        level = "\(verdict.level)"
        reason = verdict.reason
        pair = status.pair
        checkpoint = status.checkpoint.rawValue
        head = status.head.rawValue
        lag = Lag(changes: status.lagChanges, seconds: status.lagSeconds)
        pending = status.pending
        let report = status.report
        rates = report?.rates ?? LiveReport.Rates()
        feed = report?.feed
        feedLastSuccessAt = report?.feedLastSuccessAt.map(Instant.text)
        feedTrouble = report?.feedTrouble
        sweepOldestAt = report?.sweepOldestAt.map(Instant.text)
        filesSweptSince = report?.filesSweptSince.map(Instant.text)
        lastAppliedAt = report?.lastAppliedAt.map(Instant.text)
        startedAt = report.map { Instant.text($0.startedAt) }
        reconciling = status.reconciling
        paused = status.pause.rawValue
        (pausedExperiments, pausedModels, held) = (status.pausedScope.experiments, status.pausedScope.models, status.held)
        deadLetters = status.deadLetters
        discarded = status.discarded
        failures = status.firstDeadLetters
        conflicts = status.conflicts
        outages = (status.condition == .stopped ? [] : report?.outages ?? []).map {
            OutageDocument(store: $0.store, since: Instant.text($0.since), reason: $0.reason, message: $0.message)
        }
        canary = report?.canary.map {
            CanaryDocument(
                lastArrivedAt: $0.lastArrivedAt.map(Instant.text), seconds: $0.seconds, missingSince: $0.missingSince.map(Instant.text),
                why: $0.why)
        }
        conversions = report?.conversions ?? [:]
        retries = report?.retries ?? 0
        unknownFields = report?.unknownFields ?? [:]
        leftOut = status.uncopied
        troubles = status.troubles
    }

    /// As an earlier process wrote it; nil when it is none.
    init?(json: String) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let document = try? decoder.decode(StatusDocument.self, from: Data(json.utf8)) else { return nil }
        self = document
    }
}
