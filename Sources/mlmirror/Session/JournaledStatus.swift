import Replication
import Systemd

/// What a service said of itself in the journal.
struct JournaledStatus: Sendable {
    var document: StatusDocument
    /// Milliseconds since 1970: when it said so.
    var at: Int64
    /// It has said since that it ended.
    var hasEnded: Bool

    typealias Search = @Sendable (_ unit: String, _ event: MirrorEvent) -> JournalReader.Entry?

    static let search: Search = { unit, event in
        try? JournalReader.newest([Journal.Field("_SYSTEMD_UNIT", unit), Journal.Field("MLMIRROR_EVENT", event.rawValue)])
    }

    static func newest(of unit: String, _ search: Search) -> JournaledStatus? {
        guard let entry = search(unit, .status), let json = entry.fields["MLMIRROR_STATUS"], let document = StatusDocument(json: json)
        else { return nil }
        let ends = [MirrorEvent.ended, .failed].compactMap { search(unit, $0)?.at }
        return JournaledStatus(document: document, at: entry.at, hasEnded: ends.contains { $0 >= entry.at })
    }
}

extension StatusDocument {
    /// What is made of it now: a service that has not said anything for three times as long as it should is not believed to run.
    mutating func judge(_ snapshot: JournaledStatus, now: Int64, warningLag: Double, criticalLag: Double) {
        source = "journal"
        saidAt = Instant.text(snapshot.at)
        let age = Double(max(0, now - snapshot.at)) / 1000
        if snapshot.hasEnded {
            (state, level, reason) = (MirrorStatus.Condition.stopped.rawValue, "critical", "stopped")
        } else if age > 3 * ServiceWatch.Limits().betweenSnapshots {
            (level, reason) = ("critical", "it has said nothing for \(Quantity.duration(age))")
        } else if level != "critical", let late = StatusVerdict.late(lag.seconds, warningLag, criticalLag) {
            (level, reason) = ("\(late.0)", late.1)
        }
    }
}
