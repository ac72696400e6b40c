import Logging
import Replication

/// Log events as plain lines: `level message key=value`.
struct LogLines: LogHandler {
    let console: Console
    var logLevel: Logger.Level = .notice
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(_ console: Console) { self.console = console }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        console.message(Self.line(event.level, "\(event.message)", everything(of: event), error: event.error))
    }

    /// Values from a server may hold anything: control characters are made visible, and a value with spaces is quoted.
    static func line(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata, error: (any Error)? = nil) -> String {
        var pairs = metadata.filter { $0.key != MirrorEvent.metadataKey }.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        if let error { pairs.append(("error", "\(error)")) }
        let fields = pairs.map { key, value in
            let isBare = !value.isEmpty && value.allSatisfy { !$0.isWhitespace && $0 != "\"" && $0 != "=" }
            return " \(key)=" + (isBare ? value.printable : "\"\(value.printable)\"")
        }
        return "\(level.rawValue) \(message.printable)\(fields.joined())"
    }
}
