"""What a large Databricks workspace costs: requests by class, counted by the emulator, and the hours that follow from the documented rates.

    BIN=path/to/mlmirror scale_bench.py [--experiments 20] [--runs 50] [--followed 400] [--seconds 120] [--json FILE]

1. A workspace of ordinary runs (two params, three tags, two metrics with ten points each; no files) is backfilled: requests a run.
2. One in which a team has worked, with files of many sizes, is backfilled: requests a file.
3. One of many experiments is followed by `mlmirror run` while a few runs are under way: requests a second, how long it takes until all
   experiments were searched, and how late a point of a known run arrives.

The emulator holds the documented rates (runs/search 7 a second, others 127, ...); mlmirror takes its standard share of them, 40 %. What is
said of a million runs is these counts, multiplied.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import common

RATES = {"search": 7, "experiments": 7, "log-batch": 47, "registry": 40, "other": 127}
SHARE = 0.4


class Workspace:
    """The emulator of a workspace."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.log = open(folder / "emulator.log", "w", encoding="utf-8")
        command = [sys.executable, "-B", common.SUPPORT / "databricks_emulator.py", "--directory", folder / "workspace"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.line = self.process.stdout.readline().strip()
        if not self.line:
            sys.exit(f"the emulator did not start: {(folder / 'emulator.log').read_text()[-2000:]}")
        self.described = json.loads(self.line)
        self.environment = {
            "DATABRICKS_HOST": self.described["host"], "DATABRICKS_TOKEN": self.described["token"],
            "DATABRICKS_CONFIG_FILE": os.devnull,
        }  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.log.close()

    def control(self, method, path, document=None):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.described["control"] + path, body, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=600) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else None

    def counters(self):
        return self.control("GET", "/emulator/counters")

    def forget(self):
        self.control("DELETE", "/emulator/counters")

    def work(self, *arguments):
        command = [sys.executable, common.SUPPORT / "databricks_workload.py", "--emulator", self.line, *arguments]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=self.log, text=True).stdout.splitlines()[-1])


def backfilled(workspace, folder):
    """What it took, and what was counted."""
    with common.start(folder / "secondary") as secondary:
        workspace.forget()
        command = [common.binary(), "backfill", "--json", "--primary", "databricks", "--secondary", secondary.uri,
                   "--state", folder / "state.db"]  # fmt: skip
        began = time.monotonic()
        with open(folder / "backfill.log", "w", encoding="utf-8") as log:
            done = subprocess.run(
                [str(part) for part in command], env=os.environ | workspace.environment, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
        if done.returncode not in (0, 3):
            sys.exit(f"backfill ended with {done.returncode}: {(folder / 'backfill.log').read_text()[-2000:]}")
        counted = workspace.counters()
        return {"seconds": round(time.monotonic() - began, 1), "code": done.returncode, "requests": counted["requests"],
                "throttled": sum(counted["throttled"].values()), "routes": counted["routes"]}  # fmt: skip


def ordinary(folder, options):
    with Workspace(folder / "ordinary") as workspace:
        workspace.control("POST", "/emulator/fill", {"experiments": options.experiments, "runs": options.runs, "points": 10})
        found = backfilled(workspace, folder / "ordinary")
    runs = options.experiments * options.runs
    found["per_run"] = {kind: round(count / runs, 3) for kind, count in found["requests"].items()}
    return found


def with_files(folder):
    with Workspace(folder / "files") as workspace:
        made = workspace.work("--seed", "1", "--experiments", "8", "--runs", "6", "--megabytes", "4")
        found = backfilled(workspace, folder / "files")
    routes = found["routes"]
    found["runs"] = made["runs"]
    found["listings"] = sum(count for route, count in routes.items() if "artifacts/list" in route)
    found["addresses"] = sum(count for route, count in routes.items() if "credentials-for-read" in route)
    return found


def followed(folder, options):
    with Workspace(folder / "followed") as workspace, common.start(folder / "followed/secondary") as secondary:
        workspace.control("POST", "/emulator/fill", {"experiments": options.followed, "runs": 1, "points": 1})
        state = folder / "followed/state.db"
        flags = ["--primary", "databricks", "--secondary", secondary.uri, "--state", str(state)]
        environment = os.environ | workspace.environment
        subprocess.run([common.binary(), "backfill", *flags], env=environment, check=True, stdout=workspace.log, stderr=workspace.log)
        with open(folder / "followed/daemon.log", "w", encoding="utf-8") as log:
            daemon = subprocess.Popen([common.binary(), "run", *flags], env=environment, stdout=log, stderr=log)
        try:
            time.sleep(30)
            live = options.seconds
            workspace.forget()
            began = time.monotonic()
            with open("/dev/null", "wb") as nowhere:
                subprocess.run(
                    [sys.executable, "-c", LIVE, str(live)], env=environment | {"MLFLOW_TRACKING_URI": "databricks"}, check=True,
                    stdout=nowhere, stderr=workspace.log)
            seconds = time.monotonic() - began
            counted = workspace.counters()
            sweep = json.loads(subprocess.run(
                [common.binary(), "status", "--json", "--state", str(state)], stdout=subprocess.PIPE, text=True, check=False).stdout)
        finally:
            daemon.terminate()
            daemon.wait(30)
    return {"experiments": options.followed, "seconds": round(seconds, 1), "requests": counted["requests"], "routes": counted["routes"],
            "throttled": sum(counted["throttled"].values()), "clients": counted["clients"],
            "swept_since": sweep.get("sweep_oldest_at"), "lag_seconds": sweep["lag"].get("seconds")}  # fmt: skip


# Three runs that log a point a second.
LIVE = """
import sys, time, mlflow
client = mlflow.MlflowClient()
experiment = client.search_experiments(max_results=3)
runs = [client.create_run(e.experiment_id).info.run_id for e in experiment]
end = time.time() + float(sys.argv[1])
step = 0
while time.time() < end:
    for run in runs: client.log_metric(run, "loss", 1 / (step + 1), step=step)
    step += 1
    time.sleep(1)
"""


def hours(requests, runs):
    """Until a million runs are read, by the class that is the slowest."""
    return {kind: round(count / runs * 1e6 / (RATES[kind] * SHARE) / 3600, 1) for kind, count in requests.items() if kind in RATES}


def main():
    parser = common.parser(__doc__.splitlines()[0], rounds=0)
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--followed", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mlmirror-scale-"))
    try:
        results = {"ordinary": ordinary(folder, options)}
        runs = options.experiments * options.runs
        print(f"backfill of {runs} ordinary runs: {results['ordinary']['seconds']} s, a run costs {results['ordinary']['per_run']}", flush=True)
        print(f"  a million of them, in hours by class at {SHARE:.0%} of the rates: {hours(results['ordinary']['requests'], runs)}")
        results["files"] = with_files(folder)
        print(f"backfill of {results['files']['runs']} runs with files: {results['files']['requests']}, listings {results['files']['listings']}, "
              f"asked for addresses {results['files']['addresses']} times", flush=True)  # fmt: skip
        results["followed"] = followed(folder, options)
        print(f"following {options.followed} experiments: {json.dumps(results['followed'])}", flush=True)
        common.report(options, results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
