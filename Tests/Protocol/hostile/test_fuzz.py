"""The fuzzer of the protocol, for some seconds; `make fuzz-protocol SECONDS=600` runs it for longer, with a fresh seed.

A failure prints its seed and the steps that matter: `python3 Tests/Protocol/hostile/fuzz_run.py --seed … --plans 1` runs it again.
"""

import collections
import os

import pytest

import fuzz_link
import fuzz_plan
import fuzz_run
from fuzz_model import Owner, Session, Violation, check_shape
from wire import Reply

SECONDS = float(os.environ.get("LITEBASE_TEST_FUZZ_SECONDS") or 15)


def test_random_requests():
    # The same plans each time: what new ones find is the business of `make fuzz-protocol`, not of whoever commits next.
    seed = int(os.environ.get("LITEBASE_FUZZ_SEED", 20261124))
    print(f"seed {seed}")
    assert fuzz_run.fuzz(seed, seconds=SECONDS) > 0


# The fuzzer itself: a plan is the same again, and what the model forbids is found.


def test_a_seed_is_a_plan():
    assert fuzz_plan.make_plan(5, 200) == fuzz_plan.make_plan(5, 200) != fuzz_plan.make_plan(6, 200)
    assert set(fuzz_plan.KINDS) == {name.removeprefix("do_") for name in dir(fuzz_run.Run) if name.startswith("do_")}


def test_a_plan_meets_every_kind_of_reply(monkeypatch):
    """Plans that the daemon refuses for the most part would find nothing."""
    met = collections.Counter()
    monkeypatch.setattr(fuzz_link, "check_shape", lambda reply: met.update([reply.data.get("code", reply.type)]))
    fuzz_run.fuzz(1, plans=40)
    for kind in ("query_response", "batch_response", "db_connect_response", "db_disconnect_response", "cancel_response", "describe_response",
                 "hello_response", "stats_response", "activity_response", "list_databases_response", "reload_response", "health_response",
                 "constraint_violation", "busy", "timeout", "cancelled", "bad_frame", "bad_request", "session_not_found", "needs_session",
                 "syntax_error", "read_only", "limit_exceeded", "frame_too_large", "configuration_invalid", "database_error"):
        assert met[kind], f"{kind} among {met}"
    assert met["query_response"] > met["session_not_found"]


@pytest.mark.parametrize("found", [{1}, {1, 2, 3}, {1, 3}, set()])
def test_the_model_of_a_session_finds_lost_and_undead_rows(found):
    session = Session(1, "default")
    session.insert([1])
    session.begin()
    session.insert([2])
    session.savepoint("a")
    session.insert([3])
    session.rollback_to("a")
    session.commit()
    session.begin()
    session.insert([4])
    session.ended()
    session.check_end({1, 2})
    with pytest.raises(Violation):
        session.check_end(found)


def test_the_model_of_rows_without_a_session_finds_lost_and_undead_rows():
    owner = Owner(1, "default")
    owner.sends([1, 2, 3])
    owner.succeeded([1])
    owner.failed([2])
    owner.check_end({1, 3})
    owner.check_end({1})
    for found in ({3}, {1, 2}, {1, 4}):
        with pytest.raises(Violation):
            owner.check_end(found)


@pytest.mark.parametrize("type, data", [
    ("error", {"code": "new_code", "message": "x"}), ("error", {"code": "busy"}), ("error", {"code": "internal", "message": "x"}),
    ("error", {"code": "busy", "message": "x"}), ("error", {"code": "cancelled", "message": "SECRET"}), ("nothing_response", {}),
    ("cancel_response", {"cancelled": 1}), ("query_response", {"rows": [], "more": True}), ("query_response", {"rows": [], "more": False}),
    ("cancel_response", {"cancelled": True, "more": 1}),
])
def test_a_reply_of_another_shape_is_found(type, data):
    with pytest.raises(Violation):
        check_shape(Reply({"id": 1, "type": type, "timestamp": 0, "data": data}, b"", "json"))
