import Foundation
import Glibc

/// A server whose every byte a test decides. Each connection runs the script on a thread of its own and is closed afterwards.
///
/// `@unchecked Sendable`: `state` is only touched under `lock`; everything else is immutable.
public final class RawServer: @unchecked Sendable {
    public let port: UInt16
    public var url: String { "http://127.0.0.1:\(port)" }

    private let script: @Sendable (RawConnection) throws -> Void
    private let listener: Int32
    private let lock = NSLock()
    private var state = (requests: [RawRequest](), connections: 0, open: Set<Int32>(), received: 0, sent: 0, isStopped: false)

    /// Listens on a free port of 127.0.0.1. Call `stop()` at the end of the test.
    public init(_ script: @escaping @Sendable (RawConnection) throws -> Void) throws {
        self.script = script
        (listener, port) = try RawSocket.listen(backlog: 128)
        startThread { self.acceptAll() }
    }

    /// All requests read whole, in the order of their arrival.
    public var requests: [RawRequest] { lock.withLock { state.requests } }
    public var connections: Int { lock.withLock { state.connections } }
    /// Bytes read from and written to all connections.
    public var receivedBytes: Int { lock.withLock { state.received } }
    public var sentBytes: Int { lock.withLock { state.sent } }

    /// Closes the listener and ends every connection.
    public func stop() {
        lock.withLock {
            state.isStopped = true
            for socket in state.open { shutdown(socket, Int32(SHUT_RDWR)) }
        }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func acceptAll() {
        while true {
            let socket = accept(listener, nil, nil)
            let index: Int? = lock.withLock {
                guard socket >= 0, !state.isStopped else { return nil }
                state.open.insert(socket)
                state.connections += 1
                return state.connections - 1
            }
            guard let index else {
                if socket >= 0 { close(socket) }
                break
            }
            startThread {
                let connection = RawConnection(self, socket, index: index)
                try? self.script(connection)
                self.lock.withLock { _ = self.state.open.remove(socket) }
                close(socket)
            }
        }
        close(listener)
    }

    fileprivate func record(_ request: RawRequest) { lock.withLock { state.requests.append(request) } }
    fileprivate func count(received: Int = 0, sent: Int = 0) {
        lock.withLock {
            state.received += received
            state.sent += sent
        }
    }
}

public struct RawRequest: Sendable {
    public let method: String
    public let target: String
    public let headers: [(name: String, value: String)]
    public let body: [UInt8]
    /// 0 for the server's first connection.
    public let connection: Int

    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

public struct RawClosed: Error {}

/// One connection, used by the script's thread alone.
public final class RawConnection {
    public let index: Int
    private let server: RawServer
    private let socket: Int32
    private var buffer: [UInt8] = []

    fileprivate init(_ server: RawServer, _ socket: Int32, index: Int) {
        self.server = server
        self.socket = socket
        self.index = index
    }

    /// Reads one request with its body. Throws `RawClosed` at the end of the connection.
    @discardableResult
    public func readRequest() throws -> RawRequest {
        let head = try readHead()
        var body: [UInt8] = []
        if let length = head.header("content-length").flatMap({ Int($0) }) {
            body = try take(length)
        } else if head.header("transfer-encoding") == "chunked" {
            while let size = Int(try takeLine(), radix: 16), size > 0 {
                body += try take(size)
                _ = try takeLine()
            }
            _ = try takeLine()
        }
        let request = RawRequest(method: head.method, target: head.target, headers: head.headers, body: body, connection: index)
        server.record(request)
        return request
    }

    /// Reads a request's head only; it is not counted in `requests`.
    public func readHead() throws -> RawRequest {
        let start = try takeLine().split(separator: " ")
        guard start.count == 3 else { throw RawClosed() }
        var headers: [(name: String, value: String)] = []
        while case let line = try takeLine(), !line.isEmpty {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            headers.append((String(parts[0]), parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""))
        }
        return RawRequest(method: String(start[0]), target: String(start[1]), headers: headers, body: [], connection: index)
    }

    /// Writes all bytes in one call. Throws `RawClosed` when the peer is gone.
    public func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw RawClosed() }
            server.count(sent: count)
            rest = rest.dropFirst(count)
        }
    }

    public func write(_ text: String) throws { try write(Array(text.utf8)) }

    /// A whole answer with `Content-Length`.
    public func answer(_ status: Int = 200, _ headers: [String] = [], body: [UInt8] = []) throws {
        let lines = ["HTTP/1.1 \(status) Test", "Content-Length: \(body.count)"] + headers
        try write(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
    }

    /// Reads 1 to `limit` bytes; nil at the end.
    public func read(limit: Int) -> [UInt8]? {
        if !buffer.isEmpty {
            defer { buffer = [] }
            return buffer
        }
        return fill(limit) ? read(limit: limit) : nil
    }

    /// Makes the coming end of the script a reset (RST) instead of a close (FIN).
    public func resetAtEnd() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    public func sleep(_ seconds: Double) { usleep(UInt32(seconds * 1_000_000)) }

    /// Blocks until the peer closes.
    public func waitForEnd() { while read(limit: 65536) != nil {} }

    /// Passes bytes between the peer and a port of 127.0.0.1, both ways, until one of them closes.
    public func relay(to port: UInt16) throws {
        let other = try RawSocket.connected(to: port)
        defer { close(other) }
        let wanted = Int16(POLLIN)
        var sides = [pollfd(fd: socket, events: wanted, revents: 0), pollfd(fd: other, events: wanted, revents: 0)]
        var bytes = [UInt8](repeating: 0, count: 65536)
        while poll(&sides, 2, -1) > 0 {
            for (from, to) in [(0, 1), (1, 0)] where sides[from].revents != 0 {
                let count = recv(sides[from].fd, &bytes, bytes.count, 0)
                // Small pieces to a peer that reads: a blocking send takes them whole.
                guard count > 0, send(sides[to].fd, bytes, count, Int32(MSG_NOSIGNAL)) == count else { return }
            }
        }
    }

    private func fill(_ limit: Int = 65536) -> Bool {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = recv(socket, &bytes, limit, 0)
        guard count > 0 else { return false }
        server.count(received: count)
        buffer += bytes[..<count]
        return true
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while buffer.count < count { guard fill() else { throw RawClosed() } }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func takeLine() throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 0x0A) {
                let line = try take(end + 1)
                return String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines)
            }
            guard fill() else { throw RawClosed() }
        }
    }
}

private func startThread(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread { body() }
    thread.stackSize = 512 << 10
    thread.start()
}
