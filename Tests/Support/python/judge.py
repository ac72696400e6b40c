"""The independent judge: is the secondary MLflow server a true copy of the primary?

    judge.py PRIMARY SECONDARY [--json] [--experiment NAME]... [--model NAME]... [--pair NAME] [--foreign]
             [--by-name] [--no-artifacts]

Reads both servers whole through MLflow's own client, never through ours, and compares every field of every
entity; artifacts by SHA-256 of their bytes. Exit 0: equal. 4: differences (the first 50 are printed).
Anything else: could not judge.

What a true copy is:
- Experiments match by name, registered models by name, versions by number. Runs and logged models match by the
  tag mlmirror.primary.run_id / .model_id on the secondary, exactly one each: none lost, doubled or added.
- Ids of the primary are expected as ids of the secondary in: parents, log-model histories, runs:/ and models:/
  URIs in tags, model inputs and outputs, source runs, version sources and run links. An id that belongs to
  nothing on the primary stands as it is. Where a tag's value was rewritten, mlmirror.original.<key> has the old one.
- mlmirror.* tags are not compared otherwise; stamps must be there and all of one pair and one store.
- An artifact that the primary lists and will not serve is counted, not compared.
- Times that the server sets itself (creation, last update) are not compared. Prompts and traces are left out.

--experiment and --model compare these alone; with --experiment the registry is left out unless --model names
some of it. --foreign allows things on the secondary that bear no stamp, or, with --pair, that of another pair.
--by-name judges copies made by other programs: without stamps, runs and logged models match by their names.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import math
import os
import re
import sys
import tempfile
import threading
import time
import urllib.parse

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow  # noqa: E402
import quickack  # noqa: E402
import requests  # noqa: E402
from mlflow.entities import ViewType  # noqa: E402

EXIT_EQUAL, EXIT_FAILED, EXIT_DIFFERENT = 0, 1, 4
SHOWN = 50
UNREADABLE = "unreadable"
STAMP = "mlmirror."
ORIGINAL = "mlmirror.original."
ID_IN_URI = re.compile(r"\b(runs:/+)([0-9a-f]{32})\b|\b(models:/+)(m-[0-9a-f]{32})\b")


class Side:
    """One server, read whole."""

    def __init__(self, uri, pool, wanted, models, registry, artifacts):
        self.uri, self.pool = uri.rstrip("/"), pool
        self.client = mlflow.MlflowClient(self.uri, self.uri)
        self.local = threading.local()
        every = self.pages(self.client.search_experiments, view_type=ViewType.ALL, max_results=1000)
        self.experiments = {e.name: e for e in every if not wanted or e.name in wanted}
        ids = [e.experiment_id for e in self.experiments.values()]
        # runs/search leaves model inputs out, so each run is asked for by itself.
        found = [r.info.run_id for r in self.search_runs(ids)]
        self.runs = dict(zip(found, pool.map(self.client.get_run, found)))
        self.logged = {m.model_id: m for m in self.search_logged_models(ids)}
        self.registered, self.versions = {}, {}
        if registry:
            self.read_registry(models)
        # The long part, spread over the pool: wait() collects it.
        self.points = {
            (run_id, key): pool.submit(self.history, run_id, key)
            for run_id, run in self.runs.items()
            for key in run.data.metrics
        }
        self.files = {}
        if artifacts:
            roots = {i: r.info.artifact_uri for i, r in self.runs.items()}
            roots |= {i: m.artifact_location for i, m in self.logged.items()}
            self.files = {i: pool.submit(self.tree, i, root) for i, root in roots.items()}

    def wait(self):
        self.points = {at: future.result() for at, future in self.points.items()}
        self.files = {at: future.result() for at, future in self.files.items()}

    @staticmethod
    def pages(search, **named):
        token, found = None, []
        while True:
            page = search(page_token=token, **named)
            found.extend(page)
            token = page.token
            if not token:
                return found

    def search_runs(self, ids):
        if not ids:
            return []
        return self.pages(self.client.search_runs, experiment_ids=ids, run_view_type=ViewType.ALL, max_results=1000)

    def search_logged_models(self, ids):
        if not ids or not hasattr(self.client, "search_logged_models"):
            return []
        try:
            return self.pages(self.client.search_logged_models, experiment_ids=ids, max_results=50)
        except mlflow.MlflowException as error:  # an MLflow 2 server knows nothing of them
            if "404" in str(error):
                return []
            raise

    def read_registry(self, wanted):
        for model in self.pages(self.client.search_registered_models, max_results=1000):
            if "mlflow.prompt.is_prompt" not in model.tags and (not wanted or model.name in wanted):
                self.registered[model.name] = model
        for version in self.pages(self.client.search_model_versions, max_results=10_000):
            if version.name in self.registered:
                self.versions[(version.name, int(version.version))] = version

    def history(self, run_id, key):
        """A metric's whole series as a multiset."""
        return collections.Counter(
            (number(p.value), p.timestamp, p.step) for p in self.client.get_metric_history(run_id, key)
        )

    # Artifacts

    def tree(self, owner, root):
        """{path: (size, SHA-256)} of everything below an artifact root."""
        if root.startswith("mlflow-artifacts:"):
            base = urllib.parse.urlparse(root).path.strip("/")
            files, folders = {}, [""]
            while folders:
                under = folders.pop()
                for path, is_folder, size in self.listing(base, under):
                    if is_folder:
                        folders.append(path)
                    else:
                        files[path] = (size, self.digest(base, path))
            return files
        with tempfile.TemporaryDirectory() as folder:  # not behind the proxy: the client knows how
            top = mlflow.artifacts.download_artifacts(artifact_uri=root, dst_path=folder, tracking_uri=self.uri)
            return {
                os.path.relpath(os.path.join(at, name), top): digest_file(os.path.join(at, name))
                for at, _, names in os.walk(top)
                for name in names
            }

    def listing(self, base, under):
        answer = self.get("artifacts", params={"path": f"{base}/{under}".rstrip("/")})
        for entry in answer.json().get("files", []):
            path = f"{under}/{entry['path']}" if under else entry["path"]
            yield path, bool(entry.get("is_dir")), int(entry.get("file_size") or 0)

    def digest(self, base, path):
        try:
            with self.get("artifacts/" + urllib.parse.quote(f"{base}/{path}"), stream=True) as answer:
                hashed = hashlib.sha256()
                for chunk in answer.iter_content(1 << 20):
                    hashed.update(chunk)
                return hashed.hexdigest()
        except requests.HTTPError as error:  # a name that the proxy refuses to serve
            return f"{UNREADABLE} ({error.response.status_code})"
        except requests.ConnectionError:  # MLflow 2 hangs up instead of serving a name outside Latin-1
            self.get("artifacts", params={"path": base})  # is it there at all? if not, this raises
            return f"{UNREADABLE} (connection dropped)"

    def get(self, path, **named):
        if not hasattr(self.local, "session"):
            self.local.session = requests.Session()
        url = f"{self.uri}/api/2.0/mlflow-artifacts/{path}"
        for attempt in range(5):
            try:
                answer = self.local.session.get(url, timeout=300, headers={"Accept-Encoding": "identity"}, **named)
                if answer.status_code < 500 or attempt == 4:
                    answer.raise_for_status()
                    return answer
            except requests.ConnectionError:  # MLflow 2 closes kept-alive connections at any moment
                if attempt == 4:
                    raise
            time.sleep(0.1 * 2**attempt)


