"""Conflicts between two MLflow servers, made and judged with MLflow's own client.

    conflicts.py make PRIMARY SECONDARY     things on the primary, and names that are taken on the secondary
    conflicts.py edit PRIMARY SECONDARY     after a backfill: both sides are changed
    conflicts.py judge PRIMARY SECONDARY    after another one: prints what is not as the rules say
    conflicts.py resolved PRIMARY SECONDARY after `conflicts resolve --all --kind tag --decision primary`
    conflicts.py decided PRIMARY SECONDARY  after what else was left has been resolved, each kind the other way

The rules are those of `RealRulesTests`: what a thing is called says what is to be done.
"""

import os
import pathlib
import sys
import tempfile
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

from mlflow import MlflowClient, set_tracking_uri  # noqa: E402
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.entities import Param, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

TEXTS = ["primary", "secondary", "park"]
NUMBERS = ["fill", "renumber", "park"]


def stamp(kind, id):
    """Another pair's."""
    return {"mlmirror.pair": "other", "mlmirror.primary.store": "elsewhere", f"mlmirror.primary.{kind}": id}


# Models of the secondary whose names ours want, with their tags.
MODEL_NAMES = {f"taken.{word}": {"a": "theirs"} for word in ["adopt", "rename", "park"]}
MODEL_NAMES |= {f"other.{word}": {"a": "theirs"} | stamp("model", f"other.{word}") for word in ["rename", "park"]}
here = MlflowClient(sys.argv[2], sys.argv[2])
there = MlflowClient(sys.argv[3], sys.argv[3])
set_tracking_uri(sys.argv[3])
wrong = []


def run_of(client, experiment, name="r"):
    """By the tag `own`, which nobody edits."""
    found = client.get_experiment_by_name(experiment)
    ids = [found.experiment_id] if found else [e.experiment_id for e in client.search_experiments(view_type=ViewType.ALL)]
    runs = client.search_runs(ids, f"tags.own = '{experiment}:{name}'", ViewType.ALL)
    return runs[0] if runs else None


def make_run(experiment, name="r"):
    found = here.get_experiment_by_name(experiment)
    id = found.experiment_id if found else here.create_experiment(experiment)
    run = here.create_run(id, run_name=name, tags={"own": f"{experiment}:{name}", "a": "1", "mlflow.note.content": "text"})
    here.log_text(run.info.run_id, "1", "a.txt")
    here.set_terminated(run.info.run_id)
    return run


def log_model_file(client, model, text):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "a.txt")
        path.write_text(text, encoding="utf-8")
        client.log_model_artifact(model, str(path))


def model_of(client, run):
    return client.search_logged_models([run.info.experiment_id])[0]


def make():
    for word in TEXTS:
        run = make_run(f"/{word}/e")
        here.set_tag(run.info.run_id, "c", "1")
        here.set_experiment_tag(run.info.experiment_id, "a", "1")
        here.set_experiment_tag(run.info.experiment_id, "mlflow.note.content", "text")
        model = here.create_logged_model(run.info.experiment_id, "logged", run.info.run_id, {"a": "1"}).model_id
        log_model_file(here, model, "1")
        here.finalize_logged_model(model, "READY")
        name = f"{word}.net"
        here.create_registered_model(name, {"a": "1"}, "text")
        for _ in range(2):
            here.create_model_version(name, f"runs:/{run.info.run_id}/a.txt", run.info.run_id, {"a": "1"}, description="text")
        here.set_registered_model_alias(name, "best", "1")
    for word in ["respect", "restore"]:
        for name in ["there", "here"]:
            run = make_run(f"/{word}/e", name)
        make_run(f"/{word}/there")
        make_run(f"/{word}/here")
        here.create_registered_model(f"{word}.net")
        for _ in range(2):
            here.create_model_version(f"{word}.net", f"runs:/{run.info.run_id}/a.txt", run.info.run_id)
    for word in ["adopt", "rename", "park"]:
        there.create_experiment(f"/taken/{word}", tags={"a": "theirs"})
        make_run(f"/taken/{word}")
    for word in ["rename", "park"]:
        there.create_experiment(f"/other/{word}", tags=stamp("experiment_id", "9"))
        make_run(f"/other/{word}")
    run = run_of(here, "/primary/e")
    for name, theirs in MODEL_NAMES.items():
        there.create_registered_model(name, theirs, "theirs")
        here.create_registered_model(name, {"a": "ours", "b": "ours"}, "ours")
        here.create_model_version(name, f"runs:/{run.info.run_id}/a.txt", run.info.run_id)
    for word in NUMBERS:
        name = f"number.{word}"
        here.create_registered_model(name)
        for _ in range(3):
            here.create_model_version(name, f"runs:/{run.info.run_id}/a.txt", run.info.run_id)
        here.delete_model_version(name, "2")


