"""What no official client shows of the Databricks emulator: lives that end, a new start on the same directory, memory, lost answers."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import time
import traceback
import urllib.parse

LARGE = 150 << 20
MOST_MEMORY = 150 << 10


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


class Wire:
    def __init__(self, described):
        self.described = described

    def request(self, method, address, body=None, **headers):
        """(status, headers, body). Underscores of the headers' names become hyphens."""
        parts = urllib.parse.urlsplit(address)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        with contextlib.closing(connection):
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def api(self, method, path, document=None, token=None):
        body = json.dumps(document) if document is not None else None
        token = token or self.described["token"]
        status, _, body = self.request(method, f"{self.described['host']}/api/2.0/{path}", body, Authorization=f"Bearer {token}")
        return status, json.loads(body)

    def control(self, method, path, document=None):
        body = json.dumps(document) if document is not None else None
        return json.loads(self.request(method, f"{self.described['control']}/emulator/{path}", body)[2])

    def oauth(self, secret=None):
        pair = f"{self.described['client_id']}:{secret or self.described['client_secret']}"
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "all-apis"})
        status, _, body = self.request(
            "POST", f"{self.described['host']}/oidc/v1/token", form, Authorization="Basic " + base64.b64encode(pair.encode()).decode(),
            Content_Type="application/x-www-form-urlencoded",
        )  # fmt: skip
        return status, json.loads(body)

    def run(self, name):
        _, made = self.api("POST", "mlflow/experiments/create", {"name": f"/Shared/{name}"})
        _, made = self.api("POST", "mlflow/runs/create", {"experiment_id": made["experiment_id"], "start_time": 1})
        return made["run"]["info"]["run_id"]

    def address(self, run, path, kind):
        _, made = self.api("POST", f"mlflow/artifacts/credentials-for-{kind}", {"run_id": run, "path": [path]})
        info = made["credential_infos"][0]
        return info["signed_uri"], {each["name"].replace("-", "_"): each["value"] for each in info["headers"]}


def lives_end(start, directory):
    with start(directory, "--token-seconds", "1.5", "--sas-seconds", "1") as described:
        wire = Wire(described)
        status, granted = wire.oauth()
        same((status, granted["token_type"]), (200, "Bearer"))
        same(wire.oauth("wrong")[0], 401)
        same(wire.api("GET", "mlflow/experiments/search", token=granted["access_token"])[0], 200)
        run = wire.run("ends")
        address, headers = wire.address(run, "a", "write")
        same(wire.request("PUT", address, b"abc", x_ms_blob_type="BlockBlob", **headers)[0], 201)
        time.sleep(2.2)
        same(wire.api("GET", "mlflow/experiments/search", token=granted["access_token"])[0], 403)
        status, _, body = wire.request("PUT", address, b"abc", x_ms_blob_type="BlockBlob", **headers)
        assert status == 403 and b"<Code>AuthenticationFailed</Code>" in body, body
        same(wire.api("GET", "mlflow/experiments/search")[0], 200)
        address, headers = wire.address(run, "a", "read")
        same(wire.request("GET", address, **headers)[::2], (200, b"abc"))


def started_again(start, directory):
    with start(directory) as described:
        wire = Wire(described)
        run = wire.run("stays")
        before = wire.api("GET", f"mlflow/runs/get?run_id={run}")
        address, headers = wire.address(run, "folder/a", "write")
        same(wire.request("PUT", address, b"abc", x_ms_blob_type="BlockBlob", **headers)[0], 201)
    with start(directory) as again:
        same([again[key] for key in ("token", "client_id", "workspace_id")], [described[key] for key in ("token", "client_id", "workspace_id")])
        wire = Wire(again)
        same(wire.api("GET", f"mlflow/runs/get?run_id={run}"), before)
        same(wire.api("GET", f"mlflow/artifacts/list?run_id={run}&path=folder")[1]["files"], [{"path": "folder/a", "is_dir": False, "file_size": 3}])
        address, headers = wire.address(run, "folder/a", "read")
        same(wire.request("GET", address, **headers)[::2], (200, b"abc"))


