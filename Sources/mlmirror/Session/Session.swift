import Logging
import Replication

/// What a command needs of the world around it.
struct Session: Sendable {
    var environment: Environment
    var console: Console
    var signals: Signals
    var clock: any ReplicationClock
    var manager = ServiceLink.nobody
    var answers = Answers.standardInput
    /// What a service said of itself in the journal.
    var lastStatusEvent: JournaledStatus.Search = { _, _ in nil }
    /// Where the default configuration file lies; nil: nowhere.
    var standardFile: String? = SettingsLoader.standardFile
    var openStore: @Sendable (StoreSettings) throws -> OpenedStore
    /// Where the primary's changes are seen; opened anew whenever following begins.
    var openFeed: @Sendable (MirrorSettings, any TrackingStore, ReplicationState, any ReplicationClock) throws -> any ChangeFeed =
        StoreFactory.openFeed

    /// - Parameter least: tell at least this much, unless it is to be quiet.
    func logger(_ output: OutputOptions, atLeast least: Logger.Level = .warning) -> Logger {
        let (console, clock) = (console, clock)
        var level = output.quiet ? output.logLevel : min(output.logLevel, least)
        let handler: any LogHandler
        switch output.logFormat.resolved(environment) {
        case .text: handler = LogLines(console)
        case .json: handler = JSONLog(console, clock)
        case .journal:
            handler = JournalLog()
            // Whoever reads it there chooses by priority.
            level = min(level, .info)
        }
        var logger = Logger(label: "mlmirror") { _ in handler }
        logger.logLevel = level
        return logger
    }

    /// Opens both stores for the length of `body`, which can ask how many requests were sent to both.
    func withStores<Result>(
        _ settings: MirrorSettings, _ body: (any TrackingStore, any WritableStore, _ requests: @Sendable () -> Int) async throws -> Result
    ) async throws -> Result {
        try await withOpened(settings) { primary, secondary in
            try await body(settings.passing(primary.store), secondary.store) { primary.requestCount() + secondary.requestCount() }
        }
    }

    /// As `withStores`, with all that is known of both.
    func withOpened<Result>(_ settings: MirrorSettings, _ body: (OpenedStore, OpenedStore) async throws -> Result) async throws -> Result {
        let primary = try openStore(settings.primary)
        defer { primary.close() }
        let secondary = try openStore(settings.secondary)
        defer { secondary.close() }
        return try await body(primary, secondary)
    }

    /// Opens the state file for the length of `body`.
    func withState<Result>(_ path: String, _ body: (ReplicationState) async throws -> Result) async throws -> Result {
        try await using(try ReplicationState.open(path: path), body)
    }

    /// As `withState`. A service waits until whoever has the file lets go of it: its manager would give up after some starts.
    func withFreeState<Result>(_ path: String, _ logger: Logger, _ body: (ReplicationState) async throws -> Result) async throws -> Result {
        try await using(try await freeState(path, logger), body)
    }

    private func freeState(_ path: String, _ logger: Logger) async throws -> ReplicationState {
        var hasTold = false
        while true {
            do { return try ReplicationState.open(path: path) } catch let error as StateError
                where error.kind == .locked && manager.isPresent
            {
                if !hasTold { logger.event(.stateBlocked, ["detail": "\(error)"]) }
                hasTold = true
                manager.status("waiting: \(error)")
                manager.feedWatchdog()
                try await clock.sleep(seconds: min(5, (manager.watchdogSeconds ?? 15) / 3))
            }
        }
    }

    /// Opens the state file as a visitor, whoever owns it, for the length of `body`.
    func visitingState<Result>(_ path: String, _ body: (ReplicationState) async throws -> Result) async throws -> Result {
        try await using(try ReplicationState.visit(path: path), body)
    }

    private func using<Result>(_ state: ReplicationState, _ body: (ReplicationState) async throws -> Result) async throws -> Result {
        let result: Result
        do {
            result = try await body(state)
        } catch {
            // The first failure is the one to tell; what is in the file is whole without closing it.
            try? state.close()
            throw error
        }
        try state.close()
        return result
    }

    /// Takes lines of text, and nothing that moves or colours them.
    var isTerminalDumb: Bool { environment["TERM"] == "dumb" }

    /// The environment's colour habits, under `--color`.
    func style(_ choice: ColorChoice) -> Style {
        switch choice {
        case .always: Style(isColored: true)
        case .never: Style(isColored: false)
        case .auto: Style(isColored: console.outputIsTerminal && environment["NO_COLOR"] == nil && !isTerminalDumb)
        }
    }
}
