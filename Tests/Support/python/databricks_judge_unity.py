"""What the official client does with models in Unity Catalog (registry databricks-uc), and what it is refused there."""

import json
import os
import pathlib

from databricks_judging import EMULATOR, Doubler, api, asked, fails, flow, same

import mlflow  # isort: skip
import pandas  # isort: skip
from mlflow.models import infer_signature  # isort: skip

FRAME = pandas.DataFrame({"x": [1.0, 2.5]})
UNITY = "mlflow/unity-catalog"


def named(judge, name):
    return f"main.team.{name}_{judge.suffix}"


@flow
def log_register_and_load(judge):
    mlflow.set_experiment(experiment_id=judge.experiment)
    name = named(judge, "doubler")
    with mlflow.start_run() as active:
        signature = infer_signature(FRAME, [3.0, 6.0])
        info = mlflow.pyfunc.log_model(name="doubler", python_model=Doubler(), signature=signature, registered_model_name=name)
    version = judge.client.get_model_version(name, "1")
    same((version.status, version.run_id, version.model_id), ("READY", active.info.run_id, info.model_id))
    judge.client.set_registered_model_alias(name, "champion", "1")
    same(judge.client.get_model_version_by_alias(name, "champion").version, "1")
    same(list(mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(FRAME)), [3.0, 6.0])
    got = pathlib.Path(mlflow.artifacts.download_artifacts(f"models:/{name}/1", dst_path=str(judge.folder / "uc")))
    assert (got / "MLmodel").exists(), list(got.iterdir())
    judge.unity = name


@flow
def versions_tags_and_aliases(judge):
    name = judge.unity
    judge.client.set_registered_model_tag(name, "team", "growth")
    judge.client.set_model_version_tag(name, "1", "reviewed", "yes")
    judge.client.update_model_version(name, "1", "a version")
    judge.client.update_registered_model(name, "a model")
    model, version = judge.client.get_registered_model(name), judge.client.get_model_version(name, "1")
    same((model.tags, model.description, model.aliases), ({"team": "growth"}, "a model", {"champion": "1"}))
    same((version.tags, version.description, version.aliases), ({"reviewed": "yes"}, "a version", ["champion"]))
    judge.client.delete_registered_model_tag(name, "team")
    judge.client.delete_model_version_tag(name, "1", "reviewed")
    judge.client.delete_registered_model_alias(name, "champion")
    same((judge.client.get_registered_model(name).aliases, judge.client.get_model_version(name, "1").tags), ({}, {}))


@flow
def searches_are_thin(judge):
    name = judge.unity
    judge.client.set_registered_model_alias(name, "champion", "1")
    judge.client.set_registered_model_tag(name, "team", "growth")
    found = [each for each in judge.client.search_registered_models() if each.name == name]
    same(len(found), 1)
    same([each.version for each in judge.client.search_model_versions(f"name = '{name}'")], ["1"])
    raw = api("GET", f"{UNITY}/registered-models/search")[1]["registered_models"]
    assert raw and not any("aliases" in each or "tags" in each for each in raw), raw
    fails(lambda: judge.client.search_model_versions("run_id = 'x'"), "INVALID_PARAMETER_VALUE")
    fails(lambda: judge.client.search_registered_models(filter_string="name LIKE 'x'"))


@flow
def what_a_catalog_refuses(judge):
    name = judge.unity
    fails(lambda: judge.client.create_registered_model("flat"), "INVALID_PARAMETER_VALUE")
    fails(lambda: judge.client.create_registered_model(name), "RESOURCE_ALREADY_EXISTS")
    fails(lambda: judge.client.get_registered_model(named(judge, "none")), "RESOURCE_DOES_NOT_EXIST")
    fails(lambda: judge.client.set_registered_model_tag(name, "a.b", "c"), "INVALID_PARAMETER_VALUE")
    fails(lambda: judge.client.transition_model_version_stage(name, "1", "Production"))
    fails(lambda: judge.client.delete_registered_model(name), "INVALID_STATE")


@flow
def pending_until_it_is_finalized(judge):
    name = named(judge, "pending")
    judge.client.create_registered_model(name)
    made = api("POST", f"{UNITY}/model-versions/create", {"name": name, "source": "dbfs:/x"})[1]["model_version"]
    same((made["version"], made["status"]), ("1", "PENDING_REGISTRATION"))
    assert made["storage_location"].startswith("abfss://"), made
    ask = {"name": name, "version": "1", "operation": "MODEL_VERSION_OPERATION_READ_WRITE"}
    status, given = api("POST", f"{UNITY}/model-versions/generate-temporary-credentials", ask)
    same((status, given["credentials"]["storage_mode"] == "DEFAULT_STORAGE"), (200, os.environ["DATABRICKS_JUDGE_UNITY"] == "presigned"))
    same(api("POST", f"{UNITY}/model-versions/finalize", {"name": name, "version": "1"})[1]["model_version"]["status"], "READY")
    same(api("POST", f"{UNITY}/model-versions/generate-temporary-credentials", ask)[0], 403)


@flow
def directory_signature(judge):
    """What a reader that knows no client does with it: list, and read, on the storage account in plain HTTP."""
    ask = {"name": judge.unity, "version": "1", "operation": "MODEL_VERSION_OPERATION_READ"}
    credentials = api("POST", f"{UNITY}/model-versions/generate-temporary-credentials", ask)[1]["credentials"]
    if os.environ["DATABRICKS_JUDGE_UNITY"] == "presigned":
        same("azure_user_delegation_sas" in credentials, False)
        return
    token = credentials["azure_user_delegation_sas"]["sas_token"]
    version = api("GET", f"{UNITY}/model-versions/get?name={judge.unity}&version=1")[1]["model_version"]
    container, _, rest = version["storage_location"].removeprefix("abfss://").partition("@")
    host, _, folder = rest.partition("/")
    same(host, f"{EMULATOR['account']}.dfs.core.windows.net")
    base = f"{EMULATOR['storage']}/{container}"
    status, _, body = asked("GET", f"{base}?resource=filesystem&recursive=true&directory={folder}&{token}")
    names = [each["name"] for each in json.loads(body)["paths"]]
    assert status == 200 and f"{folder}/MLmodel" in names, (status, body)
    same(asked("GET", f"{base}/{folder}/MLmodel?{token}")[0], 200)
    same(asked("GET", f"{base}/{folder.rpartition('/')[0]}/other/MLmodel?{token}")[0], 403)
    same(asked("PUT", f"{base}/{folder}/MLmodel?resource=file&{token}")[0], 403)


@flow
def renamed_and_deleted(judge):
    name, new = judge.unity, named(judge, "renamed")
    judge.client.rename_registered_model(name, new)
    same(judge.client.get_registered_model(new).aliases, {"champion": "1"})
    fails(lambda: judge.client.get_registered_model(name), "RESOURCE_DOES_NOT_EXIST")
    judge.client.delete_model_version(new, "1")
    same((judge.client.get_registered_model(new).aliases, judge.client.search_model_versions(f"name = '{new}'")), ({}, []))
    judge.client.delete_registered_model(new)
