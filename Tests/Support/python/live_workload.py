"""Many clients that use one MLflow server at once, for a while: what a mirror has to follow live.

    live_workload.py URI [--seconds 60] [--clients 8] [--rate 40] [--seed N] [--prefix P] [--models]
                     [--rename-models] [--delete-models] [--model-files] [--retries N] [--list]

    --rate           operations a second, of all clients together
    --models         logged models and the registry too (needs an MLflow 3 server)
    --rename-models  rename registered models
    --delete-models  delete registered and logged models
    --model-files    what a version is made of has an MLmodel file (Azure ML wants one)
    --list           name the operations and how often each is chosen, and end

Each client has experiments and runs of its own, deletes and renames them, and comes back to them; besides that all
of them log into shared runs, into an experiment that is deleted and restored under their hands, and register versions
of shared models. The same seed makes the same decisions in the same order for each client; which client comes first,
how far each gets in the given time, and so the outcome of their races, are not the same.

Whatever a server refuses is counted and tolerated: most of it are the clients' own races. Ends with a JSON summary on
standard output, 0 when all went well, 1 when a client itself failed.
"""

import argparse
import collections
import concurrent.futures
import json
import math
import os
import random
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
warnings.filterwarnings("ignore")

# How often each is chosen, relative to the others.
RUNS = {
    "log_metric": 10, "log_batch": 18, "shared_points": 10, "doomed_points": 3, "late_points": 6, "ties": 4,
    "special_values": 4, "params": 6, "set_tag": 8, "change_tag": 4, "delete_tag": 3, "note": 1, "rename_run": 3,
    "dataset": 4, "small_file": 5, "growing_file": 5, "overwritten_file": 4, "folder": 2, "new_run": 6, "nested_run": 3,
    "doomed_run": 1, "end_run": 5, "resume_run": 1, "delete_run": 2, "restore_run": 2, "adopt": 1,
    "new_experiment": 1, "experiment_tag": 2, "rename_experiment": 1, "delete_experiment": 1, "restore_experiment": 1,
    "doom": 1, "link_to_run": 1,
}  # fmt: skip
MODELS = {
    "logged_model": 4, "finalize": 3, "logged_model_tags": 2, "logged_model_file": 2, "model_metrics": 4,
    "model_output": 2, "model_input": 2, "registered_model": 1, "version": 4, "version_tag": 2, "version_untag": 1,
    "alias": 3, "delete_alias": 1, "stage": 2, "describe": 2, "delete_version": 1, "registered_tag": 2,
}  # fmt: skip
FOLDERS = ["plots", "with space", "größe/模型", "deep/er/still", "plus+and&"]
STAGES = ["Staging", "Production", "Archived", "None"]
STATUSES = ["FINISHED", "FINISHED", "FAILED", "KILLED", "FINISHED"]
ACTIVE = 4  # runs that a client works on at a time


