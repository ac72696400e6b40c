import Platforms
import Replication

/// A daemon's standing as Prometheus reads it. Every series is there from the beginning, at 0; moments are moments, not ages; no id
/// is a label, but the pair's name.
struct MetricsText {
    /// What is known of one store beside its being up.
    struct Store {
        var requests = RequestFigures()
        /// Seconds since 1970; nil: no end is known.
        var credentialEndsAt: Double?
    }

    /// Whose they are: in one place there may be those of several daemons.
    var pair: String
    var standing: LiveStanding
    var deadLetters: Int
    var conflicts: [ConflictKind: Int]
    var pending: [EntityKey.Kind: Int]
    var mode: Mode
    var stragglers: Int
    /// Milliseconds since 1970.
    var verifiedAt: Int64?
    var stateBytes: Int64
    var stores: [Role: Store]

    var text: String {
        var lines = MetricsLines(common: "pair=\"\(pair)\"")
        place(&lines)
        work(&lines)
        written(&lines)
        requests(&lines)
        return lines.text
    }

    private func place(_ lines: inout MetricsLines) {
        let report = standing.report
        lines.metric("build_info", "gauge", "The version that runs.", [("version=\"\(Program.version)\"", "1")])
        lines.metric(
            "mode_info", "gauge", "1 for the present mode.", Mode.allCases.map { ("mode=\"\($0.rawValue)\"", $0 == mode ? "1" : "0") })
        lines.moment("start_timestamp_seconds", "When the daemon began.", report.startedAt)
        let away = Set(report.outages.map(\.store))
        lines.metric(
            "store_up", "gauge", "Whether a store answers.",
            Role.allCases.map { ("store=\"\($0.rawValue)\"", standing.isConnected && !away.contains($0.rawValue) ? "1" : "0") })
        lines.gauge("checkpoint_lsn", "Everything up to this position is on the secondary.", standing.checkpoint.rawValue)
        lines.gauge("head_lsn", "The last position in the change log.", standing.head.rawValue)
        lines.gauge("state_file_bytes", "Size of the state file, with its log.", stateBytes)
    }

    private func work(_ lines: inout MetricsLines) {
        let report = standing.report
        lines.metric(
            "pending_changes", "gauge", "Changes that wait, by kind.",
            EntityKey.Kind.allCases.map { ("entity=\"\($0.rawValue)\"", "\(pending[$0] ?? 0)") })
        lines.moment("oldest_pending_timestamp_seconds", "Since when the oldest of them waits.", standing.oldestWaitingAt)
        lines.moment("last_applied_timestamp_seconds", "When something was carried across last.", report.lastAppliedAt)
        lines.moment("feed_last_success_timestamp_seconds", "When the feed answered last.", report.feedLastSuccessAt)
        lines.moment(
            "sweep_oldest_timestamp_seconds", "Every run has been compared since then; with triggers none need be.", report.sweepOldestAt)
        lines.moment(
            "files_swept_timestamp_seconds", "The names and sizes of all files have been compared since then.", report.filesSweptSince)
        lines.moment("verify_last_success_timestamp_seconds", "When everything in scope was last compared and found equal.", verifiedAt)
        lines.moment("heartbeat_timestamp_seconds", "When this was written.", report.writtenAt)
        lines.gauge("dead_letters", "Things that are set aside.", Int64(deadLetters))
        lines.gauge("stragglers", "Things that still change on the primary after their cutover.", Int64(stragglers))
        lines.metric(
            "conflicts", "gauge", "Fields that somebody else changed on the secondary, by what they are.",
            ConflictKind.allCases.map { ("kind=\"\($0.rawValue)\"", "\(conflicts[$0] ?? 0)") })
    }

    private func written(_ lines: inout MetricsLines) {
        let counts = standing.counts
        let kinds: [(name: String, entities: Counts.Entities)] = [
            ("experiment", counts.experiments), ("logged_model", counts.loggedModels), ("model_version", counts.versions),
            ("registered_model", counts.registeredModels), ("run", counts.runs),
        ]
        let operations: [(name: String, count: KeyPath<Counts.Entities, Int>)] = [
            ("adopt", \.adopted), ("create", \.created), ("delete", \.deleted), ("update", \.updated),
        ]
        lines.metric(
            "changes_total", "counter", "Things written to the secondary, by what was done.",
            kinds.flatMap { kind in
                operations.map {
                    ("entity=\"\(kind.name)\",operation=\"\($0.name)\"", "\(kind.entities[keyPath: $0.count])")
                }
            })
        lines.counter("metric_points_total", "Metric points written.", Int64(counts.metricPoints))
        lines.counter("artifact_bytes_total", "Bytes of files written.", counts.fileBytes)
        lines.counter(
            "artifact_copied_bytes_total", "Of these, bytes that storage has copied from storage by itself.", counts.copiedFileBytes)
        lines.counter("files_total", "Files written.", Int64(counts.files))
        lines.metric(
            "conversions_total", "counter", "Things that stand on the secondary in another form, by how.",
            Counts.conversionKinds.map { ("kind=\"\($0)\"", "\(counts.conversions[$0] ?? 0)") })
    }

    private func requests(_ lines: inout MetricsLines) {
        let stores = Role.allCases.map { (label: "store=\"\($0.rawValue)\"", store: self.stores[$0] ?? Store()) }
        lines.metric(
            "requests_total", "counter", "Requests that have ended, by what they were about.",
            stores.flatMap { label, store in
                RequestClass.allCases.map { ("\(label),class=\"\($0.rawValue)\"", "\(store.requests.counts[$0] ?? 0)") }
            })
        lines.histogram(
            "request_duration_seconds", "Until an answer was whole; of one that is read while it arrives, until it began.",
            RequestFigures.bounds,
            stores.map { MetricsLines.Histogram(label: $0.label, counts: $0.store.requests.durations, sum: $0.store.requests.seconds) })
        lines.metric(
            "retries_total", "counter", "Requests that failed in passing: what they were for is tried again.",
            stores.map { ($0.label, "\($0.store.requests.retries)") })
        lines.metric(
            "throttled_seconds_total", "counter", "Time that requests waited before they were sent, so as not to be too many.",
            stores.map { ($0.label, MetricsLines.seconds($0.store.requests.throttledSeconds)) })
        lines.metric(
            "credential_expiry_timestamp_seconds", "gauge",
            "When the credential that was given ends. 0: it says nothing of an end, or is renewed.",
            stores.map { ($0.label, MetricsLines.seconds($0.store.credentialEndsAt ?? 0)) })
    }
}
