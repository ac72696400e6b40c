"""A bare client of the Azure ML emulator for its own tests: no library's idea of the protocol stands between."""

import http.client
import json
import ssl
import time
import urllib.parse


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


class Wire:
    """Speaks to the emulator over the CONNECT proxy, a connection per request."""

    def __init__(self, described):
        self.described, self.scope = described, described["scope"]
        self.context = ssl.create_default_context(cafile=described["ca_file"])
        self.token = self.managed_token()
        self.base = f"/mlflow/v2.0{self.scope}/api/2.0/mlflow/"
        self.agent = None

    def request(self, host, method, path, body=None, headers=(), chunked=False):
        """(status, headers, body)."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.described["proxy_port"], context=self.context, timeout=60)
        connection.set_tunnel(host, 443)
        try:
            connection.request(method, path, body, dict(headers), encode_chunked=chunked)
            answer = connection.getresponse()
            self.reason = answer.reason
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def api(self, method, path, document=None, token=None):
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        if self.agent:
            headers["User-Agent"] = self.agent
        body = json.dumps(document).encode() if document is not None else None
        status, _, body = self.request(self.described["host"], method, path, body, headers)
        try:
            return status, json.loads(body) if body else None
        except ValueError:
            return status, body

    def mlflow(self, route, document=None, method=None):
        if method == "GET" or document is None:
            return self.api("GET", self.base + route)
        return self.api(method or "POST", self.base + route, document)

    def run(self):
        _, made = self.mlflow("experiments/create", {"name": f"wire {time.time_ns()}"})
        _, made = self.mlflow("runs/create", {"experiment_id": made["experiment_id"], "start_time": 1})
        return made["run"]["info"]["run_id"], made["run"]["info"]["experiment_id"]

    def artifacts(self, run, experiment):
        return f"/history/v1.0{self.scope}/experiments/{experiment}/runs/{run}/artifacts"

    def declared(self, path="a.bin"):
        """(write address, read address) of a new artifact of a new run."""
        at = self.artifacts(*self.run())
        _, made = self.api("POST", at + "/batch/metadata", {"paths": [{"path": path}]})
        _, read = self.api("GET", f"{at}/contentinfo?path={urllib.parse.quote(path)}")
        return made["artifactContentInformation"][path]["contentUri"], read["contentUri"]

    def blob(self, address, method="GET", body=None, more="", chunked=False, **headers):
        parts = urllib.parse.urlsplit(address)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(parts.hostname, method, f"{parts.path}?{parts.query}{more}", body, headers, chunked)

    def put(self, address, body, **headers):
        return self.blob(address, "PUT", body, x_ms_blob_type="BlockBlob", **headers)

    def control(self, method, path, document=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.described["control_port"], timeout=60)
        connection.request(method, path, json.dumps(document) if document is not None else None, dict(headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body) if body else None

    def managed_token(self):
        headers = {"X-IDENTITY-HEADER": self.described["identity_header"]}
        path = "/msi/token?api-version=2019-08-01&resource=https://management.azure.com"
        return self.control("GET", path, headers=headers)[1]["access_token"]
