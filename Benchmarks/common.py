"""What the benchmarks share: measured processes, servers, medians, and results as text and JSON."""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUPPORT = ROOT / "Tests/Support/python"
sys.path.insert(0, str(SUPPORT))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import servers  # noqa: E402

MLFLOW = ROOT / ".venv/mlflow3"
PEER = ROOT / ".venv/peer"


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


def start(folder, workers=4):
    return servers.start(folder, venv=MLFLOW, workers=workers)


def workload(uri, size, seed=1):
    done = measure([MLFLOW / "bin/python", SUPPORT / "workload.py", uri, "--size", size, "--seed", seed])
    if done.failed("workload"):
        sys.exit(1)


def judge(primary, secondary, *flags):
    """What the independent judge says: "whole", or how it is not."""
    done = measure([MLFLOW / "bin/python", SUPPORT / "judge.py", primary, secondary, "--json", *flags])
    if done.code not in (0, 4):
        return f"not judged ({done.code})"
    report = json.loads(done.output[done.output.index('{"equal"') :].splitlines()[0])
    return "whole" if report["equal"] else f"{len(report['differences'])} differences"


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
