"""What the official client does not reach of the Azure ML emulator: blobs, faults, refusals, and starting again. Run by
azureml_selftest.py."""

import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import threading
import time
import traceback
import urllib.parse

from azureml_wire import Wire, same

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def error(answer, status, code):
    same((answer[0], answer[1]["x-ms-error-code"]), (status, code))
    assert f"<Code>{code}</Code>".encode() in answer[2], answer[2]


@check
def doors(wire):
    with socket.create_connection(("127.0.0.1", wire.described["proxy_port"])) as proxy:
        proxy.sendall(b"CONNECT example.com:443 HTTP/1.1\r\n\r\n")
        assert proxy.recv(100).startswith(b"HTTP/1.1 403 "), "a foreign host was let through"
    same(wire.request("management.azure.com", "GET", "/metadata/endpoints?api-version=2019-05-01")[0], 200)
    direct = http.client.HTTPSConnection("127.0.0.1", wire.described["tls_port"], context=wire.context, timeout=60)
    for _ in range(3):  # on one connection, and straight
        direct.request("GET", f"{wire.base}experiments/search?max_results=1", headers={"Authorization": f"Bearer {wire.token}"})
        same((answer := direct.getresponse()).status, 200)
        answer.read()


@check
def tokens(wire):
    status, headers, body = wire.request(wire.described["host"], "GET", wire.base + "experiments/search?max_results=1")
    same((status, headers["WWW-Authenticate"][:6]), (401, "Bearer"))
    same(json.loads(body)["error"]["code"], "UserError")
    same(wire.api("GET", wire.base + "experiments/search", token=wire.token[:-2] + "xx")[0], 401)
    same(wire.control("GET", "/msi/token?api-version=2019-08-01&resource=https://management.azure.com")[0], 401)
    path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
    same(wire.control("GET", path)[0], 400)
    token = wire.control("GET", path, headers={"Metadata": "true"})[1]["access_token"]
    same(wire.api("GET", wire.base + "experiments/search?max_results=1", token=token)[0], 200)
    wire.control("POST", "/tokens/expire")
    same(wire.api("GET", wire.base + "experiments/search", token=token)[0], 401)
    wire.token = wire.managed_token()
    same(wire.api("GET", wire.base + "experiments/search?max_results=1")[0], 200)


