import GRDB

/// A word of people's to the daemon, or of the daemon's to itself, that outlives a process.
public enum ControlName: String, Sendable, CaseIterable {
    /// A `Pause`.
    case pause
    /// A `NameScope` as JSON; absent when it is empty.
    case pausedScope = "paused_scope"
    /// Why everything is being compared anew; present until it has been.
    case reconciling
    /// A `Brake` as JSON.
    case brake
    /// A `ModeLedger` as JSON; absent: everything is `dual`.
    case modes
    /// Changes were only named, under a seal.
    case onlyReported = "only_reported"
    /// Seals have ended, and their marks on the secondary are to be taken off; a number that tells one asking from the next.
    case endedSeals = "ended_seals"
    /// What was taken back to `dual` before the secondary was looked through for marks of seals: `NameScope`s as JSON, one a line.
    case dualAsked = "dual_asked"
    /// Unknown fields that were told of, one a line.
    case unknownTold = "unknown_told"
    /// What the primary holds and nobody copies, by kind, as JSON; absent where there is nothing.
    case uncopied
    /// A `FileSweep.Place` as JSON.
    case fileSweep = "file_sweep"
    /// When everything in scope was last compared and found equal: milliseconds since 1970.
    case verifiedAt = "verified_at"
    /// `LiveReport` as JSON: what the daemon knew a moment ago.
    case report
}

/// What another process asks of the owner of the state file.
public struct OwnerRequest: Sendable, Hashable {
    public enum What: String, Sendable {
        /// List the primary and copy what has changed.
        case backfill
        /// Look at one thing again, whole: the argument is `KIND ID`.
        case resync
        /// Try again what was set aside: the argument is an encoded `LetterSelection`.
        case requeue
        /// Leave out what was set aside; likewise.
        case discard
    }
    public enum State: String, Sendable {
        case waiting, running, done, refused
    }
    public var id: Int64
    public var what: What
    public var argument: String
    public var state: State
    public var message: String

    /// What of it is not on the secondary although it is done.
    public struct Remainder: Sendable, Hashable {
        /// Letters of what it was about.
        public var letters = 0
        /// Changes that a pause by name holds.
        public var held = 0

        var message: String { held > 0 ? "\(letters) \(held)" : letters > 0 ? "\(letters)" : "" }
    }

    /// As the answer says.
    public var remainder: Remainder {
        let counts = message.split(separator: " ").map { Int($0) ?? 0 }
        return Remainder(letters: counts.first ?? 0, held: counts.dropFirst().first ?? 0)
    }
}

/// Files leave no trace where changes are seen: they are listed again and again while their owner is active, and for a while after.
public struct FileWatch: Sendable, Hashable {
    public var owner: EntityKey
    /// Milliseconds until the next listing.
    public var pause: Int64
    /// Milliseconds since 1970; nil while the owner is active.
    public var until: Int64?
    public init(_ owner: EntityKey, pause: Int64, until: Int64?) {
        self.owner = owner
        self.pause = pause
        self.until = until
    }
}

extension ReplicationState {
    public func control(_ name: ControlName) throws -> String? {
        try read { try String.fetchOne($0.cachedStatement(sql: "SELECT value FROM control WHERE name = ?"), arguments: [name.rawValue]) }
    }

    public func setControl(_ name: ControlName, _ value: String?) throws {
        try transaction("control") { try Self.setControl(name, value, $0) }
    }

    static func setControl(_ name: ControlName, _ value: String?, _ db: Database) throws {
        if let value {
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO control VALUES (?, ?)").execute(arguments: [name.rawValue, value])
        } else {
            try db.cachedStatement(sql: "DELETE FROM control WHERE name = ?").execute(arguments: [name.rawValue])
        }
    }

    /// - Parameter value: as it was when the work began: another one stays.
    func endControl(_ name: ControlName, _ value: String) throws {
        try transaction("control") { db in
            try db.execute(sql: "DELETE FROM control WHERE name = ? AND value = ?", arguments: [name.rawValue, value])
        }
    }

    /// Anyone may say it; the owner obeys within a second.
    public func setPause(_ pause: Pause) throws {
        try write { try Self.setControl(.pause, pause == .nothing ? nil : pause.rawValue, $0) }
    }

    public var pause: Pause {
        get throws { try control(.pause).flatMap { Pause(rawValue: $0) } ?? .nothing }
    }

    /// Likewise.
    ///
    /// - Parameter change: nil leaves it as it is.
    /// - Returns: what is paused now; nil when nothing was changed.
    public func changePausedScope(_ change: (NameScope) -> NameScope?) throws -> NameScope? {
        try write { db in
            let name = ControlName.pausedScope
            let before = try String.fetchOne(db, sql: "SELECT value FROM control WHERE name = ?", arguments: [name.rawValue])
            guard let after = change(before.flatMap { NameScope(encoded: $0) } ?? .nothing) else { return nil }
            try Self.setControl(name, after.isEmpty ? nil : after.encoded, db)
            return after
        }
    }

    public var pausedScope: NameScope {
        get throws { try control(.pausedScope).flatMap { NameScope(encoded: $0) } ?? .nothing }
    }

    /// From this cursor on the feed is followed, and everything before it is to be compared: both or neither.
    func beginReconciliation(_ cursor: FeedCursor?, why: String) throws {
        try transaction("reconcile") { db in
            if let cursor { try Self.note(cursor, db) }
            try Self.askForReconciliation(why, db)
        }
    }

