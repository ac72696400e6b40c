import FoundationEssentials
import Glibc

/// A private copy of a state file and its log, for who may only read them.
final class VisitorCopy: Sendable {
    let path: String
    private let folder: String

    init(of original: String) throws {
        var template = Array("\(FileManager.default.temporaryDirectory.path)/mlmirror-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw StateError(.unwritable, "no folder for temporary files can be made (\(String(cString: strerror(errno)))); set TMPDIR")
        }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        path = "\(folder)/state.db"
        do {
            try FileManager.default.copyItem(atPath: original, toPath: path)
            if access(original + "-wal", F_OK) == 0 { try FileManager.default.copyItem(atPath: original + "-wal", toPath: path + "-wal") }
            // A copy has the mode of what was copied, which its reader may be none to write.
            for file in [path, path + "-wal"] { chmod(file, 0o600) }
        } catch {
            throw StateError(.unwritable, "\(original): cannot be read: \(error)")
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}
