"""An emulator of MLflow on an Azure Databricks workspace, for tests: plain HTTP, so that unpatched clients come without a proxy.

    databricks_emulator.py --directory DIR [--mlflow-python PATH] [--storage AZURE_SAS_URI|AZURE_ADLS_GEN2_SAS_URI]
                           [--token-seconds 3600] [--sas-seconds 3600] [--rate-scale 1] [--search-ids 10] [--user me@example.com]
                           [--files-api 501] [--refused-status 403] [--pending-seconds 0.5] [--no-headers] [--no-quotas]
                           [--no-org-id] [--list-page 1000] [--credentials-page 2000] [--unity-storage sas|presigned] [--port N]
                           [--storage-port N] [--control-port N] [--explain]

Prints one line of JSON when it serves, and serves until its standard input closes or SIGTERM. DIR keeps all state: an emulator
started again on it goes on with it. The line holds host, token, other_token (another user of the workspace), client_id,
client_secret (OAuth M2M), workspace_id, user, storage, control, behind (the real MLflow server: what experiments, runs and
models are is left to it), pid. With a client:

    MLFLOW_TRACKING_URI=databricks MLFLOW_REGISTRY_URI=databricks|databricks-uc DATABRICKS_HOST=<host>
    DATABRICKS_TOKEN=<token>    or    DATABRICKS_CLIENT_ID=<client_id> DATABRICKS_CLIENT_SECRET=<client_secret>

Versions in Unity Catalog lie at abfss://...@<account>.dfs.core.windows.net/..., which clients reach over TLS at `proxy` (a CONNECT
proxy, for HTTPS_PROXY; `ca_file` is to be trusted); the same files are under `storage` in plain HTTP, as http://host:port/container/path.

/Shared, /Users/<user> and / are the folders from the start; others are made with /api/2.0/workspace/mkdirs. The rates of a
workspace hold (search 7/s, experiment management 7/s, log-batch 47/s, the workspace's registry 40/s, all else 127/s); --rate-scale 0 switches them off.

The control port (plain HTTP):

    GET /emulator/counters      requests, throttled, failed by class; routes; clients: {token|other_token|oauth: {requests, throttled}}
    DELETE /emulator/counters   empties them
    GET /emulator/requests      the log: [{n, class, client, method, path, status, bytes_in, bytes_out}]; status 0 is a lost answer
    DELETE /emulator/requests   empties it
    GET, POST, DELETE /emulator/faults      see databricks_faults.py
    POST /emulator/move         {"from": path, "to": path, "quiet": bool}: a folder or an experiment is moved, as in the browser
    POST /emulator/fill         many experiments and runs at once; see databricks_fill.py
    POST /emulator/tokens/expire, POST /emulator/sas/expire     all that were given so far become void (not the two fixed tokens)
"""

import collections
import itertools
import os
import pathlib
import re
import threading
import traceback

import azureml_front as front
import databricks_errors as errors
import databricks_fill
from azureml_errors import Answer, Failure, as_json, storage
from databricks_artifacts import Artifacts
from databricks_behind import Server
from databricks_budgets import Budgets, class_of
from databricks_faults import Faults
from databricks_identity import Identity
from databricks_ids import Ids
from databricks_options import explained, parser
from databricks_registry import Registry
from databricks_storage import Storage
from databricks_store import Store
from databricks_tracking import Tracking
from databricks_unity import Unity
from databricks_workspace import Workspace
from emulating import serve

LOG_LENGTH = 500_000
MLFLOW = re.compile(r"/api/2\.0/(?:preview/)?mlflow/(.+)")
NUMBERED = re.compile(r"/(?:m-)?[0-9a-f]{32}\b")


