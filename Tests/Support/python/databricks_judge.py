"""The outside judge of the Databricks emulator: the official client, unpatched, must find it like a workspace.

    databricks_judge.py [workspace|unity]

Started by databricks_selftest.py, which sets where the client goes and DATABRICKS_EMULATOR, the line that the emulator prints at
its start. Prints a line per flow, `ok NAME` or `FAILED NAME: why`; exit 1 when any failed.
"""

import hashlib
import json
import math
import os
import pathlib
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import warnings

warnings.filterwarnings("ignore")

import mlflow  # noqa: E402
import pandas  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402

EMULATOR = json.loads(os.environ["DATABRICKS_EMULATOR"])
HOME = f"/Users/{EMULATOR['user']}"
MIB = 1 << 20
FLOWS = []


def flow(function):
    FLOWS.append(function)
    return function


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def fails(action, *texts):
    try:
        action()
    except Exception as error:
        for text in texts:
            assert text in str(error), f"{text!r} is not in {str(error)[:500]!r}"
        return
    raise AssertionError(f"it was not refused ({texts})")


def asked(method, address, document=None, headers=()):
    """(status, headers, body) without the official client; whom it goes to is told by the address."""
    body = json.dumps(document).encode() if document is not None else b"" if method == "POST" else None
    request = urllib.request.Request(address, body, method=method, headers=dict(headers))
    try:
        answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read()


def control(method, path, document=None):
    return json.loads(asked(method, f"{EMULATOR['control']}/emulator/{path}", document)[2])


def api(method, path, document=None, token=None):
    status, _, body = asked(method, f"{EMULATOR['host']}/api/2.0/{path}", document, {"Authorization": f"Bearer {token or EMULATOR['token']}"})
    return status, json.loads(body)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * 2 + 1


class Judge:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.client = mlflow.MlflowClient()
        self.suffix = f"{time.time_ns()}"
        self.experiment = mlflow.set_experiment(f"{HOME}/judged {self.suffix}").experiment_id

    def name(self, start):
        return f"{HOME}/{start} {self.suffix}"

    def run(self):
        return self.client.create_run(self.experiment).info.run_id

    def file(self, name, size):
        """Bytes that differ from place to place."""
        path = self.folder / name
        with open(path, "wb") as file:
            for number in range(0, size, MIB):
                part = number.to_bytes(8, "big") + os.urandom(1016)
                file.write((part * 1024)[: min(MIB, size - number)])
        return path


@flow
def experiments(judge):
    name = judge.name("an experiment ü/ö".replace("/", "-"))
    made = mlflow.set_experiment(name)
    again = judge.client.get_experiment_by_name(name)
    same((made.experiment_id, made.name), (again.experiment_id, name))
    assert made.experiment_id.isdigit() and 16 <= len(made.experiment_id) <= 19, made.experiment_id
    same(made.artifact_location, f"dbfs:/databricks/mlflow-tracking/{made.experiment_id}")
    same(made.tags["mlflow.experimentType"], "MLFLOW_EXPERIMENT")
    judge.client.set_experiment_tag(made.experiment_id, "team", "growth")
    found = judge.client.search_experiments(filter_string=f"name = '{name}'")
    same([(each.experiment_id, each.tags["team"]) for each in found], [(made.experiment_id, "growth")])
    assert "Default" not in [each.name for each in judge.client.search_experiments(view_type=ViewType.ALL)]


@flow
def experiments_are_refused(judge):
    fails(lambda: judge.client.create_experiment("relative"), "INVALID_PARAMETER_VALUE", "absolute path")
    fails(lambda: judge.client.create_experiment("/Users/nobody/there/x"), "RESOURCE_DOES_NOT_EXIST", "Parent directory")
    name = judge.name("twice")
    judge.client.create_experiment(name)
    fails(lambda: judge.client.create_experiment(name), "RESOURCE_ALREADY_EXISTS")
    same(judge.client.get_experiment_by_name(judge.name("never")), None)
    fails(lambda: judge.client.get_experiment("1"), "RESOURCE_DOES_NOT_EXIST")
    fails(lambda: judge.client.search_runs([judge.experiment] + ["1"] * 10), "INVALID_PARAMETER_VALUE", "10")


