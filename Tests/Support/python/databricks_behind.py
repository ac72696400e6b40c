"""The real MLflow server behind the Databricks emulator, and the few facts that are read from its database directly."""

import sqlite3
import threading

import databricks_errors as errors
from azureml_behind import Behind


class Server(Behind):
    def __init__(self, folder, python, ids):
        super().__init__(folder, python, ids)
        self.lock = threading.Lock()
        self.database = sqlite3.connect(self.described["database"], timeout=60, check_same_thread=False, isolation_level=None)
        self.runs, self.models = {}, {}

    def call(self, method, route, arguments):
        """The answer's document; errors keep their code."""
        status, document = self.document(method, route, arguments)
        if status < 400:
            return document
        text = self.ids.message_out(str(document.get("message", "")))
        raise errors.failure(status, document.get("error_code", "INTERNAL_ERROR"), text)

    def rows(self, statement, *values):
        with self.lock:
            return self.database.execute(statement, values).fetchall()

    # Whose a run, or a logged model, is: that never changes.

    def experiment_of_run(self, run):
        return self.known(self.runs, "SELECT experiment_id FROM runs WHERE run_uuid = ?", run)

    def experiment_of_model(self, model):
        return self.known(self.models, "SELECT experiment_id FROM logged_models WHERE model_id = ?", model)

    def known(self, table, statement, key):
        if key not in table:
            found = self.rows(statement, str(key))
            if not found:
                return None
            if len(table) > 100_000:
                table.clear()
            table[key] = str(found[0][0])
        return table[key]

    def runs_of(self, experiment, stage, condition, moment, most):
        found = self.rows(
            f"SELECT run_uuid FROM runs WHERE experiment_id = ? AND lifecycle_stage = ? AND {condition} ORDER BY start_time DESC LIMIT ?",
            int(experiment), stage, moment, most,
        )  # fmt: skip
        return [run for (run,) in found]

    # Names of experiments: this server keeps those of deleted ones, a workspace gives them away.

    def experiment_named(self, name):
        """(id, lifecycle stage): the active one, or the one that was deleted last; None."""
        found = self.rows(
            "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ? OR name LIKE ? ESCAPE '\\'"
            " ORDER BY lifecycle_stage = 'active' DESC, last_update_time DESC, experiment_id DESC LIMIT 1",
            name, escaped(name) + "\u2063deleted-%",
        )  # fmt: skip
        return (str(found[0][0]), found[0][1]) if found else None

    def give_name_away(self, name):
        self.rows(
            "UPDATE experiments SET name = name || ? || experiment_id WHERE name = ? AND lifecycle_stage = 'deleted'",
            "\u2063deleted-", name,
        )  # fmt: skip

    def give_name_back(self, number, name):
        self.rows("UPDATE experiments SET name = ? WHERE experiment_id = ?", name, int(number))

    def name_of(self, number):
        found = self.rows("SELECT name FROM experiments WHERE experiment_id = ?", int(number))
        return found[0][0] if found else None

    def experiments_under(self, folder):
        """[(id, name)] of the active ones, at any depth."""
        found = self.rows(
            "SELECT experiment_id, name FROM experiments WHERE lifecycle_stage = 'active' AND name LIKE ? ESCAPE '\\'",
            escaped(folder.rstrip("/")) + "/%",
        )  # fmt: skip
        return [(str(number), name) for number, name in found]


def escaped(text):
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
