import Logging
import Replication

/// Log events as one JSON object a line: `time`, `level`, `event`, `message`, and what the event says of itself under `fields`.
struct JSONLog: LogHandler {
    private struct Line: Encodable {
        var time: String
        var level: String
        var event: String?
        var message: String
        var fields: [String: String]
    }

    let console: Console
    let clock: any ReplicationClock
    var logLevel: Logger.Level = .notice
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(_ console: Console, _ clock: any ReplicationClock) {
        self.console = console
        self.clock = clock
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = everything(of: event)
        let name = all.removeValue(forKey: MirrorEvent.metadataKey).map { "\($0)" }
        let line = Line(
            time: Instant.text(clock.nowMilliseconds), level: event.level.rawValue, event: name, message: "\(event.message)",
            fields: all.mapValues { "\($0)" })
        if let text = try? JSONLine.encode(line) { console.message(text) }
    }
}
