import Replication

/// What a monitoring system makes of a status.
struct StatusVerdict: Sendable, Hashable {
    enum Level: Int32, Sendable {
        case ok = 0
        case warning = 1
        case critical = 2

        /// Of a document; one that nobody knows is the worst.
        init(_ name: String) { self = name == "ok" ? .ok : name == "warning" ? .warning : .critical }
    }
    var level: Level
    var reason: String

    /// What is made of a lag by itself; nil: nothing.
    static func late(_ lag: Double?, _ warningLag: Double, _ criticalLag: Double) -> (Level, String)? {
        guard let lag, lag >= warningLag else { return nil }
        return (lag >= criticalLag ? .critical : .warning, "\(Quantity.duration(lag)) behind")
    }

    init(_ status: MirrorStatus, warningLag: Double = 300, criticalLag: Double = 3600) {
        let lag = status.lagSeconds
        if status.condition == .failing {
            (level, reason) = (.critical, status.troubles.first ?? "failing")
        } else if status.condition == .stopped {
            (level, reason) = (.critical, "stopped")
        } else if let late = Self.late(lag, warningLag, criticalLag) {
            (level, reason) = late
        } else if let blocked = status.modes.switches.first(where: \.isBlocked) {
            let differences = Quantity.count(blocked.differences, "difference")
            (level, reason) = (.warning, "\(blocked.scope.text) cannot be switched to azureml-only: \(differences)")
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
}

/// A status for people.
struct StatusText {
    var status: StatusDocument
    var warningLag: Double
    var criticalLag: Double
    var now: Int64
    var style: Style

    var text: String {
        var lines = [line]
        func add(_ label: String, _ value: String) {
            lines.append(label + String(repeating: " ", count: max(1, 14 - label.count)) + value.printable)
        }
        if let saidAt = status.saidAt { add("from:", "the journal, \(ago(saidAt)): the state file cannot be read") }
        add("mode:", status.mode)
        for one in status.modeSwitches ?? [] where one.sealedAt == nil || status.mode == Mode.dual.rawValue {
            let names = NameScope(experiments: one.experiments, models: one.models).text
            add(
                "",
                "\(names): \(one.sealedAt.map { "azureml-only since \($0)" } ?? one.step)"
                    + (one.waitsFor.map { ", waits for \($0)" } ?? ""))
        }
        if let count = status.stragglers, count > 0 { add("stragglers:", "\(Quantity.count(count, "thing")) still written on the primary") }
        let since = status.startedAt.map { status.state == MirrorStatus.Condition.stopped.rawValue ? "" : ", began \(ago($0))" } ?? ""
        add("state:", status.state + since + (status.paused == Pause.nothing.rawValue ? "" : ", paused: \(status.paused)"))
        let scope = NameScope(experiments: status.pausedExperiments, models: status.pausedModels)
        if !scope.isEmpty { add("paused:", "\(scope.text) (\(Quantity.count(status.held, "change")) held)") }
        for trouble in status.troubles { add("trouble:", trouble) }
        add("checkpoint:", "\(status.checkpoint) of \(status.head)")
        add("waiting:", status.pending.isEmpty ? "nothing" : LabelCounts.text(status.pending))
        if let lag = status.lag.seconds { add("lag:", "\(Quantity.count(status.lag.changes, "change")), \(Quantity.duration(lag))") }
        if let why = status.reconciling { add("comparing:", "everything, because: \(why)") }
        if let feed = status.feed {
            add(
                "rates:",
                "\(Quantity.decimal(status.rates.changesPerSecond)) changes/s, \(Quantity.decimal(status.rates.metricPointsPerSecond)) points/s, "
                    + "\(Quantity.bytes(rate: status.rates.fileBytesPerSecond))/s")
            let success = status.feedLastSuccessAt.map { "answered \(ago($0))" } ?? "has not answered yet"
            let sweep = status.sweepOldestAt.map { ", every run checked within \(Quantity.duration(age($0)))" } ?? ""
            add("feed:", "\(feed), \(success)\(sweep)")
            if let since = status.filesSweptSince { add("files:", "all listed within \(Quantity.duration(age(since)))") }
        }
        if let canary = status.canary {
            let seconds = canary.seconds.map { " within \(Quantity.decimal($0)) s" } ?? ""
            add(
                "canary:",
                canary.missingSince.map { "missing since \(ago($0))" } ?? canary.lastArrivedAt.map { "arrived \(ago($0))\(seconds)" } ?? "")
        }
        if let applied = status.lastAppliedAt { add("last applied:", ago(applied)) }
        if !status.conversions.isEmpty { add("conversions:", LabelCounts.text(status.conversions)) }
        if let unknown = status.unknownFields, !unknown.isEmpty {
            add("not copied:", "fields newer than this: \(LabelCounts.text(unknown))")
        }
        if let leftOut = status.leftOut, !leftOut.isEmpty { add("left out:", LabelCounts.text(leftOut)) }
        add("conflicts:", Quantity.count(status.conflicts))
        let discarded = status.discarded.flatMap { $0 > 0 ? ", \(Quantity.count($0)) more left out by decision" : nil } ?? ""
        add("set aside:", Quantity.count(status.deadLetters) + discarded)
        lines += status.failures.map { "  \($0.printable)" }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `OK - text | label=value;warn;crit ...`, as monitoring plug-ins have it.
    private var line: String {
        func number(_ value: Double) -> String { value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value) }
        let lag =
            status.lag.seconds.map { "lag=\(number(($0 * 10).rounded() / 10))s;\(number(warningLag));\(number(criticalLag));0 " } ?? ""
        return "\(status.level.uppercased().printable) - \(status.reason.printable) | \(lag)changes=\(status.lag.changes) "
            + "dead_letters=\(status.deadLetters) conflicts=\(status.conflicts)"
    }

    private func age(_ text: String) -> Double { max(0, Double(now - (Instant.milliseconds(text) ?? now)) / 1000) }
    private func ago(_ text: String) -> String { "\(Quantity.duration(age(text))) ago" }
}
