import CSystemd
import Glibc

/// What a service tells the manager that started it. Without one (no `NOTIFY_SOCKET`) every call is nothing.
public enum ServiceManager {
    /// Whether one started this process and listens to it.
    public static var isPresent: Bool { getenv("NOTIFY_SOCKET") != nil }

    /// The feed and both stores have answered: units that wait for this one may start.
    public static func ready() { notify("READY=1") }

    /// One line for `systemctl status`.
    public static func status(_ text: String) { notify("STATUS=" + text.replacing("\n", with: " ")) }

    /// The configuration is being read again; `ready()` ends it.
    public static func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        notify("RELOADING=1\nMONOTONIC_USEC=\(Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)")
    }

    public static func stopping() { notify("STOPPING=1") }

    /// Still at work. Left out for longer than `watchdogSeconds`, the service is killed and started again.
    public static func feedWatchdog() { notify("WATCHDOG=1") }

    /// Seconds within which `feedWatchdog` is expected, again and again; nil: not at all.
    public static var watchdogSeconds: Double? {
        var microseconds: UInt64 = 0
        return sd_watchdog_enabled(0, &microseconds) > 0 ? Double(microseconds) / 1e6 : nil
    }

    private static func notify(_ state: String) { _ = sd_notify(0, state) }
}
