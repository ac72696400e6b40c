"""A team that moves from one MLflow server to another while it works, and whether it lost anything on the way.

    cutover.py write URI --log FILE [--seconds 30] [--writers 4]
    cutover.py edit URI
    cutover.py check URI --log FILE

write   writers log into runs of their own, and begin a new run now and then; what the server has acknowledged, and when,
        goes into FILE, one JSON object a line.
edit    somebody at the new home changes runs that were mirrored there: a tag, a name, a description, a deletion. Prints
        what was done as JSON.
check   everything in FILE is on the server at URI, once; with --edits JSON, the edits still stand. Prints what is not.
"""

import argparse
import json
import os
import sys
import threading
import time

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import ViewType  # noqa: E402

EXPERIMENT = "team/moving"
STAMP = "mlmirror.primary.run_id"


def write(arguments):
    client = MlflowClient(arguments.uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    end = time.time() + arguments.seconds
    lock = threading.Lock()
    failures = []
    with open(arguments.log, "a", encoding="utf-8") as log:

        def note(**what):
            with lock:
                log.write(json.dumps(what | {"at": time.time()}) + "\n")
                log.flush()

        def writer(number):
            client = MlflowClient(arguments.uri)
            try:
                count = 0
                while time.time() < end:
                    run = client.create_run(
                        experiment, run_name=f"writer {number}.{count}",
                        tags={"mlflow.user": f"writer{number}", "mlflow.source.name": f"notebook{number}.py"},
                    ).info.run_id  # fmt: skip
                    note(run=run)
                    client.log_param(run, "number", number)
                    note(run=run, param="number", value=str(number))
                    for step in range(40):
                        if time.time() >= end:
                            break
                        client.log_metric(run, "loss", 1 / (step + 1), timestamp=1000 + step, step=step)
                        note(run=run, metric="loss", step=step)
                        time.sleep(0.05)
                    client.set_tag(run, "done", "yes")
                    note(run=run, tag="done", value="yes")
                    client.set_terminated(run)
                    note(run=run, status="FINISHED")
                    count += 1
            except Exception as error:  # noqa: BLE001
                failures.append(f"writer {number}: {error}")

        threads = [threading.Thread(target=writer, args=(number,)) for number in range(arguments.writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(json.dumps({"failures": failures}))
    return 1 if failures else 0


def mirrored(client):
    experiments = [experiment.experiment_id for experiment in client.search_experiments(ViewType.ALL)]
    runs, token = [], None
    while True:
        page = client.search_runs(experiments, "", ViewType.ALL, 1000, ["attributes.start_time ASC"], token)
        runs += [run for run in page if STAMP in run.data.tags]
        token = page.token
        if not token:
            return runs


def edit(arguments):
    client = MlflowClient(arguments.uri)
    runs = [run for run in mirrored(client) if run.info.lifecycle_stage == "active"]
    first, second, last = runs[0].info.run_id, runs[1].info.run_id, runs[-1].info.run_id
    client.set_tag(first, "done", "by the new home")
    client.set_tag(first, "mlflow.note.content", "described there")
    client.update_run(second, name="renamed there")
    client.set_tag(last, "mlflow.user", "somebody else")
    client.delete_run(second)
    print(json.dumps({"first": first, "second": second, "last": last}))
    return 0


def check(arguments):
    client = MlflowClient(arguments.uri)
    wrong = []
    copies = {}
    for run in mirrored(client):
        copies.setdefault(run.data.tags[STAMP], []).append(run)
    edits = json.loads(arguments.edits) if arguments.edits else {}
    histories = {}
    with open(arguments.log, encoding="utf-8") as log:
        entries = [json.loads(line) for line in log]
    for entry in entries:
        found = copies.get(entry["run"], [])
        if len(found) != 1:
            wrong.append(f"{entry['run']}: {len(found)} copies")
            continue
        run = found[0]
        if run.info.run_id in edits.values():
            continue
        if "param" in entry and run.data.params.get(entry["param"]) != entry["value"]:
            wrong.append(f"{entry}: {run.data.params}")
        if "tag" in entry and run.data.tags.get(entry["tag"]) != entry["value"]:
            wrong.append(f"{entry}: {run.data.tags}")
        if "status" in entry and run.info.status != entry["status"]:
            wrong.append(f"{entry}: {run.info.status}")
        if "metric" in entry:
            key = (run.info.run_id, entry["metric"])
            if key not in histories:
                histories[key] = [point.step for point in client.get_metric_history(*key)]
            if histories[key].count(entry["step"]) != 1:
                wrong.append(f"{entry}: step {histories[key].count(entry['step'])} times")
    if edits:
        first, second, last = (client.get_run(edits[name]) for name in ("first", "second", "last"))
        if first.data.tags.get("done") != "by the new home" or first.data.tags.get("mlflow.note.content") != "described there":
            wrong.append(f"the edit of {first.info.run_id} is gone: {first.data.tags}")
        if second.info.run_name != "renamed there" or second.info.lifecycle_stage != "deleted":
            wrong.append(f"the edit of {second.info.run_id} is gone: {second.info}")
        if last.data.tags.get("mlflow.user") != "somebody else":
            wrong.append(f"the edit of {last.info.run_id} is gone: {last.data.tags}")
    print("\n".join(sorted(set(wrong))[:20]))
    return 1 if wrong or not entries else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["write", "edit", "check"])
    parser.add_argument("uri")
    parser.add_argument("--log")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--edits")
    arguments = parser.parse_args()
    return {"write": write, "edit": edit, "check": check}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
