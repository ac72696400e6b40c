import Glibc

/// Addresses that a redirect from elsewhere must not reach: this machine, the local network and what is not a host at all.
enum PrivateAddress {
    /// 4 or 16 bytes in network order; any other count is private, because nothing is known about it.
    static func contains(_ bytes: [UInt8]) -> Bool {
        switch bytes.count {
        case 4: isPrivateV4(bytes)
        case 16: isPrivateV6(bytes)
        default: true
        }
    }

    /// A host as it stands in a URL: an address (IPv6 with brackets) or a name. Names other than `localhost` are unknown here.
    static func contains(host: String) -> Bool {
        var name = Substring(host.asciiLowercased)
        if name.hasSuffix(".") { name.removeLast() }
        if name == "localhost" { return true }
        if name.hasPrefix("["), name.hasSuffix("]") {
            let literal = name.dropFirst().dropLast().prefix { $0 != "%" }
            var bytes = [UInt8](repeating: 0, count: 16)
            return inet_pton(AF_INET6, String(literal), &bytes) != 1 || contains(bytes)
        }
        var bytes = [UInt8](repeating: 0, count: 4)
        return inet_pton(AF_INET, String(name), &bytes) == 1 && contains(bytes)
    }

    private static func isPrivateV4(_ b: [UInt8]) -> Bool {
        switch (b[0], b[1]) {
        case (0, _), (10, _), (127, _): true  // this network, private, loopback
        case (100, 64...127): true  // carrier-grade NAT
        case (169, 254): true  // link-local: cloud metadata
        case (172, 16...31), (192, 168): true
        case (192, 0): b[2] == 0  // protocol assignments
        case (198, 18...19): true  // benchmarks
        case (224..., _): true  // multicast, reserved, broadcast
        default: false
        }
    }

    private static func isPrivateV6(_ b: [UInt8]) -> Bool {
        let isLow = b[..<10].allSatisfy { $0 == 0 }
        // ::, ::1, IPv4-compatible and IPv4-mapped.
        if isLow, b[10] == b[11], b[10] == 0 || b[10] == 0xFF { return b[10] == 0 || isPrivateV4(Array(b[12...])) }
        // NAT64 (64:ff9b::/96) and 6to4 (2002::/16) carry an IPv4 address.
        if b.starts(with: [0x00, 0x64, 0xFF, 0x9B]) { return isPrivateV4(Array(b[12...])) }
        if b.starts(with: [0x20, 0x02]) { return isPrivateV4(Array(b[2..<6])) }
        // fc00::/7 unique local, fe80::/9 link-local and site-local, ff00::/8 multicast.
        return b[0] & 0xFE == 0xFC || (b[0] == 0xFE && b[1] & 0x80 != 0) || b[0] == 0xFF
    }
}
