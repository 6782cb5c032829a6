"""`databases` in `stats`: what was done with each database, and who is told."""

import pytest

from daemon import ENDLESS, counting, wait_until
from identity import needs_root
from test_policy import ALICE, BOB, CAROL, policy  # noqa: F401

pytestmark = needs_root

TWO = f"""
[databases.default]
url = "sqlite:{{0}}/default.db"
[databases.hers]
url = "sqlite:{{0}}/hers.db"
users = ["{ALICE}"]
[access]
admins = ["{CAROL}"]
ad_hoc_users = ["{ALICE}"]
"""
COUNTERS = {"requests", "errors", "rows_sent", "bytes_sent", "elapsed_us", "sessions", "requests_in_flight", "connections_used"}


def figures(client):
    databases = client.call("stats").data["databases"]
    assert all(set(one) == COUNTERS | {"database"} for one in databases)
    return {one["database"]: one for one in databases}


@pytest.fixture
def here(policy):  # noqa: F811
    return policy(TWO)


def test_each_database_has_its_own(here, mode):
    alice, carol = here.connect(ALICE, mode=mode), here.connect(CAROL)
    before = figures(carol)
    alice.query(counting(1000))
    for _ in range(3):
        alice.query(counting(7), database="hers")
    alice.query_fails("SELECT * FROM missing", database="hers")
    session = alice.session(database="hers")
    alice.query("SELECT 1", session=session)
    url = alice.session(url="sqlite::memory:")
    alice.query("SELECT 1", session=url)
    after = figures(carol)
    assert list(after) == ["default", "hers", None]

    def grown(name):
        return {key: after[name][key] - before[name][key] for key in COUNTERS}
    default, hers, others = grown("default"), grown("hers"), grown(None)
    assert (default["requests"], default["errors"], default["rows_sent"], default["sessions"]) == (1, 0, 1000, 0)
    assert (hers["requests"], hers["errors"], hers["rows_sent"], hers["sessions"]) == (5, 1, 22, 1)
    assert (others["requests"], others["rows_sent"], others["sessions"]) == (1, 1, 1)
    assert default["bytes_sent"] > hers["bytes_sent"] > others["bytes_sent"] > 0
    assert default["elapsed_us"] > 0 and hers["elapsed_us"] > 0
    # A request without a database is nobody's.
    alice.call("stats")
    alice.call("health_check")
    assert figures(carol) == after


def test_what_is_in_use_now(here):
    alice, carol = here.connect(ALICE), here.connect(CAROL)
    running = alice.send_query(ENDLESS, database="hers")
    wait_until(lambda: figures(carol)["hers"]["connections_used"] == 1, "it is a long read")
    assert figures(carol)["hers"]["requests_in_flight"] == 1 and figures(carol)["default"]["requests_in_flight"] == 0
    alice.call("cancel", {"request": running})
    wait_until(lambda: figures(carol)["hers"]["requests_in_flight"] == 0, "it has ended")
    assert figures(carol)["hers"]["errors"] == 1


def test_nobody_hears_of_a_database_that_is_not_his(here):
    assert list(figures(here.connect(BOB))) == ["default"]
    assert list(figures(here.connect(ALICE))) == ["default", "hers"]


def test_a_reload_keeps_them(here):
    alice, carol = here.connect(ALICE), here.connect(CAROL)
    running = alice.send_query(ENDLESS, database="hers")
    alice.query("SELECT 1", database="hers")
    # Another one takes the place of the first, while a request runs.
    here.reload(TWO.replace("[databases.default]", "[databases.fresh]").replace("default.db", "fresh.db") +
                '[databases.default]\nurl = "sqlite:{0}/default.db"\n')
    alice.call("cancel", {"request": running})
    wait_until(lambda: figures(carol)["hers"]["requests"] == 2, "both are counted where they belong")
    now = figures(carol)
    assert now["fresh"]["requests"] == 0 and now["hers"]["errors"] == 1
    here.reload(TWO)
    assert "fresh" not in figures(carol) and figures(carol)["hers"]["requests"] == 2
