"""What may not pass, made and judged with MLflow's own client.

    passage.py make PRIMARY SECONDARY    things that name people, and things to be left out
    passage.py judge PRIMARY SECONDARY   prints what is not as `RealPassageTests` has it in its configuration
    passage.py whole PRIMARY SECONDARY   the same once nothing is left out or masked any more
"""

import os
import sys
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

from mlflow import MlflowClient  # noqa: E402
from mlflow.data.meta_dataset import MetaDataset  # noqa: E402
from mlflow.data.http_dataset_source import HTTPDatasetSource  # noqa: E402
from mlflow.entities import DatasetInput, InputTag, ViewType  # noqa: E402

here = MlflowClient(sys.argv[2], sys.argv[2])
there = MlflowClient(sys.argv[3], sys.argv[3])
PERSON = "ann.secret@example.com"
wrong = []


def check(holds, what):
    if not holds:
        wrong.append(what)


def make():
    experiment = here.create_experiment(f"/Users/{PERSON}/churn", tags={"mlflow.note.content": f"ask {PERSON}"})
    for owner in [PERSON, "bot-7"]:
        run = here.create_run(
            experiment, run_name=f"of {owner}",
            tags={"mlflow.user": owner, "mlflow.source.name": f"/Users/{owner}/train", "dbx.job": "7", "patient": "Smythe-Secret"})
        id = run.info.run_id
        here.log_param(id, "data", f"/home/{PERSON}/data")
        here.log_param(id, "internal", "x")
        here.log_param(id, "lr", "0.1")
        here.log_metric(id, "loss", 0.5, timestamp=1000, step=1)
        for path in ["a.txt", "sub/b.tmp", "c.tmp"]:
            here.log_text(id, path, path)
        data = MetaDataset(HTTPDatasetSource(f"http://example.com/Users/{PERSON}/d.csv"), name="d")
        here.log_inputs(id, [DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])])
        here.set_terminated(id)
    mine = here.search_runs([experiment], f"tags.mlflow.user = '{PERSON}'")[0].info.run_id
    here.create_registered_model("churn", {"who": PERSON}, f"by {PERSON}")
    here.create_model_version("churn", f"runs:/{mine}/a.txt", mine, {"patient": "Smythe-Secret"}, description=f"{PERSON}'s")


def runs_there():
    ids = [e.experiment_id for e in there.search_experiments(view_type=ViewType.ALL)]
    return there.search_runs(ids, "", ViewType.ALL)


def text_of(run):
    return f"{run.to_dictionary()}"


def files(run):
    found = []
    folders = [""]
    while folders:
        for entry in there.list_artifacts(run.info.run_id, folders.pop() or None):
            folders.append(entry.path) if entry.is_dir else found.append(entry.path)
    return sorted(found)


def judge():
    runs = runs_there()
    check(len(runs) == 1, f"one owner's run is there: {[r.info.run_name for r in runs]}")
    run = runs[0]
    check("secret" not in text_of(run).lower(), f"the run names somebody: {text_of(run)}")
    check(run.data.tags["mlflow.user"].startswith("user-"), "the user is no pseudonym")
    check(run.data.tags["mlflow.source.name"] == f"/Users/{run.data.tags['mlflow.user']}/train", "two pseudonyms for one person")
    check("dbx.job" not in run.data.tags and "patient" not in run.data.tags, "a tag was not left out")
    check(sorted(run.data.params) == ["data", "lr"], f"params {run.data.params}")
    check(run.data.metrics == {"loss": 0.5}, f"metrics {run.data.metrics}")
    check(files(run) == ["a.txt"], f"files {files(run)}")
    experiment = there.get_experiment(run.info.experiment_id)
    check(experiment.name == f"people/{run.data.tags['mlflow.user']}/churn", f"the experiment is called {experiment.name}")
    check("secret" not in f"{experiment.tags}".lower(), f"experiment tags {experiment.tags}")
    model = there.get_registered_model("churn-prod")
    version = there.get_model_version("churn-prod", "1")
    check("secret" not in f"{model.description} {model.tags} {version.description} {version.tags} {version.source}".lower(), f"{model} {version}")
    check(version.run_id == run.info.run_id, "the version's run")


def whole():
    runs = runs_there()
    check(len(runs) == 2, f"both runs are there: {[r.info.run_name for r in runs]}")
    for run in runs:
        check(run.data.tags.get("dbx.job") == "7" and run.data.tags.get("patient") == "Smythe-Secret", f"tags {run.data.tags}")
        check(files(run) == ["a.txt", "c.tmp", "sub/b.tmp"], f"files {files(run)}")
        check(there.get_experiment(run.info.experiment_id).name == f"/Users/{PERSON}/churn", "the experiment's name")
    check({r.info.run_name for r in runs} == {f"of {PERSON}", "of bot-7"}, "names")
    check(there.get_registered_model("churn-prod").description == f"by {PERSON}", "the model's description")


{"make": make, "judge": judge, "whole": whole}[sys.argv[1]]()
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
