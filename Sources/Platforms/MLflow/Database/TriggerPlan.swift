import GRDB
import Replication

/// The text of every object that captures changes, for the tables as they are.
///
/// The change table has one row a thing, which moves to a new number when the thing changes again: it is bounded by the number of things,
/// however long nobody reads. A new number is the highest one plus one, so the highest row is never deleted. Triggers name no other table of
/// MLflow than their own (a migration that rebuilds tables would fail on a trigger that does), and use upserts, which a statement's own
/// `OR IGNORE` does not touch, as it would `OR REPLACE`.
struct TriggerPlan: Sendable {
    static let version: Int64 = 1
    static let feedTable = "mlmirror_feed"
    static let changeTable = "mlmirror_change"
    /// A kind that only the change table knows: an input, whose run is looked up by the reader.
    static let inputKind = "input"

    static let tableTexts = [
        feedTable:
            "CREATE TABLE mlmirror_feed (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER, epoch TEXT, released INTEGER)",
        changeTable:
            "CREATE TABLE mlmirror_change (seq INTEGER PRIMARY KEY, kind TEXT, id TEXT, metric TEXT, since INTEGER, extent INTEGER, "
            + "UNIQUE (id, metric, kind))",
    ]

    /// By name.
    var triggers: [String: String] = [:]
    var alembicVersion: String

    /// Columns that change whenever anything else does, and mean nothing alone.
    private static let bookkeeping: Set<String> = ["last_update_time", "last_updated_time", "last_updated_timestamp_ms"]

    /// - Throws: `FeedError` where the schema lacks what must be there.
    init(_ db: Database, _ path: String) throws {
        alembicVersion = try String.fetchOne(db, sql: "SELECT version_num FROM alembic_version") ?? "none"
        for table in CapturedTable.all {
            let columns = try String.fetchAll(db, sql: "SELECT name FROM pragma_table_info(?) ORDER BY cid", arguments: [table.name])
            if columns.isEmpty, table.isOptional { continue }
            let missing =
                columns.isEmpty ? "table \(table.name)" : table.columns.first { !columns.contains($0) }.map { "\(table.name).\($0)" }
            if let missing {
                throw FeedError(
                    "\(path): its schema is newer than known (revision \(alembicVersion)), or too old: there is no \(missing). Use feed: poll"
                )
            }
            for operation in Operation.allCases {
                let name = "mlmirror_\(table.name)_\(operation.rawValue)"
                triggers[name] = Self.trigger(name, table, operation, columns)
            }
        }
    }

    enum Operation: String, CaseIterable { case insert, update, delete }

    private static func trigger(_ name: String, _ table: CapturedTable, _ operation: Operation, _ columns: [String]) -> String {
        var text = "CREATE TRIGGER \(name) AFTER \(operation.rawValue.uppercased()) ON \(table.name)"
        if operation == .update {
            let compared = columns.filter { !bookkeeping.contains($0) }.map(quoted)
            text += " WHEN " + compared.map { "OLD.\($0) IS NOT NEW.\($0)" }.joined(separator: " OR ")
        }
        return text + " BEGIN " + table.captures(operation).map { $0.statement + "; " }.joined() + "END"
    }

    private static func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }
}

/// One upsert into the change table.
struct Capture: Sendable {
    var kind: String
    /// An expression over the row.
    var id: String
    var metric = "''"
    var since = "NULL"
    var extent = Extent.whole
    /// Only rows for which this holds.
    var condition = "true"

    init(_ kind: EntityKey.Kind, _ id: String, _ extent: Extent = .whole, if condition: String = "true") {
        self.kind = kind.rawValue
        self.id = id
        self.extent = extent
        self.condition = condition
    }

    var statement: String {
        let row = "'\(kind)', \(id), \(metric), \(since), \(extent.rawValue)"
        // The plain form for metrics, whose trigger runs most often.
        let source = condition == "true" ? "VALUES (\(row))" : "SELECT \(row) WHERE \(condition)"
        return "INSERT INTO mlmirror_change (kind, id, metric, since, extent) \(source) ON CONFLICT (id, metric, kind) DO UPDATE SET "
            + "seq = (SELECT max(seq) + 1 FROM mlmirror_change), since = min(since, excluded.since), extent = min(extent, excluded.extent)"
    }
}
