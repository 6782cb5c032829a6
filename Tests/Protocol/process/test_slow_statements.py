"""Slow statements in the journal."""

import os
import re
import sqlite3
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from journal import MARKER, NOTICE, SLOW, journal, needs_namespace, started  # noqa: F401 - fixtures among them


def reload(daemon, text):
    (daemon.directory / "litebase.toml").write_text(text)
    with daemon.connect() as client:
        client.call("reload")
WORK = counting(1_500_000, "sum(x)")  # some 300 ms


@needs_namespace
def test_slow_statements(started, journal, mode):
    daemon = started(SLOW.format(100, 0))
    with daemon.connect(mode) as client:
        client.query("SELECT 1")
        result = client.collect(client.send_query(counting(1_500_000, "sum(x), ?"), [MARKER], id="long"))
        entry = journal.wait("slowStatement", LITEBASE_REQUEST="long")[0]
        assert entry["PRIORITY"] == NOTICE
        assert entry["LITEBASE_PEER_PID"] == str(os.getpid()) and entry["LITEBASE_DATABASE"] == "default"
        assert entry["LITEBASE_ROWS"] == "1" and "LITEBASE_SQL" not in entry
        assert int(entry["LITEBASE_DURATION_US"]) == result.last["elapsed_us"] >= 100_000
        assert re.fullmatch(r"Slow statement: Connection \d+ \(uid \d+, pid \d+\): query long on default done in "
                            r"\d+\.\d{3} ms, 1 row", entry["MESSAGE"])
        # One that failed, and is described and batched.
        client.fails("query", {"sql": ENDLESS, "timeout_ms": 200}, id="endless")
        entry = journal.wait("slowStatement", LITEBASE_REQUEST="endless")[0]
        assert (entry["LITEBASE_CODE"], entry["LITEBASE_SQLSTATE"]) == ("timeout", "57014")
        assert " failed with timeout (57014) in " in entry["MESSAGE"]
        client.call("batch", {"statements": [{"sql": WORK}]}, id="batch")
        journal.wait("slowStatement", LITEBASE_REQUEST="batch")
        client.query("SELECT 1")
    assert len(journal.entries("slowStatement")) == 3
    assert MARKER.encode() not in journal.raw


@needs_namespace
def test_text_of_slow_statements(started, journal):
    daemon = started(SLOW.format(100, 60))
    sql = f"WITH\tRECURSIVE\nc(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 1500000) SELECT sum(x), ? FROM c -- {MARKER}"
    with daemon.connect() as client:
        client.query(sql, [MARKER])
        entry = journal.wait("slowStatement")[0]
        assert entry["LITEBASE_SQL"] == sql.replace("\n", "\\n").replace("\t", "\\t")[:57] + "…"
        assert entry["MESSAGE"].endswith(", 1 row: " + entry["LITEBASE_SQL"])
        assert MARKER.encode() not in journal.raw
        # The text as a whole: what was typed into it is there, which proves the check; parameters are not.
        reload(daemon, SLOW.format(100, 1000))
        parameter = MARKER[::-1]
        client.query(sql, [parameter])
        wait_until(lambda: len(journal.entries("slowStatement")) == 2, "the second one")
        assert MARKER.encode() in journal.raw and parameter.encode() not in journal.raw
        # A batch shows its first statement.
        client.batch([{"sql": "SELECT 'one'"}, {"sql": WORK, "params": []}])
        wait_until(lambda: len(journal.entries("slowStatement")) == 3, "the third one")
        assert journal.entries("slowStatement")[2]["LITEBASE_SQL"] == "SELECT 'one'"


@needs_namespace
def test_thresholds_take_effect_on_reload(started, journal):
    daemon = started(SLOW.format(0, 0))
    with daemon.connect() as client:
        client.query(WORK)
        reload(daemon, SLOW.format(100, 0))
        client.query(WORK)
        reload(daemon, SLOW.format(0, 0))
        client.query(WORK)
        client.settle()
    assert daemon.terminate() == 0
    journal.wait("stopped")
    assert len(journal.entries("slowStatement")) == 1


@pytest.mark.slow
@needs_namespace
def test_the_clients_own_time_is_not_the_statements(started, journal):
    """Neither reading slowly, nor fetching late, nor a place behind others makes a statement slow."""
    daemon = started(SLOW.format(400, 0))
    with daemon.connect() as client:
        # 8 MB of rows, more than the socket and the daemon's buffer take; the client sleeps before it reads.
        id = client.send_query(counting(8_000, "x, zeroblob(1000)"))
        time.sleep(1.2)
        assert client.collect(id).last["elapsed_us"] < 400_000
        id = client.send_query(counting(30), page_rows=10)
        for _ in range(3):
            client.receive_for(id)
            time.sleep(0.5)
            client.send("fetch", {"request": id})
        assert client.receive_for(id).data["elapsed_us"] < 400_000
        session = client.session()
        ids = [client.send_query(counting(150_000, "sum(x)"), session=session) for _ in range(30)]
        spent = [client.collect(id).last["elapsed_us"] for id in ids]
        assert sum(spent) > 400_000 > max(spent), "each is quick, all of them together are not"
    assert not journal.entries("slowStatement")


@needs_namespace
def test_waiting_for_a_lock_counts(started, journal):
    daemon = started(SLOW.format(250, 0), databases={"shared": f"sqlite:{journal.prefix[-1]}/../shared.db"})
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)", database="shared")
        other = sqlite3.connect(f"{journal.prefix[-1]}/../shared.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        id = client.send_query("INSERT INTO t VALUES (1)", database="shared")
        time.sleep(0.5)
        other.execute("ROLLBACK")
        other.close()
        assert client.collect(id).last["elapsed_us"] > 250_000
    assert journal.wait("slowStatement")[0]["LITEBASE_DATABASE"] == "shared"
