"""What leaves the primary for good, and what has moved away from it, made and judged with MLflow's own client.

    leaving.py make PRIMARY SECONDARY                   things that will be purged, retired and edited
    leaving.py copied PRIMARY SECONDARY                 prints what of that is not on the secondary yet
    leaving.py purge PRIMARY SECONDARY WHEN DATABASE    things are deleted, and `mlflow gc` removes them from the primary's SQLite file
    leaving.py purged PRIMARY SECONDARY WHEN            prints what is not on the secondary as the rules say
    leaving.py lose PRIMARY SECONDARY DATABASE          one metric point is lost from the secondary's SQLite file
    leaving.py refused PRIMARY SECONDARY                after `retire`: the run that lacks it is untouched, the whole ones are gone here
    leaving.py retired PRIMARY SECONDARY                after it was mended, and retired again
    leaving.py edit PRIMARY SECONDARY                   both sides are changed, in what has moved and in what has not
    leaving.py sealed PRIMARY SECONDARY                 prints what was written over, and what did not come

WHEN is `live` or `down`. The rules are those of `RealLeavingTests`: what a thing is called says what is to be done.
"""

import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

STEP, PRIMARY, SECONDARY, *REST = sys.argv[1:]
DECISIONS = ["keep", "replicate"]
ENDED = ["whole", "lacking", "more"]
OPEN = ["open", "gone"]
here = MlflowClient(PRIMARY, PRIMARY)
there = MlflowClient(SECONDARY, SECONDARY)
wrong = []


def expect(what, found, wanted):
    if found != wanted:
        wrong.append(f"{what}: {found!r}, expected {wanted!r}")


def runs_of(client, own):
    """By the tag `own`, which nobody edits."""
    ids = [e.experiment_id for e in client.search_experiments(view_type=ViewType.ALL)]
    return client.search_runs(ids, f"tags.own = '{own}'", ViewType.ALL)


def run_of(client, own):
    runs = runs_of(client, own)
    if len(runs) != 1:
        wrong.append(f"{own}: {len(runs)} runs at {client.tracking_uri}")
    return runs[0]


def text_of(run):
    with tempfile.TemporaryDirectory() as folder:
        return pathlib.Path(there.download_artifacts(run.info.run_id, "a.txt", folder)).read_text(encoding="utf-8")


def points_of(run):
    return sorted(point.step for point in there.get_metric_history(run.info.run_id, "loss"))


def make_run(experiment, name, ends=True):
    run = here.create_run(experiment, run_name=name, tags={"own": name, "a": "1", "mlflow.note.content": "text"}).info.run_id
    for step in range(3):
        here.log_metric(run, "loss", 1 / (step + 1), timestamp=1000 + step, step=step)
    here.log_text(run, "1", "a.txt")
    if ends:
        here.set_terminated(run)
    return run


def make():
    for when in ["live", "down"]:
        for word in DECISIONS:
            experiment = here.create_experiment(f"/{when}/{word}/e")
            for name in ["purged", "stays"]:
                run = make_run(experiment, f"{when}.{word}.{name}")
            model = here.create_logged_model(experiment, "logged", run).model_id
            here.finalize_logged_model(model, "READY")
            make_run(here.create_experiment(f"/{when}/{word}/gone"), f"{when}.{word}.inner")
            here.create_registered_model(f"{when}.{word}", {"a": "1"}, "text")
            here.create_model_version(f"{when}.{word}", f"runs:/{run}/a.txt", run)
    moved = here.create_experiment("/moved/e", tags={"a": "1"})
    for name in ENDED:
        make_run(moved, name)
    for name in OPEN:
        make_run(moved, name, ends=False)
    make_run(here.create_experiment("/stays/e", tags={"a": "1"}), "control")


def copied():
    purged = [f"{when}.{word}.{name}" for when in ["live", "down"] for word in DECISIONS for name in ["purged", "stays", "inner"]]
    for name in purged + ENDED + OPEN + ["control"]:
        runs = runs_of(there, name)
        expect(f"{name} there", [(points_of(run), text_of(run)) for run in runs], [([0, 1, 2], "1")])
    for when in ["live", "down"]:
        for word in DECISIONS:
            models = there.search_registered_models(f"name = '{when}.{word}'")
            expect(f"{when} {word} models", [len(m.latest_versions) for m in models], [1])
            logged = there.search_logged_models([there.get_experiment_by_name(f"/{when}/{word}/e").experiment_id])
            expect(f"{when} {word} logged models", [m.status for m in logged], ["READY"])


# What is gone for good


