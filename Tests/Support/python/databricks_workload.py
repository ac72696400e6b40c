"""A team's work on a Databricks workspace, through the official client, unpatched; the same for the same seed.

    databricks_workload.py [--seed 1] [--experiments 6] [--runs 4] [--points 200] [--megabytes 12] [--live SECONDS]

Goes where MLFLOW_TRACKING_URI=databricks, DATABRICKS_HOST, DATABRICKS_TOKEN (or the OAuth variables) say; with --emulator LINE to
the one that printed that line. MLFLOW_REGISTRY_URI is databricks (stages) or databricks-uc (aliases, main.team.<model>).

Makes experiments in folders of several users; sweeps with nested runs, params, metric histories, tags and datasets; artifacts of
many sizes, some written over; logged models, and registered versions; runs that failed, still run, were deleted, edited after
their end, got points late; an experiment renamed, one deleted, and one that took a deleted one's name. --live goes on with small
edits for that long. Prints a line of JSON: what a judge has to know.
"""

import argparse
import json
import os
import pathlib
import random
import sys
import tempfile
import time
import warnings

os.environ.setdefault("MLFLOW_TRACKING_URI", "databricks")
os.environ.setdefault("MLFLOW_REGISTRY_URI", "databricks")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
warnings.filterwarnings("ignore")
if "--emulator" in sys.argv:
    # Before the client is loaded: it looks at these once.
    described = json.loads(sys.argv[sys.argv.index("--emulator") + 1])
    os.environ |= {"DATABRICKS_HOST": described["host"], "DATABRICKS_TOKEN": described["token"]}

import mlflow  # noqa: E402
import pandas  # noqa: E402
from mlflow.entities import LoggedModelStatus, Metric, Param, RunTag  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402
from mlflow.utils.rest_utils import http_request  # noqa: E402

TEAM = ("ann@example.org", "bob.müller@example.org", "c_o'neil@example.org")
TOPICS = ("churn", "price forecast", "fraud (cards)", "ranking/v2", "übersicht", "images", "demand", "clicks")
BASE = 1_780_000_000_000
UNITY = os.environ["MLFLOW_REGISTRY_URI"].startswith("databricks-uc")


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * 2 + 1


