"""Starts the Databricks emulator and has the official client, unpatched, judge it: with both kinds of storage and of tokens.

    databricks_selftest.py [--only wire|pat|oauth|pat-adls|oauth-sas|presigned|sas|broken]... [--directory DIR]

    wire     what no official client shows
    pat      a personal access token, AZURE_SAS_URI
    oauth    OAuth M2M, AZURE_ADLS_GEN2_SAS_URI
    pat-adls, oauth-sas   the same the other way round, files only
    presigned, sas   Unity Catalog, with files behind presigned addresses, and behind a directory's signature on ADLS
    broken   an emulator that is wrong on purpose: the judge must find exactly what is wrong with it

Needs .venv/mlflow3 of the project, and for sas .venv/databricks, which knows ADLS; that part is skipped without it. A line per check; exit 0 when all is well.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import databricks_wiretest
from emulating import running

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parents[2] / ".venv"
# Budgets would make the judge wait: it switches them on where it looks at them.
JUDGED = {
    "pat": ["--rate-scale", "0", "--list-page", "3", "--credentials-page", "2"],
    "oauth": ["--rate-scale", "0", "--storage", "AZURE_ADLS_GEN2_SAS_URI", "--files-api", "403"],
    "pat-adls": ["--rate-scale", "0", "--storage", "AZURE_ADLS_GEN2_SAS_URI"],
    "oauth-sas": ["--rate-scale", "0"],
    "presigned": ["--rate-scale", "0", "--unity-storage", "presigned"],
    "sas": ["--rate-scale", "0", "--unity-storage", "sas"],
}
UNITY = ("presigned", "sas")
LISTED = ("artifact_of_5_bytes", "artifact_of_25_megabytes", "artifact_of_120_megabytes", "folder_of_artifacts")

# Wrong options, and the flows that must fail then: an absent directory is taken for an empty one by the client, and so on.
BROKEN = [
    (["--search-ids", "1000"], {"experiments_are_refused"}),
    (["--files-api", "404"], {*LISTED, "logged_model_and_version"}),
    (["--no-headers"], {"signed_addresses"}),
]


emulator = functools.partial(running, "databricks_emulator.py")


def environment(described, kind="pat"):
    """What the official client needs to come to the emulator."""
    foreign = ("MLFLOW_", "DATABRICKS_", "AZURE_", "ARM_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign) or k == "DATABRICKS_JUDGE_TRACE"}
    made = kept | {
        "MLFLOW_TRACKING_URI": "databricks", "MLFLOW_REGISTRY_URI": "databricks-uc" if kind in UNITY else "databricks", "DATABRICKS_HOST": described["host"],
        "DATABRICKS_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1", "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "GIT_PYTHON_REFRESH": "quiet", "PYTHONDONTWRITEBYTECODE": "1",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "DATABRICKS_EMULATOR": json.dumps(described),
    }  # fmt: skip
    if kind in UNITY:
        # The storage account has a name that only the proxy knows.
        made |= {"HTTPS_PROXY": described["proxy"], "REQUESTS_CA_BUNDLE": described["ca_file"], "DATABRICKS_JUDGE_UNITY": kind}
    if kind.startswith("oauth"):
        return made | {"DATABRICKS_CLIENT_ID": described["client_id"], "DATABRICKS_CLIENT_SECRET": described["client_secret"]}
    return made | {"DATABRICKS_TOKEN": described["token"]}


def judged(kind, options, directory, shown=True):
    """The names of the flows that failed."""
    with emulator(directory, *options) as described:
        python = ENVIRONMENTS / ("databricks" if kind == "sas" else "mlflow3") / "bin" / "python"
        command = [str(python), str(HERE / "databricks_judge.py"), *(["unity"] if kind in UNITY else ["files"] if "-" in kind else [])]
        process = subprocess.Popen(
            command, env=environment(described, kind), stdout=subprocess.PIPE, stderr=None if shown else subprocess.DEVNULL, text=True
        )
        failed = set()
        for line in process.stdout:
            if shown and line.startswith(("ok ", "FAILED ")):
                print(f"{kind}: {line}", end="", flush=True)
            if line.startswith("FAILED "):
                failed.add(line.split(" ")[1].rstrip(":\n"))
        if process.wait() != (1 if failed else 0):
            failed.add("the judge itself")
    return failed


def main():
    parser = argparse.ArgumentParser(description="Judge the Databricks emulator.")
    parser.add_argument("--only", action="append", choices=["wire", *JUDGED, "broken"])
    parser.add_argument("--directory", help="keep the emulator's state here")
    options = parser.parse_args()
    wanted, failed = options.only or ["wire", *JUDGED, "broken"], False
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(options.directory or temporary)
        if "wire" in wanted:
            failed |= bool(databricks_wiretest.run(emulator, directory / "wire"))
        for kind, given in JUDGED.items():
            if kind not in wanted:
                continue
            if kind == "sas" and not (ENVIRONMENTS / "databricks" / ".complete").exists():
                print("skipped sas: .ci/setup databricks makes what it needs", flush=True)
            else:
                started = time.monotonic()
                found = judged(kind, given, directory / kind)
                failed |= bool(found)
                print(f"{kind}: {'FAILED' if found else 'well'} after {time.monotonic() - started:.0f} s", flush=True)
        for number, (given, expected) in enumerate(BROKEN if "broken" in wanted else []):
            found = judged("pat", ["--rate-scale", "0", *given], directory / f"broken {number}", shown=False)
            failed |= found != expected
            word = "ok" if found == expected else "FAILED"
            print(f"broken: {word} {' '.join(given)}: the judge found {sorted(found)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
