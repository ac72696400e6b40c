"""Fills an MLflow server with known content, through the official Python client.

    workload.py URI --size tiny|small|demo|edge [--seed N] [--name PREFIX]

The same size and seed give the same content (ids and the server's own times aside).

    tiny    1 experiment, 1 run with params, metrics and tags
    small   2 experiments, 50 runs, 25,000 points, 500 params, 106 files (6.8 MB), 1 model with 3 versions
    demo    a believable week of work: training curves, nested sweeps, scikit-learn models, a deleted run
    edge    everything that a real server accepts and a copy could get wrong

Against an MLflow 2 server, run it with an MLflow 2 client; what 2.22 lacks is left out.
"""

import argparse
import base64
import contextlib
import io
import json
import logging
import math
import os
import pathlib
import random
import sys
import tempfile
import time
import urllib.parse
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
warnings.filterwarnings("ignore")

import mlflow  # noqa: E402
import quickack  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType,
)  # fmt: skip

# A fixed moment, so that times do not depend on when this runs.
T0 = 1_700_000_000_000
MINUTE = 60_000


class Workload:
    def __init__(self, uri, seed=1, prefix=""):
        quickack.install()
        self.uri, self.prefix = uri.rstrip("/"), prefix
        self.random = random.Random(seed)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self.client = mlflow.MlflowClient(uri, uri)
        self.three = int(mlflow.__version__.split(".")[0]) >= 3
        self.session = None

    # Building blocks

    def experiment(self, name, tags=None):
        """Creates an experiment, or takes one of that name that is there (so demo can add to itself)."""
        found = self.client.get_experiment_by_name(self.prefix + name)
        if found:
            return found.experiment_id
        return self.client.create_experiment(self.prefix + name, tags=tags)

    def run(self, experiment, name, start=0, minutes=10, status="FINISHED", tags=None, parent=None,
            params=None, metrics=(), user="ada"):  # fmt: skip
        """A whole run. `start` is in minutes after T0; a status of None leaves it RUNNING."""
        tags = {"mlflow.user": user} | (tags or {})
        if parent:
            tags["mlflow.parentRunId"] = parent
        began = T0 + start * MINUTE
        run_id = self.client.create_run(experiment, start_time=began, tags=tags, run_name=name).info.run_id
        self.batch(run_id, metrics=metrics, params=params)
        if status:
            self.finish(run_id, status, began + minutes * MINUTE)
        return run_id

    def finish(self, run_id, status="FINISHED", end=T0 + 10 * MINUTE):
        self.client.set_terminated(run_id, status=status, end_time=end)

    def batch(self, run_id, metrics=(), params=None, tags=None):
        metrics = list(metrics)
        params = [Param(k, str(v)) for k, v in (params or {}).items()]
        tags = [RunTag(k, v) for k, v in (tags or {}).items()]
        for at in range(0, len(params), 100):
            self.client.log_batch(run_id, params=params[at : at + 100])
        for at in range(0, len(tags), 100):
            self.client.log_batch(run_id, tags=tags[at : at + 100])
        for at in range(0, len(metrics), 1000):
            self.client.log_batch(run_id, metrics=metrics[at : at + 1000])

    def files(self, run_id, files, under=None):
        """Logs {path: bytes} as artifacts in one call of the client."""
        with tempfile.TemporaryDirectory() as folder:
            write_files(folder, files)
            self.client.log_artifacts(run_id, folder, under)

    def model_files(self, model_id, files):
        with tempfile.TemporaryDirectory() as folder:
            write_files(folder, files)
            self.client.log_model_artifacts(model_id, folder)

    def raw_file(self, run_id, path, data):
        """Puts a file whose name the client does not quote (`?`, `%41`), the way curl would."""
        import requests

        root = self.client.get_run(run_id).info.artifact_uri.split(":", 1)[1].lstrip("/")
        url = f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(f'{root}/{path}')}"
        requests.put(url, data=data, timeout=60).raise_for_status()

    def dataset(self, run_id, name, digest, context="training", tags=None, source="{}", schema=None, profile=None):
        """Records that a run read a dataset."""
        all_tags = ({"mlflow.data.context": context} if context else {}) | (tags or {})
        entity = Dataset(name, digest, "http", source, schema, profile)
        entry = DatasetInput(entity, [InputTag(k, v) for k, v in all_tags.items()])
        self.client.log_inputs(run_id, [entry])

    def logged_model(self, experiment, name, run_id=None, status="READY", params=None, tags=None, kind=None,
                     files=None, step=0):  # fmt: skip
        """An MLflow 3 logged model; a status of None leaves it PENDING."""
        from mlflow.entities import LoggedModelOutput

        model = self.client.create_logged_model(
            experiment, name, source_run_id=run_id, tags=tags, params=params, model_type=kind
        )
        if run_id:
            self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
        if files:
            self.model_files(model.model_id, files)
        if status:
            self.client.finalize_logged_model(model.model_id, status)
        return model.model_id

    def sklearn(self, run_id, name="model", registered=None, size=40):
        """Trains a small classifier and logs it into the run. Answers its models:/ or runs:/ URI."""
        import numpy
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        rows = numpy.random.default_rng(self.random.randrange(1 << 30)).normal(size=(size, 4))
        model = make_pipeline(StandardScaler(), LogisticRegression(C=self.random.uniform(0.1, 2)))
        model.fit(rows, (rows[:, 0] + rows[:, 2] > 0).astype(int))
        options = {
            "registered_model_name": registered,
            "input_example": rows[:2],
            # Named here, because finding them out loads the model in a process of its own.
            "pip_requirements": ["scikit-learn"],
        }
        with mlflow.start_run(run_id=run_id):
            if self.three:
                return mlflow.sklearn.log_model(model, name=name, **options).model_uri
            return mlflow.sklearn.log_model(model, artifact_path=name, **options).model_uri

    def bytes(self, size):
        return self.random.randbytes(size)

    def curve(self, key, steps, start, end, noise=0.01, first=T0, every=1000):
        """A training curve: exponential approach with noise."""
        rate = 4 / max(steps, 1)
        return [
            Metric(key, end + (start - end) * math.exp(-rate * s) + self.random.gauss(0, noise), first + s * every, s)
            for s in range(steps)
        ]

    # Sizes

    def tiny(self):
        experiment = self.experiment("tiny")
        self.run(
            experiment, "first", tags={"team": "search"}, params={"lr": 0.1, "depth": 3},
            metrics=self.curve("loss", 10, 1.0, 0.1) + self.curve("accuracy", 10, 0.5, 0.9),
        )  # fmt: skip

    def small(self):
        runs = []
        for e, name in enumerate(["small/ranking", "small/vision"]):
            experiment = self.experiment(name, tags={"team": ["search", "cameras"][e]})
            parent = None
            for r in range(25):
                number = e * 25 + r
                metrics = [
                    point
                    for key, (start, end) in {
                        "train/loss": (2, 0.1), "val/loss": (2.2, 0.3), "train/accuracy": (0.1, 0.97),
                        "val/accuracy": (0.1, 0.9), "lr": (0.1, 0.001),
                    }.items()
                    for point in self.curve(key, 100, start, end, first=T0 + number * 10 * MINUTE)
                ]  # fmt: skip
                run_id = self.run(
                    experiment, f"run-{number:03}", start=number * 10, parent=parent if r % 5 else None,
                    tags={"stage": self.random.choice(["dev", "candidate"])},
                    params={f"param_{p}": self.random.choice(["relu", 0.01, 128, "adamw"]) for p in range(10)},
                    metrics=metrics,
                )  # fmt: skip
                if r % 5 == 0:
                    parent = run_id
                self.dataset(run_id, f"table-{number % 3}", f"d{number % 3:07}", schema='{"columns": 12}')
                self.files(run_id, {"plots/roc.bin": self.bytes(64 << 10), "checkpoints/last.bin": self.bytes(64 << 10)})
                runs.append((experiment, run_id))
        self.batch(runs[0][1], params={"edge_empty": "", "edge_unicode": "größe→λ", "edge_long": "x" * 500}, metrics=[
            Metric("edge", math.nan, T0, 1), Metric("edge", math.inf, T0, 2), Metric("edge", -math.inf, T0, 3),
            Metric("edge", 1.0, T0, 4), Metric("edge", 2.0, T0, 4),
        ])  # fmt: skip

        name = self.prefix + "small-model"
        self.client.create_registered_model(name, tags={"owner": "search"}, description="Ranks documents.")
        for v in range(3):
            run_id = runs[v][1]
            files = {"MLmodel": b"flavors: {}\n" + f"version: {v}\n".encode(), "weights.bin": self.bytes(64 << 10)}
            self.files(run_id, files, "model")
            self.client.create_model_version(name, f"runs:/{run_id}/model", run_id, tags={"round": str(v)})
        self.client.set_registered_model_alias(name, "champion", "2")
        if self.three:
            for m in range(2):
                experiment, run_id = runs[10 + m]
                self.logged_model(
                    experiment, f"logged-{m}", run_id, params={"layers": "4"}, tags={"quality": "good"},
                    files={"MLmodel": b"flavors: {}\n"},
                )  # fmt: skip

    def demo(self):
        self.demo_training()
        self.demo_sweep()
        self.demo_vision()

    def demo_training(self):
        churn = self.experiment("churn/training", {"owner": "growth", "mlflow.note.content": "Who leaves next month?"})
        model = self.prefix + "churn"
        runs = []
        for week in range(6):
            run_id = self.run(
                churn, f"weekly-{week}", start=week * 7 * 1440, minutes=42, status=None, user=["ada", "grace"][week % 2],
                params={"learning_rate": 0.05, "trees": 200 + 50 * week, "features": "v3"}, tags={"week": str(week)},
                metrics=self.curve("train/auc", 120, 0.6, 0.91 + week * 0.005, first=T0 + week * 7 * 1440 * MINUTE)
                + self.curve("val/auc", 120, 0.6, 0.88 + week * 0.005, first=T0 + week * 7 * 1440 * MINUTE),
            )  # fmt: skip
            self.dataset(run_id, "customers", f"2023w{week:02}", source='{"uri": "warehouse/customers"}')
            self.files(run_id, {"report.md": f"# Week {week}\n\nAll good.\n".encode(), "plots/roc.png": PNG})
            if week >= 2:
                self.sklearn(run_id, registered=model)
            self.finish(run_id, "FAILED" if week == 1 else "FINISHED", T0 + (week * 7 * 1440 + 42) * MINUTE)
            runs.append(run_id)
        self.client.update_registered_model(model, "Probability that a customer leaves within a month.")
        self.client.set_registered_model_tag(model, "owner", "growth")
        versions = sorted(int(v.version) for v in self.client.search_model_versions(f"name='{model}'"))
        self.client.set_registered_model_alias(model, "champion", str(versions[-2]))
        self.client.set_registered_model_alias(model, "challenger", str(versions[-1]))
        self.client.update_model_version(model, str(versions[-2]), "In production since Monday.")
        # Somebody's mistake, thrown away.
        self.client.delete_run(self.run(churn, "wrong-data", start=99, params={"trees": 1}, status="KILLED"))

    def demo_sweep(self):
        sweep = self.experiment("churn/sweep", {"owner": "growth"})
        top = self.run(sweep, "sweep", minutes=300, params={"strategy": "random", "trials": 6})
        for trial in range(6):
            rate = round(10 ** self.random.uniform(-4, -1), 6)
            middle = self.run(
                sweep, f"trial-{trial}", start=trial * 40, minutes=39, parent=top, params={"learning_rate": rate},
                metrics=self.curve("val/auc", 1, 0.8 + self.random.random() / 10, 0.8),
            )  # fmt: skip
            for fold in range(3):
                self.run(
                    sweep, f"trial-{trial}-fold-{fold}", start=trial * 40 + fold * 13, minutes=12, parent=middle,
                    params={"learning_rate": rate, "fold": fold},
                    metrics=self.curve("loss", 60, 0.7, 0.2, 0.02), status="KILLED" if (trial, fold) == (4, 2) else "FINISHED",
                )  # fmt: skip

    def demo_vision(self):
        vision = self.experiment("vision/defects", {"owner": "factory"})
        for size in ["small", "base", "large"]:
            run_id = self.run(
                vision, f"resnet-{size}", minutes=600, user="katherine",
                params={"backbone": size, "optimizer": "adamw", "batch": 64, "epochs": 90},
                metrics=self.curve("train/loss", 900, 2.3, 0.05, 0.03, every=40_000)
                + self.curve("val/loss", 90, 2.3, 0.25, 0.03, every=400_000)
                + self.curve("system/gpu_utilization", 300, 5, 93, 2, every=120_000),
            )  # fmt: skip
            self.files(run_id, {f"checkpoints/epoch-{n:02}.bin": self.bytes(200_000) for n in (30, 60, 90)})

    def edge(self):
        self.edge_default()
        self.edge_metrics()
        self.edge_values()
        self.edge_parents()
        self.edge_datasets()
        self.edge_artifacts()
        self.edge_lifecycle()
        if self.three:
            self.edge_logged_models()
        self.edge_registry()
        self.edge_left_out()

    def edge_default(self):
        """Runs in the experiment that every server has from the start."""
        self.client.set_experiment_tag("0", "edge.default", "yes")
        self.run("0", "in default", metrics=self.curve("loss", 5, 1, 0), params={"a": 1})
        self.run("0", "in default too", start=1)

    def edge_metrics(self):
        experiment = self.experiment("edge/metrics")
        run_id = self.run(experiment, "values", status=None)
        special = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e-7, 1e22, 2.0**53 + 2]
        self.batch(run_id, [Metric("special", value, T0 + n, n) for n, value in enumerate(special)])
        self.batch(run_id, [Metric("last is nan", 1.0, T0, 0), Metric("last is nan", math.nan, T0 + 1, 1)])
        self.batch(run_id, [Metric("nan and zero at one step", v, T0, 7) for v in (math.nan, 0.0)])
        # Several values at one step, at one and at several timestamps.
        self.batch(run_id, [Metric("same step", v, T0 + t, 5) for v in (1.0, 2.0, 3.0) for t in (0, 0, 1)])
        # Steps and times that go back, and a point that arrives late.
        self.batch(run_id, [Metric("backwards", float(s), T0 + s, s) for s in (9, 3, 7, 1, 5)])
        self.client.log_metric(run_id, "backwards", 4.5, T0 - 1000, 4)
        self.client.log_metric(run_id, "backwards", 4.5, T0 - 1000, 4)
        self.batch(run_id, [Metric("negative step", 1.0, T0, -3), Metric("time zero", 1.0, 0, 0),
                            Metric("large step", 1.0, T0, 2**53 + 1)])  # fmt: skip
        self.batch(run_id, [Metric(f"names/{k}", 1.0, T0, 0) for k in ("with space", "a:b", "a.b-c_d", "größe", "精度", "x" * 200)])
        self.finish(run_id)
        self.run(experiment, "1500 keys", metrics=[Metric(f"layer/{k:04}/norm", k / 7, T0 + k, 0) for k in range(1500)])
        self.run(experiment, "long", metrics=self.curve("loss", 6000, 3, 0.1))
        self.run(experiment, "no metrics at all")
        # The Greek letter and the sign for ohm: one text to Unicode, two names to a server.
        for order in (1, -1):
            letters = ("\u03a9", "\u2126")[::order]
            ohm = self.run(experiment, f"two forms of one name {order}", params={f"R {c}": n for n, c in enumerate(letters)}, status=None)
            self.batch(ohm, [Metric(f"{c} now", float(n * 10 + s), T0 + s, s) for n, c in enumerate(letters) for s in range(3 + n)],
                       tags={f"unit {c}": str(n) for n, c in enumerate(letters)})  # fmt: skip
            self.finish(ohm)

    def edge_values(self):
        experiment = self.experiment("edge/Ünïcode 実験 — 100% 🧪 #1+2", {
            "mlflow.note.content": "# Überschrift\n\nmit *Text*, \"Anführung\" und \\ Rückstrich 🧪", "empty": "", "größe": "groß", "long": "e" * 4999,
        })  # fmt: skip
        run_id = self.run(experiment, "Größe 模型 🚀 / \"quoted\" \\ 'single'", user="añada 👩‍💻", params={
            "six thousand": "p" * 6000, "six thousand wide": "界" * 6000, "empty": "", "space": "   ", "lines": "a\nb\r\nc\td",
            "größe": "ß", "json": '{"a": [1, "\u2028"]}', "uri": "runs:/0123456789abcdef0123456789abcdef/model",
            "null byte free": "\x01\x1f", "k" * 240: "long key", "combining": "e\u0301 é",
        }, status=None)  # fmt: skip
        self.batch(run_id, tags={
            "eight thousand": "t" * 8000, "eight thousand wide": "界" * 8000, "empty": "", "lines": "a\nb\r\nc\td", "größe": "ß 🧪",
            "mlflow.note.content": "## Notiz\n🧪", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": "0" * 40, "path/like/key": "x", "a.b:c d": "y", "html": "<script>alert('&amp;')</script>",
        })  # fmt: skip
        self.finish(run_id)
        # 150 params and tags: more than one log-batch.
        many = self.run(experiment, "150 of each", params={f"p{n:03}": n for n in range(150)}, status=None)
        self.batch(many, tags={f"t{n:03}": str(n) for n in range(150)})
        self.finish(many)
        # Renamed, and tags set, changed and deleted.
        changed = self.run(experiment, "old name", tags={"stays": "1", "changes": "1", "goes": "1"})
        self.client.set_tag(changed, "changes", "2")
        self.client.delete_tag(changed, "goes")
        self.client.update_run(changed, name="new name")
        self.client.create_run(experiment, start_time=T0)  # no name, no user, no end
        renamed = self.experiment("edge/before renaming")
        self.run(renamed, "inside")
        self.client.rename_experiment(renamed, self.prefix + "edge/after renaming")
        self.experiment("edge/empty", {"why": "nothing in it"})
        self.experiment("n" * 250)
        # Ids inside values.
        self.batch(many, tags={
            "best": f"runs:/{run_id}/model", "text": f"see runs:/{run_id} and runs:/{changed}/a/b, or runs:/{'f' * 32}/x",
            "bare id": run_id,
        })  # fmt: skip
        history = [{"run_id": many, "artifact_path": "model", "utc_time_created": "2023-11-14 22:13:20.000000",
                    "flavors": {"python_function": {"loader_module": "x"}}, "model_uuid": "a" * 32}]  # fmt: skip
        self.client.set_tag(many, "mlflow.log-model.history", json.dumps(history))

    def edge_parents(self):
        experiment, other = self.experiment("edge/parents"), self.experiment("edge/parents elsewhere")

        def adopt(child, parent):
            self.client.set_tag(child, "mlflow.parentRunId", parent)

        # Child first: the parent starts, and is logged, after its children. Four levels.
        leaf = self.run(experiment, "level 4", start=0)
        lower = self.run(experiment, "level 3", start=1)
        middle = self.run(experiment, "level 2", start=2)
        top = self.run(experiment, "level 1", start=3)
        adopt(leaf, lower), adopt(lower, middle), adopt(middle, top)
        # Parent first.
        first = self.run(experiment, "parent", start=4)
        second = self.run(experiment, "child", start=5, parent=first)
        self.run(experiment, "grandchild", start=6, parent=second)
        for n in range(5):
            self.run(experiment, f"sibling {n}", start=7, parent=first)  # equal start times
        # A ring of two, and one that is its own parent.
        a, b = self.run(experiment, "ring a", start=8), self.run(experiment, "ring b", start=9)
        adopt(a, b), adopt(b, a)
        selfish = self.run(experiment, "own parent", start=10)
        adopt(selfish, selfish)
        self.run(experiment, "dangling parent", start=11, parent="0123456789abcdef0123456789abcdef")
        self.run(experiment, "parent is no id", start=11, parent="not a run")
        self.run(other, "parent in another experiment", start=12, parent=top)
        gone = self.run(experiment, "deleted parent", start=13)
        self.run(experiment, "child of deleted", start=14, parent=gone)
        self.client.delete_run(gone)

    def edge_datasets(self):
        experiment = self.experiment("edge/datasets")
        runs = [self.run(experiment, f"reader {n}") for n in range(4)]
        for n, run_id in enumerate(runs):
            self.dataset(run_id, "shared", "abc123", ["training", "validation", "test", None][n], {"split": str(n)})
        self.dataset(runs[0], "größe 表", "d1", "evaluation", {"größe": "ß", "empty": ""}, source='{"uri": "s3://b/ü?x=%20#f"}')
        self.dataset(runs[0], "large", "d2", schema=json.dumps({"c": ["x" * 60] * 1000}), profile=json.dumps({"r": list(range(9000))}))
        self.dataset(runs[0], "shared", "another digest", None)
        for n in range(40):
            self.dataset(runs[1], f"part-{n:02}", f"p{n}", "training")
        # The same name and digest in another experiment is another dataset.
        elsewhere = self.run(self.experiment("edge/datasets elsewhere"), "reader")
        self.dataset(elsewhere, "shared", "abc123", "training")

    def edge_artifacts(self):
        experiment = self.experiment("edge/artifacts")
        run_id = self.run(experiment, "files", status=None)
        self.files(run_id, {
            "root.txt": b"root\n", "empty": b"", "a/b/c/d/e/f/g/h/deep.bin": self.bytes(1000), "a/b/empty.dat": b"",
            "with space/in both.txt": b"space", "größe/模型 🧪.txt": "ünï".encode(), "plus+and&and=.txt": b"plus",
            "100% sure.txt": b"percent", "semi;colon,comma'quote(1)[2]{3}~!@$^.txt": b"signs", ".hidden/.file": b"hidden",
            "tilde~/back`tick.txt": b"tick", "name.tar.gz": self.bytes(70_000), "e\u0301 decomposed.txt": b"nfd", "é decomposed.txt": b"NFC",
            "e\u0301/one.txt": b"d", "é/one.txt": b"c",
            "noextension": b"\x00\xff\x00", "html/page.html": b"<html></html>", "json/data.json": b'{"a": 1}',
        })  # fmt: skip
        self.files(run_id, {"late.txt": b"under"}, "nested/by path")
        self.files(run_id, {"changed.txt": b"first"})
        self.files(run_id, {"changed.txt": b"second, longer"})
        # The proxy refuses `#` and `..`; a question mark and a quoted percent only get through when quoted.
        for path in ["what?.txt", "50%25 off.txt", "a%2Fb.txt"]:
            with contextlib.suppress(Exception):
                self.raw_file(run_id, path, path.encode())
        self.client.log_text(run_id, "text", "logged/text.txt")
        self.client.log_dict(run_id, {"b": [1, 2], "a": "ü"}, "logged/dict.json")
        self.finish(run_id)
        many = self.run(experiment, "300 files", status=None)
        self.files(many, {f"part-{n // 100}/{n:03}.txt": str(n).encode() for n in range(300)})
        self.finish(many)
        large = self.run(experiment, "12 MB", status=None)
        self.files(large, {"large.bin": self.bytes(12 << 20)})
        self.finish(large)
        self.run(experiment, "no files")

    def edge_lifecycle(self):
        experiment = self.experiment("edge/lifecycle")
        for status in ["FINISHED", "FAILED", "KILLED"]:
            self.run(experiment, status.lower(), status=status, metrics=self.curve("m", 3, 1, 0))
        self.run(experiment, "running", status=None, metrics=self.curve("m", 3, 1, 0))
        self.client.update_run(self.run(experiment, "scheduled", status=None), status="SCHEDULED")
        self.run(experiment, "ends before it starts", start=100, minutes=-50)
        self.run(experiment, "ends at zero seconds", minutes=0)
        deleted = self.run(experiment, "deleted", metrics=self.curve("m", 3, 1, 0), params={"p": 1}, tags={"t": "1"})
        self.files(deleted, {"kept.txt": b"still here"})
        self.client.delete_run(deleted)
        self.client.delete_run(self.run(experiment, "deleted while running", status=None))
        restored = self.run(experiment, "restored")
        self.client.delete_run(restored)
        self.client.restore_run(restored)

        gone = self.experiment("edge/deleted", {"why": "deleted whole"})
        first = self.run(gone, "deleted before", metrics=self.curve("m", 3, 1, 0))
        self.client.delete_run(first)
        self.run(gone, "deleted with it", metrics=self.curve("m", 3, 1, 0), parent=first)
        self.client.delete_experiment(gone)
        nothing = self.experiment("edge/deleted and empty")
        self.client.delete_experiment(nothing)
        back = self.experiment("edge/deleted and restored")
        self.client.delete_run(self.run(back, "revived too"))
        self.run(back, "revived")
        self.client.delete_experiment(back)
        self.client.restore_experiment(back)
        self.client.delete_run(self.run(back, "deleted again"))

    def edge_logged_models(self):
        from mlflow.entities import LoggedModelInput

        experiment = self.experiment("edge/logged models")
        trainer = self.run(experiment, "trainer", status=None)
        files = {"MLmodel": b"flavors: {}\n", "data/weights.bin": self.bytes(5000), "data/empty": b"", "größe/ü +.txt": b"x"}
        ready = self.logged_model(
            experiment, "ready", trainer, params={"layers": "3", "größe": "ß", "long": "p" * 6000, "empty": ""},
            tags={"quality": "good", "note": "🧪", "long": "t" * 8000, "from": f"runs:/{trainer}/model"}, kind="agent", files=files, step=7,
        )  # fmt: skip
        self.logged_model(experiment, "failed", trainer, status="FAILED", params={"x": "1"}, step=8)
        self.logged_model(experiment, "pending", trainer, status=None, files={"partial.bin": b"part"}, step=9)
        self.logged_model(experiment, "no run", None, files={"MLmodel": b"flavors: {}\n"})
        self.logged_model(experiment, "ready", trainer, step=10)  # the same name once more
        self.logged_model(experiment, "Größe 模型 🧪", trainer)
        self.dataset(trainer, "holdout", "h1", "evaluation")
        self.batch(trainer, [Metric("accuracy", 0.5 + s / 10, T0 + s, s, model_id=ready) for s in range(4)])
        self.batch(trainer, [
            Metric("f1", 0.8, T0, 1, model_id=ready, dataset_name="holdout", dataset_digest="h1"),
            Metric("nan", math.nan, T0, 1, model_id=ready), Metric("inf", math.inf, T0, 1, model_id=ready),
            Metric("twice", 1.0, T0, 1, model_id=ready), Metric("twice", 1.0, T0 + 1, 1, model_id=ready),
        ])  # fmt: skip
        self.finish(trainer)
        user = self.run(experiment, "user of models", status=None)
        self.client.log_inputs(user, models=[LoggedModelInput(ready)])
        # A metric of a model that another run measured.
        self.batch(user, [Metric("accuracy", 0.99, T0 + 50, 0, model_id=ready)])
        self.batch(user, tags={"which": f"models:/{ready}", "unknown": f"models:/m-{'0' * 32}"})
        self.finish(user)
        self.client.set_logged_model_tags(ready, {"later": "set", "goes": "away"})
        self.client.delete_logged_model_tag(ready, "goes")
        self.client.delete_logged_model(self.logged_model(experiment, "deleted model", user, files={"x": b"x"}))
        self.ready_model = ready

        gone = self.experiment("edge/logged models deleted")
        run_id = self.run(gone, "trainer")
        self.logged_model(gone, "of a deleted run", run_id, params={"a": "1"})
        self.client.delete_run(run_id)

    def edge_registry(self):
        experiment = self.experiment("edge/registry")
        client = self.client

        def source_run(name):
            run_id = self.run(experiment, name)
            self.files(run_id, {"MLmodel": b"flavors: {}\n", "data/model.pkl": self.bytes(2000)}, "model")
            return run_id

        name = self.prefix + "edge.versions"
        client.create_registered_model(name, {"owner": "ada", "empty": "", "größe": "ß"}, "Beschreibung 🧪\nzweite Zeile")
        runs = [source_run(f"version {n}") for n in range(1, 8)]
        for n, run_id in enumerate(runs, 1):
            tags = {"round": str(n), "empty": "", "größe": "ß", "from": f"runs:/{run_id}/model"}
            client.create_model_version(name, f"runs:/{run_id}/model", run_id, tags=tags, description=f"Fassung {n} 🧪" if n % 2 else None)
        # Gaps: at the start, in the middle, at the end.
        for version in ("1", "4", "7"):
            client.delete_model_version(name, version)
        client.transition_model_version_stage(name, "2", "Archived")
        client.transition_model_version_stage(name, "3", "Production")
        client.transition_model_version_stage(name, "5", "Staging")
        client.set_registered_model_alias(name, "champion", "3")
        client.set_registered_model_alias(name, "challenger", "5")
        client.set_registered_model_alias(name, "also_champion-2", "3")
        client.set_registered_model_alias(name, "moved", "2")
        client.set_registered_model_alias(name, "moved", "6")
        client.set_registered_model_alias(name, "removed", "6")
        client.delete_registered_model_alias(name, "removed")
        client.set_model_version_tag(name, "6", "long", "v" * 4000)
        client.update_model_version(name, "6", "d" * 4000)

        odd = self.prefix + "Größe 模型 %20 #+&? 🧪"
        client.create_registered_model(odd)
        run_id = source_run("odd name")
        client.create_model_version(odd, f"runs:/{run_id}/model", run_id)
        client.create_model_version(odd, f"runs:/{run_id}/model/data", run_id, run_link="https://example.org/run?x=1#y")
        artifact = client.get_run(run_id).info.artifact_uri + "/model"
        client.create_model_version(odd, artifact, run_id)
        with contextlib.suppress(Exception):  # a place outside the server; some versions refuse it
            client.create_model_version(odd, "s3://bucket/some/model")

        deleted = source_run("deleted later")
        client.create_model_version(odd, f"runs:/{deleted}/model", deleted, description="its run is deleted")
        client.delete_run(deleted)
        copied = self.prefix + "edge copied"
        client.copy_model_version(f"models:/{name}/3", copied)
        client.create_registered_model(self.prefix + "edge no versions", {"why": "empty"}, "d")
        every = self.prefix + "edge all versions deleted"
        client.create_registered_model(every)
        for _ in range(2):
            client.create_model_version(every, f"runs:/{run_id}/model", run_id)
        for version in ("1", "2"):
            client.delete_model_version(every, version)
        client.create_registered_model(self.prefix + "edge before renaming")
        client.create_model_version(self.prefix + "edge before renaming", f"runs:/{run_id}/model", run_id)
        client.rename_registered_model(self.prefix + "edge before renaming", self.prefix + "edge after renaming")
        client.create_registered_model(self.prefix + "edge deleted model")
        client.delete_registered_model(self.prefix + "edge deleted model")

        sklearn_run = self.run(experiment, "sklearn", status=None)
        self.sklearn(sklearn_run, registered=self.prefix + "edge-sklearn")
        self.sklearn(sklearn_run, registered=self.prefix + "edge-sklearn", size=60)
        self.finish(sklearn_run)
        client.set_registered_model_alias(self.prefix + "edge-sklearn", "champion", "1")
        if self.three:
            mixed = self.prefix + "edge mixed sources"
            client.create_registered_model(mixed)
            client.create_model_version(mixed, f"models:/{self.ready_model}", model_id=self.ready_model)
            client.create_model_version(mixed, f"runs:/{run_id}/model", run_id)
            client.create_model_version(mixed, f"models:/{self.ready_model}", model_id=self.ready_model)

    def edge_left_out(self):
        """A prompt and a trace: not copied for now, and to be counted as left out."""
        if not self.three:
            return
        mlflow.genai.register_prompt(self.prefix + "edge-prompt", "Answer {{question}}.", tags={"t": "1"})
        experiment = self.experiment("edge/trace")
        span = self.client.start_trace("edge trace", inputs={"q": "?"}, experiment_id=experiment)
        self.client.end_trace(span.trace_id, outputs={"a": "!"})
        mlflow.flush_trace_async_logging()


def write_files(folder, files):
    for path, data in files.items():
        target = pathlib.Path(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


@contextlib.contextmanager
def quiet():
    """MLflow prints where to look after every run and model; nobody reads that here."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def count(client):
    """How much is there now, for the closing line."""
    experiments = client.search_experiments(view_type=ViewType.ALL, max_results=1000)
    runs, token = 0, None
    while True:
        page = client.search_runs([e.experiment_id for e in experiments], run_view_type=ViewType.ALL, max_results=5000, page_token=token)
        runs, token = runs + len(page), page.token
        if not token:
            return len(experiments), runs


def main():
    parser = argparse.ArgumentParser(description="Fill an MLflow server with known content.")
    parser.add_argument("uri")
    parser.add_argument("--size", choices=["tiny", "small", "demo", "edge"], default="small")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default="", help="put before every experiment's and model's name")
    options = parser.parse_args()
    started = time.monotonic()
    workload = Workload(options.uri, options.seed, options.name)
    with quiet():
        getattr(workload, options.size)()
    experiments, runs = count(workload.client)
    print(f"{options.uri} holds {experiments} experiments and {runs} runs ({time.monotonic() - started:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