def edit():
    for word in TEXTS:
        run, copy = run_of(here, f"/{word}/e"), run_of(there, f"/{word}/e")
        id = copy.info.run_id
        there.set_tag(id, "a", "theirs")
        there.set_tag(id, "mlflow.note.content", "theirs")
        there.update_run(id, name="theirs")
        there.set_terminated(id, "FAILED", end_time=1)
        there.log_batch(id, params=[Param("p", "theirs")])
        there.log_text(id, "theirs", "a.txt")
        there.delete_tag(id, "c")
        there.set_experiment_tag(copy.info.experiment_id, "a", "theirs")
        there.set_experiment_tag(copy.info.experiment_id, "mlflow.note.content", "theirs")
        there.rename_experiment(copy.info.experiment_id, f"/{word}/theirs")
        here.log_batch(run.info.run_id, params=[Param("p", "ours")])
        here.set_tag(run.info.run_id, "a", "2")
        here.set_tag(run.info.run_id, "b", "2")
        here.log_text(run.info.run_id, "longer", "a.txt")
        here.set_experiment_tag(run.info.experiment_id, "b", "2")
        for client, of, tags, text in [(there, copy, {"a": "theirs"}, "theirs"), (here, run, {"b": "2"}, "longer")]:
            model = model_of(client, of).model_id
            client.set_logged_model_tags(model, tags)
            log_model_file(client, model, text)
        name = f"{word}.net"
        there.update_registered_model(name, "theirs")
        there.set_registered_model_tag(name, "a", "theirs")
        there.update_model_version(name, "1", "theirs")
        there.set_model_version_tag(name, "1", "a", "theirs")
        there.transition_model_version_stage(name, "1", "Archived")
        there.set_registered_model_alias(name, "best", "2")
        here.set_registered_model_tag(name, "b", "2")
    for word in ["respect", "restore"]:
        there.delete_run(run_of(there, f"/{word}/e", "there").info.run_id)
        here.set_tag(run_of(here, f"/{word}/e", "there").info.run_id, "a", "2")
        here.delete_run(run_of(here, f"/{word}/e", "here").info.run_id)
        there.delete_experiment(there.get_experiment_by_name(f"/{word}/there").experiment_id)
        here.set_tag(run_of(here, f"/{word}/there").info.run_id, "a", "2")
        here.delete_experiment(here.get_experiment_by_name(f"/{word}/here").experiment_id)
        here.delete_model_version(f"{word}.net", "1")


def expect(what, found, wanted):
    if found != wanted:
        wrong.append(f"{what}: {found!r}, expected {wanted!r}")


def text_of(run):
    with tempfile.TemporaryDirectory() as folder:
        with open(there.download_artifacts(run.info.run_id, "a.txt", folder), encoding="utf-8") as file:
            return file.read()


def model_text(model):
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifacts(artifact_uri=f"models:/{model.model_id}", dst_path=folder)
        return pathlib.Path(path, "a.txt").read_text(encoding="utf-8")


def judge_texts(step):
    for word in TEXTS:
        is_ours = word == "primary" or step == "decided"
        has_tags = is_ours or step == "resolved"
        run = run_of(there, f"/{word}/e")
        experiment = there.get_experiment(run.info.experiment_id)
        expect(f"{word} tag", run.data.tags["a"], "2" if has_tags else "theirs")
        expect(f"{word} other tag", run.data.tags["b"], "2")
        expect(f"{word} deleted tag", run.data.tags.get("c"), "1" if has_tags else None)
        expect(f"{word} note", run.data.tags["mlflow.note.content"], "text" if is_ours else "theirs")
        expect(f"{word} run name", run.info.run_name, "r" if is_ours else "theirs")
        expect(f"{word} status", run.info.status, "FINISHED" if is_ours else "FAILED")
        expect(f"{word} end time", run.info.end_time == run_of(here, f"/{word}/e").info.end_time, is_ours)
        expect(f"{word} param", run.data.params["p"], "theirs")
        expect(f"{word} file", text_of(run), "longer" if is_ours else "theirs")
        expect(f"{word} experiment tag", experiment.tags["a"], "1" if has_tags else "theirs")
        expect(f"{word} experiment's other tag", experiment.tags["b"], "2")
        expect(f"{word} experiment note", experiment.tags["mlflow.note.content"], "text" if is_ours else "theirs")
        expect(f"{word} experiment name", experiment.name, f"/{word}/e" if is_ours else f"/{word}/theirs")
        logged = model_of(there, run)
        expect(f"{word} logged model's tags", (logged.tags["a"], logged.tags["b"]), ("1" if has_tags else "theirs", "2"))
        expect(f"{word} logged model's file", model_text(logged), "longer" if is_ours else "theirs")
        model, version = there.get_registered_model(f"{word}.net"), there.get_model_version(f"{word}.net", "1")
        expect(f"{word} model description", model.description, "text" if is_ours else "theirs")
        expect(f"{word} model tag", model.tags["a"], "1" if has_tags else "theirs")
        expect(f"{word} model's other tag", model.tags["b"], "2")
        expect(f"{word} alias", int(model.aliases["best"]), 1 if is_ours else 2)
        expect(f"{word} version description", version.description, "text" if is_ours else "theirs")
        expect(f"{word} version tag", version.tags["a"], "1" if has_tags else "theirs")
        expect(f"{word} stage", version.current_stage, "None" if is_ours else "Archived")
        # The primary itself is as it was.
        expect(f"{word} here", run_of(here, f"/{word}/e").data.tags["a"], "2")


