import Hashing
public import Logging

/// What an operator is told: each with a name, an id and words that never change. Whatever differs from one time to the next is in fields.
public enum MirrorEvent: String, Sendable, CaseIterable {
    // The process.
    case started, following, ended, failed
    case configurationReloaded = "configuration_reloaded"
    case configurationRefused = "configuration_refused"
    case variableUnknown = "variable_unknown"
    // How it stands.
    case status, checkpoint
    case caughtUp = "caught_up"
    case fallingBehind = "falling_behind"
    case stuck
    case metricsBlocked = "metrics_blocked"
    // What keeps it from its work.
    case outageBegan = "outage_began"
    case outageEnded = "outage_ended"
    case credentialsRefused = "credentials_refused"
    case credentialsRenewed = "credentials_renewed"
    case stateBlocked = "state_blocked"
    case cannotGoOn = "cannot_go_on"
    case feedTrouble = "feed_trouble"
    case feedBack = "feed_back"
    case feedBroken = "feed_broken"
    case canaryMissing = "canary_missing"
    case canaryBack = "canary_back"
    // Comparing everything.
    case comparing, compared
    case comparingInterrupted = "comparing_interrupted"
    case scopeChanged = "scope_changed"
    case stateOlderCopy = "state_older_copy"
    // What people ask.
    case paused, resumed, asked
    case pausedByName = "paused_by_name"
    // The way to azureml-only.
    case modeStep = "mode_step"
    case modeBlocked = "mode_blocked"
    case sealMarksStay = "seal_marks_stay"
    case straggler, retired
    // What becomes of single things.
    case conflict, converted
    case deadLetter = "dead_letter"
    case unknownField = "unknown_field"
    case keptAfterPurge = "kept_after_purge"
    case fileVanished = "file_vanished"
    case copyRefused = "copy_refused"
    case retry
    // One-shot commands.
    case backfillProgress = "backfill_progress"
    case backfillFinished = "backfill_finished"
    case verifyFinished = "verify_finished"

    public var level: Logger.Level {
        switch self {
        case .retry: .debug
        case .status, .checkpoint, .credentialsRenewed: .info
        case .configurationRefused, .outageBegan, .credentialsRefused, .stateBlocked, .cannotGoOn, .feedTrouble, .canaryMissing,
            .deadLetter,
            .comparingInterrupted, .failed:
            .error
        case .stuck: .critical
        case .conflict, .feedBroken, .fallingBehind, .variableUnknown, .metricsBlocked, .modeBlocked, .sealMarksStay, .straggler,
            .unknownField:
            .warning
        default: .notice
        }
    }

    public var message: String {
        switch self {
        case .started: "started"
        case .following: "following"
        case .ended: "ended"
        case .failed: "failed"
        case .configurationReloaded: "configuration read again"
        case .configurationRefused: "configuration refused; the old one stays"
        case .variableUnknown: "unknown environment variable"
        case .status: "status"
        case .checkpoint: "checkpoint"
        case .caughtUp: "caught up"
        case .fallingBehind: "falling behind"
        case .stuck: "no progress; the watchdog is not fed any more"
        case .metricsBlocked: "metrics file cannot be written"
        case .outageBegan: "store is away"
        case .outageEnded: "store is back"
        case .credentialsRefused: "store refuses the credentials"
        case .credentialsRenewed: "credentials for a store renewed"
        case .stateBlocked: "state file cannot be written; waiting"
        case .cannotGoOn: "cannot go on yet"
        case .feedTrouble: "feed cannot be read"
        case .feedBack: "feed is back"
        case .feedBroken: "feed is broken off; everything is compared anew"
        case .canaryMissing: "canary does not arrive"
        case .canaryBack: "canary arrives again"
        case .comparing: "everything is compared with the primary"
        case .compared: "everything has been compared; what differs is being copied"
        case .comparingInterrupted: "comparison with the primary is interrupted"
        case .scopeChanged: "the scope is another than last time: everything in it is looked at again"
        case .stateOlderCopy:
            "the state file is an older copy, or has lost its lock file: what is on the secondary is looked for by its stamps"
        case .paused: "paused"
        case .resumed: "resumed"
        case .asked: "asked"
        case .pausedByName: "what is paused by name has changed"
        case .modeStep: "mode: a step further"
        case .modeBlocked: "mode: both sides differ; nothing is switched"
        case .sealMarksStay: "mode: marks of what is no longer azureml-only cannot be taken off the secondary yet"
        case .straggler: "somebody still writes to the primary"
        case .retired: "retired from the primary"
        case .conflict: "conflict"
        case .converted: "converted"
        case .unknownField: "the primary has a field that this version does not know"
        case .deadLetter: "set aside"
        case .keptAfterPurge: "gone from the primary; kept on the secondary"
        case .fileVanished: "file vanished while it was copied"
        case .copyRefused: "storage does not fetch a file by itself; its bytes are carried"
        case .retry: "will try again"
        case .backfillProgress: "backfill goes on"
        case .backfillFinished: "backfill finished"
        case .verifyFinished: "verification finished"
        }
    }

    /// 128 bits in lower-case hexadecimal, from the name: the journal's `MESSAGE_ID`, under which the catalog explains the event.
    public var messageID: String {
        var hasher = SHA256Hasher()
        hasher.update("mlmirror event \(rawValue)")
        return String(hasher.finish().hex.prefix(32))
    }

    /// In an event's metadata, the name of the event itself.
    public static let metadataKey = "event"
}

extension Logger {
    /// - Parameter fields: names in snake case; values as they are.
    public func event(
        _ event: MirrorEvent, _ fields: @autoclosure () -> [String: String] = [:], file: String = #fileID, function: String = #function,
        line: UInt = #line
    ) {
        guard event.level >= logLevel else { return }
        var metadata = fields().mapValues { Logger.MetadataValue.string($0) }
        metadata[MirrorEvent.metadataKey] = "\(event.rawValue)"
        log(level: event.level, "\(event.message)", metadata: metadata, file: file, function: function, line: line)
    }
}
