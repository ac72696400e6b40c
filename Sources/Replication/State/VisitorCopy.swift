import FoundationEssentials
import Glibc

/// A private copy of a state file and its log, for who may only read them.
struct VisitorCopy: Sendable {
    let path: String
    private let folder: ScratchFolder

    init(of original: String) throws {
        folder = try ScratchFolder()
        path = "\(folder.path)/state.db"
        do {
            try FileManager.default.copyItem(atPath: original, toPath: path)
            if access(original + "-wal", F_OK) == 0 { try FileManager.default.copyItem(atPath: original + "-wal", toPath: path + "-wal") }
            // A copy has the mode of what was copied, which its reader may be none to write.
            for file in [path, path + "-wal"] { chmod(file, 0o600) }
        } catch {
            throw StateError(.unwritable, "\(original): cannot be read: \(error)")
        }
    }
}
