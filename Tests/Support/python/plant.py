"""Plants differences in a secondary, as a person with its client would, and prints for each the words that verify must name.

    plant.py SECONDARY
"""

import sys

from mlflow import MlflowClient
from mlflow.entities import Metric, ViewType

client = MlflowClient(sys.argv[1], sys.argv[1])
experiments = [e.experiment_id for e in client.search_experiments(view_type=ViewType.ALL)]
runs = [run for run in client.search_runs(experiments, "", ViewType.ACTIVE_ONLY, 1000) if "mlmirror.primary.run_id" in run.data.tags]
assert len(runs) >= 4, f"too few runs to plant in: {len(runs)}"

client.set_tag(runs[0].info.run_id, "mlflow.user", "somebody else")
print("tag:mlflow.user")
client.set_tag(runs[0].info.run_id, "planted", "1")
print("tag:planted")
client.update_run(runs[2].info.run_id, name="renamed by hand")
print("name")
client.delete_run(runs[3].info.run_id)
print("lifecycle")
for model in client.search_registered_models():
    client.update_registered_model(model.name, description="edited by hand")
    print("description")
    break