def digest_file(path):
    with open(path, "rb") as file:
        return os.path.getsize(path), hashlib.file_digest(file, "sha256").hexdigest()


def number(value):
    """Values that compare as values: NaN equal to NaN, 0 equal to -0."""
    return "NaN" if math.isnan(value) else float(value) + 0.0


class Judge:
    def __init__(self, primary, secondary, pair=None, foreign=False, by_name=False):
        self.primary, self.secondary = primary, secondary
        self.pair, self.foreign, self.by_name = pair, foreign, by_name
        self.differences = []
        self.counts = collections.Counter()
        self.doubled = set()
        self.seen_stamps = collections.defaultdict(set)
        self.experiment_name = {
            side: {e.experiment_id: name for name, e in side.experiments.items()} for side in (primary, secondary)
        }
        self.run_of = self.identities("run", primary.runs, secondary.runs, "run_id", lambda r: r.data.tags)
        self.logged_of = self.identities(
            "logged model", primary.logged, secondary.logged, "model_id", lambda m: m.tags or {}
        )
        # Longest first, so that a run's root never wins over a deeper one.
        self.roots = sorted(
            [(primary.runs[p].info.artifact_uri, secondary.runs[s].info.artifact_uri) for p, s in self.run_of.items()]
            + [(primary.logged[p].artifact_location, secondary.logged[s].artifact_location)
               for p, s in self.logged_of.items()],
            key=lambda pair: -len(pair[0]),
        )  # fmt: skip

    def judge(self):
        self.compare_experiments()
        for p, s in self.run_of.items():
            if p not in self.doubled:  # of two copies, which one to compare?
                self.compare_run(self.primary.runs[p], self.secondary.runs[s])
        for p, s in self.logged_of.items():
            if p not in self.doubled:
                self.compare_logged_model(self.primary.logged[p], self.secondary.logged[s])
        self.compare_registry()
        for key, values in self.seen_stamps.items():
            if len(values) > 1:
                self.note("stamps", "", key, "one value everywhere", sorted(values))
        return self

    # What belongs to what

    def note(self, kind, where, field, primary, secondary):
        self.differences.append(
            {"kind": kind, "where": where, "field": field, "primary": plain(primary), "secondary": plain(secondary)}
        )

    def is_ours(self, tags, key):
        """Does a thing on the secondary take part? Without --foreign everything does."""
        if not self.foreign:
            return True
        return key in tags and (self.pair is None or tags.get("mlmirror.pair") == self.pair)

    def identities(self, kind, primary, secondary, key, tags_of):
        """{primary id: secondary id} by stamp; notes what is lost, doubled or added."""
        stamp, mirrored = f"mlmirror.primary.{key}", collections.defaultdict(list)
        named = {self.name(self.primary, thing): here for here, thing in primary.items()} if self.by_name else {}
        for there, thing in secondary.items():
            tags = tags_of(thing)
            if not self.is_ours(tags, stamp):
                continue
            here = named.get(self.name(self.secondary, thing)) if self.by_name else tags.get(stamp)
            if here is None:
                self.note(kind, there, "added", "nothing", "one without a stamp")
            elif here not in primary:
                self.note(kind, there, "added", "nothing", f"a copy of {here}")
            else:
                mirrored[here].append(there)
                self.expect_stamps(kind, there, tags)
        for here in primary:
            self.counts[f"{kind}s"] += 1
            if here not in mirrored:
                self.note(kind, self.title(kind, primary[here]), "lost", here, "nothing")
            elif len(mirrored[here]) > 1:
                self.note(kind, self.title(kind, primary[here]), "doubled", here, mirrored[here])
                self.doubled.add(here)
        return {here: there[0] for here, there in mirrored.items()}

    def expect_stamps(self, kind, where, tags, **expected):
        """The pair's and the store's stamp must be there, and those given must have their value."""
        if self.by_name:
            return
        for key in ("mlmirror.pair", "mlmirror.primary.store"):
            if key in tags:
                self.seen_stamps[key].add(tags[key])
            else:
                self.note(kind, where, key, "a stamp", "nothing")
        for key, value in expected.items():
            self.same(kind, where, f"mlmirror.primary.{key}", value, tags.get(f"mlmirror.primary.{key}"))

    def title(self, kind, thing):
        if kind == "run":
            name = self.experiment_name[self.primary].get(thing.info.experiment_id, thing.info.experiment_id)
            return f"{name} / {thing.info.run_name} ({thing.info.run_id})"
        return f"{thing.name} ({thing.model_id})"

    def name(self, side, thing):
        """By what --by-name tells things apart."""
        if hasattr(thing, "info"):
            return self.experiment_name[side].get(thing.info.experiment_id), thing.info.run_name
        return self.experiment_name[side].get(thing.experiment_id), thing.name

    # Ids of the primary as ids of the secondary

    def mapped_text(self, text):
        def replace(match):
            if match[2]:
                return match[1] + self.run_of.get(match[2], match[2])
            return match[3] + self.logged_of.get(match[4], match[4])

        return ID_IN_URI.sub(replace, text)

    def mapped_tag(self, key, value):
        if key == "mlflow.parentRunId":
            return self.run_of.get(value, value)
        if key == "mlflow.log-model.history":
            try:
                entries = json.loads(value)
                for entry in entries:
                    if "run_id" in entry:
                        entry["run_id"] = self.run_of.get(entry["run_id"], entry["run_id"])
                return self.mapped_text(json.dumps(entries))
            except (ValueError, TypeError):
                return value
        return self.mapped_text(value)

    def mapped_source(self, source):
        for here, there in self.roots:
            if source == here or source.startswith(here.rstrip("/") + "/"):
                return there + source[len(here) :]
        return self.mapped_text(source)

    @staticmethod
    def normal_tag(key, value):
        """Values that may be written differently and mean the same."""
        try:
            if key == "mlflow.log-model.history":
                return json.dumps(json.loads(value), sort_keys=True)
            if key == "mlflow.modelVersions":  # the server writes it itself, and lists a version twice
                return json.dumps(sorted({(v["name"], str(v["version"])) for v in json.loads(value)}))
        except (ValueError, TypeError, KeyError):
            pass
        return value

    # Comparing

    def same(self, kind, where, field, primary, secondary):
        self.counts["fields"] += 1
        if primary != secondary:
            self.note(kind, where, field, primary, secondary)

    def same_map(self, kind, where, field, primary, secondary):
        self.counts["fields"] += len(primary)
        for key in sorted(primary.keys() | secondary.keys()):
            if primary.get(key) != secondary.get(key):
                self.note(kind, where, f"{field} {key}", primary.get(key), secondary.get(key))

    def same_multiset(self, kind, where, field, primary, secondary):
        primary, secondary = collections.Counter(primary), collections.Counter(secondary)
        self.counts["fields"] += 1
        if primary != secondary:
            lost, added = primary - secondary, secondary - primary
            self.note(
                kind, where, field,
                f"{primary.total()} in all, {lost.total()} lost, first {first(lost)}",
                f"{secondary.total()} in all, {added.total()} added, first {first(added)}",
            )  # fmt: skip

    def same_tags(self, kind, where, primary, secondary):
        primary = {k: v for k, v in (primary or {}).items() if not k.startswith(STAMP)}
        theirs = {k: v for k, v in (secondary or {}).items() if not k.startswith(STAMP)}
        expected = {k: self.mapped_tag(k, v) for k, v in primary.items()}
        self.same_map(
            kind, where, "tag",
            {k: self.normal_tag(k, v) for k, v in expected.items()},
            {k: self.normal_tag(k, v) for k, v in theirs.items()},
        )  # fmt: skip
        for key, value in primary.items():
            if not self.by_name and self.normal_tag(key, value) != self.normal_tag(key, expected[key]):
                self.same(kind, where, f"tag {ORIGINAL}{key}", value, (secondary or {}).get(ORIGINAL + key))

    def compare_experiments(self):
        kind = "experiment"
        for name, here in self.primary.experiments.items():
            self.counts["experiments"] += 1
            there = self.secondary.experiments.get(name)
            if there is None:
                self.note(kind, name, "lost", here.experiment_id, "nothing")
                continue
            self.same(kind, name, "lifecycle_stage", here.lifecycle_stage, there.lifecycle_stage)
            self.same_tags(kind, name, here.tags, there.tags)
            self.expect_stamps(
                kind, name, there.tags, experiment_id=here.experiment_id, artifact_location=here.artifact_location
            )
        for name, there in self.secondary.experiments.items():
            if name not in self.primary.experiments and self.is_ours(there.tags, "mlmirror.primary.experiment_id"):
                self.note(kind, name, "added", "nothing", there.experiment_id)

    def compare_run(self, here, there):
        kind, where = "run", self.title("run", here)
        self.same(
            kind, where, "experiment",
            self.experiment_name[self.primary].get(here.info.experiment_id),
            self.experiment_name[self.secondary].get(there.info.experiment_id),
        )  # fmt: skip
        for field in ("run_name", "status", "start_time", "end_time", "user_id", "lifecycle_stage"):
            self.same(kind, where, field, getattr(here.info, field), getattr(there.info, field))
        self.same_map(kind, where, "param", here.data.params, there.data.params)
        self.same_tags(kind, where, here.data.tags, there.data.tags)
        # The latest value that the server derives, and the whole series.
        self.same_map(kind, where, "latest metric", latest(here), latest(there))
        for key in here.data.metrics.keys() & there.data.metrics.keys():
            series = self.primary.points[here.info.run_id, key]
            self.counts["points"] += series.total()
            self.same_multiset(kind, where, f"metric {key}", series, self.secondary.points[there.info.run_id, key])
        self.same_multiset(kind, where, "dataset inputs", datasets(here), datasets(there))
        inputs, outputs = model_links(here, self.logged_of)
        their_inputs, their_outputs = model_links(there)
        self.same_multiset(kind, where, "model inputs", inputs, their_inputs)
        self.same_multiset(kind, where, "model outputs", outputs, their_outputs)
        self.compare_files(kind, where, here.info.run_id, there.info.run_id)

    def compare_logged_model(self, here, there):
        kind, where = "logged model", self.title("logged model", here)
        self.same(
            kind, where, "experiment",
            self.experiment_name[self.primary].get(here.experiment_id),
            self.experiment_name[self.secondary].get(there.experiment_id),
        )  # fmt: skip
        for field in ("name", "model_type", "status"):
            self.same(kind, where, field, str(getattr(here, field) or ""), str(getattr(there, field) or ""))
        source = here.source_run_id or ""
        self.same(kind, where, "source_run_id", self.run_of.get(source, source), there.source_run_id or "")
        self.same_map(kind, where, "param", here.params or {}, there.params or {})
        self.same_tags(kind, where, here.tags, there.tags)
        self.same_multiset(kind, where, "metrics", model_metrics(here, self.run_of), model_metrics(there))
        self.compare_files(kind, where, here.model_id, there.model_id)

    def compare_files(self, kind, where, here, there):
        files, theirs = self.primary.files.get(here, {}), self.secondary.files.get(there, {})
        # What the primary itself cannot serve, nobody can copy or compare.
        unreadable = {path for path, (_, digest) in files.items() if digest.startswith(UNREADABLE)}
        self.counts["unreadable files"] += len(unreadable)
        files, theirs = (
            {path: file for path, file in side.items() if path not in unreadable} for side in (files, theirs)
        )
        self.counts["files"] += len(files)
        self.counts["bytes"] += sum(size for size, _ in files.values())
        self.same_map(kind, where, "artifact", files, theirs)

    def compare_registry(self):
        kind = "registered model"
        for name, here in self.primary.registered.items():
            self.counts["registered models"] += 1
            there = self.secondary.registered.get(name)
            if there is None:
                self.note(kind, name, "lost", name, "nothing")
                continue
            self.same(kind, name, "description", here.description or "", there.description or "")
            self.same_map(kind, name, "alias", aliases(here), aliases(there))
            self.same_tags(kind, name, here.tags, there.tags)
            self.expect_stamps(kind, name, there.tags, model=name)
        for name, there in self.secondary.registered.items():
            if name not in self.primary.registered and self.is_ours(there.tags, "mlmirror.primary.model"):
                self.note(kind, name, "added", "nothing", name)
        for at, here in self.primary.versions.items():
            self.counts["versions"] += 1
            where = f"{at[0]} version {at[1]}"
            if at not in self.secondary.versions:
                if at[0] in self.secondary.registered:  # else the whole model is named above
                    self.note("version", where, "lost", at[1], "nothing")
                continue
            self.compare_version(where, here, self.secondary.versions[at])
        for at, there in self.secondary.versions.items():
            known = at in self.primary.versions or at[0] not in self.primary.registered
            if not known and self.is_ours(there.tags, "mlmirror.primary.version"):
                self.note("version", f"{at[0]} version {at[1]}", "added", "nothing", at[1])

    def compare_version(self, where, here, there):
        kind = "version"
        for field in ("current_stage", "status", "description", "run_link"):
            self.same(kind, where, field, getattr(here, field) or "", getattr(there, field) or "")
        run = here.run_id or ""
        self.same(kind, where, "run_id", self.run_of.get(run, run), there.run_id or "")
        self.same(kind, where, "source", self.mapped_source(here.source), there.source)
        model = getattr(here, "model_id", None) or ""
        self.same(kind, where, "model_id", self.logged_of.get(model, model), getattr(there, "model_id", None) or "")
        self.same_tags(kind, where, here.tags, there.tags)
        self.expect_stamps(kind, where, there.tags, version=str(here.version), source=here.source)


