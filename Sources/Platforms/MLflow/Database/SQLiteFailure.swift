import GRDB
import Replication

/// Turns SQLite's errors into decisions. Every message names the file.
enum SQLiteFailure {
    static func explain(_ error: DatabaseError, _ path: String) -> StoreError {
        let said = error.message ?? "SQLite error \(error.resultCode.rawValue)"
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return StoreError(
                .retry(after: nil), .unreachable, "\(path): another program has the database locked (\(said)); ask again later")
        case .SQLITE_IOERR, .SQLITE_CANTOPEN, .SQLITE_FULL, .SQLITE_INTERRUPT:
            return StoreError(
                .retry(after: nil), .unreachable,
                "\(path): the database cannot be used now (\(said)); check the file, its folder and its disk")
        case .SQLITE_READONLY where error.extendedResultCode == .SQLITE_READONLY:
            return StoreError(.stop, .forbidden, unwritable(path))
        case .SQLITE_READONLY:
            // What a stopped server left half written must be undone by one that may write.
            return StoreError(
                .retry(after: nil), .unreachable, "\(path): the database waits for its server to recover it (\(said)); start MLflow")
        case .SQLITE_PERM, .SQLITE_AUTH: return StoreError(.stop, .forbidden, "\(path): \(said); run as the user that owns the file")
        case .SQLITE_CORRUPT: return StoreError(.stop, .malformed, "\(path): the database is damaged (\(said)); restore it from a backup")
        case .SQLITE_NOTADB:
            return StoreError(.stop, .malformed, "\(path): no SQLite database; name the file of MLflow's --backend-store-uri")
        default: return StoreError(.stop, .serverFailure, "\(path): \(said)")
        }
    }

    static func unwritable(_ path: String) -> String {
        "\(path): the file or its folder cannot be written; run as the user that owns the file"
    }

    /// `body`, with SQLite's errors explained.
    static func explaining<R>(_ path: String, _ body: () throws -> R) throws -> R {
        do { return try body() } catch let error as DatabaseError { throw explain(error, path) }
    }
}
