import CCrypto

/// SHA-256, whole or fed in pieces.
public struct SHA256Digest: Sendable, Hashable {
    public let bytes: [UInt8]
    public init(bytes: [UInt8]) { self.bytes = bytes }

    public static func of(_ data: some Sequence<UInt8>) -> SHA256Digest {
        var hasher = SHA256Hasher()
        hasher.update(Array(data))
        return hasher.finish()
    }
    public var hex: String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

public struct SHA256Hasher: ~Copyable {
    private let context: OpaquePointer

    public init() {
        // Null only when memory is exhausted, which ends a Swift program anyway.
        context = EVP_MD_CTX_new()
        EVP_DigestInit_ex(context, EVP_sha256(), nil)
    }

    deinit { EVP_MD_CTX_free(context) }

    public mutating func update(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    }

    public mutating func update(_ text: String) {
        var text = text
        _ = text.withUTF8 { EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    }

    public mutating func update(_ number: UInt64) {
        _ = withUnsafeBytes(of: number.littleEndian) { EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    }

    public mutating func finish() -> SHA256Digest {
        var out = [UInt8](repeating: 0, count: 32)
        EVP_DigestFinal_ex(context, &out, nil)
        return SHA256Digest(bytes: out)
    }
}

extension SHA256Digest {
    /// The first 64 bits of the SHA-256 of a text.
    public static func first64Bits(of text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { bytes in
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 4) { out in
                EVP_Digest(bytes.baseAddress, bytes.count, out.baseAddress, nil, EVP_sha256(), nil)
                return UInt64(littleEndian: out[0])
            }
        }
    }
}
