import GRDB
public import Replication

extension MLflowDatabase {
    /// Most points that are handed on at a time.
    static let pointPage = 500
    /// Most rows that one transaction looks at. The index has the runs below timestamp and step, so rows of others lie between.
    static let scannedRows = 1000

    /// A page goes along the primary key's index, which holds all columns; rows are never found by their rowid.
    enum PointQuery {
        static let first = """
            SELECT timestamp, step, value, is_nan, run_uuid = :run, run_uuid FROM metrics \
            WHERE key = :key AND timestamp >= :timestamp \
            ORDER BY timestamp, step, run_uuid, value, is_nan LIMIT \(scannedRows)
            """
        static let next = """
            SELECT timestamp, step, value, is_nan, run_uuid = :run, run_uuid FROM metrics \
            WHERE key = :key AND (timestamp, step, run_uuid, value, is_nan) > (:timestamp, :step, :lastRun, :value, :nan) \
            ORDER BY timestamp, step, run_uuid, value, is_nan LIMIT \(scannedRows)
            """
    }

    /// The last row that was looked at.
    private struct Place: Sendable {
        var timestamp: Int64
        var step: Int64
        var run: String
        var value: Double
        var nan: Int64
    }

    private struct Page: Sendable {
        var points: [MetricPoint] = []
        var place: Place?
    }

    /// The points of a metric that are not older than `timestamp` (milliseconds since 1970), by timestamp, step and value, at most 500 at
    /// a time. Each page is a transaction of its own: points that are written meanwhile may be among them or not.
    ///
    /// - Throws: `StoreError`, `CancellationError`, what `receive` throws.
    public func points(
        of run: RunID, metric: String, since timestamp: Int64, _ receive: ([MetricPoint]) async throws -> Void
    ) async throws {
        var place: Place?
        repeat {
            try Task.checkCancellation()
            let start = place
            let page = try await read { db, _ in try Self.page(db, run: run.rawValue, metric, timestamp, after: start) }
            if !page.points.isEmpty { try await receive(page.points) }
            place = page.place
        } while place != nil
    }

    private static func page(_ db: Database, run: String, _ metric: String, _ timestamp: Int64, after place: Place?) throws -> Page {
        var arguments: StatementArguments = ["run": run, "key": metric, "timestamp": place?.timestamp ?? timestamp]
        if let place { arguments += ["step": place.step, "lastRun": place.run, "value": place.value, "nan": place.nan] }
        let statement = try db.cachedStatement(sql: place == nil ? PointQuery.first : PointQuery.next)
        let rows = try Row.fetchCursor(statement, arguments: arguments)
        var page = Page()
        var scanned = 0
        while let row = try rows.next() {
            scanned += 1
            let isOurs: Bool = row[4]
            let nan: Int64 = isOurs || scanned == scannedRows ? row[3] : 0
            if isOurs { page.points.append(MetricPoint(value: nan != 0 ? .nan : row[2], timestamp: row[0], step: row[1])) }
            guard page.points.count < pointPage, scanned < scannedRows else {
                page.place = Place(timestamp: row[0], step: row[1], run: row[5], value: row[2], nan: row[3])
                break
            }
        }
        return page
    }
}
