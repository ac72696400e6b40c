"""Are the models on the secondary the models of the primary? Loads them from both and lets both predict.

    load_models.py PRIMARY SECONDARY MODEL...

Loads every version as models:/MODEL/VERSION, every alias as models:/MODEL@ALIAS, and, where a version came from a
run, the same model as runs:/RUN/PATH and models:/m-... by each side's own ids. Exit 0: all predict the same.
4: one does not, or does not load from the secondary. Anything else: could not judge.
"""

import argparse
import logging
import os
import sys
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.filterwarnings("ignore")

import mlflow  # noqa: E402
import numpy  # noqa: E402
import quickack  # noqa: E402

EXIT_EQUAL, EXIT_FAILED, EXIT_DIFFERENT = 0, 1, 4
INPUT = numpy.random.default_rng(7).normal(size=(64, 4))


class Side:
    def __init__(self, uri):
        self.uri, self.client = uri, mlflow.MlflowClient(uri, uri)

    def versions(self, model):
        return {int(v.version): v for v in self.client.search_model_versions(f"name = '{model}'", max_results=10_000)}

    def aliases(self, model):
        return {alias: int(v) for alias, v in (self.client.get_registered_model(model).aliases or {}).items()}

    def own_uris(self, version):
        """What this side calls the version's model besides its registered name: {kind: URI}."""
        source, uris = version.source, {}
        root = self.client.get_run(version.run_id).info.artifact_uri if version.run_id else None
        if root and source.startswith(root + "/"):  # MLflow 2 writes the place itself
            uris["runs:/"] = f"runs:/{version.run_id}{source.removeprefix(root)}"
        if source.startswith("runs:/"):
            uris["runs:/"] = source
        elif source.startswith("models:/m-"):
            uris["models:/m-"] = source
            name = self.client.get_logged_model(source.removeprefix("models:/")).name
            # Several models of one name in one run: which one runs:/ means is the server's choice.
            if version.run_id and len(self.named(version.run_id, name)) == 1:
                uris["runs:/"] = f"runs:/{version.run_id}/{name}"
        return uris

    def named(self, run_id, name):
        experiment = self.client.get_run(run_id).info.experiment_id
        return self.client.search_logged_models([experiment], f"name = '{name}' AND source_run_id = '{run_id}'")

    def predictions(self, uri):
        """What the model says, with the parts that a classifier has only inside."""
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        model = mlflow.pyfunc.load_model(uri)
        said = [numpy.asarray(model.predict(INPUT))]
        inner = model.get_raw_model() if hasattr(model, "get_raw_model") else None
        if hasattr(inner, "predict_proba"):
            said.append(inner.predict_proba(INPUT))
        return said


def pairs(primary, secondary, model):
    """Every name of every version: (name, URI on the primary, URI on the secondary)."""
    here, there = primary.versions(model), secondary.versions(model)
    for number in sorted(here.keys() | there.keys()):
        name = f"models:/{model}/{number}"
        yield name, name if number in here else None, name if number in there else None
        if number in here and number in there:
            mine, theirs = primary.own_uris(here[number]), secondary.own_uris(there[number])
            for kind in sorted(mine.keys() | theirs.keys()):
                yield f"{name} as {kind}", mine.get(kind), theirs.get(kind)
    here, there = primary.aliases(model), secondary.aliases(model)
    for alias in sorted(here.keys() | there.keys()):
        name = f"models:/{model}@{alias}"
        yield name, name if alias in here else None, name if alias in there else None


def main():
    parser = argparse.ArgumentParser(description="Load a registered model from two servers and compare predictions.")
    parser.add_argument("primary")
    parser.add_argument("secondary")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    options = parser.parse_args()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    quickack.install()
    primary, secondary = Side(options.primary), Side(options.secondary)
    loaded = different = 0
    for model in options.models:
        for name, here, there in pairs(primary, secondary, model):
            problem = None
            if here is None or there is None:
                problem = "only on the " + ("secondary" if here is None else "primary")
            else:
                expected = primary.predictions(here)
                try:
                    said = secondary.predictions(there)
                    if len(said) != len(expected) or not all(map(numpy.array_equal, expected, said)):
                        problem = "predicts otherwise"
                except Exception as error:  # whatever hinders loading it there is the difference
                    problem = f"does not load from the secondary: {error}"
            loaded += 1
            different += problem is not None
            print(f"{'differs' if problem else 'same   '} {name}{': ' + problem if problem else ''}")
    print(f"{loaded} loaded from both, {different} different")
    return EXIT_DIFFERENT if different or not loaded else EXIT_EQUAL


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        print(f"load_models: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
