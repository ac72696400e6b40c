"""The registry of a workspace: stages and no aliases. A version's files are its own, copied when it is registered."""

import time
import uuid

import databricks_errors as errors
from azureml_errors import as_json
from databricks_artifacts import checked
from databricks_tracking import arguments

PASSED = {
    ("POST", "registered-models/create"), ("GET", "registered-models/get"), ("GET", "registered-models/search"),
    ("PATCH", "registered-models/update"), ("POST", "registered-models/set-tag"), ("DELETE", "registered-models/delete-tag"),
    ("GET", "registered-models/get-latest-versions"), ("POST", "registered-models/get-latest-versions"),
    ("GET", "model-versions/get"), ("GET", "model-versions/search"), ("PATCH", "model-versions/update"),
    ("POST", "model-versions/transition-stage"), ("POST", "model-versions/set-tag"), ("DELETE", "model-versions/delete-tag"),
}  # fmt: skip
# By what versions may be ordered, as the REST reference has it: "model name, version, stage". That others are refused is assumed.
ORDERED = {"name", "version", "current_stage"}
GROUPS = ("registered-models/", "model-versions/", "databricks/registered-models/")


class Registry:
    def __init__(self, emulator):
        self.store, self.behind, self.ids, self.faults = emulator.store, emulator.behind, emulator.ids, emulator.faults
        self.options, self.artifacts, self.storage = emulator.options, emulator.artifacts, emulator.storage
        self.routes = {
            ("POST", "registered-models/rename"): self.rename_model,
            ("DELETE", "registered-models/delete"): self.delete_model,
            ("GET", "databricks/registered-models/get"): self.get_model,
            ("POST", "model-versions/create"): self.create_version,
            ("DELETE", "model-versions/delete"): self.delete_version,
            ("GET", "model-versions/get-download-uri"): self.download_uri,
            ("GET", "model-versions/list-artifacts"): self.listed,
            ("GET", "model-versions/get-signed-download-uri"): self.signed,
        }

    def serves(self, route):
        return route.startswith(GROUPS)

    def answer(self, request, route):
        given = arguments(request)
        serve = self.routes.get((request.method, route))
        if serve:
            return as_json(self.shaped(serve(given)) or {})
        if (request.method, route) not in PASSED:
            raise errors.no_such_endpoint(request)
        if route == "model-versions/search":
            errors.check_order(given, ORDERED)
        return as_json(self.shaped(self.behind.call(request.method, route, given)) or {})

    def shaped(self, document):
        """No aliases; and what was just registered is not ready yet."""
        if isinstance(document, list):
            return [self.shaped(entry) for entry in document]
        if not isinstance(document, dict):
            return document
        made = {key: self.shaped(value) for key, value in document.items() if key not in ("aliases", "deployment_job_state")}
        if "creation_timestamp" in made:
            made.setdefault("user_id", self.options.user)
        if "version" in made and "status" in made:
            row = self.store.row("SELECT ready FROM versions WHERE model = ? AND version = ?", made["name"], str(made["version"]))
            if row and row[0] > time.time():
                made["status"] = "PENDING_REGISTRATION"
        return made

    # Models

    def rename_model(self, given):
        done = self.behind.call("POST", "registered-models/rename", given)
        self.store.change("UPDATE versions SET model = ? WHERE model = ?", given.get("new_name"), given.get("name"))
        return done

    def delete_model(self, given):
        self.behind.call("DELETE", "registered-models/delete", given)
        self.store.change("DELETE FROM versions WHERE model = ?", given.get("name"))

    def get_model(self, given):
        model = self.behind.call("GET", "registered-models/get", {"name": given.get("name")})["registered_model"]
        return {"registered_model_databricks": {"id": uuid.uuid5(uuid.NAMESPACE_URL, model["name"]).hex, "permission_level": "CAN_MANAGE", **model}}

    # Versions

    def create_version(self, given):
        done = self.behind.call("POST", "model-versions/create", given)
        version = done["model_version"]
        location = f"{self.ids.workspace}/mlflow-registry/{uuid.uuid4().hex}/models/{version['name']}"
        source = self.artifacts.of_source(given.get("source"))
        if source:
            self.storage.copy_folder(source, location)
        ready = time.time() + self.faults.get("pending_seconds", self.options.pending_seconds)
        self.store.change(
            "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?, ?)",
            version["name"], str(version["version"]), given.get("source"), location, ready,
        )  # fmt: skip
        return done

    def delete_version(self, given):
        self.behind.call("DELETE", "model-versions/delete", given)
        self.store.change("DELETE FROM versions WHERE model = ? AND version = ?", given.get("name"), str(given.get("version")))

    def location(self, given):
        self.behind.call("GET", "model-versions/get", {"name": given.get("name"), "version": given.get("version")})
        row = self.store.row("SELECT location FROM versions WHERE model = ? AND version = ?", given["name"], str(given["version"]))
        if not row:
            raise errors.not_found(f"Model Version (name={given['name']}, version={given['version']}) has no files.")
        return row[0]

    def download_uri(self, given):
        return {"artifact_uri": "dbfs:/databricks/" + self.location(given).partition("/")[2]}

    def listed(self, given):
        return self.artifacts.listed(self.location(given), given.get("path"), given, "dbfs:")

    def signed(self, given):
        name = f"{self.location(given)}/{checked(given.get('path'))}"
        if not self.storage.record(name):
            raise errors.not_found(f"No such file: {given.get('path')}")
        made = self.storage.credential(name, "r")
        return {"signed_uri": made["signed_uri"], "headers": made["headers"]}
