import Glibc

/// A port of this machine that no other machine reaches: `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`.
struct LoopbackAddress: Sendable, Hashable, CustomStringConvertible {
    enum Host: Sendable, Hashable {
        /// 127.0.0.0/8, in the machine's order.
        case v4(UInt32)
        case v6
    }
    var host: Host
    var port: UInt16

    init(_ host: Host, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// - Throws: `ConfigurationError`, which says what to do for who asks from elsewhere.
    init(_ text: String, _ origin: Origin?) throws {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let name = text.lastIndex(of: ":").map { String(text[..<$0]) } ?? text
        guard parts.count > 1, let digits = parts.last, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(digits),
            port > 0
        else {
            throw ConfigurationError(
                origin, "metrics_listen: expected an address and a port, like 127.0.0.1:9464; found \"\(text.printable)\"")
        }
        guard let host = Self.host(name) else {
            throw ConfigurationError(
                origin,
                "metrics_listen: expected a loopback address (127.0.0.1, [::1] or localhost), found \"\(name.printable)\": metrics are not shown to "
                    + "other machines. Use metrics_file with node_exporter, or a loopback address behind a proxy")
        }
        self.init(host, port: port)
    }

    private static func host(_ name: String) -> Host? {
        if name == "localhost" { return .v4(0x7F00_0001) }
        if name == "[::1]" { return .v6 }
        var address = in_addr()
        guard inet_pton(AF_INET, name, &address) == 1, case let number = UInt32(bigEndian: address.s_addr), number >> 24 == 127 else {
            return nil
        }
        return .v4(number)
    }

    var description: String {
        switch host {
        case .v4(let number): "\(number >> 24).\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255):\(port)"
        case .v6: "[::1]:\(port)"
        }
    }

    /// Calls `body` with the form that the system's calls take.
    func withSocketAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        func call<A>(_ address: A) -> R {
            withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<A>.size)) }
            }
        }
        switch host {
        case .v4(let number):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = number.bigEndian
            return call(address)
        case .v6:
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_addr = in6addr_loopback
            return call(address)
        }
    }
    var family: Int32 { if case .v6 = host { AF_INET6 } else { AF_INET } }
}