def numbers_of(name):
    return sorted(int(v.version) for v in there.search_model_versions(f"name = '{name}'"))


def judge_deletions(is_decided):
    for word in ["respect", "restore"]:
        is_back, is_kept = word == "restore" or is_decided, word == "restore" and not is_decided
        run = run_of(there, f"/{word}/e", "there")
        expect(f"{word} run", (run.info.lifecycle_stage, run.data.tags["a"]), ("active", "2") if is_back else ("deleted", "1"))
        run = run_of(there, f"/{word}/e", "here")
        expect(f"{word} run deleted here", run.info.lifecycle_stage, "active" if is_kept else "deleted")
        run = run_of(there, f"/{word}/there")
        expect(f"{word} experiment's run", (run.info.lifecycle_stage, run.data.tags["a"]), ("active", "2") if is_back else ("deleted", "1"))
        for name, wanted in [("there", "active" if is_back else "deleted"), ("here", "active" if is_kept else "deleted")]:
            experiment = there.get_experiment_by_name(f"/{word}/{name}")
            expect(f"{word} experiment {name}", experiment.lifecycle_stage, wanted)
        expect(f"{word} version deleted here", numbers_of(f"{word}.net"), [1, 2] if is_kept else [2])


def model_or_none(name):
    found = there.search_registered_models(f"name = '{name}'")
    return found[0] if found else None


def judge_names(step):
    is_decided = step == "decided"
    for word in ["adopt", "rename", "park"]:
        is_renamed = word == "rename" or word == "park" and is_decided
        theirs = there.get_experiment_by_name(f"/taken/{word}")
        expect(f"their {word}", theirs.tags["a"], "theirs")
        expect(f"runs in their {word}", len(there.search_runs([theirs.experiment_id])), 1 if word == "adopt" else 0)
        ours = there.get_experiment_by_name(f"default/taken/{word}")
        expect(f"our {word}", len(there.search_runs([ours.experiment_id])) if ours else 0, 1 if is_renamed else 0)
    for word in ["rename", "park"]:
        theirs = there.get_experiment_by_name(f"/other/{word}")
        expect(f"another pair's {word}", (theirs.tags["mlmirror.pair"], len(there.search_runs([theirs.experiment_id]))), ("other", 0))
        ours = there.get_experiment_by_name(f"default/other/{word}")
        expect(f"our other {word}", ours is not None, word == "rename" or is_decided)
    for name, tags in MODEL_NAMES.items():
        is_adopted = name == "taken.adopt"
        theirs, ours = model_or_none(name), model_or_none(f"default.{name}")
        found = {k: v for k, v in theirs.tags.items() if not is_adopted or not k.startswith("mlmirror.")}
        # Until somebody decides for our value, theirs stays in what is shared.
        added = {"a": "theirs" if step == "judge" else "ours", "b": "ours"} if is_adopted else {}
        description = "ours" if is_adopted and is_decided else "theirs"
        expect(f"their model {name}", (theirs.description, found), (description, tags | added))
        expect(f"versions of their {name}", numbers_of(name), [1] if is_adopted else [])
        if is_adopted or name.endswith("park") and not is_decided:
            expect(f"our {name}", ours, None)
        else:
            expect(f"our {name}", (ours.description, ours.tags["a"], numbers_of(ours.name)), ("ours", "ours", [1]))
    for word, wanted in zip(NUMBERS, [[1, 3], [1, 2], [1]]):
        expect(f"numbers {word}", numbers_of(f"number.{word}"), [1, 3] if is_decided else wanted)


try:
    if sys.argv[1] == "make":
        make()
    elif sys.argv[1] == "edit":
        edit()
    else:
        judge_texts(sys.argv[1])
        judge_deletions(sys.argv[1] == "decided")
        judge_names(sys.argv[1])
except MlflowException as error:
    wrong.append(f"{sys.argv[1]}: {error}")
print("\n".join(wrong), end="")
sys.exit(1 if wrong else 0)
