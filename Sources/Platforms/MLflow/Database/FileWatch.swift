import Glibc
import Replication

/// Tells when something happens to a database file or to the journals beside it.
///
/// A commit in rollback mode ends with its journal's deletion or truncation, one in WAL mode with a write to the `-wal` file. Where the
/// kernel gives no watch, waiting only times out. One waiter at a time.
final class FileWatch: Sendable {
    private let wakeup = Signal()
    /// Closing it ends the thread.
    private let end = Locked<Int32?>(nil)

    /// How long a commit's last event is waited for after another one.
    private static let millisecondsToCommit: Int32 = 5

    /// Whether events come at all.
    let isWatching: Bool

    init(path: String) {
        guard let watch = Self.watch(path, wakeup) else {
            isWatching = false
            return
        }
        isWatching = true
        end.withLock { $0 = watch }
    }

    deinit { close() }

    /// Returns after an event, at once when there was one since the last call, and after `seconds` at the latest.
    ///
    /// - Throws: `CancellationError`.
    func wait(atMost seconds: Double) async throws {
        try Task.checkCancellation()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wakeup.wait() }
            group.addTask { try? await Task.sleep(for: .seconds(max(0, seconds))) }
            await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
    }

    /// Ends the thread, which closes its descriptors. Later waits time out.
    func close() {
        end.withLock { descriptor in
            if let open = descriptor { Glibc.close(open) }
            descriptor = nil
        }
    }

    // MARK: - The thread

    /// What the thread owns.
    private final class Context {
        let notify: Int32
        let end: Int32
        let prefix: [UInt8]
        let wakeup: Signal
        init(notify: Int32, end: Int32, prefix: String, wakeup: Signal) {
            self.notify = notify
            self.end = end
            self.prefix = Array(prefix.utf8)
            self.wakeup = wakeup
        }
        deinit {
            Glibc.close(notify)
            Glibc.close(end)
        }
    }

    /// Starts the thread; the descriptor ends it when it is closed. nil where there can be no watch.
    private static func watch(_ path: String, _ wakeup: Signal) -> Int32? {
        // SQLite keeps journals beside the file that a link leads to.
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        let file = String(cString: resolved)
        guard let slash = file.lastIndex(of: "/") else { return nil }
        let folder = slash == file.startIndex ? "/" : String(file[..<slash])
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let notify = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        let context = Context(notify: notify, end: ends[0], prefix: String(file[file.index(after: slash)...]), wakeup: wakeup)
        let events = UInt32(IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM)
        guard notify >= 0, inotify_add_watch(notify, folder, events) >= 0, start(context) else {
            Glibc.close(ends[1])
            return nil
        }
        return ends[1]
    }

    private static func start(_ context: Context) -> Bool {
        let pointer = Unmanaged.passRetained(context)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { pointer in
                if let pointer { FileWatch.run(Unmanaged<Context>.fromOpaque(pointer).takeRetainedValue()) }
                return nil
            }, pointer.toOpaque())
        guard code == 0 else {
            pointer.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private static func run(_ context: Context) {
        // Signals belong to other threads.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: MemoryLayout<inotify_event>.alignment)
        defer { buffer.deallocate() }
        // Most events come before the commit, when there is nothing to read yet and reading would only be in its way.
        var isWaitingForCommit = false
        while true {
            var descriptors = [
                pollfd(fd: context.notify, events: Int16(POLLIN), revents: 0), pollfd(fd: context.end, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&descriptors, 2, isWaitingForCommit ? millisecondsToCommit : -1)
            guard ready >= 0 || errno == EINTR else { return }
            if descriptors[1].revents != 0 { return }
            if ready == 0 {
                isWaitingForCommit = false
                context.wakeup.raise()
                continue
            }
            let count = read(context.notify, buffer.baseAddress, buffer.count)
            if count > 0 {
                switch meaning(of: UnsafeRawBufferPointer(buffer)[..<count], context.prefix) {
                case .nothing: break
                case .writing: isWaitingForCommit = true
                case .committed:
                    isWaitingForCommit = false
                    context.wakeup.raise()
                }
            } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                return
            }
        }
    }

    private enum Meaning { case nothing, writing, committed }

    /// A journal that goes, and a write to the write-ahead log, are commits. In other journal modes a commit looks like any write.
    private static func meaning(of bytes: Slice<UnsafeRawBufferPointer>, _ prefix: [UInt8]) -> Meaning {
        var meaning = Meaning.nothing
        let header = MemoryLayout<inotify_event>.size
        var rest = UnsafeRawBufferPointer(rebasing: bytes)
        while rest.count >= header {
            let event = rest.loadUnaligned(as: inotify_event.self)
            // Events were lost: this may be one of them.
            if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { return .committed }
            let size = header + Int(event.len)
            let name = rest[header..<min(size, rest.count)].prefix { $0 != 0 }
            if name.starts(with: prefix) {
                let suffix = name.dropFirst(prefix.count)
                let isGone = event.mask & UInt32(IN_DELETE) != 0 && suffix.elementsEqual("-journal".utf8)
                let isReplaced = event.mask & UInt32(IN_MOVED_TO) != 0
                if isGone || isReplaced || suffix.elementsEqual("-wal".utf8) { return .committed }
                meaning = .writing
            }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(size))
        }
        return meaning
    }
}
