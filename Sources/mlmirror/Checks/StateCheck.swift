import Glibc
import Replication

/// Whether the state file can be used.
enum StateCheck {
    /// A file that does not exist yet is not made. One that another mlmirror is using is in order.
    static func run(_ path: String) throws -> String {
        guard !ReplicationState.isMissing(path) else { return try new(path) }
        do {
            try ReplicationState.open(path: path).close()
            return path
        } catch let error as StateError where error.kind == .locked {
            return error.description
        }
    }

    /// What another scope than the last one means for what is copied.
    static func scope(_ settings: MirrorSettings) throws -> String {
        guard !ReplicationState.isMissing(settings.state.value) else { return "nothing was copied yet" }
        let state = try ReplicationState.visit(path: settings.state.value)
        defer { try? state.close() }
        guard var keys = try state.differences(to: settings.scope) else { return "nothing was copied yet" }
        // A credential that only the service has cannot be compared here.
        let hasKey = !settings.mask.value.needsKey || settings.mask.value.key != PseudonymKey()
        if !hasKey { keys.removeAll { $0 == "scope.mask.key_file" } }
        if try state.isMirroring(settings.scope) || !hasKey && keys.isEmpty { return "as before" }
        let masked =
            keys.contains { $0.hasPrefix("scope.mask.") }
            ? "; of what was copied under another mask, params, users of runs, dataset inputs and addresses of versions stay, for they cannot be "
                + "written again" : ""
        return (keys.isEmpty ? "another one than before" : "not as before: \(keys.joined(separator: ", "))")
            + ": what came in is copied by the next backfill or start of the daemon, what went out stays on the secondary and is not "
            + "followed any more\(masked)"
    }

    /// Whether unknown fields are carried, where that is asked for.
    static func unknownFields(_ scope: Scope) -> String {
        guard !scope.carriesUnknownFields else { return "carried, in documents among the files of their runs and logged models" }
        let keys = scope.unknownFieldsObstacles.joined(separator: ", ")
        return "not carried, although scope.unknown_fields is true: nobody knows whether they hold what may not pass by \(keys)"
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
