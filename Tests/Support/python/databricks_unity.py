"""The registry of Unity Catalog: names of three parts, aliases, and versions whose files the client itself puts in place.

A version is PENDING_REGISTRATION from its creation to `finalize`. Its files are reached with a directory's signature on ADLS,
or, with --unity-storage presigned, by addresses that the Files API gives under /Models/<catalog>/<schema>/<model>/<version>.
"""

import json
import re
import threading
import time
import uuid

import databricks_errors as errors
from azureml_errors import as_json
from databricks_artifacts import checked, paged
from databricks_tracking import arguments

NAME = re.compile(r"[^./\s]+\.[^./\s]+\.[^./]+")
ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")
BAD_TAG_KEY = re.compile(r"[.,\-=/:]|^\s|\s$")
FILTER = re.compile(r"\s*name\s*=\s*(?:'([^']*)'|\"([^\"]*)\")\s*")
SEARCH_PAGE = 100
ENABLED = "unity-catalog/registered-models:is-databricks-sdk-models-artifact-repository-enabled"
# What a search leaves out.
THIN = ("aliases", "tags")


class Unity:
    def __init__(self, emulator):
        self.store, self.storage, self.ids, self.options = emulator.store, emulator.storage, emulator.ids, emulator.options
        self.behind, self.emulator = emulator.behind, emulator
        self.lock = threading.RLock()
        models, versions = "unity-catalog/registered-models/", "unity-catalog/model-versions/"
        self.routes = {
            ("POST", models + "create"): self.create_model,
            ("PATCH", models + "update"): self.update_model,
            ("DELETE", models + "delete"): self.delete_model,
            ("GET", models + "get"): lambda given: {"registered_model": self.shape_model(self.model(given.get("name")))},
            ("GET", models + "search"): self.search_models,
            ("POST", models + "alias"): self.set_alias,
            ("DELETE", models + "alias"): self.delete_alias,
            ("GET", models + "alias"): self.by_alias,
            ("POST", models + "set-tag"): lambda given: self.tag(self.model(given.get("name")), given),
            ("DELETE", models + "delete-tag"): lambda given: self.untag(self.model(given.get("name")), given),
            ("POST", versions + "create"): self.create_version,
            ("PATCH", versions + "update"): self.update_version,
            ("DELETE", versions + "delete"): self.delete_version,
            ("GET", versions + "get"): lambda given: {"model_version": self.shape_version(self.version(given))},
            ("GET", versions + "search"): self.search_versions,
            ("POST", versions + "finalize"): self.finalize,
            ("POST", versions + "generate-temporary-credentials"): self.credentials,
            ("GET", versions + "get-download-uri"): lambda given: {"artifact_uri": self.location(self.version(given))},
            ("POST", versions + "set-tag"): lambda given: self.tag(self.version(given), given),
            ("DELETE", versions + "delete-tag"): lambda given: self.untag(self.version(given), given),
            ("POST", versions + "emit-lineage"): lambda given: self.version(given) and None,
            ("GET", ENABLED): lambda given: {"is_databricks_sdk_models_artifact_repository_enabled": False},
        }

    def serves(self, route):
        return route.startswith("unity-catalog/")

    def answer(self, request, route):
        serve = self.routes.get((request.method, route))
        if not serve:
            raise errors.no_such_endpoint(request)
        with self.lock:
            return as_json(serve(arguments(request)) or {})

    # What is kept: documents; a model's number is 0.

    def load(self, name, number):
        row = self.store.row("SELECT document FROM catalog WHERE kind = 'unity' AND name = ? AND version = ?", name, number)
        return json.loads(row[0]) if row else None

    def save(self, document, touched=True):
        if touched:
            document["last_updated_timestamp"] = int(time.time() * 1000)
        number = int(document.get("version", 0))
        self.store.change("INSERT OR REPLACE INTO catalog VALUES ('unity', ?, ?, ?)", document["name"], number, json.dumps(document))

    def model(self, name):
        document = self.load(name, 0)
        if not document:
            raise errors.not_found(f"Routine or Model '{name}' does not exist.")
        return document

    def version(self, given):
        self.model(given.get("name"))
        text = str(given.get("version", ""))
        document = self.load(given["name"], int(text)) if text.isdigit() and int(text) else None
        if not document:
            raise errors.not_found(f"Model version '{text}' of '{given['name']}' does not exist.")
        return document

    def versions(self, name):
        found = self.store.rows("SELECT document FROM catalog WHERE kind = 'unity' AND name = ? AND version > 0 ORDER BY version DESC", name)
        return [json.loads(text) for (text,) in found]

    # Models

    def create_model(self, given):
        name = given.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise errors.invalid(f"'{name}' is not a valid name: registered models are named catalog.schema.model.")
        if self.load(name, 0):
            raise errors.exists(f"Routine or Model '{name}' already exists.")
        self.save(self.made(name, given) | {"next": 1, "aliases": {}, "place": uuid.uuid4().hex})
        return {"registered_model": self.shape_model(self.model(name))}

    def made(self, name, given):
        tags = {tag["key"]: tag.get("value", "") for tag in given.get("tags") or []}
        for key in tags:
            self.check_key(key)
        moment = int(time.time() * 1000)
        return {
            "name": name, "creation_timestamp": moment, "description": given.get("description", ""), "tags": tags,
            "user_id": self.options.user,
        }  # fmt: skip

    def update_model(self, given):
        model, name = self.model(given.get("name")), given.get("new_name")
        if name and name != model["name"]:
            if not NAME.fullmatch(name) or self.load(name, 0):
                raise errors.invalid(f"'{name}' cannot be the new name.")
            self.store.change("UPDATE catalog SET name = ? WHERE kind = 'unity' AND name = ?", name, model["name"])
            for version in self.versions(name):
                self.save(version | {"name": name}, touched=False)
            model["name"] = name
        if "description" in given:
            model["description"] = given["description"]
        self.save(model)
        return {"registered_model": self.shape_model(model)}

    def delete_model(self, given):
        model = self.model(given.get("name"))
        if self.versions(model["name"]):
            raise errors.failure(400, "INVALID_STATE", f"Model '{model['name']}' is not empty: delete its versions first.")
        self.store.change("DELETE FROM catalog WHERE kind = 'unity' AND name = ?", model["name"])

    def search_models(self, given):
        # Nothing else is known to this search.
        if set(given) - {"max_results", "page_token"}:
            raise errors.invalid("Only max_results and page_token are supported.")
        found = self.store.rows("SELECT document FROM catalog WHERE kind = 'unity' AND version = 0 ORDER BY name")
        page, after = paged([json.loads(text) for (text,) in found], given.get("page_token"), page_size(given))
        return {"registered_models": [thin(self.shape_model(each)) for each in page], **after}

    # Aliases and tags

    def set_alias(self, given):
        alias, version = given.get("alias", ""), self.version(given)
        if not ALIAS.fullmatch(alias) or re.fullmatch(r"v\d+", alias, re.I) or alias.lower() == "latest":
            raise errors.invalid(f"'{alias}' is not a valid alias.")
        model = self.model(given["name"])
        model["aliases"][alias] = version["version"]
        self.save(model)

    def delete_alias(self, given):
        model = self.model(given.get("name"))
        if model["aliases"].pop(given.get("alias"), None) is None:
            raise errors.not_found(f"Alias '{given.get('alias')}' does not exist.")
        self.save(model)

    def by_alias(self, given):
        number = self.model(given.get("name"))["aliases"].get(given.get("alias"))
        if number is None:
            raise errors.not_found(f"Alias '{given.get('alias')}' does not exist.")
        return {"model_version": self.shape_version(self.load(given["name"], int(number)))}

    @staticmethod
    def check_key(key):
        if not key or BAD_TAG_KEY.search(key):
            raise errors.invalid(f"Invalid tag key '{key}': it may not hold . , - = / : nor begin or end with a space.")

    def tag(self, document, given):
        self.check_key(given.get("key") or "")
        document["tags"][given["key"]] = given.get("value", "")
        self.save(document)

    def untag(self, document, given):
        document["tags"].pop(given.get("key"), None)
        self.save(document)

    # Versions

    def create_version(self, given):
        model = self.model(given.get("name"))
        kept = {key: given[key] for key in ("source", "run_id", "run_tracking_server_id", "model_id") if given.get(key)}
        number = self.behind.experiment_of_run(given["run_id"]) if given.get("run_id") else None
        if number:
            kept["run_experiment_id"] = self.ids.experiment_out(number)
        version = self.made(model["name"], given) | kept
        version |= {"version": str(model["next"]), "status": "PENDING_REGISTRATION", "place": f"{model['place']}/versions/{uuid.uuid4().hex}"}
        model["next"] += 1
        self.save(model)
        self.save(version)
        return {"model_version": self.shape_version(version)}

    def finalize(self, given):
        version = self.version(given)
        if version["status"] == "PENDING_REGISTRATION":
            version["status"] = "READY"
            self.save(version)
        return {"model_version": self.shape_version(version)}

    def update_version(self, given):
        version = self.version(given) | {"description": given.get("description", "")}
        self.save(version)
        return {"model_version": self.shape_version(version)}

    def delete_version(self, given):
        version = self.version(given)
        self.store.change("DELETE FROM catalog WHERE kind = 'unity' AND name = ? AND version = ?", version["name"], int(version["version"]))
        model = self.model(version["name"])
        model["aliases"] = {alias: number for alias, number in model["aliases"].items() if number != version["version"]}
        self.save(model)

    def search_versions(self, given):
        found = FILTER.fullmatch(given.get("filter") or "")
        if not found:
            raise errors.invalid("Unsupported filter: model versions are searched for by name = 'catalog.schema.model' only.")
        name = found[1] if found[1] is not None else found[2]
        page, after = paged(self.versions(name), given.get("page_token"), page_size(given))
        return {"model_versions": [thin(self.shape_version(each)) for each in page], **after}

    # Files

    def folder(self, version):
        return f"{self.ids.workspace}/unity/{version['place']}"

    def location(self, version):
        return f"abfss://{self.storage.container}@{self.emulator.account}.dfs.core.windows.net/{self.folder(version)}"

    def credentials(self, given):
        version, operation = self.version(given), given.get("operation")
        writes = operation == "MODEL_VERSION_OPERATION_READ_WRITE"
        if not writes and operation != "MODEL_VERSION_OPERATION_READ":
            raise errors.invalid(f"Unknown operation '{operation}'.")
        if writes and version["status"] != "PENDING_REGISTRATION":
            raise errors.denied("Credentials for writing are given while a version is pending only.")
        made = {"expiration_time": int((time.time() + self.options.sas_seconds) * 1000)}
        if self.options.unity_storage == "presigned":
            return {"credentials": made | {"storage_mode": "DEFAULT_STORAGE"}}
        token = self.storage.token(self.folder(version), "racwdlm" if writes else "rl", directory=True)
        return {"credentials": made | {"azure_user_delegation_sas": {"sas_token": token}, "storage_mode": "CUSTOMER_HOSTED"}}

    def files(self, request):
        """The Files API, as far as it leads to versions of models; None for all else."""
        action = request.path.removeprefix("/api/2.0/fs/")
        if action in ("create-download-url", "create-upload-url") and request.method == "POST":
            path = str((request.json() or {}).get("path", ""))
        elif action.startswith("directories/") and request.method in ("GET", "HEAD"):
            path = "/" + action.partition("/")[2].strip("/")
        else:
            return None
        if not path.startswith("/Models/") or len(parts := path.split("/")) < 6:
            return None
        version = self.version({"name": ".".join(parts[2:5]), "version": parts[5]})
        rest = "/".join(parts[6:]).strip("/")
        if action.startswith("directories/"):
            return self.directory(request, path.rstrip("/"), f"{self.folder(version)}/{rest}".rstrip("/"))
        writes = action == "create-upload-url"
        if writes and version["status"] != "PENDING_REGISTRATION":
            raise errors.denied("Files are written while a version is pending only.")
        made = self.storage.credential(f"{self.folder(version)}/{checked(rest)}", "rcw" if writes else "r")
        more = [{"name": "x-ms-blob-type", "value": "BlockBlob"}] if writes else []
        return as_json({"url": made["signed_uri"], "headers": made["headers"] + more})

    def directory(self, request, path, folder):
        entries = self.storage.children(folder)
        if not entries:
            raise errors.failure(404, "NOT_FOUND", f"No such directory: {path}")
        made = [
            {"path": f"{path}/{name}", "name": name, "is_directory": is_dir, **({} if is_dir else {"file_size": size})}
            for name, is_dir, size in entries
        ]
        page, after = paged(made, request.argument("page_token"), self.options.list_page)
        return as_json({"contents": page, **after})

    # Shapes

    def shape_model(self, model):
        kept = {key: value for key, value in model.items() if key not in ("next", "place")}
        aliases = [{"alias": alias, "version": number} for alias, number in model["aliases"].items()]
        return kept | {"aliases": aliases, "tags": as_list(model["tags"])}

    def shape_version(self, version):
        kept = {key: value for key, value in version.items() if key != "place"}
        aliases = [{"alias": alias, "version": n} for alias, n in self.model(version["name"])["aliases"].items() if n == version["version"]]
        return kept | {"aliases": aliases, "tags": as_list(version["tags"]), "storage_location": self.location(version)}


def as_list(tags):
    return [{"key": key, "value": value} for key, value in tags.items()]


def thin(document):
    return {key: value for key, value in document.items() if key not in THIN}


def page_size(given):
    try:
        size = int(given.get("max_results", SEARCH_PAGE))
    except ValueError:
        size = 0
    if size < 1:
        raise errors.invalid("max_results must be positive.")
    return min(size, SEARCH_PAGE)
