import Glibc

/// Ports that misbehave before HTTP begins.
public enum RawSocket {
    struct Failed: Error { let call: String }

    static func listen(backlog: Int32) throws -> (socket: Int32, port: UInt16) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw Failed(call: "socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let codes = [bind(listener, address, length), Glibc.listen(listener, backlog), getsockname(listener, address, &length)]
                return codes.min() ?? -1
            }
        }
        guard code == 0 else {
            close(listener)
            throw Failed(call: "listen")
        }
        return (listener, UInt16(bigEndian: address.sin_port))
    }

    /// A socket connected to a port of 127.0.0.1. The caller closes it.
    static func connected(to port: UInt16) throws -> Int32 {
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard connect(client, to: port) == 0 else {
            close(client)
            throw Failed(call: "connect")
        }
        return client
    }

    private static func connect(_ client: Int32, to port: UInt16) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = port.bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// A port of 127.0.0.1 on which nobody listens.
    public static func unusedPort() throws -> UInt16 {
        let (socket, port) = try listen(backlog: 1)
        close(socket)
        return port
    }

    /// Runs `body` with a port of 127.0.0.1 that answers no connection attempt at all: its queue is full.
    public static func withBlackHole<Result>(_ body: (UInt16) async throws -> Result) async throws -> Result {
        let (listener, port) = try listen(backlog: 0)
        var sockets = [listener]
        defer { for socket in sockets { close(socket) } }
        for _ in 0..<4 {
            let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            sockets.append(client)
            _ = connect(client, to: port)
        }
        return try await body(port)
    }
}
