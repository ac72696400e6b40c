"""How long does the daemon hold MLflow's SQLite file at a time? MLflow keeps a rollback journal: a reader holds up its commits.

    BIN=path/to/mlmirror lock_bench.py [--seconds 30] [--long 300000] [--json FILE]

The primary is loaded with a run of --long points (read whole, from the file, by the daemon's first listing), then with
log-batches of 1,000 points of 1, 10 and 1,000 metrics from four clients for --seconds. Meanwhile the kernel's list of
locks is read about twice a millisecond: a span in which the daemon's lock is on the file in every sample is one hold.
Samples may miss short releases, so holds are overestimated, never under, but by the distance of two samples. The same load without a
daemon gives MLflow's own log-batch times.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import sys
import tempfile
import threading
import time

import common
import floor


class Sampler:
    """Spans of a process's locks on a file."""

    def __init__(self, pid, path):
        self.pid, self.inode = str(pid), f":{os.stat(path).st_ino}"
        self.holds, self.gaps, self.ended = [], [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def held(self, text):
        for line in text.splitlines():
            fields = line.split()
            # 12: POSIX ADVISORY READ 4711 fe:00:123456 1073741826 1073742335
            if fields[1] == "POSIX" and fields[4] == self.pid and fields[5].endswith(self.inode):
                return True
        return False

    def run(self):
        # Unbuffered, and read from the start each time: opening it anew would double the cost.
        with open("/proc/locks", "rb", buffering=0) as locks:
            since, last = None, time.monotonic()
            while not self.ended:
                now = time.monotonic()
                self.gaps.append(now - last)
                locks.seek(0)
                if self.held(locks.read(1 << 20).decode()):
                    since = since or last
                elif since:
                    self.holds.append(now - since)
                    since = None
                last = now
                time.sleep(0.0003)

    def end(self):
        self.ended = True
        self.thread.join()
        return self.holds


def load(primary, seconds):
    """Seconds that each log-batch of 1,000 points took."""
    took, deadline = [], time.monotonic() + seconds

    def client(keys):
        server = floor.Server(primary.uri, quickack=True)
        run, number = common.new_run(primary.uri, f"load {keys} {time.monotonic()}")["run_id"], 0
        while time.monotonic() < deadline:
            points = [
                {"key": f"m{i % keys}", "value": i / 7, "timestamp": common.T0 + number * 1000 + i, "step": number * 1000 + i}
                for i in range(1000)
            ]
            began = time.monotonic()
            server.post("runs/log-batch", run_id=run, metrics=points)
            took.append(time.monotonic() - began)
            number += 1
            time.sleep(0.05)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(client, (1, 10, 1000, 10)))
    return took


def main():
    options = common.parser(__doc__.splitlines()[0], rounds=0)
    options.add_argument("--seconds", type=float, default=30)
    options.add_argument("--long", type=int, default=300_000, help="points of the run that is there before")
    options = options.parse_args()
    common.binary()
    results, rows = {"benchmark": "locks"}, []
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(options.folder or stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        primary = stack.enter_context(common.start(folder / "primary"))
        secondary = stack.enter_context(common.start(folder / "secondary"))
        common.install_feed(primary)
        common.insert_points(primary.database, common.new_run(primary.uri, "long")["run_id"], options.long)
        alone = load(primary, options.seconds)
        with common.Daemon(primary, secondary, folder / "state.db", "--primary-database", f"sqlite:///{primary.database}") as daemon:
            for what, work in (("first listing", lambda: daemon.catch_up(1800)), ("load", lambda: load(primary, options.seconds))):
                sampler = Sampler(daemon.process.pid, primary.database)
                beside = work() or []
                holds, gaps = sampler.end(), common.percentiles(sampler.gaps)
                seen = common.percentiles(holds)
                results[what] = {"holds": len(holds), "seconds": seen, "sampling": gaps, "log_batch": common.percentiles(beside)}
                rows.append([what, len(holds), *(f"{1000 * seen[p]:.1f}" for p in ("p50", "p99", "max")), f"{1000 * gaps['p99']:.1f}",
                             f"{1000 * gaps['max']:.1f}"])  # fmt: skip
    print()
    common.table(["while", "holds", "p50 ms", "p99 ms", "longest ms", "samples p99 ms", "samples max ms"], rows)
    both = common.percentiles(alone), results["load"]["log_batch"]
    for what, took in zip(("alone", "beside the daemon"), both):
        print(f"log_batch of 1,000 points, {what}: " + ", ".join(f"{p} {1000 * v:.0f} ms" for p, v in took.items()))
    common.report(options, results | {"alone": both[0]})
    return 0 if results["load"]["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
