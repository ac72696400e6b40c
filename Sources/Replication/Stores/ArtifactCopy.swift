/// A file of one store that the storage of another can fetch by itself, so that no byte of it passes through here.
public struct ArtifactCopySource: Sendable {
    public let size: Int64
    /// Names the bytes: the same tag, the same bytes.
    public let tag: String
    /// Of the whole file, in base64, where its storage knows one.
    public let md5: String?
    /// It carries its own authority: it is in no message and in no record.
    public let address: String
    /// Another address of the same file, for one that has ended.
    public let renew: @Sendable () async throws -> String?

    public init(
        size: Int64, tag: String, md5: String?, address: String, renew: @escaping @Sendable () async throws -> String?
    ) {
        self.size = size
        self.tag = tag
        self.md5 = md5
        self.address = address
        self.renew = renew
    }
}

extension ArtifactCopySource: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "a file of \(size) bytes that can be fetched" }
    public var debugDescription: String { description }
    public var customMirror: Swift.Mirror { Swift.Mirror(self, children: []) }
}

/// What became of a file that the secondary's storage was to fetch.
public enum ArtifactCopy: Sendable, Hashable {
    case copied
    /// It is known to be refused: the bytes are to be written.
    case notTried
    /// It was refused, for this reason: the bytes are to be written.
    case refused(String)
}
