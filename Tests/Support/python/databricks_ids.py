"""Ids of a workspace against those of the MLflow server behind, and where artifacts are said to lie."""

import re
import secrets

import databricks_errors as errors

# A multiplication that has an inverse: neighbours behind are far apart here, and no table is needed.
SHORT, LONG = (10**15, 9 * 10**15, 3_141_592_653_589_793), (10**18, 8 * 10**18, 1_414_213_562_373_095_049)
MOST_BEHIND = 10**9
# What the server behind calls a deleted experiment whose name somebody took.
TAKEN = re.compile("\u2063deleted-[0-9]+")
RUN = re.compile(r"[0-9a-f]{32}")
MODEL = re.compile(r"m-[0-9a-f]{32}")
IN_MESSAGE = re.compile(r"((?:experiment|id|ID)(?:_id|s| with id| with ID| ID)?\W{1,4})(\d{1,9})\b")


class Ids:
    def __init__(self, store):
        self.store = store
        self.locations = dict(store.rows("SELECT experiment, location FROM locations"))
        self.seed = int(store.meta("id seed", lambda: str(secrets.randbelow(10**15))))
        self.workspace = store.meta("workspace id", lambda: str(10**15 + secrets.randbelow(9 * 10**15)))

    def form(self, number):
        """Ids have 16 digits, and every third one 19: no client may take them for doubles."""
        return LONG if number % 3 == 0 else SHORT

    def experiment_out(self, number):
        base, size, factor = self.form(int(number))
        return str(base + (int(number) * factor + self.seed) % size)

    def experiment_in(self, given):
        text = str(given)
        if text.isascii() and text.isdigit() and len(text) in (16, 19):
            base, size, factor = LONG if len(text) == 19 else SHORT
            number = (int(text) - base - self.seed) * pow(factor, -1, size) % size
            if 0 < number < MOST_BEHIND and self.experiment_out(number) == text:
                return str(number)
        raise errors.not_found(f"No experiment was found with id {text}. Node ID {text} does not exist.")

    def message_out(self, text):
        return IN_MESSAGE.sub(lambda found: found[1] + self.experiment_out(found[2]), TAKEN.sub("", text))

    # Artifacts

    def root(self, experiment):
        return self.locations.get(experiment) or f"dbfs:/databricks/mlflow-tracking/{experiment}"

    def set_location(self, experiment, location):
        """A place that its maker chose, outside of the workspace's own storage."""
        self.store.change("INSERT INTO locations VALUES (?, ?)", experiment, location.rstrip("/"))
        self.locations[experiment] = location.rstrip("/")

    def inward(self, document):
        """A request's document in the words of the server behind."""
        if isinstance(document, dict):
            return {key: self.inward_value(key, value) for key, value in document.items()}
        return [self.inward(entry) for entry in document] if isinstance(document, list) else document

    def inward_value(self, key, value):
        if key == "experiment_id" and isinstance(value, (str, int)):
            return self.experiment_in(value)
        if key == "experiment_ids" and isinstance(value, (list, str)):
            return [self.experiment_in(entry) for entry in (value if isinstance(value, list) else [value])]
        return self.inward(value)

    def outward(self, document):
        """An answer of the server behind in a workspace's words. What users chose stands in values only, never in keys."""
        if isinstance(document, list):
            return [self.outward(entry) for entry in document]
        if not isinstance(document, dict):
            return document
        made = {key: self.outward(value) for key, value in document.items()}
        number = document.get("experiment_id")
        if number is not None:
            experiment = made["experiment_id"] = self.experiment_out(number)
            if "artifact_location" in made:
                made["artifact_location"] = self.root(experiment)
                made["name"] = TAKEN.sub("", made.get("name", ""))
                made.pop("workspace", None)  # a word of open-source servers only
            if "artifact_uri" in made:
                folder = f"logged_models/{made['model_id']}" if "model_id" in made else made.get("run_id", "")
                made["artifact_uri"] = f"{self.root(experiment)}/{folder}/artifacts"
        return made
