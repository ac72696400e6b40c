import Dispatch
import GRDB
import Glibc
public import Replication

/// The SQLite file behind an MLflow server, read beside it.
///
/// MLflow keeps SQLite's rollback journal, where a reader holds up the writer's commit: every read is one short transaction. Nothing here
/// writes, nor changes how the file is kept.
public final class MLflowDatabase: Sendable {
    public let uri: DatabaseURI
    private let opened: Locked<Opened>
    private let busySeconds: Double

    /// A connection, and the file it is to.
    private struct Opened {
        var queue: DatabaseQueue
        var file: FileID
        var number = 1
    }

    /// Equal as long as no other connection has committed.
    struct Mark: Sendable, Hashable {
        var connection: Int
        var version: Int64
    }

    /// - Throws: `FeedError` for what is no MLflow database, `StoreError` for one that cannot be read now.
    public convenience init(_ uri: DatabaseURI) throws { try self.init(uri, busySeconds: 0.005) }

    /// - Parameter busySeconds: how long a thread waits for a writer's commit. `read` waits longer without one.
    init(_ uri: DatabaseURI, busySeconds: Double) throws {
        self.uri = uri
        self.busySeconds = busySeconds
        let file = try Self.existing(uri)
        opened = Locked(Opened(queue: try Self.connect(uri, busySeconds), file: file))
    }

    /// Later calls fail.
    public func close() { try? opened.withLock { try $0.queue.close() } }

    /// The row of the experiment is this one: so it is the database of the server that showed the experiment.
    ///
    /// - Throws: `StoreError`, `CancellationError`.
    public func holds(_ experiment: Experiment) async throws -> Bool {
        guard let id = Int64(experiment.id.rawValue) else { return false }
        return try await read { db, _ in
            let sql = "SELECT creation_time, artifact_location FROM experiments WHERE experiment_id = ?"
            guard let row = try Row.fetchOne(db, sql: sql, arguments: [id]) else { return false }
            return row[0] == experiment.creationTime && (row[1] ?? "") == experiment.artifactLocation
        }
    }

    /// What to say where it does not.
    func isNotBehind(_ server: String, _ shown: Experiment) -> String {
        "\(uri.path): not the database behind \(server): experiment \(shown.id) is another one there; name the file of that server's "
            + "--backend-store-uri"
    }

    // MARK: Transactions

    /// One read transaction, which must stay in the range of milliseconds.
    func read<R: Sendable>(_ body: @escaping @Sendable (Database, Mark) throws -> R) async throws -> R {
        var tries = 0
        while true {
            let (queue, number) = try current()
            do {
                return try Self.readHere(queue, number, body)
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && tries < Self.mostTries {
                // A writer is at its commit. What waits is a task, not a thread.
                tries += 1
                try await Task.sleep(for: .milliseconds(2))
            } catch let error as DatabaseError {
                throw SQLiteFailure.explain(error, uri.path)
            }
        }
    }
    private static let mostTries = 2000

    /// On this thread: two changes of threads would take longer than the transaction.
    private static func readHere<R>(_ queue: DatabaseQueue, _ number: Int, _ body: (Database, Mark) throws -> R) throws -> R {
        try queue.read { db in
            let version = try Int64.fetchOne(db.cachedStatement(sql: "PRAGMA data_version")) ?? 0
            return try body(db, Mark(connection: number, version: version))
        }
    }

    /// As `read`, where nobody waits for anything else.
    func readNow<R>(_ body: (Database) throws -> R) throws -> R {
        let queue = try current().0
        return try SQLiteFailure.explaining(uri.path) { try queue.read(body) }
    }

    /// The connection, made anew where another file has taken the place of the one it was to.
    private func current() throws -> (DatabaseQueue, Int) {
        let file: FileID
        do {
            file = try Self.existing(uri)
        } catch {
            // It was there before: someone may be putting another in its place.
            throw StoreError(.retry(after: nil), .unreachable, "\(error)")
        }
        return try opened.withLock { opened in
            if file != opened.file {
                let queue: DatabaseQueue
                do { queue = try Self.connect(uri, busySeconds) } catch let error as FeedError {
                    // It may not be whole yet.
                    throw StoreError(.retry(after: nil), .unreachable, "\(error)")
                }
                try? opened.queue.close()
                opened = Opened(queue: queue, file: file, number: opened.number + 1)
            }
            return (opened.queue, opened.number)
        }
    }

    // MARK: Opening

    private struct FileID: Equatable {
        var device: dev_t
        var inode: ino_t
    }

    /// Never by opening the file: closing it again would drop the locks that this process has on it.
    private static func existing(_ uri: DatabaseURI) throws -> FileID {
        var status = stat()
        guard stat(uri.path, &status) == 0 else {
            let reason = String(cString: strerror(errno))
            throw FeedError("\(uri.path): no database there (\(reason)); name the file of MLflow's --backend-store-uri")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FeedError("\(uri.path): not a file; name the file of MLflow's --backend-store-uri")
        }
        return FileID(device: status.st_dev, inode: status.st_ino)
    }

    private static func connect(_ uri: DatabaseURI, _ busySeconds: Double) throws -> DatabaseQueue {
        _ = try existing(uri)
        guard access(uri.path, R_OK) == 0 else {
            throw FeedError("\(uri.path): cannot be read (\(String(cString: strerror(errno)))); run as the user that owns the file")
        }
        var tries = 0
        do {
            while true {
                do {
                    let queue = try DatabaseQueue(path: uri.path, configuration: configuration(isReadOnly: true, busySeconds: busySeconds))
                    try queue.read { try requireMLflow($0, uri) }
                    return queue
                } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && tries < mostTries {
                    // Whoever opens it waits for a commit; whoever reads it later does so without holding a thread.
                    tries += 1
                    usleep(2000)
                }
            }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB {
            throw FeedError("\(uri.path): no SQLite database; name the file of MLflow's --backend-store-uri")
        } catch let error as DatabaseError {
            throw SQLiteFailure.explain(error, uri.path)
        }
    }

    static func configuration(isReadOnly: Bool, busySeconds: Double = 5) -> Configuration {
        var configuration = Configuration()
        configuration.readonly = isReadOnly
        configuration.qos = .default
        configuration.label = "mlmirror.mlflow"
        configuration.busyMode = .timeout(busySeconds)
        return configuration
    }

    /// A connection that may write, for the length of `body`.
    static func withWriter<R>(_ uri: DatabaseURI, busySeconds: Double = 5, _ body: (DatabaseQueue) throws -> R) throws -> R {
        _ = try existing(uri)
        let path = uri.path
        let folder = path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) : "."
        // SQLite would open what it may not write for reading, and a journal needs the folder.
        guard access(path, W_OK) == 0, access(folder.isEmpty ? "/" : folder, W_OK) == 0 else {
            throw FeedError(SQLiteFailure.unwritable(path))
        }
        return try SQLiteFailure.explaining(path) {
            let queue = try DatabaseQueue(path: path, configuration: configuration(isReadOnly: false, busySeconds: busySeconds))
            defer { try? queue.close() }
            return try body(queue)
        }
    }

    static func requireMLflow(_ db: Database, _ uri: DatabaseURI) throws {
        let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('runs', 'metrics', 'alembic_version')"
        guard try Int.fetchOne(db, sql: sql) == 3 else {
            throw FeedError("\(uri.path): an SQLite database, but without MLflow's tables; name the file of MLflow's --backend-store-uri")
        }
    }
}
