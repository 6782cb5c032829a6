"""`catalog` beside users who mean harm: others are served, and what it takes is charged to whoever takes it."""

import os

import pytest

from daemon import ENDLESS, wait_until
from identity import connect_as, needs_root
from wire import RequestFailed

ALICE, BOB = 60001, 60002
MIB = 1 << 20
# Columns whose catalog takes some megabytes.
WIDE = [f"CREATE TABLE w{table}({', '.join(f'c{column}_{table}{chr(120) * 60}' for column in range(1000))})" for table in range(20)]


@pytest.fixture
def shop(start_daemon, directory):
    directory.chmod(0o755)
    return start_daemon("--socket-mode=666", directory=directory, databases={"shop": f"sqlite:{directory}/shop.db"})


def catalog(client, level, **options):
    """The rows of a level."""
    id, rows = client.send("catalog", {"level": level, **options}), []
    while True:
        reply = client.receive_for(id)
        if reply.type == "error":
            raise RequestFailed(reply.data, [])
        rows += reply.data.get("rows", [])
        if not reply.data["more"]:
            return rows


def buffered(client):
    return next(user for user in client.call("stats").data["users"] if user.get("uid") == os.getuid())["buffered_bytes"]


@needs_root
def test_nobody_waits_for_the_filling_of_others(shop):
    """Whose statements wait for threads behind sixty of his own keeps his catalog from himself only."""
    with connect_as(shop.socket_path, ALICE) as busy, connect_as(shop.socket_path, ALICE) as filler, \
            connect_as(shop.socket_path, BOB) as bob:
        bob.query("CREATE TABLE t(x)", database="shop")
        for _ in range(60):
            busy.send_query(ENDLESS, database="shop")
        filler.send("catalog", {"level": "relations", "database": "shop"})
        filler.call("health_check")
        assert [row[1] for row in catalog(bob, "relations", database="shop", timeout_ms=8000)] == ["t"]


def test_what_pages_keep_is_charged_and_given_back(shop):
    watcher = shop.connect("msgpack")
    with shop.connect("msgpack") as client:
        client.batch([{"sql": sql} for sql in WIDE], database="shop")
        first = buffered(watcher)
        for _ in range(8):
            client.receive_for(client.send("catalog", {"level": "columns", "database": "shop", "refresh": True, "page_rows": 1}))
        assert buffered(watcher) - first > 8 * MIB
    wait_until(lambda: buffered(watcher) < MIB, "it is credited")


def test_nothing_is_charged_when_a_catalog_is_there(shop):
    watcher = shop.connect("msgpack")
    with shop.connect("msgpack") as client:
        client.batch([{"sql": sql} for sql in WIDE], database="shop")
        before = buffered(watcher)
        for _ in range(3):
            catalog(client, "namespaces", database="shop", refresh=True)
        # The worker that has made it may still be about to forget it.
        wait_until(lambda: buffered(watcher) - before < MIB / 4, "it is credited")


def test_another_file_by_the_same_name_has_another_catalog(shop):
    with shop.connect("msgpack") as client:
        session = client.session(database="shop")
        for table in ("one", "two"):
            client.query("ATTACH '' AS m", session=session)
            client.query(f"CREATE TABLE m.{table}(a)", session=session)
            assert [row[1] for row in catalog(client, "relations", session=session, namespace="m")] == [table]
            client.query("DETACH m", session=session)


@pytest.mark.parametrize("field", ["namespace", "relation", "etag"])
def test_names_have_a_bound(shop, field):
    with shop.connect("msgpack") as client:
        with pytest.raises(RequestFailed) as failure:
            catalog(client, "relations", database="shop", **{field: "x" * 100_000})
        assert failure.value.code == "bad_request" and field in failure.value.data["message"]


def test_the_defect_of_a_long_name_is_that(shop):
    """It took 57 times the name in memory that nobody was charged for."""
    with shop.connect("msgpack") as client:
        shop.reset_peak()
        before = shop.memory_kib()
        reason = client.query("SELECT litebase_defect('main', ?)", ['"' * 10_000_000], database="shop").value
        assert reason == "its name is too long"
        assert shop.memory_kib("VmHWM") - before < 100 << 10
        assert client.query("SELECT litebase_defect('main', ?)", ['no "such" table'], database="shop").value.startswith("no such table")
