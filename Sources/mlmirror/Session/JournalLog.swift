import Logging
import Replication
import Systemd

/// Log events as entries of the systemd journal: constant words in `MESSAGE`, everything else in fields.
struct JournalLog: LogHandler {
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private let send: @Sendable ([Journal.Field]) -> Void

    init(_ send: @escaping @Sendable ([Journal.Field]) -> Void = { Journal.send($0) }) { self.send = send }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = everything(of: event)
        var fields = [
            Journal.Field("MESSAGE", "\(event.message)"), Journal.Field("PRIORITY", Self.priority(event.level)),
            Journal.Field("SYSLOG_IDENTIFIER", "mlmirror"), Journal.Field("CODE_FILE", event.file),
            Journal.Field("CODE_LINE", "\(event.line)"), Journal.Field("CODE_FUNC", event.function),
        ]
        if let name = all[MirrorEvent.metadataKey], let known = MirrorEvent(rawValue: "\(name)") {
            fields.append(Journal.Field("MESSAGE_ID", known.messageID))
            fields.append(Journal.Field("DOCUMENTATION", "man:mlmirror(1)"))
        }
        fields += all.sorted { $0.key < $1.key }.map { Journal.Field(Self.field($0.key), "\($0.value)") }
        send(fields)
    }

    /// `lag_ms` is `MLMIRROR_LAG_MS`. At most 64 characters, as the journal has it.
    static func field(_ key: String) -> String {
        String(("MLMIRROR_" + key.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }).prefix(64))
    }

    private static func priority(_ level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "7"
        case .info: "6"
        case .notice: "5"
        case .warning: "4"
        case .error: "3"
        case .critical: "2"
        }
    }
}
