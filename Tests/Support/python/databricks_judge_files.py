"""The judge of the Databricks emulator on files and models: artifacts, signed addresses, logged models, the workspace's registry."""

import os
import pathlib
import time

from databricks_judging import MIB, Doubler, api, asked, control, digest, fails, flow, same

import mlflow  # isort: skip
import pandas  # isort: skip


def artifact(judge, size, folder):
    run = judge.run()
    path = judge.file(f"{size}.bin", size)
    judge.client.log_artifact(run, str(path), folder)
    place = f"{folder}/{path.name}" if folder else path.name
    listed = judge.client.list_artifacts(run, folder)
    same([(each.path, each.is_dir, each.file_size) for each in listed], [(place, False, size)])
    got = judge.client.download_artifacts(run, place, str(judge.folder / "got"))
    same(digest(got), digest(path))
    # Written again: artifacts of a workspace can change.
    if size < MIB:
        path.write_bytes(b"changed")
        judge.client.log_artifact(run, str(path), folder)
        same(pathlib.Path(judge.client.download_artifacts(run, place, str(judge.folder / "got"))).read_bytes(), b"changed")
    pathlib.Path(got).unlink()
    path.unlink()


@flow
def artifact_of_5_bytes(judge):
    artifact(judge, 5, None)


@flow
def artifact_of_25_megabytes(judge):
    artifact(judge, 25 * MIB, "deep/er")


@flow
def artifact_of_120_megabytes(judge):
    artifact(judge, 120 * MIB, "big")


@flow
def folder_of_artifacts(judge):
    run, folder = judge.run(), judge.folder / "many"
    for number in range(20):
        (folder / f"part {number % 3}").mkdir(parents=True, exist_ok=True)
        (folder / f"part {number % 3}" / f"{number} ü.txt").write_text(f"{number}")
    (folder / "empty").write_bytes(b"")
    judge.client.log_artifacts(run, str(folder), "all")
    same([(each.path, each.is_dir) for each in judge.client.list_artifacts(run)], [("all", True)])
    same(len(judge.client.list_artifacts(run, "all")), 4)
    got = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run, artifact_path="all", dst_path=str(judge.folder / "tree")))
    found = {str(each.relative_to(got)): each.read_bytes() for each in got.rglob("*") if each.is_file()}
    same(found, {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()})


@flow
def signed_addresses(judge):
    run = judge.run()
    judge.client.log_text(run, "0123456789", "digits.txt")
    _, answer = api("POST", "mlflow/artifacts/credentials-for-read", {"run_id": run, "path": ["digits.txt"]})
    info = answer["credential_infos"][0]
    headers = {each["name"]: each["value"] for each in info["headers"]}
    same(info["path"], "digits.txt")
    same(asked("GET", info["signed_uri"], headers=headers)[::2], (200, b"0123456789"))
    same(asked("GET", info["signed_uri"], headers=headers | {"Range": "bytes=3-5"})[::2], (206, b"345"))
    same(asked("GET", info["signed_uri"])[0], 400)
    same(asked("GET", info["signed_uri"], headers=headers | {"Authorization": "Bearer x"})[0], 400)
    same(asked("GET", info["signed_uri"].replace("digits", "others"), headers=headers)[0], 403)
    same(asked("PUT", info["signed_uri"] + "&comp=blocklist", {}, headers)[0], 403)
    control("POST", "faults", {"expired_sas": {"count": 1}})
    status, _, body = asked("GET", info["signed_uri"], headers=headers)
    assert status == 403 and b"<Code>AuthenticationFailed</Code>" in body, body
    same(asked("GET", info["signed_uri"], headers=headers)[0], 200)
    control("POST", "sas/expire")
    same(asked("GET", info["signed_uri"], headers=headers)[0], 403)
    # What was given before is void; the client asks for new ones.
    same(mlflow.artifacts.load_text(f"runs:/{run}/digits.txt"), "0123456789")


@flow
def logged_model_and_version(judge):
    mlflow.set_experiment(experiment_id=judge.experiment)
    registered = f"model {judge.suffix}"
    with mlflow.start_run() as active:
        mlflow.log_metric("before", 1.0)
        info = mlflow.pyfunc.log_model(name="doubler", python_model=Doubler(), params={"layers": "2"}, registered_model_name=registered)
        mlflow.log_metric("acc", 0.75, step=1, model_id=info.model_id)
    model = mlflow.get_logged_model(info.model_id)
    same(model.artifact_location, f"dbfs:/databricks/mlflow-tracking/{judge.experiment}/logged_models/{info.model_id}/artifacts")
    same((str(model.status), model.params["layers"], model.experiment_id), ("READY", "2", judge.experiment))
    frame = pandas.DataFrame({"x": [1.0, 2.5]})
    same(list(mlflow.pyfunc.load_model(info.model_uri).predict(frame)), [3.0, 6.0])
    same([each.model_id for each in judge.client.get_run(active.info.run_id).outputs.model_outputs], [info.model_id])
    found = mlflow.search_logged_models([judge.experiment], output_format="list")
    same([each.model_id for each in found], [info.model_id])
    judge.client.set_logged_model_tags(info.model_id, {"reviewed": "yes"})
    same(mlflow.get_logged_model(info.model_id).tags["reviewed"], "yes")
    version = judge.client.get_model_version(registered, "1")
    same((version.status, version.source), ("READY", model.artifact_location))
    judge.client.transition_model_version_stage(registered, "1", "Production")
    same(judge.client.get_latest_versions(registered, ["Production"])[0].version, "1")
    judge.client.set_model_version_tag(registered, "1", "k", "v")
    same(list(mlflow.pyfunc.load_model(f"models:/{registered}/Production").predict(frame)), [3.0, 6.0])
    fails(lambda: judge.client.set_registered_model_alias(registered, "champion", "1"))
    status, answer = api("POST", "mlflow/registered-models/alias", {"name": registered, "alias": "a", "version": "1"})
    same((status, answer["error_code"]), (404, "ENDPOINT_NOT_FOUND"))
    judge.client.rename_registered_model(registered, registered + " new")
    judge.client.delete_model_version(registered + " new", "1")
    judge.client.delete_registered_model(registered + " new")


@flow
def versions_are_pending_at_first(judge):
    name = f"pending {judge.suffix}"
    judge.client.create_registered_model(name)
    control("POST", "faults", {"pending_seconds": 1.5})
    try:
        status, made = api("POST", "mlflow/model-versions/create", {"name": name, "source": f"dbfs:/databricks/mlflow-tracking/{judge.experiment}/x"})
        same((status, made["model_version"]["status"]), (200, "PENDING_REGISTRATION"))
        started = time.monotonic()
        # It answers with what it was told at first, but waits.
        version = judge.client.create_model_version(name, made["model_version"]["source"]).version
        same(judge.client.get_model_version(name, version).status, "READY")
        assert time.monotonic() - started > 1, "the client did not have to wait"
    finally:
        control("DELETE", "faults")
