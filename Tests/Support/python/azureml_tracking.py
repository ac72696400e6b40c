"""Experiments, runs and metrics of the Azure ML emulator, translated for the MLflow server behind and back."""

import base64
import collections
import re
import threading
import time
import uuid

import azureml_errors as errors
import azureml_limits as limits
from azureml_errors import as_json
from azureml_runs import KnownRuns

# The server behind has a "Default" of its own, that nobody made here and nobody sees.
BEHIND_DEFAULT = "Default (made by a client)"
QUOTED_DEFAULT = re.compile(r"'Default'|\"Default\"")
CLIENT_PAGE = 25_000
REFUSED_PAGE = 1000
RUN_INFO = ("run_name", "user_id", "status", "start_time", "end_time", "lifecycle_stage")
EXPERIMENT_LISTS, RUN_LISTS = ("order_by",), ("experiment_ids", "order_by")


class Tracking:
    def __init__(self, emulator):
        self.emulator, self.store, self.behind = emulator, emulator.store, emulator.behind
        self.ids, self.faults, self.options = emulator.ids, emulator.faults, emulator.options
        self.runs = KnownRuns(emulator.store, emulator.behind)
        self.experiment_lock = threading.Lock()
        self.pending, self.wake, self.ended = collections.deque(), threading.Condition(), False
        self.worker = threading.Thread(target=self.apply_pending, daemon=True)
        self.worker.start()
        self.routes = {
            ("POST", "experiments/create"): self.create_experiment,
            ("GET", "experiments/get"): self.get_experiment,
            ("GET", "experiments/get-by-name"): self.get_experiment_by_name,
            ("GET", "experiments/search"): self.search_experiments,
            ("POST", "experiments/search"): self.search_experiments,
            ("POST", "experiments/set-experiment-tag"): self.set_experiment_tag,
            ("POST", "experiments/delete"): self.pass_experiment,
            ("POST", "experiments/restore"): self.pass_experiment,
            ("POST", "runs/create"): self.create_run,
            ("GET", "runs/get"): self.get_run,
            ("POST", "runs/update"): self.update_run,
            ("POST", "runs/delete"): self.pass_run,
            ("POST", "runs/restore"): self.pass_run,
            ("POST", "runs/log-metric"): self.log_metric,
            ("POST", "runs/log-parameter"): self.log_parameter,
            ("POST", "runs/log-batch"): self.log_batch,
            ("POST", "runs/set-tag"): self.set_tag,
            ("POST", "runs/delete-tag"): self.delete_tag,
            ("POST", "runs/log-inputs"): self.log_inputs,
            ("POST", "runs/log-model"): self.log_model,
            ("POST", "runs/search"): self.search_runs,
            ("GET", "metrics/get-history"): self.get_history,
        }
        if self.options.no_log_inputs:
            del self.routes["POST", "runs/log-inputs"]
        self.previews = {
            ("POST", "runs/log-batch-async"): self.log_batch_async,
            ("GET", "runs/get-run-data-status"): self.get_run_data_status,
        }

    def answer(self, request, name):
        routes, name = (self.previews, name[15:]) if name.startswith("preview/") else (self.routes, name[7:])
        return as_json(serve(routes, request, name) or {})

    # Experiments

    def create_experiment(self, given):
        name, tags = given.get("name"), limits.pairs(given.get("tags"))
        if not isinstance(name, str) or not name:
            raise errors.invalid("Missing value for required parameter 'name'.")
        if len(name) > limits.EXPERIMENT_NAME:
            raise errors.over_limit("ExperimentName", limits.EXPERIMENT_NAME, len(name))
        limits.check_tags(tags, key_length=limits.EXPERIMENT_TAG_KEY)
        inner = BEHIND_DEFAULT if name == "Default" else name
        done = self.behind.call("POST", "experiments/create", {"name": inner, "tags": as_list(tags)})
        return {"experiment_id": self.ids.experiment_out(done["experiment_id"])}

    def get_experiment(self, given):
        return self.experiment(self.ids.experiment_in(given.get("experiment_id")))

    def experiment(self, inner):
        found = self.behind.call("GET", "experiments/get", {"experiment_id": inner})
        return {"experiment": self.shape_experiment(found["experiment"])}

    def get_experiment_by_name(self, given):
        name = given.get("experiment_name", "")
        # Such a name can be made and is then never found again.
        if "/" in name:
            raise errors.not_found(f"Could not find experiment with name '{name}'")
        inner = BEHIND_DEFAULT if name == "Default" else name
        found = self.behind.call("GET", "experiments/get-by-name", {"experiment_name": inner})
        return {"experiment": self.shape_experiment(found["experiment"])}

    def search_experiments(self, given):
        asked = {key: given[key] for key in ("max_results", "view_type", "filter", "order_by", "page_token") if key in given}
        if asked.get("filter"):
            asked["filter"] = QUOTED_DEFAULT.sub(f"'{BEHIND_DEFAULT}'", asked["filter"])
        asked["max_results"] = limits.integer(asked.get("max_results") or 1000)
        found = self.behind.call("POST", "experiments/search", asked)
        seen = [entry for entry in found.get("experiments", []) if entry["experiment_id"] != "0" and "/" not in entry["name"]]
        return paged({"experiments": [self.shape_experiment(entry) for entry in seen]}, found)

    def set_experiment_tag(self, given):
        inner, tags = self.ids.experiment_in(given.get("experiment_id")), limits.pairs([given])
        with self.experiment_lock:
            known = {tag["key"] for tag in self.experiment(inner)["experiment"]["tags"]}
            limits.check_tags(tags, known, key_length=limits.EXPERIMENT_TAG_KEY)
            ((key, value),) = tags.items()
            self.behind.call("POST", "experiments/set-experiment-tag", {"experiment_id": inner, "key": key, "value": value})

    def pass_experiment(self, given, route):
        self.behind.call("POST", route, {"experiment_id": self.ids.experiment_in(given.get("experiment_id"))})

    def shape_experiment(self, entry):
        name = "Default" if entry["name"] == BEHIND_DEFAULT else entry["name"]
        more = {key: entry[key] for key in ("lifecycle_stage", "creation_time", "last_update_time") if key in entry}
        experiment_id = self.ids.experiment_out(entry["experiment_id"])
        return {"experiment_id": experiment_id, "name": name, "artifact_location": "", **more, "tags": entry.get("tags", [])}

    # Runs

    def create_run(self, given):
        tags = limits.pairs(given.get("tags"))
        limits.check_tags(tags, most=self.faults.limit("tags", limits.TAGS))
        asked = {key: given[key] for key in ("user_id", "run_name", "start_time") if given.get(key) is not None}
        asked |= {"experiment_id": self.ids.experiment_in(given.get("experiment_id")), "tags": as_list(tags)}
        return {"run": self.shape_run(self.behind.call("POST", "runs/create", asked)["run"])}

    def get_run(self, given):
        return {"run": self.shape_run(self.behind.call("GET", "runs/get", {"run_id": self.run_id(given)})["run"])}

    def update_run(self, given):
        asked = {key: given[key] for key in ("status", "end_time", "run_name") if given.get(key) is not None}
        inner = self.run_id(given)
        with self.runs.writing(inner) as known:
            done = self.behind.call("POST", "runs/update", {"run_id": inner, **asked})
            known.tags |= {"mlflow.runName"} if "run_name" in asked else set()
        return {"run_info": self.shape_info(done["run_info"])}

    def pass_run(self, given, route):
        self.behind.call("POST", route, {"run_id": self.run_id(given)})

    def search_runs(self, given):
        limits.check_run_search(given.get("filter"), given.get("order_by"))
        asked = {key: given[key] for key in ("run_view_type", "order_by", "page_token") if given.get(key)}
        asked["max_results"] = limits.integer(given.get("max_results") or 1000)
        if given.get("filter"):
            asked["filter"] = limits.run_ids_inside(given["filter"], self.ids.run_in)
        asked["experiment_ids"] = []
        for guid in given.get("experiment_ids") or []:
            try:
                asked["experiment_ids"].append(self.ids.experiment_in(guid))
            except errors.Failure:
                pass  # an experiment that is not there has no runs
        if not asked["experiment_ids"]:
            return {"runs": []}
        found = self.behind.call("POST", "runs/search", asked)
        return paged({"runs": [self.shape_run(run) for run in found.get("runs", [])]}, found)

    def shape_info(self, info):
        run, experiment = self.ids.run_out(info["run_id"]), self.ids.experiment_out(info["experiment_id"])
        return {
            "run_id": run, "run_uuid": run, "experiment_id": experiment, "artifact_uri": self.ids.artifact_uri(experiment, run),
            **{key: info[key] for key in RUN_INFO if key in info},
        }  # fmt: skip

    def shape_run(self, run):
        data = run.get("data", {})
        metrics = [{key: entry.get(key, 0) for key in ("key", "value", "timestamp", "step")} for entry in data.get("metrics", [])]
        shaped = {"metrics": metrics, "params": data.get("params", []), "tags": data.get("tags", [])}
        return {
            "info": self.shape_info(run["info"]), "data": shaped,
            "inputs": {"dataset_inputs": run.get("inputs", {}).get("dataset_inputs", [])},
        }  # fmt: skip

    # Writing to runs

    def run_id(self, given):
        return self.ids.run_in(given.get("run_id") or given.get("run_uuid"))

    def run_exists(self, guid):
        try:
            inner = self.ids.run_in(guid)
            with self.runs.writing(inner):
                return True
        except errors.Failure as failure:
            if failure.answer.status in (400, 404):
                return False
            raise

    def write(self, inner, forward, rows=(), params=None, tags=None):
        """Judges, has the server behind apply it, and remembers. Nothing is applied when any of it is refused."""
        params, tags = params or {}, tags or {}
        with self.runs.writing(inner) as known:
            self.check(known, rows, params, tags)
            forward()
            known.tags |= tags.keys()
            known.params |= params.keys()
            known.metrics |= {row[0] for row in rows}
            self.keep(inner, rows)

    def check(self, known, rows, params, tags):
        limit = self.faults.limit
        limits.check_metrics(rows, known.metrics, limit("metric_names", limits.METRIC_NAMES), limit("rows", limits.METRIC_ROWS))
        limits.check_params(params, known.params, limit("params", limits.PARAMS))
        limits.check_tags(tags, known.tags, limit("tags", limits.TAGS))

    def keep(self, inner, rows):
        self.store.add_metrics(inner, rows, self.faults.get("duplicates", not self.options.no_duplicates))

    def log_metric(self, given):
        self.log(given, metrics=[given])

    def log_parameter(self, given):
        self.log(given, params=[given])

    def set_tag(self, given):
        inner, tags = self.run_id(given), limits.pairs([given])
        ((key, value),) = tags.items()
        self.write(inner, lambda: self.behind.call("POST", "runs/set-tag", {"run_id": inner, "key": key, "value": value}), tags=tags)

    def log_batch(self, given):
        self.log(given, given.get("metrics"), given.get("params"), given.get("tags"))

    def log(self, given, metrics=None, params=None, tags=None):
        inner = self.run_id(given)
        rows, params, tags = limits.metric_rows(metrics), limits.pairs(params, unique=True), limits.pairs(tags)
        self.write(inner, lambda: self.forward(inner, rows, params, tags), rows, params, tags)

    def forward(self, inner, rows, params=None, tags=None):
        self.behind.call("POST", "runs/log-batch", {
            "run_id": inner, "metrics": latest(rows), "params": as_list(params or {}), "tags": as_list(tags or {}),
        })  # fmt: skip

    def delete_tag(self, given):
        inner, key = self.run_id(given), given.get("key")
        with self.runs.writing(inner) as known:
            self.behind.call("POST", "runs/delete-tag", {"run_id": inner, "key": key})
            known.tags.discard(key)

    def log_inputs(self, given):
        inner, datasets = self.run_id(given), given.get("datasets") or []
        if not isinstance(datasets, list):
            raise limits.invalid_request()
        with self.runs.writing(inner):
            run = self.behind.call("GET", "runs/get", {"run_id": inner})["run"]
            size = len(run.get("inputs", {}).get("dataset_inputs", [])) + len(datasets)
            if size > limits.DATASETS:
                raise errors.over_limit("InputDatasets", limits.DATASETS, size)
            self.behind.call("POST", "runs/log-inputs", {"run_id": inner, "datasets": datasets})

    def log_model(self, given):
        inner = self.run_id(given)
        with self.runs.writing(inner) as known:
            self.behind.call("POST", "runs/log-model", {"run_id": inner, "model_json": given.get("model_json", "")})
            known.tags.add("mlflow.log-model.history")

    # Metrics

    def get_history(self, given, request):
        inner, key, most = self.run_id(given), given.get("metric_key"), given.get("max_results")
        if not key:
            raise errors.invalid("Missing value for required parameter 'metric_key'.")
        with self.runs.writing(inner):
            pass  # the run must be there
        size = limits.integer(most) if most else CLIENT_PAGE
        if size < 1 or most and size >= REFUSED_PAGE and not request.headers.get("User-Agent", "").startswith("mlflow-python-client"):
            raise errors.invalid(f"max_results must be between 1 and {REFUSED_PAGE - 1}. Provided value: {size}")
        size = min(size, CLIENT_PAGE)
        try:
            after = int(base64.b64decode(given["page_token"])) if given.get("page_token") else 0
        except ValueError:
            raise errors.invalid("Invalid page token")
        rows = self.store.history(inner, key, after, size + 1)
        answer = {"metrics": [{"key": k, "value": v, "timestamp": t, "step": s} for _, k, v, t, s in rows[:size]]}
        if len(rows) > size:
            answer["next_page_token"] = base64.b64encode(str(rows[size - 1][0]).encode()).decode()
        return answer

    # The preview of logging without waiting: params and tags at once, metrics later and in order

    def log_batch_async(self, given):
        inner = self.run_id(given)
        rows, params = limits.metric_rows(given.get("metrics")), limits.pairs(given.get("params"), unique=True)
        tags = limits.pairs(given.get("tags"))
        delay = self.faults.get("async_seconds", self.options.async_seconds)
        with self.runs.writing(inner) as known:
            self.check(known, rows, params, tags)
            at_once = rows if not delay and not self.pending else []
            if at_once or params or tags:
                self.forward(inner, at_once, params, tags)
            self.keep(inner, at_once)
            known.tags |= tags.keys()
            known.params |= params.keys()
            known.metrics |= {row[0] for row in rows}
            tracking = str(uuid.uuid4()) if rows else ""
            if len(at_once) < len(rows):
                with self.wake:
                    self.pending.append((time.monotonic() + delay, inner, rows, tracking))
                    self.wake.notify()
        return {"batch_tracking_id": tracking}

    def get_run_data_status(self, given):
        self.run_id(given)
        return {"is_complete": all(entry[3] != given.get("batch_tracking_id") for entry in list(self.pending))}

    def apply_pending(self):
        while True:
            with self.wake:
                while not self.pending and not self.ended:
                    self.wake.wait()
                if not self.pending:
                    return
                left = self.pending[0][0] - time.monotonic()
                if left > 0 and not self.ended:
                    self.wake.wait(left)
                    continue
            _, inner, rows, _ = self.pending[0]
            try:
                with self.runs.writing(inner):
                    self.forward(inner, rows)
                    self.keep(inner, rows)
            except errors.Failure:
                pass  # the run was deleted meanwhile
            except OSError:
                time.sleep(0.1)
                if not self.ended:
                    continue
            self.pending.popleft()

    def stop(self):
        """What was accepted is applied."""
        with self.wake:
            self.ended = True
            self.wake.notify()
        self.worker.join(10)


