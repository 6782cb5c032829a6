"""What a reload of the configuration gives and takes away."""

import threading
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from identity import needs_root
from test_policy import ALICE, BOB, databases, policy, table  # noqa: F401 - fixtures among them
from wire import RequestFailed

pytestmark = needs_root


# Reload


def rules(alice="users", extra=""):
    return f'[databases.shop]\nurl = "sqlite:{{0}}/shop.db"\n{alice} = ["{ALICE}"]\n{extra}'


def test_lost_rights_are_lost_at_once(policy, mode):
    both = rules("users").replace(f'"{ALICE}"', f'"{ALICE}", "{BOB}"')
    here = policy(both, "--loops=2")
    alice, bob = here.connect(ALICE, mode=mode), here.connect(BOB, mode=mode)
    table(alice, "shop")
    busy, idle, kept = (alice.session(database="shop") for _ in range(3))
    bobs = bob.session(database="shop")
    for client, session in ((alice, idle), (bob, bobs)):
        client.query("CREATE TEMP TABLE mine(x)", session=session)
    alice.query("BEGIN IMMEDIATE", session=idle)
    alice.query("INSERT INTO t VALUES (7, 'open')", session=idle)
    alice.call("db_disconnect", {"session": kept})
    running = alice.send_query(ENDLESS, session=busy)
    queued = [alice.send_query("SELECT 1", session=busy) for _ in range(3)]
    alone = alice.send_query(ENDLESS, database="shop")
    paged = alice.send_query(counting(100), database="shop", page_rows=10)
    assert len(alice.receive_for(paged).data["rows"]) == 10
    elsewhere = alice.send_query(ENDLESS)
    here.reload(rules("users").replace(str(ALICE), str(BOB)))
    for id in (running, *queued, alone, paged):
        with pytest.raises(RequestFailed) as failure:
            alice.collect(id)
        assert (failure.value.data["code"], failure.value.data["sqlstate"]) == ("permission_denied", "42501"), id
    for session in (busy, idle):
        for type, data in (("query", {"sql": "SELECT 1"}), ("db_disconnect", {})):
            error = alice.fails(type, {**data, "session": session})
            assert error["code"] == "session_not_found"
            assert "took away the right" in error["message"]
    assert alice.query_fails("SELECT 1", database="shop")["code"] == "database_not_found"
    assert databases(alice) == {"default": "read_write"}
    assert alice.call("cancel", {"request": elsewhere}).data == {"cancelled": True}
    with pytest.raises(RequestFailed, match="cancelled"):
        alice.collect(elsewhere)
    # Bob goes on in his session; the transaction was rolled back, and its lock is free.
    assert bob.query("SELECT count(*) FROM mine", session=bobs).value == 0
    assert bob.query("SELECT count(*) FROM t", session=bobs).value == 2
    bob.query("INSERT INTO t VALUES (8, 'bob')", session=bobs)
    alice.settle()
    wait_until(lambda: any("may not use database shop any more" in line for line in here.denials()), "it is in the log")
    with here.daemon.connect() as root:
        assert root.call("stats").data["sessions"]["open"] == 1
    # And back.
    here.reload(both)
    assert alice.query("SELECT count(*) FROM t", database="shop").value == 3


def test_who_may_only_read_from_now_on_writes_no_more(policy):
    here = policy(rules("users"))
    alice = here.connect(ALICE)
    table(alice, "shop")
    writing, reading = alice.session(database="shop"), alice.session(database="shop", read_only=True)
    here.reload(rules("read_only_users"))
    assert alice.query_fails("SELECT 1", session=writing)["code"] == "session_not_found"
    assert alice.query_fails("SELECT 1", session=reading)["code"] == "session_not_found", "opened by a right to write"
    assert alice.query_fails("DELETE FROM t", database="shop")["code"] == "read_only"
    session = alice.session(database="shop")
    here.reload(rules("users"))
    assert alice.query("SELECT count(*) FROM t", session=session).value == 2, "more rights end nothing"
    assert alice.query_fails("DELETE FROM t", session=session)["code"] == "read_only", "it stays what it was"
    assert alice.query("DELETE FROM t", database="shop").last["rows_affected"] == 2


