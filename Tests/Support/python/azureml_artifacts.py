"""Artifacts of the Azure ML emulator: run history's view of a run's artifacts, and the artifact service proper."""

import json
import re
import urllib.parse
import uuid

import azureml_errors as errors
from azureml_errors import Answer, as_json

MOST_PATHS = 100
MOST_PATH_LENGTH = 5000
PAGE = 500
RUN_ROUTE = re.compile(r"/(?:experiments|experimentids)/[^/]+/runs/([^/]+)/artifacts(?:/(.*))?")
SERVICE_ROUTE = re.compile(r"/artifacts/([^/]+)/([^/]+)(?:/(.*))?")
ORIGINS = {"ExperimentRun", "LocalUpload", "WebUpload", "Dataset", "ComputeRecord", "Metric", "Unknown"}


class Artifacts:
    def __init__(self, emulator):
        self.emulator, self.store, self.blobs = emulator, emulator.store, emulator.blobs

    # Routes

    def history(self, request, route):
        found = RUN_ROUTE.fullmatch(route.rstrip("/"))
        if not found:
            raise errors.empty()
        run, verb = found[1], found[2] or ""
        routes = {
            ("GET", ""): self.list, ("GET", "path"): self.list_path, ("GET", "metadata"): self.metadata,
            ("GET", "contentinfo"): self.content_info, ("GET", "prefix/contentinfo"): self.prefix_content_info,
            ("POST", "batch/metadata"): self.declare,
        }  # fmt: skip
        serve = routes.get((request.method, verb))
        if not serve:
            raise errors.empty(405 if any(known == verb for _, known in routes) else 404)
        if not self.emulator.tracking.run_exists(run):
            raise self.failure(404, "NotFound", f"Run {run} was not found.")
        return serve(request, "ExperimentRun", f"dcid.{run}")

    def service(self, request, route):
        found = SERVICE_ROUTE.fullmatch(route.rstrip("/"))
        if not found or found[1] not in ORIGINS:
            raise errors.empty()
        origin, container, verb = found[1], found[2], found[3] or ""
        routes = {
            ("GET", ""): self.list, ("GET", "path"): self.list_path, ("GET", "metadata"): self.metadata,
            ("GET", "contentinfo"): self.content_info, ("GET", "prefix/contentinfo"): self.prefix_content_info,
            ("POST", "batch/metadata"): self.declare, ("GET", "write"): self.write_address,
            ("DELETE", "metadata"): self.delete, ("GET", "content"): self.download, ("POST", "content"): self.upload,
        }  # fmt: skip
        serve = routes.get((request.method, verb))
        if not serve:
            raise errors.empty(405 if any(known == verb for _, known in routes) else 404)
        run = container.removeprefix("dcid.")
        if origin == "ExperimentRun" and not (container.startswith("dcid.") and self.emulator.tracking.run_exists(run)):
            raise self.failure(404, "NotFound", f"Container {container} was not found.")
        return serve(request, origin, container)

    # Reading

    def list(self, request, origin, container, shape=None, prefix=None):
        """A page. The token is the last path of the page before."""
        after = request.argument("continuationToken", "")
        statement = "SELECT path, etag, created, tags FROM artifacts WHERE origin = ? AND container = ? AND path > ?"
        values = [origin, container, after]
        if prefix:
            # "0" is the character after "/".
            statement += " AND (path = ? OR path >= ? AND path < ?)"
            values += [prefix, prefix + "/", prefix + "0"]
        rows = self.store.rows(statement + f" ORDER BY path LIMIT {PAGE + 1}", *values)
        token = rows[PAGE - 1][0] if len(rows) > PAGE else None
        shape = shape or self.record
        return as_json({
            "value": [shape(request, origin, container, row) for row in rows[:PAGE]],
            "continuationToken": token, "nextLink": token and self.next_link(request, token),
        })  # fmt: skip

    @staticmethod
    def next_link(request, token):
        query = {name: values for name, values in request.query.items() if name != "continuationToken"}
        query["continuationToken"] = [token]
        return f"https://{request.host_header}{request.target.partition('?')[0]}?{urllib.parse.urlencode(query, doseq=True)}"

    def list_path(self, request, origin, container):
        return self.list(request, origin, container, prefix=request.argument("path", "").strip("/"))

    def prefix_content_info(self, request, origin, container):
        return self.list(request, origin, container, self.read_information, request.argument("path", "").strip("/"))

    def metadata(self, request, origin, container):
        return as_json(self.record(request, origin, container, self.found(request, origin, container)))

    def content_info(self, request, origin, container):
        return as_json(self.read_information(request, origin, container, self.found(request, origin, container)))

    def download(self, request, origin, container):
        path = self.found(request, origin, container)[0]
        # As from the blob, but without a signature.
        return self.blobs.get(request, self.name(origin, container, path))

    def found(self, request, origin, container):
        path = self.path(request.argument("path"))
        row = self.row(origin, container, path)
        if not row:
            raise self.failure(404, "NotFoundError", f"Cannot find Artifact with ID {self.name(origin, container, path)}.")
        return row

    def row(self, origin, container, path):
        return self.store.row(
            "SELECT path, etag, created, tags FROM artifacts WHERE origin = ? AND container = ? AND path = ?", origin, container, path
        )

    def uploaded(self, origin, container, path):
        """Whether it is declared and its content is there."""
        return bool(self.row(origin, container, path) and self.blobs.record(self.name(origin, container, path)))

    # Writing

    def declare(self, request, origin, container):
        document = request.json()
        entries = document.get("paths") if document is not None else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self.failure(400, "ValidationError", "The request is invalid.")
        if len(entries) > MOST_PATHS:
            text = f"Artifact batch size exceeded the limit of {MOST_PATHS}"
            raise self.failure(400, "ValidationError", text, text)
        tagged = {self.path(entry.get("path")): entry.get("tags") or {} for entry in entries}
        made, information, refused = {}, {}, {}
        for path, tags in tagged.items():
            name = self.name(origin, container, path)
            if self.create(origin, container, path, tags):
                row = self.row(origin, container, path)
                made[path] = self.record(request, origin, container, row)
                information[path] = self.write_information(request, origin, container, row)
            else:
                text = f"Resource Conflict: ArtifactId {name} already exists"
                refused[path] = errors.service_document("UserError", text, "ResourceConflict", "artifact")
        return as_json({"artifacts": made, "artifactContentInformation": information, "errors": refused})

    def create(self, origin, container, path, tags=None):
        """Whether it was not there yet."""
        return self.store.change(
            "INSERT OR IGNORE INTO artifacts VALUES (?, ?, ?, ?, ?, ?)",
            origin, container, path, str(uuid.uuid4()), errors.iso(), json.dumps(tags or {}),
        ) > 0  # fmt: skip

    def write_address(self, request, origin, container):
        path = self.path(request.argument("path"))
        self.create(origin, container, path)
        return as_json(self.write_information(request, origin, container, self.row(origin, container, path)))

    def upload(self, request, origin, container):
        path = self.path(request.argument("path"))
        if request.argument("index", "0") != "0" or request.argument("append", "false").lower() == "true":
            raise self.failure(400, "ValidationError", "Appending is not supported.")
        overwrite = request.argument("allowOverwrite", "false").lower() == "true"
        name = self.name(origin, container, path)
        if self.row(origin, container, path) and not overwrite:
            raise self.failure(409, "ResourceConflict", f"Resource Conflict: ArtifactId {name} already exists")
        temporary, size, md5 = self.blobs.received(request, 5000 << 20)
        with self.blobs.finished(temporary), self.blobs.locked(name):
            if not self.create(origin, container, path) and not overwrite:
                raise self.failure(409, "ResourceConflict", f"Resource Conflict: ArtifactId {name} already exists")
            self.blobs.keep(request, name, temporary, size, md5)
        return as_json(self.record(request, origin, container, self.row(origin, container, path)))

    def delete(self, request, origin, container):
        path = self.found(request, origin, container)[0]
        self.store.change("DELETE FROM artifacts WHERE origin = ? AND container = ? AND path = ?", origin, container, path)
        self.blobs.delete(self.name(origin, container, path))
        return Answer(200)

    # Shapes

    @staticmethod
    def name(origin, container, path):
        return f"{origin}/{container}/{path}"

    def record(self, request, origin, container, row):
        path, etag, created, tags = row
        name = self.name(origin, container, path)
        return {
            "artifactId": name, "origin": origin, "container": container, "path": path, "etag": etag, "createdTime": created,
            "dataPath": {"dataStoreName": "workspaceartifactstore", "relativePath": name, "sqlDataPath": None},
            "tags": json.loads(tags),
        }  # fmt: skip

    def information(self, request, origin, container, row, permissions):
        path, _, _, tags = row
        address = self.blobs.signed(self.name(origin, container, path), permissions, request)
        return {"contentUri": address, "origin": origin, "container": container, "path": path, "tags": json.loads(tags)}

    def read_information(self, request, origin, container, row):
        return self.information(request, origin, container, row, "r")

    def write_information(self, request, origin, container, row):
        return self.information(request, origin, container, row, "rcw")

    def path(self, path):
        if not isinstance(path, str) or not path or len(path) > MOST_PATH_LENGTH:
            raise self.failure(400, "ValidationError", f"The artifact path must have 1 to {MOST_PATH_LENGTH} characters.")
        if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise self.failure(400, "ValidationError", f"Invalid artifact path: {path}")
        return path

    @staticmethod
    def failure(status, inner, text, reason=None):
        return errors.service(status, "UserError", text, inner, "artifact", reason=reason)
