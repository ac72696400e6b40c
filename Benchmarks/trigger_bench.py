"""What the capture triggers cost MLflow: log_batch of 1,000 metrics with and without them, and bare inserts.

    BIN=path/to/mlmirror trigger_bench.py [--rounds 30] [--json FILE]

Two servers, one with triggers, take the same batches in turn, the first of each pair alternating; nobody reads the
noted changes meanwhile. The bare inserts go into copies of the two databases, without any server.
"""

import os
import pathlib
import shutil
import sqlite3
import sys
import tempfile
import time

import common

SHAPES = {"1 metric": 1, "10 metrics": 10, "1,000 metrics": 1000}


def install(database):
    done = common.measure([common.binary(), "feed", "install", "--database", f"sqlite:///{database}"])
    if done.failed("feed install"):
        sys.exit(1)


def batch(entities, keys, number):
    first = number * 1000
    return [entities.Metric(f"m{i % keys}", 1 / (first + i + 1), common.T0 + first + i, first + i) for i in range(1000)]


def pairs(rounds, first, second):
    """Seconds of both for each round, warmed up by two that do not count."""
    seen = []
    for number in range(rounds + 2):
        order = [first, second] if number % 2 else [second, first]
        took = {}
        for work in order:
            prepared = work(number)
            began = time.perf_counter()
            prepared()
            took[work] = time.perf_counter() - began
        seen.append((took[first], took[second]))
    return seen[2:]


def judged(shape, what, seen, rows, results):
    slower = common.median(b / a for a, b in seen) - 1
    without, with_triggers = ([1000 * pair[i] for pair in seen] for i in (0, 1))
    rows.append([what, shape, common.spread(without), common.spread(with_triggers), f"{100 * slower:+.1f} %"])
    results["measured"].append({"what": what, "shape": shape, "plain_ms": without, "triggers_ms": with_triggers, "slower": slower})


def through_server(plain, captured, rounds, rows, results):
    from mlflow import MlflowClient, entities

    for shape, keys in SHAPES.items():

        def work(server):
            client = MlflowClient(server.uri)
            run = common.new_run(server.uri, f"bench-{keys}")["run_id"]

            def prepare(number):
                metrics = batch(entities, keys, number)
                return lambda: client.log_batch(run, metrics=metrics)

            return prepare

        judged(shape, "log_batch", pairs(rounds, work(plain), work(captured)), rows, results)


def bare(plain, captured, rounds, rows, results):
    for shape, keys in SHAPES.items():

        def work(database):
            connection = sqlite3.connect(database)
            statement = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?,?,?,?,?,0)"

            def prepare(number):
                first = number * 1000
                points = [(f"m{i % keys}", 0.5, common.T0 + first + i, f"bare-{keys}", first + i) for i in range(1000)]

                def insert():
                    with connection:
                        connection.executemany(statement, points)

                return insert

            return prepare

        judged(shape, "bare inserts", pairs(rounds, work(plain), work(captured)), rows, results)


def main():
    options = common.parser(__doc__.splitlines()[0], rounds=30).parse_args()
    results, rows = {"benchmark": "triggers", "measured": []}, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary).resolve()
        with common.start(folder / "plain", workers=1) as plain, common.start(folder / "captured", workers=1) as captured:
            install(captured.database)
            through_server(plain, captured, options.rounds, rows, results)
        copies = [shutil.copy(server.database, folder / f"{server.database.parent.name}.db") for server in (plain, captured)]
        bare(*copies, options.rounds, rows, results)
    common.table(["work", "1,000 points of", "without, ms", "with triggers, ms", "slower (median of pairs)"], rows)
    common.report(options, results)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    sys.exit(main())
