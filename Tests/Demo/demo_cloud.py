"""Shows mlmirror between a workspace of Databricks and one of Azure ML, both emulated. Usually through `make demo-cloud`.

    BIN=path/to/mlmirror demo_cloud.py [--experiments 6] [--runs 4] [--megabytes 12] [--live 20] [--patience 180]

The first three are of the team's work, --live seconds of more of it while it is followed, --patience those that the daemon is given to
come to rest after it. Everything it makes is in .demo/cloud, new every time. Fails with the exit code of whatever failed.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "Tests/Support/python"
FOLDER = ROOT / ".demo/cloud"
BIN = os.environ.get("BIN") or sys.exit("BIN: the path of the built mlmirror (make demo-cloud sets it)")
BOLD, PLAIN = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "")
processes = []


def title(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def emulator(script, *options):
    """Its first line, once it serves; it ends with our pipe."""
    log = open(FOLDER / f"{script}.log", "w", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-B", SUPPORT / script, "--directory", FOLDER / script.split("_")[0], *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)  # fmt: skip
    processes.append(process)
    line = process.stdout.readline()
    if not line:
        sys.exit(f"{script} did not start: {(FOLDER / f'{script}.log').read_text()[-2000:]}")
    return line.strip(), json.loads(line)


def ask(url):
    return json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url))


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, standard in (("experiments", 6), ("runs", 4), ("megabytes", 12), ("live", 20), ("patience", 180)):
        parser.add_argument(f"--{name}", type=int, default=standard)
    return parser.parse_args()


def main():
    chosen = options()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    title("1. A workspace of Databricks and one of Azure ML start")
    line, databricks = emulator("databricks_emulator.py")
    _, azure = emulator("azureml_emulator.py")
    print(f"primary   {databricks['host']} (workspace {databricks['workspace_id']})\nsecondary {azure['tracking_uri']}")
    environment = os.environ | {
        "DATABRICKS_HOST": databricks["host"], "DATABRICKS_CLIENT_ID": databricks["client_id"],
        "DATABRICKS_CLIENT_SECRET": databricks["client_secret"], "DATABRICKS_CONFIG_FILE": os.devnull,
        "HTTPS_PROXY": azure["proxy"], "https_proxy": azure["proxy"], "NO_PROXY": "", "no_proxy": "",
        "REQUESTS_CA_BUNDLE": azure["ca_file"], "SSL_CERT_FILE": azure["ca_file"],
        "IDENTITY_ENDPOINT": azure["identity_endpoint"], "IDENTITY_HEADER": azure["identity_header"],
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
    }  # fmt: skip
    stores = ["--primary", "databricks", "--secondary", azure["tracking_uri"], "--state", str(FOLDER / "state.db")]

    peaks = []

    def end_of(process):
        """The exit code, and how much memory it had at most is noted."""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        peaks.append(usage.ru_maxrss // 1024)
        return process.returncode

    def mirror(*arguments, allowed=(0,)):
        print("$ mlmirror " + shlex.join(arguments) + " ...", flush=True)
        code = end_of(subprocess.Popen([BIN, *arguments, *stores], env=environment))
        if code not in allowed:
            sys.exit(code)

    def work(*arguments):
        return [sys.executable, SUPPORT / "databricks_workload.py", "--emulator", line, *arguments]

    title("2. A team works in Databricks, with the official client: sweeps, files, logged models, registered versions")
    began = time.time()
    size = [part for name in ("experiments", "runs", "megabytes") for part in (f"--{name}", str(getattr(chosen, name)))]
    with open(FOLDER / "workload.log", "w", encoding="utf-8") as log:
        wrote = subprocess.run(work("--seed", "1", *size), check=True, stdout=subprocess.PIPE, stderr=log, text=True).stdout
    made = json.loads(wrote.splitlines()[-1])
    print(f"{made['runs']} runs in {len(made['experiments'])} experiments, {len(made['models'])} registered models, "
          f"in {time.time() - began:.0f} s")  # fmt: skip

    title("3. mlmirror looks, and copies")
    mirror("check")
    mirror("backfill", allowed=(0, 3))

    title("4. It follows, while the team goes on")
    print("$ mlmirror run ... &")
    with open(FOLDER / "daemon.log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen([BIN, "run", *stores], env=environment, stdout=log, stderr=log)
    processes.append(daemon)
    with open(FOLDER / "workload.log", "w", encoding="utf-8") as log:
        subprocess.run(work("--seed", "2", "--experiments", "2", "--live", str(chosen.live)), check=True, stdout=log, stderr=log)
    end = time.time() + chosen.patience

    def status():
        said = subprocess.run([BIN, "status", "--json", "--state", stores[-1]], stdout=subprocess.PIPE, text=True, check=False).stdout
        return json.loads(said) if said else {}

    def is_settled():
        now = status()
        return now.get("state") == "running" and now["lag"]["changes"] == 0 and now.get("reconciling") is None

    quiet = 0
    while quiet < 3:
        if daemon.poll() is not None or time.time() > end:
            print((FOLDER / "daemon.log").read_text()[-3000:], file=sys.stderr)
            sys.exit(1)
        time.sleep(5)
        quiet = quiet + 1 if is_settled() else 0
    print("$ mlmirror status ...", flush=True)
    subprocess.run([BIN, "status", "--state", stores[-1]], check=False)

    title("5. Both sides are compared, every point and every byte")
    mirror("verify", "--deep")

    title("6. And the team moves over: from now on Azure ML leads")
    print("$ mlmirror mode azureml-only ...", flush=True)
    moved = subprocess.run([BIN, "mode", "azureml-only", "--yes", "--state", stores[-1]], check=False).returncode
    if moved:
        sys.exit(moved)
    subprocess.run([BIN, "tracking-uri", *stores], env=environment, check=True)
    daemon.send_signal(signal.SIGTERM)
    if end_of(daemon):
        sys.exit(daemon.returncode)

    title("7. What Microsoft's own client sees there")
    program = """
import mlflow
from mlflow.entities import ViewType
client = mlflow.MlflowClient()
experiments = client.search_experiments(ViewType.ALL)
runs = [run for e in experiments for run in client.search_runs([e.experiment_id], "", ViewType.ALL)]
print(f"{len(experiments)} experiments, {len(runs)} runs with {sum(len(run.data.metrics) for run in runs)} metrics")
"""
    client = environment | {"MLFLOW_TRACKING_URI": azure["tracking_uri"], "MLFLOW_REGISTRY_URI": azure["tracking_uri"]}
    subprocess.run([ROOT / ".venv/azureml2/bin/python", "-W", "ignore", "-c", program], env=client, check=True)

    title("What it took")
    counters = ask(databricks["control"] + "/emulator/counters")
    print(f"requests to Databricks by class: {counters['requests']}; refused with 429: {sum(counters['throttled'].values())}")
    print(f"peak memory of mlmirror: {max(peaks)} MB")
    print(f"state file: {stores[-1]}; the daemon's log: {FOLDER / 'daemon.log'}")


try:
    main()
except subprocess.CalledProcessError as failed:
    sys.exit(failed.returncode)
finally:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        process.wait()
