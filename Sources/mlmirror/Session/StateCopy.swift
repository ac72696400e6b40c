import FoundationEssentials
import Replication

/// A private copy of the state file, for a rehearsal that must leave the real one as it is.
enum StateCopy {
    /// A file that does not exist yet is not made. One that another process owns is refused.
    static func with<Result>(of path: String, _ body: (String) async throws -> Result) async throws -> Result {
        let folder = try ScratchFolder()
        defer { withExtendedLifetime(folder) {} }
        let copy = "\(folder.path)/state.db"
        if !ReplicationState.isMissing(path) {
            // Folds the database's log into the one file that is copied, and takes the owner's lock while it does.
            try ReplicationState.open(path: path).close()
            try FileManager.default.copyItem(atPath: path, toPath: copy)
            try FileManager.default.copyItem(atPath: path + ".lock", toPath: copy + ".lock")
        }
        return try await body(copy)
    }
}