class Refused(Exception):
    """What the server said no to, when it was asked by a plain request."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body[:300]}")
        try:
            self.code = json.loads(body).get("error_code", str(status))
        except (ValueError, AttributeError):
            self.code = str(status)


class Pacer:
    """Gives out turns evenly, to all clients together, until the time is over."""

    def __init__(self, rate, seconds):
        self.interval, self.lock = 1 / rate, threading.Lock()
        self.next = time.monotonic()
        self.end = self.next + seconds

    def turn(self):
        with self.lock:
            # A server that falls behind is not punished with a burst afterwards.
            at = self.next = max(self.next + self.interval, time.monotonic() - 1)
        if at >= self.end:
            return False
        time.sleep(max(0, at - time.monotonic()))
        return True


class Tally:
    """What was done, and what was refused why."""

    def __init__(self):
        self.lock = threading.Lock()
        self.done, self.skipped, self.refused = collections.Counter(), collections.Counter(), collections.Counter()
        self.examples, self.broken, self.slowest = {}, [], 0.0

    def refuse(self, operation, code, text):
        if "failed with exception" in text:  # MLflow's client calls a broken connection an internal error
            code = "connection"
        key = f"{operation}: {code}"
        with self.lock:
            self.refused[key] += 1
            # The rest explains itself, or is no word of MLflow's.
            if code not in ("connection", "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "TEMPORARILY_UNAVAILABLE"):
                self.examples.setdefault(key, text[:700])

    def add(self, counter, operation, seconds=0.0):
        with self.lock:
            counter[operation] += 1
            self.slowest = max(self.slowest, seconds)


class Shared:
    """What all clients know of: made before they start."""

    def __init__(self, options):
        self.uri, self.prefix = options.uri.rstrip("/"), options.prefix
        self.client = mlflow.MlflowClient(self.uri, self.uri)
        self.experiment = self.insist(self.take, "live/shared")
        self.doomed_experiment = self.insist(self.take, "live/doomed")
        self.runs = [self.insist(self.start, self.experiment, f"shared {n}") for n in range(2)]
        self.doomed = [self.insist(self.start, self.doomed_experiment, f"doomed {n}") for n in range(2)]
        self.models = []
        if options.models:
            self.models = [self.insist(self.registered, f"live shared {n}") for n in range(2)]

    def insist(self, do, *arguments):
        """A server whose database is busy answers 500 or 503 now and then, which the clients tolerate later on too."""
        for left in range(4, -1, -1):
            try:
                return do(*arguments)
            except mlflow.MlflowException as error:
                if error.error_code not in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE") or not left:
                    raise
                time.sleep(1)

    def take(self, name):
        found = self.client.get_experiment_by_name(self.prefix + name)
        if found and found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return found.experiment_id if found else self.client.create_experiment(self.prefix + name)

    def start(self, experiment, name):
        return self.client.create_run(experiment, run_name=name).info.run_id

    def registered(self, name):
        try:
            self.client.create_registered_model(self.prefix + name, {"shared": "yes"}, "Several clients register here.")
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return {"name": self.prefix + name}


class Nothing(Exception):
    """There is nothing yet, or no longer, that the operation could be done to."""


class Client:
    """One user. A thing that could not be made keeps its place as None, so that later choices stay the same."""

    def __init__(self, number, options, shared, pacer, tally):
        self.number, self.options, self.shared, self.pacer, self.tally = number, options, shared, pacer, tally
        self.random = random.Random(f"{options.seed}/{number}")
        self.client, self.session = shared.client, requests.Session()
        self.names = shared.prefix + f"live/{options.seed}-{number}"
        self.weights = RUNS | (MODELS if options.models else {})
        if options.rename_models:
            self.weights["rename_model"] = 2
        if options.delete_models:
            self.weights |= {"delete_registered_model": 1, "delete_logged_model": 1}
        self.count = collections.Counter()
        self.experiments, self.gone_experiments = [], []
        self.active, self.ended, self.deleted, self.running = [], [], [], 0
        self.logged, self.pending, self.models, self.versions = [], [], list(shared.models), []
        self.files = collections.defaultdict(bytes)
        self.tags = collections.defaultdict(list)

    def work(self):
        self.attempt("new_experiment")
        for _ in range(2):
            self.attempt("new_run")
        names, weights = list(self.weights), list(self.weights.values())
        while self.pacer.turn():
            # What cannot be done costs the server nothing, so it does not cost a turn either.
            for _ in range(10):
                if self.attempt(self.random.choices(names, weights)[0]):
                    break
        # The first run of each client stays RUNNING.
        while len(self.active) > 1:
            self.attempt("end_run")

    def attempt(self, operation):
        """Whether there was anything to do."""
        began = time.monotonic()
        try:
            getattr(self, operation)()
        except Nothing:
            self.tally.add(self.tally.skipped, operation)
            return False
        except mlflow.MlflowException as error:
            self.tally.refuse(operation, error.error_code, str(error))
        except Refused as error:
            self.tally.refuse(operation, error.code, str(error))
        except requests.RequestException as error:
            self.tally.refuse(operation, "connection", str(error))
        except Exception:
            with self.tally.lock:
                self.tally.broken.append(f"{operation}: {traceback.format_exc(limit=-4)}")
        else:
            self.tally.add(self.tally.done, operation, time.monotonic() - began)
        return True

    # Choosing

    def next(self, what):
        self.count[what] += 1
        return self.count[what]

    def choose(self, things):
        """One of them; whether it was made or not, one random number is used."""
        at = self.random.random()
        thing = things[int(at * len(things))] if things else None
        if thing is None:
            raise Nothing
        return thing

    def pull(self, things):
        """One of them, taken out."""
        thing = self.choose(things)
        things.remove(thing)
        return thing

    def any_run(self):
        """Mostly one that is active; now and then one that has ended, or is deleted."""
        at = self.random.random()
        return self.choose(self.active if at < 0.88 else self.ended if at < 0.97 else self.deleted)

    def make(self, things, how):
        """Adds what `how` makes, or a gap when that fails."""
        things.append(None)
        things[-1] = how()
        return things[-1]

    # Asking

    def send(self, path, method="POST", **body):
        url = f"{self.shared.uri}/api/2.0/mlflow/{path}"
        answer = self.session.request(method, url, json=body, timeout=120)
        if answer.status_code != 200:
            raise Refused(answer.status_code, answer.text)
        return answer.json()

    def batch(self, run_id, points, params=(), tags=()):
        self.send(
            "runs/log-batch", run_id=run_id, metrics=[point(*p) for p in points],
            params=[{"key": k, "value": v} for k, v in params], tags=[{"key": k, "value": v} for k, v in tags],
        )  # fmt: skip

    def put(self, run_id, path, data):
        """The client starts a pool of threads for each file; this is one request."""
        run = self.send(f"runs/get?run_id={run_id}", "GET")["run"]["info"]
        root = urllib.parse.urlparse(run["artifact_uri"]).path.strip("/")
        url = f"{self.shared.uri}/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(f'{root}/{path}')}"
        answer = self.session.put(url, data=data, timeout=120)
        if answer.status_code != 200:
            raise Refused(answer.status_code, answer.text)

    # Experiments

    def new_experiment(self):
        name = f"{self.names}/experiment {self.next('experiment')}"
        tags = {"team": self.random.choice(["search", "ads"]), "number": str(self.count["experiment"])}

        def how():
            return {"id": self.client.create_experiment(name, tags=tags), "name": name}

        self.make(self.experiments, how)

    def experiment_tag(self):
        experiment, value = self.choose(self.experiments), self.random.randrange(1000)
        self.client.set_experiment_tag(experiment["id"], f"tag {value % 4}", str(value))

    def rename_experiment(self):
        experiment, again = self.choose(self.experiments), self.random.random() < 0.4
        old, new = experiment["name"], f"{self.names}/renamed {self.next('renamed')}"
        self.client.rename_experiment(experiment["id"], new)
        experiment["name"] = new
        # Another experiment takes the name that has become free.
        if again:
            self.make(self.experiments, lambda: {"id": self.client.create_experiment(old), "name": old})

    def delete_experiment(self):
        if len(self.experiments) < 2:
            raise Nothing
        experiment = self.pull(self.experiments)
        self.gone_experiments.append(experiment)
        self.client.delete_experiment(experiment["id"])

    def restore_experiment(self):
        experiment = self.pull(self.gone_experiments)
        self.experiments.append(experiment)
        self.client.restore_experiment(experiment["id"])

    def doom(self):
        """Deletes, or restores, the experiment that the others are writing to."""
        gone, identity = self.next("doom") % 2, self.shared.doomed_experiment
        (self.client.delete_experiment if gone else self.client.restore_experiment)(identity)

    # Runs

    def new_run(self):
        experiment = self.choose(self.experiments)["id"] if self.random.random() < 0.8 else self.shared.experiment
        self.open(experiment, f"run {self.next('run')}")

    def nested_run(self):
        parent = self.choose(self.active + self.ended[-2:])
        if self.random.random() < 0.7:
            experiment = self.experiment_of(parent)
        else:
            experiment = self.shared.experiment
        self.open(experiment, f"child {self.next('child')}", {"mlflow.parentRunId": parent})

    def doomed_run(self):
        self.open(self.shared.doomed_experiment, f"late comer {self.next('doomed')}")

    def experiment_of(self, run_id):
        return self.send(f"runs/get?run_id={run_id}", "GET")["run"]["info"]["experiment_id"]

    def open(self, experiment, name, tags=None):
        tags = {"mlflow.user": f"user{self.number}", "stage": self.random.choice(["dev", "prod"])} | (tags or {})
        self.make(self.active, lambda: self.client.create_run(experiment, tags=tags, run_name=name).info.run_id)
        if len(self.active) > ACTIVE:
            self.leave()

    def leave(self):
        """Ends the oldest run; every seventh stays RUNNING and is never touched again."""
        run_id, number = self.active.pop(0), self.next("left")
        if number % 7 == 0:
            self.running += 1
            return
        self.ended.append(run_id)
        if run_id:
            self.client.set_terminated(run_id, STATUSES[number % len(STATUSES)])

    def end_run(self):
        if len(self.active) < 2:
            raise Nothing
        run_id, status = self.active.pop(1), self.random.choice(STATUSES)
        self.ended.append(run_id)
        if run_id is None:
            raise Nothing
        self.client.set_terminated(run_id, status)

    def resume_run(self):
        run_id = self.pull(self.ended)
        self.active.append(run_id)
        self.client.update_run(run_id, status="RUNNING")

    def delete_run(self):
        run_id = self.pull(self.ended if self.random.random() < 0.8 else self.active[1:] and self.active or [])
        self.deleted.append(run_id)
        self.client.delete_run(run_id)

    def restore_run(self):
        run_id = self.pull(self.deleted)
        self.ended.append(run_id)
        self.client.restore_run(run_id)

    def rename_run(self):
        run_id, name = self.any_run(), f"renamed {self.next('name')} ü"
        if self.random.random() < 0.5:
            self.client.update_run(run_id, name=name)
        else:
            self.client.set_tag(run_id, "mlflow.runName", name)

    def adopt(self):
        """A parent that is named afterwards, and may be younger than its child."""
        child, parent = self.choose(self.ended), self.choose(self.active)
        self.client.set_tag(child, "mlflow.parentRunId", parent)

    def link_to_run(self):
        self.client.set_tag(self.any_run(), "best", f"runs:/{self.choose(self.active)}/model")

    # Points

    def log_metric(self):
        run_id, value, step = self.any_run(), self.random.random(), self.next("step")
        self.client.log_metric(run_id, f"single/{step % 3}", value, step=step)

    def log_batch(self):
        run_id, size = self.any_run(), self.random.choice([1, 1, 3, 10, 40])
        # The times go back from now: a run's clock may, and the points of one batch come in any order.
        points = [(f"curve/{n % 4}", self.random.gauss(0, 1), n * 7, self.next("step")) for n in range(size)]
        self.random.shuffle(points)
        self.batch(run_id, points)

    def shared_points(self):
        run_id = self.choose(self.shared.runs)
        points = [(key, self.random.random(), n, self.next("step")) for n in range(self.random.randint(1, 5))
                  for key in ("shared/loss", f"shared/client {self.number}")]  # fmt: skip
        self.batch(run_id, points)

    def doomed_points(self):
        self.batch(self.choose(self.shared.doomed), [("loss", self.random.random(), 0, self.next("step"))])

    def late_points(self):
        """Older than all that is there, in time and in step."""
        run_id, hour = self.any_run(), 3_600_000
        points = [(f"curve/{n}", self.random.random(), self.random.randint(1, 50) * hour, self.random.randint(0, 5))
                  for n in range(self.random.randint(1, 4))]  # fmt: skip
        self.batch(run_id, points)

    def ties(self):
        """Several values at one step, at one time and at several, some of them equal in all."""
        run_id, step = self.any_run(), self.next("step")
        values = [self.random.randint(1, 3) / 2 for _ in range(self.random.randint(2, 6))]
        self.batch(run_id, [("ties", value, n % 2, step) for n, value in enumerate(values)])

    def special_values(self):
        run_id, step = self.any_run(), self.next("step")
        value = self.random.choice([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308])
        if self.random.random() < 0.5:
            self.batch(run_id, [("special", value, 0, step), ("special", 1.0, 1, step - 1)])
        else:
            self.client.log_metric(run_id, "special", value, step=step)

    # Params, tags, inputs

    def params(self):
        run_id, size = self.any_run(), self.random.randint(1, 8)
        params = [(f"param {self.next('param')}", self.random.choice(["relu", "0.01", "", "größe", "x" * 600])) for _ in range(size)]
        if size == 1:
            self.client.log_param(run_id, *params[0])
        else:
            self.batch(run_id, [], params)

    def set_tag(self):
        run_id, key = self.any_run(), f"tag {self.next('tag')}"
        self.tags[run_id].append(key)
        self.client.set_tag(run_id, key, self.random.choice(["", "a", "größe 🧪", "line\nline", "t" * 900]))

    def change_tag(self):
        run_id = self.any_run()
        keys = [self.choose(self.tags[run_id]) for _ in range(self.random.randint(1, 2))]
        self.batch(run_id, [], tags=[(key, f"changed {self.next('change')}") for key in keys])

    def delete_tag(self):
        run_id = self.any_run()
        self.client.delete_tag(run_id, self.pull(self.tags[run_id]))

    def note(self):
        self.client.set_tag(self.any_run(), "mlflow.note.content", f"# Note {self.next('note')}\n\n*text*")

    def dataset(self):
        run_id, number = self.any_run(), self.random.randrange(6)
        tags = [InputTag("mlflow.data.context", self.random.choice(["training", "test"]))]
        table = Dataset(f"table {number}", f"d{number}", "http", "{}", '{"columns": 3}' if number % 2 else None, None)
        self.client.log_inputs(run_id, [DatasetInput(table, tags)])

    # Files

    def small_file(self):
        run_id, path = self.any_run(), f"{self.random.choice(FOLDERS)}/file {self.next('file')}.bin"
        self.put(run_id, path, self.random.randbytes(self.random.choice([0, 10, 3000, 40_000])))

    def growing_file(self):
        run_id = self.choose(self.active)
        self.files[run_id] += f"line {self.next('line')} of a log\n".encode() * self.random.randint(1, 30)
        self.put(run_id, "logs/train.log", self.files[run_id])

    def overwritten_file(self):
        # The same length each time: only the bytes differ.
        run_id, path = self.choose(self.active), self.random.choice(["last.bin", "checkpoints/last.bin", "größe/last one.bin"])
        self.put(run_id, path, self.random.randbytes(5000))

    def folder(self):
        run_id, number = self.any_run(), self.next("folder")
        with tempfile.TemporaryDirectory() as folder:
            for n in range(self.random.randint(1, 4)):
                with open(os.path.join(folder, f"part {n}.txt"), "wb") as file:
                    file.write(self.random.randbytes(200 * n))
            self.client.log_artifacts(run_id, folder, f"folders/number {number}")

    # Logged models

    def logged_model(self):
        run_id, number, linked = self.choose(self.active), self.next("logged"), self.random.random() < 0.8
        params = {f"p{n}": str(self.random.random()) for n in range(self.random.randint(0, 4))}
        kind = self.random.choice([None, "agent", "forest"])

        def how():
            model = self.client.create_logged_model(
                self.experiment_of(run_id), f"model-{number}", source_run_id=run_id if linked else None,
                tags={"number": str(number)}, params=params, model_type=kind,
            )  # fmt: skip
            return model.model_id

        model_id = self.make(self.logged, how)
        self.pending.append(model_id)
        if linked:
            self.client.log_outputs(run_id, [LoggedModelOutput(model_id, number)])

    def finalize(self):
        status = "READY" if self.random.random() < 0.8 else "FAILED"
        self.client.finalize_logged_model(self.pull(self.pending), status)

    def logged_model_tags(self):
        model_id, key, removed = self.choose(self.logged), f"tag {self.random.randrange(4)}", self.random.random() < 0.3
        self.client.set_logged_model_tags(model_id, {key: str(self.next("model tag")), "stays": "yes"})
        if removed:
            self.client.delete_logged_model_tag(model_id, key)

    def logged_model_file(self):
        model_id = self.choose(self.pending)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "MLmodel"), "w") as file:
                file.write(f"flavors: {{}}\nnumber: {self.next('model file')}\n")
            with open(os.path.join(folder, "weights.bin"), "wb") as file:
                file.write(self.random.randbytes(2000))
            self.client.log_model_artifacts(model_id, folder)

    def model_metrics(self):
        model_id, run_id, now = self.choose(self.logged), self.choose(self.active), milliseconds()
        points = [Metric(f"accuracy {n % 2}", self.random.random(), now + n, self.next("step"), model_id=model_id)
                  for n in range(self.random.randint(1, 4))]  # fmt: skip
        self.client.log_batch(run_id, metrics=points)

    def model_output(self):
        self.client.log_outputs(self.choose(self.active), [LoggedModelOutput(self.choose(self.logged), self.next("step"))])

    def model_input(self):
        self.client.log_inputs(self.choose(self.active), models=[LoggedModelInput(self.choose(self.logged))])

    def delete_logged_model(self):
        model_id = self.pull(self.logged)
        if model_id in self.pending:
            self.pending.remove(model_id)
        self.client.delete_logged_model(model_id)

    # The registry

    def registered_model(self):
        name = f"{self.names} model {self.next('registered')}".replace("/", "-")

        def how():
            self.client.create_registered_model(name, {"owner": f"user{self.number}"}, "First words.")
            return {"name": name}

        self.make(self.models, how)

    def version(self):
        model, from_logged = self.choose(self.models), self.random.random() < 0.4
        if from_logged:
            model_id = self.choose(self.logged)
            if self.options.model_files:
                with tempfile.TemporaryDirectory() as folder:
                    with open(os.path.join(folder, "MLmodel"), "w") as file:
                        file.write("flavors: {}\n")
                    self.client.log_model_artifacts(model_id, folder)
            what = {"source": f"models:/{model_id}", "model_id": model_id}
        else:
            run_id = self.choose(self.active)
            if self.options.model_files:
                self.put(run_id, "model/MLmodel", b"flavors: {}\n")
            what = {"source": f"runs:/{run_id}/model", "run_id": run_id}
        tags = {"round": str(self.next("version"))}

        def how():
            made = self.client.create_model_version(model["name"], tags=tags, await_creation_for=0, **what)
            return {"model": model, "version": made.version}

        self.make(self.versions, how)

    def version_tag(self):
        at = self.choose(self.versions)
        self.client.set_model_version_tag(at["model"]["name"], at["version"], f"tag {self.random.randrange(3)}", str(self.next("version tag")))

    def version_untag(self):
        at = self.choose(self.versions)
        self.client.delete_model_version_tag(at["model"]["name"], at["version"], "round")

    def alias(self):
        at, alias = self.choose(self.versions), self.random.choice(["champion", "challenger", f"of-{self.number}"])
        self.client.set_registered_model_alias(at["model"]["name"], alias, at["version"])

    def delete_alias(self):
        model, alias = self.choose(self.models), self.random.choice(["challenger", f"of-{self.number}"])
        self.client.delete_registered_model_alias(model["name"], alias)

    def stage(self):
        at, stage = self.choose(self.versions), self.random.choice(STAGES)
        archive = stage == "Production" and self.random.random() < 0.5
        self.client.transition_model_version_stage(at["model"]["name"], at["version"], stage, archive)

    def describe(self):
        text = f"Described {self.next('description')} 🧪"
        if self.random.random() < 0.6:
            at = self.choose(self.versions)
            self.client.update_model_version(at["model"]["name"], at["version"], text)
        else:
            self.client.update_registered_model(self.choose(self.models)["name"], text)

    def delete_version(self):
        at = self.pull(self.versions)
        self.client.delete_model_version(at["model"]["name"], at["version"])

    def registered_tag(self):
        model, removed = self.choose(self.models), self.random.random() < 0.3
        self.client.set_registered_model_tag(model["name"], f"tag {self.number}", str(self.next("registered tag")))
        if removed:
            self.client.delete_registered_model_tag(model["name"], f"tag {self.number}")

    def rename_model(self):
        model = self.choose(self.models[len(self.shared.models) :])
        name = f"{self.names} renamed model {self.next('renamed model')}".replace("/", "-")
        self.client.rename_registered_model(model["name"], name)
        model["name"] = name

    def delete_registered_model(self):
        own = self.models[len(self.shared.models) :]
        model = self.choose(own)
        self.models.remove(model)
        self.versions = [at for at in self.versions if at is None or at["model"] is not model]
        self.client.delete_registered_model(model["name"])


def milliseconds():
    return time.time_ns() // 1_000_000


def point(key, value, ago, step):
    """A point as JSON; numbers that JSON lacks are words."""
    if math.isnan(value):
        value = "NaN"
    elif math.isinf(value):
        value = "Infinity" if value > 0 else "-Infinity"
    return {"key": key, "value": value, "timestamp": milliseconds() - ago, "step": step}


def work(options):
    tally, shared = Tally(), Shared(options)
    pacer = Pacer(options.rate, options.seconds)
    clients = [Client(n, options, shared, pacer, tally) for n in range(options.clients)]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.clients) as pool:
        for future in [pool.submit(client.work) for client in clients]:
            future.result()
    seconds = time.monotonic() - began
    return {
        "seconds": round(seconds, 1),
        "operations": tally.done.total(), "per_second": round(tally.done.total() / seconds, 1),
        "refused": tally.refused.total(), "skipped": tally.skipped.total(), "slowest": round(tally.slowest, 2),
        "done": dict(sorted(tally.done.items())), "why_refused": dict(tally.refused.most_common()),
        "remarkable": tally.examples, "broken": tally.broken[:10],
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description="Use an MLflow server as many clients do, for a while.")
    parser.add_argument("uri", nargs="?")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=40, help="operations a second, of all clients together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prefix", default="", help="put before every experiment's and registered model's name")
    parser.add_argument("--models", action="store_true", help="logged models and the registry too")
    parser.add_argument("--rename-models", action="store_true")
    parser.add_argument("--model-files", action="store_true")
    parser.add_argument("--delete-models", action="store_true")
    parser.add_argument("--retries", type=int, default=0, help="how often MLflow's client tries again (default: never)")
    parser.add_argument("--list", action="store_true", help="name the operations and end")
    options = parser.parse_args()
    if options.list:
        print(json.dumps(RUNS | MODELS, indent=2))
        return 0
    if not options.uri:
        parser.error("which server?")
    if (options.rename_models or options.delete_models) and not options.models:
        parser.error("--rename-models and --delete-models need --models")
    # MLflow's client repeats what it calls passing errors, and would hide them.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = str(options.retries)
    load()
    summary = work(options)
    print(json.dumps(summary, indent=2, ensure_ascii=False))
    return 1 if summary["broken"] else 0


def load():
    """MLflow takes seconds to load, which --help and --list need not wait for."""
    global mlflow, requests, Dataset, DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput, Metric
    import logging

    import mlflow
    import quickack
    import requests
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

    try:
        from mlflow.entities import LoggedModelInput, LoggedModelOutput
    except ImportError:  # MLflow 2
        pass
    quickack.install()
    logging.getLogger("mlflow").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