def large_files_are_never_whole_in_memory(start, directory):
    with start(directory, "--storage", "AZURE_ADLS_GEN2_SAS_URI") as described:
        wire = Wire(described)
        run = wire.run("large")
        address, headers = wire.address(run, "large.bin", "write")
        same(wire.request("PUT", address + "&resource=file", **headers)[0], 201)
        piece = os.urandom(1 << 20)
        body = (piece for _ in range(LARGE // len(piece)))
        same(wire.request("PATCH", address + "&action=append&position=0", body, Content_Length=str(LARGE), **headers)[0], 202)
        same(wire.request("PATCH", address + f"&action=flush&position={LARGE - 1}", **headers)[0], 400)
        same(wire.request("PATCH", address + f"&action=flush&position={LARGE}", **headers)[0], 200)
        address, headers = wire.address(run, "large.bin", "read")
        parts, read, size = urllib.parse.urlsplit(address), hashlib.sha256(), 0
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
        connection.request("GET", f"{parts.path}?{parts.query}", headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        while data := answer.read(1 << 20):
            size += len(data)
            read.update(data)
        same(size, LARGE)
        same(read.digest(), hashlib.sha256(piece * (LARGE // len(piece))).digest())
        peak = int(next(line.split()[1] for line in open(f"/proc/{described['pid']}/status") if line.startswith("VmHWM")))
        assert peak < MOST_MEMORY, f"{peak} KiB at its peak"


def answers_are_lost(start, directory):
    with start(directory) as described:
        wire = Wire(described)
        run = wire.run("lost")
        wire.control("POST", "faults", {"lost_answers": {"match": "set-tag", "count": 1}})
        try:
            wire.api("POST", "mlflow/runs/set-tag", {"run_id": run, "key": "k", "value": "v"})
            raise AssertionError("there was an answer")
        except (http.client.HTTPException, OSError):
            pass
        tags = wire.api("GET", f"mlflow/runs/get?run_id={run}")[1]["run"]["data"]["tags"]
        assert {"key": "k", "value": "v"} in tags, tags
        # Another user takes from the same budget, and is counted apart.
        wire.control("DELETE", "counters")
        for token in ("token", "other_token") * 12:
            wire.api("POST", "mlflow/runs/search", {"experiment_ids": []}, described[token])
        counted = wire.control("GET", "counters")
        same([counted["clients"][token]["requests"]["search"] for token in ("token", "other_token")], [12, 12])
        assert 10 <= counted["throttled"]["search"] <= 17, counted["throttled"]


def filled(start, directory):
    with start(directory, "--rate-scale", "0") as described:
        wire = Wire(described)
        wire.run("before")
        made = wire.control("POST", "fill", {"experiments": 30, "runs": 40, "points": 5})["experiments"]
        same(len(set(made)), 30)
        _, found = wire.api("POST", "mlflow/experiments/search", {"filter": "name LIKE '/Shared/filled/%'", "max_results": 100})
        same(sorted(each["experiment_id"] for each in found["experiments"]), sorted(made))
        _, found = wire.api("POST", "mlflow/runs/search", {"experiment_ids": made[:10], "max_results": 1000})
        same(len(found["runs"]), 400)
        run = found["runs"][0]
        same({each["key"]: each["step"] for each in run["data"]["metrics"]}, {"loss": 4, "accuracy": 4})
        _, found = wire.api("GET", f"mlflow/metrics/get-history?run_id={run['info']['run_id']}&metric_key=loss")
        same([each["step"] for each in found["metrics"]], [0, 1, 2, 3, 4])
        # It goes on as ever.
        wire.run("after")


def stood_before(start, directory):
    """What stands before a workspace may take its number away, or let nobody in; and what answers may not be ordered by."""
    with start(directory, "--no-org-id") as described:
        wire = Wire(described)
        status, headers, body = wire.request("GET", f"{described['host']}/.well-known/databricks-config")
        same((status, json.loads(body)["workspace_id"], headers.get("x-databricks-org-id")), (200, described["workspace_id"], None))
        for route, status in (
            ("experiments/search?order_by=experiment_id%20ASC", 400), ("experiments/search?order_by=name%20ASC", 200),
            ("model-versions/search?order_by=version_number%20ASC", 400), ("model-versions/search", 200),
        ):  # fmt: skip
            same((route, wire.api("GET", f"mlflow/{route}")[0]), (route, status))
        wire.control("POST", "faults", {"blocked": True})
        status, answer = wire.api("GET", "mlflow/experiments/search")
        same((status, answer["error_code"]), (403, 403))
        same(wire.oauth()[0], 403)
        wire.control("DELETE", "faults")
        same(wire.api("GET", "mlflow/experiments/search")[0], 200)


CHECKS = (lives_end, started_again, large_files_are_never_whole_in_memory, answers_are_lost, filled, stood_before)


def run(start, directory):
    """How many failed."""
    failed = 0
    for number, check in enumerate(CHECKS):
        try:
            check(start, directory / str(number))
            print(f"wire: ok {check.__name__}", flush=True)
        except Exception as error:
            failed += 1
            print(f"wire: FAILED {check.__name__}: {type(error).__name__}: {str(error)[:500]}", flush=True)
            if os.environ.get("DATABRICKS_JUDGE_TRACE"):
                traceback.print_exc()
    return failed