class Workload:
    def __init__(self, options, folder):
        self.options, self.folder = options, pathlib.Path(folder)
        self.random = random.Random(options.seed)
        self.client = mlflow.MlflowClient()
        self.made = {"experiments": {}, "runs": 0, "deleted_runs": [], "logged_models": [], "models": {}, "seed": options.seed}
        self.live, self.clock = [], BASE

    def tick(self, milliseconds=1000):
        self.clock += self.random.randint(1, milliseconds)
        return self.clock

    def mkdirs(self, path):
        creds = mlflow.utils.databricks_utils.get_databricks_host_creds("databricks")
        answer = http_request(creds, "/api/2.0/workspace/mkdirs", "POST", json={"path": path})
        assert answer.status_code == 200, answer.text

    # Experiments

    def experiments(self):
        names = []
        for number in range(self.options.experiments):
            topic = TOPICS[number % len(TOPICS)] + (f" {number // len(TOPICS)}" if number >= len(TOPICS) else "")
            user = TEAM[number % len(TEAM)]
            name = f"/Shared/team {self.options.seed}/{topic}" if number % 4 == 3 else f"/Users/{user}/s{self.options.seed}/{topic}"
            self.mkdirs(name.rpartition("/")[0])
            names.append(name)
            self.made["experiments"][name] = self.client.create_experiment(name, tags={"team": self.random.choice(["growth", "risk"])})
        for name in names:
            self.fill(name, self.made["experiments"][name])
        if len(names) > 3:
            self.shuffle(names)

    def shuffle(self, names):
        """A rename, a deletion, and a name that is taken again."""
        known = self.made["experiments"]
        known[names[0] + " (final)"] = known.pop(names[0])
        self.client.rename_experiment(known[names[0] + " (final)"], names[0] + " (final)")
        self.made["deleted_experiment"] = known.pop(names[1])
        self.client.delete_experiment(self.made["deleted_experiment"])
        # Its runs went with it.
        self.live = [run for run in self.live if self.client.get_run(run).info.lifecycle_stage == "active"]
        known[names[1]] = self.client.create_experiment(names[1])
        self.fill(names[1], known[names[1]], sweeps=1)
        self.made["renamed"], self.made["reused"] = names[0] + " (final)", names[1]

    # Runs

    def fill(self, name, experiment, sweeps=None):
        for number in range(sweeps or max(1, self.options.runs // 4)):
            parent = self.run(experiment, f"sweep {number}")
            children = [self.run(experiment, f"trial {child}", parent) for child in range(self.options.runs)]
            self.client.log_metric(parent, "best", self.random.random(), self.tick())
            self.end(parent, "FINISHED")
            self.after(children)
        self.artifacts(parent)

    def run(self, experiment, name, parent=None):
        tags = {"mlflow.parentRunId": parent} if parent else {"kind": "sweep"}
        tags["mlflow.source.name"] = "/Users/ann@example.org/notebook"
        run = self.client.create_run(experiment, start_time=self.tick(), tags=tags, run_name=name).info.run_id
        self.made["runs"] += 1
        params = {"depth": self.random.randint(1, 9), "rate": self.random.choice([0.1, 0.01, 1e-05]), "note": "ü" * self.random.randint(0, 300)}
        self.client.log_batch(run, params=[Param(key, str(value)) for key, value in params.items()], tags=[RunTag("stage", "dev")])
        if parent:
            self.points(run)
            if self.random.random() < 0.3:
                frame = pandas.DataFrame({"x": [self.random.random() for _ in range(3)]})
                dataset = mlflow.data.from_pandas(frame, name=f"points {self.random.randint(1, 5)}")
                with mlflow.start_run(run):
                    mlflow.log_input(dataset, context="training")
            self.end(run, self.random.choice(["FINISHED", "FINISHED", "FAILED", "KILLED"]))
        return run

    def points(self, run):
        start, count = self.tick(), self.options.points
        metrics = [Metric("loss", 1 / (step + 1) + self.random.random() / 9, start + step * 50, step) for step in range(count)]
        metrics += [Metric("acc", self.random.random(), start + step * 50, step) for step in range(0, count, 10)]
        metrics += [Metric("odd", value, start, step) for step, value in enumerate((float("nan"), float("inf"), -0.0))]
        for at in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[at : at + 1000])

    def end(self, run, status):
        self.client.set_terminated(run, status, self.tick(60_000))

    def after(self, children):
        """What happens to runs that are over."""
        self.client.set_tag(children[0], "reviewed", "later, by Ann")
        self.client.log_metric(children[0], "loss", 0.5, BASE, step=-1)
        if len(children) > 2:
            self.client.delete_run(children[1])
            self.made["deleted_runs"].append(children[1])
            self.client.update_run(children[2], status="RUNNING")
            self.live.append(children[2])

    # Artifacts and models

    def artifacts(self, run):
        self.client.log_text(run, "# notes\n" + "ä" * self.random.randint(0, 5000), "notes/readme ü.md")
        self.client.log_dict(run, {"seed": self.options.seed, "rows": list(range(50))}, "config.json")
        for part in range(self.random.randint(2, 6)):
            path = self.folder / f"part-{part}.bin"
            path.write_bytes(self.random.randbytes(self.random.choice([0, 1, 1000, 100_000])))
            self.client.log_artifact(run, str(path), f"data/fold {part % 2}")
        if self.random.random() < 0.5:
            self.client.log_dict(run, {"seed": self.options.seed, "changed": True}, "config.json")

    def large_artifact(self, run):
        path = self.folder / "large.bin"
        with path.open("wb") as file:
            for _ in range(self.options.megabytes):
                file.write(self.random.randbytes(1 << 20))
        self.client.log_artifact(run, str(path), "large")
        path.unlink()

    def models(self):
        experiment = next(iter(self.made["experiments"].values()))
        mlflow.set_experiment(experiment_id=experiment)
        name = f"main.team.doubler_{self.options.seed}" if UNITY else f"doubler {self.options.seed}"
        frame = pandas.DataFrame({"x": [1.0, 2.5]})
        with mlflow.start_run(run_name="trains") as active:
            self.made["runs"] += 1
            mlflow.log_param("layers", 2)
            info = mlflow.pyfunc.log_model(name="doubler", python_model=Doubler(), signature=infer_signature(frame, [3.0, 6.0]))
            mlflow.log_metric("acc", 0.75, step=1, model_id=info.model_id)
        self.made["trained"] = active.info.run_id
        self.made["logged_models"].append(info.model_id)
        self.large_artifact(active.info.run_id)
        # Checkpoints: logged models that nobody registers.
        for step in range(2):
            model = self.client.create_logged_model(experiment, f"checkpoint {step}", active.info.run_id, tags={"step": str(step)}, params={"s": "1"})
            path = self.folder / "weights.bin"
            path.write_bytes(self.random.randbytes(20_000))
            self.client.log_model_artifact(model.model_id, str(path))
            self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY if step else LoggedModelStatus.FAILED)
            self.made["logged_models"].append(model.model_id)
        versions = [mlflow.register_model(f"models:/{info.model_id}", name).version for _ in range(3)]
        self.client.delete_model_version(name, versions[1])
        self.client.set_model_version_tag(name, versions[2], "reviewed", "yes")
        self.client.update_registered_model(name, "Doubles what it is given.")
        if UNITY:
            self.client.set_registered_model_alias(name, "champion", versions[0])
        else:
            self.client.transition_model_version_stage(name, versions[0], "Production")
            self.client.transition_model_version_stage(name, versions[2], "Staging")
        self.made["models"][name] = [str(versions[0]), str(versions[2])]

    # Going on

    def go_on(self, seconds):
        end, edits = time.monotonic() + seconds, 0
        names = list(self.made["experiments"])
        while time.monotonic() < end:
            match self.random.randrange(5):
                case 0:
                    self.live.append(self.run(self.made["experiments"][self.random.choice(names)], f"live {edits}"))
                case 1 if self.live:
                    self.points(self.random.choice(self.live))
                case 2 if self.live:
                    self.client.set_tag(self.random.choice(self.live), f"edit {edits}", "x")
                case 3 if self.live:
                    self.artifacts(self.random.choice(self.live))
                case 4 if len(self.live) > 2:
                    self.end(self.live.pop(0), "FINISHED")
            edits += 1
            time.sleep(self.random.random() / 2)
        self.made["edits"] = edits


def main():
    parser = argparse.ArgumentParser(description="Work on a Databricks workspace.")
    parser.add_argument("--emulator", help="the line that the emulator printed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--experiments", type=int, default=6)
    parser.add_argument("--runs", type=int, default=4, help="runs of a sweep")
    parser.add_argument("--points", type=int, default=200, help="points of a metric")
    parser.add_argument("--megabytes", type=int, default=12, help="size of the large artifact")
    parser.add_argument("--live", type=float, default=0, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workload = Workload(options, folder)
        workload.experiments()
        workload.models()
        workload.go_on(options.live)
        workload.made["open_runs"] = workload.live
    print(json.dumps(workload.made))


if __name__ == "__main__":
    main()
