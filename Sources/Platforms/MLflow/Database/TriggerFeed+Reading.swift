import GRDB
import Replication

extension TriggerFeed {
    /// What follows a cursor, when nothing of that is gone.
    static func changes(_ db: Database, after cursor: FeedCursor, now: FeedCursor, _ path: String) throws -> FeedReading {
        guard now.epoch == cursor.epoch else { throw FeedBreak("\(path): the triggers were installed anew since the last reading") }
        guard now.seq >= cursor.seq, now.released >= cursor.released else {
            throw FeedBreak("\(path): an older copy of the database was restored since the last reading")
        }
        guard now.released <= cursor.seq else {
            throw FeedBreak("\(path): changes after the last reading were already forgotten; is another mirror reading this database?")
        }
        let sql = "SELECT seq, kind, id, metric, since, extent FROM mlmirror_change WHERE seq > ? ORDER BY seq LIMIT ?"
        let rows = try Row.fetchCursor(db.cachedStatement(sql: sql), arguments: [cursor.seq, rowLimit])
        var merged = MergedChanges()
        var last = cursor.seq
        while let row = try rows.next() {
            last = row[0]
            let (kind, id): (String, String?) = (row[1], row[2])
            guard let key = try key(db, kind, id) else { continue }
            merged.add(key, Extent(rawValue: row[5]) ?? .whole, metric: row[3] ?? "", since: row[4])
        }
        let next = FeedCursor(epoch: now.epoch, seq: last, released: now.released)
        return FeedReading(changes: merged.changes, cursor: next.text, hasMore: last < now.seq)
    }

    private static func key(_ db: Database, _ kind: String, _ id: String?) throws -> EntityKey? {
        guard let id else { return nil }
        guard kind == TriggerPlan.inputKind else { return EntityKey.Kind(rawValue: kind).map { EntityKey($0, id) } }
        let sql = """
            SELECT CASE WHEN destination_type = 'RUN' THEN destination_id ELSE source_id END FROM inputs \
            WHERE input_uuid = ? AND (destination_type = 'RUN' OR source_type IN ('RUN_INPUT', 'RUN_OUTPUT'))
            """
        // An input without a row left is nobody's; its deletion was a change of its own.
        return try String.fetchOne(db.cachedStatement(sql: sql), arguments: [id]).map { EntityKey(.run, $0) }
    }
}

/// Rows of the change table as changes, one a thing, in the order in which things first came.
private struct MergedChanges {
    private(set) var changes: [Change] = []
    private var places: [EntityKey: Int] = [:]

    mutating func add(_ key: EntityKey, _ extent: Extent, metric: String, since: Int64?) {
        let place = places[key] ?? changes.count
        if place == changes.count {
            places[key] = place
            changes.append(Change(key, extent))
        }
        changes[place].extent = min(changes[place].extent, extent)
        guard extent == .points, let since else { return }
        let name = ExactName(metric)
        changes[place].series[name] = min(changes[place].series[name] ?? since, since)
    }
}

/// Deletes rows that were taken over.
struct ChangeTrim: Sendable {
    var database: MLflowDatabase
    /// Rows of one transaction, and transactions of one call.
    static let chunk = 2000
    static let chunks = 20

    /// - Throws: `CancellationError` only: a database that cannot be written now is trimmed another time.
    func trim(upTo cursor: FeedCursor) async throws {
        do {
            // Asked over the reading connection first, so that nothing is locked for nothing.
            let sql = "SELECT EXISTS (SELECT 1 FROM mlmirror_change WHERE seq <= ? AND seq < (SELECT max(seq) FROM mlmirror_change))"
            guard try await database.read({ db, _ in try Bool.fetchOne(db, sql: sql, arguments: [cursor.seq]) }) == true else { return }
            try MLflowDatabase.withWriter(database.uri, busySeconds: 0.2) { queue in
                for _ in 0..<Self.chunks {
                    try Task.checkCancellation()
                    guard try deleteChunk(queue, cursor) == Self.chunk else { return }
                }
            }
        } catch let error as CancellationError {
            throw error
        } catch {}
    }

    /// The highest row stays: the next change takes its number plus one.
    private func deleteChunk(_ queue: DatabaseQueue, _ cursor: FeedCursor) throws -> Int {
        var deleted = 0
        try queue.inTransaction(.immediate) { db in
            let mark = "UPDATE mlmirror_feed SET released = max(released, ?) WHERE epoch = ?"
            try db.execute(sql: mark, arguments: [cursor.seq, cursor.epoch])
            // Another epoch's numbers mean other changes.
            guard db.changesCount > 0 else { return .rollback }
            let delete = """
                DELETE FROM mlmirror_change WHERE seq IN (SELECT seq FROM mlmirror_change \
                WHERE seq <= ? AND seq < (SELECT max(seq) FROM mlmirror_change) ORDER BY seq LIMIT \(Self.chunk))
                """
            try db.execute(sql: delete, arguments: [cursor.seq])
            deleted = db.changesCount
            return .commit
        }
        return deleted
    }
}