def serve(routes, request, name):
    """Finds the route and gives it the arguments, from the query or the body."""
    route = routes.get((request.method, name))
    if not route:
        raise errors.empty(405 if any(known == name for _, known in routes) else 404)
    if request.method == "GET":
        lists = EXPERIMENT_LISTS if name.startswith("experiments/") else RUN_LISTS
        given = {key: values if key in lists else values[0] for key, values in request.query.items()}
    else:
        given = request.json()
        if given is None:
            raise limits.invalid_request()
    wants = route.__code__.co_varnames[: route.__code__.co_argcount]
    return route(given, *([name] if "route" in wants else []), *([request] if "request" in wants else []))


def as_list(pairs):
    return [{"key": key, "value": value} for key, value in pairs.items()]


def paged(answer, found):
    return answer | ({"next_page_token": found["next_page_token"]} if found.get("next_page_token") else {})


def latest(rows):
    """Per metric the one row that runs/get shows in the end; the whole history is kept here, not behind."""
    best = {}
    for key, value, timestamp, step in rows:
        order = (step, timestamp, 0 if value == "NaN" else float(value))
        if key not in best or order >= best[key][0]:
            best[key] = order, {"key": key, "value": value, "timestamp": timestamp, "step": step}
    return [entry for _, entry in best.values()]
