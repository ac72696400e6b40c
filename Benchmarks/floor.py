"""The fewest requests that any copier needs for a store, pumped by a plain loop: the floor under every backfill.

    floor.py PRIMARY SECONDARY [--database FILE] [--connections 8] [--no-quickack]

It is told to copy once, into an empty secondary, on a good day: no checkpoints, no state, no resuming, no
verification, and only what the benchmark's stores hold. Metric histories come by get-history-bulk, one request for a
metric of a hundred runs; with --database they come from the primary's SQLite file, in short transactions. What it
copies is whole and stamped, so that the judge can say so. Standard library only, so that its start and its CPU time are its own.
"""

import argparse
import collections
import concurrent.futures
import http.client
import json
import re
import socket
import sqlite3
import sys
import threading
import time
import urllib.parse

API = "/api/2.0/mlflow/"
STAMPS = [("mlmirror.pair", "floor"), ("mlmirror.primary.store", "floor")]


class Server:
    """Kept-alive connections, one a thread, that acknowledge at once."""

    def __init__(self, uri, quickack):
        self.host, self.port = urllib.parse.urlparse(uri).netloc.split(":")
        self.quickack = quickack
        self.local = threading.local()
        self.requests = collections.Counter()

    def send(self, method, path, body=None, kind="application/json"):
        connection = getattr(self.local, "connection", None)
        # The server closes a connection that was idle for 5 s, so an old one is not trusted.
        if connection is None or time.monotonic() - self.local.used > 3:
            connection = self.local.connection = http.client.HTTPConnection(self.host, int(self.port), timeout=120)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        if self.quickack:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        answer = connection.getresponse()
        data = answer.read()
        self.local.used = time.monotonic()
        self.requests[method + " " + path.split("?")[0].split("/artifacts/")[0]] += 1
        return answer.status, data

    def call(self, method, path, query=None, **body):
        """A JSON call. The two passing errors of a busy MLflow server are tried again."""
        path = (API if not path.startswith("/") else "") + path
        if query:
            path += "?" + urllib.parse.urlencode(query)
        encoded = None if method == "GET" else json.dumps(body).encode()
        for _ in range(5):
            status, data = self.send(method, path, encoded)
            if status == 200:
                return json.loads(data)
            passing = status == 500 and "search" in path or b"UNIQUE constraint failed: datasets" in data
            if not passing:
                break
        raise RuntimeError(f"{method} {path}: {status} {data[:300]!r}")

    def post(self, path, **body):
        return self.call("POST", path, **body)

    def pages(self, path, field, **body):
        token = None
        while True:
            page = self.post(path, **body, **({"page_token": token} if token else {}))
            yield from page.get(field, [])
            token = page.get("next_page_token")
            if not token:
                return


