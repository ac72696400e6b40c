"""How much a run, a logged model or an experiment of a workspace may hold, as documented (the million of metric points is not counted).

How a refusal is worded is known of logged models' metrics (mlflow/mlflow#20715); the others are taken to be told alike.
"""

import databricks_errors as errors

RUN_PARAMS, RUN_TAGS, EXPERIMENT_TAGS, MODEL_METRICS = 1600, 1600, 1000, 1000


class Quotas:
    def __init__(self, behind):
        self.behind = behind

    def check(self, route, asked):
        run = asked.get("run_id") or asked.get("run_uuid")
        match route:
            case "runs/log-batch":
                self.keys("params", run, asked.get("params"), RUN_PARAMS)
                self.keys("tags", run, asked.get("tags"), RUN_TAGS)
                self.model_metrics([point for point in asked.get("metrics") or [] if isinstance(point, dict) and point.get("model_id")])
            case "runs/log-parameter":
                self.keys("params", run, [asked], RUN_PARAMS)
            case "runs/set-tag":
                self.keys("tags", run, [asked], RUN_TAGS)
            case "experiments/set-experiment-tag":
                self.keys("experiment_tags", asked.get("experiment_id"), [asked], EXPERIMENT_TAGS)
            case "runs/log-metric" if asked.get("model_id"):
                self.model_metrics([asked])

    def keys(self, table, owner, given, most):
        """Keys that are there already may be written again."""
        new = {entry.get("key") for entry in given or [] if isinstance(entry, dict)}
        if not new or owner is None:
            return
        column, kind = ("experiment_id", "experiment") if table == "experiment_tags" else ("run_uuid", "run")
        count = self.behind.rows(f"SELECT count(*) FROM {table} WHERE {column} = ?", owner)[0][0]
        if count + len(new) > most:
            known = {key for (key,) in self.behind.rows(f"SELECT key FROM {table} WHERE {column} = ?", owner)}
            if len(known | new) > most:
                raise self.exceeded(table.removeprefix("experiment_"), f"{kind} {owner}", kind, most)

    def model_metrics(self, points):
        for model in {point["model_id"] for point in points}:
            count = self.behind.rows("SELECT count(*) FROM logged_model_metrics WHERE model_id = ?", model)[0][0]
            if count + sum(point["model_id"] == model for point in points) > MODEL_METRICS:
                raise self.exceeded("logged model metrics", f"model {model}", "logged model", MODEL_METRICS)

    @staticmethod
    def exceeded(what, owner, kind, most):
        return errors.failure(
            400, "BAD_REQUEST",
            f"Unable to log new or update existing {what} for {owner}, exceeded maximum allowed number of {what} per {kind}: {most}."
            " To raise this quota please contact the Databricks support team.",
        )  # fmt: skip
