import Glibc
import Replication

/// Whether the state file can be used.
enum StateCheck {
    /// A file that does not exist yet is not made. One that another mlmirror is using is in order.
    static func run(_ path: String) throws -> String {
        guard TextFile.exists(path) else { return try new(path) }
        do {
            try ReplicationState.open(path: path).close()
            return path
        } catch let error as StateError where error.kind == .locked {
            return error.description
        }
    }

    private static func new(_ path: String) throws -> String {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        guard access(folder, W_OK | X_OK) == 0 else {
            let reason = String(cString: strerror(errno))
            throw StateError(.unwritable, "\(path): cannot be made: its folder does not exist or is not writable (\(reason)).")
        }
        return "\(path), to be made by the first backfill"
    }
}
