#!/usr/bin/env python3
"""How long a catalog takes: row 12. 100,000 tables with 1,000,000 columns, in a SQLite database and in PostgreSQL, over a Unix socket.

    LITEBASED=.build/release/litebased Benchmarks/catalog.py [--tables N] [--columns N] [--repetitions N] [--server-tables N]

Each repetition starts two daemons for SQLite. In the first one `cold` is the first `catalog` of the relations, which fills the index; then
come the first page of columns, all names, and `unchanged` by etag. The second one runs the statements that fill an index as a `query` that
counts their values: what SQLite needs for the same rows, the reading of the schema included. What is left of `cold` is ours. Beside it is
what SQLite needs for a PRAGMA for each table, which the definitions save where they tell all that there is. Times are of
the clock and of the processor; on a machine that does other work, only the latter say something. `index MB` is what the daemon itself counts
for its catalogs (`stats`, catalog_bytes_max); `resident MB` is all that the process has, SQLite's own schema included.

PostgreSQL, which is started for this and left out if it is not there, has its tables in a database of its own (--server-tables, as many as
--tables if not given; 0 leaves it out). Its own time is that of its processes, ours that of the daemon; beside it is `psql` with \\d, which
lists the names alone.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/Support"))

import large_schema
from peers import find_program
from daemon import Daemon
from postgresql import PostgreSQL

WORDS = ("order", "item", "customer", "price", "shipment", "payment", "address", "country", "product", "invoice")
TICKS = 100

def has(word, text="s.sql"):
    return f"CASE WHEN 'a' LIKE 'A' THEN {text} LIKE '%{word}%' ELSE instr(upper({text}), '{word}') END"


# As SQLiteCatalog.swift has them, counted so that every value is computed. The columns of these tables are told by their definitions.
LISTED = "s.type IN ('table', 'view') AND s.name NOT GLOB '[Ss][Qq][Ll][Ii][Tt][Ee]_*'"
STATEMENTS = (f"""
SELECT count(name), count(kind), count(definition) FROM (
    SELECT s.name AS name, CASE WHEN s.type = 'view' THEN 'view' WHEN s.rootpage = 0 THEN 'virtual_table' ELSE 'table' END AS kind,
           s.sql AS definition
      FROM main.sqlite_schema s WHERE {LISTED})""", """
SELECT count(i.name) FROM main.sqlite_schema s CROSS JOIN pragma_index_list(s.tbl_name, 'main') l
 CROSS JOIN pragma_index_info(l.name, 'main') i WHERE s.type = 'index' AND s.sql IS NULL AND l.name = s.name AND l.origin = 'u'""", f"""
SELECT count(f."from") FROM main.sqlite_schema s CROSS JOIN pragma_foreign_key_list(s.name, 'main') f
 WHERE s.type = 'table' AND s.rootpage > 0 AND {has("REFERENCES")}""", """
SELECT count(i.name) FROM main.sqlite_schema s CROSS JOIN pragma_index_list(s.tbl_name, 'main') l
 CROSS JOIN pragma_index_xinfo(s.name, 'main') i WHERE s.type = 'index' AND l.name = s.name AND i.key""", """
SELECT count(s.name), count(s.sql) FROM main.sqlite_schema s WHERE s.type = 'trigger'""")

# What tells the columns of tables whose definitions do not: a PRAGMA for each.
PRAGMA = f"""
SELECT count(relation), count(name), count(position), count(type), count(nullable), count("default"), count(generated), count(identity),
       count(hidden), count(key_position) FROM (
    SELECT s.name AS relation, x.name AS name, x.cid + 1 AS position, nullif(x.type, '') AS type, NOT x."notnull" AS nullable,
           x.dflt_value AS "default", CASE x.hidden WHEN 2 THEN 'virtual' WHEN 3 THEN 'stored' END AS generated,
           CASE WHEN x.pk = 1 AND upper(x.type) = 'INTEGER' AND s.type = 'table' AND s.rootpage > 0 THEN
                CASE WHEN {has("AUTOINCREMENT")} THEN 'auto_increment'
                     WHEN NOT {has("WITHOUT", "substr(s.sql, -64)")} THEN 'rowid' END END AS identity,
           x.hidden = 1 AS hidden, x.pk AS key_position
      FROM main.sqlite_schema s CROSS JOIN pragma_table_xinfo(s.name, 'main') x
     WHERE {LISTED})"""


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


def with_daemon(url, body):
    with tempfile.TemporaryDirectory(prefix="lbc", dir="/tmp") as directory:
        daemon = Daemon(directory=pathlib.Path(directory), databases={"many": url})
        try:
            with daemon.connect("msgpack") as client:
                client.socket.settimeout(600)
                return body(daemon.process.pid, client)
        finally:
            daemon.discard()


def engine(pid, client):
    """What SQLite needs, and what a PRAGMA for each table would take: seconds of the clock and of the processor."""
    found = []
    for statements in (STATEMENTS, (PRAGMA,)):
        used = processor_seconds(pid)
        clock, _ = timed(lambda statements=statements: [client.query(statement, database="many") for statement in statements])
        found += [clock, processor_seconds(pid) - used]
    return found


def requests(pid, client, server_used=None):
    """Each request once; `server_used` gives the seconds that a server's processes have needed so far."""
    used = processor_seconds(pid)
    server_before = server_used() if server_used else 0
    wish = {"database": "many", "level": "relations", "page_rows": 100, "max_rows": 100}
    first, _ = timed(lambda: client.call("catalog", wish))
    spent = processor_seconds(pid) - used
    server = {"cold, the server's processor": server_used() - server_before} if server_used else {}
    page, _ = timed(lambda: client.call("catalog", wish | {"level": "columns"}))
    names, (count, reply) = timed(lambda: level(client, {"database": "many", "level": "relations"}))
    same, reply = timed(lambda: client.call("catalog", {"database": "many", "level": "relations", "etag": reply.data["etag"]}))
    if not reply.data.get("unchanged"):
        sys.exit("the etag does not hold")
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    memory = next(line for line in lines if line.startswith("VmRSS"))
    index = client.call("stats").data["limits"]["catalog_bytes_max"]["used"]
    return {"cold": first, "cold, processor": spent, **server, "first page of columns": page, f"{count:,} names": names,
            "unchanged": same, "index MB": index / 1e6, "resident MB": int(memory.split()[1]) / 1024}


