"""The outside judge of the Azure ML emulator: Microsoft's own client, unpatched, must find it like the service.

    azureml_judge.py 2|3

Runs in an environment made from requirements-azureml2.txt or requirements-azureml3.txt, with these variables set:
MLFLOW_TRACKING_URI, HTTPS_PROXY, REQUESTS_CA_BUNDLE, IDENTITY_ENDPOINT, IDENTITY_HEADER, AZUREML_CURRENT_CLOUD=AzureCloud,
MLFLOW_DISABLE_TELEMETRY=true, and AZUREML_EMULATOR, the line that the emulator prints at its start. azureml_selftest.py does
all that. Prints a line per flow, `ok NAME` or `FAILED NAME: why`; exit 1 when any failed.

2 is mlflow-skinny 2.22, with which all must work. 3 is mlflow-skinny 3.15, which the service does not know: tracking works,
and what needs logged models must fail as it does there.
"""

import contextlib
import hashlib
import io
import json
import logging
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

from azureml_judging import EMPTY_404, EMULATOR, FLOWS, VERSION, control, count, fails, flow, requests_of, same

# The client retries for minutes what the service refuses for good.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
warnings.filterwarnings("ignore")


class Judge:
    """One experiment and one run, for the flows that need no other."""

    def __init__(self, folder):
        import mlflow

        self.mlflow, self.folder = mlflow, pathlib.Path(folder)
        (self.folder / "got").mkdir()
        self.client = mlflow.MlflowClient()
        self.suffix = f"{VERSION}-{int(time.time() * 1000)}"
        self.experiment = self.run = None

    def name(self, start):
        return f"{start}-{self.suffix}"

    def new_run(self):
        return self.client.create_run(self.experiment.experiment_id).info.run_id

    def file(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    # Tracking

    @flow()
    def experiments(self):
        asked = requests_of(lambda: setattr(self, "experiment", self.mlflow.set_experiment(self.name("judge"))))
        assert count(asked, "GET", "experiments/get-by-name") and count(asked, "POST", "experiments/create"), asked
        same(len(self.experiment.experiment_id), 36)
        self.client.set_experiment_tag(self.experiment.experiment_id, "owner", "judge")
        found = self.client.get_experiment_by_name(self.name("judge"))
        same((found.experiment_id, found.tags["owner"]), (self.experiment.experiment_id, "judge"))
        names = [entry.name for entry in self.client.search_experiments()]
        assert self.name("judge") in names and "Default" not in names, names
        same(self.client.get_experiment_by_name("never made"), None)

    @flow()
    def experiment_archived_and_back(self):
        number = self.client.create_experiment(self.name("archived"))
        self.client.delete_experiment(number)
        same(self.client.get_experiment(number).lifecycle_stage, "deleted")
        self.client.restore_experiment(number)
        same(self.client.get_experiment(number).lifecycle_stage, "active")

    @flow()
    def experiment_with_slash_vanishes(self):
        name = self.name("/Users/me/judge")
        number = self.client.create_experiment(name)
        same(self.client.get_experiment(number).name, name)
        same(self.client.get_experiment_by_name(name), None)
        assert name not in [entry.name for entry in self.client.search_experiments()]
        fails(lambda: self.client.create_experiment(name), "RESOURCE_ALREADY_EXISTS")

    @flow()
    def rename_is_refused(self):
        fails(lambda: self.client.rename_experiment(self.experiment.experiment_id, "other"), *EMPTY_404)

    @flow()
    def run_with_everything(self):
        with self.mlflow.start_run(run_name="first", tags={"given": "at start"}) as run:
            self.mlflow.log_param("alone", 1)
            self.mlflow.log_params({"many": "a", "more": "b"})
            self.mlflow.log_metric("loss", 0.5, step=1)
            self.mlflow.log_metrics({"loss": 0.25, "accuracy": 0.75}, step=2)
            self.mlflow.set_tag("later", "set")
        self.run = run.info.run_id
        found = self.client.get_run(self.run)
        same(len(self.run), 36)
        same((found.info.status, found.info.run_name, found.data.tags["given"]), ("FINISHED", "first", "at start"))
        same(found.data.params, {"alone": "1", "many": "a", "more": "b"})
        same(found.data.metrics, {"loss": 0.25, "accuracy": 0.75})
        same([(m.value, m.step) for m in self.client.get_metric_history(self.run, "loss")], [(0.5, 1), (0.25, 2)])
        assert found.info.artifact_uri.startswith("azureml://") and f"/runs/{self.run}/artifacts" in found.info.artifact_uri
        self.client.set_tag(self.run, "gone", "x")
        self.client.delete_tag(self.run, "gone")
        assert "gone" not in self.client.get_run(self.run).data.tags
        fails(lambda: self.client.log_param(self.run, "alone", "2"))

    @flow()
    def run_searched(self):
        ids = [self.experiment.experiment_id]
        found = self.client.search_runs(ids, "tags.given = 'at start' and metrics.loss < 1")
        same([run.info.run_id for run in found], [self.run])
        same(len(self.client.search_runs(ids, f"attributes.run_id = '{self.run}'")), 1)
        assert len(self.mlflow.search_runs(ids)) >= 1
        for refused in ("tags.given != 'x'", "tags.given LIKE 'a%'", "params.many = 'a' or params.many = 'b'", "datasets.name = 'd'"):
            fails(lambda: self.client.search_runs(ids, refused))
        fails(lambda: self.client.search_runs(ids, order_by=["metrics.loss DESC"]))

    @flow()
    def run_archived_and_back(self):
        run = self.new_run()
        self.client.delete_run(run)
        same(self.client.get_run(run).info.lifecycle_stage, "deleted")
        fails(lambda: self.client.log_metric(run, "a", 1))
        self.client.restore_run(run)
        same(self.client.get_run(run).info.lifecycle_stage, "active")
        fails(lambda: self.client.get_run("00000000-0000-0000-0000-000000000000"), "RESOURCE_DOES_NOT_EXIST", "not found")

    @flow()
    def metrics_that_are_no_numbers(self):
        run = self.new_run()
        values = [math.nan, math.inf, -math.inf, 1.0]
        for step, value in enumerate(values):
            self.client.log_metric(run, "odd", value, step=step)
        found = [point.value for point in self.client.get_metric_history(run, "odd")]
        assert math.isnan(found[0]) and found[1:] == values[1:], found
        self.client.log_metric(run, "nan", math.nan)
        assert math.isnan(self.client.get_run(run).data.metrics["nan"])

    @flow()
    def metrics_are_kept_twice(self):
        run = self.new_run()
        for _ in range(2):
            self.client.log_metric(run, "same", 1.0, timestamp=5, step=1)
        same(len(self.client.get_metric_history(run, "same")), 2)

    @flow()
    def metrics_without_waiting(self):
        run = self.new_run()
        asked = requests_of(lambda: self.client.log_metric(run, "later", 1.0, step=1, synchronous=False).wait())
        assert count(asked, "POST", "runs/log-batch-async") and count(asked, "GET", "get-run-data-status"), asked
        self.client.log_param(run, "p", "v", synchronous=False).wait()
        found = self.client.get_run(run).data
        same((found.metrics, found.params), ({"later": 1.0}, {"p": "v"}))

    @flow()
    def limits_hold(self):
        from mlflow.entities import Metric, Param

        run = self.new_run()
        there = len(self.client.get_run(run).data.tags)
        for number in range(50 - there):
            self.client.set_tag(run, f"tag{number}", "x")
        fails(lambda: self.client.set_tag(run, "one too many", "x"), "INVALID_PARAMETER_VALUE", "FieldName=Tags, Limit=50, Size=51")
        self.client.set_tag(run, "tag0", "again")
        fails(lambda: self.client.set_tag(run, "tag0", "x" * 1001), "Limit=1000, Size=1001")
        params = [Param(f"p{number}", "x") for number in range(201)]
        for start in (0, 100):
            self.client.log_batch(run, params=params[start : start + 100])
        fails(lambda: self.client.log_batch(run, params=params[200:]), "FieldName=Parameters, Limit=200, Size=201")
        same(len(self.client.get_run(run).data.params), 200)
        rows = [Metric("m", float(number), 1, number) for number in range(251)]
        fails(lambda: self.client.log_batch(run, metrics=rows), "FieldName=MetricV2Dto.Value/Count, Limit=250")
        same(self.client.get_metric_history(run, "m"), [])
        self.client.log_batch(run, metrics=rows[:250])
        same(len(self.client.get_metric_history(run, "m")), 250)
        names = [Metric(f"name{number}", 1.0, 1, 0) for number in range(50)]
        fails(lambda: self.client.log_batch(run, metrics=names), "Too many metrics for this run")
        self.client.log_batch(run, metrics=names[:49])

    @flow()
    def inputs(self):
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name="d", digest="1", source_type="local", source="{}", schema="{}", profile="{}")
        run = self.new_run()
        self.client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        same([entry.dataset.name for entry in self.client.get_run(run).inputs.dataset_inputs], ["d"])

    # Artifacts

    @flow()
    def artifact_small_and_empty(self):
        for name, data in (("small.txt", b"hello"), ("empty.bin", b""), ("päth with spaces+%.txt", b"odd")):
            asked = requests_of(lambda: self.client.log_artifact(self.run, str(self.file(name, data)), "dir"))
            same((count(asked, "POST", "batch/metadata"), count(asked, "PUT", "/azureml/")), (1, 1))
            got = pathlib.Path(self.client.download_artifacts(self.run, f"dir/{name}", self.folder / "got"))
            same(got.read_bytes(), data)

    @flow()
    def artifact_in_blocks(self):
        data = os.urandom(1 << 20) * 130
        path = self.file("big.bin", data)
        asked = requests_of(lambda: self.client.log_artifact(self.run, str(path)))
        same((count(asked, "PUT", "comp=block&"), count(asked, "PUT", "comp=blocklist")), (33, 1))
        got = pathlib.Path(self.client.download_artifacts(self.run, "big.bin", self.folder / "got"))
        same(hashlib.sha256(got.read_bytes()).digest(), hashlib.sha256(data).digest())

    @flow()
    def artifact_made_once(self):
        path = self.file("once.txt", b"1")
        self.client.log_artifact(self.run, str(path))
        fails(lambda: self.client.log_artifact(self.run, str(path)), "Resource Conflict", "already exists")

    @flow()
    def artifact_directory(self):
        for number in range(60):
            self.file(f"many/sub/{number}.txt", str(number).encode())
        asked = requests_of(lambda: self.client.log_artifacts(self.run, str(self.folder / "many"), "all"))
        same((count(asked, "POST", "batch/metadata"), count(asked, "PUT", "/azureml/")), (2, 60))

    @flow()
    def artifact_list(self):
        found = {entry.path for entry in self.client.list_artifacts(self.run)}
        assert {"dir", "big.bin", "all"} <= found, found

    @flow("2")
    def artifact_list_inside(self):
        same(len(self.client.list_artifacts(self.run, "all/sub")), 60)
        got = pathlib.Path(self.client.download_artifacts(self.run, "all", self.folder / "got"))
        same(len(list(got.glob("sub/*.txt"))), 60)

    @flow("2")
    def artifact_list_of_many_pages(self):
        run = self.new_run()
        for number in range(510):
            self.file(f"pages/{number}.txt", b"x")
        self.client.log_artifacts(run, str(self.folder / "pages"))
        same(len(self.client.list_artifacts(run)), 510)

    @flow("3")
    def listing_inside_is_refused_as_on_the_service(self):
        fails(lambda: self.client.list_artifacts(self.run, "all/sub"), *EMPTY_404)

    # Models

    def python_model(self):
        class Model(self.mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return model_input

        return Model()

    @flow("2")
    def log_model(self):
        with self.mlflow.start_run() as run:
            asked = requests_of(lambda: self.mlflow.pyfunc.log_model("model", python_model=self.python_model(), pip_requirements=[]))
        assert count(asked, "POST", "runs/log-model"), asked
        self.model_run = run.info.run_id
        found = self.client.get_run(self.model_run)
        same(json.loads(found.data.tags["mlflow.log-model.history"])[0]["artifact_path"], "model")
        self.mlflow.pyfunc.load_model(f"runs:/{self.model_run}/model")

    @flow("2")
    def registered_from_a_run(self):
        name = self.name("judged")
        self.mlflow.register_model(f"runs:/{self.model_run}/model", name)
        version = self.client.get_model_version(name, "1")
        same((version.run_id, version.status, version.current_stage), (self.model_run, "READY", "None"))
        same(version.source, f"{self.client.get_run(self.model_run).info.artifact_uri}/model")
        same(self.client.get_model_version_download_uri(name, "1"), version.source)
        self.mlflow.register_model(f"runs:/{self.model_run}/model", name)
        same(sorted(v.version for v in self.client.search_model_versions(f"name='{name}'")), ["1", "2"])
        same(len(self.client.search_model_versions(f"run_id='{self.model_run}'")), 2)
        self.mlflow.pyfunc.load_model(f"models:/{name}/1")

    @flow("2")
    def stages_tags_and_texts(self):
        name = self.name("judged")
        self.client.transition_model_version_stage(name, "1", "Production")
        same([v.version for v in self.client.get_latest_versions(name, ["Production"])], ["1"])
        self.client.update_registered_model(name, "about the model")
        self.client.update_model_version(name, "1", "about the version")
        self.client.set_registered_model_tag(name, "a", "1")
        self.client.set_model_version_tag(name, "1", "b", "2")
        model, version = self.client.get_registered_model(name), self.client.get_model_version(name, "1")
        same((model.description, model.tags), ("about the model", {"a": "1"}))
        same((version.description, version.tags), ("about the version", {"b": "2"}))
        self.client.delete_registered_model_tag(name, "a")
        self.client.delete_model_version_tag(name, "1", "b")
        self.client.delete_model_version(name, "2")
        same(len(self.client.search_model_versions(f"name='{name}'")), 1)

    @flow("2")
    def registry_that_is_not_there(self):
        name = self.name("judged")
        fails(lambda: self.client.rename_registered_model(name, "other"), *EMPTY_404)
        fails(lambda: self.client.delete_registered_model(name), *EMPTY_404)
        fails(lambda: self.client.set_registered_model_alias(name, "champion", "1"), *EMPTY_404)
        fails(lambda: self.client.create_model_version(name, "s3://bucket/model"), "Model source from file must be in the following format")
        uri = self.client.get_run(self.model_run).info.artifact_uri
        fails(lambda: self.client.create_model_version(name, uri + "/nothing", self.model_run), "MLmodel")
        fails(lambda: self.client.create_registered_model("no spaces"), "INVALID_PARAMETER_VALUE")

    @flow("2")
    def registered_from_a_folder(self):
        folder = self.folder / "saved"
        self.mlflow.pyfunc.save_model(str(folder), python_model=self.python_model(), pip_requirements=[])
        name = self.name("uploaded")
        asked = requests_of(lambda: self.mlflow.register_model(folder.as_uri(), name))
        assert count(asked, "POST", "/artifacts/LocalUpload/"), asked
        assert self.client.get_model_version(name, "1").source.startswith("azureml://artifacts/LocalUpload/")
        self.mlflow.pyfunc.load_model(f"models:/{name}/1")

    @flow()
    def model_search_is_refused(self):
        fails(lambda: self.client.search_registered_models("name='x'"), "400", "Currently unsupported filter string format")

    @flow("3")
    def log_model_is_refused_as_on_the_service(self):
        with self.mlflow.start_run():
            fails(lambda: self.mlflow.pyfunc.log_model(name="model", python_model=self.python_model(), pip_requirements=[]), *EMPTY_404)

    @flow("3")
    def register_from_a_run_is_refused_as_on_the_service(self):
        fails(lambda: self.mlflow.register_model(f"runs:/{self.run}/all", self.name("judged")), *EMPTY_404)

    @flow("3")
    def version_of_a_run_by_its_address(self):
        self.client.log_text(self.run, "artifact_path: model\n", "plain/MLmodel")
        name, uri = self.name("addressed"), self.client.get_run(self.run).info.artifact_uri
        self.client.create_registered_model(name)
        version = self.client.create_model_version(name, f"{uri}/plain", self.run)
        same((version.version, version.run_id, version.source), ("1", self.run, f"{uri}/plain"))

    # Signing in

    @flow()
    def traces_are_refused(self):
        fails(lambda: self.client._tracking_client.store.get_trace_info("tr-1"), "403")

    @flow()
    def token_expired(self):
        same(alone("expired"), "refused, and well again with a new one")

    @flow()
    def client_secret(self):
        names = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client_id", "AZURE_CLIENT_SECRET": "client_secret"}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IDENTITY_")}
        environment |= {variable: EMULATOR[key] for variable, key in names.items()}
        said = []
        asked = requests_of(lambda: said.append(alone("signed-in", environment)))
        same(said, ["signed in"])
        assert count(asked, "POST", "/oauth2/v2.0/token"), asked


