"""The options of the Databricks emulator, and what it says to people."""

import argparse

from azureml_emulator import default_python


def parser():
    options = argparse.ArgumentParser(description="Emulate MLflow on an Azure Databricks workspace.")
    options.add_argument("--directory", required=True, help="keeps all state")
    options.add_argument("--mlflow-python", default=default_python(), help="python of an environment with MLflow 3")
    options.add_argument("--storage", choices=["AZURE_SAS_URI", "AZURE_ADLS_GEN2_SAS_URI"], default="AZURE_SAS_URI")
    options.add_argument("--token", help="the personal access token (default: one of its own)")
    options.add_argument("--token-seconds", type=float, default=3600, help="life of OAuth tokens")
    options.add_argument("--sas-seconds", type=float, default=3600, help="life of signed addresses")
    options.add_argument("--refused-status", type=int, choices=[401, 403], default=403, help="what a token that ended gets")
    options.add_argument("--rate-scale", type=float, default=1, help="the documented rates times this; 0 for none")
    options.add_argument("--search-ids", type=int, default=10, help="most experiment ids in one runs/search")
    options.add_argument("--no-quotas", dest="quotas", action="store_false", help="runs hold what they are given")
    options.add_argument("--files-api", type=int, default=501, help="status that the Files API answers")
    options.add_argument("--pending-seconds", type=float, default=0.5, help="how long versions of models are pending")
    options.add_argument("--no-headers", dest="headers", action="store_false", help="credentials name no headers")
    options.add_argument("--no-org-id", dest="org_id", action="store_false", help="answers bear no x-databricks-org-id, as behind some proxies")
    options.add_argument("--unity-storage", choices=["sas", "presigned"], default="sas", help="how files in Unity Catalog are reached")
    options.add_argument("--list-page", type=int, default=1000, help="files in one answer of a list")
    options.add_argument("--credentials-page", type=int, default=2000, help="credentials in one answer")
    options.add_argument("--user", default="me@example.com")
    options.add_argument("--user-id", default="4711471147114711")
    options.add_argument("--explain", action="store_true", help="say for people how it is reached, and serve until Ctrl-C")
    for name in ("port", "storage-port", "control-port"):
        options.add_argument(f"--{name}", type=int, default=0)
    return options


def explained(described):
    """For people: what to set before mlmirror, or the official client, is started."""
    variables = {
        "MLFLOW_TRACKING_URI": "databricks", "MLFLOW_REGISTRY_URI": "databricks", "DATABRICKS_HOST": described["host"],
        "DATABRICKS_TOKEN": described["token"],
    }  # fmt: skip
    lines = [f"export {name}='{value}'" for name, value in variables.items()]
    head = f"A Databricks workspace is emulated here (experiments go to /Shared/... or /Users/{described['user']}/...). In another shell:"
    return "\n".join([head, "", *lines, "", "Ctrl-C ends it."])
