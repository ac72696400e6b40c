import Replication

/// How a command ended. Few, documented, and only ever added to; a code that is not here is a failure.
struct ExitStatus: RawRepresentable, Sendable, Hashable {
    let rawValue: Int32
    init(rawValue: Int32) { self.rawValue = rawValue }
    private init(_ rawValue: Int32) { self.rawValue = rawValue }

    static let ok = ExitStatus(0)
    static let failed = ExitStatus(1)
    /// Finished, but something was set aside or could not be read.
    static let incomplete = ExitStatus(3)
    /// `verify` found differences.
    static let differences = ExitStatus(4)
    static let usage = ExitStatus(64)
    /// A store cannot be reached, or what answers there is no MLflow server.
    static let unreachable = ExitStatus(69)
    /// Another mlmirror has the state file: try later.
    static let busy = ExitStatus(75)
    /// A store refuses the credentials.
    static let refused = ExitStatus(77)
    static let configuration = ExitStatus(78)

    /// 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM.
    static func signal(_ number: Int32) -> ExitStatus { ExitStatus(128 + number) }

    /// The one place where errors become codes.
    static func of(_ error: any Error) -> ExitStatus {
        switch error {
        case let error as ConfigurationError: error.isUsage ? .usage : .configuration
        case let error as StoreError: of(error.reason)
        case let error as StateError: of(error.kind)
        case let error as MirrorError: of(error.kind)
        case let error as CommandFailure: error.status
        default: .failed
        }
    }

    private static func of(_ reason: StoreError.Reason) -> ExitStatus {
        switch reason {
        // A server that lacks a call that every MLflow server has is none.
        case .unreachable, .throttled, .serverFailure, .notMLflow, .unsupported: .unreachable
        case .unauthorized, .forbidden: .refused
        case .notFound, .alreadyExists, .invalid, .tooLarge, .malformed, .truncated: .failed
        }
    }

    private static func of(_ kind: StateError.Kind) -> ExitStatus {
        switch kind {
        case .locked, .fenced: .busy
        case .newerSchema, .foreign, .otherPair, .unwritable, .missing: .configuration
        case .damaged, .full: .failed
        }
    }

    private static func of(_ kind: MirrorError.Kind) -> ExitStatus {
        switch kind {
        case .sameStore, .configuration: .configuration
        }
    }
}
