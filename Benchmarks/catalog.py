#!/usr/bin/env python3
"""How long a catalog takes: row 12. 100,000 tables with 1,000,000 columns in a SQLite database, over a Unix socket.

    LITEBASED=.build/release/litebased Benchmarks/catalog.py [--tables N] [--columns N] [--repetitions N]

Each repetition starts two daemons. In the first one `cold` is the first `catalog` of the relations, which fills the index; then come the
first page of columns, all names, and `unchanged` by etag. The second one runs the statements that fill an index as a `query` that counts
their values: what SQLite needs for the same rows, the reading of the schema included. What is left of `cold` is ours. Times are of the
clock and of the processor; on a machine that does other work, only the latter say something.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/Support"))

import large_schema
from daemon import Daemon

WORDS = ("order", "item", "customer", "price", "shipment", "payment", "address", "country", "product", "invoice")
TICKS = 100

# As SQLiteCatalog.swift has them, counted so that every value is computed.
RELATIONS = """
SELECT count(name), count(kind), count(definition) FROM (
    SELECT s.name AS name, CASE WHEN s.type = 'view' THEN 'view' WHEN s.rootpage = 0 THEN 'virtual_table' ELSE 'table' END AS kind,
           s.sql AS definition
      FROM main.sqlite_schema s WHERE s.type IN ('table', 'view') AND lower(substr(s.name, 1, 7)) <> 'sqlite_')"""
COLUMNS = """
SELECT count(relation), count(name), count(position), count(type), count(nullable), count("default"), count(generated), count(identity),
       count(hidden), count(key_position) FROM (
    SELECT s.name AS relation, x.name AS name, x.cid + 1 AS position, nullif(x.type, '') AS type, NOT x."notnull" AS nullable,
           x.dflt_value AS "default", CASE x.hidden WHEN 2 THEN 'virtual' WHEN 3 THEN 'stored' END AS generated,
           CASE WHEN x.pk = 1 AND upper(x.type) = 'INTEGER' AND s.type = 'table' AND s.rootpage > 0 THEN
                CASE WHEN instr(upper(s.sql), 'AUTOINCREMENT') THEN 'auto_increment'
                     WHEN NOT instr(upper(substr(s.sql, -64)), 'WITHOUT') THEN 'rowid' END END AS identity,
           x.hidden = 1 AS hidden, x.pk AS key_position
      FROM main.sqlite_schema s CROSS JOIN pragma_table_xinfo(s.name, 'main') x
     WHERE s.type IN ('table', 'view') AND lower(substr(s.name, 1, 7)) <> 'sqlite_')"""


def definitions(tables, columns):
    """Name and definition of each table."""
    kinds = ("TEXT", "INTEGER NOT NULL", "REAL", "TEXT DEFAULT ''", "BLOB")
    others = ", ".join(f"{WORDS[number % 10]}_{number} {kinds[number % 5]}" for number in range(1, columns))
    for number in range(tables):
        name = f"{WORDS[number % 10]}_{WORDS[number // 10 % 10]}_{number}"
        yield name, f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, {others})"


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def level(client, fields):
    """All rows of a level: their number, and the last reply."""
    number = client.send("catalog", fields)
    count, reply = 0, client.answer(number)
    while reply.data.get("more"):
        count += len(reply.data.get("rows", []))
        reply = client.answer(number)
    return count + len(reply.data.get("rows", [])), reply


def timed(body):
    start = time.perf_counter()
    value = body()
    return time.perf_counter() - start, value


def with_daemon(file, body):
    with tempfile.TemporaryDirectory(prefix="lbc", dir="/tmp") as directory:
        daemon = Daemon(directory=pathlib.Path(directory), databases={"many": f"sqlite:{file}"})
        try:
            with daemon.connect("msgpack") as client:
                return body(daemon.process.pid, client)
        finally:
            daemon.discard()


def engine(pid, client):
    """What SQLite needs: seconds of the clock and of the processor."""
    used = processor_seconds(pid)
    clock, _ = timed(lambda: [client.query(statement, database="many") for statement in (RELATIONS, COLUMNS)])
    return clock, processor_seconds(pid) - used


def requests(pid, client):
    used = processor_seconds(pid)
    wish = {"database": "many", "level": "relations", "page_rows": 100, "max_rows": 100}
    first, _ = timed(lambda: client.call("catalog", wish))
    spent = processor_seconds(pid) - used
    page, _ = timed(lambda: client.call("catalog", wish | {"level": "columns"}))
    names, (count, reply) = timed(lambda: level(client, {"database": "many", "level": "relations"}))
    same, reply = timed(lambda: client.call("catalog", {"database": "many", "level": "relations", "etag": reply.data["etag"]}))
    if not reply.data.get("unchanged"):
        sys.exit("the etag does not hold")
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    memory = next(line for line in lines if line.startswith("VmRSS"))
    return {"cold": first, "cold, processor": spent, "first page of columns": page, f"{count:,} names": names,
            "unchanged": same, "resident MB": int(memory.split()[1]) / 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="lbc", dir="/tmp") as directory:
        file = pathlib.Path(directory) / "many.db"
        large_schema.make(file, definitions(options.tables, options.columns))
        for _ in range(options.repetitions):
            measured = with_daemon(file, requests)
            clock, used = with_daemon(file, engine)
            measured |= {"SQLite": clock, "SQLite, processor": used,
                         "ours": measured["cold"] - clock, "ours, processor": measured["cold, processor"] - used}
            for name, value in measured.items():
                found.setdefault(name, []).append(value)
    print(f"{options.tables:,} tables, {options.tables * options.columns:,} columns, {options.repetitions} repetitions")
    for name, values in found.items():
        unit, factor = ("", 1) if "MB" in name else (" ms", 1000)
        low, high = min(values) * factor, max(values) * factor
        print(f"    {statistics.median(values) * factor:10.1f}{unit:3} ({low:.1f}–{high:.1f})  {name}")


if __name__ == "__main__":
    main()
