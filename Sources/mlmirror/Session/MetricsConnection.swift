import Glibc

/// One connection of the listener: a request is read, one answer is written, and the end of the other side is waited for.
struct MetricsConnection {
    private enum Phase {
        case reading, writing, ending
    }

    let socket: Int32
    /// Monotonic seconds; then it is closed, whatever it does.
    let deadline: Double
    private var phase = Phase.reading
    private var received: [UInt8] = []
    private var answer: ArraySlice<UInt8> = []

    /// Bytes of a request's head.
    private static let longestHead = 8192

    init(_ socket: Int32, deadline: Double) {
        self.socket = socket
        self.deadline = deadline
    }

    /// Makes a descriptor one that never blocks, and that no child inherits.
    static func prepare(_ descriptor: Int32) -> Bool {
        let flags = fcntl(descriptor, F_GETFL)
        return flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0
    }

    var events: Int16 { phase == .writing ? Int16(POLLOUT) : Int16(POLLIN) }

    /// Does what can be done at once; false when it is over.
    mutating func goOn(_ page: () -> String?) -> Bool {
        switch phase {
        case .reading:
            guard let bytes = read() else { return false }
            received += bytes
            guard let text = Self.answer(to: received, page) else { return true }
            answer = Array(text.utf8)[...]
            received = []
            phase = .writing
            return write()
        case .writing: return write()
        // What still comes is not wanted; closed at once, it would cost the other side its answer.
        case .ending: return read() != nil
        }
    }

    /// Nil at the end; empty where nothing is there yet.
    private func read() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(socket, &buffer, buffer.count, 0)
        if count < 0 { return errno == EAGAIN || errno == EINTR ? [] : nil }
        return count == 0 ? nil : Array(buffer[..<count])
    }

    private mutating func write() -> Bool {
        while !answer.isEmpty {
            let count = answer.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            answer = answer.dropFirst(count)
        }
        phase = .ending
        return shutdown(socket, Int32(SHUT_WR)) == 0
    }

    // MARK: - The answer

    /// Nil while the request's head is not there yet.
    ///
    /// - Parameter page: nil where there is none yet.
    static func answer(to bytes: [UInt8], _ page: () -> String?) -> String? {
        let head = String(decoding: bytes, as: UTF8.self)
        guard head.contains("\r\n\r\n") || head.contains("\n\n") else {
            return bytes.count > longestHead ? whole(431, "Request Header Fields Too Large", "the request's head is too long\n") : nil
        }
        let words = head.prefix { $0 != "\r\n" && $0 != "\n" }.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { return whole(400, "Bad Request", "not a request of HTTP/1.1\n") }
        guard words[1].prefix(while: { $0 != "?" }) == "/metrics" else { return whole(404, "Not Found", "see /metrics\n") }
        guard words[0] == "GET" || words[0] == "HEAD" else {
            return whole(405, "Method Not Allowed", "GET only\n", ["Allow: GET, HEAD"])
        }
        guard let text = page() else {
            return whole(503, "Service Unavailable", "there are no figures yet; ask again in a moment\n", ["Retry-After: 1"])
        }
        return whole(200, "OK", text, type: "text/plain; version=0.0.4; charset=utf-8", hasBody: words[0] == "GET")
    }

    private static func whole(
        _ status: Int, _ reason: String, _ body: String, _ headers: [String] = [], type: String = "text/plain; charset=utf-8",
        hasBody: Bool = true
    ) -> String {
        let lines =
            ["HTTP/1.1 \(status) \(reason)", "Content-Type: \(type)", "Content-Length: \(body.utf8.count)", "Connection: close"] + headers
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + (hasBody ? body : "")
    }
}