@flow
def rename_delete_restore_and_reuse(judge):
    first, second = judge.name("first"), judge.name("second")
    old = judge.client.create_experiment(first)
    judge.client.rename_experiment(old, second)
    same(judge.client.get_experiment(old).name, second)
    same(judge.client.get_experiment_by_name(first), None)
    fails(lambda: judge.client.rename_experiment(old, "/nowhere/at/all"), "RESOURCE_DOES_NOT_EXIST")
    judge.client.delete_experiment(old)
    same(judge.client.get_experiment_by_name(second).lifecycle_stage, "deleted")
    new = judge.client.create_experiment(second)
    assert new != old
    same(judge.client.get_experiment_by_name(second).experiment_id, new)
    same((judge.client.get_experiment(old).name, judge.client.get_experiment(old).lifecycle_stage), (second, "deleted"))
    fails(lambda: judge.client.restore_experiment(old), "RESOURCE_ALREADY_EXISTS")
    judge.client.rename_experiment(new, judge.name("third"))
    judge.client.restore_experiment(old)
    same((judge.client.get_experiment_by_name(second).experiment_id, judge.client.get_experiment(old).name), (old, second))


@flow
def folders(judge):
    folder = f"/Shared/team {judge.suffix}/deeper"
    fails(lambda: judge.client.create_experiment(f"{folder}/x"), "RESOURCE_DOES_NOT_EXIST")
    same(api("POST", "workspace/mkdirs", {"path": folder})[0], 200)
    made = judge.client.create_experiment(f"{folder}/x")
    query = urllib.parse.quote(f"{folder}/x")
    found = api("GET", f"workspace/get-status?path={query}")[1]
    same((found["object_type"], str(found["object_id"])), ("MLFLOW_EXPERIMENT", made))
    same(api("POST", "workspace/delete", {"path": folder})[0], 400)
    same(api("POST", "workspace/delete", {"path": folder, "recursive": True})[0], 200)
    same(judge.client.get_experiment(made).lifecycle_stage, "deleted")
    # The prefix that some tools write.
    same(judge.client.get_experiment(judge.client.create_experiment(f"/Workspace{HOME}/p{judge.suffix}")).name, f"{HOME}/p{judge.suffix}")