def purge(when, database):
    for word in DECISIONS:
        run = run_of(here, f"{when}.{word}.purged")
        here.delete_run(run.info.run_id)
        here.delete_experiment(here.get_experiment_by_name(f"/{when}/{word}/gone").experiment_id)
        here.delete_logged_model(here.search_logged_models([run.info.experiment_id])[0].model_id)
        here.delete_registered_model(f"{when}.{word}")
    command = [pathlib.Path(sys.prefix, "bin", "mlflow"), "gc", "--backend-store-uri", f"sqlite:///{database}", "--tracking-uri", PRIMARY]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        wrong.append(done.stdout + done.stderr)
    for word in DECISIONS:
        for name in ["purged", "inner"]:
            expect(f"{word} {name} here", runs_of(here, f"{when}.{word}.{name}"), [])
        expect(f"{word} experiment here", here.get_experiment_by_name(f"/{when}/{word}/gone"), None)


def purged(when):
    for word in DECISIONS:
        wanted = "active" if word == "keep" else "deleted"
        for name in ["purged", "inner"]:
            run = run_of(there, f"{when}.{word}.{name}")
            expect(f"{when} {word} {name}", run.info.lifecycle_stage, wanted)
            expect(f"{when} {word} {name}'s data", (run.data.tags["a"], points_of(run), text_of(run)), ("1", [0, 1, 2], "1"))
        run = run_of(there, f"{when}.{word}.stays")
        expect(f"{when} {word} stays", run.info.lifecycle_stage, "active")
        expect(f"{when} {word} experiment", there.get_experiment_by_name(f"/{when}/{word}/gone").lifecycle_stage, wanted)
        logged = there.search_logged_models([run.info.experiment_id])
        expect(f"{when} {word} logged models", len(logged), 1 if word == "keep" else 0)
        models = there.search_registered_models(f"name = '{when}.{word}'")
        expect(f"{when} {word} models", [len(m.latest_versions) for m in models], [1] if word == "keep" else [])


# What has moved


def lose(database):
    with sqlite3.connect(database, timeout=30) as connection:
        lost = connection.execute("DELETE FROM metrics WHERE run_uuid = ? AND step = 1", [run_of(there, "lacking").info.run_id])
        expect("points lost", lost.rowcount, 1)
    expect("points left", points_of(run_of(there, "lacking")), [0, 2])


def retired(refused):
    for name in ENDED:
        run, copy = run_of(here, name), run_of(there, name)
        is_refused = name == refused
        expect(f"{name} here", run.info.lifecycle_stage, "active" if is_refused else "deleted")
        expect(f"{name}'s mark", "mlmirror.retired" in run.data.tags, not is_refused)
        expect(f"{name} there", copy.info.lifecycle_stage, "active")
        expect(f"{name}'s points there", points_of(copy), [0, 2] if is_refused else [0, 1, 2])
    for name in OPEN:
        expect(f"{name} here", run_of(here, name).info.lifecycle_stage, "active")


def edit():
    run, copy = run_of(here, "open"), run_of(there, "open")
    control = run_of(there, "control")
    for id in [copy.info.run_id, control.info.run_id]:
        there.set_tag(id, "a", "theirs")
        there.set_tag(id, "mlflow.note.content", "theirs")
        there.update_run(id, name="theirs")
        there.log_text(id, "theirs", "a.txt")
    for id in [copy.info.experiment_id, control.info.experiment_id]:
        there.set_experiment_tag(id, "a", "theirs")
    there.delete_run(run_of(there, "gone").info.run_id)
    for run in [run, run_of(here, "gone"), run_of(here, "control")]:
        id = run.info.run_id
        here.set_tag(id, "a", "2")
        here.set_tag(id, "late", "1")
        here.log_metric(id, "loss", 0.1, timestamp=2000, step=3)
        here.log_text(id, "longer", "a.txt")
        here.set_experiment_tag(run.info.experiment_id, "a", "2")


def sealed():
    for name in ["open", "control"]:
        run = run_of(there, name)
        is_ours = name == "control"
        found = (run.data.tags["a"], run.data.tags["mlflow.note.content"], run.info.run_name, text_of(run))
        expect(name, found, ("2", "text", "control", "longer") if is_ours else ("theirs", "theirs", "theirs", "theirs"))
        # Nobody has changed that there.
        expect(f"{name}'s new tag and points", (run.data.tags.get("late"), points_of(run)), ("1", [0, 1, 2, 3]))
        expect(f"{name}'s experiment", there.get_experiment(run.info.experiment_id).tags["a"], "2" if is_ours else "theirs")
    gone = run_of(there, "gone")
    expect("gone", (gone.info.lifecycle_stage, gone.data.tags["a"], gone.data.tags.get("late")), ("deleted", "1", None))
    for name in ENDED:
        expect(f"{name} there", run_of(there, name).info.lifecycle_stage, "active")


try:
    {
        "make": make, "copied": copied, "purge": purge, "purged": purged, "lose": lose, "refused": lambda: retired("lacking"),
        "retired": lambda: retired(None), "edit": edit, "sealed": sealed,
    }[STEP](*REST)  # fmt: skip
except MlflowException as error:
    wrong.append(f"{STEP}: {error}")
print("\n".join(wrong), end="")
sys.exit(1 if wrong else 0)
