"""docs/protocol.schema.json: it is made of the page, says what the daemon and the vectors say, and refuses all else.

What may come with later versions (fields that are not listed, codes that are not known) is allowed by the schema as it is published,
and not by the closed one here: a field that is missing in it would not be seen.
"""

import copy
import functools
import itertools
import json
import re
import runpy
import subprocess
import sys

import examples
import pytest
from jsonschema import Draft202012Validator, ValidationError, validators
from test_reply_fields import GONE, seen
from subscription import Subscription
from transfers import transfer
from wire import Client, RequestFailed, decode, tagged

ROOT = examples.ROOT
SCHEMA = json.loads((ROOT / "docs/protocol.schema.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
MAKER = ROOT / "scripts/make-protocol-schema.py"
make = runpy.run_path(str(MAKER))


def closed(part):
    """A schema without what is left open for later versions."""
    if isinstance(part, list):
        return [closed(below) for below in part]
    if not isinstance(part, dict):
        return part
    if any("$comment" in choice for choice in part.get("anyOf", [])):
        part = next(choice for choice in part["anyOf"] if "$comment" not in choice)
    made = {key: closed(below) for key, below in part.items()}
    if part.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def is_for_another(choice, message):
    """Whether a part of the schema is for messages of a type that this one does not have."""
    fields = SCHEMA["$defs"].get(choice.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
    own = fields.get("type", {}).get("const")
    return own is not None and isinstance(message, dict) and message.get("type") != own


def one_of(validator, choices, instance, _):
    """As the standard has it, without the reasons: of 60 types, those that a message does not have are not looked into for all of theirs."""
    count = sum(validator.evolve(schema=choice).is_valid(instance) for choice in choices if not is_for_another(choice, instance))
    if count != 1:
        yield ValidationError(f"{instance!r} is valid under {count} of the given schemas")


Validator = validators.extend(Draft202012Validator, {"oneOf": one_of})
OPEN, CLOSED = Validator(SCHEMA), Validator(closed(SCHEMA))


@functools.cache
def closed_validator(name):
    """One for each type: who makes it, reads the whole schema."""
    return CLOSED.evolve(schema={"$ref": f"#/$defs/{name}", "$defs": CLOSED.schema["$defs"]})


def of_type(message):
    """The closed validator for messages of one type, which says more than that for all."""
    return closed_validator(message["type"] if "timestamp" in message else f"request_{message['type']}")


def vectors(name):
    return [json.loads(line) for line in (ROOT / "clients/vectors" / name).read_text().splitlines()]


def from_messagepack(text):
    """A message as JSON has it: blobs and large integers tagged, the timestamp as text. (Ids are plain numbers in both.)"""
    reply = decode(bytes.fromhex(text))
    return {"id": reply.id, "type": reply.type, "timestamp": "2026-11-22T22:13:58.123456Z", "data": tagged(reply.data)}


def examples_of_page():
    """Every message that stands in the page."""
    for line in re.findall(r"^\{\"id\".*\}$", PAGE, re.M):
        yield json.loads(line)


def messages():
    for line in vectors("requests.jsonl"):
        if line["type"] != "no_such_type":
            yield json.loads(line["json"])
    for line in vectors("replies.jsonl"):
        yield from map(json.loads, line["json"])
        yield from map(from_messagepack, line["msgpack"])
    for line in vectors("streams.jsonl"):
        yield from map(json.loads if line["framing"] == "lines" else from_messagepack, line["bodies"])
    yield from examples_of_page()
    for line in vectors("values.jsonl"):
        for form in [line["json"], *line.get("json_also", []), *line.get("json_int64", {}).values()]:
            yield {"id": 1, "type": "query", "data": {"sql": "SELECT ?", "params": [json.loads(form)]}}
            yield {"id": 1, "type": "query", "data": {"sql": "SELECT :a", "params": {"a": json.loads(form)}}}
            yield {"id": 1, "type": "query_response", "timestamp": "2026-11-22T22:13:58.123456Z", "data": {"rows": [[json.loads(form)]], "more": True}}


WRONG = {"$none": []}


def mutations(message, path=()):
    """Messages that the protocol does not have: at each place, a map that is no value; and each map without one of its fields."""
    def changed(change):
        whole = copy.deepcopy(message)
        below = whole
        for key in path[:-1]:
            below = below[key]
        change(below, path[-1])
        return whole

    value = message
    for key in path:
        value = value[key]
    if "rows" in path and isinstance(value, dict) and not any(key.startswith("$") for key in value):
        return  # `extra` of a catalog, which may have anything.
    if path:
        yield changed(lambda below, key: below.__setitem__(key, WRONG))
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from mutations(message, (*path, key))


def check(message):
    errors = [f"{list(error.absolute_path)}: {error.message[:300]}" for error in of_type(message).iter_errors(message)]
    assert not errors, (message, errors)
    assert OPEN.is_valid(message), message


# The file

def test_the_file_is_made_of_the_page():
    result = subprocess.run([sys.executable, MAKER, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("there", "instead", "said"), [
    ("`page_rows`; `result_sets`: true", "`result_sets`: true", "data of query: page_rows is in this program, and not on the page"),
    ("| `describe` | `sql`;", "| `describe` | `sql`, `depth`;", "data of describe: depth is on the page, and has no type"),
    ('"number" or "string"; `notices`', '"number" or "text"; `notices`', "words of hello: string is in this program"),
    ("| `cancel` | `request`: id | `cancelled`: bool", "| `cancel` | `request`: id | `ended`: bool", "the reply to cancel: ended is on"),
    ("| `stats` | – | `uptime_ms`", "| `stats` | – | `age_ms`", "the reply to stats: age_ms is on the page"),
    ("| `reload` | – |", "| `load` | – |", "requests: load is on the page"),
    ("| `rows_affected` | by", "| `rows_changed` | by", "the last rows: rows_changed is on the page"),
    ("`sqlstate`, `vendor_code` | of", "`sqlstate` | of", "errors: vendor_code is in this program"),
    ("{`offset`, `line`, `column`}", "{`offset`, `row`}", "parts of errors: row is on the page"),
    ('"none", "active" or "failed"', '"none" or "active"', "transactions: failed is in this program"),
    ("{`code`: \"idle_transaction\", `message`, `session`, `ends_in_ms`}", "{`code`}", "notices: ends_in_ms is in this program"),
    ("| `timestamp` | MessagePack", "| `moment` | MessagePack", "fields of a reply: moment is on the page"),
])
def test_a_page_that_says_something_else_stops_the_program(there, instead, said):
    assert make["differences"](PAGE) == []
    assert there in PAGE
    page = PAGE.replace(there, instead)
    if "ends_in_ms" in said:
        page = page.replace("`ends_in_ms`", "")
    assert any(sentence.startswith(said) for sentence in make["differences"](page)), make["differences"](page)


def test_each_part_for_a_type_asks_for_it():
    """It is taken for granted here, where a part for another type is not looked into."""
    parts = [part for part in SCHEMA["$defs"].values() if "const" in part.get("properties", {}).get("type", {})]
    assert len(parts) > 40 and all("type" in part["required"] for part in parts)


def test_whoever_is_left_out_would_refuse_too():
    """The schema as the library has it says the same of each type's first message, and of one that is wrong."""
    standard = Draft202012Validator(SCHEMA)
    firsts = {}
    for message in messages():
        firsts.setdefault((message["type"], "timestamp" in message), message)
    for index, message in enumerate(firsts.values()):
        wrong = [without(message, "id"), {**message, "type": "no_such_type"}, {**message, "timestamp": 1}][index % 3]
        assert standard.is_valid(message) == OPEN.is_valid(message), message
        assert standard.is_valid(wrong) == OPEN.is_valid(wrong), wrong


# What it accepts

def test_vectors_and_examples_are_valid():
    valid = list(messages())
    assert len(valid) > 400
    for message in valid:
        check(message)
    unknown = next(json.loads(line["json"]) for line in vectors("requests.jsonl") if line["type"] == "no_such_type")
    assert not OPEN.is_valid(unknown)


class Recorder:
    """Asks, and keeps the messages of both directions as they were on the wire."""

    def __init__(self, client):
        self.client = client
        self.messages = []

    def call(self, type, data):
        self.messages.append({"id": 1, "type": type, "data": tagged(data)})
        try:
            result = self.client.call(type, data)
        except RequestFailed as error:
            result = error
        return result

    def subscribe(self, **data):
        self.messages.append({"id": 1, "type": "subscribe", "data": tagged(data)})
        return Subscription(self.client, **data)

    def passing(self, type, descriptor, **data):
        """A request that passes a descriptor."""
        self.messages.append({"id": 1, "type": type, "data": tagged({"descriptors": 1, **data})})
        return transfer(self.client, type, descriptor, **data)

    def record_bytes(self):
        """Keeps each line that comes."""
        receive = self.client.receive

        def receive_and_keep(*arguments, **options):
            reply = receive(*arguments, **options)
            self.messages.append(json.loads(reply.raw))
            return reply

        self.client.receive = receive_and_keep


WRONG_STATEMENTS = ["SELEC 1", "SELECT * FROM nowhere", "INSERT INTO once VALUES (1)", "BEGIN", "SELECT ?"]


def ask_what_fails(ask):
    ask("query", {"sql": "CREATE TABLE once(x INTEGER PRIMARY KEY)"})
    ask("query", {"sql": "INSERT INTO once VALUES (1)"})
    for sql in WRONG_STATEMENTS:
        ask("query", {"sql": sql})
    ask("query", {"sql": "SELECT 1", "database": "nowhere"})
    ask("query", {"sql": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c", "timeout_ms": 20})
    ask("batch", {"statements": [{"sql": "INSERT INTO once VALUES (?)", "param_rows": [[2], [2]]}]})
    ask("db_disconnect", {"session": "none"})
    ask("fetch", {"request": "none"})
    ask("query", {"sql": "SELECT x'00ff', 9007199254740993, 9e999, NULL, 'é', 0.5, CAST(x'ff' AS TEXT)"})


def test_replies_of_a_daemon_are_valid(reader):
    alice = reader()
    (alice.home / ".config/litebase").mkdir(parents=True)
    alice.own(alice.home / ".config")
    alice.start_daemon("exec litebased")
    with Client(str(alice.socket), "lines") as client:
        recorder = Recorder(client)
        recorder.record_bytes()
        seen(recorder, lambda: alice.give(".config/litebase/litebase.toml", GONE))
        ask_what_fails(recorder.call)
    codes = {message["data"]["code"] for message in recorder.messages if message["type"] == "error"}
    assert {"syntax_error", "constraint_violation", "timeout", "needs_session", "database_not_found", "session_not_found"} <= codes
    answered = {message["type"] for message in recorder.messages if "timestamp" in message}
    assert answered == {make["reply_name"](type) for type in make["REQUESTS"] if type != "fetch"} | {"error"}
    for message in recorder.messages:
        check(message)
    for message in {message["type"]: message for message in recorder.messages}.values():
        for wrong in mutations(message):
            assert not of_type(message).is_valid(wrong), wrong


# What it refuses

def test_mutated_messages_are_refused():
    tried = []
    for message in itertools.chain(map(json.loads, (line["json"] for line in vectors("requests.jsonl") if line["type"] != "no_such_type")),
                                   (json.loads(text) for line in vectors("replies.jsonl") for text in line["json"])):
        for wrong in mutations(message):
            assert not of_type(message).is_valid(wrong), wrong
            tried.append(wrong)
    assert len(tried) > 500


def without(message, *path):
    made = copy.deepcopy(message)
    below = made
    for key in path[:-1]:
        below = below[key]
    del below[path[-1]]
    return made


QUERY = {"id": 1, "type": "query", "data": {"sql": "SELECT 1"}}
ROWS = json.loads(vectors("replies.jsonl")[0]["json"][0])
ERROR = next(json.loads(line["json"][0]) for line in vectors("replies.jsonl") if line["name"] == "a limit")


@pytest.mark.parametrize("wrong", [
    without(QUERY, "id"), without(QUERY, "type"), without(QUERY, "data"), without(QUERY, "data", "sql"),
    {**QUERY, "id": None}, {**QUERY, "id": "x" * 129}, {**QUERY, "id": 2**64}, {**QUERY, "id": 1.5}, {**QUERY, "type": "Query"},
    {**QUERY, "data": {"sql": "SELECT 1", "timeout_ms": 0}}, {**QUERY, "data": {"sql": "SELECT 1", "max_rows": 1.5}},
    {**QUERY, "data": {"sql": "SELECT 1", "session": "s", "database": "d"}}, {**QUERY, "data": {"sql": "SELECT 1", "params": 1}},
    {**QUERY, "data": {"sql": "SELECT ?", "params": [{"$int": "1.5"}]}}, {**QUERY, "data": {"sql": "SELECT ?", "params": [{"$blob": "A"}]}},
    {**QUERY, "data": {"sql": "SELECT ?", "params": [{"$real": "1"}]}}, {**QUERY, "data": {"sql": "SELECT ?", "params": [[1]]}},
    {"id": 1, "type": "hello", "data": {"int64": "text"}}, {"id": 1, "type": "db_connect", "data": {"database": "a", "url": "sqlite::memory:"}},
    {"id": 1, "type": "batch", "data": {"statements": {}}}, {"id": 1, "type": "batch", "data": {"statements": [{"params": []}]}},
    without(ROWS, "timestamp"), without(ROWS, "data", "rows"), without(ROWS, "data", "more"), without(ROWS, "data", "row_count"),
    {**ROWS, "timestamp": "2026-11-22 22:13:58Z"}, {**ROWS, "data": {**ROWS["data"], "row_count": -1}},
    {**ROWS, "data": {**ROWS["data"], "transaction": "open"}}, {**ROWS, "data": {**ROWS["data"], "rows": [1]}},
    without(ERROR, "data", "code"), without(ERROR, "data", "message"), {**ERROR, "data": {**ERROR["data"], "sqlstate": "abc"}},
    [], 1, "x", None,
], ids=lambda wrong: json.dumps(wrong)[:90])  # fmt: skip
def test_what_the_protocol_does_not_have_is_refused(wrong):
    assert OPEN.is_valid(QUERY) and OPEN.is_valid(ROWS) and OPEN.is_valid(ERROR)
    assert not OPEN.is_valid(wrong)


def test_what_later_versions_may_add_is_accepted():
    added = {**ROWS, "later": 1, "data": {**ROWS["data"], "later": [1]}}
    unknown = {**ERROR, "data": {**ERROR["data"], "code": "of_a_later_version"}}
    for message in (added, unknown, {**QUERY, "timestamp": 1, "data": {**QUERY["data"], "later": {}}}):
        assert OPEN.is_valid(message) and not CLOSED.is_valid(message)
