"""The outside judge of the Databricks emulator: the official client, unpatched, must find it like a workspace.

    databricks_judge.py [files|unity]

Started by databricks_selftest.py, which sets where the client goes and DATABRICKS_EMULATOR, the line that the emulator prints at
its start. Prints a line per flow, `ok NAME` or `FAILED NAME: why`; exit 1 when any failed. Here is what concerns tracking.
"""

import importlib
import math
import os
import pathlib
import sys
import tempfile
import time
import traceback
import urllib.parse

from databricks_judging import EMULATOR, FLOWS, HOME, Judge, api, asked, control, fails, flow, same

import mlflow  # isort: skip
import pandas  # isort: skip
from mlflow.entities import Metric, Param, RunTag, ViewType  # isort: skip


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
def places_of_ones_own(judge):
    made = judge.client.create_experiment(judge.name("placed"), artifact_location="abfss://c@account.dfs.core.windows.net/x")
    run = judge.client.create_run(made).info
    same(run.artifact_uri, f"abfss://c@account.dfs.core.windows.net/x/{run.run_id}/artifacts")
    status, answer = api("POST", "mlflow/artifacts/credentials-for-read", {"run_id": run.run_id, "path": ["a"]})
    same((status, answer["error_code"]), (400, "INVALID_PARAMETER_VALUE"))
    fails(lambda: judge.client.create_experiment(judge.name("misplaced"), artifact_location="file:/tmp"), "INVALID_PARAMETER_VALUE")


@flow
def moves_in_the_browser(judge):
    folder = f"/Shared/old {judge.suffix}"
    same(api("POST", "workspace/mkdirs", {"path": f"{folder}/in"})[0], 200)
    made = [judge.client.create_experiment(f"{folder}/{name}") for name in ("a", "in/b")]
    before = judge.client.get_experiment(made[1]).last_update_time
    moved = control("POST", "move", {"from": folder, "to": f"{HOME}/new {judge.suffix}", "quiet": True})["moved"]
    same(sorted(moved), sorted(made))
    found = judge.client.get_experiment(made[1])
    same((found.name, found.last_update_time), (f"{HOME}/new {judge.suffix}/in/b", before))
    same(judge.client.get_experiment_by_name(f"{folder}/a"), None)
    fails(lambda: judge.client.create_experiment(f"{folder}/c"), "RESOURCE_DOES_NOT_EXIST")
    control("POST", "move", {"from": f"{HOME}/new {judge.suffix}/a", "to": f"/Shared/a {judge.suffix}"})
    same(judge.client.get_experiment_by_name(f"/Shared/a {judge.suffix}").experiment_id, made[0])


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
def quotas(judge):
    run = judge.run()
    for at in range(0, 1600, 100):
        judge.client.log_batch(run, params=[Param(f"p{n}", "1") for n in range(at, at + 100)], tags=[RunTag(f"t{n}", "1") for n in range(at, at + 99)])
    fails(lambda: judge.client.log_param(run, "one more", "1"), "exceeded maximum allowed number of params per run: 1600")
    judge.client.log_param(run, "p7", "1")
    for n in range(15):
        judge.client.set_tag(run, f"more {n}", "1")
    # The name of the run is a tag, too.
    fails(lambda: judge.client.set_tag(run, "one more", "1"), "BAD_REQUEST", "tags per run: 1600")


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
    # Many at once; what was deleted before stays so.
    experiment = judge.client.create_experiment(judge.name("many"))
    old, *others = [judge.client.create_run(experiment, start_time=1000 + n).info.run_id for n in range(4)]
    judge.client.delete_run(old)
    time.sleep(0.05)
    moment = int(time.time() * 1000)
    many = {"experiment_id": experiment}
    same(api("POST", "mlflow/databricks/runs/delete-runs", many | {"max_timestamp_millis": 1002})[1], {"runs_deleted": 2})
    same([each.info.run_id for each in judge.client.search_runs([experiment])], [others[2]])
    same(api("POST", "mlflow/databricks/runs/restore-runs", many | {"min_timestamp_millis": moment})[1], {"runs_restored": 2})
    same(len(judge.client.search_runs([experiment])), 3)


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
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part:
        FLOWS.clear()
    importlib.import_module("databricks_judge_unity" if part == "unity" else "databricks_judge_files")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "got").mkdir()
        judge = Judge(folder)
        for each in FLOWS:
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
    sys.exit(main())