@flow
def runs(judge):
    mlflow.set_experiment(experiment_id=judge.experiment)
    with mlflow.start_run(run_name="parent", tags={"kind": "sweep"}) as parent:
        mlflow.log_params({"depth": 3, "text": "ü" * 500})
        for number in range(3):
            with mlflow.start_run(nested=True, run_name=f"child {number}"):
                mlflow.log_metric("loss", number / 2, step=number)
        mlflow.log_input(mlflow.data.from_pandas(pandas.DataFrame({"x": [1.0, 2.0]}), name="points"), context="training")
    got = judge.client.get_run(parent.info.run_id)
    same((got.data.params["depth"], got.data.params["text"], got.data.tags["kind"]), ("3", "ü" * 500, "sweep"))
    same(got.info.artifact_uri, f"dbfs:/databricks/mlflow-tracking/{judge.experiment}/{got.info.run_id}/artifacts")
    same((got.info.experiment_id, got.info.status), (judge.experiment, "FINISHED"))
    same([each.dataset.name for each in got.inputs.dataset_inputs], ["points"])
    found = judge.client.search_runs([judge.experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["metrics.loss DESC"])
    same([each.data.metrics["loss"] for each in found], [1.0, 0.5, 0.0])
    judge.client.set_tag(parent.info.run_id, "later", "yes")
    judge.client.delete_tag(parent.info.run_id, "kind")
    tags = judge.client.get_run(parent.info.run_id).data.tags
    same((tags["later"], "kind" in tags), ("yes", False))
    fails(lambda: judge.client.log_param(parent.info.run_id, "depth", "4"), "INVALID_PARAMETER_VALUE")


@flow
def metrics(judge):
    run, now = judge.run(), 1_700_000_000_000
    points = [Metric("loss", 1 / (step + 1), now + step, step) for step in range(900)]
    points += [Metric("odd", value, now, step) for step, value in enumerate((math.nan, math.inf, -math.inf, -0.0, 1e-300))]
    judge.client.log_batch(run, metrics=points, params=[Param("p", "1")], tags=[RunTag("t", "2")])
    found = judge.client.get_metric_history(run, "loss")
    same([(each.value, each.timestamp, each.step) for each in found], [(each.value, each.timestamp, each.step) for each in points[:900]])
    same(len(judge.client.get_metric_history(run, "odd")), 5)
    status, answer = api("GET", f"mlflow/metrics/get-history?run_id={run}&metric_key=loss&max_results=400")
    same((status, len(answer["metrics"]), bool(answer.get("next_page_token"))), (200, 400, True))
    same(api("GET", f"mlflow/metrics/get-history?run_id={run}&metric_key=loss&max_results=25001")[1]["error_code"], "INVALID_PARAMETER_VALUE")


@flow
def runs_deleted_and_restored(judge):
    run = judge.run()
    judge.client.delete_run(run)
    same(judge.client.get_run(run).info.lifecycle_stage, "deleted")
    assert run not in [each.info.run_id for each in judge.client.search_runs([judge.experiment])]
    assert run in [each.info.run_id for each in judge.client.search_runs([judge.experiment], run_view_type=ViewType.DELETED_ONLY)]
    judge.client.restore_run(run)
    same(judge.client.get_run(run).info.lifecycle_stage, "active")


def artifact(judge, size, folder):
    run = judge.run()
    path = judge.file(f"{size}.bin", size)
    judge.client.log_artifact(run, str(path), folder)
    place = f"{folder}/{path.name}" if folder else path.name
    listed = judge.client.list_artifacts(run, folder)
    same([(each.path, each.is_dir, each.file_size) for each in listed], [(place, False, size)])
    got = judge.client.download_artifacts(run, place, str(judge.folder / "got"))
    same(digest(got), digest(path))
    # Written again: artifacts of a workspace can change.
    if size < MIB:
        path.write_bytes(b"changed")
        judge.client.log_artifact(run, str(path), folder)
        same(pathlib.Path(judge.client.download_artifacts(run, place, str(judge.folder / "got"))).read_bytes(), b"changed")
    pathlib.Path(got).unlink()
    path.unlink()


@flow
def artifact_of_5_bytes(judge):
    artifact(judge, 5, None)


@flow
def artifact_of_25_megabytes(judge):
    artifact(judge, 25 * MIB, "deep/er")


@flow
def artifact_of_120_megabytes(judge):
    artifact(judge, 120 * MIB, "big")


@flow
def folder_of_artifacts(judge):
    run, folder = judge.run(), judge.folder / "many"
    for number in range(20):
        (folder / f"part {number % 3}").mkdir(parents=True, exist_ok=True)
        (folder / f"part {number % 3}" / f"{number} ü.txt").write_text(f"{number}")
    (folder / "empty").write_bytes(b"")
    judge.client.log_artifacts(run, str(folder), "all")
    same([(each.path, each.is_dir) for each in judge.client.list_artifacts(run)], [("all", True)])
    same(len(judge.client.list_artifacts(run, "all")), 4)
    got = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run, artifact_path="all", dst_path=str(judge.folder / "tree")))
    found = {str(each.relative_to(got)): each.read_bytes() for each in got.rglob("*") if each.is_file()}
    same(found, {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()})


@flow
def signed_addresses(judge):
    run = judge.run()
    judge.client.log_text(run, "0123456789", "digits.txt")
    _, answer = api("POST", "mlflow/artifacts/credentials-for-read", {"run_id": run, "path": ["digits.txt"]})
    info = answer["credential_infos"][0]
    headers = {each["name"]: each["value"] for each in info["headers"]}
    same(info["path"], "digits.txt")
    same(asked("GET", info["signed_uri"], headers=headers)[::2], (200, b"0123456789"))
    same(asked("GET", info["signed_uri"], headers=headers | {"Range": "bytes=3-5"})[::2], (206, b"345"))
    same(asked("GET", info["signed_uri"])[0], 400)
    same(asked("GET", info["signed_uri"], headers=headers | {"Authorization": "Bearer x"})[0], 400)
    same(asked("GET", info["signed_uri"].replace("digits", "others"), headers=headers)[0], 403)
    same(asked("PUT", info["signed_uri"] + "&comp=blocklist", {}, headers)[0], 403)
    control("POST", "faults", {"expired_sas": {"count": 1}})
    status, _, body = asked("GET", info["signed_uri"], headers=headers)
    assert status == 403 and b"<Code>AuthenticationFailed</Code>" in body, body
    same(asked("GET", info["signed_uri"], headers=headers)[0], 200)
    control("POST", "sas/expire")
    same(asked("GET", info["signed_uri"], headers=headers)[0], 403)
    # What was given before is void; the client asks for new ones.
    same(mlflow.artifacts.load_text(f"runs:/{run}/digits.txt"), "0123456789")


