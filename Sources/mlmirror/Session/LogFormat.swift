import ArgumentParser
import Logging
import Systemd

/// Where messages go, and in which form.
enum LogFormat: String, Sendable, CaseIterable, ExpressibleByArgument {
    /// The journal in fields where standard error leads to it, else lines.
    case auto
    case text
    case json

    enum Resolved: Sendable {
        case journal, text, json
    }

    func resolved(_ environment: Environment) -> Resolved {
        switch self {
        case .auto: Journal.isStandardError(environment["JOURNAL_STREAM"]) ? .journal : .text
        case .text: .text
        case .json: .json
        }
    }
}
