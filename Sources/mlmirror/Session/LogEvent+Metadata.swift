import Logging

extension LogHandler {
    /// What an event says, on top of what its logger always says.
    func everything(of event: LogEvent) -> Logger.Metadata {
        metadata.merging(metadataProvider?.get() ?? [:]) { own, _ in own }.merging(event.metadata ?? [:]) { _, new in new }
    }
}