@flow
def logged_model_and_version(judge):
    mlflow.set_experiment(experiment_id=judge.experiment)
    registered = f"model {judge.suffix}"
    with mlflow.start_run() as active:
        mlflow.log_metric("before", 1.0)
        info = mlflow.pyfunc.log_model(name="doubler", python_model=Doubler(), params={"layers": "2"}, registered_model_name=registered)
        mlflow.log_metric("acc", 0.75, step=1, model_id=info.model_id)
    model = mlflow.get_logged_model(info.model_id)
    same(model.artifact_location, f"dbfs:/databricks/mlflow-tracking/{judge.experiment}/logged_models/{info.model_id}/artifacts")
    same((str(model.status), model.params["layers"], model.experiment_id), ("READY", "2", judge.experiment))
    frame = pandas.DataFrame({"x": [1.0, 2.5]})
    same(list(mlflow.pyfunc.load_model(info.model_uri).predict(frame)), [3.0, 6.0])
    same([each.model_id for each in judge.client.get_run(active.info.run_id).outputs.model_outputs], [info.model_id])
    found = mlflow.search_logged_models([judge.experiment], output_format="list")
    same([each.model_id for each in found], [info.model_id])
    judge.client.set_logged_model_tags(info.model_id, {"reviewed": "yes"})
    same(mlflow.get_logged_model(info.model_id).tags["reviewed"], "yes")
    version = judge.client.get_model_version(registered, "1")
    same((version.status, version.source), ("READY", model.artifact_location))
    judge.client.transition_model_version_stage(registered, "1", "Production")
    same(judge.client.get_latest_versions(registered, ["Production"])[0].version, "1")
    judge.client.set_model_version_tag(registered, "1", "k", "v")
    same(list(mlflow.pyfunc.load_model(f"models:/{registered}/Production").predict(frame)), [3.0, 6.0])
    fails(lambda: judge.client.set_registered_model_alias(registered, "champion", "1"))
    status, answer = api("POST", "mlflow/registered-models/alias", {"name": registered, "alias": "a", "version": "1"})
    same((status, answer["error_code"]), (404, "ENDPOINT_NOT_FOUND"))
    judge.client.rename_registered_model(registered, registered + " new")
    judge.client.delete_model_version(registered + " new", "1")
    judge.client.delete_registered_model(registered + " new")


@flow
def versions_are_pending_at_first(judge):
    name = f"pending {judge.suffix}"
    judge.client.create_registered_model(name)
    control("POST", "faults", {"pending_seconds": 1.5})
    try:
        status, made = api("POST", "mlflow/model-versions/create", {"name": name, "source": f"dbfs:/databricks/mlflow-tracking/{judge.experiment}/x"})
        same((status, made["model_version"]["status"]), (200, "PENDING_REGISTRATION"))
        started = time.monotonic()
        # It answers with what it was told at first, but waits.
        version = judge.client.create_model_version(name, made["model_version"]["source"]).version
        same(judge.client.get_model_version(name, version).status, "READY")
        assert time.monotonic() - started > 1, "the client did not have to wait"
    finally:
        control("DELETE", "faults")


@flow
def what_only_open_source_servers_know(judge):
    run = judge.run()
    for path in ("mlflow/server-info", f"mlflow/metrics/get-history-bulk-interval?run_ids={run}&metric_key=x", "mlflow-artifacts/artifacts"):
        status, answer = api("GET", path)
        same((path, status, answer["error_code"]), (path, 404, "ENDPOINT_NOT_FOUND"))


