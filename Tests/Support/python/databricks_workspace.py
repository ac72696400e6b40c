"""The tree of a workspace: folders, which experiments have to lie in. Experiments themselves are known to the server behind."""

import threading

import databricks_errors as errors
from azureml_errors import as_json


class Workspace:
    def __init__(self, emulator):
        self.store, self.behind, self.ids = emulator.store, emulator.behind, emulator.ids
        self.lock = threading.Lock()
        for path in ("/Users", f"/Users/{emulator.options.user}", "/Shared", "/Repos"):
            self.make(path)

    def make(self, path):
        with self.lock:
            number = 10**15 + 7 * (self.store.row("SELECT count(*) FROM folders")[0] + 1)
            self.store.change("INSERT OR IGNORE INTO folders VALUES (?, ?)", path, number)

    def folder(self, path):
        return path == "/" or self.store.row("SELECT 1 FROM folders WHERE path = ?", path) is not None

    def experiment(self, path):
        """The id behind of the active experiment of this name."""
        found = self.behind.experiment_named(path)
        return found[0] if found and found[1] == "active" else None

    def experiment_path(self, name):
        """The path that an experiment of this name gets. Raises what a workspace refuses."""
        if not isinstance(name, str) or not name:
            raise errors.invalid("Missing value for required parameter 'name'.")
        path = without_prefix(name)
        if not path.startswith("/"):
            raise errors.invalid(
                f"Got an invalid experiment name '{name}'. An experiment name must be an absolute path within the Databricks"
                " workspace, e.g. '/Users/<some-username>/my-experiment'."
            )
        if path.endswith("/") or "//" in path or any(part in (".", "..") for part in path.split("/")):
            raise errors.invalid(f"Invalid path '{name}'.")
        parent = path.rpartition("/")[0] or "/"
        if not self.folder(parent):
            raise errors.not_found(f"Parent directory {parent} does not exist.")
        if self.folder(path):
            raise errors.exists(f"Node named '{path.rpartition('/')[2]}' already exists.")
        return path

    def answer(self, request, action):
        given = {key: values[0] for key, values in request.query.items()} | ((request.json() or {}) if request.method == "POST" else {})
        path = without_prefix(str(given.get("path", "")))
        if not path.startswith("/"):
            raise errors.invalid(f"Path ({path}) doesn't start with '/'")
        path = path.rstrip("/") or "/"
        match request.method, action:
            case "POST", "mkdirs":
                return self.mkdirs(path)
            case "GET", "get-status":
                return as_json(self.status(path))
            case "GET", "list":
                return as_json(self.listed(path))
            case "POST", "delete":
                return self.delete(path, given.get("recursive") is True)
        raise errors.no_such_endpoint(request)

    def mkdirs(self, path):
        parts = path.strip("/").split("/")
        for count in range(1, len(parts) + 1):
            each = "/" + "/".join(parts[:count])
            if self.experiment(each):
                raise errors.exists(f"A node that is not a directory is in the way: {each}")
            if not self.folder(each):
                self.make(each)
        return as_json({})

    def status(self, path):
        row = self.store.row("SELECT id FROM folders WHERE path = ?", path)
        if row or path == "/":
            return {"object_type": "DIRECTORY", "path": path, "object_id": row[0] if row else 0}
        number = self.experiment(path)
        if number is None:
            raise errors.not_found(f"Path ({path}) doesn't exist.")
        return {"object_type": "MLFLOW_EXPERIMENT", "path": path, "object_id": int(self.ids.experiment_out(number))}

    def listed(self, path):
        if not self.folder(path):
            return {"objects": [self.status(path)]}
        below = path.rstrip("/") + "/"
        children = [each for (each,) in self.store.rows("SELECT path FROM folders ORDER BY path")]
        children += [name for _, name in self.behind.experiments_under(path)]
        direct = [each for each in children if each.startswith(below) and each != below and "/" not in each[len(below) :]]
        return {"objects": [self.status(each) for each in direct]} if direct else {}

    def delete(self, path, recursive):
        """What is in a folder goes with it; experiments can be restored."""
        number = self.experiment(path)
        if number is not None:
            self.behind.call("POST", "experiments/delete", {"experiment_id": number})
            return as_json({})
        self.status(path)
        inside = self.behind.experiments_under(path)
        folders = [each for (each,) in self.store.rows("SELECT path FROM folders") if each.startswith(path + "/")]
        if (inside or folders) and not recursive:
            raise errors.failure(400, "DIRECTORY_NOT_EMPTY", f"Folder ({path}) is not empty")
        for number, _ in inside:
            self.behind.call("POST", "experiments/delete", {"experiment_id": number})
        for each in [*folders, path]:
            self.store.change("DELETE FROM folders WHERE path = ?", each)
        return as_json({})

    def move(self, source, target, quiet):
        """What people do in the workspace's browser: a folder, or an experiment, gets another place and all in it another name.

        Whether that touches an experiment's last_update_time is not documented: quietly it does not.
        """
        source, target = (without_prefix(path).rstrip("/") for path in (source, target))
        number = self.experiment(source)
        moved = [(number, source)] if number else self.behind.experiments_under(source)
        folders = [each for (each,) in self.store.rows("SELECT path FROM folders") if (each + "/").startswith(source + "/")]
        parent = target.rpartition("/")[0] or "/"
        if not source or not target.startswith("/") or not number and not folders:
            raise errors.not_found(f"Path ({source}) doesn't exist.")
        if not self.folder(parent) or self.folder(target) or self.experiment(target) or (target + "/").startswith(source + "/"):
            raise errors.invalid(f"'{target}' is no place for it.")
        for each in folders:
            self.store.change("UPDATE folders SET path = ? WHERE path = ?", target + each[len(source) :], each)
        for number, name in moved:
            new = target + name[len(source) :]
            self.behind.give_name_away(new)
            if quiet:
                self.behind.give_name_back(number, new)
            else:
                self.behind.call("POST", "experiments/update", {"experiment_id": number, "new_name": new})
        return as_json({"moved": [self.ids.experiment_out(number) for number, _ in moved]})


def without_prefix(path):
    return path.removeprefix("/Workspace") if path.startswith("/Workspace/") else path
