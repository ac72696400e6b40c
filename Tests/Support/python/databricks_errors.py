"""Errors of the Databricks emulator: the JSON of the REST API, and the page of the front door."""

import uuid

from azureml_errors import Answer, Failure, as_json


def failure(status, code, message, headers=()):
    return Failure(as_json({"error_code": code, "message": message}, status, headers=headers))


def invalid(message):
    return failure(400, "INVALID_PARAMETER_VALUE", message)


def check_order(given, known):
    """Every column that an answer is to be ordered by is among those."""
    columns = given.get("order_by") or []
    for column in [columns] if isinstance(columns, str) else columns:
        name = column.split()[0] if column.split() else ""
        if name not in known:
            raise invalid(f"Invalid order_by column '{name}': expected one of {', '.join(sorted(known))}.")


def not_found(message):
    return failure(404, "RESOURCE_DOES_NOT_EXIST", message)


def exists(message):
    return failure(400, "RESOURCE_ALREADY_EXISTS", message)


def denied(message):
    return failure(403, "PERMISSION_DENIED", message)


def blocked(address="203.0.113.7"):
    """The code is a number here, as seen in what people report."""
    return failure(403, 403, f"Source IP address: {address} is blocked by Databricks IP ACL for workspace: 1234567890123456")


def no_such_endpoint(request):
    path = request.path.removeprefix("/api/2.0")
    return failure(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {path}'")


def limit_exceeded(kind, retry_after):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    text = f"Request limit exceeded for {kind} requests of this workspace. Please retry later."
    return failure(429, "REQUEST_LIMIT_EXCEEDED", text, headers)


def unavailable(status=503):
    code = "TEMPORARILY_UNAVAILABLE" if status == 503 else "INTERNAL_ERROR"
    return failure(status, code, "The service is temporarily unavailable.")


def front_door(status=502):
    """What stands before the service answers by itself, and not in JSON."""
    page = (
        f"<!DOCTYPE html><html><head><title>Error {status}</title></head><body><h2>Our services aren't available right now</h2>"
        f"<p>We're working to restore all services as soon as possible.</p><p>{uuid.uuid4().hex}</p></body></html>"
    )
    return Answer(status, page.encode(), "text/html; charset=utf-8")
