"""How long until a point that was logged to the primary can be read on the secondary?

    BIN=path/to/mlmirror lag_bench.py [--rounds 3] [--seconds 30] [--rate 15] [--idle 60] [--only ours,floor]
                                      [--poll [--cycle 5]] [--daemon-flags "..."] [--json FILE]

Log-batches of one point each go straight to the primary, to eight RUNNING runs. A point's lag runs from the moment
its log-batch was answered (so it is committed) to the moment its row is seen in the secondary's SQLite file. Two take
turns on the same servers:

    ours    `mlmirror run` with the database feed
    floor   a loop that watches the primary's SQLite file and sends each new row in a log-batch of its own, over eight
            kept-alive connections, with the runs mapped beforehand: no state, no order, no checks, no retries

Writer, floor and the one who watches are processes of their own, so that none waits for another's interpreter. After
its last round the daemon is left idle for --idle seconds, for its CPU time, memory and requests. --poll measures the
daemon with --feed poll instead, without a floor, and gives lags in cycles of --cycle seconds too; that number is not
passed on: --daemon-flags does that.
"""

import collections
import contextlib
import functools
import json
import multiprocessing
import pathlib
import queue
import random
import shlex
import sqlite3
import sys
import tempfile
import threading
import time

import common
import floor

RUNS = 8
WARM_UP = 2.0
GRACE = 30.0
spawn = multiprocessing.get_context("spawn")


class Watch:
    """New rows of a table in an SQLite file that others write to. It holds its lock for microseconds only."""

    def __init__(self, database):
        self.connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0, isolation_level=None)
        self.version = None
        self.last = self.ask("SELECT coalesce(max(rowid), 0) FROM metrics")[0][0]

    def ask(self, sql, *arguments):
        while True:
            try:
                return self.connection.execute(sql, arguments).fetchall()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(0.0005)

    def new_points(self):
        """Rows since the last time; looks at them only when somebody has committed."""
        version = self.ask("PRAGMA data_version")
        if version == self.version:
            return []
        self.version = version
        rows = self.ask("SELECT rowid, run_uuid, key, value, timestamp, step FROM metrics WHERE rowid > ? ORDER BY rowid", self.last)
        if rows:
            self.last = rows[-1][0]
        return [row[1:] for row in rows]


# Each of these is a process of its own. Their clock is the machine's, so their times can be compared.


