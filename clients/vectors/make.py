#!/usr/bin/env python3
"""Makes the vectors of the protocol: what the tests of every client read (see README.md).

    clients/vectors/make.py            writes the files
    clients/vectors/make.py --check    says whether they are as this program makes them

Only the standard library, and nothing of any client: the codecs here are the protocol's page (docs/protocol.md) once more.
Tests/Protocol/requests/test_vectors.py compares the files with a running daemon, in both directions.
"""

import base64
import datetime
import decimal
import json
import math
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
SAFE_INTEGER_MAX = 2**53 - 1

# MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md)


class Row(list):
    """A row of a result: its length is known before, so that the daemon writes it in the shortest form."""


class Extra(dict):
    """A map in a row of a catalog: its length is written when it is known, with 32 bits."""


class Timestamp(int):
    """Nanoseconds since 1970, which MessagePack has an extension type for."""


def head(count, small, small_max, tags):
    """A length in the shortest form that has room for it."""
    if count <= small_max:
        return bytes([small | count])
    for tag, form, bits in zip(tags, (">BB", ">BH", ">BI"), (8, 16, 32)):
        if tag and count < 1 << bits:
            return struct.pack(form, tag, count)
    raise ValueError(count)


def pack_integer(value):
    if -32 <= value < 128:
        return struct.pack("b", value)
    forms = (
        ((0xCC, ">BB", 8), (0xCD, ">BH", 16), (0xCE, ">BI", 32), (0xCF, ">BQ", 64)) if value >= 0
        else ((0xD0, ">Bb", 7), (0xD1, ">Bh", 15), (0xD2, ">Bi", 31), (0xD3, ">Bq", 63))
    )
    for tag, form, bits in forms:
        if value < 1 << bits if value >= 0 else value >= -(1 << bits):
            return struct.pack(form, tag, value)
    raise ValueError(value)