@flow
def tokens(judge):
    same(api("GET", f"mlflow/experiments/get?experiment_id={judge.experiment}", token="dapi-wrong")[0], 403)
    same(asked("GET", f"{EMULATOR['host']}/api/2.0/mlflow/experiments/get")[0], 401)
    status, headers, _ = asked("GET", f"{EMULATOR['host']}/.well-known/databricks-config")
    same((status, headers["x-databricks-org-id"]), (200, EMULATOR["workspace_id"]))
    control("POST", "tokens/expire")
    if "DATABRICKS_CLIENT_ID" in os.environ:
        # Held tokens are void now. A client that is made anew gets a new one.
        control("DELETE", "counters")
        mlflow.utils.rest_utils.get_workspace_client.cache_clear()
    same(judge.client.get_experiment(judge.experiment).experiment_id, judge.experiment)
    if "DATABRICKS_CLIENT_ID" in os.environ:
        assert control("GET", "counters")["clients"]["oauth"]["requests"]["other"] >= 1


@flow
def rates(judge):
    control("POST", "faults", {"rate_scale": 1})
    control("DELETE", "counters")
    try:
        statuses = [api("POST", "mlflow/runs/search", {"experiment_ids": [judge.experiment], "max_results": 1})[0] for _ in range(30)]
        assert 429 in statuses and statuses[0] == 200, statuses
        # The client waits as it is told, and gets through.
        assert judge.client.search_runs([judge.experiment])
        counted = control("GET", "counters")
        assert counted["throttled"]["search"] >= statuses.count(429) and counted["clients"]["token"]["throttled"]["search"] >= 1, counted
    finally:
        control("DELETE", "faults")


@flow
def planned_faults(judge):
    other = judge.client.create_experiment(judge.name("secret"))
    run = judge.client.create_run(other).info.run_id
    try:
        control("POST", "faults", {"denied": [other]})
        fails(lambda: judge.client.get_experiment(other), "PERMISSION_DENIED")
        fails(lambda: judge.client.get_run(run), "PERMISSION_DENIED")
        fails(lambda: judge.client.search_runs([judge.experiment, other]), "PERMISSION_DENIED")
        fails(lambda: judge.client.list_artifacts(run), "PERMISSION_DENIED")
        assert other not in [each.experiment_id for each in judge.client.search_experiments()]
        control("DELETE", "faults")
        control("POST", "faults", {"throttle": {"class": "search", "count": 1, "retry_after": 1}})
        same(api("POST", "mlflow/runs/search", {"experiment_ids": [judge.experiment]})[1]["error_code"], "REQUEST_LIMIT_EXCEEDED")
        control("POST", "faults", {"html": {"class": "search", "count": 1}, "throttle": []})
        status, _, body = asked(
            "POST", f"{EMULATOR['host']}/api/2.0/mlflow/runs/search", {}, {"Authorization": f"Bearer {EMULATOR['token']}"}
        )
        same((status, body[:15]), (502, b"<!DOCTYPE html>"))
        control("POST", "faults", {"errors": {"class": "search", "count": 1, "status": 503}})
        same(api("POST", "mlflow/runs/search", {"experiment_ids": [judge.experiment]})[0], 503)
        same(api("POST", "mlflow/runs/search", {"experiment_ids": [judge.experiment]})[0], 200)
    finally:
        control("DELETE", "faults")


def main():
    flows = FLOWS
    if sys.argv[1:] == ["unity"]:
        import databricks_judge_unity

        flows = databricks_judge_unity.FLOWS
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "got").mkdir()
        judge = Judge(folder)
        for each in flows:
            started = time.monotonic()
            try:
                each(judge)
                print(f"ok {each.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED {each.__name__}: {type(error).__name__}: {str(error)[:700]}", flush=True)
                if os.environ.get("DATABRICKS_JUDGE_TRACE"):
                    traceback.print_exc()
    return 1 if failed else 0


if __name__ == "__main__":
    # The flows of Unity Catalog import this file under its name.
    sys.modules["databricks_judge"] = sys.modules["__main__"]
    sys.exit(main())
