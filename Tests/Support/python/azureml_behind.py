"""The real MLflow server behind the Azure ML emulator: it knows what experiments, runs and models are."""

import http.client
import json
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.parse

import azureml_errors as errors
import quickack

# The server closes what was idle for 5 s. A connection younger than this is safe to use again.
IDLE_SECONDS = 3
RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")
EXPERIMENT_ID = re.compile(r"(?<=\bid=)\d+\b")


class Behind:
    def __init__(self, folder, python, ids):
        """Started through servers.py, which ends the server when our end of its standard input closes, however we end."""
        quickack.install()
        # Not resolved: a virtual environment's python is a link out of it.
        venv = pathlib.Path(python).absolute().parent.parent
        script = pathlib.Path(__file__).with_name("servers.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder), "--venv", str(venv), "--workers", "1", "--until-eof"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the MLflow server behind did not start")
        self.described = json.loads(line)
        self.port = self.described["port"]
        self.local = threading.local()
        self.ids = ids

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def raw(self, method, route, arguments):
        """(status, body) of one call."""
        path, body, headers = f"/api/2.0/mlflow/{route}", None, {}
        if method == "GET":
            path += "?" + urllib.parse.urlencode({k: v for k, v in arguments.items() if v is not None}, doseq=True)
        else:
            body, headers = json.dumps(arguments).encode(), {"Content-Type": "application/json"}
        connection, used = getattr(self.local, "connection", None), getattr(self.local, "used", 0)
        if connection is None or time.monotonic() - used > IDLE_SECONDS:
            if connection:
                connection.close()
            connection = self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self.local.connection = None
            raise
        self.local.used = time.monotonic()
        return status, body

    def document(self, method, route, arguments):
        """(status, document) of one call."""
        status, body = self.raw(method, route, arguments)
        try:
            return status, json.loads(body) if body else {}
        except ValueError:
            return status, {"message": body.decode(errors="replace")}

    def call(self, method, route, arguments):
        """The answer's document; an error is raised in the shape of Azure ML."""
        status, document = self.document(method, route, arguments)
        if status < 400:
            return document
        message, error_code = str(document.get("message", "")), document.get("error_code", "INTERNAL_ERROR")
        # Messages name things by the ids of the server behind.
        message = RUN_ID.sub(lambda found: self.ids.run_out(found[0]), message)
        message = EXPERIMENT_ID.sub(lambda found: self.ids.experiment_out(found[0]), message)
        code = "ServiceError" if status >= 500 else "ValidationError" if error_code == "INVALID_PARAMETER_VALUE" else "UserError"
        raise errors.mlflow(status, code, message, error_code)
