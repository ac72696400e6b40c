import Glibc

/// One owner of a state file at a time: an advisory lock on a file beside it, released by the kernel however the owner ends.
///
/// Beside it, because closing any descriptor of the database file itself would drop SQLite's own locks.
/// It also holds how far the state file has come, never ahead of it: a state file that is behind is an older copy.
/// `@unchecked Sendable`: the descriptor is written in `init` and closed once, in `deinit`.
final class OwnerLock: @unchecked Sendable {
    private let descriptor: Int32
    /// What the last owner had come to; nil where that is not known.
    private(set) var noted: Int64?
    private let progress = Locked<Int64>(-1)

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
        noted = Self.lines(descriptor).dropFirst().first.flatMap { Int64($0) }
    }

    /// Not synced: after a loss of power it may say less than is true.
    func note(progress now: Int64) {
        progress.withLock { progress in
            guard now > progress else { return }
            progress = now
            let digits = String(now)
            // Always as long: written over, never cut first.
            let text = Array("\(getpid())\n\(String(repeating: "0", count: max(0, 19 - digits.count)))\(digits)\n".utf8)
            _ = pwrite(descriptor, text, text.count, 0)
            ftruncate(descriptor, off_t(text.count))
        }
    }

    /// Another may own the file from now on.
    func release() { flock(descriptor, LOCK_UN) }

    deinit { close(descriptor) }

    private static func owner(_ descriptor: Int32) -> Int32? { lines(descriptor).first.flatMap { Int32($0) } }

    private static func lines(_ descriptor: Int32) -> [Substring] {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n") : []
    }
}