def test_a_database_that_is_taken_away_ends_its_sessions(policy):
    here = policy(rules("users"))
    alice = here.connect(ALICE)
    session = alice.session(database="shop")
    with here.daemon.connect() as root:
        own = root.session(database="shop")
        here.reload("# nothing\n")
        assert root.query_fails("SELECT 1", session=own)["code"] == "session_not_found"
    assert alice.query_fails("SELECT 1", session=session)["code"] == "session_not_found"


def test_a_wave_of_reloads_under_load(policy):
    """Rights come and go while a user works: every reply is a result or says that the right is gone; nobody else is hit."""
    here = policy(rules("users"), "--loops=2")
    alice = here.connect(ALICE)
    table(alice, "shop")
    witness = here.daemon.connect()
    watched = witness.session(database="shop")
    seen = set()
    for round in range(30):
        text = rules("users")
        reload = threading.Thread(target=here.reload, args=[text.replace(str(ALICE), str(BOB)) if round % 2 == 0 else text])
        reload.start()
        ids = []
        while reload.is_alive() or len(ids) < 20:
            ids += [alice.send_query("SELECT count(*) FROM t", database="shop"), alice.send("db_connect", {"database": "shop"})]
            time.sleep(0.0005)
        reload.join()
        for id in ids:
            while not (reply := alice.receive_for(id)).terminal:
                pass
            seen.add(reply.data["code"] if reply.type == "error" else reply.type)
        assert witness.query("SELECT 5", session=watched).value == 5
    assert seen <= {"query_response", "db_connect_response", "database_not_found", "permission_denied", "limit_exceeded"}, seen
    assert "query_response" in seen and "database_not_found" in seen
    alice.settle()


# A database that comes to belong to others


@pytest.mark.parametrize("stays", [False, True], ids=["given away", "kept"])
def test_what_is_open_on_a_file_that_others_have_now_ends(policy, directory, stays):
    """The name means another file, and that file has another name: the rules of both count."""
    here = policy(rules())
    alice, bob = here.connect(ALICE), here.connect(BOB)
    table(alice, "shop")
    session = alice.session(database="shop")
    page = alice.send_query(counting(1000), database="shop", page_rows=10)
    assert len(alice.receive_for(page).data["rows"]) == 10
    users = f'"{BOB}", "{ALICE}"' if stays else f'"{BOB}"'
    here.reload(rules().replace("shop.db", "new.db") + f'[databases.other]\nurl = "sqlite:{{0}}/shop.db"\nusers = [{users}]\n')
    bob.query("INSERT INTO t VALUES (9, 'of bob')", database="other")
    if stays:
        assert alice.query("SELECT count(*) FROM t", session=session).value == 3
        alice.call("cancel", {"request": page})
    else:
        for sql in ("SELECT * FROM t", "DELETE FROM t"):
            assert alice.query_fails(sql, session=session)["code"] in ("session_not_found", "permission_denied")
        ended = alice.receive_for(page)
        assert ended.type == "error" and ended.data["code"] == "permission_denied", ended
    assert bob.query("SELECT count(*) FROM t", database="other").value == 3
    # The name is hers as before.
    assert alice.query("SELECT count(*) FROM sqlite_schema", database="shop").value == 0


def test_a_session_by_a_url_ends_when_its_file_is_given_to_others(policy, directory):
    base = f'[access]\nad_hoc_users = ["{ALICE}"]\n'
    here = policy(base)
    alice, bob = here.connect(ALICE), here.connect(BOB)
    session = alice.session(url=f"sqlite:{directory}/a.db")
    alice.query("CREATE TABLE t(x)", session=session)
    other = alice.session(url=f"sqlite:{directory}/b.db")
    here.reload(base + f'[databases.y]\nurl = "sqlite:{{0}}/a.db"\nusers = ["{BOB}"]\n')
    bob.query("INSERT INTO t VALUES (1)", database="y")
    assert alice.query_fails("SELECT * FROM t", session=session)["code"] in ("session_not_found", "permission_denied")
    assert alice.query("SELECT 1", session=other).value == 1
    assert bob.query("SELECT count(*) FROM t", database="y").value == 1
