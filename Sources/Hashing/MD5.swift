import CCrypto

/// MD5, fed in pieces: Azure storage knows blobs by it. It guards against accidents alone.
public struct MD5Hasher: ~Copyable {
    private let context: OpaquePointer

    public init() {
        context = EVP_MD_CTX_new()
        EVP_DigestInit_ex(context, EVP_md5(), nil)
    }

    deinit { EVP_MD_CTX_free(context) }

    public mutating func update(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    }

    /// 16 bytes.
    public mutating func finish() -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 16)
        EVP_DigestFinal_ex(context, &out, nil)
        return out
    }

    public static func of(_ bytes: [UInt8]) -> [UInt8] {
        var hasher = MD5Hasher()
        hasher.update(bytes)
        return hasher.finish()
    }
}
