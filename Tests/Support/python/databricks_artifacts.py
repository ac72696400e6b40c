"""Artifacts of runs and logged models: lists, and credentials for signed addresses. Bytes go to the storage account."""

import base64
import re

import databricks_errors as errors
from azureml_errors import as_json
from databricks_tracking import arguments

MOST_PATHS = 2000
LOGGED_MODEL = re.compile(r"logged-models/(m-[^/]+)/artifacts/(directories|credentials-for-download|credentials-for-upload)")
SOURCE = re.compile(r"dbfs:/databricks/mlflow-tracking/(\d+)/(logged_models/m-[^/]+|[0-9a-f]{32})/artifacts(?:/(.*))?")


class Artifacts:
    def __init__(self, emulator):
        self.behind, self.ids, self.options = emulator.behind, emulator.ids, emulator.options
        self.storage, self.tracking, self.workspace_id = emulator.storage, emulator.tracking, emulator.ids.workspace

    def serves(self, route):
        return route.startswith("artifacts/") or LOGGED_MODEL.fullmatch(route) is not None

    def answer(self, request, route):
        given = arguments(request)
        matched = LOGGED_MODEL.fullmatch(route)
        if matched:
            root = self.model_root(matched[1])
            match request.method, matched[2]:
                case "GET", "directories":
                    return as_json(self.listed(root, given.get("artifact_directory_path"), given, "dbfs:"))
                case "POST", "credentials-for-download" | "credentials-for-upload":
                    infos, after = self.credentials(root, given, "paths", "r" if "download" in matched[2] else "rcw")
                    return as_json({"credentials": [{"credential_info": info} for info in infos], **after})
            raise errors.no_such_endpoint(request)
        run = given.get("run_id") or given.get("run_uuid")
        match request.method, route:
            case "GET", "artifacts/list":
                return as_json(self.listed(self.run_root(run), given.get("path"), given, "dbfs:"))
            case "POST", "artifacts/credentials-for-read" | "artifacts/credentials-for-write":
                infos, after = self.credentials(self.run_root(run), given, "path", "r" if "read" in route else "rcw")
                return as_json({"credential_infos": [{"run_id": run, **info} for info in infos], **after})
        raise errors.no_such_endpoint(request)

    # Where things lie in the storage account

    def run_root(self, run):
        if not run:
            raise errors.invalid("Missing value for required parameter 'run_id'.")
        number = self.behind.experiment_of_run(run)
        if number is None:
            raise errors.not_found(f"Run '{run}' not found.")
        return f"{self.root(number)}/{run}/artifacts"

    def model_root(self, model):
        number = self.behind.experiment_of_model(model)
        if number is None:
            raise errors.not_found(f"Logged model with ID '{model}' not found.")
        return f"{self.root(number)}/logged_models/{model}/artifacts"

    def root(self, number):
        self.tracking.check_access(number)
        experiment = self.ids.experiment_out(number)
        if experiment in self.ids.locations:
            # How a workspace words this is not known; that it signs nothing there is.
            raise errors.invalid(f"Artifacts of experiment {experiment} lie at {self.ids.root(experiment)}, outside of this workspace's storage.")
        return f"{self.workspace_id}/mlflow-tracking/{experiment}"

    def of_source(self, source):
        """Where the files of a model version's source lie; None when that is no place of this workspace."""
        found = SOURCE.fullmatch(source or "")
        if not found:
            return None
        root = f"{self.workspace_id}/mlflow-tracking/{found[1]}/{found[2]}/artifacts"
        return root + (f"/{found[3].strip('/')}" if found[3] else "")

    # Answers

    def listed(self, root, path, given, scheme):
        path = checked(path) if path and path.strip("/") else ""
        folder = f"{root}/{path}" if path else root
        # A path that is a file lists that file.
        record = self.storage.record(folder) if path else None
        if record:
            files = [{"path": path, "is_dir": False, "file_size": record[0]}]
        else:
            files = [
                {"path": f"{path}/{name}" if path else name, "is_dir": is_dir, **({} if is_dir else {"file_size": size})}
                for name, is_dir, size in self.storage.children(folder)
            ]
        page, after = paged(files, given.get("page_token"), self.options.list_page)
        return {"root_uri": scheme + "/databricks/" + root.partition("/")[2], **({"files": page} if page else {}), **after}

    def credentials(self, root, given, name, permissions):
        paths = given.get(name)
        if not isinstance(paths, list) or not paths:
            raise errors.invalid(f"Missing value for required parameter '{name}'.")
        if len(paths) > MOST_PATHS:
            raise errors.invalid(f"At most {MOST_PATHS} paths can be asked for at once, but {len(paths)} were given.")
        page, after = paged([checked(path) for path in paths], given.get("page_token"), self.options.credentials_page)
        return [{"path": path, **self.storage.credential(f"{root}/{path}", permissions)} for path in page], after


def checked(path):
    path = path if isinstance(path, str) else ""
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in path.rstrip("/").split("/")) or "\0" in path:
        raise errors.invalid(f"Invalid path: {path!r}")
    return path.rstrip("/")


def paged(entries, token, size):
    """(one page, what tells of the next)."""
    try:
        start = int(base64.urlsafe_b64decode(token or "MA==").decode())
    except ValueError:
        raise errors.invalid("Invalid page token.")
    after = {"next_page_token": base64.urlsafe_b64encode(str(start + size).encode()).decode()} if len(entries) > start + size else {}
    return entries[start : start + size], after
