"""What the Azure ML emulator keeps by itself: one SQLite file in its directory."""

import secrets
import sqlite3
import threading
import uuid

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS metrics (id INTEGER PRIMARY KEY, run TEXT, key TEXT, value BLOB, timestamp INTEGER, step INTEGER);
CREATE INDEX IF NOT EXISTS metrics_of_run ON metrics (run, key, id);
CREATE TABLE IF NOT EXISTS sources (model TEXT, version TEXT, source TEXT, PRIMARY KEY (model, version));
CREATE TABLE IF NOT EXISTS artifacts (
    origin TEXT, container TEXT, path TEXT, etag TEXT, created TEXT, tags TEXT, PRIMARY KEY (origin, container, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (name TEXT PRIMARY KEY, size INTEGER, md5 TEXT, type TEXT, etag TEXT, modified REAL);
CREATE TABLE IF NOT EXISTS blocks (name TEXT, id TEXT, size INTEGER, PRIMARY KEY (name, id)) WITHOUT ROWID;
"""
SAME_POINT = "run = ? AND key = ? AND step = ? AND timestamp = ? AND value IS ?"


class Store:
    def __init__(self, path):
        self.lock = threading.RLock()
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # The file has to outlive this process, not the machine.
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.executescript(SCHEMA)

    def rows(self, statement, *values):
        with self.lock:
            return self.connection.execute(statement, values).fetchall()

    def row(self, statement, *values):
        with self.lock:
            return self.connection.execute(statement, values).fetchone()

    def change(self, statement, *values):
        """Answers how many rows it changed."""
        with self.lock:
            return self.connection.execute(statement, values).rowcount

    def change_many(self, statement, rows):
        with self.lock:
            self.connection.execute("BEGIN")
            try:
                self.connection.executemany(statement, rows)
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def close(self):
        with self.lock:
            self.connection.close()

    # Settings

    def meta(self, key, make=None):
        """A kept value; made by `make` when it is not there yet."""
        with self.lock:
            found = self.row("SELECT value FROM meta WHERE key = ?", key)
            if found or make is None:
                return found and found[0]
            value = make()
            self.set_meta(key, value)
            return value

    def set_meta(self, key, value):
        self.change("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    def secret(self, key):
        return self.meta(key, lambda: secrets.token_hex(32))

    def guid(self, key):
        return self.meta(key, lambda: str(uuid.uuid4()))

    def generation(self, key):
        """All tokens, or all SAS, of an earlier generation are void."""
        return self.meta(key, lambda: 1)

    def next_generation(self, key):
        with self.lock:
            self.set_meta(key, self.generation(key) + 1)

    # Metric rows: (key, value, timestamp, step). A value is a float, or "NaN", "Infinity", "-Infinity".

    def add_metrics(self, run, rows, duplicates=True):
        if not duplicates:
            self.change("CREATE INDEX IF NOT EXISTS metrics_alike ON metrics (run, key, step, timestamp)")
            fresh, seen = [], set()
            for row in rows:
                key, value, timestamp, step = row
                known = self.row(f"SELECT 1 FROM metrics WHERE {SAME_POINT} LIMIT 1", run, key, step, timestamp, value)
                if row not in seen and not known:
                    seen.add(row)
                    fresh.append(row)
            rows = fresh
        if rows:
            self.change_many(
                "INSERT INTO metrics (run, key, value, timestamp, step) VALUES (?, ?, ?, ?, ?)", [(run, *row) for row in rows]
            )

    def metric_names(self, run):
        return {key for (key,) in self.rows("SELECT DISTINCT key FROM metrics WHERE run = ?", run)}

    def history(self, run, key, after, count):
        return self.rows(
            "SELECT id, key, value, timestamp, step FROM metrics WHERE run = ? AND key = ? AND id > ? ORDER BY id LIMIT ?",
            run, key, after, count,
        )  # fmt: skip
