import Glibc
import Replication

/// Answers `GET /metrics` on a loopback address, on a thread of its own: nobody who asks, however slowly, holds up anything else.
///
/// Never more than a few connections at once, each for one request and a few seconds; further ones wait in the system's queue.
final class MetricsListener: Sendable {
    /// Why an address cannot be had, and what to do.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Seconds that a connection may last, from its first byte to its last.
    static let patience = 5.0
    static let mostConnections = 8

    /// The end that wakes the thread, and the thread; nil once it was stopped.
    private let running: Locked<(waker: Int32, thread: pthread_t)?>

    /// - Parameter page: the text to show; nil where there is none yet. Called on the listener's thread.
    /// - Throws: `Failure`.
    init(_ address: LoopbackAddress, page: @escaping @Sendable () -> String?) throws {
        let socket = try Self.listen(address)
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0, MetricsConnection.prepare(ends[0]), MetricsConnection.prepare(ends[1]) else {
            close(socket)
            throw Self.failure(address, "no pipe can be made")
        }
        var thread = pthread_t()
        let loop = Unmanaged.passRetained(MetricsLoop(listener: socket, wakeup: ends[0], page: page))
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<MetricsLoop>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, loop.toOpaque())
        guard code == 0 else {
            loop.release()
            for descriptor in [socket] + ends { close(descriptor) }
            throw Self.failure(address, String(cString: strerror(code)))
        }
        running = Locked((ends[1], thread))
    }

    deinit { stop() }

    /// Gives the address up and ends every connection; waits for the thread, which never waits for anybody.
    func stop() {
        let ended = running.withLock { running in
            defer { running = nil }
            return running
        }
        guard let ended else { return }
        close(ended.waker)
        pthread_join(ended.thread, nil)
    }

    private static func listen(_ address: LoopbackAddress) throws -> Int32 {
        let socket = Glibc.socket(address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw failure(address, String(cString: strerror(errno))) }
        // The port of a daemon that ended a moment ago is free, whatever its last connections wait for.
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let isBound = address.withSocketAddress { bind(socket, $0, $1) } == 0
        guard isBound, Glibc.listen(socket, 16) == 0, MetricsConnection.prepare(socket) else {
            let code = errno
            close(socket)
            throw code == EADDRINUSE
                ? failure(address, "another program listens there; choose another port, or end that program")
                : failure(address, "\(String(cString: strerror(code))); choose another port")
        }
        return socket
    }

    private static func failure(_ address: LoopbackAddress, _ why: String) -> Failure { Failure(description: "\(address): \(why)") }
}

/// The listener's thread, and what only it touches.
private final class MetricsLoop {
    private let listener: Int32
    private let wakeup: Int32
    private let page: () -> String?
    private var connections: [MetricsConnection] = []

    init(listener: Int32, wakeup: Int32, page: @escaping () -> String?) {
        self.listener = listener
        self.wakeup = wakeup
        self.page = page
    }

    func run() {
        // Signals belong to other threads.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        while turn() {}
        for connection in connections { close(connection.socket) }
        close(listener)
        close(wakeup)
    }

    /// One round; false once it was stopped.
    private func turn() -> Bool {
        let now = Self.now
        let isFull = connections.count >= MetricsListener.mostConnections
        var polled = [pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)]
        // A negative descriptor is passed over.
        polled.append(pollfd(fd: isFull ? -1 : listener, events: Int16(POLLIN), revents: 0))
        polled += connections.map { pollfd(fd: $0.socket, events: $0.events, revents: 0) }
        let wait = connections.map { max(0, $0.deadline - now) }.min()
        let count = poll(&polled, nfds_t(polled.count), wait.map { Int32($0 * 1000) + 1 } ?? -1)
        guard count >= 0 || errno == EINTR else { return false }
        guard count > 0 else {
            closeLate()
            return true
        }
        // Its other end was closed.
        if polled[0].revents != 0 { return false }
        var open: [MetricsConnection] = []
        for (before, entry) in zip(connections, polled.dropFirst(2)) {
            var connection = before
            if entry.revents == 0 || connection.goOn(page) { open.append(connection) } else { close(connection.socket) }
        }
        connections = open
        if polled[1].revents != 0 { acceptOne() }
        closeLate()
        return true
    }

    private func acceptOne() {
        let socket = accept(listener, nil, nil)
        guard socket >= 0 else {
            // Out of descriptors: the connection stays in the queue, and would be offered again at once.
            if errno == EMFILE || errno == ENFILE { usleep(100_000) }
            return
        }
        guard MetricsConnection.prepare(socket) else {
            close(socket)
            return
        }
        connections.append(MetricsConnection(socket, deadline: Self.now + MetricsListener.patience))
    }

    private func closeLate() {
        let now = Self.now
        connections.removeAll { connection in
            guard connection.deadline <= now else { return false }
            close(connection.socket)
            return true
        }
    }

    private static var now: Double { SystemClock().monotonicSeconds }
}
