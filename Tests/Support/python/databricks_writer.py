"""Writes to a Databricks workspace what a team would: as MLFLOW_TRACKING_URI and DATABRICKS_* say.

    databricks_writer.py all | run NAME

all   experiments (one of a name that a deleted one had), runs with histories and files, logged models, versions in the registry
run   one more run, in the experiment /Shared/NAME, which is made when it is not there

Prints the id of the last run. For every workspace; makes what it names anew.
"""

import os
import sys
import tempfile

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag


class Constant(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[int]) -> list[int]:
        return [1 for _ in model_input]


def logged(client, experiment, number, parent=None):
    tags = {"mlflow.runName": f"run {number}", "purpose": "ü 日本語"} | ({"mlflow.parentRunId": parent} if parent else {})
    run = client.create_run(experiment, start_time=1_700_000_000_000 + number * 1000, tags=tags)
    points = [Metric(f"loss{m}", 1 / (step + 1 + m), 1_700_000_000_000 + step, step) for m in range(3) for step in range(120)]
    points += [Metric("odd", value, 1_700_000_000_000, step) for step, value in enumerate((float("nan"), float("inf"), -1e300))]
    for at in range(0, len(points), 200):
        client.log_batch(run.info.run_id, points[at : at + 200])
    client.log_batch(run.info.run_id, params=[Param(f"p{n}", "v" * n) for n in range(1, 30)], tags=[RunTag("team", "a b")])
    return run.info.run_id


def files(client, run, count):
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/plots/deep")
        for number in range(count):
            with open(f"{folder}/plots/plot {number}.txt", "w", encoding="utf-8") as file:
                file.write(f"{number}\n" * 100)
        open(f"{folder}/empty", "wb").close()
        with open(f"{folder}/plots/deep/große.bin", "wb") as file:
            file.write(os.urandom(3_000_000))
        client.log_artifacts(run, folder)


def everything():
    client = MlflowClient()
    deleted = client.create_experiment("/Shared/again")
    logged(client, deleted, 1)
    client.delete_experiment(deleted)
    again = client.create_experiment("/Shared/again", tags={"a": "b"})
    main = client.create_experiment("/Shared/main")
    for number in range(12):
        client.create_experiment(f"/Shared/small {number}")
    first = logged(client, again, 2)
    files(client, first, 70)
    child = logged(client, main, 3, parent=first)
    client.set_terminated(first, "FINISHED", 1_700_000_100_000)
    client.set_terminated(child, "FAILED", 1_700_000_100_000)
    gone = logged(client, main, 4)
    client.delete_run(gone)

    mlflow.set_experiment("/Shared/main")
    with mlflow.start_run(run_name="with a model") as run:
        mlflow.log_metric("accuracy", 0.5, step=1)
        model = mlflow.pyfunc.log_model(name="constant", python_model=Constant(), registered_model_name="constant")
    client.create_model_version("constant", f"{client.get_run(first).info.artifact_uri}/plots", run_id=first)
    client.transition_model_version_stage("constant", "1", "Staging")
    client.set_model_version_tag("constant", "1", "checked", "yes")
    client.set_registered_model_tag("constant", "owner", "ann")
    assert model.model_id
    return run.info.run_id


def one(name):
    client = MlflowClient()
    found = client.get_experiment_by_name(f"/Shared/{name}")
    run = logged(client, found.experiment_id if found else client.create_experiment(f"/Shared/{name}"), 9)
    files(client, run, 3)
    client.set_terminated(run)
    return run


if __name__ == "__main__":
    print(everything() if sys.argv[1] == "all" else one(sys.argv[2]))
