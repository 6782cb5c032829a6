"""`terminate`: who may end whose requests, sessions and connections, and what both sides are told."""

import time

import pytest

from daemon import ENDLESS, counting, wait_until
from identity import needs_root
from test_policy import ALICE, BOB, CAROL, policy  # noqa: F401
from wire import ConnectionEnded, RequestFailed, decode

pytestmark = needs_root

OPEN = f"""
[databases.default]
url = "sqlite:{{0}}/default.db"
[access]
admins = ["{CAROL}"]
"""


def entry(client, **wanted):
    """The only entry of `activity` that is as wanted, as soon as it is there."""
    def found():
        entries = client.call("activity").data["entries"]
        return [one for one in entries if all(one[key] == value for key, value in wanted.items())]
    [one] = wait_until(lambda: len(found()) == 1 and found(), f"an entry with {wanted}")
    return one


def outcome(client, id):
    with pytest.raises(RequestFailed) as failed:
        client.collect(id)
    return failed.value


def test_root_ends_the_query_of_another(policy, mode):  # noqa: F811
    here = policy(OPEN)
    alice = here.connect(ALICE, mode=mode)
    running = alice.send_query(ENDLESS)
    with here.daemon.connect(mode) as root:
        one = entry(root, uid=ALICE, state="running")
        reply = root.call("terminate", {"connection": one["connection"], "number": one["number"]}).data
        assert reply == {"connection": one["connection"], "uid": ALICE, "pid": one["pid"], "user": None, "requests": 1,
                         "sessions": 0, "closed": False}
    failed = outcome(alice, running)
    assert failed.code == "cancelled" and "administrator" in failed.data["message"]
    assert alice.query("SELECT 1").value == 1
    line = wait_until(lambda: [line for line in here.daemon.log().splitlines() if " has ended " in line], "it is in the log")[0]
    assert "(uid 0, pid " in line and f"query {one['number']} on default of connection {one['connection']} (uid {ALICE}, pid " in line


def test_an_administrator_who_is_named_may(policy):  # noqa: F811
    here = policy(OPEN)
    alice, carol = here.connect(ALICE), here.connect(CAROL)
    running = alice.send_query(ENDLESS)
    one = entry(carol, uid=ALICE, state="running")
    assert carol.call("terminate", {"connection": one["connection"], "number": one["number"]}).data["requests"] == 1
    assert outcome(alice, running).code == "cancelled"


def test_others_cannot_and_do_not_learn_that_there_is_anything(policy, mode):  # noqa: F811
    here = policy(OPEN)
    alice, bob = here.connect(ALICE, mode=mode), here.connect(BOB, mode=mode)
    session = alice.session()
    running = alice.send_query(ENDLESS)
    with here.daemon.connect() as root:
        one = entry(root, uid=ALICE, state="running")
    connection, number = one["connection"], one["number"]
    absent = 4_000_000_000
    for mine, none in [
        ({"connection": connection}, {"connection": absent}),
        ({"connection": connection, "number": number}, {"connection": absent, "number": number}),
        ({"session": session}, {"session": f"s{absent}-1"}),
    ]:
        denied, unknown = bob.fails("terminate", mine), bob.fails("terminate", none)
        assert denied["code"] == unknown["code"] == "target_not_found"

        def without_numbers(text):
            return "".join(char for char in text if not char.isdigit())
        assert without_numbers(denied["message"]) == without_numbers(unknown["message"])
        assert denied["hint"] == unknown["hint"]
    assert alice.query("SELECT 1", session=session).value == 1
    assert [one["state"] for one in alice.call("activity").data["entries"] if one["type"] == "query"] == ["running"]
    assert " has ended " not in here.daemon.log()
    alice.call("cancel", {"request": running})


