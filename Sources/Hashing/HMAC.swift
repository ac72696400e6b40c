/// HMAC-SHA256 (RFC 2104).
public enum HMAC {
    private static let blockSize = 64

    public static func sha256(_ text: String, key: [UInt8]) -> SHA256Digest {
        var block = key.count > blockSize ? SHA256Digest.of(key).bytes : key
        block += [UInt8](repeating: 0, count: blockSize - block.count)
        var inner = SHA256Hasher()
        inner.update(block.map { $0 ^ 0x36 })
        inner.update(text)
        var outer = SHA256Hasher()
        outer.update(block.map { $0 ^ 0x5C })
        outer.update(inner.finish().bytes)
        return outer.finish()
    }
}
