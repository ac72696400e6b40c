"""Fills the Databricks emulator with more than a client could write in a test's time: straight into the database behind.

    POST /emulator/fill {"folder": "/Shared/filled", "experiments": 1000, "runs": 100, "points": 10}

Ordinary runs, `runs` in each experiment: two params, three tags, two metrics with `points` points each, all finished, the youngest
of them now. Answers {"experiments": [ids], "seconds": S}. 100,000 runs with one point are about 15 seconds.
"""

import time
import uuid

import databricks_errors as errors

MOST_RUNS, PART = 2_000_000, 5000
RUN = (
    "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id)"
    " VALUES (?, ?, 'UNKNOWN', ?, 'FINISHED', ?, ?, 'active', ?, ?)"
)
POINT = "INSERT INTO {} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, 0, ?)"


def fill(emulator, given):
    folder = given.get("folder", "/Shared/filled")
    experiments, runs, points = (int(given.get(name, default)) for name, default in (("experiments", 10), ("runs", 10), ("points", 1)))
    if experiments < 1 or runs < 0 or points < 1 or experiments * runs > MOST_RUNS:
        raise errors.invalid("experiments and points must be positive, and all runs at most 2,000,000.")
    started = time.monotonic()
    emulator.workspace.mkdirs(folder)
    with emulator.behind.lock:
        database = emulator.behind.database
        database.execute("BEGIN IMMEDIATE")
        try:
            numbers = new_experiments(database, folder, experiments, emulator.options)
            new_runs(database, [number for number in numbers for _ in range(runs)], points, emulator.options.user)
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
    return {"experiments": [emulator.ids.experiment_out(number) for number in numbers], "seconds": round(time.monotonic() - started, 1)}


def new_experiments(database, folder, count, options):
    first = database.execute("SELECT max(experiment_id) FROM experiments").fetchone()[0] + 1
    numbers, moment = range(first, first + count), int(time.time() * 1000)
    database.executemany(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)"
        " VALUES (?, ?, ?, 'active', ?, ?)",
        [(number, f"{folder}/experiment {number}", f"mlflow-artifacts:/{number}", moment, moment) for number in numbers],
    )  # fmt: skip
    tags = {"mlflow.ownerId": options.user_id, "mlflow.ownerEmail": options.user, "mlflow.experimentType": "MLFLOW_EXPERIMENT"}
    rows = [(key, value, number) for number in numbers for key, value in tags.items()]
    rows += [("mlflow.experiment.sourceName", f"{folder}/experiment {number}", number) for number in numbers]
    database.executemany("INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)", rows)
    return numbers


def new_runs(database, owners, points, user):
    """One run for each entry of `owners`, a second apart; the last one is the youngest."""
    end = int(time.time() * 1000) - points
    for at in range(0, len(owners), PART):
        made = [(uuid.uuid4().hex, number, at + n) for n, number in enumerate(owners[at : at + PART])]
        begun = {run: end - 1000 * (len(owners) - n) for run, _, n in made}
        database.executemany(
            RUN,
            [(run, f"run {n}", user, begun[run], begun[run] + 1000, f"mlflow-artifacts:/{number}/{run}/artifacts", number) for run, number, n in made],
        )  # fmt: skip
        tags = [row for run, _, n in made for row in (("mlflow.user", user, run), ("mlflow.runName", f"run {n}", run), ("stage", "dev", run))]
        database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
        params = [row for run, _, n in made for row in (("depth", str(n % 9), run), ("rate", str(1 / (n + 1)), run))]
        database.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
        rows = [
            (key, (step + 1) / (n + 1), begun[run] + step, step, run)
            for run, _, n in made for key in ("loss", "accuracy") for step in range(points)
        ]  # fmt: skip
        database.executemany(POINT.format("metrics"), rows)
        database.executemany(POINT.format("latest_metrics"), [row for row in rows if row[3] == points - 1])
