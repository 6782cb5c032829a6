"""What must hold while the fuzzer of the protocol runs: a model of sessions and rows, and the shape of every reply.

Rows are named by keys that occur once in a run of the fuzzer. A session's model follows its replies, which come in the
order of its requests; it knows at every reply exactly which of its rows are visible and which are committed.
"""

import re

from daemon import ROOT

CODES = set(re.findall(r"^### \d+ `(\w+)`", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))
ENGINE_CODES = {"syntax_error", "constraint_violation", "read_only", "database_error", "busy"}
# What may end any statement that waits for a lock, runs long, or is cancelled. None of them leaves a trace.
TRANSIENT = {"busy", "timeout", "cancelled"}
STATES = {"none", "active", "failed"}

# Limits that are looked at when a request comes, not when it is its turn.
REFUSING_LIMITS = ("paged_queries_per_connection_max", "requests_in_flight_per_user_max", "buffered_bytes_per_user_max")


class Violation(AssertionError):
    """Something that must hold does not."""


def require(condition, claim, *facts):
    if not condition:
        raise Violation(": ".join([claim, *(str(fact)[:600] for fact in facts)]))


# Shapes


OPTIONAL = {
    "error": {"hint": str, "detail": str, "sqlstate": str, "vendor_code": int, "position": dict, "statement_index": int,
              "row_index": int, "retryable": bool, "retry_after_ms": int, "transaction": str, "holder": dict, "limit": dict},
    "db_connect_response": {"transaction": str},
    "db_disconnect_response": {"transaction": str},
    "query_response": {"columns": list, "row_count": int, "rows_affected": int, "last_insert_id": int, "warning_count": int, "truncated": bool,
                       "transaction": str, "elapsed_us": int},
    "batch_response": {"elapsed_us": int},
    "describe_response": {"transaction": str},
}
REQUIRED = {
    "error": {"code": str, "message": str},
    "health_response": {"status": str, "version": str, "protocol": int, "pid": int, "uptime_ms": int, "activation": str},
    "hello_response": {"version": str, "protocol": int, "limits": dict, "peer": dict},
    "list_databases_response": {"databases": list},
    "db_connect_response": {"session": str, "engine": str, "server_version": str, "read_only": bool},
    "db_disconnect_response": {},
    "query_response": {"rows": list, "more": bool},
    "batch_response": {"results": list, "transaction": str},
    "describe_response": {"columns": list, "parameters": list, "read_only": bool},
    "cancel_response": {"cancelled": bool},
    "activity_response": {"entries": list, "truncated": bool},
    "stats_response": {"uptime_ms": int, "connections": dict, "sessions": dict, "lanes": dict, "requests_in_flight": int, "requests": dict,
                       "errors": dict, "bytes_received": int, "bytes_sent": int, "rows_sent": int, "latency_us": dict},
    "reload_response": {"databases": int, "restart_needed": list},
}
# Keys that later versions may add are met here first: the page and this table then change together.
OPEN_ENDED = {"stats_response", "hello_response"}
ACTIVITY_KEYS = {"connection", "number", "transport", "uid", "pid", "user", "session", "database", "type", "sql", "state", "transaction", "age_ms"}
LAST_FRAME_KEYS = {"row_count", "rows_affected", "transaction", "elapsed_us"}


def check_shape(reply):
    """Every key that the page names is there and of its type, and no other is."""
    require(reply.type in REQUIRED, "a reply's type is documented", reply)
    required, optional, data = REQUIRED[reply.type], OPTIONAL.get(reply.type, {}), reply.data
    missing = set(required) - set(data)
    require(not missing, "the documented keys are there", missing, reply)
    for key, value in data.items():
        kind = required.get(key) or optional.get(key)
        require(kind or reply.type in OPEN_ENDED, "no key is unknown", key, reply)
        require(kind is None or type(value) is kind, "a key has its type", key, value, reply)
    require(data.get("transaction", "none") in STATES, "a transaction has a known state", reply)
    if reply.type == "error":
        check_error(data)
    elif reply.type == "query_response":
        check_rows(data)
    elif reply.type == "activity_response":
        for entry in data["entries"]:
            require(set(entry) == ACTIVITY_KEYS, "an entry of activity has its keys", entry)


def check_error(data):
    require(data["code"] in CODES, "an error's code is documented", data)
    require(data["code"] != "internal", "no internal error", data)
    require(data["message"] and "SECRET" not in str(data), "an error says something, and no parameter", data)
    if data["code"] in ENGINE_CODES:
        require(re.fullmatch("[0-9A-Z]{5}", data.get("sqlstate", "")), "an error of a database has an SQLSTATE", data)
    if "position" in data:
        position = data["position"]
        require(set(position) == {"offset", "line", "column"} and position["line"] >= 1 and position["column"] >= 1
                and position["offset"] >= 0, "a position is one", data)
    require("row_index" not in data or "statement_index" in data, "a row belongs to a statement", data)


def check_rows(data):
    if data["more"]:
        require(not LAST_FRAME_KEYS & set(data), "only the last frame sums up", data)
        require(data["rows"], "a frame with more to come has rows", data)
    else:
        require(LAST_FRAME_KEYS <= set(data), "the last frame sums up", data)
    for column in data.get("columns", ()):
        require({"name", "type", "declared_type"} >= set(column) >= {"name", "type"}, "a column is described", column)


