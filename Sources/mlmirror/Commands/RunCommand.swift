import ArgumentParser
import Logging
import Replication

struct RunCommand: MirrorCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Follow the primary and keep the secondary true, until told to end.",
        discussion: """
            Examples:
              mlmirror run --config /etc/mlmirror/mlmirror.yaml
              mlmirror run --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db
              mlmirror run --primary http://a:5000 --secondary http://b:5000 \\
                  --state mirror.db --primary-database sqlite:////srv/mlflow.db

            The first time it copies everything in scope; then what changes. SIGTERM
            and SIGINT end it, SIGHUP has it read its configuration again. It goes
            on where it was, however it ended. Its figures are for Prometheus, where
            the configuration says metrics_file or metrics_listen.
            """
    )

    @OptionGroup var common: CommonOptions

    @Option(
        help: ArgumentHelp("Where changes are seen: auto, poll or triggers. auto: triggers when a data base is named.", valueName: "feed"))
    var feed: String?

    func execute(in session: Session) async throws -> Outcome {
        let reload = Signal()
        // From here on a reload is no end, whatever is waited for: it is done as soon as it can be.
        session.signals.onReload { reload.raise() }
        let settings = try self.settings(session)
        let logger = session.logger(common.output, atLeast: .notice)
        session.signals.onEnd { session.manager.stopping() }
        do {
            return try await session.withFreeState(settings.state.value, logger) { try await follow(settings, $0, reload, logger, session) }
        } catch is CancellationError where session.signals.received != nil {
            // It was told to end while it waited for the state file.
            return .ok
        }
    }

    private func follow(
        _ settings: MirrorSettings, _ state: ReplicationState, _ reload: Signal, _ logger: Logger, _ session: Session
    ) async throws -> Outcome {
        logger.event(.started, ["version": "\(Program.version)", "pair": "\(settings.pair.value)", "state": "\(settings.state.value)"])
        do {
            try await Daemon(
                session: session, state: state, logger: logger, load: { try self.settings(session) },
                announcer: Announcer(session, state, logger), reload: reload
            ).run(settings)
        } catch {
            try? LiveReport.noteEnd(in: state)
            // It was told to end, and has.
            guard error is CancellationError, session.signals.received != nil else { throw error }
            let (checkpoint, waiting) = (try state.checkpoint(), try state.backlog().count)
            logger.event(.ended, ["lsn": "\(checkpoint)", "changes": "\(waiting)"])
        }
        return .ok
    }

    private func settings(_ session: Session) throws -> MirrorSettings {
        var flags = common.flagValues
        flags.feed = feed
        return try common.settings(session, flags)
    }
}
