"""Is memory flat, and is a second backfill cheap?

    BIN=path/to/mlmirror memory_bench.py [--only runs,points,artifact,again] [--runs 100000] [--limit 3600] [--json FILE]

    runs       peak memory of a backfill of 100,000 runs (and the state file's bytes a run)
    points     of one run with a series of 1,000,000 points
    artifact   of one run with an artifact of 5 GB
    again      requests of a second backfill with nothing changed, at two numbers of runs: it is to grow with pages

Large stores are put straight into the primary's SQLite file. A part that takes longer than --limit seconds is ended
there and reported as far as it came: memory that is flat is flat by then.
"""

import contextlib
import pathlib
import shutil
import sqlite3
import sys
import tempfile

import common

MEGABYTES = 150


def insert_runs(server, experiments, count):
    """Ordinary runs: two params, three tags, two metrics with one point each."""
    ids = [common.call(server.uri, "experiments/create", name=f"many/{n}")["experiment_id"] for n in range(experiments)]
    with contextlib.closing(sqlite3.connect(server.database, timeout=60)) as connection, connection:
        for first in range(0, count, 10_000):
            runs = [(f"{n:032x}", n) for n in range(first, min(first + 10_000, count))]
            connection.executemany(
                "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage, "
                "artifact_uri, experiment_id) VALUES (?, ?, 'UNKNOWN', 'bench', 'FINISHED', ?, ?, 'active', ?, ?)",
                [(run, f"run-{n}", common.T0 + n, common.T0 + n + 1000, f"mlflow-artifacts:/{ids[n % experiments]}/{run}/artifacts",
                  ids[n % experiments]) for run, n in runs],
            )  # fmt: skip
            connection.executemany(
                "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
                [row for run, n in runs for row in
                 (("mlflow.user", "bench", run), ("mlflow.runName", f"run-{n}", run), ("stage", "dev", run))],
            )  # fmt: skip
            connection.executemany(
                "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                [row for run, n in runs for row in (("lr", str(n / count), run), ("depth", str(n % 9), run))],
            )
            points = [(key, n / count, common.T0 + n, run, 0, 0) for run, n in runs for key in ("loss", "accuracy")]
            for table in ("metrics", "latest_metrics"):
                connection.executemany(
                    f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", points
                )


def backfill(primary, secondary, state, seconds):
    command = ["timeout", "--signal=TERM", "--kill-after=30", str(seconds), common.binary(), "backfill",
               "--primary", primary.uri, "--secondary", secondary.uri, "--state", state]  # fmt: skip
    return common.measure(command, timeout=seconds + 60)


def state_bytes(state):
    """With its write-ahead log."""
    return sum(path.stat().st_size for path in state.parent.glob(state.name + "*"))


def part(folder, fill, limit):
    """A backfill of what `fill` puts into a primary: what it took, and the state file's size."""
    folder.mkdir(parents=True)
    try:
        with common.start(folder / "primary") as primary, common.start(folder / "secondary") as secondary:
            fill(primary)
            measured = backfill(primary, secondary, folder / "state.db", limit)
            with contextlib.closing(sqlite3.connect(f"file:{secondary.database}?mode=ro", uri=True)) as there:
                copied = there.execute("SELECT count(*) FROM runs").fetchone()[0]
            return measured, copied, state_bytes(folder / "state.db")
    finally:
        shutil.rmtree(folder)


def fill_points(primary):
    common.insert_points(primary.database, common.new_run(primary.uri, "long")["run_id"], 1_000_000)


def fill_artifact(primary):
    # Sparse: 5 GB of zeros cost no disk here, and as many bytes on the wire.
    with open(common.artifact_folder(primary, common.new_run(primary.uri, "large")) / "large.bin", "wb") as file:
        file.truncate(5_000_000_000)


def again(folder, runs, limit):
    """Requests of the second of two backfills, and of a server's start, at a number of runs."""
    folder.mkdir(parents=True)
    try:
        with common.start(folder / "primary") as primary, common.start(folder / "secondary") as secondary:
            insert_runs(primary, 3, runs)
            if backfill(primary, secondary, folder / "state.db", limit).failed("first backfill"):
                return None
            before = common.requests(primary), common.requests(secondary)
            measured = backfill(primary, secondary, folder / "state.db", limit)
            measured.failed("second backfill")
            return common.requests(primary) - before[0], common.requests(secondary) - before[1], measured
    finally:
        shutil.rmtree(folder)


def main():
    options = common.parser(__doc__.splitlines()[0], rounds=0)
    options.add_argument("--only", default="again,points,artifact,runs")
    options.add_argument("--runs", type=int, default=100_000)
    options.add_argument("--limit", type=int, default=3600, help="seconds for one backfill")
    options = options.parse_args()
    common.binary()
    fills = {
        "runs": lambda primary: insert_runs(primary, 10, options.runs),
        "points": fill_points,
        "artifact": fill_artifact,
    }
    rows, results, failed = [], {"benchmark": "memory"}, False
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary).resolve()
        for name in options.only.split(","):
            if name == "again":
                counts = {}
                for runs in (300, 3000):
                    counts[runs] = again(folder / f"again-{runs}", runs, options.limit)
                    if counts[runs] is None:
                        failed = True
                        continue
                    here, there, measured = counts[runs]
                    failed |= bool(measured.code)
                    rows.append([f"second backfill, {runs} runs", f"{measured.wall:.1f}", f"{measured.cpu:.1f}",
                                 f"{measured.rss:.0f}", measured.code, f"{here} + {there} requests"])  # fmt: skip
                    results[f"again-{runs}"] = {"requests_primary": here, "requests_secondary": there, "rss_mb": measured.rss}
                # Ten times the runs may need a page or so more, but not ten times the requests.
                if all(counts.values()) and sum(counts[3000][:2]) > sum(counts[300][:2]) + 60:
                    print("a second backfill asks more for more runs", file=sys.stderr)
                    failed = True
            else:
                measured, copied, state = part(folder / name, fills[name], options.limit)
                ended = measured.code == 124 or measured.code > 128
                failed |= measured.rss > MEGABYTES or (measured.failed(name) and not ended)
                note = f"{copied} runs copied{' before the limit' if ended else ''}, state file {state / max(copied, 1):,.0f} bytes a run"
                rows.append([name, f"{measured.wall:.1f}", f"{measured.cpu:.1f}", f"{measured.rss:.0f}", measured.code, note])
                results[name] = {"wall": measured.wall, "cpu": measured.cpu, "rss_mb": measured.rss, "exit": measured.code,
                                 "runs_copied": copied, "state_bytes": state}  # fmt: skip
            print(*rows[-1] if rows else "", flush=True)
    print()
    common.table(["what", "wall s", "CPU s", "peak MB", "exit", ""], rows)
    common.report(options, results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