class Floor:
    def __init__(self, primary, secondary, pool, database):
        self.here, self.there, self.pool, self.database = primary, secondary, pool, database
        self.local = threading.local()
        self.histories = collections.defaultdict(dict)
        self.experiment_of, self.run_of, self.model_of, self.root_of = {"0": "0"}, {}, {}, {}

    def each(self, work, things):
        """All at once, as far as the pool goes; the first failure ends it."""
        list(self.pool.map(work, things))

    def copy(self):
        experiments = list(self.here.pages("experiments/search", "experiments", max_results=1000, view_type="ALL"))
        self.each(self.experiment, experiments)
        ids = [e["experiment_id"] for e in experiments]
        runs = list(self.here.pages("runs/search", "runs", experiment_ids=ids, max_results=1000, run_view_type="ALL"))
        models = self.logged_models(ids)
        if not self.database:
            self.read_histories(runs)
        # Parents before children, so that a child's create call can carry its parent's new id.
        for wave in waves(runs):
            self.each(self.create, wave)
        self.each(self.create_model, models)
        tasks = [(self.fill, run) for run in runs] + [(self.fill_model, model) for model in models]
        self.each(lambda task: task[0](task[1]), tasks)
        self.registry()
        for e in experiments:
            if e["lifecycle_stage"] == "deleted":
                self.there.post("experiments/delete", experiment_id=self.experiment_of[e["experiment_id"]])

    def experiment(self, e):
        old = e["experiment_id"]
        tags = stamped(e, experiment_id=old, artifact_location=e["artifact_location"])
        if old == "0":
            for tag in tags:
                self.there.post("experiments/set-experiment-tag", experiment_id="0", **tag)
            return
        self.experiment_of[old] = self.there.post("experiments/create", name=e["name"], tags=tags)["experiment_id"]

    # Runs

    def create(self, run):
        info, tags = run["info"], stamped(run["data"], run_id=run["info"]["run_id"])
        for tag in list(tags):
            value = self.mapped(tag["key"], tag.get("value", ""))
            if value != tag.get("value", ""):
                tags.append({"key": "mlmirror.original." + tag["key"], "value": tag["value"]})
                tag["value"] = value
        made = self.there.post(
            "runs/create", experiment_id=self.experiment_of[info["experiment_id"]], start_time=info["start_time"],
            user_id=info.get("user_id", ""), run_name=info.get("run_name", ""), tags=tags,
        )["run"]["info"]  # fmt: skip
        self.run_of[info["run_id"]] = made["run_id"]
        self.root_of[info["artifact_uri"]] = made["artifact_uri"]

    def fill(self, run):
        info, data, inputs = run["info"], run.get("data", {}), run.get("inputs", {})
        old, new = info["run_id"], self.run_of[info["run_id"]]
        params, metrics = data.get("params", []), self.points(old, data.get("metrics", []))
        while metrics or params:
            # A thousand entities a request, parameters first.
            part, params = params[:100], params[100:]
            room = 1000 - len(part)
            self.there.post("runs/log-batch", run_id=new, params=part, metrics=metrics[:room])
            metrics = metrics[room:]
        linked = [{"model_id": self.model_of[m["model_id"]]} for m in inputs.get("model_inputs", [])]
        if inputs.get("dataset_inputs") or linked:
            self.there.post("runs/log-inputs", run_id=new, datasets=inputs.get("dataset_inputs", []), models=linked)
        made = run.get("outputs", {}).get("model_outputs", [])
        if made:
            models = [m | {"model_id": self.model_of[m["model_id"]]} for m in made]
            self.there.post("runs/outputs", run_id=new, models=models)
        self.files(info["artifact_uri"])
        end = {"end_time": info["end_time"]} if "end_time" in info else {}
        self.there.post("runs/update", run_id=new, status=info["status"], **end)
        if info["lifecycle_stage"] == "deleted":
            self.there.post("runs/delete", run_id=new)

    def points(self, run_id, latest):
        if not latest:
            return []
        if not self.database:
            known = self.histories[run_id]
            return [point for m in latest for point in known.get(m["key"]) or self.history(run_id, m["key"])]
        if not hasattr(self.local, "database"):
            self.local.database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        rows = self.local.database.execute(
            "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ?", (run_id,)
        ).fetchall()
        return [
            {"key": k, "value": "NaN" if nan else v, "timestamp": t, "step": s} for k, v, t, s, nan in rows
        ]  # fmt: skip

    def read_histories(self, runs):
        groups = collections.defaultdict(list)
        for run in runs:
            for metric in run["data"].get("metrics", []):
                groups[metric["key"]].append(run["info"]["run_id"])
        self.each(
            lambda group: self.bulk(*group),
            [(key, ids[at : at + 100]) for key, ids in groups.items() for at in range(0, len(ids), 100)],
        )  # fmt: skip

    def bulk(self, key, ids):
        query = [("run_id", i) for i in ids] + [("metric_key", key), ("max_results", 25000)]
        points = self.here.call("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", query)["metrics"]
        if len(points) >= 25000:
            return  # Cut: run by run then.
        for point in points:
            kept = {k: point[k] for k in ("key", "value", "timestamp", "step")}
            self.histories[point["run_id"]].setdefault(key, []).append(kept)

    def history(self, run_id, key):
        token = None
        while True:
            query = {"run_id": run_id, "metric_key": key, "max_results": 25000} | ({"page_token": token} if token else {})
            page = self.here.call("GET", "metrics/get-history", query)
            yield from page.get("metrics", [])
            token = page.get("next_page_token")
            if not token:
                return

    # Artifacts

    def files(self, root):
        base, there = proxied(root), proxied(self.root_of[root])
        folders = [""]
        while folders:
            under = folders.pop()
            path = f"{base}/{under}".rstrip("/")
            listed = self.here.call("GET", "/api/2.0/mlflow-artifacts/artifacts", {"path": path})
            for entry in listed.get("files", []):
                name = f"{under}/{entry['path']}".lstrip("/")
                if entry.get("is_dir"):
                    folders.append(name)
                else:
                    self.file(f"{base}/{name}", f"{there}/{name}")

    def file(self, source, target):
        place = "/api/2.0/mlflow-artifacts/artifacts/"
        status, data = self.here.send("GET", place + urllib.parse.quote(source))
        if status == 200:
            status, _ = self.there.send("PUT", place + urllib.parse.quote(target), data, "application/octet-stream")
        if status != 200:
            raise RuntimeError(f"{source}: {status}")

    # Logged models and the registry

    def logged_models(self, ids):
        models, token = [], None
        while True:
            body = {"experiment_ids": ids, "max_results": 50} | ({"page_token": token} if token else {})
            page = self.here.post("logged-models/search", **body)
            models += page.get("models", [])
            token = page.get("next_page_token")
            if not token:
                return models

    def create_model(self, model):
        info, data = model["info"], model.get("data", {})
        tags = stamped({"tags": info.get("tags", [])}, model_id=info["model_id"])
        body = {k: info[k] for k in ("name", "model_type") if k in info}
        if info.get("source_run_id"):
            body["source_run_id"] = self.run_of[info["source_run_id"]]
        made = self.there.post(
            "logged-models", experiment_id=self.experiment_of[info["experiment_id"]], params=data.get("params", []),
            tags=tags, **body,
        )["model"]["info"]  # fmt: skip
        self.model_of[info["model_id"]] = made["model_id"]
        self.root_of[info["artifact_uri"]] = made["artifact_uri"]

    def fill_model(self, model):
        info = model["info"]
        self.files(info["artifact_uri"])
        if info["status"] in ("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"):
            new = self.model_of[info["model_id"]]
            self.there.call("PATCH", f"logged-models/{new}", model_id=new, status=info["status"])

    def registry(self):
        def get(path, field):
            token = None
            while True:
                query = {"max_results": 1000} | ({"page_token": token} if token else {})
                page = self.here.call("GET", path, query)
                yield from page.get(field, [])
                token = page.get("next_page_token")
                if not token:
                    return

        models = list(get("registered-models/search", "registered_models"))
        if not models:
            return
        versions = collections.defaultdict(list)
        for version in get("model-versions/search", "model_versions"):
            versions[version["name"]].append(version)
        self.each(lambda m: self.model(m, sorted(versions[m["name"]], key=lambda v: int(v["version"]))), models)

    def model(self, model, versions):
        name = model["name"]
        self.there.post("registered-models/create", name=name, description=model.get("description", ""), tags=stamped(model, model=name))
        for v in versions:
            source, run_id = self.source(v["source"]), self.run_of.get(v.get("run_id", ""), "")
            body = {"model_id": source.removeprefix("models:/")} if source.startswith("models:/m-") else {}
            self.there.post(
                "model-versions/create", name=name, source=source, run_id=run_id, description=v.get("description", ""),
                tags=stamped(v, version=v["version"], source=v["source"]), **body,
            )  # fmt: skip
        for alias in model.get("aliases", []):
            self.there.post("registered-models/alias", name=name, alias=alias["alias"], version=alias["version"])

    def source(self, source):
        for old, new in self.root_of.items():
            if source.startswith(old + "/"):
                return new + source.removeprefix(old)
        return self.mapped("", source)

    def mapped(self, key, value):
        if key == "mlflow.parentRunId":
            return self.run_of.get(value, value)
        value = re.sub(r"(runs:/)([0-9a-f]{32})", lambda m: m[1] + self.run_of.get(m[2], m[2]), value)
        return re.sub(r"(models:/)(m-[0-9a-f]{32})", lambda m: m[1] + self.model_of.get(m[2], m[2]), value)


