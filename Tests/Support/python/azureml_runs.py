"""What is there of each run, remembered, so that the Azure ML emulator judges limits without asking every time."""

import collections
import threading

KNOWN_RUNS = 20_000


class KnownRun:
    """What is there of a run, so that limits are judged without asking. One write at a time."""

    def __init__(self):
        self.lock = threading.RLock()
        self.loaded = False
        self.tags, self.params, self.metrics = set(), set(), set()


class KnownRuns:
    def __init__(self, store, behind):
        self.store, self.behind = store, behind
        self.known, self.lock = collections.OrderedDict(), threading.Lock()

    def known_run(self, inner):
        with self.lock:
            known = self.known.setdefault(inner, KnownRun())
            self.known.move_to_end(inner)
            if len(self.known) > KNOWN_RUNS:
                self.known.popitem(last=False)
            return known

    def load(self, inner, known):
        data = self.behind.call("GET", "runs/get", {"run_id": inner})["run"].get("data", {})
        known.tags = {tag["key"] for tag in data.get("tags", [])}
        known.params = {param["key"] for param in data.get("params", [])}
        known.metrics = self.store.metric_names(inner)
        known.loaded = True

    def writing(self, inner):
        return Writing(self, inner)


class Writing:
    """Holds a run for one write, and knows what is there. Raises when the run does not exist."""

    def __init__(self, runs, inner):
        self.runs, self.inner = runs, inner

    def __enter__(self):
        known = self.known = self.runs.known_run(self.inner)
        known.lock.acquire()
        try:
            if not known.loaded:
                self.runs.load(self.inner, known)
        except BaseException:
            known.lock.release()
            raise
        return known

    def __exit__(self, *_):
        self.known.lock.release()
