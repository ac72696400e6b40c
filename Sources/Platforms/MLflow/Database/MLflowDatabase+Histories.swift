import GRDB
public import Replication

extension MLflowDatabase {
    /// Most rows of one transaction: about a millisecond, and more where the processors are busy.
    static let historyPage = 500

    /// Along the index of runs, whose entries are ordered by rowid.
    static let historyQuery = """
        SELECT rowid, key, timestamp, step, value, is_nan FROM metrics WHERE run_uuid = ? AND rowid > ? ORDER BY rowid LIMIT \(historyPage)
        """

    /// While it is the same, a row keeps its rowid: only VACUUM gives out others, and it counts the schema's version up.
    struct Numbering: Sendable, Equatable {
        var connection: Int
        var schema: Int64
    }

    struct Rows: Sendable {
        struct Entry: Sendable {
            var metric: String
            var point: MetricPoint
        }
        var numbering: Numbering
        var entries: [Entry] = []
        var scanned = 0
        var last: Int64 = 0
    }

    /// All histories of a run at once, each by timestamp, step and value. Points that are written meanwhile may be among them or not.
    ///
    /// - Returns: nil when the run has more points than `limit`, or when they cannot be read like this.
    /// - Throws: `StoreError`, `CancellationError`.
    public func histories(of run: RunID, limit: Int) async throws -> [FieldDigest: [MetricPoint]]? {
        var found: [FieldDigest: [MetricPoint]] = [:]
        var count = 0
        let isWhole = try await forEachPage(of: run, metric: nil) { page in
            count += page.entries.count
            guard count <= limit else { return false }
            for entry in page.entries { found[FieldDigest(entry.metric), default: []].append(entry.point) }
            return true
        }
        return isWhole ? found.mapValues(\.inHistoryOrder) : nil
    }

    /// One history of a run, likewise.
    ///
    /// - Returns: nil when it has more points than `limit`, or so few among the run's others that reading those is not worth it.
    func history(of run: RunID, metric: String, limit: Int) async throws -> [MetricPoint]? {
        var points: [MetricPoint] = []
        var scanned = 0
        let isWhole = try await forEachPage(of: run, metric: metric) { page in
            points += page.entries.lazy.map(\.point)
            scanned += page.scanned
            return points.count <= limit && (scanned < 50_000 || points.count > scanned / 16)
        }
        return isWhole ? points.inHistoryOrder : nil
    }

    /// - Returns: whether everything was read.
    func forEachPage(of run: RunID, metric: String?, _ take: (Rows) throws -> Bool) async throws -> Bool {
        var numbering: Numbering?
        var place: Int64 = .min
        while true {
            try Task.checkCancellation()
            let start = place
            let rows = try await read { db, mark in
                let schema = try Int64.fetchOne(db.cachedStatement(sql: "PRAGMA schema_version")) ?? 0
                let numbering = Numbering(connection: mark.connection, schema: schema)
                guard try start > .min || Self.canFindRuns(db) else { return nil as Rows? }
                return try Self.rows(db, of: run.rawValue, metric, after: start, numbering)
            }
            guard let rows, numbering == nil || rows.numbering == numbering, try take(rows) else { return false }
            guard rows.scanned == Self.historyPage else { return true }
            numbering = rows.numbering
            place = rows.last
        }
    }

    private static func rows(
        _ db: Database, of run: String, _ metric: String?, after place: Int64, _ numbering: Numbering
    ) throws -> Rows {
        var rows = Rows(numbering: numbering)
        let cursor = try Row.fetchCursor(db.cachedStatement(sql: historyQuery), arguments: [run, place])
        while let row = try cursor.next() {
            rows.scanned += 1
            rows.last = row[0]
            let key: String = row[1]
            guard metric == nil || key == metric else { continue }
            let isNaN: Bool = row[5]
            rows.entries.append(
                Rows.Entry(metric: key, point: MetricPoint(value: isNaN ? .nan : row[4], timestamp: row[2], step: row[3])))
        }
        return rows
    }

    /// Without an index of runs every page would read the whole table.
    private static func canFindRuns(_ db: Database) throws -> Bool {
        let sql = """
            SELECT EXISTS (SELECT 1 FROM pragma_index_list('metrics') AS list, pragma_index_info(list.name) AS info
            WHERE list.partial = 0 AND info.seqno = 0 AND info.name = 'run_uuid')
            """
        return try Bool.fetchOne(db.cachedStatement(sql: sql)) ?? false
    }
}