def pack(value, of_daemon=False):
    """MessagePack in its shortest forms; the daemon's maps have 16-bit counts, its arrays but rows 32-bit counts."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, Timestamp):
        seconds, nanoseconds = divmod(value, 10**9)
        return b"\xd7\xff" + struct.pack(">Q", nanoseconds << 34 | seconds)
    if isinstance(value, int):
        return pack_integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return head(len(text), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + text
    if isinstance(value, bytes):
        return head(len(value), 0, -1, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, list):
        is_short = not of_daemon or isinstance(value, Row)
        start = head(len(value), 0x90, 15, (0, 0xDC, 0xDD)) if is_short else b"\xdd" + struct.pack(">I", len(value))
        return start + b"".join(pack(item, of_daemon) for item in value)
    if of_daemon and isinstance(value, Extra):
        start = b"\xdf" + struct.pack(">I", len(value))
        return start + b"".join(pack(key) + pack(item, of_daemon) for key, item in value.items())
    start = b"\xde" + struct.pack(">H", len(value)) if of_daemon else head(len(value), 0x80, 15, (0, 0xDE, 0xDF))
    return start + b"".join(pack(key) + pack(item, of_daemon) for key, item in value.items())


# JSON


def real_text(value):
    """The shortest digits that read back the same, with a point, or with an exponent below 10⁻⁵ and from 10¹⁶ on."""
    text = repr(value)
    return format(decimal.Decimal(text), "f") if text.endswith("e-05") else text


def json_text(value, int64="tagged"):
    if isinstance(value, Timestamp):
        seconds, nanoseconds = divmod(value, 10**9)
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
        return f'"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000:06}Z"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        if abs(value) <= SAFE_INTEGER_MAX or int64 == "number":
            return str(value)
        return f'"{value}"' if int64 == "string" else f'{{"$int":"{value}"}}'
    if isinstance(value, float):
        if math.isfinite(value):
            return real_text(value)
        return '{"$real":"%s"}' % ("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bytes):
        return '{"$blob":"%s"}' % base64.b64encode(value).decode()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(json_text(item, int64) for item in value) + "]"
    return "{" + ",".join(f"{json.dumps(key)}:{json_text(item, int64)}" for key, item in value.items()) + "}"


# What a value is, for a language: its kind, and a text that has all of it


def native(value):
    if value is None:
        return {"kind": "null"}
    if isinstance(value, bool):
        return {"kind": "boolean", "value": value}
    if isinstance(value, int):
        return {"kind": "integer", "value": str(value)}
    if isinstance(value, float):
        return {"kind": "real", "bits": struct.pack(">d", value).hex()}
    if isinstance(value, bytes):
        return {"kind": "blob", "hex": value.hex()}
    return {"kind": "text", "utf8": value.encode().hex()}


def message_text(message):
    """A message as JSON. An id is a plain number, however large: it comes back as it was sent."""
    return "{" + ",".join(
        f'"{key}":{json_text(value, "number" if key == "id" else "tagged")}' for key, value in message.items()) + "}"


def framed(body):
    return struct.pack(">I", len(body)) + body


# The tables

INTEGERS = [
    0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1,
    -1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -(2**53) + 1, -(2**53), -(2**53) - 1, -(2**63),
]  # fmt: skip
UNSIGNED = [2**63, 2**64 - 1]
REALS = [
    0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 100.0, 1e15, 1e16, 1e22, 1e23, 123456789012345680.0, 5e-324, 2.2250738585072014e-308,
    1.7976931348623157e308, 1e-7, 1e-5, 0.0001, math.inf, -math.inf,
]  # fmt: skip
TEXTS = [
    "", "a", "é", "\u20ac", "\U0001f600", "a\0b", "\t\n\r\b\f", "\x01\x1f\x7f", '"\\/', "\u2028\u2029", "\ufeffmark", "\ufffd",
    "e\u0301", "null", "1", "a" * 31, "b" * 32, "c" * 255, "d" * 256,
]  # fmt: skip
BLOBS = [b"", b"\0", b"\xff", b"\x00\x01\x02\xff", bytes(range(256)), b"ab", b"abc", b"abcd"]


def longer_integers(value):
    """Every longer form of an integer that MessagePack allows: a reader must take each."""
    forms = [(0xCC, ">BB"), (0xCD, ">BH"), (0xCE, ">BI"), (0xCF, ">BQ"), (0xD0, ">Bb"), (0xD1, ">Bh"), (0xD2, ">Bi"), (0xD3, ">Bq")]
    shortest, found = pack_integer(value), []
    for tag, form in forms:
        try:
            packed = struct.pack(form, tag, value)
        except struct.error:
            continue
        if packed != shortest:
            found.append(packed)
    return found


def values():
    """Each value in both encodings; `from` says what can make the daemon send it."""
    for value in [None, True, False, *INTEGERS, *UNSIGNED, *REALS, *TEXTS, *BLOBS]:
        line = {"native": native(value), "msgpack": pack(value).hex(), "json": json_text(value)}
        if isinstance(value, int) and not isinstance(value, bool):
            line["msgpack_also"] = [packed.hex() for packed in longer_integers(value)]
            if abs(value) > SAFE_INTEGER_MAX:
                line["json_int64"] = {style: json_text(value, style) for style in ("number", "string")}
        elif isinstance(value, str):
            text = value.encode()
            line["msgpack_also"] = [(struct.pack(form, tag, len(text)) + text).hex() for tag, form, most in
                                    ((0xD9, ">BB", 255), (0xDA, ">BH", 65_535), (0xDB, ">BI", 1 << 32))
                                    if len(text) <= most and struct.pack(form, tag, len(text)) + text != pack(value)]
            line["json_also"] = [json.dumps(value)] if json.dumps(value) != line["json"] else []
        elif isinstance(value, float):
            line["json_also"] = [] if repr(value) == line["json"] or not math.isfinite(value) else [repr(value)]
        elif isinstance(value, bytes):
            line["msgpack_also"] = [(struct.pack(form, tag, len(value)) + value).hex() for tag, form, most in
                                    ((0xC5, ">BH", 65_535), (0xC6, ">BI", 1 << 32))
                                    if struct.pack(form, tag, len(value)) + value != pack(value)]
        # SQLite has no booleans, and no integer beyond 64 bits with a sign; as parameters they are 1, 0 and an error.
        line["stored_by"] = "none" if isinstance(value, bool) or value in UNSIGNED else "sqlite"
        yield line


def requests():
    """Each request that a client makes: what it means, and its bytes in the three framings."""
    table = [
        ("a health check", "health_check", None, "health_response"),
        ("a health check of a database", "health_check", {"database": "default", "timeout_ms": 5000}, "health_response"),
        ("hello", "hello", {"client": "vectors", "protocol": [1]}, "hello_response"),
        ("hello with notices, integers as text", "hello", {"client": "vectors", "int64": "string", "notices": True}, "hello_response"),
        ("hello with descriptors", "hello", {"client": "vectors", "protocol": [1], "descriptors": True}, "hello_response"),
        ("the databases", "list_databases", None, "list_databases_response"),
        ("a session", "db_connect", {"database": "default"}, "db_connect_response"),
        ("a session for reading", "db_connect", {"database": "default", "read_only": True}, "db_connect_response"),
        ("a session with a database in memory", "db_connect", {"url": "sqlite::memory:"}, "db_connect_response"),
        ("the end of a session that there is not", "db_disconnect", {"session": "none"}, "error"),
        ("a query", "query", {"sql": "SELECT 1"}, "query_response"),
        ("parameters by position", "query", {"sql": "SELECT ?, ?, ?, ?, ?", "params": [None, 2**63 - 1, 1.0, "é", b"\0\xff"]},
         "query_response"),
        ("parameters by name", "query", {"sql": "SELECT :a, :b", "params": {"a": -(2**63), "b": "x"}}, "query_response"),
        ("a real number that looks like an integer", "query", {"sql": "SELECT typeof(?)", "params": [1.0]}, "query_response"),
        ("a query with limits", "query", {"sql": "SELECT 1", "timeout_ms": 1000, "max_rows": 10, "page_rows": 5}, "query_response"),
        ("a query with all results", "query", {"sql": "SELECT 1", "result_sets": True}, "query_response"),
        ("a batch", "batch", {"statements": [{"sql": "CREATE TABLE IF NOT EXISTS vectors(a, b)"},
                                             {"sql": "INSERT INTO vectors VALUES(?, ?)", "param_rows": [[1, "one"], [2, None]]},
                                             {"sql": "DELETE FROM vectors WHERE a = :a", "params": {"a": 1}}]}, "batch_response"),
        ("a batch that is not atomic", "batch", {"statements": [{"sql": "DELETE FROM vectors"}], "atomic": False}, "batch_response"),
        ("a completion", "complete", {"sql": "SELECT na FROM users", "cursor": 9, "limit": 20, "recent": ["name"]}, "complete_response"),
        ("what is in a database", "catalog", {"level": "relations"}, "catalog_response"),
        ("a catalog that is narrowed", "catalog",
         {"level": "columns", "namespace": "main", "relation": "vectors", "match": "a", "kinds": ["table", "view"], "definitions": True,
          "refresh": True, "etag": "none", "timeout_ms": 5000, "max_rows": 10}, "catalog_response"),
        ("an export without a file", "export",
         {"sql": "SELECT ?", "params": [1], "format": "tsv", "header": False, "descriptors": 1, "progress_ms": 100}, "error"),
        ("an import without a file", "import",
         {"relation": "vectors", "columns": ["a", "b"], "format": "jsonl", "descriptors": 1}, "error"),
        ("a COPY without a file", "import", {"sql": "COPY t FROM STDIN", "descriptors": 1}, "error"),
        ("an import with all that can be said of it, without a file", "import",
         {"relation": "vectors", "namespace": "main", "columns": ["a"], "format": "csv", "header": False, "delimiter": ";", "null": "NA",
          "encoding": "latin-1", "create": True, "dry_run": True, "atomic": True, "max_rejected": 7, "timeout_ms": 5000, "descriptors": 1,
          "progress_ms": 100}, "error"),
        ("a copy without a file", "backup", {"database": "default", "descriptors": 1, "progress_ms": 100}, "error"),
        ("a restore without a file", "restore", {"database": "default", "descriptors": 1, "progress_ms": 100}, "error"),
        ("a description", "describe", {"sql": "SELECT 1 AS one WHERE ? > 0"}, "describe_response"),
        ("the next page of a query that there is not", "fetch", {"request": 7}, "error"),
        ("the end of a request that there is not", "cancel", {"request": "seven"}, "cancel_response"),
        ("what is going on", "activity", None, "activity_response"),
        ("figures", "stats", None, "stats_response"),
        ("a type that there is not", "no_such_type", None, "error"),
        ("a statement that is none", "query", {"sql": "SELEC 1"}, "error"),
        ("a database that there is not", "query", {"sql": "SELECT 1", "database": "no such"}, "error"),
        ("what changes", "subscribe", {"relations": ["city"]}, "subscribe_response"),
        ("what has changed since", "subscribe",
         {"database": "default", "relations": ["city", "straße"], "from": "5be1c3a0e8f4d927.12", "delay_ms": 250}, "subscribe_response"),
        ("messages of a database that has no channels", "subscribe", {"channels": ["news", "straße"], "patterns": ["sport.*"]}, "error"),
    ]
    ids = [1, 0, -1, 2**63 - 1, 2**64 - 1, "a text", "é", ""]
    for index, (name, kind, data, reply) in enumerate(table):
        message = {"id": ids[index % len(ids)], "type": kind}
        if data is not None:
            message["data"] = data
        body = pack(message)
        yield {"name": name, "type": kind, "reply": reply, "json": message_text(message), "msgpack": body.hex(), "frame": framed(body).hex()}


MOMENT = Timestamp(1_795_385_638_123_456_000)


def reply(id, kind, data):
    if "rows" in data:
        rows = [Row(Row(value) if isinstance(value, list) else value for value in row) for row in data["rows"]]
        data = {**data, "rows": rows}
    return {"id": id, "type": kind, "timestamp": MOMENT, "data": data}


def column(name, type="any", declared=None):
    return {"name": name, "type": type, "declared_type": declared}


def ended(rows, columns=None, **more):
    data = {"columns": columns, "rows": rows, "more": False, "row_count": len(rows), "rows_affected": 0}
    if columns is None:
        del data["columns"]
    return {**data, **more, "transaction": "none", "elapsed_us": 42}


def told(level, rows, **more):
    """The columns of a catalog's level, and rows."""
    names = {"keys": ("namespace", "relation", "name", "kind", "columns", "extra"),
             "types": ("namespace", "name", "kind", "labels", "base", "comment", "extra")}[level]
    return {"columns": [column(name, {"columns": "array", "labels": "array", "extra": "map"}.get(name, "text")) for name in names],
            "rows": rows, **more}


