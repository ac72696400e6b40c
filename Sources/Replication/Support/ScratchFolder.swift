import FoundationEssentials
import Glibc

/// A folder for temporary files that nobody else can look into. Removed with its owner, with all that is in it.
public final class ScratchFolder: Sendable {
    public let path: String

    /// - Throws: `StateError`.
    public init() throws {
        var template = Array("\(FileManager.default.temporaryDirectory.path)/mlmirror-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw StateError(.unwritable, "no folder for temporary files can be made (\(String(cString: strerror(errno)))); set TMPDIR")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
