import GRDB

extension ReplicationState {
    /// "mlmr" in SQLite's header: tells our files from anyone else's.
    static let applicationID: Int32 = 0x6d6c_6d72
    /// Each step leads from the version before it to its own; a file of an earlier version is brought up when it is opened.
    private static let steps: [@Sendable (Database) throws -> Void] = [
        createFirstSchema, addLiveReplication, addHeldChanges, addProgress, addResolutions, numberDeadLetters, tellIndexFromTable, addModes,
        countBacklogAsItIsWritten, addFileTags,
    ]
    static var schemaVersion: Int { steps.count }

    static func migrate(_ db: Database) throws {
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        for step in steps.dropFirst(version) { try step(db) }
        try db.execute(sql: "PRAGMA application_id = \(applicationID)")
        try db.execute(sql: "PRAGMA user_version = \(schemaVersion)")
    }

    private static func createFirstSchema(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE pair (
                    id INTEGER PRIMARY KEY CHECK (id = 1),
                    name TEXT,
                    primary_identity TEXT,
                    secondary_identity TEXT,
                    -- Counts the owners this file has had; a commit of an earlier owner is refused.
                    generation INTEGER NOT NULL DEFAULT 0,
                    -- Whether what bears our stamp on the secondary has been looked up since the file was made.
                    adopted INTEGER NOT NULL DEFAULT 0 CHECK (adopted IN (0, 1))
                ) STRICT;
                INSERT INTO pair (id) VALUES (1);

                CREATE TABLE position (
                    id INTEGER PRIMARY KEY CHECK (id = 1),
                    head INTEGER NOT NULL,
                    checkpoint INTEGER NOT NULL,
                    CHECK (checkpoint <= head)
                ) STRICT;
                INSERT INTO position VALUES (1, 0, 0);

                -- What has changed on the primary and is not finished on the secondary: keys only, one row a key.
                CREATE TABLE change_log (
                    lsn INTEGER PRIMARY KEY,
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    -- The newest change of this key: what was read before it does not finish the row.
                    latest INTEGER NOT NULL,
                    UNIQUE (kind, id),
                    CHECK (latest >= lsn)
                ) STRICT;

                CREATE TABLE feed (
                    name TEXT PRIMARY KEY,
                    cursor TEXT NOT NULL
                ) STRICT, WITHOUT ROWID;

                CREATE TABLE identity (
                    kind TEXT NOT NULL,
                    primary_id TEXT NOT NULL,
                    secondary_id TEXT NOT NULL,
                    -- The secondary's artifact root.
                    root TEXT,
                    -- Of the primary's record when it was last finished; null until then.
                    record BLOB,
                    -- Whether that record says that nothing more is to be expected (a run that has ended).
                    settled INTEGER NOT NULL DEFAULT 0,
                    base BLOB,
                    PRIMARY KEY (kind, primary_id)
                ) STRICT, WITHOUT ROWID;
                CREATE INDEX identity_by_secondary ON identity (kind, secondary_id);

                CREATE TABLE artifact (
                    owner_kind TEXT NOT NULL,
                    owner TEXT NOT NULL,
                    path TEXT NOT NULL,
                    size INTEGER NOT NULL,
                    sha256 BLOB NOT NULL,
                    -- Whether the owner had ended when the bytes were read.
                    settled INTEGER NOT NULL,
                    PRIMARY KEY (owner_kind, owner, path)
                ) STRICT, WITHOUT ROWID;

                -- A write that must not be repeated blindly was about to be sent.
                CREATE TABLE intent (
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    operation TEXT NOT NULL,
                    PRIMARY KEY (kind, id, operation)
                ) STRICT, WITHOUT ROWID;

                CREATE TABLE dead_letter (
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    -- One file of an owner of files; empty for the entity itself.
                    path TEXT NOT NULL DEFAULT '',
                    reason TEXT NOT NULL,
                    message TEXT NOT NULL,
                    at INTEGER NOT NULL,
                    PRIMARY KEY (kind, id, path)
                ) STRICT, WITHOUT ROWID;

                CREATE TABLE conflict (
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    field TEXT NOT NULL,
                    decision TEXT NOT NULL,
                    detail TEXT NOT NULL,
                    at INTEGER NOT NULL,
                    PRIMARY KEY (kind, id, field)
                ) STRICT, WITHOUT ROWID;
                """)
    }

    private static func addLiveReplication(_ db: Database) throws {
        try db.execute(
            sql: """
                -- The newest change that concerns the whole thing, and the newest that concerns more than histories; 0: none. What is older
                -- than a reading is done with that reading.
                ALTER TABLE change_log ADD COLUMN whole_at INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE change_log ADD COLUMN record_at INTEGER NOT NULL DEFAULT 0;
                -- Since when it waits: milliseconds since 1970.
                ALTER TABLE change_log ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
                UPDATE change_log SET whole_at = latest;

                -- Histories of a waiting run that have grown, and from which timestamp on.
                CREATE TABLE changed_series (
                    run TEXT NOT NULL,
                    metric TEXT NOT NULL,
                    since INTEGER NOT NULL,
                    latest INTEGER NOT NULL,
                    PRIMARY KEY (run, metric)
                ) STRICT, WITHOUT ROWID;

                -- What people asked for, and what must outlive a process: pauses, a reconciliation that is not finished.
                CREATE TABLE control (
                    name TEXT PRIMARY KEY,
                    value TEXT NOT NULL
                ) STRICT, WITHOUT ROWID;

                -- What other processes ask of the owner.
                CREATE TABLE request (
                    id INTEGER PRIMARY KEY,
                    what TEXT NOT NULL,
                    argument TEXT NOT NULL,
                    -- waiting, running, done, refused
                    state TEXT NOT NULL DEFAULT 'waiting',
                    message TEXT NOT NULL DEFAULT '',
                    at INTEGER NOT NULL
                ) STRICT;

                -- Files leave no trace where changes are seen: whose are listed again, when, and until when.
                CREATE TABLE file_watch (
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    next_at INTEGER NOT NULL,
                    -- Milliseconds between two listings; grows while nothing is found.
                    pause INTEGER NOT NULL,
                    -- Null while the owner is active.
                    until INTEGER,
                    PRIMARY KEY (kind, id)
                ) STRICT, WITHOUT ROWID;
                CREATE INDEX file_watch_by_time ON file_watch (next_at);
                """)
    }

    private static func addHeldChanges(_ db: Database) throws {
        try db.execute(
            sql: """
                -- Whether it lies in a scope that people have paused: then nobody takes it.
                ALTER TABLE change_log ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));
                -- They come last: whether there is one is asked all the time.
                CREATE INDEX change_log_deletions ON change_log (lsn) WHERE kind = 'experiment_deletion';
                """)
    }

    private static func addProgress(_ db: Database) throws {
        try db.execute(
            sql: """
                -- Counts what was done on the secondary; the lock file has it too, and tells an older copy of this file by it.
                ALTER TABLE pair ADD COLUMN progress INTEGER NOT NULL DEFAULT 0;
                """)
    }

    private static func addResolutions(_ db: Database) throws {
        try db.execute(
            sql: """
                -- Which of the rules it is about.
                ALTER TABLE conflict ADD COLUMN rule TEXT NOT NULL DEFAULT 'tag';
                UPDATE conflict SET rule = CASE
                    WHEN field = 'name' AND decision IN ('adopt', 'rename') THEN 'name_taken'
                    WHEN field = 'name' AND kind = 'experiment' THEN 'experiment_name'
                    WHEN field = 'name' THEN 'run_name'
                    WHEN field = 'lifecycle' THEN 'deleted_on_secondary'
                    WHEN field IN ('status', 'end_time') THEN 'run_status'
                    WHEN field LIKE 'param:%' THEN 'param'
                    WHEN field LIKE 'alias:%' THEN 'alias'
                    WHEN field LIKE 'version:%' THEN 'version_number'
                    WHEN field = 'description' OR field LIKE 'v%:description' AND field NOT LIKE '%tag:%' THEN 'description'
                    WHEN field LIKE 'v%:stage' AND field NOT LIKE '%tag:%' THEN 'stage'
                    ELSE 'tag' END;

                -- What people have decided for one field of one thing, whatever the rules say.
                CREATE TABLE resolution (
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    field TEXT NOT NULL,
                    decision TEXT NOT NULL,
                    at INTEGER NOT NULL,
                    -- Whether the owner has put the thing into the log since.
                    queued INTEGER NOT NULL DEFAULT 0 CHECK (queued IN (0, 1)),
                    PRIMARY KEY (kind, id, field)
                ) STRICT, WITHOUT ROWID;
                """)
    }

    private static func addModes(_ db: Database) throws {
        try db.execute(
            sql: """
                -- What changed on the primary after it was switched to azureml-only.
                CREATE TABLE straggler (
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    first_at INTEGER NOT NULL,
                    last_at INTEGER NOT NULL,
                    changes INTEGER NOT NULL,
                    PRIMARY KEY (kind, id)
                ) STRICT, WITHOUT ROWID;

                -- What we have deleted on the primary because it is proven to be on the secondary: that deletion never goes there.
                CREATE TABLE retired (
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    at INTEGER NOT NULL,
                    PRIMARY KEY (kind, id)
                ) STRICT, WITHOUT ROWID;
                """)
    }

    private static func addFileTags(_ db: Database) throws {
        try db.execute(
            sql: """
                -- What the primary's storage calls the bytes that nobody here has seen: then their digest is empty.
                ALTER TABLE artifact ADD COLUMN tag TEXT;
                """)
    }

    private static func numberDeadLetters(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE numbered_letter (
                    -- What people call it by; never given twice.
                    number INTEGER PRIMARY KEY AUTOINCREMENT,
                    kind TEXT NOT NULL,
                    id TEXT NOT NULL,
                    -- One file, field or version of it; empty for the entity itself.
                    path TEXT NOT NULL DEFAULT '',
                    reason TEXT NOT NULL,
                    message TEXT NOT NULL,
                    -- Method and path; status, code and words: where a store refused it.
                    request TEXT,
                    answer TEXT,
                    -- Milliseconds since 1970.
                    first_at INTEGER NOT NULL,
                    last_at INTEGER NOT NULL,
                    tries INTEGER NOT NULL DEFAULT 1,
                    -- Of what was to be copied, where that is known.
                    record BLOB,
                    -- Left out by decision since then; milliseconds since 1970.
                    discarded_at INTEGER,
                    -- It is being tried again, and goes when that ends without it.
                    in_question INTEGER NOT NULL DEFAULT 0 CHECK (in_question IN (0, 1)),
                    UNIQUE (kind, id, path)
                ) STRICT;
                INSERT INTO numbered_letter (kind, id, path, reason, message, first_at, last_at)
                    SELECT kind, id, path, reason, message, at, at FROM dead_letter ORDER BY at, kind, id, path;
                DROP TABLE dead_letter;
                ALTER TABLE numbered_letter RENAME TO dead_letter;
                """)
    }

    /// With the columns in the table's own order, the index could lie where the table was and be taken for it.
    private static func tellIndexFromTable(_ db: Database) throws {
        try db.execute(
            sql: """
                DROP INDEX identity_by_secondary;
                CREATE INDEX identity_by_secondary ON identity (secondary_id, kind);
                """)
    }

    /// What is in an older copy of a state file is not to be trusted: with it, what was made since would be made again.
    static func forgetAll(_ db: Database) throws {
        for table in ["change_log", "changed_series", "identity", "artifact", "intent", "feed", "file_watch", "dead_letter"] {
            try db.execute(sql: "DELETE FROM \(table)")
        }
        try db.execute(sql: "UPDATE pair SET adopted = 0")
        // What was said to it then may have been taken back since.
        try setControl(.dualAsked, nil, db)
    }
}
