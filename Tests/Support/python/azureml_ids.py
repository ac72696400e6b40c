"""Names of one workspace: its scope, and its ids against those of the MLflow server behind."""

import re
import uuid

import azureml_errors as errors

EXPERIMENT_PREFIX = "a2e10000-0000-4000-8000-"
EXPERIMENT = re.compile(EXPERIMENT_PREFIX + "([0-9a-f]{12})")
RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Ids:
    def __init__(self, store, region):
        self.host = f"{region}.api.azureml.ms"
        self.scope = (
            f"/subscriptions/{store.guid('subscription')}/resourceGroups/emulated-group"
            "/providers/Microsoft.MachineLearningServices/workspaces/emulated-workspace"
        )
        self.run_artifacts = re.compile(
            rf"azureml://[^/]+/mlflow/v[12]\.0{re.escape(self.scope)}/experiments/([^/]+)/runs/([^/]+)/artifacts(?:/(.*))?", re.I
        )

    def inside(self, path, base):
        """What follows the workspace's scope. Its names are the same in any case."""
        full = base + self.scope
        if path[: len(full)].lower() != full.lower() or path[len(full) : len(full) + 1] not in ("", "/"):
            raise errors.service(404, "UserError", "The workspace was not found.", "WorkspaceNotFound", "gateway")
        return path[len(full) :]

    def experiment_out(self, number):
        return f"{EXPERIMENT_PREFIX}{int(number):012x}"

    def experiment_in(self, guid):
        found = EXPERIMENT.fullmatch(str(guid))
        if not found or int(found[1], 16) == 0:
            raise errors.not_found(f"Could not find experiment with ID {guid}")
        return str(int(found[1], 16))

    def run_out(self, hexadecimal):
        return str(uuid.UUID(hexadecimal))

    def run_in(self, guid):
        if not guid:
            raise errors.invalid("Missing value for required parameter 'run_id'.")
        if not RUN.fullmatch(str(guid)):
            raise errors.not_found(f"Run with id={guid} not found")
        return guid.replace("-", "")

    def artifact_uri(self, experiment, run):
        return f"azureml://{self.host}/mlflow/v2.0{self.scope}/experiments/{experiment}/runs/{run}/artifacts"