def changed(data):
    """What a reply of a subscription says to a program: why it is not known what has changed is null where it is known."""
    resync = data.get("reason") if data.get("resync") else None
    message = None
    if "channel" in data:
        texts = {key: native(data[key]) if key in data else None for key in ("channel", "payload", "pattern")}
        message = {**texts, "pid": data.get("pid")}
    return {"position": data["position"], "relations": data.get("relations", []), "schema": data.get("schema", False), "resync": resync,
            "message": message}


def replies():
    """Replies, and where one request is enough to get it, that request: the daemon gives these very bytes but for times and numbers."""
    one = [column("1")]
    table = [
        ("a row", {"sql": "SELECT 1"}, [reply(1, "query_response", ended([[1]], one))]),
        ("values of each kind", {"sql": "SELECT NULL AS a, 9007199254740993 AS b, -0.5 AS c, 'é' AS d, x'00ff' AS e"},
         [reply(1, "query_response", ended([[None, 2**53 + 1, -0.5, "é", b"\0\xff"]], [column(name) for name in "abcde"]))]),
        ("infinity", {"sql": "SELECT 9e999, -9e999"},
         [reply(1, "query_response", ended([[math.inf, -math.inf]], [column("9e999"), column("-9e999")]))]),
        ("no rows", {"sql": "SELECT 1 WHERE 0"}, [reply(1, "query_response", ended([], one))]),
        ("text that is not UTF-8", {"sql": "SELECT CAST(x'61ff' AS TEXT) AS t"},
         [reply(1, "query_response", ended([[b"a\xff"]], [column("t")]))]),
        ("columns of one name", {"sql": "SELECT 1 AS a, 2 AS a"},
         [reply(1, "query_response", ended([[1, 2]], [column("a"), column("a")]))]),
        ("a result that was cut", {"sql": "SELECT 1 UNION ALL SELECT 2", "max_rows": 1},
         [reply(1, "query_response", {**{key: value for key, value in ended([[1]], one).items() if key not in ("transaction", "elapsed_us")},
                                      "truncated": True, "transaction": "none", "elapsed_us": 42})]),
        ("two pages", None,
         [reply(1, "query_response", {"columns": one, "rows": [[1], [2]], "more": True}),
          reply(1, "query_response", {**ended([[3]]), "row_count": 3})]),
        ("an error behind rows", None,
         [reply("q", "query_response", {"columns": one, "rows": [[1]], "more": True}),
          reply("q", "error", {"code": "cancelled", "message": "The request was cancelled.", "retryable": False})]),
        ("an outcome that nobody knows", None,
         [reply(2**64 - 1, "error", {"code": "outcome_unknown", "message": "It is not known whether the statement took effect.",
                                     "sqlstate": "08007", "retryable": False, "transaction": "none"})]),
        ("a limit", None,
         [reply(-1, "error", {"code": "busy", "message": "All connections are in use.", "hint": "Try again.", "retryable": True,
                              "retry_after_ms": 100, "holder": {"uid": 1000, "pid": 4711, "since_ms": 1500},
                              "limit": {"name": "pool_connections_max", "value": 10, "used": 10}})]),
        ("an error of a batch", None,
         [reply(1, "error", {"code": "constraint_violation", "message": "UNIQUE constraint failed: t.a", "sqlstate": "23505",
                             "vendor_code": 1555, "statement_index": 1, "row_index": 2, "retryable": False, "transaction": "none"})]),
        ("a notice between rows", None,
         [reply(1, "query_response", {"columns": one, "rows": [[1]], "more": True}),
          reply(None, "notice", {"code": "database_notice", "request": 1, "severity": "WARNING", "message": "soon", "sqlstate": "01000"}),
          reply(1, "query_response", {**ended([[2]]), "row_count": 2})]),
        ("a notice that no client knows", None,
         [reply(None, "notice", {"code": "something_new", "message": "of a later version"}),
          reply(1, "query_response", ended([[1]], one))]),
        ("two results", None,
         [reply(1, "query_response", {"columns": one, "rows": [[1]], "more": True, "result_end": {"row_count": 1, "truncated": False}}),
          reply(1, "query_response", {"columns": [column("2")], "rows": [[2]], "more": True,
                                      "result_end": {"row_count": 1, "truncated": False}}),
          reply(1, "query_response", {"rows": [], "more": False, "row_count": 2, "rows_affected": 0, "result_sets": 2,
                                      "transaction": "none", "elapsed_us": 42})]),
        ("decimals, dates and the like of a server", None,
         [reply(1, "query_response", ended(
             [["12.50", "2026-11-28", "2026-11-28 10:11:12.123456+00", "{1,2}"]],
             [column("a", "decimal", "numeric(6,2)"), column("b", "date", "date"), column("c", "timestamptz", "timestamptz"),
              column("d", "int4[]", "int4[]")]))]),
    ]
    table += [
        ("what may come next", {"sql": "SELEC", "limit": 1}, [reply(1, "complete_response", {
            "replace": {"from": 0, "to": 5}, "items": [{"text": "SELECT", "label": "SELECT", "kind": "keyword"}]})]),
        ("nothing that could come next", {"sql": "-- é"}, [reply(1, "complete_response", {"replace": {"from": 5, "to": 5}, "items": []})]),
        ("names that are not known yet", None, [reply(1, "complete_response", {
            "replace": {"from": 7, "to": 9}, "items": [{"text": '"na me"', "label": "na me", "kind": "column", "detail": "TEXT",
                                                        "relation": "city"}], "incomplete": True})]),
        ("a catalog without rows", {"level": "types"},
         [reply(1, "catalog_response", told("types", [], more=False, row_count=0, etag="48f261beda7d029f", elapsed_us=42))]),
        ("a catalog with lists and maps", None,
         [reply(1, "catalog_response", told(
             "keys", [["main", "city", None, "primary", ["name"], None],
                      ["main", "street", "é", "unique", ["city", "name"], Extra(deferrable=True, parts=["x", None])]],
             more=False, row_count=2, etag="48f261beda7d029f", transaction="none", elapsed_us=42))]),
        ("a catalog in two replies", None,
         [reply(1, "catalog_response", told("types", [["public", "mood", "enum", ["sad", "ok"], None, None, None]], more=True)),
          reply(1, "catalog_response", {"rows": [["public", "none", "enum", [], None, "", None]], "more": False, "row_count": 2,
                                        "truncated": True, "etag": "b", "transaction": "active", "elapsed_us": 42})]),
        ("a catalog that has not changed", None,
         [reply(1, "catalog_response", {"more": False, "row_count": 0, "unchanged": True, "etag": "48f261beda7d029f", "elapsed_us": 42})]),
        ("an export on its way", None,
         [reply(1, "export_response", {"bytes": 2**20, "more": True}),
          reply(1, "export_response", {"bytes": 2**33, "more": False, "row_count": 2**32, "rows_affected": 0, "transaction": "none",
                                       "elapsed_us": 42})]),
        ("a copy on its way", None,
         [reply(1, "backup_response", {"bytes": 4096, "total_bytes": 8192, "more": True}),
          reply(1, "backup_response", {"bytes": 8192, "total_bytes": 8192, "more": False, "elapsed_us": 42})]),
        ("a restore on its way", None,
         [reply(1, "restore_response", {"bytes": 4096, "more": True}),
          reply(1, "restore_response", {"bytes": 8192, "total_bytes": 8192, "more": False, "elapsed_us": 42})]),
        ("an import on its way", None,
         [reply(1, "import_response", {"bytes": 2**20, "total_bytes": 2**33, "more": True, "row_count": 2**16, "rejected_count": 1}),
          reply(1, "import_response", {
              "bytes": 2**33, "total_bytes": 2**33, "more": False, "row_count": 2**32, "rejected_count": 2,
              "rejected": [{"line": 7, "reason": "It has 1 field instead of 2."}, {"line": 2**32 + 1, "reason": "é"}],
              "columns": [{"name": "name", "type": "text"}, {"name": "people", "type": None}], "sql": 'CREATE TABLE "city"("name" TEXT, "people" INTEGER)',
              "transaction": "active", "elapsed_us": 42})]),
        ("an import that ended at a line", None,
         [reply(1, "import_response", {"bytes": 2**20, "more": True, "row_count": 2**16, "rejected_count": 0}),
          reply(1, "error", {"code": "constraint_violation", "message": "Line 65538 was refused: UNIQUE constraint failed: city.name",
                             "sqlstate": "23505", "detail": "The 65536 rows before it are in the table.", "retryable": False})]),
        ("an export that failed on its way", None,
         [reply(1, "export_response", {"bytes": 65_536, "more": True}),
          reply(1, "error", {"code": "database_error", "message": "No space left on the device.", "sqlstate": "53100", "retryable": False})]),
    ]  # fmt: skip
    position = "5be1c3a0e8f4d927"
    table += [
        ("changes", None,
         [reply(1, "subscribe_response", {"position": f"{position}.12", "covers": "all_writers", "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.13", "relations": ["city"], "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.15", "relations": ["city", "straße"], "schema": True, "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.16", "resync": True, "reason": "other_program", "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.17", "schema": True, "more": True}),
          reply(1, "error", {"code": "cancelled", "message": "The request was cancelled.", "retryable": False})]),
        ("changes that cannot go on where others were", None,
         [reply(1, "subscribe_response", {"position": f"{position}.1", "covers": "daemon_writers", "resync": True,
                                          "reason": "position_unknown", "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.2", "relations": ["city"], "resync": True,
                                          "reason": "too_large", "more": True}),
          reply(1, "error", {"code": "shutting_down", "message": "The daemon stops.", "retryable": True})]),
        ("messages of channels", None,
         [reply(1, "subscribe_response", {"position": f"{position}.1", "covers": "channels", "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.2", "channel": "news", "payload": "fünf", "pid": 4711, "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.3", "channel": "news", "payload": "", "pid": 2**31 - 1, "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.4", "channel": "sport.é", "pattern": "sport.*", "payload": b"\0\xff", "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.9", "resync": True, "reason": "connection_lost", "more": True}),
          reply(1, "subscribe_response", {"position": f"{position}.10", "channel": b"\xff", "pattern": b"[\xff]", "payload": "x", "more": True}),
          reply(1, "error", {"code": "cancelled", "message": "The request was cancelled.", "retryable": False})]),
    ]  # fmt: skip
    for name, request, messages in table:
        line = {"name": name}
        if messages[0]["type"] == "subscribe_response":
            line["changes"] = [changed(message["data"]) for message in messages if message["type"] != "error"]
        if request is not None:
            line["type"] = messages[0]["type"].removesuffix("_response")
            line["request"] = request
        line["json"] = [message_text(message) for message in messages]
        line["msgpack"] = [pack(message, of_daemon=True).hex() for message in messages]
        yield line


def streams():
    """What may come in one read: a client gives the same replies wherever the stream is cut."""
    messages = {line["name"]: line for line in replies()}
    for name in ("values of each kind", "two pages", "a catalog in two replies", "an export on its way", "a notice between rows", "an error behind rows",
                 "changes", "messages of channels"):
        line = messages[name]
        yield {"name": name, "framing": "frames", "bytes": b"".join(framed(bytes.fromhex(body)) for body in line["msgpack"]).hex(),
               "bodies": line["msgpack"]}
        yield {"name": name, "framing": "lines", "bytes": b"".join(body.encode() + b"\n" for body in line["json"]).hex(),
               "bodies": line["json"]}


FILES = {"values.jsonl": values, "requests.jsonl": requests, "replies.jsonl": replies, "streams.jsonl": streams}


def main():
    stale = []
    for name, table in FILES.items():
        text = "".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n" for line in table())
        path = HERE / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        sys.exit(f"{', '.join(stale)}: not as clients/vectors/make.py makes them; run it.")


if __name__ == "__main__":
    main()
