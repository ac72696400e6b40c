"""The model registry of the Azure ML emulator: what the MLflow server behind does, less what Azure ML does not."""

import re

import azureml_errors as errors
import azureml_limits as limits
from azureml_errors import as_json
from azureml_tracking import as_list, paged, serve

FORM = "azureml://artifacts/<origin>/<container>/<artifact_prefix>"
ARTIFACTS = re.compile(r"azureml://artifacts/([^/]+)/([^/]+)/(.+)")
# The server behind would refuse the true sources, so they are kept here.
HARMLESS_SOURCE = "s3://azureml-emulator/model"
MODEL = ("name", "creation_timestamp", "last_updated_timestamp", "user_id", "description")
VERSION = (
    "name", "version", "creation_timestamp", "last_updated_timestamp", "user_id", "current_stage", "description", "status",
    "status_message", "run_link",
)  # fmt: skip


class Registry:
    def __init__(self, emulator):
        self.store, self.behind, self.ids = emulator.store, emulator.behind, emulator.ids
        self.artifacts, self.aliases = emulator.artifacts, emulator.options.aliases
        self.routes = {
            ("POST", "registered-models/create"): self.create_model,
            ("GET", "registered-models/get"): self.get_model,
            ("GET", "registered-models/search"): self.search_models,
            ("PATCH", "registered-models/update"): self.update_model,
            ("POST", "registered-models/set-tag"): self.set_model_tag,
            ("DELETE", "registered-models/delete-tag"): self.delete_model_tag,
            ("POST", "registered-models/get-latest-versions"): self.latest_versions,
            ("GET", "registered-models/get-latest-versions"): self.latest_versions,
            ("POST", "model-versions/create"): self.create_version,
            ("GET", "model-versions/get"): self.get_version,
            ("GET", "model-versions/search"): self.search_versions,
            ("GET", "model-versions/get-download-uri"): self.download_uri,
            ("PATCH", "model-versions/update"): self.update_version,
            ("DELETE", "model-versions/delete"): self.delete_version,
            ("POST", "model-versions/transition-stage"): self.transition,
            ("POST", "model-versions/set-tag"): self.set_version_tag,
            ("DELETE", "model-versions/delete-tag"): self.delete_version_tag,
        }
        if self.aliases:
            self.routes |= {
                ("POST", "registered-models/alias"): self.set_alias,
                ("DELETE", "registered-models/alias"): self.delete_alias,
                ("GET", "registered-models/alias"): self.get_alias,
            }

    def answer(self, request, name):
        return as_json(serve(self.routes, request, name) or {})

    # Models

    def create_model(self, given):
        name, tags = given.get("name"), limits.pairs(given.get("tags"))
        if not isinstance(name, str) or not limits.MODEL_NAME.fullmatch(name):
            raise errors.invalid(
                f"Model name '{name}' is invalid. It must match the regular expression ^{limits.MODEL_NAME.pattern}$."
            )
        limits.check_tags(tags, most=None, key_length=limits.EXPERIMENT_TAG_KEY)
        asked = {"name": name, "tags": as_list(tags), "description": self.description(given)}
        return self.shape_answer(self.behind.call("POST", "registered-models/create", asked))

    def get_model(self, given):
        return self.shape_answer(self.behind.call("GET", "registered-models/get", {"name": given.get("name")}))

    def search_models(self, given):
        limits.check_model_search(given.get("filter"))
        asked = {key: given.get(key) for key in ("filter", "max_results", "order_by", "page_token")}
        found = self.behind.call("GET", "registered-models/search", asked)
        return paged({"registered_models": [self.shape_model(model) for model in found.get("registered_models", [])]}, found)

    def update_model(self, given):
        asked = {"name": given.get("name"), "description": self.description(given)}
        return self.shape_answer(self.behind.call("PATCH", "registered-models/update", asked))

    def set_model_tag(self, given):
        limits.check_tags(limits.pairs([given]), most=None, key_length=limits.EXPERIMENT_TAG_KEY)
        self.behind.call("POST", "registered-models/set-tag", pick(given, "name", "key", "value"))

    def delete_model_tag(self, given):
        self.behind.call("DELETE", "registered-models/delete-tag", pick(given, "name", "key"))

    def latest_versions(self, given):
        stages = given.get("stages")
        asked = pick(given, "name") | ({"stages": stages if isinstance(stages, list) else [stages]} if stages else {})
        found = self.behind.call("POST", "registered-models/get-latest-versions", asked)
        return {"model_versions": [self.shape_version(version) for version in found.get("model_versions", [])]}

    # Versions

    def create_version(self, given):
        name, source, run_id = given.get("name"), given.get("source"), given.get("run_id") or None
        tags = limits.pairs(given.get("tags"))
        limits.check_tags(tags, most=None, key_length=limits.EXPERIMENT_TAG_KEY)
        self.check_source(source, run_id)
        asked = {"name": name, "source": HARMLESS_SOURCE, "tags": as_list(tags), "description": self.description(given)}
        asked |= pick(given, "run_link")
        if run_id:
            asked["run_id"] = self.ids.run_in(run_id)
        done = self.behind.call("POST", "model-versions/create", asked)
        version = done["model_version"]
        self.store.change("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", name, str(version["version"]), source)
        return self.shape_answer(done)

    def check_source(self, source, run_id):
        """A directory with an MLmodel file among this workspace's artifacts."""
        source = source if isinstance(source, str) else ""
        of_run, plain = self.ids.run_artifacts.fullmatch(source), ARTIFACTS.fullmatch(source)
        if of_run and of_run[2] == run_id:
            origin, container, prefix = "ExperimentRun", f"dcid.{run_id}", of_run[3] or ""
        elif plain and plain[1] in ("ExperimentRun", "LocalUpload", "WebUpload"):
            origin, container, prefix = plain.groups()
        else:
            raise errors.invalid(f"Model source from file must be in the following format: {FORM}. Provided model source: {source}")
        path = "/".join(part for part in (prefix.strip("/"), "MLmodel") if part)
        if not self.artifacts.uploaded(origin, container, path):
            raise errors.invalid(f"The model directory must hold an MLmodel file. Provided model source: {source}")

    def get_version(self, given):
        return self.shape_answer(self.behind.call("GET", "model-versions/get", pick(given, "name", "version")))

    def search_versions(self, given):
        limits.check_version_search(given.get("filter"))
        asked = {key: given.get(key) for key in ("filter", "max_results", "order_by", "page_token")}
        asked["filter"] = limits.run_ids_inside(asked["filter"], self.ids.run_in)
        found = self.behind.call("GET", "model-versions/search", asked)
        return paged({"model_versions": [self.shape_version(version) for version in found.get("model_versions", [])]}, found)

    def download_uri(self, given):
        return {"artifact_uri": self.get_version(given)["model_version"]["source"]}

    def update_version(self, given):
        asked = pick(given, "name", "version") | {"description": self.description(given)}
        return self.shape_answer(self.behind.call("PATCH", "model-versions/update", asked))

    def delete_version(self, given):
        self.behind.call("DELETE", "model-versions/delete", pick(given, "name", "version"))
        self.store.change("DELETE FROM sources WHERE model = ? AND version = ?", given.get("name"), str(given.get("version")))

    def transition(self, given):
        asked = pick(given, "name", "version", "stage", "archive_existing_versions")
        return self.shape_answer(self.behind.call("POST", "model-versions/transition-stage", asked))

    def set_version_tag(self, given):
        limits.check_tags(limits.pairs([given]), most=None, key_length=limits.EXPERIMENT_TAG_KEY)
        self.behind.call("POST", "model-versions/set-tag", pick(given, "name", "version", "key", "value"))

    def delete_version_tag(self, given):
        self.behind.call("DELETE", "model-versions/delete-tag", pick(given, "name", "version", "key"))

    # Aliases, where they are switched on

    def set_alias(self, given):
        self.behind.call("POST", "registered-models/alias", pick(given, "name", "alias", "version"))

    def delete_alias(self, given):
        self.behind.call("DELETE", "registered-models/alias", pick(given, "name", "alias"))

    def get_alias(self, given):
        return self.shape_answer(self.behind.call("GET", "registered-models/alias", pick(given, "name", "alias")))

    # Shapes

    @staticmethod
    def description(given):
        text = given.get("description") or ""
        if not isinstance(text, str):
            raise limits.invalid_request()
        if len(text) > limits.DESCRIPTION:
            raise errors.over_limit("Description", limits.DESCRIPTION, len(text))
        return text

    def shape_answer(self, document):
        if "registered_model" in document:
            return {"registered_model": self.shape_model(document["registered_model"])}
        return {"model_version": self.shape_version(document["model_version"])}

    def shape_model(self, model):
        versions = [self.shape_version(version) for version in model.get("latest_versions", [])]
        shaped = pick(model, *MODEL) | {"latest_versions": versions, "tags": model.get("tags", [])}
        return shaped | (pick(model, "aliases") if self.aliases else {})

    def shape_version(self, version):
        shaped = pick(version, *VERSION) | {"tags": version.get("tags", [])}
        kept = self.store.row("SELECT source FROM sources WHERE model = ? AND version = ?", version["name"], str(version["version"]))
        shaped["source"] = kept[0] if kept else version.get("source", "")
        shaped["run_id"] = self.ids.run_out(version["run_id"]) if version.get("run_id") else ""
        return shaped | (pick(version, "aliases") if self.aliases else {})


def pick(given, *names):
    return {name: given[name] for name in names if given.get(name) is not None}
