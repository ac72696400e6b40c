"""Experiments, runs, metrics and logged models of the Databricks emulator, over those of the MLflow server behind."""

import re
import threading
import urllib.parse

import databricks_errors as errors
from azureml_errors import as_json
from databricks_quotas import Quotas

MOST_HISTORY, MOST_EXPERIMENTS, MOST_RUNS, MOST_MANY = 25_000, 1000, 50_000, 10_000
LOCATION = re.compile(r"(dbfs|abfss|wasbs|s3|gs):/")
# By what experiments may be ordered, as the REST reference has it: "name and last updated time". That others are refused is assumed.
ORDERED = {"name", "last_update_time"}
LISTS = ("order_by", "experiment_ids")
# What a workspace knows and passes; all else of the open-source server is an unknown endpoint there.
PASSED = {
    ("POST", "experiments/delete"), ("POST", "experiments/set-experiment-tag"), ("POST", "experiments/delete-experiment-tag"),
    ("GET", "experiments/get"), ("GET", "runs/get"), ("POST", "runs/create"), ("POST", "runs/update"), ("POST", "runs/delete"),
    ("POST", "runs/restore"), ("POST", "runs/log-metric"), ("POST", "runs/log-parameter"), ("POST", "runs/log-batch"),
    ("POST", "runs/log-model"), ("POST", "runs/set-tag"), ("POST", "runs/delete-tag"), ("POST", "runs/log-inputs"),
    ("POST", "runs/outputs"), ("POST", "logged-models"), ("POST", "logged-models/search"),
}  # fmt: skip
LOGGED_MODEL = re.compile(r"logged-models/(m-[^/]+)(/tags|/tags/[^/]+|/params)?")
LOGGED_MODEL_METHODS = {None: ("GET", "PATCH", "DELETE"), "/tags": ("PATCH",), "/params": ("POST",)}


