"""The bad days of a service, set through the emulator's control port.

    {"throttle":     {"match": REGEX, "every": N | "count": N, "retry_after": SECONDS | null}}
    {"errors":       {"match": REGEX, "count": N, "status": 503}}       refused, not applied
    {"lost_answers": {"match": REGEX, "count": N, "status": null}}      applied; closed without an answer, or answered so
    {"delay":        {"match": REGEX, "seconds": S}}
    {"copy_refused": true}                                              Put Block From URL is answered 403 CannotVerifyCopySource
    {"copy_refused": [409, "PublicAccessNotPermitted"]}                 or so
    {"duplicates":   false}                                             metric rows alike are kept once
    {"async_seconds": S}                                                when log-batch-async is applied
    {"limits":       {"tags": N, "params": N, "metric_names": N, "rows": N}}

A regular expression is searched for in the path with its query; without one everything matches. "method" narrows further.
Without "count" a fault goes on until it is cleared. The four with a match may be lists of such objects.
"""

import json
import re
import threading
import time

import azureml_errors as errors


class Plan:
    """Faults as they were asked for, and which request meets one."""

    MATCHING = ()
    SIMPLE = {}
    ALLOWED = {"match", "method", "count", "every", "retry_after", "status", "seconds"}

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        with self.lock:
            self.rules = {kind: [] for kind in self.MATCHING}
            self.simple = {}

    def set(self, document):
        """Takes what is given; what is not given stays. Raises ValueError, and then nothing is changed."""
        rules, simple = {}, {}
        for kind, value in document.items():
            if kind in self.MATCHING:
                rules[kind] = [self.rule(kind, entry) for entry in (value if isinstance(value, list) else [value]) if entry]
            elif kind in self.SIMPLE and isinstance(value, self.SIMPLE[kind]):
                simple[kind] = value
            else:
                raise ValueError(f"unknown fault or wrong value: {kind}")
        with self.lock:
            self.rules |= rules
            self.simple |= simple

    @classmethod
    def rule(cls, kind, entry):
        if not isinstance(entry, dict):
            raise ValueError(f"{kind} wants an object")
        if set(entry) - cls.ALLOWED:
            raise ValueError(f"{kind}: unknown {sorted(set(entry) - cls.ALLOWED)}")
        re.compile(entry.get("match") or "")
        return dict(entry, seen=0, hits=0)

    def shown(self):
        with self.lock:
            return json.loads(json.dumps(self.rules | self.simple))

    def get(self, name, default=None):
        return self.simple.get(name, default)

    def hit(self, kind, request, of=None):
        """The rule that this request, of class `of`, meets, counted."""
        if not self.rules[kind]:
            return None
        with self.lock:
            for rule in self.rules[kind]:
                if rule.get("method") not in (None, request.method) or rule.get("class") not in (None, of):
                    continue
                if not re.search(rule.get("match") or "", request.target):
                    continue
                rule["seen"] += 1
                if rule.get("every") and rule["seen"] % rule["every"]:
                    continue
                if rule.get("count") is not None and rule["hits"] >= rule["count"]:
                    continue
                rule["hits"] += 1
                return rule
        return None

    def after(self, request, answer, of):
        """The answer that is sent in the end; None closes the connection. A request that was refused is left alone."""
        rule = self.hit("lost_answers", request, of) if answer.status < 400 else None
        if not rule:
            return answer
        if answer.file:
            answer.file[0].close()
        return self.broken(rule["status"], of) if rule.get("status") else None


class Faults(Plan):
    MATCHING = ("throttle", "errors", "lost_answers", "delay")
    SIMPLE = {"copy_refused": (bool, list), "duplicates": bool, "async_seconds": (int, float), "limits": dict}

    def limit(self, name, default):
        return self.simple.get("limits", {}).get(name, default)

    def before(self, request, blob):
        """Waits, or answers what stands in the request's place."""
        rule = self.hit("delay", request)
        if rule:
            time.sleep(rule.get("seconds", 1))
        rule = self.hit("throttle", request)
        if rule:
            after = rule.get("retry_after")
            headers = {"Retry-After": after} if after is not None else {}
            if blob:
                return errors.storage(rule.get("status", 503), "ServerBusy", headers=headers).answer
            return errors.service(
                rule.get("status", 429), "UserError", "(RequestThrottled) Too Many requests", "RequestThrottled", "gateway", headers
            ).answer
        rule = self.hit("errors", request)
        return self.broken(rule.get("status", 503), blob) if rule else None

    @staticmethod
    def broken(status, blob):
        if blob:
            return errors.storage(status, "InternalError" if status == 500 else "ServerBusy").answer
        return errors.service(status, "ServiceError", "InternalServerError", "TransientError", "gateway").answer
