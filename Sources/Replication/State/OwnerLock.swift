import Glibc

/// One owner of a state file at a time: an advisory lock on a file beside it, released by the kernel however the owner ends.
///
/// Beside it, because closing any descriptor of the database file itself would drop SQLite's own locks.
/// `@unchecked Sendable`: the descriptor is written in `init` and closed once, in `deinit`.
final class OwnerLock: @unchecked Sendable {
    private let descriptor: Int32

    init(besides path: String) throws {
        let lockPath = path + ".lock"
        descriptor = Glibc.open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw StateError(
                .unwritable,
                "\(lockPath): cannot be opened for writing (\(String(cString: strerror(errno)))). "
                    + "The state file's folder must exist and belong to the user that runs mlmirror.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            // The descriptor is closed by `deinit`, which runs also when this throws: everything is initialized.
            let owner = Self.owner(descriptor)
            throw StateError(
                .locked,
                "\(path): in use by another mlmirror\(owner.map { " (process \($0))" } ?? ""). One process owns a state file at a time; "
                    + "wait for it to end, or stop it.")
        }
        let pid = Array("\(getpid())\n".utf8)
        ftruncate(descriptor, 0)
        _ = pwrite(descriptor, pid, pid.count, 0)
    }

    /// Another may own the file from now on.
    func release() { flock(descriptor, LOCK_UN) }

    deinit { close(descriptor) }

    private static func owner(_ descriptor: Int32) -> Int32? {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: buffer[..<count].prefix { $0 != 10 }, as: UTF8.self))
    }
}
