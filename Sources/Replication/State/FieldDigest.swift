import Hashing

/// The first 64 bits of a SHA-256: enough to answer "did this field move?", small enough to keep one for every field.
public struct FieldDigest: RawRepresentable, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(_ text: String) { rawValue = SHA256Digest.first64Bits(of: text) }
}