# In processes of their own, because credentials are kept for a process's life


def alone(what, environment=None):
    done = subprocess.run([sys.executable, __file__, what], env=environment, capture_output=True, text=True, timeout=300)
    return done.stdout.strip() or done.stderr[-1000:]


def signed_in():
    import mlflow

    mlflow.MlflowClient().search_experiments(max_results=1)
    print("signed in")


def expired():
    import mlflow

    client = mlflow.MlflowClient()
    client.search_experiments(max_results=1)
    control("POST", "/tokens/expire")
    # The client keeps its token until the time that it was given with it.
    fails(lambda: client.search_experiments(max_results=1), "Authorization token is expired or invalid")
    if subprocess.run([sys.executable, __file__, "signed-in"], capture_output=True, timeout=300).stdout.strip() == b"signed in":
        print("refused, and well again with a new one")


def main():
    if VERSION == "signed-in":
        return signed_in()
    if VERSION == "expired":
        return expired()
    if VERSION not in ("2", "3") or not EMULATOR:
        sys.exit(__doc__)
    for name in ("mlflow", "azure", "azureml"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(folder)
        for each in FLOWS:
            name, started, noise = each.__name__.replace("_", " "), time.monotonic(), io.StringIO()
            try:
                with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
                    each(judge)
                print(f"ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED {name}: {type(error).__name__}: {str(error)[:1500]}", flush=True)
                if not isinstance(error, AssertionError) or os.environ.get("VERBOSE"):
                    traceback.print_exc()
    return 1 if failed else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # The client's own threads may wait for long.
    os._exit(status or 0)