def sqlite_times(tables, columns, repetitions):
    with tempfile.TemporaryDirectory(prefix="lbc", dir="/tmp") as directory:
        file = pathlib.Path(directory) / "many.db"
        large_schema.make(file, definitions(tables, columns))
        for _ in range(repetitions):
            measured = with_daemon(f"sqlite:{file}", requests)
            clock, used, pragma, pragma_used = with_daemon(f"sqlite:{file}", engine)
            yield measured | {"SQLite": clock, "SQLite, processor": used,
                              "a PRAGMA for each table": pragma, "a PRAGMA for each table, processor": pragma_used,
                              "ours": measured["cold"] - clock, "ours, processor": measured["cold, processor"] - used}


# PostgreSQL


def fill_server(server, tables, columns, step=1_000):
    """As many tables, none with a table of its own for long texts: those would be three relations for each."""
    kinds = ("varchar(20)", "integer NOT NULL", "double precision", "varchar(20) DEFAULT ''", "bigint")
    others = ", ".join(f"{WORDS[number % 10]}_{number} {kinds[number % 5]}" for number in range(1, columns)).replace("'", "''")
    words = ", ".join(f"'{word}'" for word in WORDS)
    for start in range(0, tables, step):
        server.psql(f"""DO $do$ DECLARE words text[] := ARRAY[{words}]; BEGIN
            FOR n IN {start}..{min(start + step, tables) - 1} LOOP
                EXECUTE format('CREATE TABLE %I (id integer PRIMARY KEY, {others})', words[n % 10 + 1] || '_' || words[n / 10 % 10 + 1] || '_' || n);
            END LOOP; END $do$""")
    server.psql("VACUUM ANALYZE pg_catalog.pg_class")
    server.psql("VACUUM ANALYZE pg_catalog.pg_attribute")


def server_seconds(server):
    """Processor time of all its processes, those included that have ended."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS + sum(processor_seconds(child) for child in server.children())


def server_times(tables, columns, repetitions):
    server = PostgreSQL(max_locks_per_transaction="512", shared_buffers="256MB")
    try:
        fill_server(server, tables, columns)
        psql = [server.programs["psql"], server.url(), "-X", "-c", "\\d"]
        for _ in range(repetitions):
            measured = with_daemon(server.url(), lambda pid, client: requests(pid, client, lambda: server_seconds(server)))
            names, _ = timed(lambda: subprocess.run(psql, stdout=subprocess.DEVNULL, check=True))
            yield measured | {"psql \\d": names}
    finally:
        server.discard()


def report(title, times):
    found, repetitions = {}, 0
    for measured in times:
        repetitions += 1
        for name, value in measured.items():
            found.setdefault(name, []).append(value)
    print(f"{title}, {repetitions} repetitions")
    for name, values in found.items():
        unit, factor = ("", 1) if "MB" in name else (" ms", 1000)
        low, high = min(values) * factor, max(values) * factor
        print(f"    {statistics.median(values) * factor:10.1f}{unit:3} ({low:.1f}–{high:.1f})  {name}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=100_000, help="0 leaves SQLite out")
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--server-tables", type=int)
    options = parser.parse_args()
    columns, repetitions = options.columns, options.repetitions
    if options.tables:
        report(f"SQLite: {options.tables:,} tables, {options.tables * columns:,} columns", sqlite_times(options.tables, columns, repetitions))
    tables = options.tables if options.server_tables is None else options.server_tables
    if not tables:
        return
    if not find_program("postgres"):
        print("left out: PostgreSQL: it needs Debian's postgresql", file=sys.stderr)
        return
    report(f"PostgreSQL: {tables:,} tables, {tables * columns:,} columns", server_times(tables, columns, repetitions))


if __name__ == "__main__":
    main()
