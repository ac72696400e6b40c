public import Replication

/// Hands out bytes in chunks.
public final class ByteCursor: Sendable {
    private let rest: Locked<ArraySlice<UInt8>>
    private let chunk: Int
    public init(_ bytes: [UInt8], chunk: Int = 64 << 10) {
        rest = Locked(bytes[...])
        self.chunk = chunk
    }
    public func next() -> [UInt8]? {
        rest.withLock { rest in
            guard !rest.isEmpty else { return nil }
            defer { rest = rest.dropFirst(chunk) }
            return Array(rest.prefix(chunk))
        }
    }
}

extension ByteStream {
    public init(_ bytes: [UInt8], chunk: Int = 64 << 10) {
        let cursor = ByteCursor(bytes, chunk: chunk)
        self.init { cursor.next() }
    }

    /// Everything to the end.
    public func collect() async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = try await next() { bytes += chunk }
        return bytes
    }
}