# Rows


class Owner:
    """Rows of one connection's statements without a session, each committed by itself, in no order."""

    def __init__(self, number, database):
        self.number, self.database = number, database
        self.acknowledged, self.sent, self.refused = set(), set(), set()

    def sends(self, keys):
        self.sent |= set(keys)

    def succeeded(self, keys):
        self.acknowledged |= set(keys)

    def failed(self, keys):
        self.refused |= set(keys)

    def check_read(self, rows, acknowledged_before):
        """`acknowledged_before`: what was, when the read was sent."""
        found = {row[0] for row in rows}
        require(acknowledged_before <= found, "what was acknowledged is seen", sorted(acknowledged_before - found)[:9])
        require(not found & self.refused, "what was refused is not seen", sorted(found & self.refused)[:9])
        require(found <= self.sent, "only what was written is seen", sorted(found - self.sent)[:9])

    def check_end(self, found):
        require(self.acknowledged <= found, "acknowledged rows are there", sorted(self.acknowledged - found)[:9])
        require(not found & self.refused, "refused rows are not there", sorted(found & self.refused)[:9])
        require(found <= self.sent, "nobody else wrote here", sorted(found - self.sent)[:9])


class Session:
    """One session: its name once it is known, its transaction, and its rows."""

    def __init__(self, number, database, read_only=False, has_table=True):
        self.number, self.database, self.read_only, self.has_table = number, database, read_only, has_table
        self.name = None
        self.failed = False  # db_connect ended with an error
        self.is_closing = False  # db_disconnect is on its way: whatever is sent behind it finds no session
        self.is_active, self.opened_by_savepoint = False, False
        self.committed, self.visible, self.savepoints = set(), set(), []
        self.sent, self.unanswered_writes = set(), 0
        self.left_in_flight = False  # the client vanished while it wrote

    # Transactions: each returns whether SQLite accepts it here.

    def begin(self):
        if self.is_active:
            return False
        self.is_active, self.opened_by_savepoint = True, False
        return True

    def commit(self):
        if not self.is_active:
            return False
        self.committed = set(self.visible)
        self.end()
        return True

    def rollback(self):
        if not self.is_active:
            return False
        self.visible = set(self.committed)
        self.end()
        return True

    def end(self):
        self.is_active, self.opened_by_savepoint, self.savepoints = False, False, []

    def savepoint(self, name):
        if not self.is_active:
            self.is_active, self.opened_by_savepoint = True, True
        self.savepoints.append((name, set(self.visible)))
        return True

    def find(self, name):
        return max((index for index, entry in enumerate(self.savepoints) if entry[0] == name), default=None)

    def release(self, name):
        index = self.find(name)
        if index is None:
            return False
        if index == 0 and self.opened_by_savepoint:
            return self.commit()
        del self.savepoints[index:]
        return True

    def rollback_to(self, name):
        index = self.find(name)
        if index is None:
            return False
        self.visible = set(self.savepoints[index][1])
        del self.savepoints[index + 1:]
        return True

    def accepts(self, verb, name):
        """Whether a transaction statement succeeds at this point, without doing it."""
        if verb in ("RELEASE", "ROLLBACK TO"):
            return self.find(name) is not None
        return verb == "SAVEPOINT" or (verb == "BEGIN") != self.is_active

    def do(self, verb, name):
        return {"BEGIN": self.begin, "COMMIT": self.commit, "ROLLBACK": self.rollback}[verb]() if name is None else {
            "SAVEPOINT": self.savepoint, "RELEASE": self.release, "ROLLBACK TO": self.rollback_to}[verb](name)

    # Rows

    def insert(self, keys):
        self.visible |= set(keys)
        self.after_write()

    def delete(self, keys):
        self.visible -= set(keys)
        self.after_write()

    def after_write(self):
        if not self.is_active:
            self.committed = set(self.visible)

    def after_error(self, data, request):
        """An interrupted write may have taken its transaction along (sqlite3_interrupt); no other error does."""
        if data.get("limit", {}).get("name") in REFUSING_LIMITS:
            return
        state = data.get("transaction")
        require(state is not None, "an error within a session tells its transaction", data)
        if request.state.get("is_early"):
            return  # the state is that of what runs now, whose reply comes later
        if state == "none" and self.is_active and data["code"] in TRANSIENT:
            self.rollback()
        self.check_state(state, data)

    def check_state(self, state, reply):
        require(state == ("active" if self.is_active else "none"), "the transaction is as the model has it",
                f"model {'active' if self.is_active else 'none'}", reply)

    # The end

    def ended(self):
        self.visible = set(self.committed)
        self.end()

    def vanished(self):
        self.left_in_flight = self.unanswered_writes > 0

    def check_end(self, found):
        if not self.left_in_flight:
            require(found == self.committed, "a session's committed rows, and no others, are there",
                    f"lost {sorted(self.committed - found)[:9]}", f"undead {sorted(found - self.committed)[:9]}")
            return
        require(found <= self.sent, "nobody else wrote here", sorted(found - self.sent)[:9])
