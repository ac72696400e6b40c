"""An emulator of Azure Machine Learning's MLflow-compatible endpoint, for tests.

    azureml_emulator.py --directory DIR [--mlflow-python PATH] [--token-seconds 3600] [--sas-seconds 28800]
                        [--region westeurope] [--no-duplicates] [--no-log-inputs] [--aliases] [--async-seconds 0]
                        [--tls-port N] [--proxy-port N] [--control-port N]

Prints one line of JSON when it serves (tracking_uri, host, proxy, ca_file, control, tls_port, identity_endpoint, ...) and
serves until its standard input closes or SIGTERM. DIR keeps all state: an emulator started again on it goes on with it.

One TLS listener is <region>.api.azureml.ms, <account>.blob.core.windows.net, login.microsoftonline.com and
management.azure.com, by the Host header; the CONNECT proxy leads to it. A Host of localhost or 127.0.0.1 goes by the path,
and SAS are then given for that host too. What experiments, runs and models are is left to a real MLflow server behind.

The control port (plain HTTP):

    GET /requests           the log: [{n, host, method, path, status, bytes_in, bytes_out}]; status 0 is a lost answer
    DELETE /requests        empties it
    GET /state              what is kept
    GET, POST, DELETE /faults   see azureml_faults.py
    POST /tokens/expire, POST /sas/expire   all that were given so far become void
    GET /msi/token, GET /metadata/identity/oauth2/token   managed identity, App-Service form and machine form
"""

import argparse
import collections
import itertools
import os
import pathlib
import threading
import traceback

import azureml_errors as errors
import azureml_front as front
import azureml_identity as identity
from azureml_artifacts import Artifacts
from azureml_behind import Behind
from azureml_blobs import Blobs
from azureml_errors import Answer, Failure, as_json
from azureml_faults import Faults
from azureml_ids import Ids
from azureml_registry import Registry
from azureml_store import Store
from azureml_tracking import Tracking
from emulating import serve

LOG_LENGTH = 500_000


class Emulator:
    def __init__(self, options):
        self.options = options
        folder = self.folder = pathlib.Path(options.directory).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(folder / "emulator.db")
        account = self.store.meta("account", lambda: "emulator" + self.store.secret("sas key")[:12])
        self.ids = Ids(self.store, options.region)
        self.host = self.ids.host
        self.blob_host = f"{account}.blob.core.windows.net"
        self.faults = Faults()
        self.identity = identity.Identity(self.store, options.token_seconds)
        hosts = [self.host, self.blob_host, "login.microsoftonline.com", "management.azure.com"]
        self.ca_file = front.certificates(folder / "tls", [*hosts, "*.api.azureml.ms", "*.blob.core.windows.net"])
        self.requests, self.numbers = collections.deque(maxlen=LOG_LENGTH), itertools.count(1)
        self.tls = front.TLSServer(options.tls_port, self.answer, front.tls_context(folder / "tls"))
        self.proxy = front.ConnectProxy(options.proxy_port, self.tls)
        self.control = front.Server(options.control_port, self.controlled)
        self.behind = Behind(folder / "server", options.mlflow_python, self.ids)
        self.blobs = Blobs(self)
        self.artifacts = Artifacts(self)
        self.tracking = Tracking(self)
        self.registry = Registry(self)

    def start(self):
        for server in (self.tls, self.proxy, self.control):
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self):
        for server in (self.control, self.proxy, self.tls):
            server.shutdown()
            server.server_close()
        self.tracking.stop()
        self.behind.stop()

    def described(self):
        control = f"http://127.0.0.1:{self.control.port}"
        return {
            "tracking_uri": f"azureml://{self.host}/mlflow/v1.0{self.ids.scope}", "host": self.host,
            "blob_host": self.blob_host, "scope": self.ids.scope,
            "proxy": f"http://127.0.0.1:{self.proxy.port}", "ca_file": str(self.ca_file), "control": control,
            "tls_port": self.tls.port, "proxy_port": self.proxy.port, "control_port": self.control.port,
            "identity_endpoint": f"{control}/msi/token", "identity_header": self.identity.identity_header,
            "tenant": self.identity.tenant, "client_id": self.identity.client_id,
            "client_secret": self.identity.client_secret, "imds": f"{control}/metadata/identity/oauth2/token",
            "behind": self.behind.described["uri"], "pid": os.getpid(),
        }  # fmt: skip

    # Every request of the services

    def answer(self, request):
        number = next(self.numbers)
        blob = self.is_blob(request)
        answer = self.faults.before(request, blob)
        if answer is None:
            answer = self.guarded(self.dispatch, request)
            answer = self.faults.after(request, answer, blob)
        self.log(number, request, answer)
        return answer

    def guarded(self, serve, request):
        try:
            return serve(request)
        except Failure as failure:
            return failure.answer
        except ConnectionError:
            raise
        except Exception as error:  # a bug, or the server behind is gone: it must be seen, and be an answer too
            traceback.print_exc()
            return errors.service(500, "ServiceError", f"{type(error).__name__}: {error}", "TransientError", "emulator").answer

    def log(self, number, request, answer):
        # The body that nobody read was still sent.
        size = max(request.body.count, request.body.length or 0)
        self.requests.append((
            number, request.host, request.method, request.logged_path, answer.status if answer else 0, size,
            answer.length if answer and request.method != "HEAD" else 0,
        ))  # fmt: skip

    @staticmethod
    def is_local(request):
        return request.host in ("localhost", "127.0.0.1")

    def is_blob(self, request):
        return request.host.endswith(".blob.core.windows.net") or self.is_local(request) and request.path.startswith("/azureml/")

    def dispatch(self, request):
        host = request.host
        if self.is_blob(request):
            return self.blobs.answer(request)
        if host == "management.azure.com":
            return identity.clouds(request)
        service = request.path.split("/", 2)[1] if request.path.startswith("/") else ""
        if host == "login.microsoftonline.com" or self.is_local(request) and service in (self.identity.tenant, "common"):
            return self.identity.login(request)
        if not host.endswith(".api.azureml.ms") and not self.is_local(request):
            raise errors.service(400, "UserError", f"No such host: {host}", "BadHost", "gateway")
        self.identity.check(request)
        if service == "mlflow":
            return self.mlflow(request)
        if service == "history":
            return self.artifacts.history(request, self.ids.inside(request.path, "/history/v1.0"))
        if service == "artifact":
            return self.artifacts.service(request, self.ids.inside(request.path, "/artifact/v2.0"))
        raise errors.empty()

    def mlflow(self, request):
        for base in ("/mlflow/v2.0", "/mlflow/v1.0"):
            if request.path.startswith(base + "/"):
                break
        route = self.ids.inside(request.path, base).strip("/")
        version, _, name = route.removeprefix("api/").partition("/")
        if not route.startswith("api/") or version not in ("2.0", "3.0"):
            raise errors.empty()
        if name.startswith("mlflow/traces"):
            raise errors.mlflow(403, "UserError", "Traces are not supported.", "PERMISSION_DENIED")
        if version != "2.0":
            raise errors.empty()
        if name.startswith(("mlflow/registered-models/", "mlflow/model-versions/")):
            return self.registry.answer(request, name.removeprefix("mlflow/"))
        if name.startswith(("mlflow/", "preview/mlflow/")):
            return self.tracking.answer(request, name)
        raise errors.empty()

    # The control port

    def controlled(self, request):
        if request.path in ("/msi/token", "/metadata/identity/oauth2/token"):
            number = next(self.numbers)
            answer = self.faults.before(request, False) or self.identity_answer(request)
            self.log(number, request, answer)
            return answer
        try:
            return self.guarded(self.control_answer, request)
        except ValueError as error:
            return front.refused(error)

    def identity_answer(self, request):
        if request.method != "GET":
            return Answer(405)
        return self.identity.managed(request) if request.path == "/msi/token" else self.identity.machine(request)

    def control_answer(self, request):
        match request.method, request.path:
            case "GET", "/requests":
                names = ("n", "host", "method", "path", "status", "bytes_in", "bytes_out")
                return as_json([dict(zip(names, entry)) for entry in list(self.requests)])
            case "DELETE", "/requests":
                self.requests.clear()
            case "GET", "/state":
                return as_json(self.state())
            case "GET", "/faults":
                return as_json(self.faults.shown())
            case "DELETE", "/faults":
                self.faults.clear()
            case "POST", "/faults":
                try:
                    self.faults.set(request.json() or {})
                except ValueError as error:
                    return front.refused(error)
            case "POST", "/tokens/expire":
                self.identity.expire()
            case "POST", "/sas/expire":
                self.store.next_generation("sas")
            case _:
                return Answer(404)
        return as_json({})

    def state(self):
        counts = {table: self.store.row(f"SELECT count(*) FROM {table}")[0] for table in ("metrics", "artifacts", "blobs", "blocks")}
        return {
            **counts, "blob_bytes": self.store.row("SELECT coalesce(sum(size), 0) FROM blobs")[0],
            "requests": len(self.requests), "faults": self.faults.shown(), "behind": self.behind.described,
            "pending_batches": len(self.tracking.pending),
        }  # fmt: skip


