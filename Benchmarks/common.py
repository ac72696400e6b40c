"""What the benchmarks share: measured processes, servers, medians, and results as text and JSON."""

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUPPORT = ROOT / "Tests/Support/python"
sys.path.insert(0, str(SUPPORT))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import servers  # noqa: E402

MLFLOW = ROOT / ".venv/mlflow3"
PEER = ROOT / ".venv/peer"
T0 = 1_700_000_000_000


@dataclasses.dataclass
class Measured:
    """A process and its descendants: wall and CPU seconds, the largest one's peak memory, exit code."""

    wall: float
    cpu: float
    rss: float  # MB
    code: int
    output: str

    def __add__(self, other):
        """One after the other."""
        return Measured(
            self.wall + other.wall, self.cpu + other.cpu, max(self.rss, other.rss), self.code or other.code,
            self.output + other.output,
        )  # fmt: skip

    def failed(self, what):
        """Names a failure on stderr; benchmarks go on, so that one bad round does not lose the others."""
        if self.code:
            tail = "\n".join(self.output.splitlines()[-12:])
            print(f"  {what} failed with {self.code}:\n{tail}", file=sys.stderr)
        return bool(self.code)


def measure(command, env=None, cwd=None, timeout=3600):
    """Runs a command to its end. Its usage is taken from the kernel when it is reaped."""
    began = time.monotonic()
    process = subprocess.Popen(
        [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | (env or {}), cwd=cwd, text=True, errors="replace",
    )  # fmt: skip
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    killer = threading.Timer(timeout, process.kill)
    killer.start()
    _, status, usage = os.wait4(process.pid, 0)
    killer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    reader.join(5)
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode, "".join(lines))


def binary():
    path = os.environ.get("BIN")
    if not path or not os.access(path, os.X_OK):
        sys.exit("BIN must name the built mlmirror (make bench sets it)")
    return path


def backfill(primary, secondary, state, *flags):
    """`mlmirror backfill`, measured. A state file that is not there yet makes it a first one."""
    return measure([binary(), "backfill", "--primary", primary, "--secondary", secondary, "--state", state, *flags])


class Daemon:
    """A running `mlmirror run`; what it says goes to FOLDER/daemon.log."""

    def __init__(self, primary, secondary, state, *flags):
        self.state, self.log = pathlib.Path(state), pathlib.Path(state).parent / "daemon.log"
        command = [binary(), "run", "--primary", primary.uri, "--secondary", secondary.uri, "--state", str(state), *flags]
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                print("  mlmirror run did not end when it was told to", file=sys.stderr)
                self.process.kill()
        self.process.wait()

    def cpu(self):
        """Seconds so far, user and system."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        """MB now."""
        pages = int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def status(self):
        """What `mlmirror status` says, or None as long as it says nothing."""
        done = subprocess.run([binary(), "status", "--json", "--state", str(self.state)], capture_output=True, text=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def catch_up(self, seconds=600):
        """Waits until no change waits, and nothing is compared anew: seen twice, as the first look may come before the feed's."""
        deadline, seen = time.monotonic() + seconds, 0
        while seen < 2:
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
                raise RuntimeError(f"mlmirror run did not catch up (exit {self.process.poll()}):\n{tail}")
            time.sleep(0.5)
            status = self.status() or {}
            is_even = (status.get("lag") or {}).get("changes") == 0 and not status.get("reconciling")
            seen = seen + 1 if is_even else 0


def install_feed(server):
    done = measure([binary(), "feed", "install", "--database", f"sqlite:///{server.database}"])
    if done.failed("feed install"):
        sys.exit(1)


def requests(server):
    """How many requests the server has answered, by its own log."""
    return server.log.read_text(errors="replace").count(' HTTP/1.1"')


def start(folder, workers=4):
    return servers.start(folder, venv=MLFLOW, workers=workers)


def workload(uri, size, seed=1):
    done = measure([MLFLOW / "bin/python", SUPPORT / "workload.py", uri, "--size", size, "--seed", seed])
    if done.failed("workload"):
        sys.exit(1)


def judge(primary, secondary, *flags):
    """What the independent judge says: "whole", or how often which field differs."""
    done = measure([MLFLOW / "bin/python", SUPPORT / "judge.py", primary, secondary, "--json", *flags])
    if done.code not in (0, 4):
        return f"not judged ({done.code})"
    report, _ = json.JSONDecoder().raw_decode(done.output[done.output.index('{"equal"') :])
    counted = collections.Counter(f"{d['kind']} {d['field']}" for d in report["differences"])
    named = ", ".join(f"{n} x {what}" for what, n in counted.most_common(8))
    return f"{counted.total()} differences: {named}" if counted else "whole"


def call(uri, path, **body):
    """One POST to an MLflow server."""
    request = urllib.request.Request(
        f"{uri}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.loads(answer.read())


def new_run(uri, experiment, name="run"):
    """An experiment with one finished run, by plain requests; answers the run's info."""
    experiment_id = call(uri, "experiments/create", name=experiment)["experiment_id"]
    info = call(uri, "runs/create", experiment_id=experiment_id, run_name=name, user_id="bench", start_time=T0)["run"]["info"]
    return call(uri, "runs/update", run_id=info["run_id"], status="FINISHED", end_time=T0 + 60_000)["run_info"]


def insert_points(database, run_id, count, key="loss"):
    """A long series, put straight into the primary's database: by requests it would take minutes."""
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        rows = ((key, 1 / (step + 1), T0 + step, run_id, step, 0) for step in range(count))
        connection.executemany("INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?,?,?,?,?,?)", rows)
        connection.execute(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?,?,?,?,0,?)",
            (key, 1 / count, T0 + count - 1, count - 1, run_id),
        )


def artifact_folder(server, info):
    """Where a run's artifacts lie on the server's disk."""
    folder = server.artifacts / info["artifact_uri"].split(":", 1)[1].strip("/")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def median(values):
    values = list(values)
    return statistics.median(values) if values else float("nan")


def spread(values, digits=1):
    """Median and the range, as text."""
    values = list(values)
    if not values:
        return "-"
    text = f"{median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def percentiles(values):
    """p50, p90, p99 and the largest."""
    values = sorted(values)
    if not values:
        return dict.fromkeys(("p50", "p90", "p99", "max"), float("nan"))
    named = {f"p{p}": values[min(len(values) - 1, len(values) * p // 100)] for p in (50, 90, 99)}
    return named | {"max": values[-1]}


def table(head, rows):
    widths = [max(len(str(row[c])) for row in [head, *rows]) for c in range(len(head))]
    for row in [head, ["-" * w for w in widths], *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": os.cpu_count(), "memory_gb": round(memory, 1), "load": round(os.getloadavg()[0], 2)}


def parser(description, rounds=3):
    options = argparse.ArgumentParser(description=description)
    if rounds:
        options.add_argument("--rounds", type=int, default=rounds)
    options.add_argument("--json", metavar="FILE", help="write the results there too")
    options.add_argument("--folder", help="work in this folder and keep it (default: a temporary one)")
    return options


def report(options, results):
    results["machine"] = machine()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")
