import Glibc

/// A small file read whole.
struct TextFile {
    var text: String
    var isWritableByOthers: Bool

    /// Throws `ConfigurationError`, which names the file and the system's reason.
    static func read(_ path: String, limit: Int, _ origin: Origin?, what: String) throws -> TextFile {
        func fail(_ reason: String) -> ConfigurationError { ConfigurationError(origin, "cannot read \(what) \(path): \(reason)") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw fail(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw fail(String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw fail("not a regular file") }
        guard status.st_size <= limit else { throw fail("larger than \(limit) bytes") }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw fail(String(cString: strerror(errno))) }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= limit else { throw fail("larger than \(limit) bytes") }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw fail("not UTF-8 text") }
        return TextFile(text: text, isWritableByOthers: status.st_mode & S_IWOTH != 0)
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }

    /// A relative path starts at the folder of `file`.
    static func path(_ path: String, besides file: String?) -> String {
        guard !path.hasPrefix("/"), let file, let slash = file.lastIndex(of: "/") else { return path }
        return file[...slash] + path
    }
}
