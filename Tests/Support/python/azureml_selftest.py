"""Starts the Azure ML emulator and has it judged: by Microsoft's client in both versions, and over plain HTTP.

    azureml_selftest.py [--only 2|3|wire]... [--directory DIR]

A judge whose environment (.venv/azureml2, .venv/azureml3 of the project) is missing is skipped, and said so.
Exit 0 when all that ran is well.
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

from emulating import running

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]


emulator = functools.partial(running, "azureml_emulator.py")


def environment(described):
    """What Microsoft's client needs to come to the emulator."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AZURE", "IDENTITY_", "MSI_"))}
    return kept | {
        "MLFLOW_TRACKING_URI": described["tracking_uri"], "HTTPS_PROXY": described["proxy"], "NO_PROXY": "",
        "REQUESTS_CA_BUNDLE": described["ca_file"], "SSL_CERT_FILE": described["ca_file"],
        "IDENTITY_ENDPOINT": described["identity_endpoint"], "IDENTITY_HEADER": described["identity_header"],
        "AZUREML_CURRENT_CLOUD": "AzureCloud", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet",
        "AZUREML_EMULATOR": json.dumps(described), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


def judged(version, described):
    python = ROOT / ".venv" / f"azureml{version}" / "bin" / "python"
    if not python.exists():
        print(f"skipped azureml{version}: make {python.parents[1]} from requirements-azureml{version}.txt")
        return 0
    started = time.monotonic()
    print(f"judge {version}", flush=True)
    status = subprocess.run([str(python), str(HERE / "azureml_judge.py"), version], env=environment(described)).returncode
    print(f"judge {version}: {'well' if status == 0 else 'FAILED'} after {time.monotonic() - started:.0f} s", flush=True)
    return status


def main():
    parser = argparse.ArgumentParser(description="Judge the Azure ML emulator.")
    parser.add_argument("--only", action="append", choices=["2", "3", "wire"])
    parser.add_argument("--directory", help="keep the emulator's state here")
    options = parser.parse_args()
    wanted, failed = options.only or ["wire", "2", "3"], 0
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(options.directory or temporary)
        if "wire" in wanted:
            import azureml_wiretest

            failed += bool(azureml_wiretest.run(emulator, directory / "wire"))
        versions = [version for version in wanted if version != "wire"]
        if versions:
            with emulator(directory / "judged") as described:
                failed += sum(bool(judged(version, described)) for version in versions)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
