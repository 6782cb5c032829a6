"""Databases without a write-ahead log, whose readers and writers wait for each other."""

import contextlib
import time

import pytest

from random_tables import make_file
from reference import send_burst
from wire import RequestFailed

# More than the daemon has threads for long reads.
READERS = 100


def errors(client, ids):
    """The codes of those requests that got no rows."""
    codes = []
    for id in ids:
        try:
            client.collect(id)
        except RequestFailed as failure:
            codes.append(failure.code)
    return codes


@pytest.mark.parametrize("kind", ["memory", "delete"])
def test_who_holds_the_lock_goes_on_while_readers_wait_for_it(start_daemon, directory, kind):
    """Readers that wait have all threads; the session for which they wait needs one to go on."""
    path = directory / "d.db"
    with contextlib.closing(make_file(path, wal=False)) as database:
        database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        database.execute("INSERT INTO t VALUES (1, 0)")
    daemon = start_daemon(databases={"d": "sqlite::memory:"}, directory=directory)
    options = {"database": "d"} if kind == "memory" else {"url": f"sqlite:{path}"}
    writer = daemon.connect()
    session = writer.session(**options)
    if kind == "memory":
        writer.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", session=session)
        writer.query("INSERT INTO t VALUES (1, 0)", session=session)
    readers = []
    for _ in range(1 if kind == "memory" else 32):
        client = daemon.connect()
        readers.append((client, options if kind == "memory" else {"session": client.session(**options)}))
    writer.query("BEGIN EXCLUSIVE", session=session)
    waiting = [(client, send_burst(client, [("SELECT a FROM t WHERE id = ?", [1])] * (READERS // len(readers)), **of)) for client, of in readers]
    time.sleep(0.2)
    began = time.monotonic()
    writer.query("UPDATE t SET a = a + 1", session=session)
    writer.query("COMMIT", session=session)
    took = time.monotonic() - began
    codes = [errors(client, ids) for client, ids in waiting]
    assert not any(codes), codes
    assert took < 2, f"the session needed {took:.1f} s"


def test_a_page_that_nobody_fetches_does_not_keep_writers_away_for_ever(limited):
    """Without a log, whoever has read a part of a result keeps every writer waiting: `idle_hold_ms_max` ends that."""
    daemon = limited(idle_hold_ms_max=500, busy_time_ms_max=300)
    with daemon.connect() as reader, daemon.connect() as writer:
        path = daemon.directory / "u.db"
        with contextlib.closing(make_file(path, wal=False)) as database:
            database.execute("CREATE TABLE t(a)")
            database.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(100)])
        reading, writing = (client.session(url=f"sqlite:{path}") for client in (reader, writer))
        id = reader.send_query("SELECT a FROM t", page_rows=5, session=reading)
        reader.receive_for(id)
        for attempt in range(10):
            try:
                writer.query("INSERT INTO t VALUES (1)", session=writing)
                break
            except RequestFailed as failure:
                assert failure.code == "busy" and attempt < 9, failure
