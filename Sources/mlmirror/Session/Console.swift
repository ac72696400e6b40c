import Glibc
import Replication

/// Results on standard output, messages on standard error, and at most one progress bar, which never mixes with either.
final class Console: Sendable {
    /// One of the two streams.
    struct Stream: Sendable {
        var isTerminal: Bool
        /// Throws `WriteError`, where not all of it could be written and somebody waits for it.
        var write: @Sendable (String) throws -> Void
        init(isTerminal: Bool, write: @escaping @Sendable (String) throws -> Void) {
            self.isTerminal = isTerminal
            self.write = write
        }

        static func descriptor(_ descriptor: Int32) -> Stream {
            Stream(isTerminal: isatty(descriptor) == 1) { text in
                // A reader that leaves early (`| head`) has what it wanted.
                guard !FileDescriptorWriter.writeAll(Array(text.utf8), to: descriptor), errno != EPIPE else { return }
                throw WriteError(description: String(cString: strerror(errno)))
            }
        }
    }

    private let output: Stream
    private let errors: Stream
    private let terminalWidth: @Sendable () -> Int
    private let bar = Locked<String?>(nil)
    private let failure = Locked<String?>(nil)

    init(output: Stream, errors: Stream, terminalWidth: @escaping @Sendable () -> Int = { 80 }) {
        self.output = output
        self.errors = errors
        self.terminalWidth = terminalWidth
    }

    static func standard() -> Console {
        Console(output: .descriptor(STDOUT_FILENO), errors: .descriptor(STDERR_FILENO), terminalWidth: { measuredWidth(STDERR_FILENO) })
    }

    var showsBars: Bool { errors.isTerminal }
    var outputIsTerminal: Bool { output.isTerminal }
    /// Columns of the terminal, asked each time: people resize.
    var width: Int { terminalWidth() }

    /// Why standard output does not hold all results; nil: it does.
    var resultFailure: String? { failure.withLock { $0 } }

    /// Text as it is, to standard output. After a failure nothing more is written: there would be a gap before it.
    func result(_ text: String) {
        bar.withLock { bar in
            hide(&bar)
            failure.withLock { failure in
                guard failure == nil else { return }
                do { try output.write(text) } catch { failure = "\(error)" }
            }
        }
    }

    /// A line to standard error. A bar that is shown goes on below it.
    func message(_ line: String) {
        bar.withLock { bar in
            guard let shown = bar else { return say(line + "\n") }
            say("\r\u{1B}[K\(line)\n\(shown)")
        }
    }

    /// Draws the bar in place of the one before, in one write.
    func draw(_ text: String) {
        bar.withLock { bar in
            guard text != bar else { return }
            say("\r\(text)\u{1B}[K")
            bar = text
        }
    }

    func clearBar() { bar.withLock { hide(&$0) } }

    private func hide(_ bar: inout String?) {
        guard bar != nil else { return }
        say("\r\u{1B}[K")
        bar = nil
    }

    /// Where messages cannot be told, there is nobody to tell it to.
    private func say(_ text: String) { try? errors.write(text) }

    private static func measuredWidth(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

enum FileDescriptorWriter {
    /// Writes everything, however many calls that takes; false when the other end is gone or the disk is full.
    @discardableResult
    static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&wait, 1, -1)
                continue
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
