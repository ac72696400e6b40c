"""What people do next with a mirrored model, with Microsoft's client: it is served, and scores batches in Spark.

    azureml_serving.py WORKLOAD

WORKLOAD is the line that `azureml_workload.py` printed. Runs in .venv/spark (mlflow 2.22, pyspark, a local Spark), with the variables that
lead its client to the workspace. Prints a line for each thing that works; exit 1 when one does not.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ["PYSPARK_PYTHON"] = sys.executable
warnings.filterwarnings("ignore")

import mlflow  # noqa: E402
import servers  # noqa: E402

INPUT = [1.0, 2.5, -3.0]


def answer(port, until):
    body = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[x] for x in INPUT]}}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
            return json.loads(opener.open(request, timeout=30).read())["predictions"]
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def served(uri):
    port = servers.free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "--host", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return [float(next(iter(value.values())) if isinstance(value, dict) else value) for value in answer(port, time.monotonic() + 120)]
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def main():
    known = json.loads(sys.argv[1])
    client = mlflow.MlflowClient()
    experiments = [e.experiment_id for e in client.search_experiments()]
    run = client.search_runs(experiments, f"tags.`mlmirror.primary.run_id` = '{known['trained']}'")[0].info.run_id
    uris = [f"models:/{known['model']}/{known['versions'][-1]}", f"runs:/{run}/doubler"]
    failed = 0

    def judge(what, predicted):
        nonlocal failed
        good = predicted == known["predicted"]
        failed += not good
        print(f"{'ok' if good else 'FAILED'} {what}: {predicted}", flush=True)

    for uri in uris:
        judge(f"mlflow models serve -m {uri}", served(uri))

    from pyspark.sql import SparkSession
    from pyspark.sql.functions import struct

    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    frame = spark.createDataFrame([(x,) for x in INPUT], ["x"])
    for uri in uris:
        score = mlflow.pyfunc.spark_udf(spark, uri, result_type="double", env_manager="local")
        judge(f"spark_udf {uri}", [row.y for row in frame.withColumn("y", score(struct("x"))).collect()])
    spark.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