@check
def directory(wire):
    def ask(**form):
        tenant = wire.described["tenant"]
        status, _, body = wire.request(
            "login.microsoftonline.com", "POST", f"/{tenant}/oauth2/v2.0/token", urllib.parse.urlencode(form),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        return status, json.loads(body)

    whole = {
        "grant_type": "client_credentials", "client_id": wire.described["client_id"],
        "client_secret": wire.described["client_secret"], "scope": "https://management.azure.com/.default",
    }  # fmt: skip
    status, answer = ask(**whole)
    same((status, answer["token_type"]), (200, "Bearer"))
    same(wire.api("GET", wire.base + "experiments/search?max_results=1", token=answer["access_token"])[0], 200)
    same(ask(**whole | {"client_secret": "x"})[1]["error_codes"], [7000215])
    same(ask(**whole | {"scope": "https://ml.azure.com/.default"})[1]["error"], "invalid_scope")
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    federated = {k: v for k, v in whole.items() if k != "client_secret"} | {"client_assertion_type": kind, "client_assertion": "a.b.c"}
    same(ask(**federated)[0], 200)


@check
def envelopes(wire):
    for route in ("logged-models/search", "runs/outputs", "experiments/update", "nothing", "experiments/delete-experiment-tag"):
        same(wire.mlflow(route, {}), (404, None))
    for path in (f"/mlflow/v2.0{wire.scope}/version", f"/mlflow/v2.0{wire.scope}/api/3.0/mlflow/server-info", "/metric/v2.0"):
        same(wire.api("GET", path), (404, None))
    same(wire.api("GET", wire.base.replace("emulated-workspace", "other") + "experiments/search")[0], 404)
    same(wire.api("GET", wire.base.replace("v2.0", "v1.0", 1) + "experiments/search?max_results=1")[0], 200)
    same(wire.mlflow("traces/search", {})[0], 403)
    status, answer = wire.mlflow("runs/get?run_id=00000000-0000-0000-0000-000000000001")
    same((status, answer["error_code"], answer["statusCode"]), (404, "RESOURCE_DOES_NOT_EXIST", 404))
    assert "00000000-0000-0000-0000-000000000001" in answer["Error"]["Message"] and "message" not in answer, answer
    run, _ = wire.run()
    status, answer = wire.mlflow("runs/set-tag", {"run_id": run, "key": "a", "value": 1})
    same((status, answer["Error"]["Message"]), (400, "The request is invalid."))
    same(wire.mlflow("experiments/get-by-name?experiment_name=Default")[0], 404)
    made = wire.mlflow("experiments/create", {"name": "Default"})[1]["experiment_id"]
    same(wire.mlflow("experiments/get-by-name?experiment_name=Default")[1]["experiment"]["experiment_id"], made)


@check
def batches(wire):
    run, _ = wire.run()
    metric = {"key": "m", "value": 1, "timestamp": "5", "step": 2, "run_id": run, "model_id": "x", "dataset_name": "y"}
    values = [1, "NaN", "Infinity", "-Infinity"]
    same(wire.mlflow("runs/log-batch", {"run_id": run, "metrics": [metric | {"value": value} for value in values]})[0], 200)
    mixed = {"run_id": run, "params": [{"key": "p", "value": "v"}], "tags": [{"key": f"t{n}", "value": "x"} for n in range(51)]}
    same(wire.mlflow("runs/log-batch", mixed)[0], 400)
    same(wire.mlflow(f"runs/get?run_id={run}")[1]["run"]["data"]["params"], [])
    history = f"metrics/get-history?run_id={run}&metric_key=m"
    same([entry["value"] for entry in wire.mlflow(history)[1]["metrics"]], values)
    first = wire.mlflow(history + "&max_results=3")[1]
    second = wire.mlflow(f"{history}&max_results=3&page_token={urllib.parse.quote(first['next_page_token'])}")[1]
    same((len(first["metrics"]), len(second["metrics"]), "next_page_token" in second), (3, 1, False))
    same(wire.mlflow(history + "&max_results=1000")[0], 400)
    wire.agent = "mlflow-python-client/3.0"
    same(wire.mlflow(history + "&max_results=25000")[0], 200)
    wire.agent = None
    wire.control("POST", "/faults", {"duplicates": False, "limits": {"rows": 3}})
    same(wire.mlflow("runs/log-batch", {"run_id": run, "metrics": [metric] * 4})[0], 400)
    same(wire.mlflow("runs/log-batch", {"run_id": run, "metrics": [metric, metric, metric | {"step": 3}]})[0], 200)
    same(len(wire.mlflow(history)[1]["metrics"]), 5)
    wire.control("DELETE", "/faults")


@check
def delayed(wire):
    run, _ = wire.run()
    preview = wire.base.replace("/api/2.0/", "/api/2.0/preview/") + "runs/"
    wire.control("POST", "/faults", {"async_seconds": 0.5})
    metric = {"key": "m", "value": 1, "timestamp": 1, "step": 0}
    tracking = wire.api("POST", preview + "log-batch-async", {"run_id": run, "metrics": [metric]})[1]["batch_tracking_id"]
    status = f"{preview}get-run-data-status?run_id={run}&batch_tracking_id={tracking}"
    history = f"metrics/get-history?run_id={run}&metric_key=m"
    same((wire.api("GET", status)[1]["is_complete"], wire.mlflow(history)[1]["metrics"]), (False, []))
    time.sleep(0.8)
    same((wire.api("GET", status)[1]["is_complete"], len(wire.mlflow(history)[1]["metrics"])), (True, 1))
    wire.control("DELETE", "/faults")


@check
def declaring(wire):
    run, experiment = wire.run()
    at = wire.artifacts(run, experiment)
    same(wire.api("POST", at + "/batch/metadata", {"paths": [{"path": f"f{n}"} for n in range(101)]})[0], 400)
    same(wire.reason, "Artifact batch size exceeded the limit of 100")
    made = wire.api("POST", at + "/batch/metadata", {"paths": [{"path": "a"}, {"path": "dir/b"}]})[1]
    again = wire.api("POST", at + "/batch/metadata", {"paths": [{"path": "a"}, {"path": "c"}]})[1]
    same((list(again["artifacts"]), list(again["errors"])), (["c"], ["a"]))
    text = f"Resource Conflict: ArtifactId ExperimentRun/dcid.{run}/a already exists"
    same(again["errors"]["a"]["error"]["message"], text)
    same([entry["path"] for entry in wire.api("GET", at)[1]["value"]], ["a", "c", "dir/b"])
    same(wire.api("GET", at + "/contentinfo?path=none")[0], 404)
    read = wire.api("GET", at + "/contentinfo?path=a")[1]["contentUri"]
    error(wire.blob(read), 404, "BlobNotFound")
    same(len(wire.api("GET", at + "/prefix/contentinfo?path=dir")[1]["value"]), 1)
    service = f"/artifact/v2.0{wire.scope}/artifacts/ExperimentRun/dcid.{run}"
    same(wire.put(wire.api("GET", service + "/write?path=a")[1]["contentUri"], b"later")[0], 201)
    same(wire.blob(read)[2], b"later")
    same(wire.api("POST", service + "/content?path=a", "x")[0], 409)
    same(wire.api("POST", service + "/content?path=a&allowOverwrite=true", "x")[0], 200)
    same(wire.api("GET", service + "/content?path=a")[1], "x")
    same(wire.api("DELETE", service + "/metadata?path=a")[0], 200)
    error(wire.blob(made["artifactContentInformation"]["a"]["contentUri"]), 404, "BlobNotFound")


@check
def blobs(wire):
    write, read = wire.declared("dir/ü +%.bin")
    data = os.urandom(300_000)
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    same(wire.blob(write, "PUT", data)[1]["x-ms-error-code"], "MissingRequiredHeader")
    error(wire.put(write, data, Content_MD5=base64.b64encode(b"0" * 16).decode()), 400, "Md5Mismatch")
    error(wire.blob(read), 404, "BlobNotFound")
    chunks = iter([data[:1000], data[1000:]])
    answer = wire.blob(write, "PUT", chunks, chunked=True, Transfer_Encoding="chunked", x_ms_blob_type="BlockBlob", If_None_Match="*")
    same((answer[0], answer[1]["Content-MD5"]), (201, md5))
    error(wire.put(write, b"x", If_None_Match="*"), 409, "BlobAlreadyExists")
    status, headers, body = wire.blob(read)
    same((status, body == data, headers["Content-MD5"], headers["x-ms-blob-type"]), (200, True, md5, "BlockBlob"))
    status, headers, body = wire.blob(read, "HEAD")
    same((status, headers["Content-Length"], headers["Content-MD5"], body), (200, "300000", md5, b""))
    status, headers, body = wire.blob(read, x_ms_range="bytes=299990-999999")
    same((status, headers["Content-Range"], body), (206, "bytes 299990-299999/300000", data[-10:]))
    error(wire.blob(read, Range="bytes=300000-"), 416, "InvalidRange")
    error(wire.blob(read, If_Match='"other"'), 412, "ConditionNotMet")
    error(wire.put(read, b"x"), 403, "AuthorizationPermissionMismatch")
    error(wire.blob(read, Authorization="Bearer x"), 403, "AuthenticationFailed")
    error(wire.blob(read.replace("sp=r&", "sp=rcw&")), 403, "AuthenticationFailed")
    wire.control("POST", "/sas/expire")
    error(wire.blob(read), 403, "AuthenticationFailed")


@check
def blocks(wire):
    write, read = wire.declared()
    parts = [os.urandom(70_000) for _ in range(3)]
    names = [base64.b64encode(f"block{n}".encode()).decode() for n in range(3)]

    def block(name, data, **headers):
        return wire.blob(write, "PUT", data, f"&comp=block&blockid={urllib.parse.quote(name, safe='')}", **headers)

    def commit(names, **headers):
        listed = "".join(f"<Latest>{name}</Latest>" for name in names)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        return wire.blob(write, "PUT", body, "&comp=blocklist", **headers)

    for name, data in zip(names, parts):
        same(block(name, data, Content_MD5=base64.b64encode(hashlib.md5(data).digest()).decode())[0], 201)
    error(block(base64.b64encode(b"longer").decode() + "AAAA", b"x"), 400, "InvalidBlobOrBlock")
    error(block("no base64", b"x"), 400, "InvalidQueryParameterValue")
    error(commit([names[0], base64.b64encode(b"blockX").decode()]), 400, "InvalidBlockList")
    error(wire.blob(read), 404, "BlobNotFound")
    same(commit([names[2], names[0]], x_ms_blob_content_md5="given", If_None_Match="*")[0], 201)
    status, headers, body = wire.blob(read)
    same((body == parts[2] + parts[0], headers["Content-MD5"]), (True, "given"))
    error(commit(names, If_None_Match="*"), 409, "BlobAlreadyExists")
    same(commit([])[0], 201)
    same(wire.blob(read)[2], b"")
    same(wire.control("GET", "/state")[1]["blocks"], 0)


@check
def copies(wire):
    source_write, source = wire.declared()
    data = os.urandom(500_000)
    wire.put(source_write, data)
    write, read = wire.declared()

    def block(number, address, **headers):
        name = urllib.parse.quote(base64.b64encode(f"{number}".encode()).decode(), safe="")
        return wire.blob(write, "PUT", b"", f"&comp=block&blockid={name}", x_ms_copy_source=address, **headers)

    class Plain(http.server.BaseHTTPRequestHandler):  # knows no ranges
        def do_GET(self):
            self.send_response(200 if self.path == "/data" else 404)
            self.end_headers()
            self.wfile.write(data if self.path == "/data" else b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    plain = f"http://127.0.0.1:{server.server_port}"
    same(block(0, source, x_ms_source_range="bytes=0-199999")[0], 201)
    same(block(1, plain + "/data", x_ms_source_range="bytes=200000-499999")[0], 201)
    error(block(2, plain + "/nothing"), 404, "CannotVerifyCopySource")
    error(block(2, "https://example.com/x"), 403, "CannotVerifyCopySource")
    error(block(2, source.replace("sp=r", "sp=w")), 403, "CannotVerifyCopySource")
    error(block(2, plain + "/data", x_ms_source_content_md5="AAAA"), 400, "Md5Mismatch")
    same(block(0, source, x_ms_source_range="bytes=0-199999", x_ms_source_if_match=wire.blob(source)[1]["ETag"])[0], 201)
    error(block(2, source, x_ms_source_if_match='"another"'), 412, "SourceConditionNotMet")
    error(block(2, source, x_ms_source_range="bytes=500000-500001"), 416, "InvalidRange")
    wire.control("POST", "/faults", {"copy_refused": True})
    error(block(2, source), 403, "CannotVerifyCopySource")
    wire.control("POST", "/faults", {"copy_refused": [409, "PublicAccessNotPermitted"]})
    error(block(2, source), 409, "PublicAccessNotPermitted")
    wire.control("DELETE", "/faults")
    listed = "".join(f"<Latest>{base64.b64encode(n).decode()}</Latest>" for n in (b"0", b"1"))
    same(wire.blob(write, "PUT", f"<BlockList>{listed}</BlockList>", "&comp=blocklist")[0], 201)
    same(wire.blob(read)[2] == data, True)
    whole_write, whole = wire.declared()
    same(wire.put(whole_write, b"", x_ms_copy_source=source)[0], 201)
    same(wire.blob(whole)[2] == data, True)
    server.shutdown()


@check
def faults(wire):
    run, _ = wire.run()
    tag = {"run_id": run, "key": "a", "value": "1"}
    wire.control("POST", "/faults", {"throttle": {"match": "set-tag", "every": 2, "retry_after": 3}})
    same([wire.mlflow("runs/set-tag", tag)[0] for _ in range(4)], [200, 429, 200, 429])
    wire.control("DELETE", "/faults")
    wire.control("POST", "/faults", {"errors": {"match": "set-tag$", "count": 1, "status": 500}})
    same([wire.mlflow("runs/set-tag", tag | {"value": "2"})[0] for _ in range(2)], [500, 200])
    wire.control("POST", "/faults", {"lost_answers": [{"match": "set-tag", "count": 1}, {"match": "log-batch", "count": 1, "status": 503}]})
    try:
        wire.mlflow("runs/set-tag", tag | {"value": "3"})
        raise AssertionError("there was an answer")
    except (http.client.RemoteDisconnected, ssl.SSLEOFError):
        pass
    metric = {"key": "m", "value": 1, "timestamp": 1, "step": 0}
    same(wire.mlflow("runs/log-batch", {"run_id": run, "metrics": [metric]})[0], 503)
    data = wire.mlflow(f"runs/get?run_id={run}")[1]["run"]["data"]
    same(({t["key"]: t["value"] for t in data["tags"]}["a"], len(data["metrics"])), ("3", 1))
    wire.control("POST", "/faults", {"delay": {"match": "runs/get", "seconds": 0.4, "count": 1}})
    started = time.monotonic()
    wire.mlflow(f"runs/get?run_id={run}")
    assert time.monotonic() - started >= 0.4, "it did not wait"
    same(wire.control("POST", "/faults", {"no such": 1})[0], 400)
    wire.control("DELETE", "/faults")
    write, read = wire.declared()
    wire.control("POST", "/faults", {"throttle": {"match": "^/azureml/", "count": 1}})
    error(wire.put(write, b"x"), 503, "ServerBusy")
    same(wire.put(write, b"x")[0], 201)
    wire.control("DELETE", "/faults")
    logged = wire.control("GET", "/requests")[1]
    assert any(entry["status"] == 0 for entry in logged) and not any(re.search("[?&]sig=", entry["path"]) for entry in logged)


def speed(wire):
    """How quick it is, for those who wait for it."""
    run, _ = wire.run()
    connection = http.client.HTTPSConnection("127.0.0.1", wire.described["tls_port"], context=wire.context)
    headers = {"Authorization": f"Bearer {wire.token}"}

    def timed(times, rows):
        started = time.monotonic()
        for number in range(times):
            metrics = [{"key": f"m{n % 40}", "value": n, "timestamp": number, "step": number} for n in range(rows)]
            connection.request("POST", wire.base + "runs/log-batch", json.dumps({"run_id": run, "metrics": metrics}), headers)
            answer = connection.getresponse()
            answer.read()
            same(answer.status, 200)
        return (time.monotonic() - started) / times * 1000

    write, read = wire.declared()
    data = os.urandom(1 << 20) * 200
    started = time.monotonic()
    same(wire.put(write, data)[0], 201)
    up, started = time.monotonic() - started, time.monotonic()
    same(len(wire.blob(read)[2]), len(data))
    down = time.monotonic() - started
    print(f"   log-batch: {timed(100, 1):.1f} ms of 1 row, {timed(50, 250):.1f} ms of 250; 200 MiB: {up:.1f} s up, {down:.1f} s down")


def something_to_keep(wire):
    """A run and an artifact that must be there after the next start."""
    run, _ = wire.run()
    metric = {"key": "m", "value": 1, "timestamp": 1, "step": 0}
    wire.mlflow("runs/log-batch", {"run_id": run, "metrics": [metric, metric], "tags": [{"key": "k", "value": "v"}]})
    write, read = wire.declared()
    wire.put(write, b"kept")
    return run, read


def run(emulator, directory):
    """How many checks failed."""
    failed = 0

    def tried(name, action):
        nonlocal failed
        try:
            value = action()
            print(f"ok {name}", flush=True)
            return value
        except Exception:
            failed += 1
            print(f"FAILED {name}:", flush=True)
            traceback.print_exc()

    with emulator(directory) as described:
        wire = Wire(described)
        for each in CHECKS:
            tried(f"wire: {each.__name__}", lambda: each(wire))
            wire.control("DELETE", "/faults")
        tried("wire: speed", lambda: speed(wire))
        kept = tried("wire: something to keep", lambda: something_to_keep(wire))
    ports = [f"--{name}-port={described[name + '_port']}" for name in ("tls", "proxy", "control")]
    with emulator(directory, *ports, "--no-log-inputs", "--aliases", "--sas-seconds=1", "--token-seconds=2") as again:

        def there_again():
            same({**again, "behind": 0, "pid": 0}, {**described, "behind": 0, "pid": 0})
            run, read = kept
            same(wire.mlflow(f"runs/get?run_id={run}")[0], 200)  # the token of before is still good
            same(len(wire.mlflow(f"metrics/get-history?run_id={run}&metric_key=m")[1]["metrics"]), 2)
            same(wire.blob(read)[2], b"kept")
            same(wire.mlflow("runs/log-inputs", {"run_id": run}), (404, None))
            wire.mlflow("registered-models/create", {"name": "aliased"})
            _, short = wire.declared()
            error(wire.blob(short), 404, "BlobNotFound")
            token = wire.managed_token()
            same(wire.api("GET", wire.base + "experiments/search?max_results=1", token=token)[0], 200)
            time.sleep(2.1)
            error(wire.blob(short), 403, "AuthenticationFailed")
            same(wire.api("GET", wire.base + "experiments/search?max_results=1", token=token)[0], 401)
            same(wire.mlflow("registered-models/alias?name=aliased&alias=none")[1]["error_code"], "INVALID_PARAMETER_VALUE")

        tried("wire: started again", there_again)
    return failed
