import Foundation
import GRDB
import Platforms
import Replication
import TestSupport
import Testing

/// An MLflow database without a server: the tables that matter, with MLflow's columns and indexes.
final class DatabaseFixture: Sendable {
    let folder: TemporaryFolder
    let uri: DatabaseURI
    let writer: DatabaseQueue

    init() throws {
        folder = try TemporaryFolder()
        uri = try DatabaseURI("sqlite:///\(folder.file("mlflow.db"))")
        // Tests leave transactions open, to be in the way.
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        writer = try DatabaseQueue(path: uri.path, configuration: configuration)
        try execute(Self.schema)
    }

    func execute(_ sql: String) throws { try writer.writeWithoutTransaction { try $0.execute(sql: sql) } }

    func point(_ run: String, _ metric: String, _ value: Double, at timestamp: Int64, step: Int64 = 0, isNaN: Bool = false) throws {
        try writer.write {
            try $0.execute(
                sql: "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [metric, value, timestamp, run, step, isNaN])
        }
    }

    /// Everything in the schema whose name is ours.
    func leftovers() throws -> [String] {
        try writer.read { try String.fetchAll($0, sql: "SELECT name FROM sqlite_master WHERE name LIKE '%mlmirror%'") }
    }

    static let metricsTable = """
        CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL,
            step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
            PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
        CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
        """
    private static let schema = """
        CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
        INSERT INTO alembic_version VALUES ('abc');
        CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name, artifact_location, lifecycle_stage, creation_time, last_update_time);
        CREATE TABLE experiment_tags (key, value, experiment_id INTEGER, PRIMARY KEY (key, experiment_id));
        CREATE TABLE runs (run_uuid PRIMARY KEY, name, status, lifecycle_stage, experiment_id INTEGER);
        CREATE TABLE tags (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
        CREATE TABLE params (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
        """ + metricsTable
}

/// Reads a feed from where it stood.
final class FeedReader: Sendable {
    let feed: TriggerFeed
    private let cursor: Locked<String>

    init(_ feed: TriggerFeed) async throws {
        self.feed = feed
        cursor = Locked(try await feed.position())
    }

    var position: String { cursor.withLock { $0 } }

    func changes() async throws -> [Change] {
        let reading = try await feed.read(after: position)
        cursor.withLock { $0 = reading.cursor }
        return reading.changes
    }

    /// What an operation is reported as.
    func keys(_ operation: () async throws -> Void) async throws -> Set<EntityKey> {
        try await operation()
        return Set(try await changes().map(\.key))
    }
}
