"""`make test-spark`: a model of MLflow 3, mirrored into an emulated workspace, is served from there and scores batches in Spark.

BIN names the mlmirror to test with.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import azureml_selftest
import servers

HERE = pathlib.Path(__file__).resolve().parent


def main():
    spark = azureml_selftest.ROOT / ".venv" / "spark" / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with servers.start(folder / "primary") as primary, azureml_selftest.emulator(folder / "workspace") as described:
            environment = azureml_selftest.environment(described)
            workload = subprocess.run(
                [sys.executable, str(HERE / "azureml_workload.py"), primary.uri, "--megabytes", "1"], stdout=subprocess.PIPE, check=True
            ).stdout.decode().splitlines()[-1]  # fmt: skip
            stores = ["--primary", primary.uri, "--secondary", described["tracking_uri"], "--state", str(folder / "state.db")]
            mlmirror = {**environment, "CURL_CA_BUNDLE": described["ca_file"]}
            subprocess.run([os.environ["BIN"], "backfill", *stores, "--no-progress"], env=mlmirror, check=True)
            path = f"{spark.parent}:{environment.get('PATH', '')}"
            return subprocess.run([str(spark), str(HERE / "azureml_serving.py"), json.dumps(json.loads(workload))],
                                  env={**environment, "PATH": path}).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