def latest(run):
    return {m.key: (number(m.value), m.timestamp, m.step) for m in run.data._metric_objs}


def datasets(run):
    inputs = run.inputs.dataset_inputs if run.inputs else []
    for entry in inputs:
        dataset = entry.dataset
        fields = (dataset.name, dataset.digest, dataset.source_type, dataset.source, dataset.schema, dataset.profile)
        tags = tuple(sorted((tag.key, tag.value) for tag in entry.tags))
        yield tuple(field or "" for field in fields) + (tags,)


def model_links(run, mapped=None):
    mapped = mapped or {}
    inputs = getattr(run.inputs, "model_inputs", None) or []
    outputs = getattr(getattr(run, "outputs", None), "model_outputs", None) or []
    return (
        [mapped.get(link.model_id, link.model_id) for link in inputs],
        [(mapped.get(link.model_id, link.model_id), link.step) for link in outputs],
    )


def model_metrics(model, mapped=None):
    mapped = mapped or {}
    return [
        (m.key, number(m.value), m.timestamp, m.step, mapped.get(m.run_id, m.run_id), m.dataset_name, m.dataset_digest)
        for m in model.metrics or []
    ]


def aliases(model):
    return {alias: str(version) for alias, version in (model.aliases or {}).items()}


def first(counter):
    return next(iter(counter), None)


