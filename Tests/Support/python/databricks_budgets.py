"""The rates that a workspace allows, shared by all its users, and the counts of what was asked."""

import collections
import threading
import time

import databricks_errors as errors

# Requests a second, as documented; what has no rate of its own is "other". That of the workspace's registry stands in Databricks'
# knowledge base ("MLflow API 429 errors when transitioning models").
RATES = {"search": 7, "experiments": 7, "log-batch": 47, "registry": 40, "other": 127}
REGISTRY = ("registered-models", "model-versions")
MANAGED = ("search", "list", "update", "delete", "restore")


def class_of(request):
    """search, experiments, log-batch, registry, other: these have rates. files, workspace, auth, storage: these have none."""
    path = request.path
    if "/mlflow/" in path and path.startswith("/api/"):
        name = path.partition("/mlflow/")[2]
        if name == "runs/search":
            return "search"
        if name == "runs/log-batch":
            return "log-batch"
        group, _, action = name.removeprefix("databricks/").partition("/")
        if group in REGISTRY:
            return "registry"
        return "experiments" if group == "experiments" and action in MANAGED else "other"
    if path.startswith("/api/2.0/fs/"):
        return "files"
    if path.startswith("/api/2.0/workspace/"):
        return "workspace"
    return "auth" if path.startswith(("/oidc/", "/.well-known/")) else "unknown"


class Bucket:
    """Fills with `rate` a second up to what is due in one second."""

    def __init__(self, rate):
        self.rate, self.depth = rate, max(1.0, rate)
        self.filled, self.at = self.depth, time.monotonic()

    def take(self):
        moment = time.monotonic()
        self.filled, self.at = min(self.depth, self.filled + (moment - self.at) * self.rate), moment
        if self.filled < 1:
            return False
        self.filled -= 1
        return True


class Budgets:
    def __init__(self, scale):
        self.lock = threading.Lock()
        self.scale(scale)
        self.clear()

    def scale(self, scale):
        """All rates times this; 0 switches them off."""
        with self.lock:
            self.buckets = {kind: Bucket(rate * scale) for kind, rate in RATES.items()} if scale else {}

    def clear(self):
        with self.lock:
            names = ("requests", "throttled", "failed", "routes")
            self.counts = {name: collections.Counter() for name in names}
            self.clients = collections.defaultdict(lambda: {"requests": collections.Counter(), "throttled": collections.Counter()})
            self.bytes = collections.Counter()

    def spend(self, kind):
        """Raises 429 when the workspace asked too much."""
        with self.lock:
            bucket = self.buckets.get(kind)
            if bucket is None or bucket.take():
                return
        raise errors.limit_exceeded(kind, 1)

    def count(self, kind, route, client, answer, read, written):
        with self.lock:
            self.counts["requests"][kind] += 1
            self.counts["routes"][route] += 1
            self.bytes["in"] += read
            self.bytes["out"] += written
            if client:
                self.clients[client]["requests"][kind] += 1
            if answer is None or answer.status >= 400:
                self.counts["failed"][kind] += 1
            if answer is not None and answer.status == 429:
                self.counts["throttled"][kind] += 1
                if client:
                    self.clients[client]["throttled"][kind] += 1

    def shown(self):
        with self.lock:
            clients = {name: {key: dict(value) for key, value in counts.items()} for name, counts in self.clients.items()}
            return {name: dict(count) for name, count in self.counts.items()} | {"clients": clients, "bytes": dict(self.bytes)}
