import CSystemd
import Glibc

/// Structured entries of the systemd journal.
public enum Journal {
    /// A field's name: upper-case letters, digits and underscores, at most 64, not beginning with an underscore.
    public struct Field: Sendable, Hashable {
        public var name: String
        public var value: String
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Whether standard error leads to the journal. Then what is told goes there in fields, instead of lines that it has to parse.
    ///
    /// - Parameter stream: what the manager set `JOURNAL_STREAM` to: device and inode.
    public static func isStandardError(_ stream: String?) -> Bool {
        guard let parts = stream?.split(separator: ":"), parts.count == 2 else { return false }
        var status = stat()
        guard fstat(STDERR_FILENO, &status) == 0 else { return false }
        return UInt64(parts[0]) == UInt64(status.st_dev) && UInt64(parts[1]) == UInt64(status.st_ino)
    }

    /// - Returns: false when nobody takes it.
    @discardableResult
    public static func send(_ fields: [Field]) -> Bool {
        var bytes: [UInt8] = []
        var ends: [Int] = []
        for field in fields {
            bytes += field.name.utf8
            bytes.append(UInt8(ascii: "="))
            bytes += field.value.utf8
            ends.append(bytes.count)
        }
        return bytes.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return false }
            var start = 0
            let vectors = ends.map { end in
                defer { start = end }
                return iovec(iov_base: base + start, iov_len: end - start)
            }
            return sd_journal_sendv(vectors, Int32(vectors.count)) == 0
        }
    }
}
