import Replication

/// A daemon's standing as Prometheus reads it. Every series is there from the beginning, at 0; moments are moments, not ages; no id is a label.
struct MetricsText {
    var standing: LiveStanding
    var deadLetters: Int
    var conflicts: Int
    var pending: [EntityKey.Kind: Int]
    var mode: Mode
    var stragglers: Int

    var text: String {
        let counts = standing.counts
        var lines: [String] = []
        func metric(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: String)]) {
            lines.append("# HELP mlmirror_\(name) \(help)")
            lines.append("# TYPE mlmirror_\(name) \(type)")
            lines += samples.map { "mlmirror_\(name)\($0.labels) \($0.value)" }
        }
        func gauge(_ name: String, _ help: String, _ value: Int) { metric(name, "gauge", help, [("", "\(value)")]) }
        func moment(_ name: String, _ help: String, _ milliseconds: Int64?) {
            metric(name, "gauge", help + " 0: never.", [("", Self.seconds(milliseconds ?? 0))])
        }
        func counter(_ name: String, _ help: String, _ value: Int64) { metric(name, "counter", help, [("", "\(value)")]) }

        metric("build_info", "gauge", "The version that runs.", [("{version=\"\(Program.version)\"}", "1")])
        metric("mode_info", "gauge", "1 for the present mode.", Mode.allCases.map { ("{mode=\"\($0.rawValue)\"}", $0 == mode ? "1" : "0") })
        moment("start_timestamp_seconds", "When the daemon began.", standing.report.startedAt)
        let away = Set(standing.report.outages.map(\.store))
        metric(
            "store_up", "gauge", "Whether a store answers.",
            Role.allCases.map { ("{store=\"\($0.rawValue)\"}", standing.isConnected && !away.contains($0.rawValue) ? "1" : "0") })
        metric("checkpoint_lsn", "gauge", "Everything up to this position is on the secondary.", [("", "\(standing.checkpoint)")])
        metric("head_lsn", "gauge", "The last position in the change log.", [("", "\(standing.head)")])
        metric(
            "pending_changes", "gauge", "Changes that wait, by kind.",
            EntityKey.Kind.allCases.map { ("{entity=\"\($0.rawValue)\"}", "\(pending[$0] ?? 0)") })
        moment("oldest_pending_timestamp_seconds", "Since when the oldest of them waits.", standing.oldestWaitingAt)
        moment("last_applied_timestamp_seconds", "When something was carried across last.", standing.report.lastAppliedAt)
        moment("feed_last_success_timestamp_seconds", "When the feed answered last.", standing.report.feedLastSuccessAt)
        moment(
            "sweep_oldest_timestamp_seconds", "Every run has been compared since then; with triggers none need be.",
            standing.report.sweepOldestAt)
        moment(
            "files_swept_timestamp_seconds", "The names and sizes of all files have been compared since then.",
            standing.report.filesSweptSince)
        moment("heartbeat_timestamp_seconds", "When this was written.", standing.report.writtenAt)
        gauge("dead_letters", "Things that are set aside.", deadLetters)
        gauge("stragglers", "Things that still change on the primary after their cutover.", stragglers)
        gauge("conflicts", "Fields that somebody else changed on the secondary.", conflicts)
        metric(
            "changes_total", "counter", "Things written to the secondary, by what was done.",
            Self.written(counts).map { ("{entity=\"\($0.entity)\",operation=\"\($0.operation)\"}", "\($0.count)") })
        counter("metric_points_total", "Metric points written.", Int64(counts.metricPoints))
        counter("artifact_bytes_total", "Bytes of files written.", counts.fileBytes)
        counter("files_total", "Files written.", Int64(counts.files))
        counter("retries_total", "Attempts that were made again.", Int64(counts.retries))
        counter("conversions_total", "Things that stand on the secondary in another form.", Int64(counts.conversions.values.reduce(0, +)))
        return lines.joined(separator: "\n") + "\n"
    }

    private static func written(_ counts: Counts) -> [(entity: String, operation: String, count: Int)] {
        let kinds: [(String, Counts.Entities)] = [
            ("experiment", counts.experiments), ("logged_model", counts.loggedModels), ("model_version", counts.versions),
            ("registered_model", counts.registeredModels), ("run", counts.runs),
        ]
        return kinds.flatMap { kind, entities in
            [
                (kind, "adopt", entities.adopted), (kind, "create", entities.created), (kind, "delete", entities.deleted),
                (kind, "update", entities.updated),
            ]
        }
    }

    /// Without an exponent.
    private static func seconds(_ milliseconds: Int64) -> String {
        let rest = String(milliseconds % 1000)
        return milliseconds % 1000 == 0
            ? "\(milliseconds / 1000)" : "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }
}
