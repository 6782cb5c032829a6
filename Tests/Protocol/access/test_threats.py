"""Promises of docs/threat-model.md that no other file holds."""

import os
import re
import sqlite3

import pytest

from identity import as_nobody, needs_root
from wire import Client, RequestFailed


def outcome(client, sql, **options):
    try:
        return client.collect(client.send_query(sql, **options)).rows
    except RequestFailed as failure:
        return failure.code


@needs_root
@pytest.mark.parametrize("sql", [
    "ATTACH '/etc/passwd' AS x", "ATTACH 'file:/tmp/x.db?mode=rwc' AS x", "ATTACH '/tmp/' || 'x.db' AS x",
    "VACUUM INTO '/tmp/lb-stolen.db'", "SELECT writefile('/tmp/lb-stolen', 'x')", "SELECT readfile('/etc/passwd')",
    "SELECT edit('x')", "SELECT load_extension('/tmp/x.so')",
    "CREATE VIRTUAL TABLE temp.f USING csv(filename='/etc/passwd')", "SELECT fts3_tokenizer('simple', x'00')",
])
def test_files_and_code_are_out_of_reach(start_daemon, directory, sql):
    daemon = start_daemon("--socket-mode=666", directory=directory)
    os.chmod(directory, 0o755)

    def action():
        with Client(daemon.socket_path) as client:
            session = client.call("db_connect").data["session"]
            results = [outcome(client, sql), outcome(client, sql, session=session)]
            # Whatever was said, nothing else is attached.
            results.append(len(outcome(client, "PRAGMA database_list", session=session)))
            return results

    text = as_nobody(action)
    assert re.fullmatch(r"\['\w+', '\w+', [12]\]", text), text
    assert not os.path.exists("/tmp/lb-stolen.db") and not os.path.exists("/tmp/lb-stolen")
    assert not os.path.exists("/tmp/x.db")


@needs_root
def test_urls_are_for_administrators(start_daemon, directory):
    daemon = start_daemon("--socket-mode=666", directory=directory)
    os.chmod(directory, 0o755)

    def action():
        codes = []
        with Client(daemon.socket_path) as client:
            for url in ("sqlite:/etc/passwd", f"sqlite:{directory}/state/default.db", "sqlite:/root/x.db?mode=ro"):
                try:
                    client.call("db_connect", {"url": url})
                    codes.append("open")
                except RequestFailed as failure:
                    codes.append(failure.code)
        return codes

    assert as_nobody(action) == str(["permission_denied"] * 3)


@pytest.mark.parametrize("pragma", ["journal_mode=OFF", "synchronous=OFF", "trusted_schema=ON", "writable_schema=ON",
                                    "locking_mode=EXCLUSIVE", "mmap_size=1000000", "hard_heap_limit=1",
                                    "temp_store_directory='/tmp'"])
def test_pragmas_do_not_undo_safety(daemon, packed, pragma):
    name = pragma.split("=")[0]
    session = packed.call("db_connect").data["session"]
    before = outcome(packed, f"PRAGMA {name}", session=session)
    attempts = [outcome(packed, f"PRAGMA {pragma}", session=session), outcome(packed, f"PRAGMA {pragma}")]
    assert attempts == ["permission_denied"] * 2
    assert outcome(packed, f"PRAGMA {name}") == before


@pytest.fixture
def hostile(directory, start_daemon):
    """A file whose schema attacks whoever reads or writes it."""
    path = directory / "hostile.db"
    with sqlite3.connect(path) as database:
        database.executescript("""
            CREATE TABLE t(x, y DEFAULT (abs(1)));
            CREATE TABLE log(line);
            INSERT INTO t VALUES (1, 2);
            CREATE VIEW loads AS SELECT load_extension('/tmp/evil.so') FROM t;
            CREATE VIEW tokenizes AS SELECT fts3_tokenizer('simple', x'4142434445464748') FROM t;
            CREATE VIEW endless AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) n FROM c;
            CREATE TRIGGER drops AFTER INSERT ON t BEGIN SELECT load_extension('/tmp/evil.so'); END;
            CREATE VIEW fine AS SELECT x + 1 AS n FROM t;
        """)
    database.close()
    return start_daemon(databases={"hostile": f"sqlite:{path}"}, directory=directory)


def test_a_hostile_schema_has_no_side_effects(hostile):
    with hostile.connect() as client:
        assert outcome(client, "SELECT * FROM fine", database="hostile") == [[2]]
        for view in "loads", "tokenizes":
            assert outcome(client, f"SELECT * FROM {view}", database="hostile") in ("permission_denied", "database_error",
                                                                                    "syntax_error")
        assert outcome(client, "INSERT INTO t(x) VALUES (5)", database="hostile") in ("permission_denied", "database_error")
        assert outcome(client, "SELECT count(*) FROM t", database="hostile") == [[1]]
        # A view that never ends is a statement that can be stopped.
        assert outcome(client, "SELECT n FROM endless", database="hostile", timeout_ms=100) == "timeout"
        assert outcome(client, "SELECT 1") == [[1]]


def test_a_damaged_file_leaves_others_alone(start_daemon, directory):
    path = directory / "damaged.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t(x)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 2_000)
    database.close()
    content = bytearray(path.read_bytes())
    for offset in range(8_192, len(content), 97):
        content[offset] ^= 0x5A
    path.write_bytes(content)
    daemon = start_daemon(databases={"damaged": f"sqlite:{path}"}, directory=directory)
    with daemon.connect() as client:
        with pytest.raises(RequestFailed) as failure:
            client.collect(client.send_query("SELECT sum(length(x)) FROM t", database="damaged"))
        assert failure.value.code == "database_error" and failure.value.data["sqlstate"] == "XX001"
        client.collect(client.send_query("CREATE TABLE whole(x)"))
        assert outcome(client, "SELECT count(*) FROM whole") == [[0]]


def test_lines_of_the_log_cannot_be_forged(start_daemon, directory):
    daemon = start_daemon(directory=directory)
    forged = "x\n2026-01-01T00:00:00.000000Z error   the disk is on fire\x1b[2J\u2028"
    with daemon.connect() as client:
        client.tracks = False
        for type, data in (("query", {"sql": forged}), (forged[:60], {}), ("db_connect", {"database": forged}),
                           ("hello", {"client": forged}), ("query", {"sql": "SELECT 1", "session": forged})):
            client.send(type, data, id=forged)
            client.receive()
    lines = daemon.log().splitlines()
    assert not any(line.startswith("2026-01-01") for line in lines)
    assert "\x1b" not in daemon.log() and not any(line.startswith("the disk") for line in lines)
