"""What the outside judge of the Azure ML emulator judges with: its flows, the emulator's request log, expected failures."""

import json
import os
import sys
import urllib.request

EMULATOR = json.loads(os.environ.get("AZUREML_EMULATOR", "{}"))
VERSION = sys.argv[1] if len(sys.argv) > 1 else ""
FLOWS = []


def flow(only=None):
    def add(function):
        if only in (None, VERSION):
            FLOWS.append(function)
        return function

    return add


def control(method, path, document=None):
    """The emulator's control port; never through the proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = json.dumps(document).encode() if document is not None else b"" if method == "POST" else None
    with opener.open(urllib.request.Request(EMULATOR["control"] + path, body, method=method), timeout=60) as answer:
        return json.loads(answer.read())


def requests_of(action):
    """What the action asked of the emulator: [(method, path)]."""
    control("DELETE", "/requests")
    action()
    return [(entry["method"], entry["path"]) for entry in control("GET", "/requests")]


def count(asked, method, part):
    return sum(kind == method and part in path for kind, path in asked)


def fails(action, *texts):
    """The action must raise, and say these things."""
    try:
        action()
    except Exception as error:
        for text in texts:
            assert text in str(error), f"{text!r} is not in {str(error)[:500]!r}"
        return
    raise AssertionError(f"it was not refused ({texts})")


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


EMPTY_404 = ("404", "Response body: ''")
