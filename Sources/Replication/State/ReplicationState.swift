import Dispatch
import GRDB
import Glibc

/// The state file: the pair and its identities, the change log and its checkpoint, bases, identity map, series marks, artifact
/// manifest, intents, dead letters and conflicts. Every method is one transaction that leaves all of them true together.
///
/// Methods are synchronous: a transaction takes some hundred microseconds, and a simulation can then replay it.
public final class ReplicationState: Sendable {
    let database: DatabaseQueue
    /// Nil for a visitor.
    private let lock: OwnerLock?
    private let generation: Int64?
    private let commits = Locked(0)
    private static let commitsBetweenFolds = 2000
    private let disk: (any SimulatedDisk)?
    /// What a visitor looks at instead; removed with it.
    private let copy: VisitorCopy?
    /// It was behind what its last owner had done: everything in it was forgotten.
    public let wasOlderCopy: Bool
    public let path: String

    /// Opens the file or makes it, and becomes its one owner.
    ///
    /// - Throws: `StateError`.
    public static func open(path: String) throws -> ReplicationState { try ReplicationState(path: path, disk: nil) }

    /// As `open(path:)`, for a simulation that fails transactions.
    package static func open(path: String, disk: any SimulatedDisk) throws -> ReplicationState {
        try ReplicationState(path: path, disk: disk)
    }

