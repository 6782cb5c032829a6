#!/usr/bin/env python3
"""A music shop to try LiteBase on: fifteen tables with 15,000 invented rows, and two dozen questions, on any engine.

    shop.py load --database shop      makes the tables anew and fills them
    shop.py ask  --database shop      asks all questions; with a part of its name, one of them; with --follow, again after each change
    shop.py ddl  --engine postgresql  prints the statements that make the tables

Nothing but the standard library: the client is the class LiteBase.
"""

import argparse
import base64
import itertools
import json
import os
import socket
import sys
import time

# Neither this directory nor an installed one is to be written to.
sys.dont_write_bytecode = True
import data  # noqa: E402
import questions  # noqa: E402
import schema  # noqa: E402

ROWS_AT_A_TIME = 1000
# Changes that come within so long are shown together.
FOLLOWED_AFTER_MS = 200


class Failed(Exception):
    pass


class LiteBase:
    """One connection that speaks JSON, a message a line (docs/protocol.md)."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")
        self.numbers = itertools.count(1)

    def close(self):
        self.stream.close()
        self.socket.close()

    def call(self, type, **fields):
        """Sends a request; yields the data of its replies."""
        id = next(self.numbers)
        self.socket.sendall(json.dumps({"id": id, "type": type, "data": fields}).encode() + b"\n")
        while True:
            line = self.stream.readline()
            if not line:
                raise Failed("the daemon has closed the connection")
            reply = json.loads(line)
            if reply["type"] == "error":
                raise Failed(f"{reply['data']['code']}: {reply['data']['message']} {reply['data'].get('detail', '')}")
            yield reply["data"]
            if not reply["data"].get("more"):
                return

    def ask(self, sql, params=(), **where):
        """The columns and rows of a statement."""
        columns, rows = [], []
        for frame in self.call("query", sql=sql, params=[sent(value) for value in params], **where):
            columns = frame.get("columns", columns)
            rows += [[received(value) for value in row] for row in frame["rows"]]
        return columns, rows

    def do(self, type, **fields):
        [reply] = self.call(type, **fields)
        return reply


def sent(value):
    return {"$blob": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def received(value):
    """What JSON has no form for travels in a map with one tagged field."""
    if isinstance(value, dict):
        ((tag, text),) = value.items()
        return {"$int": int, "$real": float, "$blob": base64.b64decode}[tag](text)
    return value


def dialect_of(client, database):
    opened = client.do("db_connect", database=database)
    client.do("db_disconnect", session=opened["session"])
    if opened["engine"] not in schema.DIALECTS:
        raise Failed(f"{opened['engine']} has no tables; try {', '.join(schema.DIALECTS)}")
    return schema.DIALECTS[opened["engine"]]


def load(client, database, seed=1):
    """Makes all tables anew; returns the number of rows."""
    dialect, count = dialect_of(client, database), 0
    for sql in schema.removal() + schema.creation(dialect):
        client.ask(sql, database=database)
    tables = data.Shop(seed).tables
    for table in schema.TABLES:
        rows = [[sent(value) for value in row] for row in tables[table]]
        statements = [{"sql": schema.insertion(table, dialect), "param_rows": rows[start:start + ROWS_AT_A_TIME]}
                      for start in range(0, len(rows), ROWS_AT_A_TIME)]
        results = client.do("batch", statements=statements, database=database)["results"]
        count += sum(result["rows_affected"] for result in results)
    return count


def answers(client, database, part=""):
    """Name, columns and rows of each question whose name has `part` in it."""
    dialect = dialect_of(client, database)
    for question in questions.QUESTIONS:
        if part in question.name:
            yield question.name, *client.ask(question.ask(dialect), question.params, database=database)


def show(name, columns, rows, limit=10):
    print(f"\n{name}: {len(rows)} rows")
    lines = [[column["name"] for column in columns], *([str(value)[:40] for value in row] for row in rows[:limit])]
    widths = [max(map(len, texts)) for texts in zip(*lines)]
    for line in lines:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def follow(client, listener, database, part):
    """Shows the answers, and again whenever a table has changed. The first reply comes at once; no change after it is missed."""
    for _ in listener.call("subscribe", database=database, relations=list(schema.TABLES), delay_ms=FOLLOWED_AFTER_MS):
        try:
            for answer in answers(client, database, part):
                show(*answer)
        except Failed as failure:
            # The tables may be gone for a moment: the next change says more.
            print(f"shop.py: {failure}", file=sys.stderr)
        sys.stdout.flush()


def socket_path():
    """Where the daemon listens, as `litebase` looks for it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    places = [os.environ.get("LITEBASE_SOCKET"), runtime and f"{runtime}/litebase/litebase.sock",
              f"{state}/litebase/litebase.sock", "/run/litebase/litebase.sock"]
    return next((place for place in places if place and os.path.exists(place)), places[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help in (("load", "make the tables anew and fill them"), ("ask", "ask the questions")):
        command = commands.add_parser(name, help=help)
        command.add_argument("--database", required=True, help="the database, by its name in the configuration")
        command.add_argument("--socket", default=socket_path(), help="the daemon's socket")
        if name == "load":
            command.add_argument("--seed", type=int, default=1, help="other numbers make other rows")
        else:
            command.add_argument("question", nargs="?", default="", help="a part of its name")
            command.add_argument("--follow", action="store_true", help="ask again whenever a table has changed (SQLite), until Ctrl-C")
    command = commands.add_parser("ddl", help="print the statements that make the tables")
    command.add_argument("--engine", choices=schema.DIALECTS, default="sqlite")
    options = parser.parse_args()
    if options.command == "ddl":
        return print(";\n".join(schema.creation(schema.DIALECTS[options.engine])) + ";")
    client = LiteBase(options.socket)
    if options.command == "load":
        started = time.monotonic()
        count = load(client, options.database, options.seed)
        return print(f"{count} rows in {len(schema.TABLES)} tables, in {time.monotonic() - started:.1f} s")
    if options.follow:
        # A connection has one request at a time here, and this one has no end.
        return follow(client, LiteBase(options.socket), options.database, options.question)
    for answer in answers(client, options.database, options.question):
        show(*answer)


if __name__ == "__main__":
    try:
        main()
    except (Failed, OSError) as failure:
        sys.exit(f"shop.py: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
