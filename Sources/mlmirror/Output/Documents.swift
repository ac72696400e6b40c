import FoundationEssentials
import Replication

/// A backfill's result as `--json` prints it. Names and meanings are only ever added to.
struct BackfillDocument: Encodable {
    struct Entities: Encodable {
        var created: Int
        var adopted: Int
        var updated: Int
        var unchanged: Int
        var deleted: Int
        init(_ entities: Counts.Entities) {
            created = entities.created
            adopted = entities.adopted
            updated = entities.updated
            unchanged = entities.unchanged
            deleted = entities.deleted
        }
    }

    var messageType = "backfill_summary"
    var finishedAt: String
    var primary: String
    var secondary: String
    var pair: String
    var state: String
    var isDryRun: Bool
    var isComplete: Bool
    var wroteNothing: Bool
    var experiments: Entities
    var runs: Entities
    var loggedModels: Entities
    var registeredModels: Entities
    var modelVersions: Entities
    var params: Int
    var tags: Int
    var metricPoints: Int
    var inputs: Int
    var files: Int
    var fileBytes: Int64
    var copiedFileBytes: Int64
    var requests: Int
    var retries: Int
    var conversions: [String: Int]
    var leftOut: [String: Int]
    var conflicts: Int
    var deadLetters: Int
    var failures: [String]
    var durationSeconds: Double

    init(_ summary: BackfillSummary, settings: MirrorSettings, finishedAt: Int64, isDryRun: Bool) {
        let counts = summary.counts
        self.finishedAt = Instant.text(finishedAt)
        primary = settings.primary.uri.value.description
        secondary = settings.secondary.uri.value.description
        pair = settings.pair.value
        state = settings.state.value
        self.isDryRun = isDryRun
        isComplete = summary.isComplete
        wroteNothing = isDryRun || summary.wroteNothing
        experiments = Entities(counts.experiments)
        runs = Entities(counts.runs)
        loggedModels = Entities(counts.loggedModels)
        registeredModels = Entities(counts.registeredModels)
        modelVersions = Entities(counts.versions)
        params = counts.params
        tags = counts.tags
        metricPoints = counts.metricPoints
        inputs = counts.inputs
        files = counts.files
        fileBytes = counts.fileBytes
        copiedFileBytes = counts.copiedFileBytes
        requests = counts.requests
        retries = counts.retries
        conversions = counts.conversions
        leftOut = counts.leftOut
        conflicts = counts.conflicts
        deadLetters = counts.deadLetters
        failures = summary.failures
        durationSeconds = summary.seconds
    }
}

/// A verification's result, at the end of its report.
struct VerifyDocument: Encodable {
    var isComplete: Bool
    var compared: [String: Int]
    var differences: Int
    var unreadable: Int
    var converted: [String: Int]
    /// What differs and stands, by kind of conflict.
    var accepted: [String: Int]
    var leftOut: [String: Int]
    var durationSeconds: Double
    /// After `--repair`: what the second comparison found.
    var differencesAfterRepair: Int?

    init(_ summary: VerifySummary, afterRepair: VerifySummary?) {
        let last = afterRepair ?? summary
        isComplete = last.unreadable == 0 && last.overdue == 0 && !last.isOfNothing
        compared = summary.compared
        differences = summary.differences
        unreadable = summary.unreadable
        leftOut = summary.leftOut
        converted = summary.converted
        accepted = summary.accepted
        durationSeconds = summary.seconds
        differencesAfterRepair = afterRepair?.differences
    }
}

/// The last line of standard error when a command with `--json` ends with another code than 0.
struct ExitErrorDocument: Encodable {
    var messageType = "exit_error"
    var code: Int32
    var message: String
}

/// One document on one line: snake case, keys in order, times in RFC 3339.
enum JSONLine {
    static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
