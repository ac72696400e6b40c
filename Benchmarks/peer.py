"""mlflow-export-import as its users run it: export-all, then import-all.

    .venv/peer/bin/python Benchmarks/peer.py export|import FOLDER [--threads]

The tracking URI comes from MLFLOW_TRACKING_URI. Release 1.2.0, the newest in the package index, starts once
`tabulate`, which it imports without asking for it, is installed; nothing of it is changed.
"""

import sys


def main():
    action, folder = sys.argv[1:3]
    threads = ["--use-threads", "True"] if "--threads" in sys.argv else []
    if action == "export":
        from mlflow_export_import.bulk.export_all import main as command

        sys.argv = ["export-all", "--output-dir", folder, *threads]
    else:  # what its command `import-all` runs
        from mlflow_export_import.bulk.import_models import main as command

        sys.argv = ["import-all", "--input-dir", folder, *threads]
    command()


if __name__ == "__main__":
    main()
