import Glibc

/// One owner of a state file at a time: an advisory lock on a file beside it, released by the kernel however the owner ends.
///
/// A lock of the open file (`F_OFD_SETLK`), because the kernel tells of such a lock without taking it: see `isHeld(besides:)`.
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
        let folder = StateFolder(of: path)
        descriptor = Glibc.open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, folder.mode)
        guard descriptor >= 0 else {
            throw StateError(
                .unwritable,
                "\(lockPath): cannot be opened for writing (\(String(cString: strerror(errno)))). "
                    + "The state file's folder must exist and belong to the user that runs mlmirror.")
        }
        folder.giveAway(descriptor)
        guard Self.setLock(descriptor, F_WRLCK) else {
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
    func release() { _ = Self.setLock(descriptor, F_UNLCK) }

    deinit { close(descriptor) }

    /// Whether a process has the file, told without getting in anyone's way.
    static func isHeld(besides path: String) -> Bool {
        let descriptor = Glibc.open(path + ".lock", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            // Not ours to read: the kernel's list shows it too, though in pieces, between which a line can slip away.
            return errno != ENOENT && (0..<3).contains { _ in isListed(path + ".lock") }
        }
        defer { close(descriptor) }
        var wanted = Self.wholeFile(F_RDLCK)
        return fcntl(descriptor, openFileGetLock, &wanted) == 0 && Int32(wanted.l_type) != F_UNLCK
    }

    private static func isListed(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        let inode = ":\(status.st_ino) "
        return readAll("/proc/locks").split(separator: "\n").contains { $0.contains(inode) && !$0.contains("->") }
    }

    private static func readAll(_ path: String) -> String {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = Glibc.read(descriptor, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    // <fcntl.h> shows these only with _GNU_SOURCE.
    private static let openFileGetLock: Int32 = 36
    private static let openFileSetLock: Int32 = 37

    private static func wholeFile(_ type: Int32) -> flock {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        return lock
    }

    private static func setLock(_ descriptor: Int32, _ type: Int32) -> Bool {
        var lock = wholeFile(type)
        return fcntl(descriptor, openFileSetLock, &lock) == 0
    }

    private static func owner(_ descriptor: Int32) -> Int32? { lines(descriptor).first.flatMap { Int32($0) } }

    private static func lines(_ descriptor: Int32) -> [Substring] {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n") : []
    }
}