def stamped(owner, **stamps):
    tags = [dict(tag) for tag in owner.get("tags", [])]
    pairs = STAMPS + [(f"mlmirror.primary.{key}", str(value)) for key, value in stamps.items()]
    return tags + [{"key": key, "value": value} for key, value in pairs]


def proxied(root):
    return urllib.parse.urlparse(root).path.strip("/")


def waves(runs):
    """Runs by depth: those without a parent here, then their children, and so on. Rings come last."""
    left = {run["info"]["run_id"]: run for run in runs}
    parent = {
        i: next((t.get("value") for t in r["data"].get("tags", []) if t["key"] == "mlflow.parentRunId"), None)
        for i, r in left.items()
    }
    while left:
        wave = [i for i in left if parent[i] not in left] or list(left)
        yield [left.pop(i) for i in wave]


def main():
    parser = argparse.ArgumentParser(description="Copy a small MLflow store by the fewest requests.")
    parser.add_argument("primary")
    parser.add_argument("secondary")
    parser.add_argument("--database", help="the primary's SQLite file, to read metric histories from")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--no-quickack", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    servers = [Server(uri, not options.no_quickack) for uri in (options.primary, options.secondary)]
    with concurrent.futures.ThreadPoolExecutor(options.connections) as pool:
        Floor(*servers, pool, options.database).copy()
    sent = [sum(server.requests.values()) for server in servers]
    print(f"{time.monotonic() - began:.2f} s, {sent[0]} requests to the primary, {sent[1]} to the secondary")
    return 0


if __name__ == "__main__":
    sys.exit(main())
