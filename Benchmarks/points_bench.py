"""One run with a long metric: mlmirror backfill against the secondary's own limit.

    BIN=path/to/mlmirror points_bench.py [--rounds 3] [--points 200000,1000000] [--json FILE] [--limit-only] [--apart]

The limit is what the secondary takes when log-batch bodies of 1,000 points, made beforehand, are pumped into a run
over the best number of kept-alive connections. Limit and backfill are interleaved, each on a fresh secondary. The
backfill is measured twice: reading the primary over REST, where the primary's own work for that takes from the same
cores, and reading the data base behind it (--primary-database).

With --apart the secondary has a core of its own, as if it were another machine, and everything else (the primary, mlmirror, the
pump) shares the first: then the primary's work takes nothing from what is measured.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import common
import floor


CORES = os.sched_getaffinity(0)


def start_secondary(folder, apart):
    """A server inherits the cores of who starts it."""
    if not apart:
        return common.start(folder)
    os.sched_setaffinity(0, {max(CORES)})
    try:
        return common.start(folder)
    finally:
        os.sched_setaffinity(0, CORES - {max(CORES)})


def bodies(run_id, count):
    for first in range(0, count, 1000):
        points = [
            {"key": "loss", "value": 1 / (step + 1), "timestamp": common.T0 + step, "step": step}
            for step in range(first, min(first + 1000, count))
        ]
        yield json.dumps({"run_id": run_id, "metrics": points}).encode()


def limit(folder, count, connections, apart):
    """Points a second when nothing but the secondary counts."""
    with start_secondary(folder, apart) as secondary:
        prepared = list(bodies(common.new_run(secondary.uri, "limit")["run_id"], count))
        server = floor.Server(secondary.uri, quickack=True)
        server.send("GET", "/health")

        def pump(body):
            status, answer = server.send("POST", floor.API + "runs/log-batch", body)
            if status != 200:
                raise RuntimeError(f"log-batch: {status} {answer[:300]!r}")

        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(connections) as pool:
            list(pool.map(pump, prepared))
        rate = count / (time.monotonic() - began)
    shutil.rmtree(folder)
    return rate


def backfill(primary, folder, count, apart, *flags):
    folder.mkdir(parents=True)
    with start_secondary(folder / "secondary", apart) as secondary:
        measured = common.backfill(primary.uri, secondary.uri, folder / "state.db", *flags)
        measured.failed("backfill")
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, CORES)
        whole = common.judge(primary.uri, secondary.uri) if count <= 300_000 else "not judged"
        os.sched_setaffinity(0, mine)
    shutil.rmtree(folder)
    return measured, whole


def main():
    options = common.parser(__doc__.splitlines()[0])
    options.add_argument("--points", default="200000,1000000")
    options.add_argument("--limit-only", action="store_true", help="measure the secondary alone")
    options.add_argument("--apart", action="store_true", help="the secondary on a core of its own")
    options = options.parse_args()
    if not options.limit_only:
        common.binary()
    results, rows, failed = {"benchmark": "points", "series": {}}, [], False
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary).resolve()
        tried = {n: limit(folder / f"tune-{n}", 50_000, n, options.apart) for n in (1, 2, 4, 8)}
        best = max(tried, key=tried.get)
        print("limit by connections:", ", ".join(f"{n}: {rate:,.0f}/s" for n, rate in tried.items()), flush=True)
        for count in map(int, options.points.split(",")):
            # A million points take minutes: one round shows what there is to see.
            rounds = options.rounds if count <= 300_000 else 1
            seen = collections.defaultdict(list)
            if options.apart:
                os.sched_setaffinity(0, CORES - {max(CORES)})
            with common.start(folder / f"primary-{count}") as primary:
                run = common.new_run(primary.uri, "long")
                common.insert_points(primary.database, run["run_id"], count)
                for number in range(rounds):
                    seen["limit"].append(limit(folder / f"limit-{count}-{number}", count, best, options.apart))
                    ways = {"over REST": [], "from the data base": ["--primary-database", f"sqlite:///{primary.database}"]}
                    for way, flags in ways.items() if not options.limit_only else ():
                        measured, whole = backfill(primary, folder / f"ours-{count}-{number}", count, options.apart, *flags)
                        failed |= bool(measured.code) or whole not in ("whole", "not judged")
                        seen[way].append(count / measured.wall)
                        print(f"{count:,} {way}: {count / measured.wall:,.0f}/s, CPU {measured.cpu:.1f} s, "
                              f"{measured.rss:.0f} MB, exit {measured.code}, {whole}", flush=True)  # fmt: skip
            results["series"][count] = {"connections": best, "per_second": dict(seen)}
            for way in seen.keys() - {"limit"}:
                ratio = common.median(seen[way]) / common.median(seen["limit"])
                rows.append([f"{count:,}", way, common.spread(seen["limit"], 0), common.spread(seen[way], 0), f"{ratio:.2f}"])
                results["series"][count][f"ratio {way}"] = ratio
    print()
    common.table(["points", "read", "limit, points/s", "backfill, points/s", "ratio"], rows)
    common.report(options, results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