class Emulator:
    def __init__(self, options):
        self.options = options
        folder = self.folder = pathlib.Path(options.directory).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(folder / "emulator.db")
        self.ids = Ids(self.store)
        self.faults, self.budgets = Faults(), Budgets(options.rate_scale)
        self.identity = Identity(self.store, options)
        self.requests, self.numbers = collections.deque(maxlen=LOG_LENGTH), itertools.count(1)
        self.door = front.Server(options.port, self.answer)
        self.storage_door = front.Server(options.storage_port, self.storage_answer)
        self.control = front.Server(options.control_port, self.controlled)
        # The storage account once more, by its name: what is in Unity Catalog is always looked for there.
        self.account = self.store.meta("storage account", lambda: "dbstorage" + self.store.secret("sas key")[:12])
        hosts = [f"{self.account}.{kind}.core.windows.net" for kind in ("dfs", "blob")]
        self.ca_file = front.certificates(folder / "tls", hosts)
        self.tls = front.TLSServer(0, self.account_answer, front.tls_context(folder / "tls"))
        self.proxy = front.ConnectProxy(0, self.tls, re.compile("|".join(map(re.escape, hosts))))
        self.blob_host = "127.0.0.1"
        self.storage = Storage(self)
        self.behind = Server(folder / "server", options.mlflow_python, self.ids)
        self.workspace = Workspace(self)
        self.tracking = Tracking(self)
        self.artifacts = Artifacts(self)
        self.registry = Registry(self)
        self.unity = Unity(self)

    def start(self):
        for server in (self.door, self.storage_door, self.control, self.tls, self.proxy):
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self):
        for server in (self.proxy, self.tls, self.control, self.storage_door, self.door):
            server.shutdown()
            server.server_close()
        self.behind.stop()

    @property
    def base(self):
        return f"http://127.0.0.1:{self.door.port}"

    def described(self):
        return {
            "host": self.base, "token": self.identity.token, "other_token": self.identity.other_token,
            "client_id": self.identity.client_id, "client_secret": self.identity.client_secret,
            "workspace_id": self.ids.workspace, "user": self.options.user, "storage": self.storage.base,
            "account": self.account, "proxy": f"http://127.0.0.1:{self.proxy.port}", "ca_file": str(self.ca_file),
            "control": f"http://127.0.0.1:{self.control.port}", "behind": self.behind.described["uri"],
            "port": self.door.port, "storage_port": self.storage_door.port, "control_port": self.control.port, "pid": os.getpid(),
        }  # fmt: skip

    # Every request of the workspace, and of its storage account

    def answer(self, request):
        number, kind, client = next(self.numbers), class_of(request), None
        try:
            # Before all else, also where no token is needed.
            if self.faults.get("blocked"):
                raise errors.blocked()
            answer = self.identity.open(request, self.base, self.ids.workspace)
            if answer is None:
                client = self.identity.client(request)
                answer = self.faults.before(request, kind)
            if answer is None:
                self.budgets.spend(kind)
                answer = self.guarded(self.dispatch, request)
        except Failure as failure:
            answer = failure.answer
        answer = self.faults.after(request, answer, kind)
        if answer and self.options.org_id:
            answer.headers["x-databricks-org-id"] = self.ids.workspace
        self.log(number, request, kind, client, answer)
        return answer

    def storage_answer(self, request):
        number = next(self.numbers)
        answer = self.faults.before(request, "storage") or self.guarded(self.storage.answer, request)
        answer = self.faults.after(request, answer, "storage")
        self.log(number, request, "storage", None, answer)
        return answer

    def account_answer(self, request):
        """There the account is in the host, and all that is known of it is how it is named."""
        if not request.host.startswith(self.account + "."):
            return storage(400, "InvalidUri").answer
        return self.storage_answer(request)

    def guarded(self, serve, request):
        try:
            return serve(request)
        except Failure as failure:
            return failure.answer
        except ConnectionError:
            raise
        except Exception as error:  # a bug, or the server behind is gone: it must be seen, and be an answer too
            traceback.print_exc()
            if serve == self.storage.answer:
                return storage(500, "InternalError").answer
            return errors.failure(500, "INTERNAL_ERROR", f"{type(error).__name__}: {error}").answer

    def log(self, number, request, kind, client, answer):
        # The body that nobody read was still sent.
        read = max(request.body.count, request.body.length or 0)
        written = answer.length if answer and request.method != "HEAD" else 0
        # Paths of files would be a route each.
        route = f"{request.method} {kind if kind in ('storage', 'files') else NUMBERED.sub('/{id}', request.path)}"
        self.budgets.count(kind, route, client, answer, read, written)
        status = answer.status if answer else 0
        self.requests.append((number, kind, client, request.method, request.logged_path, status, read, written))

    @staticmethod
    def is_local(request):
        return request.host in ("localhost", "127.0.0.1")

    def dispatch(self, request):
        path = request.path
        if path.startswith("/api/2.0/fs/"):
            answer = self.unity.files(request) if self.options.unity_storage == "presigned" else None
            if answer:
                return answer
            code = {403: "PERMISSION_DENIED", 404: "NOT_FOUND", 501: "NOT_IMPLEMENTED"}.get(self.options.files_api, "INTERNAL_ERROR")
            raise errors.failure(self.options.files_api, code, "The Files API does not serve this path.")
        if path.startswith("/api/2.0/workspace/"):
            return self.workspace.answer(request, path.removeprefix("/api/2.0/workspace/"))
        if request.method == "GET" and path == "/api/2.0/preview/scim/v2/Me":
            user = self.options.user
            return as_json({"id": self.options.user_id, "userName": user, "displayName": user, "active": True, "emails": [{"value": user}]})
        found = MLFLOW.fullmatch(path)
        if not found:
            raise errors.no_such_endpoint(request)
        route = found[1]
        for part in (self.artifacts, self.unity, self.registry):
            if part.serves(route):
                return part.answer(request, route)
        return self.tracking.answer(request, route)

    # The control port

    def controlled(self, request):
        try:
            return self.guarded(self.control_answer, request)
        except ValueError as error:
            return front.refused(error)

    def control_answer(self, request):
        match request.method, request.path:
            case "GET", "/emulator/counters":
                return as_json(self.budgets.shown())
            case "DELETE", "/emulator/counters":
                self.budgets.clear()
            case "GET", "/emulator/requests":
                names = ("n", "class", "client", "method", "path", "status", "bytes_in", "bytes_out")
                return as_json([dict(zip(names, entry)) for entry in list(self.requests)])
            case "DELETE", "/emulator/requests":
                self.requests.clear()
            case "GET", "/emulator/faults":
                return as_json(self.faults.shown())
            case "DELETE", "/emulator/faults":
                self.faults.clear()
                self.budgets.scale(self.options.rate_scale)
            case "POST", "/emulator/faults":
                document = request.json()
                try:
                    self.faults.set(document or {})
                except (ValueError, re.error) as error:
                    return front.refused(error)
                if "rate_scale" in document:
                    self.budgets.scale(document["rate_scale"])
            case "POST", "/emulator/fill":
                return as_json(databricks_fill.fill(self, request.json() or {}))
            case "POST", "/emulator/move":
                document = request.json() or {}
                return self.workspace.move(document.get("from", ""), document.get("to", ""), document.get("quiet") is True)
            case "POST", "/emulator/tokens/expire":
                self.identity.expire()
            case "POST", "/emulator/sas/expire":
                self.store.next_generation("sas")
            case _:
                return Answer(404)
        return as_json({})


if __name__ == "__main__":
    serve(Emulator, explained, parser().parse_args())
