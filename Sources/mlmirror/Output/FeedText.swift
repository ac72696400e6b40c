import Platforms

/// The state of the triggers for people.
enum FeedText {
    static func status(_ report: TriggerReport) -> String {
        switch report.status {
        case .complete: "complete"
        case .incomplete(let names): "incomplete: \(names.joined(separator: ", ")) missing or changed"
        case .none: "not installed"
        case .otherVersion(let version): "installed by another version of mlmirror (\(version))"
        }
    }

    static func schema(_ report: TriggerReport) -> String {
        report.alembicVersion
            + (report.isSchemaKnown
                ? "" : ": newer than this mlmirror knows. What it knows is followed; see whether there is a newer one, or use feed: poll")
    }

    static func text(_ report: TriggerReport, _ uri: DatabaseURI) -> String {
        var lines = [("database", uri.description), ("schema", schema(report)), ("triggers", status(report))]
        if let epoch = report.epoch {
            lines += [
                ("epoch", epoch), ("changes", "\(report.seq), of which \(report.released) are taken over"), ("rows", "\(report.pending)"),
            ]
        }
        return lines.map { $0.0 + String(repeating: " ", count: 10 - $0.0.count) + $0.1 + "\n" }.joined()
    }
}

/// The state of the triggers as `--json` prints it. Names and meanings are only ever added to.
struct FeedDocument: Encodable {
    var messageType = "feed"
    var action: String
    var database: String
    /// complete, incomplete, none or other_version.
    var status: String
    var wrong: [String] = []
    var isChanged: Bool
    var triggers: Int
    var epoch: String?
    var seq: Int64
    var released: Int64
    var pending: Int
    var alembicVersion: String
    /// Whether that is a revision that this version knows.
    var schemaKnown: Bool

    init(_ action: String, _ uri: DatabaseURI, _ report: TriggerReport, isChanged: Bool) {
        self.action = action
        self.isChanged = isChanged
        database = uri.description
        triggers = report.triggers
        epoch = report.epoch
        seq = report.seq
        released = report.released
        pending = report.pending
        alembicVersion = report.alembicVersion
        schemaKnown = report.isSchemaKnown
        switch report.status {
        case .complete: status = "complete"
        case .incomplete(let names): (status, wrong) = ("incomplete", names)
        case .none: status = "none"
        case .otherVersion: status = "other_version"
        }
    }
}
