"""What Azure ML refuses: sizes of tags, params and metrics, and filters it does not understand."""

import re

import azureml_errors as errors

TAGS, TAG_KEY, TAG_VALUE = 50, 100, 1000
EXPERIMENT_TAG_KEY = 250
PARAMS, PARAM_KEY, PARAM_VALUE = 200, 250, 500
METRIC_NAMES, METRIC_NAME, METRIC_ROWS = 50, 250, 250
DATASETS = 200
EXPERIMENT_NAME = 256
DESCRIPTION = 5000
MODEL_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")

SPECIAL = {"nan": "NaN", "infinity": "Infinity", "inf": "Infinity", "-infinity": "-Infinity", "-inf": "-Infinity"}
QUOTED = r"'[^']*'|\"[^\"]*\"|`[^`]*`"
# Quoted text is one token, so that no word within it counts.
WORD = re.compile(rf"{QUOTED}|[^\s'\"`]+")
AND = re.compile(rf"({QUOTED})|\s+and\s+", re.I)
TAG_CLAUSE = re.compile(rf"\s*tags?\.(?:{QUOTED}|[^\s=!]+)\s*(!=|like\b|ilike\b)", re.I)
PARAM_CLAUSE = re.compile(rf"\s*(?:params?|parameters?)\.(?:{QUOTED}|[^\s=!]+)\s*(ilike\b)", re.I)
ESCAPED_METRIC = re.compile(r"\s*metrics?\.[`\"]", re.I)
DATASET_CLAUSE = re.compile(r"\s*datasets?\.", re.I)
ORDER_REFUSED = re.compile(r"\s*(?:metrics?|params?|parameters?|tags?)\.", re.I)
RUN_ID_EQUALS = re.compile(r"\s*(?:(?:attributes?|attr|run)\.)?`?run_id`?\s*(?:=|!=|in\b)", re.I)
NAME_EQUALS = re.compile(r"\s*name\s*=\s*(?:'[^']*'|\"[^\"]*\")\s*", re.I)
SOURCE_RUN_EQUALS = re.compile(r"\s*run_id\s*=\s*(?:'[^']*'|\"[^\"]*\")\s*", re.I)
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def invalid_request():
    return errors.invalid("The request is invalid.", "UserError")


def pairs(entries, unique=False):
    """{key: value} of a list of tags or params, all of them strings."""
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise invalid_request()
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str) or not isinstance(entry.get("value", ""), str):
            raise invalid_request()
        if not entry["key"]:
            raise errors.invalid("Missing value for required parameter 'key'.")
        value = entry.get("value", "")
        if unique and found.get(entry["key"], value) != value:
            raise errors.invalid(f"Duplicate parameter keys have been submitted: {entry['key']}")
        found[entry["key"]] = value
    return found


def metric_rows(entries):
    """(key, value, timestamp, step) of each metric object. Members that are not known here are passed over."""
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise invalid_request()
    return [metric_row(entry) for entry in entries]


def metric_row(entry):
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str) or not entry["key"]:
        raise invalid_request()
    if len(entry["key"]) > METRIC_NAME:
        raise errors.over_limit("MetricV2Dto.Name/Length", METRIC_NAME, len(entry["key"]))
    value = entry.get("value")
    if isinstance(value, str) and value.lower() in SPECIAL:
        value = SPECIAL[value.lower()]
    elif isinstance(value, bool) or value is None:
        raise invalid_request()
    else:
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise invalid_request()
        if value != value or value in (float("inf"), float("-inf")):
            value = SPECIAL[str(value)]
    return entry["key"], value, integer(entry.get("timestamp")), integer(entry.get("step") or 0)


def integer(value):
    """A 64-bit number may also come as a string."""
    try:
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise invalid_request()


def check_tags(tags, known=(), most=TAGS, key_length=TAG_KEY, field="Tags"):
    """Whether these may be added to what is there. `most` of None: as many as one likes."""
    for key, value in tags.items():
        if len(key) > key_length:
            raise errors.over_limit(f"{field}/Key", key_length, len(key))
        if len(value) > TAG_VALUE:
            raise errors.over_limit(f"{field}/Value", TAG_VALUE, len(value))
    size = len(tags.keys() | set(known))
    if most is not None and size > most and not tags.keys() <= set(known):
        raise errors.over_limit(field, most, size)


def check_params(params, known, most=PARAMS):
    for key, value in params.items():
        if len(key) > PARAM_KEY:
            raise errors.over_limit("Parameters/Key", PARAM_KEY, len(key))
        if len(value) > PARAM_VALUE:
            raise errors.over_limit("Parameters/Value", PARAM_VALUE, len(value))
    size = len(params.keys() | set(known))
    if size > most and not params.keys() <= set(known):
        raise errors.over_limit("Parameters", most, size)


def check_metrics(rows, known, most_names=METRIC_NAMES, most_rows=METRIC_ROWS):
    if len(rows) > most_rows:
        raise errors.over_limit("MetricV2Dto.Value/Count", most_rows, len(rows))
    names = {row[0] for row in rows}
    if len(names | known) > most_names and not names <= known:
        raise errors.invalid("Too many metrics for this run")


# Filters


def clauses(text):
    """The parts between the ANDs that stand outside of quotes."""
    parts, start = [], 0
    for found in AND.finditer(text):
        if not found[1]:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def check_run_search(text, order_by):
    for order in order_by or []:
        if ORDER_REFUSED.match(str(order)):
            raise errors.invalid(f"Ordering by metrics, params or tags is not supported. Provided order_by: {order}", "UserError")
    text = text or ""
    if any(word.lower() == "or" for word in WORD.findall(text)):
        raise unsupported(text)
    for clause in clauses(text):
        tag, param = TAG_CLAUSE.match(clause), PARAM_CLAUSE.match(clause)
        if tag or param:
            operator, kind = (tag or param)[1].upper(), "Tag" if tag else "Parameter"
            raise errors.invalid(f"Operator '{operator}' not supported for key type '{kind}'.", "UserError")
        if DATASET_CLAUSE.match(clause) or ESCAPED_METRIC.match(clause):
            raise unsupported(clause.strip())


def unsupported(clause):
    return errors.invalid(
        "Currently unsupported filter string format (we currently do not support OR)."
        f" Provided filter string: {clause}", "UserError",
    )  # fmt: skip


def run_ids_inside(text, run_in):
    """The same filter with run ids as the server behind knows them. Other values may look like ids and are left alone."""
    if not text or "run_id" not in text.lower():
        return text
    return " AND ".join(
        GUID.sub(lambda found: run_in(found[0]), clause) if RUN_ID_EQUALS.match(clause) else clause for clause in clauses(text)
    )


def check_model_search(text):
    for clause in clauses(text or ""):
        if clause.strip() and not NAME_EQUALS.fullmatch(clause):
            raise unsupported(clause.strip())


def check_version_search(text):
    for clause in clauses(text or ""):
        if clause.strip() and not NAME_EQUALS.fullmatch(clause) and not SOURCE_RUN_EQUALS.fullmatch(clause):
            raise unsupported(clause.strip())