def default_python():
    root = pathlib.Path(__file__).resolve().parents[3]
    return str(root / ".venv" / "mlflow3" / "bin" / "python")


def parser():
    options = argparse.ArgumentParser(description="Emulate Azure Machine Learning's MLflow endpoint.")
    options.add_argument("--directory", required=True, help="keeps all state")
    options.add_argument("--mlflow-python", default=default_python(), help="python of an environment with MLflow 3")
    options.add_argument("--token-seconds", type=int, default=3600)
    options.add_argument("--sas-seconds", type=int, default=28800)
    options.add_argument("--region", default="westeurope")
    options.add_argument("--async-seconds", type=float, default=0, help="delay of log-batch-async")
    options.add_argument("--no-duplicates", action="store_true", help="keep metric rows alike once")
    options.add_argument("--no-log-inputs", action="store_true", help="runs/log-inputs is an unknown route")
    options.add_argument("--aliases", action="store_true", help="model aliases work")
    options.add_argument("--explain", action="store_true", help="say for people how it is reached, and serve until Ctrl-C")
    for name in ("tls", "proxy", "control"):
        options.add_argument(f"--{name}-port", type=int, default=0)
    return options


def explained(described):
    """For people: what to set before mlmirror, or Microsoft's client, is started."""
    variables = {
        "MLMIRROR_SECONDARY": described["tracking_uri"], "MLFLOW_TRACKING_URI": described["tracking_uri"],
        "HTTPS_PROXY": described["proxy"], "REQUESTS_CA_BUNDLE": described["ca_file"],
        "IDENTITY_ENDPOINT": described["identity_endpoint"], "IDENTITY_HEADER": described["identity_header"],
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
    }  # fmt: skip
    lines = [f"export {name}='{value}'" for name, value in variables.items()]
    return "\n".join(["An Azure ML workspace is emulated here. In another shell:", "", *lines, "", "Ctrl-C ends it."])


if __name__ == "__main__":
    serve(Emulator, explained, parser().parse_args())
