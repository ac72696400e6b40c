"""Microsoft's client reads from a workspace what was mirrored into it from `azureml_workload.py`.

    azureml_reader.py WORKLOAD

WORKLOAD is the line that the workload printed. Runs in .venv/azureml2, with the variables that lead its client to the workspace. Reads
an overflow document as README shows it. Prints what is wrong; exit 1 when anything is.
"""

import json
import os
import sys
import tempfile
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.filterwarnings("ignore")

import mlflow  # noqa: E402
import pandas  # noqa: E402

wrong = []


def expect(is_so, what):
    if not is_so:
        wrong.append(what)


def copy_of(client, run_id):
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`mlmirror.primary.run_id` = '{run_id}'")
    expect(len(found) == 1, f"run {run_id} is there {len(found)} times")
    return client.get_run(found[0].info.run_id)


# This is the program that README gives.
def whole(run, folder):
    """Tags, params and metric histories of a mirrored run, those of its overflow document included."""
    client = mlflow.MlflowClient()
    tags, params = dict(run.data.tags), dict(run.data.params)
    metrics = {
        name: [[p.value, p.timestamp, p.step] for p in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics
    }
    if "mlmirror.overflow" in tags:
        with open(client.download_artifacts(run.info.run_id, "mlmirror/overflow.json", folder), encoding="utf-8") as file:
            rest = json.load(file)
        tags |= rest.get("tags", {})
        params |= rest.get("params", {})
        metrics |= rest.get("metrics", {})
    return tags, params, metrics


def main():
    known = json.loads(sys.argv[1])
    client = mlflow.MlflowClient()
    names = {e.tags.get("mlmirror.primary.name"): e.name for e in client.search_experiments()}
    for name in known["experiments"]:
        expect(name in names, f"experiment {name} is not there")
        expect("/" not in names.get(name, ""), f"experiment {name} is called {names.get(name)}")
    expect(len(set(names.values())) == len(names), f"experiments share names: {names}")

    with tempfile.TemporaryDirectory() as folder:
        run = copy_of(client, known["run"])
        expect(len(run.data.tags) <= 50 and len(run.data.params) <= 200 and len(run.data.metrics) <= 50, "a run over the limits")
        tags, params, metrics = whole(run, folder)
        for number in range(299):
            expect(tags.get(f"tag {number:03}") == f'value "{number}" ü', f"tag {number}")
        expect(tags.get("long tag") == "x" * 5000, "the long tag")
        expect(params.get("long param") == "é" * 6000, "the long param")
        expect(all(params.get(f"param {number:04}") == f"{number}" for number in range(1599)), "a param")
        for number in range(120):
            points = [p for p in metrics.get(f"metric {number:03}", []) if p[2] < 50]
            expect([p[0] for p in sorted(points, key=lambda p: p[2])] == [step / 7 + number for step in range(10)], f"metric {number}")
        last = [p[0] for p in metrics["metric 119"] if p[2] == 50]
        expect(len(last) == 3 and {str(value).lower() for value in last} == {"nan", "0.0", "-1e+300"}, f"odd values: {last}")
        with open(client.download_artifacts(run.info.run_id, "changed.txt", folder)) as file:
            expect(file.read() == "second, longer", "the file that was written over")
        path = client.download_artifacts(run.info.run_id, "data/large.bin", folder)
        expect(os.path.getsize(path) == known["megabytes"] << 20, "the size of the large file")
        with open(path, "rb") as file:
            for number in range(known["megabytes"]):
                expect(file.read(1 << 20) == number.to_bytes(4, "big") * (1 << 18), f"megabyte {number} of the large file")

        trained = copy_of(client, known["trained"])
        with open(client.download_artifacts(trained.info.run_id, f"mlmirror/models/{known['logged_model']}.json", folder)) as file:
            document = json.load(file)
        expect(document["params"].get("layers") == "2", f"params of the logged model: {document['params']}")
        expect([m["value"] for m in document["metrics"] if m["key"] == "acc"] == [0.75], "metrics of the logged model")
        expect(document["source_run"] == known["trained"], "source run of the logged model")

        versions = sorted(client.search_model_versions(f"name='{known['model']}'"), key=lambda v: int(v.version))
        expect([int(v.version) for v in versions] == known["versions"], f"versions {[v.version for v in versions]}")
        expect(versions[1].tags.get("mlmirror.alias.champion") == "true", f"the alias: {versions[1].tags}")
        expect(versions[2].tags.get("reviewed") == "yes", f"the tag: {versions[2].tags}")
        frame = pandas.DataFrame({"x": [1.0, 2.5, -3.0]})
        for uri in [f"models:/{known['model']}/{number}" for number in known["versions"]] + [f"runs:/{trained.info.run_id}/doubler"]:
            predicted = [float(value) for value in mlflow.pyfunc.load_model(uri).predict(frame)]
            expect(predicted == known["predicted"], f"{uri} predicts {predicted}, not {known['predicted']}")
    for what in wrong:
        print(what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
