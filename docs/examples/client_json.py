#!/usr/bin/env python3
"""A LiteBase client in a dozen lines: one JSON object a line, nothing but the standard library.

Run it against a daemon:  client_json.py [SOCKET]
Without SOCKET it is the one that $LITEBASE_SOCKET names, or the system's (`litebase ping` says which one there is).
The class is the whole client; everything below it is a tour of the protocol.
"""

import base64
import json
import os
import socket
import sys


class LiteBase:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")

    def send(self, id, type, **data):
        self.socket.sendall(json.dumps({"id": id, "type": type, "data": data}).encode() + b"\n")

    def receive(self):
        return json.loads(self.stream.readline())

    def call(self, id, type, **data):
        self.send(id, type, **data)
        reply = self.receive()
        while reply["data"].get("more") and "page_rows" not in data:
            reply = joined(reply, self.receive())
        return reply


def joined(first, rest):
    """One reply of two: more than 1,000 rows or 64 KiB come in several, until `more` is false. (Pages wait for `fetch`.)"""
    if rest["type"] == "error":
        return rest
    first["data"]["rows"] += rest["data"]["rows"]
    rest["data"] = {**first["data"], **rest["data"], "rows": first["data"]["rows"]}
    return rest


def show(title, reply):
    print(f"{title}: {reply['type']} {json.dumps(reply['data'], ensure_ascii=False)}")


def plain(value):
    """What JSON has no form for travels in a map with one tagged field."""
    if isinstance(value, dict):
        ((tag, text),) = value.items()
        return {"$int": int, "$real": float, "$blob": base64.b64decode}[tag](text)
    return value


def stream(client, id, sql, **options):
    """Rows as they arrive: lines of at most 1,000 rows until `more` is false."""
    client.send(id, "query", sql=sql, **options)
    while True:
        frame = client.receive()
        if frame["type"] == "error":
            raise RuntimeError(frame["data"]["message"])
        for row in frame["data"]["rows"]:
            yield [plain(value) for value in row]
        if not frame["data"]["more"]:
            return


COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT ?) SELECT x FROM c"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"


def introduce(client):
    show("health", client.call("h", "health_check"))
    show("hello", client.call(1, "hello", client="client_json.py", protocol=[1], int64="tagged"))
    show("databases", client.call(2, "list_databases"))


def run_statements(client):
    show("create", client.call(3, "query", sql="CREATE TABLE IF NOT EXISTS river(id INTEGER PRIMARY KEY, name TEXT, km INTEGER)"))
    show("batch", client.call(4, "batch", statements=[
        {"sql": "DELETE FROM river"},
        {"sql": "INSERT INTO river(name, km) VALUES (?, ?)", "param_rows": [["Nile", 6650], ["Rhine", 1233], ["Po", 652]]},
    ]))
    show("positional", client.call(5, "query", sql="SELECT name FROM river WHERE km >= ? ORDER BY id", params=[1000]))
    show("named", client.call(6, "query", sql="SELECT km FROM river WHERE name = :name", params={"name": "Po"}))
    show("describe", client.call(7, "describe", sql="SELECT name, km FROM river WHERE id = ?"))
    values = client.call(8, "query", sql="SELECT ?, ?, ?, ?, ?", params=[
        None, {"$int": "9223372036854775807"}, 0.1, "é\0", {"$blob": base64.b64encode(b"\x00\xff").decode()}])
    show("values", values)
    print("values in Python:", [plain(value) for value in values["data"]["rows"][0]])


def run_large_results(client):
    print("whole:", len(client.call("w", "query", sql=COUNT, params=[2_500])["data"]["rows"]))
    print("streamed:", sum(row[0] for row in stream(client, 9, COUNT, params=[100_000])))
    show("page 1", client.call(10, "query", sql=COUNT, params=[5], page_rows=2))
    client.send("f1", "fetch", request=10)
    show("page 2", client.receive())  # under the query's id, 10
    client.send("f2", "fetch", request=10)
    show("page 3", client.receive())


def run_cancel(client):
    client.send("long", "query", sql=ENDLESS)
    client.send("stop", "cancel", request="long")
    for reply in sorted((client.receive(), client.receive()), key=lambda reply: reply["id"]):
        show(f"cancel, {reply['id']}", reply)


def run_errors(client):
    show("wrong SQL", client.call(11, "query", sql="SELEC 1"))
    show("wrong name", client.call(12, "query", sql="SELECT 1", database="nowhere"))
    show("no session", client.call(13, "query", sql="BEGIN"))


def run_transactions(client):
    session = client.call(14, "db_connect", database="default")["data"]["session"]
    for id, sql in enumerate(["BEGIN", "DELETE FROM river", "ROLLBACK"], 15):
        reply = client.call(id, "query", sql=sql, session=session)
        print(f"{sql}: transaction {reply['data']['transaction']}")
    show("still there", client.call(18, "query", sql="SELECT count(*) FROM river", session=session))
    show("disconnect", client.call(19, "db_disconnect", session=session))


def main(path):
    client = LiteBase(path)
    introduce(client)
    run_statements(client)
    run_large_results(client)
    run_cancel(client)
    run_errors(client)
    run_transactions(client)
    show("stats", client.call(20, "stats"))


if __name__ == "__main__":
    named = os.environ.get("LITEBASE_SOCKET") or "/run/litebase/litebase.sock"
    main(sys.argv[1] if len(sys.argv) > 1 else named)
