"""`activity`: who works at what."""

import os

from daemon import ENDLESS, counting, wait_until


def entries(client, **wanted):
    data = client.call("activity").data
    assert data["truncated"] is False
    return [entry for entry in data["entries"] if all(entry[key] == value for key, value in wanted.items())]


def test_nothing_is_listed_when_nobody_works(daemon, client):
    wait_until(lambda: entries(client) == [], "earlier tests' work has ended")


def test_requests_and_sessions_are_listed(daemon, client):
    with daemon.connect("msgpack") as other:
        session = other.call("db_connect").data["session"]
        other.collect(other.send_query("BEGIN", session=session))
        running = other.send_query(ENDLESS + " -- é\n", [])
        paged = other.send_query(counting(100), page_rows=5)
        assert other.receive_for(paged).data["more"]
        found = wait_until(lambda: len(entries(client)) == 3 and entries(client), "three entries")
        assert [entry["age_ms"] for entry in found] == sorted((entry["age_ms"] for entry in found), reverse=True)
        for entry in found:
            assert entry["uid"] == os.getuid() and entry["pid"] == os.getpid()
            assert entry["database"] == "default"
        [idle] = entries(client, session=session)
        assert (idle["type"], idle["state"], idle["transaction"], idle["sql"]) == ("session", "idle", "active", None)
        [query] = entries(client, state="running")
        assert query["sql"] == ENDLESS + " -- é\\n" and query["session"] is None and query["transaction"] == "none"
        [page] = entries(client, state="waiting_for_client")
        assert page["type"] == "query"
        busy, behind = other.send_query(ENDLESS, session=session), other.send_query("SELECT 1", session=session)
        wait_until(lambda: entries(client, session=session, state="queued"), "the second of a session is queued")
        assert entries(client, session=session, state="running")[0]["transaction"] == "active"
        for id in running, busy, behind, paged:
            other.call("cancel", {"request": id})


def test_long_statements_are_cut_and_many_entries_too(daemon, client):
    with daemon.connect("msgpack") as other:
        ids = [other.send_query(ENDLESS + " -- " + "x" * 5000) for _ in range(3)]
        found = wait_until(lambda: len(entries(client)) == 3 and entries(client), "three entries")
        assert all(500 < len(entry["sql"]) <= 520 for entry in found)
        for id in ids:
            other.call("cancel", {"request": id})