def test_a_user_ends_what_other_connections_of_his_do(policy, mode):  # noqa: F811
    here = policy(OPEN)
    alice, again = here.connect(ALICE, mode=mode), here.connect(ALICE, mode=mode)
    session = alice.session()
    alice.query("CREATE TABLE t(x)")
    alice.query("BEGIN", session=session)
    alice.query("INSERT INTO t VALUES (1)", session=session)
    running, waiting = alice.send_query(ENDLESS, session=session), alice.send_query("SELECT 1", session=session)
    beside = alice.send_query(ENDLESS)
    entry(again, session=session, state="queued")
    reply = again.call("terminate", {"session": session}).data
    assert (reply["requests"], reply["sessions"], reply["closed"], reply["uid"]) == (2, 1, False, ALICE)
    assert {outcome(alice, waiting).code, outcome(alice, running).code} == {"cancelled"}
    gone = alice.query_fails("SELECT 1", session=session)
    assert gone["code"] == "session_not_found" and "administrator" in gone["message"] and gone["sqlstate"] == "57P01"
    assert again.fails("terminate", {"session": session})["code"] == "target_not_found"
    # Rolled back, and the rest of the connection goes on.
    assert alice.query("SELECT count(*) FROM t").value == 0
    assert entry(again, state="running")["type"] == "query"
    alice.call("cancel", {"request": beside})


def test_a_connection_is_ended_with_all_that_it_has(policy, mode):  # noqa: F811
    here = policy(OPEN)
    alice = here.connect(ALICE, mode=mode)
    alice.call("hello", {"notices": True})
    session = alice.session()
    paged = alice.send_query(counting(100), page_rows=5)
    assert alice.receive_for(paged).data["more"]
    running = alice.send_query(ENDLESS)
    with here.daemon.connect() as root:
        number = entry(root, uid=ALICE, state="running")["connection"]
        reply = root.call("terminate", {"connection": number}).data
        assert (reply["requests"], reply["sessions"], reply["closed"]) == (2, 1, True)
        notices, ended = [], {}
        with pytest.raises(ConnectionEnded):
            while True:
                # A notice has no id, which other tests' clients do not expect.
                got = decode(alice.read_body())
                if got.type == "notice":
                    notices.append(got.data)
                else:
                    ended[got.id] = got.data["code"]
        assert [notice["code"] for notice in notices] == ["terminated"]
        assert ended == {paged: "cancelled", running: "cancelled"}
        wait_until(lambda: not root.call("activity").data["entries"], "nothing of it is left")
        assert root.fails("terminate", {"session": session})["code"] == "target_not_found"


def test_an_idle_connection_and_one_that_does_not_read(policy):  # noqa: F811
    here = policy(OPEN)
    idle, deaf = here.connect(ALICE), here.connect(BOB)
    idle.call("hello")
    session = idle.session()
    deaf.send_query(counting(10_000_000))
    with here.daemon.connect() as root:
        number = entry(root, session=session)["connection"]
        assert root.call("terminate", {"connection": number}).data["sessions"] == 1
        idle.receive_end()
        number = entry(root, uid=BOB, state="waiting_for_client")["connection"]
        begin = time.monotonic()
        root.call("terminate", {"connection": number})
        # Its replies go to nobody: it gets some time to take them, and no more.
        wait_until(lambda: root.call("stats").data["connections"]["open"] == 1, "it is closed")
        assert time.monotonic() - begin < 8


def test_wrong_targets(daemon, client, mode):
    own = client.session()
    number = int(own[1:].split("-")[0])
    for data, word in [
        ({}, "connection"), ({"number": 3}, "connection"), ({"connection": 0}, "connection"), ({"connection": "x"}, "connection"),
        ({"connection": number, "session": own}, "session"), ({"number": 1, "session": own}, "session"), ({"session": 4}, "session"),
        ({"connection": number}, "asks"),
    ]:
        error = client.fails("terminate", data)
        assert error["code"] == "bad_request" and word in error["message"], (data, error)
    for data in ({"session": ""}, {"session": "s-"}, {"session": "s" + "9" * 40 + "-1"}, {"session": "x" * 70_000}, {"connection": 1 << 62},
                 {"connection": number, "number": 1 << 40}, {"session": f"s{number}-99"}, {"session": "é\n"}):
        error = client.fails("terminate", data)
        assert error["code"] == "target_not_found" and len(error["message"]) < 200, (data, error)
    # A session of its own connection, and nothing else of it.
    assert client.call("terminate", {"session": own}).data["sessions"] == 1
    assert client.query_fails("SELECT 1", session=own)["code"] == "session_not_found"
    assert client.query("SELECT 1").value == 1
