"""Proves that the judge bites: on a faithful copy it finds nothing, on a spoilt one each planted fault and no other.

    judge_selftest.py [FOLDER]

The copy is made below MLflow, by copying the SQLite file and the artifacts and giving every run and logged model
another id, with the stamps that a mirror leaves. It needs neither the mirror nor a network.
"""

import json
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

import judge
import mlflow
import servers
import workload
from mlflow.entities import LoggedModelOutput, Metric

STAMPS = {"mlmirror.pair": "selftest", "mlmirror.primary.store": "store-1"}


def other_id(identity):
    """Turns an id of the primary into one of the copy: the same digits, backwards."""
    return "m-" + identity[:1:-1] if identity.startswith("m-") else identity[::-1]


def clone(source, target):
    """Copies a server's folder, so that what is served from `target` looks as a mirror would leave it."""
    shutil.copytree(source, target)
    database = sqlite3.connect(target / "mlflow.db")
    rows = database.execute
    # A deleted logged model cannot be seen, so no mirror has it; links to it keep its old id.
    rows("DELETE FROM logged_models WHERE lifecycle_stage = 'deleted'")
    ids = {row[0] for row in rows("SELECT run_uuid FROM runs UNION SELECT model_id FROM logged_models")}
    pattern = re.compile(r"\b(m-)?[0-9a-f]{32}\b")

    def renamed(text):
        return pattern.sub(lambda match: other_id(match[0]) if match[0] in ids else match[0], text)

    def mapped_tag(key, value):
        """What the contract says of tag values: parents, histories and URIs, but no bare id."""
        if key in ("mlflow.parentRunId", "mlflow.log-model.history"):
            return renamed(value)
        return re.sub(r"(runs:/|models:/)((m-)?[0-9a-f]{32})", lambda m: m[1] + renamed(m[2]), value)

    database.create_function("renamed", 1, lambda v: renamed(v) if isinstance(v, str) else v)
    database.create_function("mapped_tag", 2, mapped_tag)
    tags = {  # table: (what it belongs to, key, value)
        "tags": ("run_uuid", "key", "value"),
        "experiment_tags": ("experiment_id", "key", "value"),
        "logged_model_tags": ("model_id", "tag_key", "tag_value"),
        "registered_model_tags": ("name", "key", "value"),
        "model_version_tags": ("name", "key", "value"),
    }
    verbatim = {("params", "value"), ("logged_model_params", "param_value"), ("metrics", "key")}
    verbatim |= {(table, columns[2]) for table, columns in tags.items()}

    primary_sources = {(n, v): s for n, v, s in rows("SELECT name, version, source FROM model_versions")}
    for (table,) in rows("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for column in [row[1] for row in rows(f"PRAGMA table_info({table})") if "CHAR" in row[2] or "TEXT" in row[2]]:
            if (table, column) not in verbatim:
                rows(f"UPDATE OR IGNORE {table} SET {column} = renamed({column})")
    for table, (_, key, value) in tags.items():
        extra = {"logged_model_tags": ["model_id", "experiment_id"], "registered_model_tags": ["workspace", "name"],
                 "model_version_tags": ["workspace", "name", "version"]}.get(table, [tags[table][0]])  # fmt: skip
        owner = ", ".join(extra)
        # The old value of what is rewritten stays, in a tag of its own.
        rows(f"""INSERT INTO {table} ({key}, {value}, {owner}) SELECT 'mlmirror.original.' || {key}, {value}, {owner}
                 FROM {table} WHERE mapped_tag({key}, {value}) != {value}""")
        rows(f"UPDATE {table} SET {value} = mapped_tag({key}, {value}) WHERE {key} NOT LIKE 'mlmirror.%'")

    def stamp(table, key, value, owner, columns, stamps):
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        for tag, text in (STAMPS | stamps).items():
            rows(f"INSERT INTO {table} ({key}, {value}, {names}) VALUES (?, ?, {marks})", (tag, text, *owner))

    for (run,) in rows("SELECT run_uuid FROM runs").fetchall():
        stamp("tags", "key", "value", [run], ["run_uuid"], {"mlmirror.primary.run_id": other_id(run)})
    for e, location in rows("SELECT experiment_id, artifact_location FROM experiments").fetchall():
        stamps = {"mlmirror.primary.experiment_id": str(e), "mlmirror.primary.artifact_location": location}
        stamp("experiment_tags", "key", "value", [e], ["experiment_id"], stamps)
    for m, e in rows("SELECT model_id, experiment_id FROM logged_models").fetchall():
        stamps = {"mlmirror.primary.model_id": other_id(m)}
        stamp("logged_model_tags", "tag_key", "tag_value", [m, e], ["model_id", "experiment_id"], stamps)
    for w, n in rows("SELECT workspace, name FROM registered_models").fetchall():
        stamp("registered_model_tags", "key", "value", [w, n], ["workspace", "name"], {"mlmirror.primary.model": n})
    for w, n, v in rows("SELECT workspace, name, version FROM model_versions").fetchall():
        stamps = {"mlmirror.primary.version": str(v), "mlmirror.primary.source": primary_sources[n, v]}
        stamp("model_version_tags", "key", "value", [w, n, v], ["workspace", "name", "version"], stamps)
    database.commit()
    database.close()
    # The artifacts follow the ids.
    for path in (target / "artifacts").glob("*/*"):
        if path.name in ids:
            path.rename(path.with_name(other_id(path.name)))
    for path in (target / "artifacts").glob("*/models/*"):
        if path.name in ids:
            path.rename(path.with_name(other_id(path.name)))


class Faults:
    """Plants single differences on the copy, each with the words by which the judge must name it."""

    def __init__(self, uri, folder):
        self.client, self.folder = mlflow.MlflowClient(uri, uri), folder
        self.expected = []
        experiments = self.client.search_experiments(view_type=judge.ViewType.ALL, max_results=1000)
        self.experiment = {e.name: e.experiment_id for e in experiments}
        ids = [e.experiment_id for e in experiments]
        self.runs = {}
        for run in self.client.search_runs(ids, run_view_type=judge.ViewType.ALL, max_results=5000):
            self.runs.setdefault(run.info.run_name, run)
        self.models = {m.name: m for m in self.client.search_logged_models(ids, max_results=50)}

    def expect(self, kind, where, field):
        self.expected.append((kind, where, field))

    def run_id(self, name):
        return self.runs[name].info.run_id

    def sql(self, statement, *values):
        """For what the client cannot spoil. One short transaction."""
        with sqlite3.connect(self.folder / "mlflow.db", timeout=30) as database:
            changed = database.execute(statement, values).rowcount
        database.close()
        assert changed == 1, f"{statement} changed {changed} rows"

    def file(self, run, path):
        base = self.runs[run].info.artifact_uri.split(":/", 1)[1]
        return self.folder / "artifacts" / base.lstrip("/") / path

    def plant(self):
        client = self.client
        # Runs
        client.set_tag(self.run_id("values"), "added", "1")
        self.expect("run", "values", "tag added")
        client.delete_tag(self.run_id("new name"), "stays")
        self.expect("run", "new name", "tag stays")
        self.sql("UPDATE params SET value = '149.0' WHERE run_uuid = ? AND key = 'p149'", self.run_id("150 of each"))
        self.expect("run", "150 of each", "param p149")
        self.sql("DELETE FROM params WHERE run_uuid = ? AND key = 'p000'", self.run_id("150 of each"))
        self.expect("run", "150 of each", "param p000")
        client.log_metric(self.run_id("long"), "loss", 0.5, workload.T0 + 17, 2)
        self.expect("run", "long", "metric loss")
        self.sql("DELETE FROM metrics WHERE run_uuid = ? AND key = 'same step' AND value = 2 AND timestamp = ?",
                 self.run_id("values"), workload.T0)  # fmt: skip
        self.expect("run", "values", "metric same step")
        self.sql("UPDATE metrics SET is_nan = 0 WHERE run_uuid = ? AND key = 'special' AND is_nan", self.run_id("values"))
        self.expect("run", "values", "metric special")
        self.sql("UPDATE latest_metrics SET value = 3 WHERE run_uuid = ? AND key = 'layer/0777/norm'", self.run_id("1500 keys"))
        self.expect("run", "1500 keys", "latest metric layer/0777/norm")
        self.sql("UPDATE metrics SET timestamp = timestamp + 1 WHERE run_uuid = ? AND key = 'layer/0778/norm'", self.run_id("1500 keys"))
        self.expect("run", "1500 keys", "metric layer/0778/norm")
        self.sql("UPDATE runs SET end_time = end_time + 1 WHERE run_uuid = ?", self.run_id("failed"))
        self.expect("run", "/ failed", "end_time")
        self.sql("UPDATE runs SET start_time = start_time - 1 WHERE run_uuid = ?", self.run_id("killed"))
        self.expect("run", "/ killed", "start_time")
        self.sql("UPDATE runs SET user_id = 'root' WHERE run_uuid = ?", self.run_id("finished"))
        self.expect("run", "/ finished", "user_id")
        client.set_terminated(self.run_id("running"), "FINISHED", workload.T0)
        self.expect("run", "/ running", "status")
        self.expect("run", "/ running", "end_time")
        client.delete_run(self.run_id("restored"))
        self.expect("run", "/ restored", "lifecycle_stage")
        client.set_tag(self.run_id("level 4"), "mlflow.parentRunId", self.run_id("level 1"))
        self.expect("run", "level 4", "tag mlflow.parentRunId")
        self.sql("UPDATE tags SET value = 'x' WHERE run_uuid = ? AND key = 'mlmirror.original.best'", self.run_id("150 of each"))
        self.expect("run", "150 of each", "tag mlmirror.original.best")
        # Lost, doubled, added, in the wrong place
        self.sql("DELETE FROM tags WHERE run_uuid = ? AND key = 'mlmirror.primary.run_id'", self.run_id("sibling 3"))
        self.expect("run", "sibling 3", "lost")
        self.expect("run", self.run_id("sibling 3"), "added")
        twin = self.run_id("sibling 4")
        client.create_run(self.experiment["edge/parents"], tags=STAMPS | {"mlmirror.primary.run_id": other_id(twin)})
        self.expect("run", "sibling 4", "doubled")
        self.sql("UPDATE runs SET experiment_id = ? WHERE run_uuid = ?",
                 self.experiment["edge/lifecycle"], self.run_id("no metrics at all"))  # fmt: skip
        self.expect("run", "no metrics at all", "experiment")
        self.sql("UPDATE tags SET value = 'another' WHERE run_uuid = ? AND key = 'mlmirror.pair'", self.run_id("sibling 1"))
        self.expect("stamps", "", "mlmirror.pair")
        # Datasets, inputs, outputs
        reader = self.run_id("reader 2")
        self.sql("UPDATE input_tags SET value = 'training' WHERE name = 'mlflow.data.context' AND input_uuid IN "
                 "(SELECT input_uuid FROM inputs WHERE destination_id = ?)", reader)  # fmt: skip
        self.expect("run", "reader 2", "dataset inputs")
        user = self.run_id("user of models")
        self.sql("DELETE FROM inputs WHERE source_type = 'RUN_INPUT' AND source_id = ?", user)
        self.expect("run", "user of models", "model inputs")
        client.log_outputs(user, [LoggedModelOutput(self.models["pending"].model_id, 1)])
        self.expect("run", "user of models", "model outputs")
        # Files
        self.file("files", "100% sure.txt").write_bytes(b"Percent")
        self.expect("run", "/ files", "artifact 100% sure.txt")
        self.file("files", "empty").unlink()
        self.expect("run", "/ files", "artifact empty")
        self.file("files", "a/b/new").write_bytes(b"")
        self.expect("run", "/ files", "artifact a/b/new")
        # Experiments
        client.set_experiment_tag(self.experiment["edge/empty"], "why", "no reason")
        self.expect("experiment", "edge/empty", "tag why")
        client.restore_experiment(self.experiment["edge/deleted and empty"])
        self.expect("experiment", "edge/deleted and empty", "lifecycle_stage")
        client.create_experiment("added")
        self.expect("experiment", "added", "added")
        self.sql("UPDATE experiment_tags SET value = 's3://x' WHERE experiment_id = ? AND key = 'mlmirror.primary.artifact_location'",
                 self.experiment["edge/metrics"])  # fmt: skip
        self.expect("experiment", "edge/metrics", "mlmirror.primary.artifact_location")
        # Logged models
        client.finalize_logged_model(self.models["pending"].model_id, "FAILED")
        self.expect("logged model", "pending", "status")
        client.set_logged_model_tags(self.models["no run"].model_id, {"a": "1"})
        self.expect("logged model", "no run", "tag a")
        self.sql("DELETE FROM logged_model_metrics WHERE metric_name = 'f1'")
        self.expect("logged model", "ready", "metrics")
        odd = self.models["Größe 模型 🧪"].model_id
        self.sql("UPDATE logged_models SET source_run_id = ? WHERE model_id = ?", user, odd)
        self.expect("logged model", "Größe 模型 🧪", "source_run_id")
        # Registry
        client.update_registered_model("edge.versions", "Another description")
        self.expect("registered model", "edge.versions", "description")
        client.set_registered_model_alias("edge.versions", "champion", "5")
        self.expect("registered model", "edge.versions", "alias champion")
        client.set_registered_model_tag("edge.versions", "owner", "grace")
        self.expect("registered model", "edge.versions", "tag owner")
        client.transition_model_version_stage("edge.versions", "6", "Staging")
        self.expect("version", "edge.versions version 6", "current_stage")
        client.set_model_version_tag("edge.versions", "2", "round", "3")
        self.expect("version", "edge.versions version 2", "tag round")
        client.update_model_version("edge.versions", "5", "x")
        self.expect("version", "edge.versions version 5", "description")
        client.delete_model_version("edge mixed sources", "2")
        self.expect("version", "edge mixed sources version 2", "lost")
        self.sql("UPDATE model_versions SET source = ? WHERE name = 'edge-sklearn' AND version = 2", f"models:/{odd}")
        self.expect("version", "edge-sklearn version 2", "source")
        self.sql("UPDATE model_versions SET run_id = ? WHERE name = 'edge copied'", user)
        self.expect("version", "edge copied version 1", "run_id")
        client.delete_registered_model("edge no versions")
        self.expect("registered model", "edge no versions", "lost")


def check(condition, message):
    print(("ok      " if condition else "FAILED  ") + message)
    return condition


def run(folder):
    primary, secondary = folder / "primary", folder / "secondary"
    with servers.start(primary, workers=2) as server, workload.quiet():
        workload.Workload(server.uri).edge()
    clone(primary, secondary)
    with servers.start(primary, workers=2) as here, servers.start(secondary, workers=2) as there:

        def judged():
            command = [sys.executable, judge.__file__, here.uri, there.uri, "--json"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode not in (judge.EXIT_EQUAL, judge.EXIT_DIFFERENT):
                sys.exit(f"the judge failed with {done.returncode}")
            return done.returncode, json.loads(done.stdout)

        code, report = judged()
        fine = check(code == judge.EXIT_EQUAL, f"a faithful copy is equal ({report['seconds']} s, {report['counts']})")
        for difference in report["differences"][:10]:
            print("        ", difference)

        faults = Faults(there.uri, secondary)
        with workload.quiet():
            faults.plant()
        code, report = judged()
        fine &= check(code == judge.EXIT_DIFFERENT, f"a spoilt copy is different ({report['seconds']} s)")
        left = report["differences"]
        for kind, where, field in faults.expected:
            found = [d for d in left if d["kind"] == kind and where in d["where"] and d["field"] == field]
            fine &= check(len(found) == 1, f"finds {kind} {where!r}: {field}")
            left = [d for d in left if d not in found]
        fine &= check(not left, f"finds nothing else {left[:10] if left else ''}")

        dead = subprocess.run([sys.executable, judge.__file__, here.uri, "http://127.0.0.1:1"], capture_output=True,
                              env={"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})  # fmt: skip
        fine &= check(dead.returncode not in (0, 4), "a server that does not answer is neither equal nor different")
    print(f"{len(faults.expected)} planted, {'all found' if fine else 'FAILED'}")
    return 0 if fine else 1


def main():
    if len(sys.argv) > 1:
        return run(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        return run(pathlib.Path(folder))


if __name__ == "__main__":
    sys.exit(main())