def plain(value):
    """Short enough to read, and fit for JSON."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 300 else f"{text[:140]}…{text[-140:]} ({len(text)} characters)"


def compare(primary_uri, secondary_uri, experiments=(), models=(), artifacts=True, threads=8, **how):
    """Reads two servers and judges them; `how` is what Judge takes."""
    quickack.install()
    registry = bool(models) or not experiments
    with (
        concurrent.futures.ThreadPoolExecutor(threads) as here,
        concurrent.futures.ThreadPoolExecutor(threads) as there,
        concurrent.futures.ThreadPoolExecutor(2) as both,
    ):
        sides = [
            both.submit(Side, uri, pool, set(experiments), set(models), registry, artifacts)
            for uri, pool in ((primary_uri, here), (secondary_uri, there))
        ]
        primary, secondary = (side.result() for side in sides)
        primary.wait(), secondary.wait()
        return Judge(primary, secondary, **how).judge()


def main():
    parser = argparse.ArgumentParser(description="Compare two MLflow servers, of which one is to be a copy.")
    parser.add_argument("primary")
    parser.add_argument("secondary")
    parser.add_argument("--experiment", action="append", default=[], metavar="NAME", help="compare this one alone; repeatable")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="compare this registered model alone")
    parser.add_argument("--pair", help="count as ours only what bears this pair's stamp (with --foreign)")
    parser.add_argument("--foreign", action="store_true", help="allow unstamped things on the secondary")
    parser.add_argument("--by-name", action="store_true", help="match runs by name instead of by stamp")
    parser.add_argument("--no-artifacts", action="store_true")
    parser.add_argument("--threads", type=int, default=8, help="connections to each side")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    judged = compare(
        options.primary, options.secondary, options.experiment, options.model, not options.no_artifacts,
        options.threads, pair=options.pair, foreign=options.foreign, by_name=options.by_name,
    )  # fmt: skip
    different, seconds = judged.differences, round(time.monotonic() - started, 2)
    if options.json:
        print(json.dumps({"equal": not different, "differences": different, "counts": judged.counts, "seconds": seconds}))
    else:
        for d in different[:SHOWN]:
            print(f"{d['kind']} {d['where']}: {d['field']}\n    primary:   {d['primary']}\n    secondary: {d['secondary']}")
        if len(different) > SHOWN:
            print(f"... and {len(different) - SHOWN} more")
        compared = ", ".join(f"{number:,} {what}" for what, number in judged.counts.items() if number)
        print(f"{len(different)} differences" if different else "equal", f"({compared}; {seconds} s)")
    return EXIT_DIFFERENT if different else EXIT_EQUAL


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (mlflow.MlflowException, requests.RequestException) as error:
        print(f"judge: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
