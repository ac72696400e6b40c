"""What the outside judge of the Databricks emulator judges with: its flows, the emulator's control port, expected failures."""

import hashlib
import json
import os
import pathlib
import time
import urllib.error
import urllib.request
import warnings

warnings.filterwarnings("ignore")

import mlflow  # noqa: E402

EMULATOR = json.loads(os.environ["DATABRICKS_EMULATOR"])
HOME = f"/Users/{EMULATOR['user']}"
MIB = 1 << 20
FLOWS = []


def flow(function):
    FLOWS.append(function)
    return function


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def fails(action, *texts):
    try:
        action()
    except Exception as error:
        for text in texts:
            assert text in str(error), f"{text!r} is not in {str(error)[:500]!r}"
        return
    raise AssertionError(f"it was not refused ({texts})")


def asked(method, address, document=None, headers=()):
    """(status, headers, body) without the official client; whom it goes to is told by the address."""
    body = json.dumps(document).encode() if document is not None else b"" if method == "POST" else None
    request = urllib.request.Request(address, body, method=method, headers=dict(headers))
    try:
        answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read()


def control(method, path, document=None):
    return json.loads(asked(method, f"{EMULATOR['control']}/emulator/{path}", document)[2])


def api(method, path, document=None, token=None):
    status, _, body = asked(method, f"{EMULATOR['host']}/api/2.0/{path}", document, {"Authorization": f"Bearer {token or EMULATOR['token']}"})
    return status, json.loads(body)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * 2 + 1


class Judge:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.client = mlflow.MlflowClient()
        self.suffix = f"{time.time_ns()}"
        self.experiment = mlflow.set_experiment(f"{HOME}/judged {self.suffix}").experiment_id

    def name(self, start):
        return f"{HOME}/{start} {self.suffix}"

    def run(self):
        return self.client.create_run(self.experiment).info.run_id

    def file(self, name, size):
        """Bytes that differ from place to place."""
        path = self.folder / name
        with open(path, "wb") as file:
            for number in range(0, size, MIB):
                part = number.to_bytes(8, "big") + os.urandom(1016)
                file.write((part * 1024)[: min(MIB, size - number)])
        return path
