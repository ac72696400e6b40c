import Glibc
import Replication

/// A result could not be written where it belongs.
struct WriteError: Error, CustomStringConvertible {
    var description: String
}

/// A file that appears whole or not at all: written under another name, then renamed.
final class WholeFile: Sendable {
    let path: String
    private let temporary: String
    private let descriptor: Int32
    private let failed = Locked<WriteError?>(nil)

    /// - Parameter mode: 0600: only its owner may read it.
    init(path: String, mode: mode_t = 0o600) throws {
        self.path = path
        let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        temporary = "\(path[..<slash]).\(path[slash...]).\(getpid()).tmp"
        var there = stat()
        // The renaming would find it only when all is done.
        guard lstat(path, &there) != 0 || there.st_mode & S_IFMT != S_IFDIR else {
            throw WriteError(description: "cannot write \(path): \(String(cString: strerror(EISDIR)))")
        }
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard descriptor >= 0, fchmod(descriptor, mode) == 0 else { throw Self.failure(path) }
    }

    func write(_ bytes: [UInt8]) throws {
        guard FileDescriptorWriter.writeAll(bytes, to: descriptor) else {
            let error = Self.failure(path)
            failed.withLock { $0 = error }
            throw error
        }
    }

    /// Puts the file in its place, unless a part of it is missing.
    func commit() throws {
        if let error = failed.withLock({ $0 }) { throw error }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw Self.failure(path) }
    }

    deinit {
        close(descriptor)
        // Gone already when it was committed.
        unlink(temporary)
    }

    private static func failure(_ path: String) -> WriteError { WriteError(description: reason(path)) }

    private static func reason(_ path: String) -> String { "cannot write \(path): \(String(cString: strerror(errno)))" }
}
