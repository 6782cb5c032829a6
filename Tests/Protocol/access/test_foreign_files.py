"""Database files that somebody has made to attack whoever opens them: SQLite opens and deletes nothing but the database's own
files (Sources/CSQLiteFiles)."""

import os
import shutil
import sqlite3
import struct
import time

import pytest

from wire import RequestFailed

JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
PENDING_BYTE = 0x40000000


def hot(directory, name, super_name):
    """A database with a hot journal, as a killed program leaves it, that names a super-journal (fileformat2, section 3)."""
    victim, path = directory / f"{name}-made", directory / name
    with sqlite3.connect(victim) as database:
        database.execute("CREATE TABLE t(x)")
        database.executemany("INSERT INTO t VALUES (?)", [("before" * 100,)] * 500)
    database.close()
    database = sqlite3.connect(victim, isolation_level=None)
    page_size = database.execute("PRAGMA page_size").fetchone()[0]
    database.execute("PRAGMA cache_size=2")
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE t SET x = 'after'")
    shutil.copy(victim, path)
    journal = bytearray((directory / f"{name}-made-journal").read_bytes())
    database.execute("ROLLBACK")
    database.close()
    assert journal[:8] == JOURNAL_MAGIC and struct.unpack_from(">I", journal, 8)[0] > 0, "not hot"
    if super_name:
        word = os.fsencode(super_name)
        checksum = sum(byte if byte < 128 else byte - 256 for byte in word) & 0xFFFFFFFF
        journal += struct.pack(">I", PENDING_BYTE // page_size + 1) + word + struct.pack(">II", len(word), checksum) + JOURNAL_MAGIC
    (directory / f"{name}-journal").write_bytes(journal)
    os.remove(victim)
    return path


def was_rolled_back(client, path, read_only=False):
    session = client.session(url=f"sqlite:{path}" + ("?mode=ro" if read_only else ""))
    try:
        return client.query("SELECT count(*) FROM t WHERE x LIKE 'before%'", session=session).rows == [[500]]
    finally:
        client.call("db_disconnect", {"session": session})


@pytest.mark.parametrize("name", ["default.db", "default.db-wal", "notes.txt", "other.db-mj01234569AB",
                                  "link.txt"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_super_journal_of_somebody_elses_is_never_deleted(start_daemon, directory, name, read_only):
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        client.query("CREATE TABLE precious(x)")
        victim = directory / "state" / name
        if name.startswith("link"):
            (directory / "target.txt").write_text("precious")
            victim.symlink_to(directory / "target.txt")
        elif not victim.exists():
            victim.write_text("precious")
        path = hot(directory, "evil.db", victim)
        try:
            assert read_only or was_rolled_back(client, path)
            if read_only:
                was_rolled_back(client, path, read_only=True)
        except RequestFailed as failure:
            assert read_only and failure.code in ("connect_failed", "read_only", "database_error")
        assert os.path.lexists(victim)
        assert client.query("SELECT count(*) FROM precious").rows == [[0]]


def test_an_attached_file_deletes_nothing_of_others(start_daemon, directory):
    daemon = start_daemon(directory=directory)
    victim = directory / "notes.txt"
    victim.write_text("precious")
    path = hot(directory, "evil.db", victim)
    with daemon.connect() as client:
        session = client.session()
        client.query(f"ATTACH '{path}' AS evil", session=session)
        assert client.query("SELECT count(*) FROM evil.t WHERE x LIKE 'before%'", session=session).rows == [[500]]
    assert victim.read_text() == "precious"


def test_a_configured_file_deletes_nothing_of_others(start_daemon, directory):
    victim = directory / "notes.txt"
    victim.write_text("precious")
    path = hot(directory, "evil.db", victim)
    daemon = start_daemon(databases={"evil": f"sqlite:{path}"}, directory=directory)
    with daemon.connect() as client:
        assert client.query("SELECT count(*) FROM t WHERE x LIKE 'before%'", database="evil").rows == [[500]]
    assert victim.read_text() == "precious"


def test_a_commit_in_two_files_that_was_cut_off_is_undone_in_both(start_daemon, directory):
    """What super-journals are for still works, and they are tidied up."""
    super_name = directory / "a.db-mj0123AB9CD"
    first, second = hot(directory, "a.db", super_name), hot(directory, "b.db", super_name)
    super_name.write_bytes(os.fsencode(f"{first}-journal") + b"\0" + os.fsencode(f"{second}-journal") + b"\0")
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        assert was_rolled_back(client, first)
        assert super_name.exists(), "the other one still needs it"
        assert was_rolled_back(client, second)
    # The reverse: the main one comes last, and takes it away.
    first, second = hot(directory, "a.db", super_name), hot(directory, "b.db", super_name)
    with daemon.connect() as client:
        assert was_rolled_back(client, second) and super_name.exists()
        assert was_rolled_back(client, first)
    assert not super_name.exists()


def test_a_commit_in_two_files_is_atomic(start_daemon, directory):
    for name in ("a.db", "b.db"):
        with sqlite3.connect(directory / name) as database:
            database.execute("CREATE TABLE t(x)")
        database.close()
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        session = client.session(url=f"sqlite:{directory}/a.db")
        client.query(f"ATTACH '{directory}/b.db' AS b", session=session)
        for statement in ("BEGIN", "INSERT INTO main.t VALUES (1)", "INSERT INTO b.t VALUES (2)", "COMMIT"):
            client.query(statement, session=session)
        assert client.query("SELECT x FROM main.t UNION ALL SELECT x FROM b.t", session=session).rows == [[1], [2]]
    assert not [name for name in os.listdir(directory) if "-mj" in name]


@pytest.mark.parametrize("kind", ["database", "journal", "wal", "attached", "child"])
def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(start_daemon, directory, kind):
    daemon = start_daemon(directory=directory)
    path = directory / "evil.db"
    pipe = {"journal": f"{path}-journal", "wal": f"{path}-wal"}.get(kind, path)
    if kind == "child":
        # The database's own super-journal names a pipe as another journal.
        super_name, pipe = f"{path}-mj0123AB9CD", directory / "pipe-journal"
        hot(directory, "evil.db", super_name)
        with open(super_name, "wb") as file:
            file.write(os.fsencode(pipe) + b"\0")
    elif kind in ("journal", "wal"):
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA journal_mode=" + ("WAL" if kind == "wal" else "DELETE"))
            database.execute("CREATE TABLE t(x)")
        database.close()
    os.mkfifo(pipe)
    with daemon.connect() as client:
        began = time.monotonic()
        with pytest.raises(RequestFailed) as failure:
            if kind == "attached":
                client.query(f"ATTACH '{path}' AS evil", session=client.session(), timeout_ms=2000)
            else:
                session = client.session(url=f"sqlite:{path}")
                client.query("INSERT INTO t VALUES (1)", session=session, timeout_ms=2000)
        assert time.monotonic() - began < 2, "it waited for somebody to open the other end"
        assert "regular file" in (failure.value.data.get("detail") or ""), failure.value.data


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/dev/urandom", "/dev/tty", "/tmp"])
def test_devices_and_directories_are_no_databases(start_daemon, directory, place):
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        error = client.fails("db_connect", {"url": f"sqlite:{place}"})
        assert error["code"] == "connect_failed"


@pytest.mark.parametrize("companion", ["-journal", "-wal"])
def test_a_companion_that_is_another_file_as_well_is_not_written(start_daemon, directory, companion):
    precious = directory / "precious"
    precious.write_bytes(b"precious" * 1000)
    path = directory / "evil.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=" + ("WAL" if companion == "-wal" else "DELETE"))
        database.execute("CREATE TABLE t(x)")
    database.close()
    os.link(precious, f"{path}{companion}")
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        with pytest.raises(RequestFailed) as failure:
            session = client.session(url=f"sqlite:{path}")
            client.query("INSERT INTO t VALUES (1)", session=session)
        assert "hard link" in (failure.value.data.get("detail") or ""), failure.value.data
    assert precious.read_bytes() == b"precious" * 1000


@pytest.mark.parametrize("parameters", ["vfs=unix", "vfs=unix-none", "vfs=unix-dotfile", "nolock=1", "immutable=1", "psow=0",
                                        "cache=shared", "mode=ro&nolock=1"])
def test_a_uri_switches_nothing_off(start_daemon, directory, parameters):
    daemon = start_daemon(directory=directory)
    path = directory / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t(x)")
    database.close()
    with daemon.connect() as client:
        session = client.session()
        with pytest.raises(RequestFailed):
            client.query(f"ATTACH 'file:{path}?{parameters}' AS other", session=session)
        client.query(f"ATTACH 'file:{path}?mode=ro' AS other", session=session)
        assert client.query("SELECT count(*) FROM other.t", session=session).rows == [[0]]
        with pytest.raises(RequestFailed):
            client.query("INSERT INTO other.t VALUES (1)", session=session)
