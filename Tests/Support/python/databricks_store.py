"""What the Databricks emulator keeps by itself, in one SQLite file."""

import azureml_store

SCHEMA = """
CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY, id INTEGER);
CREATE TABLE IF NOT EXISTS locations (experiment TEXT PRIMARY KEY, location TEXT);
CREATE TABLE IF NOT EXISTS versions (
    model TEXT, version TEXT, source TEXT, location TEXT, ready REAL, PRIMARY KEY (model, version)
);
CREATE TABLE IF NOT EXISTS catalog (kind TEXT, name TEXT, version INTEGER, document TEXT, PRIMARY KEY (kind, name, version));
"""


class Store(azureml_store.Store):
    def __init__(self, path):
        super().__init__(path)
        self.connection.executescript(SCHEMA)
