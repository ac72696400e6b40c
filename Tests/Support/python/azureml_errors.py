"""Answers and errors of the Azure ML emulator, in the four shapes that the services use.

mlflow      PascalCase envelope with statusCode and error_code glued on; an unknown route has an empty body
service     the camelCase envelope of run history, the artifact service and the gate before all of them
storage     XML, with the code once more in x-ms-error-code
directory   what login.microsoftonline.com answers
"""

import datetime
import json
import uuid
from xml.sax.saxutils import escape

LIMITS_PAGE = "See https://aka.ms/azure-machine-learning-limits for service limits documentation."


class Answer:
    """One answer. A file is (open file, offset, length) and is closed when it was sent."""

    def __init__(self, status=200, body=b"", kind=None, headers=(), reason=None, file=None):
        self.status, self.body, self.kind = status, body, kind
        self.headers, self.reason, self.file = dict(headers), reason, file

    @property
    def length(self):
        return self.file[2] if self.file else len(self.body)


class Failure(Exception):
    """Raised anywhere below the dispatcher; carries the answer."""

    def __init__(self, answer):
        super().__init__(answer.status)
        self.answer = answer


def as_json(document, status=200, **more):
    return Answer(status, json.dumps(document, separators=(",", ":")).encode(), "application/json; charset=utf-8", **more)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def iso(moment=None):
    return (moment or now()).isoformat(timespec="microseconds")


def empty(status=404):
    """What an unknown route gets."""
    return Failure(Answer(status))


def mlflow(status, code, message, error_code, region="westeurope", headers=()):
    inner = {"Code": "NotFound", "InnerError": None} if status == 404 else None
    error = {
        "Code": code, "Severity": None, "Message": message, "MessageFormat": None, "MessageParameters": None,
        "ReferenceCode": None, "DetailsUri": None, "Target": None, "Details": [], "InnerError": inner,
        "DebugInfo": None, "AdditionalInfo": None,
    }  # fmt: skip
    return Failure(as_json({
        "Error": error, "Correlation": {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]},
        "Environment": region, "Location": region, "Time": iso(), "ComponentName": "mlflow",
        "statusCode": status, "error_code": error_code,
    }, status, headers=headers))  # fmt: skip


def invalid(message, code="ValidationError"):
    return mlflow(400, code, message, "INVALID_PARAMETER_VALUE")


def not_found(message):
    return mlflow(404, "UserError", message, "RESOURCE_DOES_NOT_EXIST")


def exists(message):
    return mlflow(400, "UserError", message, "RESOURCE_ALREADY_EXISTS")


def over_limit(field, limit, size):
    return invalid(f"A field of the entity is over the size limit. FieldName={field}, Limit={limit}, Size={size}. {LIMITS_PAGE}")


def service_document(code, message, inner=None, component="run-history", region="westeurope"):
    return {
        "error": {
            "code": code, "severity": None, "message": message, "messageFormat": None, "messageParameters": None,
            "referenceCode": None, "detailsUri": None, "target": None, "details": [],
            "innerError": {"code": inner, "innerError": None} if inner else None, "debugInfo": None, "additionalInfo": None,
        },
        "correlation": {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]},
        "environment": region, "location": region, "time": iso(), "componentName": component,
    }  # fmt: skip


def service(status, code, message, inner=None, component="run-history", headers=(), reason=None):
    return Failure(as_json(service_document(code, message, inner, component), status, headers=headers, reason=reason))


STORAGE_TEXTS = {
    "AuthenticationFailed": "Server failed to authenticate the request. Make sure the value of Authorization header is formed"
    " correctly including the signature.",
    "AuthorizationPermissionMismatch": "This request is not authorized to perform this operation using this permission.",
    "BlobAlreadyExists": "The specified blob already exists.",
    "BlobNotFound": "The specified blob does not exist.",
    "CannotVerifyCopySource": "This request is not authorized to perform this operation.",
    "ConditionNotMet": "The condition specified using HTTP conditional header(s) is not met.",
    "InvalidBlobOrBlock": "The specified blob or block content is invalid.",
    "InvalidBlockList": "The specified block list is invalid.",
    "InvalidHeaderValue": "The value for one of the HTTP headers is not in the correct format.",
    "InvalidQueryParameterValue": "Value for one of the query parameters specified in the request URI is invalid.",
    "InvalidRange": "The range specified is invalid for the current size of the resource.",
    "InvalidUri": "The requested URI does not represent any resource on the server.",
    "InvalidXmlDocument": "XML specified is not syntactically valid.",
    "Md5Mismatch": "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
    "MissingContentLengthHeader": "Content-Length HTTP header is not specified.",
    "MissingRequiredHeader": "An HTTP header that's mandatory for this request is not specified.",
    "PublicAccessNotPermitted": "Public access is not permitted on this storage account.",
    "SourceConditionNotMet": "The source condition specified using HTTP conditional header(s) is not met.",
    "RequestBodyTooLarge": "The request body is too large and exceeds the maximum permissible limit.",
    "ServerBusy": "The server is busy.",
    "InternalError": "The server encountered an internal error. Please retry the request.",
    "UnsupportedHttpVerb": "The resource doesn't support specified Http Verb.",
}  # fmt: skip


def storage(status, code, detail=None, headers=()):
    request = str(uuid.uuid4())
    text = STORAGE_TEXTS.get(code, code) + f"\nRequestId:{request}\nTime:{iso()}"
    more = f"<AuthenticationErrorDetail>{escape(detail)}</AuthenticationErrorDetail>" if detail else ""
    body = f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{escape(text)}</Message>{more}</Error>'
    headers = {"x-ms-error-code": code, "x-ms-request-id": request, **dict(headers)}
    return Failure(Answer(status, body.encode(), "application/xml", headers))


def directory(status, error, number, text):
    trace, correlation, moment = str(uuid.uuid4()), str(uuid.uuid4()), now().strftime("%Y-%m-%d %H:%M:%SZ")
    return Failure(as_json({
        "error": error,
        "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {moment}",
        "error_codes": [number], "timestamp": moment, "trace_id": trace, "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }, status))  # fmt: skip
