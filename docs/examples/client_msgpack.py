#!/usr/bin/env python3
"""A LiteBase client in a dozen lines: 4-byte big-endian length, then a MessagePack map.

Needs the package `msgpack`. Run it against a daemon:  client_msgpack.py [SOCKET]
Without SOCKET it is the one that $LITEBASE_SOCKET names, or the system's (`litebase ping` says which one there is).
The class is the whole client; everything below it is a tour of the protocol.
"""

import os
import socket
import struct
import sys

import msgpack


class LiteBase:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")

    def send(self, id, type, **data):
        body = msgpack.packb({"id": id, "type": type, "data": data or None})
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def receive(self):
        return msgpack.unpackb(self.stream.read(*struct.unpack(">I", self.stream.read(4))), timestamp=0)

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
    print(f"{title}: {reply['type']} {reply['data']}")


def stream(client, id, sql, **options):
    """Rows as they arrive: frames of at most 1,000 rows until `more` is false."""
    client.send(id, "query", sql=sql, **options)
    while True:
        frame = client.receive()
        if frame["type"] == "error":
            raise RuntimeError(frame["data"]["message"])
        yield from frame["data"]["rows"]
        if not frame["data"]["more"]:
            return


COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT ?) SELECT x FROM c"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"


def introduce(client):
    show("health", client.call("h", "health_check"))
    show("hello", client.call(1, "hello", client="client_msgpack.py", protocol=[1]))
    show("databases", client.call(2, "list_databases"))


def run_statements(client):
    show("create", client.call(3, "query", sql="CREATE TABLE IF NOT EXISTS planet(id INTEGER PRIMARY KEY, name TEXT, moons INTEGER)"))
    show("batch", client.call(4, "batch", statements=[
        {"sql": "DELETE FROM planet"},
        {"sql": "INSERT INTO planet(name, moons) VALUES (?, ?)", "param_rows": [["Earth", 1], ["Mars", 2], ["Venus", 0]]},
    ]))
    show("positional", client.call(5, "query", sql="SELECT name FROM planet WHERE moons >= ? ORDER BY id", params=[1]))
    show("named", client.call(6, "query", sql="SELECT moons FROM planet WHERE name = :name", params={"name": "Mars"}))
    show("describe", client.call(7, "describe", sql="SELECT name, moons FROM planet WHERE id = ?"))
    show("values", client.call(8, "query", sql="SELECT ?, ?, ?, ?, ?", params=[None, 2**63 - 1, 0.1, "é\0", b"\x00\xff"]))


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
    for id, sql in enumerate(["BEGIN", "DELETE FROM planet", "ROLLBACK"], 15):
        reply = client.call(id, "query", sql=sql, session=session)
        print(f"{sql}: transaction {reply['data']['transaction']}")
    show("still there", client.call(18, "query", sql="SELECT count(*) FROM planet", session=session))
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