    private init(path: String, disk: (any SimulatedDisk)?) throws {
        self.path = path
        self.disk = disk
        copy = nil
        let lock = try OwnerLock(besides: path)
        self.lock = lock
        try Self.createPrivately(path)
        do {
            database = try Self.openDatabase(path)
            try Self.prepare(database, path)
            (generation, wasOlderCopy) = try database.write { db in
                try Self.migrate(db)
                let progress = try Int64.fetchOne(db, sql: "SELECT progress FROM pair") ?? 0
                // A copy from before progress was counted has none, and identities.
                let isUsed = try progress > 0 || Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT * FROM identity)") ?? false
                let isOlderCopy = isUsed && lock.noted.map { $0 > progress } ?? (progress > 0)
                if isOlderCopy { try Self.forgetAll(db) }
                try Self.recountBacklog(db)
                // A damage that left every page in order may have cost them all: the stamps on the secondary tell.
                try db.execute(sql: "UPDATE pair SET adopted = 0 WHERE NOT EXISTS (SELECT * FROM identity)")
                try db.execute(
                    sql: "UPDATE pair SET generation = generation + 1, progress = max(progress, ?)", arguments: [lock.noted ?? 0])
                return (try Int64.fetchOne(db, sql: "SELECT generation FROM pair") ?? 0, isOlderCopy)
            }
            lock.note(progress: max(try database.read { try Int64.fetchOne($0, sql: "SELECT progress FROM pair") ?? 0 }, lock.noted ?? 0))
        } catch let error as DatabaseError {
            throw Self.explain(error, path)
        }
    }

    /// Opens a file that another process may own, to look at it and to leave word in it: what a visitor may write are the tables where people leave word.
    ///
    /// - Throws: `StateError`; of kind `missing` when there is no file.
    public static func visit(path: String) throws -> ReplicationState {
        do {
            return try ReplicationState(visiting: path)
        } catch let error as StateError where error.kind == .unwritable && access(path, R_OK) == 0 {
            // Who may only read it needs the files that SQLite shares between processes, which are there only while the daemon runs.
            let copy = try VisitorCopy(of: path)
            return try ReplicationState(visiting: path, copy)
        }
    }

    init(visiting path: String, _ copy: VisitorCopy? = nil) throws {
        self.path = path
        self.copy = copy
        disk = nil
        lock = nil
        generation = nil
        wasOlderCopy = false
        guard access(path, R_OK) == 0 else {
            let reason = String(cString: strerror(errno))
            guard Self.isMissing(path) else {
                throw StateError(
                    .unwritable,
                    "\(path): cannot be read (\(reason)). Ask as a user who may read it and enter its folder, or name another file.")
            }
            throw StateError(.missing, "\(path): no such file. The first `mlmirror backfill` or `mlmirror run` makes it.")
        }
        do {
            database = try Self.openDatabase(copy?.path ?? path, isReadOnly: copy == nil && access(path, W_OK) != 0)
            try database.read { try Self.check($0, path, isExact: true) }
        } catch let error as DatabaseError {
            throw Self.explain(error, path)
        }
    }

    /// There is certainly no such file. Where nobody may look, or a link leads nowhere for ever, there may be one.
    public static func isMissing(_ path: String) -> Bool { access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR) }

    /// Folds the log of the database into the file. Later calls fail. A visitor folds nothing: two that do at once can damage the file.
    public func close() throws {
        guard let lock else { return try database.close() }
        try transaction("close") { _ in }
        try database.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
        try database.close()
        lock.release()
    }

    /// Lets go of the file as a process does that is killed: nothing is folded, and nothing noted.
    package func abandon() throws {
        try database.close()
        lock?.release()
    }

    // MARK: Transactions

    /// One transaction of the present owner. An owner whose generation has passed commits nothing.
    func transaction<R>(_ what: String, _ body: (Database) throws -> R) throws -> R {
        guard let generation else {
            throw StateError(.locked, "\(path): only its owner may write to it, and this process is a visitor (\(what)).")
        }
        defer { foldLogNowAndThen() }
        let result = try write { db in
            let now = try Int64.fetchOne(db.cachedStatement(sql: "SELECT generation FROM pair"))
            guard now == generation else {
                throw StateError(
                    .fenced, "\(path): another mlmirror has taken this state file over; this one stops without writing to it.")
            }
            let result = try body(db)
            try disk?.willCommit(what)
            return result
        }
        try disk?.hasCommitted(what)
        return result
    }

    /// One transaction that follows a write to the secondary.
    func progress<R>(_ what: String, _ body: (Database) throws -> R) throws -> R {
        let (result, progress) = try transaction(what) { db in
            let result = try body(db)
            return (result, try Int64.fetchOne(db.cachedStatement(sql: "UPDATE pair SET progress = progress + 1 RETURNING progress")) ?? 0)
        }
        lock?.note(progress: progress)
        return result
    }

    /// One transaction of anyone, for the tables where visitors leave word.
    func write<R>(_ body: (Database) throws -> R) throws -> R {
        do { return try database.write(body) } catch let error as DatabaseError { throw Self.explain(error, path) }
    }

    /// Without this the write-ahead log of a process that runs for months would grow for months. A reader elsewhere may hold it up: then the
    /// next one does it.
    private func foldLogNowAndThen() {
        let isTime = commits.withLock { count in
            count += 1
            return count % Self.commitsBetweenFolds == 0
        }
        if isTime { _ = try? database.writeWithoutTransaction { try $0.checkpoint(.truncate) } }
    }

    /// The owner's readings need no transaction: nobody else writes to what it reads. A visitor's do, to be of one moment.
    func read<R>(_ body: (Database) throws -> R) throws -> R {
        do { return try lock == nil ? database.read(body) : database.unsafeRead(body) } catch let error as DatabaseError {
            throw Self.explain(error, path)
        }
    }

    // MARK: Opening

    private static func createPrivately(_ path: String) throws {
        let folder = StateFolder(of: path)
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, folder.mode)
        guard descriptor >= 0 else {
            let advice = errno == ELOOP ? "It is a symbolic link; name the file itself." : "Its folder must exist and be writable."
            throw StateError(.unwritable, "\(path): cannot be opened for writing (\(String(cString: strerror(errno)))). \(advice)")
        }
        folder.giveAway(descriptor)
        Glibc.close(descriptor)
    }

    private static func openDatabase(_ path: String, isReadOnly: Bool = false) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = isReadOnly
        configuration.qos = .default
        configuration.label = "mlmirror.state"
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            // Checkpoints of two connections at once can damage the file (SQLite before 3.51.3): only the owner makes them, by hand.
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            try db.execute(sql: "PRAGMA foreign_keys = ON")
        }
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Refuses what is not ours before anything is written to it.
    private static func prepare(_ database: DatabaseQueue, _ path: String) throws {
        try database.writeWithoutTransaction { db in
            try check(db, path, isExact: false)
            let tables = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
            if tables > 0, let report = try String.fetchOne(db, sql: "PRAGMA quick_check(1)"), report != "ok" {
                throw damaged(path, report)
            }
            // The quick one looks neither at the order of keys nor at indexes, one of which may be lying where a table was: and a row that is
            // not found would be made again.
            for table in ["identity", "change_log", "dead_letter"] where try db.tableExists(table) {
                if let report = try String.fetchOne(db, sql: "PRAGMA integrity_check('\(table)')"), report != "ok" {
                    throw damaged(path, report)
                }
            }
            try db.execute(sql: "PRAGMA journal_mode = WAL")
            // After WAL is on: an acknowledged write must survive a loss of power.
            try db.execute(sql: "PRAGMA synchronous = FULL")
        }
    }

    /// - Parameter isExact: a file of an earlier version is refused too, for one who may not bring it up.
    private static func check(_ db: Database, _ path: String, isExact: Bool) throws {
        let application = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        let tables = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
        if tables > 0, application != applicationID {
            throw StateError(.foreign, "\(path): an SQLite database, but not an mlmirror state file. Name another file with --state.")
        }
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        if version < 0 || tables > 0 && version == 0 { throw damaged(path, "its schema version is \(version)") }
        if version > schemaVersion {
            throw StateError(
                .newerSchema,
                "\(path): written by a later version of mlmirror (schema \(version), this one knows \(schemaVersion)). "
                    + "Use that version, or another state file.")
        }
        if isExact, version < schemaVersion {
            throw StateError(
                .newerSchema, "\(path): written by an earlier version of mlmirror, which still owns it; restart its service first.")
        }
    }

    private static func damaged(_ path: String, _ report: String) -> StateError {
        StateError(
            .damaged,
            "\(path): damaged (\(report)). Move it away and run `mlmirror backfill` with a new file: what is on the secondary is found "
                + "again by its stamps, nothing is copied twice.")
    }

    private static func explain(_ error: DatabaseError, _ path: String) -> StateError {
        switch error.resultCode {
        case .SQLITE_FULL: StateError(.full, "\(path): no space left on its disk. Nothing was lost; free space and run again.")
        case .SQLITE_CORRUPT: damaged(path, error.message ?? "SQLite says: malformed")
        case .SQLITE_NOTADB:
            StateError(.foreign, "\(path): not an SQLite database, so not an mlmirror state file. Name another file with --state.")
        case .SQLITE_BUSY, .SQLITE_LOCKED: StateError(.locked, "\(path): in use by another program (\(error.message ?? "locked")).")
        case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_IOERR:
            StateError(
                .unwritable,
                "\(path): cannot be written (\(error.message ?? "input/output error")). Check the folder, its owner and its disk.")
        default: StateError(.unwritable, "\(path): \(error.description)")
        }
    }
}
