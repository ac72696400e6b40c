import Systemd

/// The service manager, as a daemon speaks to it.
struct ServiceLink: Sendable {
    var ready: @Sendable () -> Void
    var status: @Sendable (String) -> Void
    var reloading: @Sendable () -> Void
    var stopping: @Sendable () -> Void
    var feedWatchdog: @Sendable () -> Void
    /// Seconds within which it is to be fed; nil: nobody watches.
    var watchdogSeconds: Double?
    /// Whether there is one at all.
    var isPresent = true

    static var systemd: ServiceLink {
        ServiceLink(
            ready: { ServiceManager.ready() }, status: { ServiceManager.status($0) }, reloading: { ServiceManager.reloading() },
            stopping: { ServiceManager.stopping() }, feedWatchdog: { ServiceManager.feedWatchdog() },
            watchdogSeconds: ServiceManager.watchdogSeconds, isPresent: ServiceManager.isPresent)
    }

    static let nobody = ServiceLink(
        ready: {}, status: { _ in }, reloading: {}, stopping: {}, feedWatchdog: {}, watchdogSeconds: nil, isPresent: false)
}
