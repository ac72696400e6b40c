"""How long does the daemon hold MLflow's SQLite file at a time? MLflow keeps a rollback journal: a reader holds up its commits.

    BIN=path/to/mlmirror lock_bench.py [--seconds 30] [--long 300000] [--json FILE]

The primary is loaded with a run of --long points (read whole, from the file, by the daemon's first listing), then for
--seconds with 15 log-batches of one point a second, and for as long with log-batches of 1,000 points of 1, 10 and 1,000
metrics from four clients, which takes all that two cores have. Meanwhile the kernel's list of
locks is read about twice a millisecond: a span in which the daemon's lock is on the file in every sample is one hold,
which is as much longer than it was as two samples lie apart. The same load without a daemon gives MLflow's own times.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import sys
import tempfile
import time

import common
import floor
import lag_bench


def sample(pid, path, pipe):
    """A process of its own, before all others where that is allowed: sends back spans of a process's locks on a file, and between samples."""
    pid, inode = str(pid).encode(), f":{os.stat(path).st_ino}".encode()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))

    def is_held(text):
        # 12: POSIX  ADVISORY  READ 4711 fe:00:123456 1073741826 1073742335
        return any(
            fields[1] == b"POSIX" and fields[4] == pid and fields[5].endswith(inode)
            for fields in (line.split() for line in text.splitlines() if inode in line)
        )

    holds, gaps = [], []
    # Unbuffered, and read from the start each time: opening it anew would double the cost.
    with open("/proc/locks", "rb", buffering=0) as locks:
        since, last = None, time.monotonic()
        while not pipe.poll():
            now = time.monotonic()
            gaps.append(now - last)
            locks.seek(0)
            if is_held(locks.read(1 << 20)):
                since = since or last
            elif since:
                holds.append(now - since)
                since = None
            last = now
            time.sleep(0.0003)
    pipe.send((holds, gaps))


class Sampler:
    def __init__(self, pid, path):
        self.pipe, there = lag_bench.spawn.Pipe()
        self.process = lag_bench.process(sample, pid, path, there)
        time.sleep(1)

    def end(self):
        self.pipe.send("end")
        return lag_bench.receive(self.pipe, self.process)


def steady(primary, seconds):
    server, run = floor.Server(primary.uri, quickack=True), common.new_run(primary.uri, f"steady {time.monotonic()}")["run_id"]
    for number in range(int(15 * seconds)):
        point = {"key": "loss", "value": number / 7, "timestamp": time.time_ns() // 1_000_000, "step": number}
        server.post("runs/log-batch", run_id=run, metrics=[point])
        time.sleep(1 / 15)


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
            works = {
                "first listing": lambda: daemon.catch_up(1800), "15 points/s": lambda: steady(primary, options.seconds),
                "load": lambda: load(primary, options.seconds),
            }  # fmt: skip
            for what, work in works.items():
                sampler = Sampler(daemon.process.pid, primary.database)
                beside = work() or []
                holds, gaps = sampler.end()
                gaps = common.percentiles(gaps)
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
