"""Conflicts between two MLflow servers, made and judged with MLflow's own client.

    conflicts.py make PRIMARY SECONDARY     things on the primary, and names that are taken on the secondary
    conflicts.py edit PRIMARY SECONDARY     after a backfill: both sides are changed
    conflicts.py judge PRIMARY SECONDARY    after another one: prints what is not as the rules say
    conflicts.py resolved PRIMARY SECONDARY after `conflicts resolve --all --kind tag --decision primary`

The rules are those of `RealRulesTests`: what a thing is called says what is to be done.
"""

import os
import sys
import tempfile
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Param, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

TEXTS = ["primary", "secondary", "park"]
NUMBERS = ["fill", "renumber", "park"]
here = MlflowClient(sys.argv[2], sys.argv[2])
there = MlflowClient(sys.argv[3], sys.argv[3])
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


def make():
    for word in TEXTS:
        run = make_run(f"/{word}/e")
        here.set_experiment_tag(run.info.experiment_id, "a", "1")
        name = f"{word}.net"
        here.create_registered_model(name, {"a": "1"}, "text")
        for _ in range(2):
            here.create_model_version(name, f"runs:/{run.info.run_id}/a.txt", run.info.run_id, {"a": "1"}, description="text")
        here.set_registered_model_alias(name, "best", "1")
    for word in ["respect", "restore"]:
        for name in ["there", "here"]:
            make_run(f"/{word}/e", name)
        make_run(f"/{word}/there")
        make_run(f"/{word}/here")
    for word in ["adopt", "rename", "park"]:
        there.create_experiment(f"/taken/{word}", tags={"a": "theirs"})
        make_run(f"/taken/{word}")
    for word in ["rename", "park"]:
        stamp = {"mlmirror.pair": "other", "mlmirror.primary.store": "elsewhere", "mlmirror.primary.experiment_id": "9"}
        there.create_experiment(f"/other/{word}", tags=stamp)
        make_run(f"/other/{word}")
    run = run_of(here, "/primary/e")
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
        there.update_run(id, status="FAILED", name="theirs")
        there.log_batch(id, params=[Param("p", "theirs")])
        there.log_text(id, "theirs", "a.txt")
        there.set_experiment_tag(copy.info.experiment_id, "a", "theirs")
        there.rename_experiment(copy.info.experiment_id, f"/{word}/theirs")
        here.log_batch(run.info.run_id, params=[Param("p", "ours")])
        here.set_tag(run.info.run_id, "a", "2")
        here.set_tag(run.info.run_id, "b", "2")
        here.log_text(run.info.run_id, "longer", "a.txt")
        here.set_experiment_tag(run.info.experiment_id, "b", "2")
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


def expect(what, found, wanted):
    if found != wanted:
        wrong.append(f"{what}: {found!r}, expected {wanted!r}")


def text_of(run):
    with tempfile.TemporaryDirectory() as folder:
        with open(there.download_artifacts(run.info.run_id, "a.txt", folder), encoding="utf-8") as file:
            return file.read()


def judge_texts(tags_are_resolved):
    for word in TEXTS:
        is_ours = word == "primary"
        has_tags = is_ours or tags_are_resolved
        run = run_of(there, f"/{word}/e")
        experiment = there.get_experiment(run.info.experiment_id)
        expect(f"{word} tag", run.data.tags["a"], "2" if has_tags else "theirs")
        expect(f"{word} other tag", run.data.tags["b"], "2")
        expect(f"{word} note", run.data.tags["mlflow.note.content"], "text" if is_ours else "theirs")
        expect(f"{word} run name", run.info.run_name, "r" if is_ours else "theirs")
        expect(f"{word} status", run.info.status, "FINISHED" if is_ours else "FAILED")
        expect(f"{word} param", run.data.params["p"], "theirs")
        expect(f"{word} file", text_of(run), "longer" if is_ours else "theirs")
        expect(f"{word} experiment tag", experiment.tags["a"], "1" if has_tags else "theirs")
        expect(f"{word} experiment's other tag", experiment.tags["b"], "2")
        expect(f"{word} experiment name", experiment.name, f"/{word}/e" if is_ours else f"/{word}/theirs")
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


def judge_deletions():
    for word in ["respect", "restore"]:
        is_back = word == "restore"
        run = run_of(there, f"/{word}/e", "there")
        expect(f"{word} run", (run.info.lifecycle_stage, run.data.tags["a"]), ("active", "2") if is_back else ("deleted", "1"))
        run = run_of(there, f"/{word}/e", "here")
        expect(f"{word} run deleted here", run.info.lifecycle_stage, "active" if is_back else "deleted")
        run = run_of(there, f"/{word}/there")
        expect(f"{word} experiment's run", (run.info.lifecycle_stage, run.data.tags["a"]), ("active", "2") if is_back else ("deleted", "1"))
        for name, wanted in [("there", "active" if is_back else "deleted"), ("here", "active" if is_back else "deleted")]:
            experiment = there.get_experiment_by_name(f"/{word}/{name}")
            expect(f"{word} experiment {name}", experiment.lifecycle_stage, wanted)


def judge_names():
    for word in ["adopt", "rename", "park"]:
        theirs = there.get_experiment_by_name(f"/taken/{word}")
        expect(f"their {word}", theirs.tags["a"], "theirs")
        expect(f"runs in their {word}", len(there.search_runs([theirs.experiment_id])), 1 if word == "adopt" else 0)
        ours = there.get_experiment_by_name(f"default/taken/{word}")
        expect(f"our {word}", len(there.search_runs([ours.experiment_id])) if ours else 0, 1 if word == "rename" else 0)
    for word in ["rename", "park"]:
        theirs = there.get_experiment_by_name(f"/other/{word}")
        expect(f"another pair's {word}", (theirs.tags["mlmirror.pair"], len(there.search_runs([theirs.experiment_id]))), ("other", 0))
        expect(f"our other {word}", there.get_experiment_by_name(f"default/other/{word}") is not None, word == "rename")
    for word, wanted in zip(NUMBERS, [[1, 3], [1, 2], [1]]):
        found = sorted(int(v.version) for v in there.search_model_versions(f"name = 'number.{word}'"))
        expect(f"numbers {word}", found, wanted)


try:
    if sys.argv[1] == "make":
        make()
    elif sys.argv[1] == "edit":
        edit()
    else:
        judge_texts(tags_are_resolved=sys.argv[1] == "resolved")
        judge_deletions()
        judge_names()
except MlflowException as error:
    wrong.append(f"{sys.argv[1]}: {error}")
print("\n".join(wrong), end="")
sys.exit(1 if wrong else 0)
