"""The bad days of a workspace, planned through the emulator's control port (POST /emulator/faults).

    {"throttle":     {"class": "search", "count": N, "every": N, "retry_after": SECONDS | null}}   429
    {"errors":       {"class": ..., "count": N, "status": 503}}          refused, not applied
    {"html":         {"class": ..., "count": N, "status": 502}}          the front door's page instead of JSON
    {"lost_answers": {"class": ..., "count": N, "status": null}}         applied; closed without an answer, or answered so
    {"delay":        {"class": ..., "count": N, "seconds": S}}
    {"expired_sas":  {"count": N, "method": "GET"}}                      the next N requests of storage: 403 AuthenticationFailed
    {"denied":       ["<experiment id>", ...]}                           PERMISSION_DENIED for all that belongs to it
    {"blocked":      true}                                               403 of the IP access list, to everything but storage
    {"rate_scale":   X}                                                  the rates times X, 0 for none
    {"pending_seconds": S}                                               how long new versions of models are PENDING_REGISTRATION

Classes are those of the counters: search, experiments, log-batch, registry, other, files, workspace, auth, storage. "match" narrows by a
regular expression searched for in the path with its query, "method" by the method; without any everything matches. Without
"count" a fault goes on until it is cleared. What has a class may be a list of such objects.
"""

import time

import azureml_errors
import databricks_errors as errors
from azureml_faults import Plan


class Faults(Plan):
    MATCHING = ("throttle", "errors", "html", "lost_answers", "delay", "expired_sas")
    SIMPLE = {"denied": list, "blocked": bool, "rate_scale": (int, float), "pending_seconds": (int, float)}
    ALLOWED = Plan.ALLOWED | {"class"}

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

    @staticmethod
    def broken(status, of):
        if of == "storage":
            return azureml_errors.storage(status, "InternalError" if status == 500 else "ServerBusy").answer
        return errors.unavailable(status).answer
