"""Who asks: personal access tokens, and OAuth tokens of a service principal, which end."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
import urllib.parse
import uuid

import databricks_errors as errors
from azureml_errors import Failure, as_json


def encoded(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class Identity:
    def __init__(self, store, options):
        self.store, self.options = store, options
        self.key = store.secret("token key").encode()
        self.client_id, self.client_secret = store.guid("client id"), "dose" + store.secret("client secret")[:32]
        make = lambda: "dapi" + secrets.token_hex(16)  # noqa: E731
        self.token = options.token or store.meta("token", make)
        # Somebody else of the same workspace: whoever uses it takes from the same budgets.
        self.other_token = store.meta("other token", make)
        self.account = store.guid("account")

    def signature(self, text):
        return base64.urlsafe_b64encode(hmac.digest(self.key, text.encode(), hashlib.sha256)).rstrip(b"=").decode()

    def issue(self):
        moment = int(time.time())
        claims = {
            "client_id": self.client_id, "scope": "all-apis", "iss": "emulator", "sub": self.client_id, "iat": moment,
            "exp": time.time() + self.options.token_seconds, "jti": uuid.uuid4().hex, "generation": self.store.generation("tokens"),
        }  # fmt: skip
        text = f"{encoded({'typ': 'at+jwt', 'alg': 'HS256'})}.{encoded(claims)}"
        return f"{text}.{self.signature(text)}"

    def expire(self):
        self.store.next_generation("tokens")

    def client(self, request):
        """Which client this is: token, other_token or oauth. Raises 401 or 403."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token:
            raise self.refused(401, "Credential was not sent or was of an unsupported type for this API.")
        if token == self.token:
            return "token"
        if token == self.other_token:
            return "other_token"
        text, _, signature = token.rpartition(".")
        if hmac.compare_digest(self.signature(text).encode(), signature.encode()):
            part = text.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            if claims["generation"] == self.store.generation("tokens") and claims["exp"] > time.time():
                return "oauth"
        raise self.refused(self.options.refused_status, "Invalid access token.")

    @staticmethod
    def refused(status, text):
        code = str(status) if status == 403 else "UNAUTHENTICATED"
        headers = {"WWW-Authenticate": 'Bearer realm="DatabricksRealm"'} if status == 401 else {}
        return errors.failure(status, code, f"{text} [ReqId: {uuid.uuid4()}]", headers)

    # What is asked without a token

    def open(self, request, base, workspace):
        """The answer to a request that needs no token; None when it does."""
        match request.method, request.path:
            case "GET", "/.well-known/databricks-config":
                return as_json({
                    "oidc_endpoint": f"{base}/oidc", "account_id": self.account, "workspace_id": workspace, "cloud": "Azure",
                    "host_type": "workspace", "token_federation_default_oidc_audiences": [f"{base}/oidc/v1/token"],
                })  # fmt: skip
            case "GET", "/oidc/.well-known/oauth-authorization-server":
                return as_json({
                    "issuer": f"{base}/oidc", "authorization_endpoint": f"{base}/oidc/v1/authorize",
                    "token_endpoint": f"{base}/oidc/v1/token", "jwks_uri": f"{base}/oidc/jwks.json",
                    "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
                    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
                })  # fmt: skip
            case "POST", "/oidc/v1/token":
                return self.granted(request)
        return None

    def granted(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.all().decode(), keep_blank_values=True))
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(text).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                name = secret = ""
            given = (urllib.parse.unquote(name), urllib.parse.unquote(secret))
        if given != (self.client_id, self.client_secret):
            raise Failure(as_json({"error": "invalid_client", "error_description": "Client authentication failed"}, 401))
        if form.get("grant_type") != "client_credentials":
            text = f"The grant type {form.get('grant_type')} is not supported"
            raise Failure(as_json({"error": "unsupported_grant_type", "error_description": text}, 400))
        if form.get("scope") != "all-apis":
            raise Failure(as_json({"error": "invalid_scope", "error_description": "Invalid scope"}, 400))
        seconds = self.options.token_seconds
        return as_json({"access_token": self.issue(), "scope": "all-apis", "token_type": "Bearer", "expires_in": max(1, int(seconds))})
