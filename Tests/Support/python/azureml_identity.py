"""Tokens: login.microsoftonline.com, the two forms of a managed identity's endpoint, and the check of a bearer token."""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse
import uuid

import azureml_errors as errors
from azureml_errors import as_json

AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
SCOPE = "https://management.azure.com/.default"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def encoded(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class Identity:
    def __init__(self, store, seconds):
        self.store, self.seconds = store, seconds
        self.key = store.secret("token key").encode()
        self.tenant, self.client_id = store.guid("tenant"), store.guid("client id")
        self.client_secret, self.identity_header = store.secret("client secret"), store.secret("identity header")
        self.checked = {}

    # Tokens

    def signature(self, text):
        return base64.urlsafe_b64encode(hmac.digest(self.key, text.encode(), hashlib.sha256)).rstrip(b"=").decode()

    def issue(self):
        """(token, when it ends). The shape of a JWT, as some clients look into it."""
        moment = int(time.time())
        claims = {
            "aud": "https://management.azure.com", "iss": f"https://sts.windows.net/{self.tenant}/", "iat": moment,
            "nbf": moment, "exp": moment + self.seconds, "appid": self.client_id, "oid": self.client_id, "tid": self.tenant,
            "uti": uuid.uuid4().hex, "ver": "1.0", "generation": self.store.generation("tokens"),
        }  # fmt: skip
        text = f"{encoded({'typ': 'JWT', 'alg': 'HS256'})}.{encoded(claims)}"
        return f"{text}.{self.signature(text)}", moment + self.seconds

    def expire(self):
        self.store.next_generation("tokens")
        self.checked.clear()

    def claims(self, token):
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self.signature(text), signature):
            return None
        part = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return claims if claims["generation"] == self.store.generation("tokens") else None

    def check(self, request):
        """Raises 401 unless the request bears a token that was issued here and is still good."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        ends = self.checked.get(token)
        if ends is None and kind.lower() == "bearer" and token:
            claims = self.claims(token)
            if claims:
                if len(self.checked) > 1000:
                    self.checked.clear()
                ends = self.checked[token] = claims["exp"]
        if ends is None or ends <= time.time():
            raise errors.service(
                401, "UserError", "Authorization token is expired or invalid." if token else "Bearer token not provided.",
                "InvalidToken" if token else "Unauthorized", "gateway",
                headers={"WWW-Authenticate": f'Bearer authorization_uri="https://login.microsoftonline.com/{self.tenant}"'},
            )  # fmt: skip

    # Managed identity, on the control port

    def managed(self, request):
        """The App-Service form."""
        if request.headers.get("X-IDENTITY-HEADER") != self.identity_header:
            return as_json({"statusCode": 401, "message": "Unauthorized"}, 401)
        if not request.argument("api-version"):
            return as_json({"statusCode": 400, "message": "No api-version"}, 400)
        resource = request.argument("resource", "")
        if resource.rstrip("/") not in AUDIENCES:
            return as_json({"statusCode": 400, "message": f"Unknown resource {resource!r}"}, 400)
        token, ends = self.issue()
        return as_json({
            "access_token": token, "expires_on": str(ends), "resource": resource, "token_type": "Bearer",
            "client_id": self.client_id,
        })  # fmt: skip

    def machine(self, request):
        """The form of a virtual machine's metadata service."""
        if request.headers.get("Metadata", "").lower() != "true":
            return as_json({"error": "invalid_request", "error_description": "Required metadata header not specified"}, 400)
        resource = request.argument("resource", "")
        if not request.argument("api-version") or resource.rstrip("/") not in AUDIENCES:
            return as_json({"error": "invalid_request", "error_description": "api-version or resource missing or wrong"}, 400)
        client = request.argument("client_id")
        if client and client != self.client_id:
            return as_json({"error": "invalid_request", "error_description": "Identity not found"}, 400)
        token, ends = self.issue()
        left = str(ends - int(time.time()))
        return as_json({
            "access_token": token, "client_id": self.client_id, "expires_in": left, "ext_expires_in": left,
            "expires_on": str(ends), "not_before": str(int(time.time())), "resource": resource, "token_type": "Bearer",
        })  # fmt: skip

    # login.microsoftonline.com

    def login(self, request):
        base = "https://login.microsoftonline.com"
        path = request.path.strip("/")
        if request.method == "GET" and path == "common/discovery/instance":
            names = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
            known = {"preferred_network": names[0], "preferred_cache": "login.windows.net", "aliases": names}
            return as_json({
                "tenant_discovery_endpoint": f"{base}/{self.tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1", "metadata": [known],
            })  # fmt: skip
        tenant, _, rest = path.partition("/")
        if request.method == "GET" and rest in ("v2.0/.well-known/openid-configuration", ".well-known/openid-configuration"):
            self.check_tenant(tenant)
            version = "/v2.0" if rest.startswith("v2.0") else ""
            return as_json({
                "token_endpoint": f"{base}/{tenant}/oauth2{version}/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
                "jwks_uri": f"{base}/{tenant}/discovery{version}/keys", "issuer": f"{base}/{tenant}/v2.0",
                "response_types_supported": ["code", "id_token"], "scopes_supported": ["openid", "profile"],
                "subject_types_supported": ["pairwise"], "id_token_signing_alg_values_supported": ["RS256"],
                "authorization_endpoint": f"{base}/{tenant}/oauth2{version}/authorize",
                "device_authorization_endpoint": f"{base}/{tenant}/oauth2{version}/devicecode",
                "tenant_region_scope": "EU", "cloud_instance_name": "microsoftonline.com",
            })  # fmt: skip
        if request.method == "POST" and rest in ("oauth2/v2.0/token", "oauth2/token"):
            return self.token(request, tenant, v2="v2.0" in rest)
        raise errors.empty()

    def check_tenant(self, tenant):
        if tenant.lower() != self.tenant:
            raise errors.directory(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")

    def token(self, request, tenant, v2):
        form = dict(urllib.parse.parse_qsl(request.body.all().decode(), keep_blank_values=True))
        self.check_tenant(tenant)
        for name in ("grant_type", "client_id"):
            if not form.get(name):
                raise errors.directory(400, "invalid_request", 900144, f"The request body must contain the parameter '{name}'.")
        if form["grant_type"] != "client_credentials":
            raise errors.directory(400, "unsupported_grant_type", 70003, f"Grant type '{form['grant_type']}' is not supported.")
        if form["client_id"] != self.client_id:
            raise errors.directory(
                400, "unauthorized_client", 700016, f"Application with identifier '{form['client_id']}' was not found."
            )
        if form.get("client_assertion"):
            if form.get("client_assertion_type") != ASSERTION:
                raise errors.directory(400, "invalid_request", 90014, "The client_assertion_type is missing or wrong.")
        elif not form.get("client_secret"):
            raise errors.directory(401, "invalid_client", 7000216, "'client_assertion' or 'client_secret' is required.")
        elif form["client_secret"] != self.client_secret:
            raise errors.directory(
                401, "invalid_client", 7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.",
            )  # fmt: skip
        if v2 and SCOPE not in form.get("scope", "").replace("com//", "com/").split():
            raise errors.directory(400, "invalid_scope", 70011, f"The provided value for scope '{form.get('scope')}' is not valid.")
        if not v2 and form.get("resource", "").rstrip("/") not in AUDIENCES:
            raise errors.directory(400, "invalid_resource", 500011, f"The resource '{form.get('resource')}' was not found.")
        token, ends = self.issue()
        left = ends - int(time.time())
        if v2:
            return as_json({"token_type": "Bearer", "expires_in": left, "ext_expires_in": left, "access_token": token})
        return as_json({
            "token_type": "Bearer", "expires_in": str(left), "ext_expires_in": str(left), "expires_on": str(ends),
            "resource": form["resource"], "access_token": token,
        })  # fmt: skip


def clouds(request):
    """management.azure.com: what a client reads at its start to learn the addresses of its cloud."""
    if request.method != "GET" or request.path.rstrip("/") != "/metadata/endpoints":
        raise errors.empty()
    return as_json([{
        "name": "AzureCloud", "portal": "https://portal.azure.com", "resourceManager": "https://management.azure.com/",
        "authentication": {
            "loginEndpoint": "https://login.microsoftonline.com/", "tenant": "common", "identityProvider": "AAD",
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
        },
        "graph": "https://graph.windows.net/", "graphAudience": "https://graph.windows.net/",
        "media": "https://rest.media.azure.net", "batch": "https://batch.core.windows.net/",
        "gallery": "https://gallery.azure.com/", "sqlManagement": "https://management.core.windows.net:8443/",
        "activeDirectoryDataLake": "https://datalake.azure.net/", "vmImageAliasDoc": "https://aka.ms/vm-image-aliases",
        "suffixes": {
            "storage": "core.windows.net", "keyVaultDns": "vault.azure.net", "acrLoginServer": "azurecr.io",
            "sqlServerHostname": "database.windows.net", "azureDataLakeStoreFileSystem": "azuredatalakestore.net",
            "azureDataLakeAnalyticsCatalogAndJob": "azuredatalakeanalytics.net", "mysqlServerEndpoint": "mysql.database.azure.com",
        },
    }])  # fmt: skip
