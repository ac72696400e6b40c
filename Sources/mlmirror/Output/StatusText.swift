import Replication

/// What a monitoring system makes of a status.
struct StatusVerdict: Sendable, Hashable {
    enum Level: Int32, Sendable {
        case ok = 0
        case warning = 1
        case critical = 2
    }
    var level: Level
    var reason: String
    var warningLag: Double
    var criticalLag: Double

    init(_ status: MirrorStatus, warningLag: Double, criticalLag: Double) {
        self.warningLag = warningLag
        self.criticalLag = criticalLag
        let lag = status.lagSeconds
        if status.condition == .failing {
            (level, reason) = (.critical, status.troubles.first ?? "failing")
        } else if status.condition == .stopped {
            (level, reason) = (.critical, "stopped")
        } else if let lag, lag >= criticalLag {
            (level, reason) = (.critical, "\(Quantity.duration(lag)) behind")
        } else if let lag, lag >= warningLag {
            (level, reason) = (.warning, "\(Quantity.duration(lag)) behind")
        } else if status.deadLetters > 0 {
            (level, reason) = (.warning, "\(Quantity.count(status.deadLetters, "thing is", "things are")) set aside")
        } else if status.pause != .nothing {
            (level, reason) = (.warning, "paused: \(status.pause.rawValue)")
        } else if !status.pausedScope.isEmpty {
            (level, reason) = (.warning, "paused: \(status.pausedScope.text)")
        } else {
            (level, reason) = (.ok, lag.map { "\(Quantity.duration($0)) behind" } ?? "running")
        }
    }

    /// `OK - text | label=value;warn;crit ...`, as monitoring plug-ins have it.
    func line(_ status: MirrorStatus) -> String {
        func number(_ value: Double) -> String { value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value) }
        let lag = status.lagSeconds.map { "lag=\(number(($0 * 10).rounded() / 10))s;\(number(warningLag));\(number(criticalLag));0 " } ?? ""
        return "\("\(level)".uppercased()) - \(reason.printable) | \(lag)changes=\(status.lagChanges) dead_letters=\(status.deadLetters) "
            + "conflicts=\(status.conflicts)"
    }
}

/// A status for people.
struct StatusText {
    var status: MirrorStatus
    var verdict: StatusVerdict
    var now: Int64
    var style: Style

    var text: String {
        var lines = [verdict.line(status)]
        func add(_ label: String, _ value: String) {
            lines.append(label + String(repeating: " ", count: max(1, 14 - label.count)) + value.printable)
        }
        add("mode:", "dual")
        add("state:", status.condition.rawValue + (status.pause == .nothing ? "" : ", paused: \(status.pause.rawValue)"))
        if !status.pausedScope.isEmpty {
            add("paused:", "\(status.pausedScope.text) (\(Quantity.count(status.held, "change")) held)")
        }
        for trouble in status.troubles { add("trouble:", trouble) }
        add("checkpoint:", "\(status.checkpoint) of \(status.head)")
        let waiting = status.pending.isEmpty ? "nothing" : LabelCounts.text(status.pending)
        add("waiting:", waiting)
        if let lag = status.lagSeconds { add("lag:", "\(Quantity.count(status.lagChanges, "change")), \(Quantity.duration(lag))") }
        if let why = status.reconciling { add("comparing:", "everything, because: \(why)") }
        if let report = status.report {
            let rates = report.rates
            add(
                "rates:",
                "\(Quantity.decimal(rates.changesPerSecond)) changes/s, \(Quantity.decimal(rates.metricPointsPerSecond)) points/s, "
                    + "\(Quantity.bytes(Int64(rates.fileBytesPerSecond)))/s")
            let success = report.feedLastSuccessAt.map { "answered \(ago($0))" } ?? "has not answered yet"
            let sweep = report.sweepOldestAt.map { ", every run checked within \(Quantity.duration(Double(now - $0) / 1000))" } ?? ""
            add("feed:", "\(report.feed), \(success)\(sweep)")
            if let canary = report.canary {
                let seconds = canary.seconds.map { " within \(Quantity.decimal($0)) s" } ?? ""
                add(
                    "canary:",
                    canary.missingSince.map { "missing since \(ago($0))" } ?? canary.lastArrivedAt.map { "arrived \(ago($0))\(seconds)" }
                        ?? "")
            }
            if let applied = report.lastAppliedAt { add("last applied:", ago(applied)) }
            if !report.conversions.isEmpty { add("conversions:", LabelCounts.text(report.conversions)) }
        }
        add("conflicts:", Quantity.count(status.conflicts))
        add("set aside:", Quantity.count(status.deadLetters))
        lines += status.firstDeadLetters.map { "  \($0.printable)" }
        return lines.joined(separator: "\n") + "\n"
    }

    private func ago(_ at: Int64) -> String { "\(Quantity.duration(max(0, Double(now - at) / 1000))) ago" }
}

/// A status as `--json` prints it: these names are a promise.
struct StatusDocument: Encodable {
    struct Lag: Encodable {
        var changes: Int
        var seconds: Double?
    }
    struct CanaryDocument: Encodable {
        var lastArrivedAt: String?
        var seconds: Double?
        var missingSince: String?
        var why: String?
    }
    struct OutageDocument: Encodable {
        var store: String
        var since: String
        var reason: String
        var message: String
    }
    var messageType = "status"
    var mode = "dual"
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
    var lastAppliedAt: String?
    var reconciling: String?
    var paused: String
    var pausedExperiments: [String]
    var pausedModels: [String]
    var held: Int
    var deadLetters: Int
    var failures: [String]
    var conflicts: Int
    var outages: [OutageDocument]
    var canary: CanaryDocument?
    var conversions: [String: Int]
    var startedAt: String?

    init(_ status: MirrorStatus, _ verdict: StatusVerdict) {
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
        lastAppliedAt = report?.lastAppliedAt.map(Instant.text)
        startedAt = report.map { Instant.text($0.startedAt) }
        reconciling = status.reconciling
        paused = status.pause.rawValue
        (pausedExperiments, pausedModels, held) = (status.pausedScope.experiments, status.pausedScope.models, status.held)
        deadLetters = status.deadLetters
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
    }
}
