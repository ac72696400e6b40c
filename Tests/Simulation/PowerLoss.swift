import GRDB
import GRDBSQLite
import Glibc
import Replication
import TestSupport

/// Files as a disk keeps them when the power goes: what was written since the last sync is there, or is not, or is there in part.
///
/// A layer under SQLite (`sqlite3_vfs`) that passes everything on and remembers what each write has overwritten until the file is synced.
public enum PowerLoss {
    /// One write that no sync has followed yet.
    fileprivate struct Write {
        var offset: Int
        var before: [UInt8]
        /// Bytes: the file's length before it.
        var length: Int
    }
    /// By path.
    fileprivate static let unsynced = Locked<[String: [Write]]>([:])
    /// A disk that says it has synced, and has not: what a layer that bites is known by.
    fileprivate static let liesAboutSyncs = Locked(false)
    private static let sector = 512

    /// From now on every SQLite file that this process opens lies on such a disk.
    public static func install(lyingAboutSyncs lies: Bool = false) {
        liesAboutSyncs.withLock { $0 = lies }
        _ = isInstalled
    }

    /// What is left of a file when the power goes now.
    static func remains(of path: String, _ chance: inout Chance) throws -> [UInt8]? {
        guard Files.exists(path) else { return nil }
        var bytes = try Files.read(path)
        let writes = unsynced.withLock { $0[path] ?? [] }
        for write in writes.reversed() {
            // Each sector of its own: a write may be torn.
            for start in stride(from: 0, to: write.before.count, by: sector) where chance.oneIn(2) {
                let range = start..<min(start + sector, write.before.count)
                for index in range where write.offset + index < bytes.count { bytes[write.offset + index] = write.before[index] }
            }
            if write.length < bytes.count, chance.oneIn(2) { bytes.removeLast(bytes.count - write.length) }
        }
        return bytes
    }

    static func forget(_ path: String) { unsynced.withLock { $0[path] = nil } }

    // MARK: The layer

    fileprivate struct File {
        var base: sqlite3_file
        var path: UnsafeMutablePointer<CChar>?
        var real: UnsafeMutablePointer<sqlite3_file>
    }

    private static let isInstalled: Bool = {
        guard let real = sqlite3_vfs_find(nil) else { return false }
        let layer = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        layer.initialize(to: real.pointee)
        layer.pointee.zName = UnsafePointer(strdup("power-loss"))
        layer.pointee.pNext = nil
        layer.pointee.pAppData = UnsafeMutableRawPointer(real)
        layer.pointee.szOsFile = Int32(MemoryLayout<File>.stride) + real.pointee.szOsFile
        layer.pointee.xOpen = { layer, name, file, flags, outFlags in
            guard let layer, let file, let real = layer.pointee.pAppData?.assumingMemoryBound(to: sqlite3_vfs.self) else {
                return SQLITE_ERROR
            }
            let raw = UnsafeMutableRawPointer(file)
            let inner = (raw + MemoryLayout<File>.stride).assumingMemoryBound(to: sqlite3_file.self)
            inner.pointee.pMethods = nil
            let result = real.pointee.xOpen(real, name, inner, flags, outFlags)
            let ours = raw.assumingMemoryBound(to: File.self)
            ours.initialize(to: File(base: sqlite3_file(pMethods: nil), path: name.flatMap { strdup($0) }, real: inner))
            if result == SQLITE_OK { ours.pointee.base.pMethods = UnsafePointer(methods) }
            return result
        }
        return sqlite3_vfs_register(layer, 1) == SQLITE_OK
    }()

    nonisolated(unsafe) private static let methods: UnsafeMutablePointer<sqlite3_io_methods> = {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        methods.initialize(to: sqlite3_io_methods())
        methods.pointee.iVersion = 2
        methods.pointee.xClose = { file in
            let result = real(file).pointee.pMethods.pointee.xClose(real(file))
            free(ours(file).pointee.path)
            ours(file).pointee.path = nil
            return result
        }
        methods.pointee.xRead = { file, buffer, count, offset in
            real(file).pointee.pMethods.pointee.xRead(real(file), buffer, count, offset)
        }
        methods.pointee.xWrite = { file, buffer, count, offset in
            remember(file, Int(offset), Int(count))
            return real(file).pointee.pMethods.pointee.xWrite(real(file), buffer, count, offset)
        }
        methods.pointee.xTruncate = { file, size in
            let now = length(of: file)
            if now > Int(size) { remember(file, Int(size), now - Int(size)) }
            return real(file).pointee.pMethods.pointee.xTruncate(real(file), size)
        }
        methods.pointee.xSync = { file, flags in
            if !liesAboutSyncs.withLock({ $0 }), let path = path(of: file) { forget(path) }
            return real(file).pointee.pMethods.pointee.xSync(real(file), flags)
        }
        methods.pointee.xFileSize = { file, size in real(file).pointee.pMethods.pointee.xFileSize(real(file), size) }
        methods.pointee.xLock = { file, level in real(file).pointee.pMethods.pointee.xLock(real(file), level) }
        methods.pointee.xUnlock = { file, level in real(file).pointee.pMethods.pointee.xUnlock(real(file), level) }
        methods.pointee.xCheckReservedLock = { file, out in real(file).pointee.pMethods.pointee.xCheckReservedLock(real(file), out) }
        methods.pointee.xFileControl = { file, operation, argument in
            real(file).pointee.pMethods.pointee.xFileControl(real(file), operation, argument)
        }
        methods.pointee.xSectorSize = { file in real(file).pointee.pMethods.pointee.xSectorSize(real(file)) }
        // None of what a file system promises beyond its syncs.
        methods.pointee.xDeviceCharacteristics = { _ in 0 }
        methods.pointee.xShmMap = { file, page, size, extend, out in
            real(file).pointee.pMethods.pointee.xShmMap(real(file), page, size, extend, out)
        }
        methods.pointee.xShmLock = { file, offset, count, flags in
            real(file).pointee.pMethods.pointee.xShmLock(real(file), offset, count, flags)
        }
        methods.pointee.xShmBarrier = { file in real(file).pointee.pMethods.pointee.xShmBarrier(real(file)) }
        methods.pointee.xShmUnmap = { file, delete in real(file).pointee.pMethods.pointee.xShmUnmap(real(file), delete) }
        return methods
    }()

    private static func ours(_ file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<File> {
        guard let file else { fatalError("SQLite passed no file") }
        return UnsafeMutableRawPointer(file).assumingMemoryBound(to: File.self)
    }

    private static func real(_ file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<sqlite3_file> { ours(file).pointee.real }

    private static func path(of file: UnsafeMutablePointer<sqlite3_file>?) -> String? {
        ours(file).pointee.path.map { String(cString: $0) }
    }

    private static func length(of file: UnsafeMutablePointer<sqlite3_file>?) -> Int {
        var size: sqlite3_int64 = 0
        _ = real(file).pointee.pMethods.pointee.xFileSize(real(file), &size)
        return Int(size)
    }

    private static func remember(_ file: UnsafeMutablePointer<sqlite3_file>?, _ offset: Int, _ count: Int) {
        guard let path = path(of: file) else { return }
        let length = Self.length(of: file)
        var before = [UInt8](repeating: 0, count: count)
        let known = max(0, min(count, length - offset))
        if known > 0 { _ = real(file).pointee.pMethods.pointee.xRead(real(file), &before, Int32(known), sqlite3_int64(offset)) }
        let write = Write(offset: offset, before: before, length: length)
        unsynced.withLock { $0[path, default: []].append(write) }
    }
}