class Tracking:
    def __init__(self, emulator):
        self.store, self.behind, self.ids = emulator.store, emulator.behind, emulator.ids
        self.faults, self.options, self.workspace = emulator.faults, emulator.options, emulator.workspace
        self.lock, self.quotas = threading.Lock(), Quotas(emulator.behind)
        self.routes = {
            ("POST", "experiments/create"): self.create_experiment,
            ("GET", "experiments/get-by-name"): self.get_by_name,
            ("GET", "experiments/search"): self.search_experiments,
            ("POST", "experiments/search"): self.search_experiments,
            ("POST", "experiments/update"): self.update_experiment,
            ("POST", "experiments/restore"): self.restore_experiment,
            ("POST", "runs/search"): self.search_runs,
            ("GET", "metrics/get-history"): self.history,
            ("POST", "databricks/runs/delete-runs"): self.delete_runs,
            ("POST", "databricks/runs/restore-runs"): self.restore_runs,
        }

    def answer(self, request, route):
        given = arguments(request)
        serve = self.routes.get((request.method, route))
        if serve:
            return as_json(serve(given) or {})
        matched = LOGGED_MODEL.fullmatch(route)
        if matched:
            rest = matched[2]
            methods = LOGGED_MODEL_METHODS.get(rest, ("DELETE",))
            if request.method not in methods:
                raise errors.no_such_endpoint(request)
            self.check_access(self.behind.experiment_of_model(matched[1]))
        elif (request.method, route) not in PASSED:
            raise errors.no_such_endpoint(request)
        elif route in ("runs/create", "logged-models") and not given.get("experiment_id"):
            # The server behind would show its database's complaint.
            raise errors.invalid("Missing value for required parameter 'experiment_id'.")
        return as_json(self.passed(request.method, urllib.parse.quote(route), given))

    def passed(self, method, route, given):
        asked = self.ids.inward(given)
        self.check_document(asked)
        if self.options.quotas:
            self.quotas.check(route, asked)
        return self.ids.outward(self.behind.call(method, route, asked))

    # Who may see what

    def check_document(self, asked):
        """Every experiment that a request names, itself or by a run of it."""
        if not self.faults.get("denied"):
            return
        numbers = [asked.get("experiment_id"), *(asked.get("experiment_ids") or [])]
        for run in (asked.get("run_id"), asked.get("run_uuid")):
            numbers.append(self.behind.experiment_of_run(run) if run else None)
        for number in numbers:
            self.check_access(number)

    def check_access(self, number):
        if number and self.is_denied(self.ids.experiment_out(number)):
            raise errors.denied(
                f"{self.options.user} does not have permission to read experiment with id {self.ids.experiment_out(number)}."
            )

    def is_denied(self, experiment):
        return experiment in (self.faults.get("denied") or ())

    # Experiments

    def create_experiment(self, given):
        path = self.workspace.experiment_path(given.get("name"))
        location = given.get("artifact_location")
        if location and not LOCATION.match(location):
            raise errors.invalid(f"Got an invalid artifact location '{location}'.")
        tags = {tag.get("key"): tag.get("value") for tag in given.get("tags") or []}
        # Which tags a workspace sets can be seen in every printed experiment of one.
        tags = {
            "mlflow.ownerId": self.options.user_id, "mlflow.ownerEmail": self.options.user,
            "mlflow.experiment.sourceName": path, "mlflow.experimentType": "MLFLOW_EXPERIMENT",
        } | tags  # fmt: skip
        asked = {"name": path, "tags": [{"key": key, "value": value} for key, value in tags.items()]}
        with self.lock:
            if self.workspace.experiment(path):
                raise errors.exists(f"Node named '{path.rpartition('/')[2]}' already exists.")
            self.behind.give_name_away(path)
            made = self.ids.outward(self.behind.call("POST", "experiments/create", asked))
            if location:
                self.ids.set_location(made["experiment_id"], location)
            return made

    def get_by_name(self, given):
        name = given.get("experiment_name") or ""
        if not name:
            raise errors.invalid("Missing value for required parameter 'experiment_name'.")
        found = self.behind.experiment_named(name.removeprefix("/Workspace") if name.startswith("/Workspace/") else name)
        if not found or found[0] == "0":
            raise errors.not_found(f"Node {name} does not exist.")
        self.check_access(found[0])
        return self.ids.outward(self.behind.call("GET", "experiments/get", {"experiment_id": found[0]}))

    def search_experiments(self, given):
        most = integer(given, "max_results", 1000)
        if most < 1:
            raise errors.invalid(f"Invalid value {most} for parameter 'max_results': it must be positive.")
        errors.check_order(given, ORDERED)
        asked = {key: given[key] for key in ("filter", "order_by", "view_type", "page_token") if key in given}
        found = self.behind.call("POST", "experiments/search", asked | {"max_results": min(most, MOST_EXPERIMENTS)})
        # The server behind has a "Default" that no workspace has.
        made = [self.ids.outward(entry) for entry in found.get("experiments", []) if entry["experiment_id"] != "0"]
        made = [entry for entry in made if not self.is_denied(entry["experiment_id"])]
        return {"experiments": made} | {key: found[key] for key in ("next_page_token",) if found.get(key)}

    def update_experiment(self, given):
        """A new name is a move in the tree."""
        number = self.ids.experiment_in(given.get("experiment_id"))
        self.check_access(number)
        with self.lock:
            path = self.workspace.experiment_path(given.get("new_name"))
            there = self.workspace.experiment(path)
            if there and there != number:
                raise errors.exists(f"Node named '{path.rpartition('/')[2]}' already exists.")
            if not there:
                self.behind.give_name_away(path)
            self.behind.call("POST", "experiments/update", {"experiment_id": number, "new_name": path})

    def restore_experiment(self, given):
        number = self.ids.experiment_in(given.get("experiment_id"))
        self.check_access(number)
        with self.lock:
            kept = self.behind.name_of(number) or ""
            name, taken, _ = kept.partition("\u2063deleted-")
            if taken:
                if self.workspace.experiment(name):
                    raise errors.exists(f"Node named '{name.rpartition('/')[2]}' already exists.")
                self.behind.give_name_away(name)
                self.behind.give_name_back(number, name)
            self.behind.call("POST", "experiments/restore", {"experiment_id": number})

    # Runs

    def search_runs(self, given):
        numbers = given.get("experiment_ids") or []
        if len(numbers) > self.options.search_ids:
            raise errors.invalid(
                f"The number of experiment_ids must be at most {self.options.search_ids}, but {len(numbers)} were given."
            )
        most = integer(given, "max_results", 1000)
        if not 1 <= most <= MOST_RUNS:
            raise errors.invalid(f"Invalid value {most} for parameter 'max_results': it must be between 1 and {MOST_RUNS}.")
        return self.passed("POST", "runs/search", given)

    def history(self, given):
        most = integer(given, "max_results", MOST_HISTORY)
        if not 1 <= most <= MOST_HISTORY:
            raise errors.invalid(f"Invalid value {most} for parameter 'max_results': it must be between 1 and {MOST_HISTORY}.")
        return self.passed("GET", "metrics/get-history", given | {"max_results": most})

    def delete_runs(self, given):
        number, moment, most = self.many(given, "max_timestamp_millis")
        found = self.behind.runs_of(number, "active", "start_time <= ?", moment, most)
        for run in found:
            self.behind.call("POST", "runs/delete", {"run_id": run})
        return {"runs_deleted": len(found)}

    def restore_runs(self, given):
        """Those that were deleted at that moment or later."""
        number, moment, most = self.many(given, "min_timestamp_millis")
        found = self.behind.runs_of(number, "deleted", "deleted_time >= ?", moment, most)
        for run in found:
            self.behind.call("POST", "runs/restore", {"run_id": run})
        return {"runs_restored": len(found)}

    def many(self, given, name):
        number = self.ids.experiment_in(given.get("experiment_id"))
        self.check_access(number)
        most = integer(given, "max_runs", MOST_MANY)
        if name not in given or not 1 <= most <= MOST_MANY:
            raise errors.invalid(f"'{name}' is missing, or 'max_runs' is not between 1 and {MOST_MANY}.")
        return number, integer(given, name, 0), most


def integer(given, name, default):
    value = given.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise errors.invalid(f"Invalid value {value!r} for parameter '{name}'.")


def arguments(request):
    """The query of a GET, the body of all others; a DELETE may use either."""
    given = {}
    if request.method in ("GET", "DELETE"):
        given = {key: values if key in LISTS else values[0] for key, values in request.query.items()}
    if request.method != "GET":
        document = request.json()
        if document is None:
            raise errors.failure(400, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request.")
        given |= document
    return given
