"""Says what stands twice on a secondary: two things that bear the stamp of one thing of the primary.

    doubles.py SECONDARY_URI

Prints one line for each, and ends with 1 when there is any.
"""

import collections
import os
import sys

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow  # noqa: E402
from mlflow.entities import ViewType  # noqa: E402

STAMPS = {"run": "mlmirror.primary.run_id", "experiment": "mlmirror.primary.experiment_id", "model": "mlmirror.primary.model_id"}


def pages(search, **how):
    token = None
    while True:
        page = search(page_token=token, **how)
        yield from page
        token = page.token
        if not token:
            return


def things(client):
    experiments = list(pages(client.search_experiments, view_type=ViewType.ALL))
    for experiment in experiments:
        yield "experiment", experiment.tags, experiment.experiment_id
        for run in pages(client.search_runs, experiment_ids=[experiment.experiment_id], run_view_type=ViewType.ALL):
            yield "run", run.data.tags, run.info.run_id
        for model in pages(client.search_logged_models, experiment_ids=[experiment.experiment_id]):
            yield "model", model.tags, model.model_id
    for model in pages(client.search_registered_models):
        found = pages(client.search_model_versions, filter_string=f"name = '{model.name}'")
        numbers = collections.Counter(version.tags.get("mlmirror.primary.version") for version in found)
        for number, count in numbers.items():
            if number and count > 1:
                yield "version", {"double": "yes"}, f"{model.name} {number}"


def main():
    seen = collections.defaultdict(list)
    count = 0
    for kind, tags, identity in things(mlflow.MlflowClient(sys.argv[1], sys.argv[1])):
        count += 1
        if kind == "version":
            seen[kind, identity] += [identity, identity]
        elif STAMPS[kind] in tags:
            seen[kind, tags[STAMPS[kind]]].append(identity)
    doubled = {key: found for key, found in seen.items() if len(found) > 1}
    for (kind, primary), found in sorted(doubled.items()):
        print(f"{kind} {primary} stands {len(found)} times: {', '.join(found)}")
    print(f"{len(doubled)} doubled of {count}")
    sys.exit(1 if doubled else 0)


if __name__ == "__main__":
    main()