def write(uri, runs, rate, seconds, seed, found):
    """Logs points; sends back {step: (when it was answered, whether it counts)}."""
    server, chance, written = floor.Server(uri, quickack=True), random.Random(seed), {}
    work, lock, began = queue.Queue(), threading.Lock(), time.monotonic()

    def pump():
        while (number := work.get()) is not None:
            point = {"key": "lag", "value": number / 7, "timestamp": time.time_ns() // 1_000_000, "step": number}
            server.post("runs/log-batch", run_id=runs[number % len(runs)], metrics=[point])
            answered = time.monotonic()
            with lock:
                written[number] = answered, answered - began > WARM_UP

    threads = [threading.Thread(target=pump, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(int(rate * (seconds + WARM_UP))):
        # Not quite even, so that no two loops march in step.
        due = began + (number + chance.random()) / rate
        time.sleep(max(0, due - time.monotonic()))
        work.put(number)
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    found.send(written)


def watch(database, runs, done, found):
    """Sends back {step: when its row was seen first}, as soon as it has them all or `done` says to end."""
    rows, seen, runs = Watch(database), {}, set(runs)
    found.send("ready")
    expected, deadline = None, None
    while expected is None or not expected <= seen.keys() and time.monotonic() < deadline:
        for run_id, _, _, _, step in rows.new_points():
            if run_id in runs:
                seen.setdefault(step, time.monotonic())
        if expected is None and done.poll():
            expected, deadline = done.recv(), time.monotonic() + GRACE
        time.sleep(0.001)
    found.send(seen)


def copy(database, uri, run_of, end):
    """The floor."""
    rows, server, work = Watch(database), floor.Server(uri, quickack=True), queue.SimpleQueue()

    def pump():
        while (point := work.get()) is not None:
            run_id, key, value, timestamp, step = point
            server.post("runs/log-batch", run_id=run_id, metrics=[{"key": key, "value": value, "timestamp": timestamp, "step": step}])

    threads = [threading.Thread(target=pump, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    end.send("ready")
    while not end.poll():
        for run_id, *point in rows.new_points():
            if run_id in run_of:
                work.put((run_of[run_id], *point))
        time.sleep(0.001)
    for _ in threads:
        work.put(None)


def process(function, *arguments):
    started = spawn.Process(target=function, args=arguments, daemon=True)
    started.start()
    return started


def new_runs(server, experiment):
    identity = common.call(server.uri, "experiments/create", name=experiment)["experiment_id"]
    return [
        common.call(server.uri, "runs/create", experiment_id=identity, run_name=f"run {n}", start_time=common.T0)["run"]["info"]["run_id"]
        for n in range(RUNS)
    ]


def mirrored(database, runs, seconds=120):
    """The copies of these runs, in order, when they are all there."""
    deadline, reader = time.monotonic() + seconds, Watch(database)
    with contextlib.closing(reader.connection):
        while time.monotonic() < deadline:
            found = dict(reader.ask("SELECT value, run_uuid FROM tags WHERE key = 'mlmirror.primary.run_id'"))
            if all(run in found for run in runs):
                return [found[run] for run in runs]
            time.sleep(0.1)
    raise RuntimeError(f"after {seconds} s the daemon has not copied {sum(run not in found for run in runs)} of {len(runs)} runs")


def lags(primary, secondary, runs, copies, options, seed):
    """Writes for one round; answers the lags in seconds and how many points never came."""
    told, tell = spawn.Pipe(duplex=False)
    found, give = spawn.Pipe(duplex=False)
    watcher = process(watch, secondary.database, copies, told, give)
    receive(found, watcher)
    written, hand_over = spawn.Pipe(duplex=False)
    writer = process(write, primary.uri, runs, options.rate, options.seconds, seed, hand_over)
    committed = receive(written, writer, options.seconds + 120)
    counted = {step: at for step, (at, counts) in committed.items() if counts}
    tell.send(set(committed))
    seen = receive(found, watcher, GRACE + 30)
    writer.join(), watcher.join()
    return [seen[step] - at for step, at in counted.items() if step in seen], len(counted.keys() - seen.keys())


def receive(pipe, process, seconds=60):
    """What a process sends, unless it has died."""
    deadline = time.monotonic() + seconds
    while not pipe.poll(0.2):
        if process.exitcode is not None and not pipe.poll(0.2) or time.monotonic() > deadline:
            raise RuntimeError(f"a process of the benchmark ended without a result ({process.exitcode})")
    return pipe.recv()


def floor_round(primary, secondary, folder, options, number):
    runs, copies = new_runs(primary, f"lag/floor {number}"), new_runs(secondary, f"lag/floor copies {number}")
    here, there = spawn.Pipe()
    copier = process(copy, primary.database, secondary.uri, dict(zip(runs, copies)), there)
    receive(here, copier)
    try:
        return lags(primary, secondary, runs, copies, options, number)
    finally:
        here.send("end")
        copier.join(10)


def our_round(primary, secondary, folder, options, number, idle=None):
    """`idle` takes what the idle daemon costs, after the last round."""
    runs = new_runs(primary, f"lag/ours {number}")
    with common.Daemon(primary, secondary, folder / "state.db", *daemon_flags(primary, options)) as daemon:
        daemon.catch_up()
        copies = mirrored(secondary.database, runs)
        before = daemon.cpu()
        found = lags(primary, secondary, runs, copies, options, number)
        busy = (daemon.cpu() - before) / (options.seconds + WARM_UP)
        print(f"  mlmirror used {busy:.1%} of a core meanwhile", flush=True)
        if idle is not None:
            daemon.catch_up()
            idle.update(measure_idle(daemon, primary, secondary, options.idle), busy_cores=busy)
        return found


def daemon_flags(primary, options):
    feed = ["--feed", "poll"] if options.poll else ["--primary-database", f"sqlite:///{primary.database}"]
    return feed + shlex.split(options.daemon_flags)


def measure_idle(daemon, primary, secondary, seconds):
    time.sleep(3)
    before = daemon.cpu(), common.requests(primary), common.requests(secondary)
    time.sleep(seconds)
    used = daemon.cpu() - before[0], common.requests(primary) - before[1], common.requests(secondary) - before[2]
    cpu, here, there = (number * 60 / seconds for number in used)
    return {"cpu_seconds_per_minute": cpu, "rss_mb": daemon.rss(), "primary_requests_per_minute": here,
            "secondary_requests_per_minute": there}  # fmt: skip


def show(seen, options):
    cycles = options.cycle if options.poll else None
    unit, factor = ("s", 1) if cycles else ("ms", 1000)
    rows = []
    for name, rounds in seen.items():
        for number, entry in enumerate(rounds):
            row = [name, number + 1, entry["points"], entry["lost"], *(f"{entry[p] * factor:.1f}" for p in ("p50", "p90", "p99", "max"))]
            rows.append(row + ([f"{entry['p50'] / cycles:.2f}", f"{entry['p99'] / cycles:.2f}"] if cycles else []))
    print()
    head = ["who", "round", "points", "lost", *(f"{p} {unit}" for p in ("p50", "p90", "p99", "max"))]
    common.table(head + (["p50 cycles", "p99 cycles"] if cycles else []), rows)
    middle = {name: {p: common.median(e[p] for e in rounds) for p in ("p50", "p90", "p99", "max")} for name, rounds in seen.items()}
    for name, values in middle.items():
        print(f"{name}, medians of rounds:", ", ".join(f"{p} {value * factor:.1f} {unit}" for p, value in values.items()))
    if middle.keys() == {"ours", "floor"}:
        ratio = {p: middle["ours"][p] / middle["floor"][p] for p in ("p50", "p90", "p99", "max")}
        print("ours / floor:", ", ".join(f"{p} {value:.2f}" for p, value in ratio.items()))
        return {"medians": middle, "ratio": ratio}
    return {"medians": middle}


def main():
    options = common.parser(__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=30, help="length of a round")
    options.add_argument("--rate", type=float, default=15, help="log-batches a second")
    options.add_argument("--idle", type=float, default=60, help="seconds to watch the idle daemon; 0: do not")
    options.add_argument("--only", default="ours,floor")
    options.add_argument("--poll", action="store_true", help="measure --feed poll, without a floor")
    options.add_argument("--cycle", type=float, default=5, help="seconds of a cycle of --feed poll, to count in")
    options.add_argument("--daemon-flags", default="", help="more flags for mlmirror run")
    options = options.parse_args()
    names = ["ours"] if options.poll else options.only.split(",")
    if set(names) - {"ours", "floor"}:
        sys.exit("--only takes ours and floor")
    if "ours" in names:
        common.binary()
    seen, idle, failed = collections.defaultdict(list), {}, False
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary).resolve()
        with common.start(folder / "primary") as primary, common.start(folder / "secondary") as secondary:
            if "ours" in names and not options.poll:
                common.install_feed(primary)
            for number in range(options.rounds):
                last = number == options.rounds - 1 and options.idle
                play = {"floor": floor_round, "ours": functools.partial(our_round, idle=idle if last else None)}
                # Who begins changes, so that neither always finds the larger store.
                for name in names if number % 2 else reversed(names):
                    try:
                        found, lost = play[name](primary, secondary, folder, options, number)
                    except RuntimeError as error:  # one bad round does not lose the others
                        print(f"  {name}, round {number + 1}: {error}", file=sys.stderr)
                        failed = True
                        continue
                    entry = {"points": len(found), "lost": lost} | common.percentiles(found)
                    seen[name].append(entry)
                    failed |= bool(lost) or not found
                    print(f"{name}, round {number + 1}: {json.dumps({k: round(v, 4) for k, v in entry.items()})}", flush=True)
    results = {"benchmark": "lag", "rate": options.rate, "poll": options.poll, "cycle": options.cycle, "rounds": dict(seen)}
    results |= show(seen, options)
    if idle:
        results["idle"] = idle
        print("idle:", ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in idle.items() if name != "busy_cores"))
    common.report(options, results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
