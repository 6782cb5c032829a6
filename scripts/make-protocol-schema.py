#!/usr/bin/env python3
"""Makes docs/protocol.schema.json, a JSON Schema of the messages, of docs/protocol.md and docs/errors.md.

    scripts/make-protocol-schema.py            writes the file
    scripts/make-protocol-schema.py --check    fails when the file is not what the sources make of it

The tables below say of which type each field is; the page says which fields there are, and which words they may have. The program
stops where the two differ: at a field that only one of them has, and at a word in quotes that only one of them has. Needs
nothing but Python. Tests/Documents/test_protocol_schema.py calls it with --check, and compares the schema with a daemon's replies.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE = ROOT / "docs/protocol.schema.json"
HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "The LiteBase protocol, version 1",
    "description": "A message of docs/protocol.md, as one line of JSON has it; in MessagePack, a blob is bin, an integer of 64 bits int, "
                   "a real float64, and the timestamp extension type -1. Fields that are not listed are to be ignored: later versions add some.",
    "$comment": "Made by scripts/make-protocol-schema.py of docs/protocol.md and docs/errors.md: change those.",
}

# Types: schemas. A map of fields is a dict in the tables: the types by the names, of which those that end with "?" may be absent,
# or in a request null.


class Schema(dict):
    pass


class ByName(dict):
    """A map by names that are no fields: the fields of each of its values."""


def ref(name):
    return Schema({"$ref": f"#/$defs/{name}"})


def words(*allowed):
    return Schema(enum=list(allowed))


def array(items):
    return Schema(type="array", items=items)


def or_null(type):
    return Schema(anyOf=[type, NULL])


def map_of(type):
    return Schema(type="object", additionalProperties=type)


def text(**more):
    return Schema(type="string", **more)


NULL, TEXT, FLAG, INTEGER, VERSION = Schema(type="null"), text(), Schema(type="boolean"), ref("integer"), Schema(const=1)
COUNT, POSITIVE, NUMBER = Schema(type="integer", minimum=0), Schema(type="integer", minimum=1), Schema(type="integer")
TRANSACTION = words("none", "active", "failed")
ENGINE = words("sqlite", "postgresql", "mysql", "redis")
ACCESS = words("read_write", "read_only")
ID = ref("id")

# The tables

COLUMN = {"name": Schema(anyOf=[TEXT, ref("blob")]), "type": or_null(TEXT), "declared_type": or_null(TEXT)}
ON = {"session?": TEXT, "database?": TEXT}
STATEMENT = {"sql": TEXT, "params?": ref("parameters"), "param_rows?": array(array(ref("value")))}

REQUESTS = {
    "health_check": {"database?": TEXT, "timeout_ms?": POSITIVE},
    "hello": {"client?": TEXT, "protocol?": array(NUMBER), "int64?": words("tagged", "number", "string"), "notices?": FLAG,
              "descriptors?": FLAG, "transport?": words("socket", "shared_memory"), "request_ring_bytes?": POSITIVE,
              "reply_ring_bytes?": POSITIVE},
    "list_databases": {},
    "db_connect": {"database?": TEXT, "url?": text(maxLength=16384), "read_only?": FLAG},
    "db_disconnect": {"session": TEXT},
    "query": {"sql": TEXT, "params?": ref("parameters"), **ON, "timeout_ms?": POSITIVE, "max_rows?": POSITIVE, "page_rows?": POSITIVE,
              "result_sets?": FLAG},
    "batch": {"statements": array(STATEMENT), "atomic?": FLAG, **ON},
    "describe": {"sql": TEXT, **ON},
    "complete": {"sql": TEXT, "cursor?": COUNT, **ON, "limit?": POSITIVE, "recent?": array(TEXT)},
    "catalog": {
        "level": words("namespaces", "relations", "columns", "keys", "foreign_keys", "indexes", "triggers", "routines", "types"),
        "namespace?": TEXT, "relation?": TEXT, "match?": TEXT, "kinds?": array(TEXT), "definitions?": FLAG, "refresh?": FLAG, "etag?": TEXT, **ON,
        "timeout_ms?": POSITIVE, "max_rows?": POSITIVE, "page_rows?": POSITIVE,
    },
    "export": {"sql?": TEXT, "params?": ref("parameters"), "relation?": TEXT, "namespace?": TEXT, "delimiter?": TEXT, "null?": TEXT, **ON, "timeout_ms?": POSITIVE, "max_rows?": POSITIVE,
               "format?": words("csv", "tsv", "json", "jsonl", "arrow", "sql"), "header?": FLAG, "into?": TEXT, "text_columns?": array(TEXT), "descriptors": POSITIVE,
               "progress_ms?": POSITIVE},
    "import": {"relation?": TEXT, "sql?": TEXT, "namespace?": TEXT, **ON, "columns?": array(TEXT), "format?": words("csv", "tsv", "json", "jsonl", "arrow"), "header?": FLAG,
               "delimiter?": TEXT, "null?": TEXT, "encoding?": TEXT, "create?": FLAG, "dry_run?": FLAG,
               "atomic?": FLAG, "max_rejected?": POSITIVE, "timeout_ms?": POSITIVE, "descriptors": POSITIVE, "progress_ms?": POSITIVE},
    "subscribe": {"database?": TEXT, "relations?": array(TEXT), "channels?": array(TEXT), "patterns?": array(TEXT), "from?": TEXT, "delay_ms?": COUNT},
    **dict.fromkeys(("backup", "restore"), {"database?": TEXT, "timeout_ms?": POSITIVE, "descriptors": POSITIVE, "progress_ms?": POSITIVE}),
    "fetch": {"request": ID},
    "cancel": {"request": ID},
    "activity": {},
    "terminate": {"connection?": POSITIVE, "number?": POSITIVE, "session?": TEXT},
    "stats": {},
    "reload": {},
}  # fmt: skip
# What cannot be together.
NOT_BOTH = {"db_connect": ("database", "url"), "terminate": ("session", "connection"), **{type: ("session", "database") for type in ("query", "batch", "describe", "catalog", "complete", "export", "import")}}

OPENED = {"open": COUNT, "opened": COUNT}
POOL = {"value": COUNT, "open": COUNT, "used": COUNT, "waiting": COUNT}
SERVER = {"reachable": or_null(FLAG), "since_ms?": COUNT, "attempt_ms?": COUNT, "last_error?": TEXT, "last_error_ms?": COUNT, "host?": TEXT, "pool?": POOL}
USED = ("connections", "sessions", "requests_in_flight", "buffered_bytes", "sqlite_memory_bytes", "temporary_bytes")

REPLIES = {
    "health_check": {
        "status": words("healthy"), "version": TEXT, "protocol": VERSION, "pid": COUNT, "uptime_ms": COUNT,
        "activation": words("socket", "standalone"),
        "database?": {"name": TEXT, "engine": ENGINE, "server_version": TEXT, "elapsed_us": COUNT},
    },
    "hello": {
        "version": TEXT, "protocol": VERSION, "limits": map_of(COUNT),
        "peer": or_null({"uid": COUNT, "gid": COUNT, "pid": COUNT, "user": or_null(TEXT)}), "administrator": FLAG, "monitor?": FLAG,
        "descriptors?": FLAG, "transport?": words("shared_memory"), "request_ring_bytes?": POSITIVE, "reply_ring_bytes?": POSITIVE,
    },
    "list_databases": {"databases": array({
        "name": TEXT, "engine": ENGINE, "access": words("read_write", "read_only", "none"), "default": FLAG, "disabled?": FLAG, "server?": SERVER,
    })},
    "db_connect": {"session": TEXT, "engine": ENGINE, "server_version": TEXT, "read_only": FLAG, "transaction": words("none")},
    "db_disconnect": {},
    "batch": {
        "results": array({"rows_affected": INTEGER, "last_insert_id?": INTEGER, "warning_count?": COUNT}),
        "transaction": TRANSACTION, "elapsed_us": COUNT,
    },
    "complete": {
        "replace": {"from": COUNT, "to": COUNT},
        "items": array({
            "text": TEXT, "label": TEXT, "detail?": TEXT, "relation?": TEXT,
            "kind": words("keyword", "namespace", "relation", "column", "alias", "common_table_expression", "routine", "join",
                          "join_condition", "star_expansion", "type", "value", "command"),
        }),
        "incomplete?": FLAG,
    },
    "describe": {"columns": array(COLUMN), "parameters": array(or_null(TEXT)), "read_only": FLAG, "transaction?": TRANSACTION},
    "export": {
        "bytes": COUNT, "more": FLAG, "row_count?": COUNT, "rows_affected?": INTEGER, "truncated?": FLAG,
        "transaction?": TRANSACTION, "elapsed_us?": COUNT,
    },
    "import": {
        "bytes": COUNT, "total_bytes?": COUNT, "more": FLAG, "row_count": COUNT, "rejected_count": COUNT,
        "rejected?": array({"line": COUNT, "reason": TEXT}), "columns?": array({"name": TEXT, "type": or_null(TEXT)}), "sql?": TEXT,
        "transaction?": TRANSACTION, "elapsed_us?": COUNT,
    },
    "backup": {"bytes": COUNT, "total_bytes?": COUNT, "more": FLAG, "elapsed_us?": COUNT},
    "subscribe": {
        "position": TEXT, "covers?": words("all_writers", "daemon_writers", "channels"), "relations?": array(TEXT), "schema?": FLAG,
        "channel?": Schema(anyOf=[TEXT, ref("blob")]), "pattern?": Schema(anyOf=[TEXT, ref("blob")]), "payload?": Schema(anyOf=[TEXT, ref("blob")]),
        "pid?": COUNT, "resync?": FLAG, "more": FLAG,
        "reason?": words("other_program", "begun_before", "replaced", "position_unknown", "too_many", "connection_lost", "too_large",
                         "unknown_relations", "may_have_written"),
    },
    **dict.fromkeys(("backup", "restore"), {"bytes": COUNT, "total_bytes?": COUNT, "more": FLAG, "elapsed_us?": COUNT}),
    "cancel": {"cancelled": FLAG},
    "activity": {"entries": array({
        "connection": COUNT, "number": or_null(COUNT), "transport": words("socket", "shared_memory"), "uid": or_null(COUNT), "pid": or_null(COUNT), "user": or_null(TEXT), "session": or_null(TEXT),
        "database": or_null(TEXT), "type": words(*REQUESTS, "session"), "sql": or_null(TEXT),
        "state": words("running", "queued", "waiting_for_client", "idle"), "transaction": TRANSACTION, "age_ms": COUNT,
    }), "truncated": FLAG},
    "terminate": {
        "connection": COUNT, "uid": or_null(COUNT), "pid": or_null(COUNT), "user": or_null(TEXT), "requests": COUNT, "sessions": COUNT, "closed": FLAG,
    },
    "stats": {
        "uptime_ms": COUNT, "connections": OPENED, "sessions": OPENED, "lanes": OPENED, "requests_in_flight": COUNT, "requests": map_of(COUNT),
        "errors": map_of(COUNT), "bytes_received": COUNT, "bytes_sent": COUNT, "rows_sent": COUNT,
        "latency_us": ByName({"count": COUNT, "p50": COUNT, "p90": COUNT, "p99": COUNT, "p999": COUNT}),
        "limits": ByName({"value?": COUNT, "used?": COUNT, "peak?": COUNT, "hits": COUNT}),
        "users": array({"uid": or_null(COUNT), "user": or_null(TEXT), **{name + end: COUNT for name in USED for end in ("", "_peak")},
                        "refusals": COUNT}),
        "databases": array({"database": or_null(TEXT), "requests": COUNT, "errors": COUNT, "rows_sent": COUNT, "bytes_sent": COUNT,
                            "elapsed_us": COUNT, "sessions": COUNT, "requests_in_flight": COUNT, "connections_used": COUNT}),
        "pools?": array({"database": TEXT, "access": ACCESS, **POOL, "peak": COUNT, "waiting_peak": COUNT,
                         "wait_ms_peak": COUNT, "hits": COUNT, "refusals": COUNT}),
        "disabled_databases?": map_of(TEXT),
    },
    "reload": {"databases": COUNT, "restart_needed": array(TEXT), "problems?": array(TEXT)},
}  # fmt: skip

ROWS = {"columns?": array(COLUMN), "rows": array(array(ref("value"))), "result_end?": {"row_count": COUNT, "truncated": FLAG}}
LAST_ROWS = {
    "row_count": COUNT, "rows_affected": INTEGER, "last_insert_id?": INTEGER, "warning_count?": COUNT, "truncated?": FLAG,
    "result_sets_dropped?": COUNT, "result_sets?": COUNT, "transaction": TRANSACTION, "elapsed_us": COUNT,
}  # fmt: skip
CATALOG_ROWS = {"columns?": array(COLUMN), "rows": array(array(ref("catalog_value")))}
LAST_CATALOG_ROWS = {
    "row_count": COUNT, "truncated?": FLAG, "unchanged?": FLAG, "etag": TEXT, "transaction?": TRANSACTION, "elapsed_us": COUNT,
}  # fmt: skip
ERROR = {
    "code": ref("error_code"), "message": TEXT, "hint?": TEXT, "detail?": TEXT, "sqlstate?": text(pattern="^[0-9A-Z]{5}$"),
    "vendor_code?": NUMBER, "position?": {"offset?": COUNT, "line?": COUNT, "column?": COUNT},
    "statement_index?": COUNT, "row_index?": COUNT, "retryable?": FLAG, "retry_after_ms?": COUNT, "transaction?": TRANSACTION,
    "holder?": {"uid?": COUNT, "pid?": COUNT, "since_ms?": COUNT},
    "limit?": {"name": TEXT, "value": COUNT, "used?": COUNT, "uid?": COUNT},
}  # fmt: skip
NOTICE = {
    "code": TEXT, "message?": TEXT, "request?": ID, "session?": TEXT, "severity?": TEXT, "sqlstate?": TEXT, "detail?": TEXT, "hint?": TEXT,
    "count?": COUNT, "ends_in_ms?": COUNT,
}  # fmt: skip

# From the tables to the schema


def schema(type, is_request=False):
    """A type of the tables as a schema."""
    if isinstance(type, ByName):
        return map_of(fields(type, is_request))
    if not isinstance(type, Schema):
        return fields(type, is_request)
    if "anyOf" in type:
        return {**type, "anyOf": [schema(below, is_request) for below in type["anyOf"]]}
    return {**type, "items": schema(type["items"], is_request)} if "items" in type else type


def fields(table, is_request=False):
    made = {}
    for name, type in table.items():
        made_type = schema(type, is_request)
        made[name.rstrip("?")] = or_null(Schema(made_type)) if is_request and name.endswith("?") else made_type
    required = [name for name in table if not name.endswith("?")]
    return {"type": "object", **({"properties": made} if made else {}), **({"required": required} if required else {})}


def request(type, table):
    data = fields(table, is_request=True)
    if type in NOT_BOTH:
        data["not"] = {"properties": {name: TEXT for name in NOT_BOTH[type]}, "required": list(NOT_BOTH[type])}
    needs_data = "required" in data
    return {
        "type": "object", "properties": {"id": ID, "type": {"const": type}, "data": data if needs_data else or_null(Schema(data))},
        "required": ["id", "type", *(["data"] if needs_data else [])],
    }  # fmt: skip


def reply(type, data, id=ID):
    return {
        "type": "object",
        "properties": {"id": id, "type": {"const": type}, "timestamp": ref("timestamp"), "data": data},
        "required": ["id", "type", "timestamp", "data"],
    }


def rows():
    """A reply that others follow, and the last one."""
    unfinished = fields({**ROWS, "more": Schema(const=True)})
    last = fields({**ROWS, "more": Schema(const=False), **LAST_ROWS})
    return {"oneOf": [unfinished, last]}


def catalog_rows():
    """The same for a catalog; what is unchanged has no rows."""
    unfinished = fields({**CATALOG_ROWS, "more": Schema(const=True)})
    last = fields({**{name.rstrip("?") + "?": type for name, type in CATALOG_ROWS.items()}, "more": Schema(const=False), **LAST_CATALOG_ROWS})
    return {"oneOf": [unfinished, last]}


def reply_name(type):
    return "health_response" if type == "health_check" else f"{type}_response"


def tagged(tag, pattern):
    return {"type": "object", "properties": {tag: {"type": "string", **pattern}}, "required": [tag], "additionalProperties": False}


def definitions(codes):
    integer_text = {"pattern": "^-?[0-9]+$"}
    base64 = {"pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", "contentEncoding": "base64"}
    requests = {f"request_{type}": request(type, table) for type, table in REQUESTS.items()}
    replies = {reply_name(type): reply(reply_name(type), fields(table)) for type, table in REPLIES.items()}
    replies["query_response"] = reply("query_response", rows())
    replies["catalog_response"] = reply("catalog_response", catalog_rows())
    replies["error"] = reply("error", fields(ERROR), or_null(ID))
    notice = reply("notice", fields(NOTICE), NULL)
    return {
        "request": {"oneOf": [ref(name) for name in requests]},
        "reply": {"oneOf": [ref(name) for name in replies]},
        **requests, **replies, "notice": notice,
        "id": {"anyOf": [{"type": "string", "maxLength": 128}, {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1}]},
        "timestamp": {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
        "value": {"anyOf": [{"type": ["null", "boolean", "number", "string"]}, ref("large_integer"), ref("real"), ref("blob")]},
        "catalog_value": {"anyOf": [ref("value"), array(or_null(TEXT)), {**map_of({}), "propertyNames": {"pattern": "^[a-z]"}}]},
        "parameters": {"anyOf": [array(ref("value")), map_of(ref("value"))]},
        "integer": {"anyOf": [{"type": "integer"}, ref("large_integer"), {"type": "string", **integer_text}]},
        "large_integer": tagged("$int", integer_text),
        "real": tagged("$real", {"enum": ["NaN", "Infinity", "-Infinity"]}),
        "blob": tagged("$blob", base64),
        "error_code": {"anyOf": [{"enum": codes}, {"type": "string", "$comment": "A client takes a code that it does not know for database_error."}]},
    }  # fmt: skip


def whole_schema(errors):
    codes = re.findall(r"^### \d+ `(\w+)`$", errors, re.M)
    return {**HEAD, "oneOf": [ref("request"), ref("reply"), ref("notice")], "$defs": definitions(codes)}


# What the page says


def section(page, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.M | re.S)[1]


def table_of(text, head):
    """The rows of the table that begins with this head, as cells."""
    body = re.search(rf"^{re.escape(head)}\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.M)[1]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in body.splitlines()]


def named(text):
    return set(re.findall(r"`(\w+)`", text))


def quoted(text):
    """The words that a field may have; what follows "such as" is an example."""
    return set(re.findall(r'"(\w+)"', re.sub(r'such as "[^"]*"', "", text)))


def linked(page, cell):
    """The paragraphs that a cell leads to."""
    anchors = re.findall(r"\]\(#([\w-]+)\)", cell)
    return "\n".join(line for line in page.splitlines() for anchor in anchors if f'<a id="{anchor}">' in line)


def parts(type):
    """The types that a type consists of."""
    if not isinstance(type, Schema):
        return list(type.values())
    return [*type.get("anyOf", ()), *([type["items"]] if "items" in type else [])]


def names_in(type):
    """The names of all fields in a type."""
    own = set() if isinstance(type, Schema) else names_of(type)
    return own.union(*map(names_in, parts(type)))


def names_of(table):
    return {name.rstrip("?") for name in table}


def words_in(type):
    own = set(type.get("enum", ())) if isinstance(type, Schema) else set()
    return own.union(*map(words_in, parts(type)))


def compared(what, on_page, here, also=frozenset()):
    """Sentences about what only one of them has; `also`: what other places of the page have."""
    return [
        *(f"{what}: {name} is on the page, and has no type in this program" for name in sorted(on_page - here)),
        *(f"{what}: {name} is in this program, and not on the page" for name in sorted(here - on_page - also)),
    ]


def differences_of_requests(page):
    rows = {re.match(r"`(\w+)`", name)[1]: cells for name, *cells in table_of(page, "| type | data | data of the reply |")}
    yield from compared("requests", set(rows), set(REQUESTS))
    of_requests = set(rows) | {reply_name(type) for type in rows}
    for type in set(rows) & set(REQUESTS):
        data, answer = rows[type]
        yield from compared(f"data of {type}", named(data), names_in(REQUESTS[type]))
        yield from compared(f"words of {type}", quoted(data), words_in(REQUESTS[type]))
        if type not in REPLIES:  # rows
            continue
        fields_here, there = names_in(REPLIES[type]), linked(page, answer)
        also = {name + end for name in named(there) for end in ("", "_peak")}
        yield from compared(f"the reply to {type}", named(answer) - (of_requests - fields_here), fields_here, also)
        also = quoted(there).union(REQUESTS, *(set(common["enum"]) for common in (TRANSACTION, ENGINE, ACCESS)))
        yield from compared(f"words of the reply to {type}", quoted(answer), words_in(REPLIES[type]), also)


def differences_of_rows(page):
    text = section(page, "Rows")
    first = named(text.strip().split("\n\n")[0]) - {"query_response"}
    yield from compared("rows", first, names_of(ROWS) | names_in(COLUMN) | {"more"}, {"result_end"})
    table = table_of(text, "| field | |")
    listed = set().union(*(named(name) for name, _ in table))
    yield from compared("the last rows", listed, names_of(LAST_ROWS) | {"result_end"})
    said = {name: what for name, what in table}
    yield from compared("result_end", named(said["`result_end`"]), names_in(ROWS["result_end?"]))
    yield from compared("transactions", quoted(said["`transaction`"]), words_in(TRANSACTION))


def differences_of_catalog(page):
    text = section(page, "Catalog")
    listed = set().union(*(named(name) for name, _ in table_of(text, "| field | |")))
    yield from compared("the last rows of a catalog", listed, names_of(LAST_CATALOG_ROWS))
    levels = {name for first, _ in table_of(text, "| level | columns |") for name in named(first)}
    yield from compared("levels", levels, words_in(REQUESTS["catalog"]["level"]))


def differences_of_messages(page):
    yield from compared("fields of a request", named_first(page, "| field | type | |"), {"id", "type", "data"})
    yield from compared("fields of a reply", named_first(page[page.index("\nReply:\n"):], "| field | type | |"), {"id", "type", "timestamp", "data"})
    errors = section(page, "Errors")
    yield from compared("errors", named_first(errors, "| field | |"), names_of(ERROR))
    inner = named(" ".join(re.findall(r"\{([^}]*)\}", errors)))
    yield from compared("parts of errors", inner, set().union(*map(names_in, parts(ERROR))))
    yield from compared("notices", set(), names_of(NOTICE), named(linked(page, "](#notices)")))


def named_first(text, head):
    """The names in the first column of a table."""
    return set().union(*(named(first) for first, *_ in table_of(text, head)))


def differences(page):
    """Where the page and the tables differ, as sentences."""
    return [*differences_of_requests(page), *differences_of_rows(page), *differences_of_catalog(page), *differences_of_messages(page)]


def main():
    page = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    found = differences(page)
    if found:
        sys.exit("docs/protocol.md and the tables of scripts/make-protocol-schema.py differ.\n" + "\n".join(found))
    text = json.dumps(whole_schema((ROOT / "docs/errors.md").read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text, encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        sys.exit("docs/protocol.schema.json is not as scripts/make-protocol-schema.py makes it; run it.")


if __name__ == "__main__":
    main()
