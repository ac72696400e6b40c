"""The bad days of a workspace, planned through the emulator's control port (POST /emulator/faults).

    {"throttle":     {"class": "search", "count": N, "every": N, "retry_after": SECONDS | null}}   429
    {"errors":       {"class": ..., "count": N, "status": 503}}          refused, not applied
    {"html":         {"class": ..., "count": N, "status": 502}}          the front door's page instead of JSON
    {"lost_answers": {"class": ..., "count": N, "status": null}}         applied; closed without an answer, or answered so
    {"delay":        {"class": ..., "count": N, "seconds": S}}
    {"expired_sas":  {"count": N, "method": "GET"}}                      the next N requests of storage: 403 AuthenticationFailed
    {"denied":       ["<experiment id>", ...]}                           PERMISSION_DENIED for all that belongs to it
    {"rate_scale":   X}                                                  the rates times X, 0 for none
    {"pending_seconds": S}                                               how long new versions of models are PENDING_REGISTRATION

Classes are those of the counters: search, experiments, log-batch, registry, other, files, workspace, auth, storage. "match" narrows by a
regular expression searched for in the path with its query, "method" by the method; without any everything matches. Without
"count" a fault goes on until it is cleared. What has a class may be a list of such objects.
"""

import json
import re
import threading
import time

import azureml_errors
import databricks_errors as errors

MATCHING = ("throttle", "errors", "html", "lost_answers", "delay", "expired_sas")
SIMPLE = {"denied": list, "rate_scale": (int, float), "pending_seconds": (int, float)}
ALLOWED = {"class", "match", "method", "count", "every", "retry_after", "status", "seconds"}


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        with self.lock:
            self.rules = {kind: [] for kind in MATCHING}
            self.simple = {}

    def set(self, document):
        """Takes what is given; what is not given stays. Raises ValueError, and then nothing is changed."""
        rules, simple = {}, {}
        for kind, value in document.items():
            if kind in MATCHING:
                rules[kind] = [self.rule(kind, entry) for entry in (value if isinstance(value, list) else [value]) if entry]
            elif kind in SIMPLE and isinstance(value, SIMPLE[kind]):
                simple[kind] = value
            else:
                raise ValueError(f"unknown fault or wrong value: {kind}")
        with self.lock:
            self.rules |= rules
            self.simple |= simple

    @staticmethod
    def rule(kind, entry):
        if not isinstance(entry, dict) or set(entry) - ALLOWED:
            raise ValueError(f"{kind} wants an object of {sorted(ALLOWED)}")
        re.compile(entry.get("match") or "")
        return dict(entry, seen=0, hits=0)

    def shown(self):
        with self.lock:
            return json.loads(json.dumps(self.rules | self.simple))

    def get(self, name, default=None):
        return self.simple.get(name, default)

    def hit(self, kind, request, of):
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

    def before(self, request, of):
        """Waits, or answers what stands in the request's place."""
        if rule := self.hit("delay", request, of):
            time.sleep(rule.get("seconds", 1))
        if rule := self.hit("throttle", request, of):
            after = rule.get("retry_after", 1)
            if of == "storage":
                return azureml_errors.storage(503, "ServerBusy", headers={} if after is None else {"Retry-After": after}).answer
            return errors.limit_exceeded(of, after).answer
        if rule := self.hit("errors", request, of):
            return self.broken(rule.get("status", 503), of)
        if rule := self.hit("html", request, of):
            return errors.front_door(rule.get("status", 502))
        if of == "storage" and self.hit("expired_sas", request, of):
            return azureml_errors.storage(403, "AuthenticationFailed", "Signature not valid in the specified time frame").answer
        return None

    def after(self, request, answer, of):
        """The answer that is sent in the end; None closes the connection. A request that was refused is left alone."""
        rule = self.hit("lost_answers", request, of) if answer.status < 400 else None
        if not rule:
            return answer
        if answer.file:
            answer.file[0].close()
        return self.broken(rule["status"], of) if rule.get("status") else None

    @staticmethod
    def broken(status, of):
        if of == "storage":
            return azureml_errors.storage(status, "InternalError" if status == 500 else "ServerBusy").answer
        return errors.unavailable(status).answer