    /// Each asking has a number of its own, so that the end of one reconciliation does not end another.
    static func askForReconciliation(_ why: String, _ db: Database) throws {
        let number = try Int64.fetchOne(db, sql: "UPDATE position SET head = head + 1 RETURNING head") ?? 0
        try setControl(.reconciling, "\(why)\n\(number)", db)
    }

    /// - Parameter asked: the control row as it was when the reconciliation began; another one stays.
    func endReconciliation(_ asked: String) throws {
        try transaction("reconciled") { db in
            try db.execute(
                sql: "DELETE FROM control WHERE name = ? AND value = ?", arguments: [ControlName.reconciling.rawValue, asked])
            try Self.advanceCheckpoint(db)
        }
    }

    // MARK: Requests

    /// Leaves a request for the owner.
    ///
    /// - Returns: its number, for `request`.
    public func ask(_ what: OwnerRequest.What, _ argument: String = "", at milliseconds: Int64) throws -> Int64 {
        try write { db in
            try db.execute(
                sql: "INSERT INTO request (what, argument, at) VALUES (?, ?, ?)", arguments: [what.rawValue, argument, milliseconds])
            return db.lastInsertedRowID
        }
    }

    public func request(_ id: Int64) throws -> OwnerRequest? {
        try read { db in
            try Row.fetchOne(db, sql: "SELECT id, what, argument, state, message FROM request WHERE id = ?", arguments: [id])
                .flatMap(Self.request)
        }
    }

    public func openRequests() throws -> [OwnerRequest] {
        try read { db in
            try Row.fetchAll(
                db.cachedStatement(
                    sql: "SELECT id, what, argument, state, message FROM request WHERE state IN ('waiting', 'running') ORDER BY id")
            ).compactMap(Self.request)
        }
    }

    static func request(_ row: Row) -> OwnerRequest? {
        guard let what = OwnerRequest.What(rawValue: row[1]), let state = OwnerRequest.State(rawValue: row[3]) else { return nil }
        return OwnerRequest(id: row[0], what: what, argument: row[2], state: state, message: row[4])
    }

    func answer(_ id: Int64, _ state: OwnerRequest.State, _ message: String = "") throws {
        try transaction("request") { db in
            try db.execute(sql: "UPDATE request SET state = ?, message = ? WHERE id = ?", arguments: [state.rawValue, message, id])
            // Answers are for who waits for them; nobody waits for a thousand.
            try db.execute(sql: "DELETE FROM request WHERE state IN ('done', 'refused') AND id < ?", arguments: [id - 1000])
        }
    }

    /// A number that differs from the last one when another process has written to the file.
    func foreignVersion() throws -> Int64 {
        try read { try Int64.fetchOne($0.cachedStatement(sql: "PRAGMA data_version")) ?? 0 }
    }

    // MARK: Whose files are listed again

    static func note(_ watch: FileWatch, at milliseconds: Int64, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO file_watch VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET
                    next_at = min(next_at, excluded.next_at), pause = excluded.pause,
                    until = iif(until IS NULL OR excluded.until IS NULL, excluded.until, max(until, excluded.until))
                """
        ).execute(arguments: [watch.owner.kind.rawValue, watch.owner.id, milliseconds + watch.pause, watch.pause, watch.until])
    }

    /// One that has no end yet.
    func endWatch(_ owner: EntityKey, at milliseconds: Int64) throws {
        try transaction("files") { try Self.endWatch(owner.kind, owner.id, until: milliseconds, $0) }
    }

    static func endWatch(_ kind: EntityKey.Kind, _ id: String, until end: Int64, _ db: Database) throws {
        try db.cachedStatement(sql: "UPDATE file_watch SET until = ? WHERE kind = ? AND id = ? AND until IS NULL")
            .execute(arguments: [end, kind.rawValue, id])
    }

    /// Whether files are due: asked often, so without a write.
    func hasDueFiles(at milliseconds: Int64) throws -> Bool {
        try read { db in
            try Int.fetchOne(
                db.cachedStatement(sql: "SELECT 1 FROM file_watch WHERE next_at <= ? LIMIT 1"), arguments: [milliseconds]) != nil
        }
    }

    /// Queues the files that are due, each with its next time: a quarter further away each time, up to `longest` milliseconds.
    ///
    /// - Returns: how many were queued.
    func queueDueFiles(at milliseconds: Int64, longest: Int64, limit: Int) throws -> Int {
        try transaction("files") { db in
            let rows = try Row.fetchAll(
                db.cachedStatement(sql: "SELECT kind, id, pause, until FROM file_watch WHERE next_at <= ? ORDER BY next_at LIMIT ?"),
                arguments: [milliseconds, limit])
            var changes: [Change] = []
            for row in rows {
                guard let kind = EntityKey.Kind(rawValue: row[0]) else { continue }
                let until: Int64? = row[3]
                let isLast = until.map { $0 <= milliseconds } ?? false
                changes.append(Change(EntityKey(kind, row[1]), isLast ? .whole : .record))
                if isLast {
                    try db.cachedStatement(sql: "DELETE FROM file_watch WHERE kind = ? AND id = ?").execute(arguments: [row[0], row[1]])
                } else {
                    let pause = Swift.min((row[2] as Int64) * 5 / 4, longest)
                    let next = Swift.min(milliseconds + (row[2] as Int64), until ?? .max)
                    try db.cachedStatement(sql: "UPDATE file_watch SET next_at = ?, pause = ? WHERE kind = ? AND id = ?")
                        .execute(arguments: [next, pause, row[0], row[1]])
                }
            }
            _ = try Self.append(changes, at: milliseconds, db)
            return changes.count
        }
    }
}
