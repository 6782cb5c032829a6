"""The daemon of the conformance suite: one engine, the databases that the cases use, and the looks at what is left behind."""

import os
import shutil
import time

import pytest

from daemon import Daemon, short_directory, wait_until
from engines import ENGINES
from identity import connect_as
from wire import RequestFailed

POOL = 4
# Of the databases `shop` and `two_logins`, of readers and of those who write.
SHOP_POOL = 2
# None of them is in the user database: identity is what the kernel says.
WRITER, READER = 60001, 60002
# Pools of db, sealed and limited, and two of each of the other two.
CONNECTIONS_MAX = 3 * POOL + 4 * SHOP_POOL
POOL_WAIT_MS = 400
# LITEBASE_CONFORMANCE=sqlite,postgresql chooses engines; LITEBASE_SWEEP=1 takes every step of the sweeps.
CHOSEN = [name for name in (os.environ.get("LITEBASE_CONFORMANCE") or ",".join(ENGINES)).split(",") if name]
SWEEPS_ALL = bool(os.environ.get("LITEBASE_SWEEP"))


class Place:
    """One engine with a daemon. Databases: `db`; `sealed`, the same for reading only; `shop`, the same for users; those of the engine."""

    def __init__(self, engine, **limits):
        self.engine = engine
        self.directory = short_directory()
        self.tables = 0
        settings = {"pool_connections_max": POOL, "pool_wait_ms_max": POOL_WAIT_MS, **limits}
        rules = f'users = ["{WRITER}"]\nread_only_users = ["{READER}"]\npool_connections_max = {SHOP_POOL}'
        lines = ["[limits]", *(f"{name} = {value}" for name, value in settings.items()),
                 "[databases.db]", f'url = "{engine.url()}"',
                 "[databases.sealed]", f'url = "{engine.url()}"', 'access = "read_only"',
                 "[databases.shop]", f'url = "{engine.url()}"', rules, engine.configuration(rules)]
        self.directory.chmod(0o755)
        (self.directory / "litebase.toml").write_text("\n".join(lines))
        self.start()

    def start(self):
        self.daemon = Daemon("--config", self.directory / "litebase.toml", "--socket-mode=666", directory=self.directory)
        self.connect = self.daemon.connect

    def connect_as(self, uid):
        """A connection of another user's; only root can make one."""
        client = connect_as(self.daemon.socket_path, uid)
        self.daemon.clients.append(client)
        return client

    def table(self, columns):
        """A fresh table; `columns` are pairs of name and kind."""
        self.tables += 1
        name = f"t{self.tables}"
        if creation := self.engine.creation(name, columns):
            with self.connect() as client:
                on(client, creation)
        return name

    def fill(self):
        """`item` with three rows, and `child`, which refers to it."""
        with self.connect() as client:
            for sql, params in self.engine.filling():
                on(client, sql, params)

    def count(self, table, where="1 = 1"):
        """Rows of a table, seen past the daemon."""
        return int(self.engine.beside(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])

    def is_quiet(self):
        with self.daemon.connect() as client:
            stats = client.call("stats").data
            return (stats["sessions"]["open"] == 0 and stats["requests_in_flight"] == 0 and not self.engine.busy_backends()
                    and all(pool["used"] == 0 for pool in stats["pools"]))

    def leaves_nothing(self):
        """No client is there: then no session, no transaction, and no connection of the pool may be in use."""
        if self.daemon.process.poll() is not None:
            log = self.daemon.log()
            self.daemon.discard()
            self.start()  # for the cases that follow
            raise AssertionError(f"the daemon died:\n{log[-6000:]}")
        self.daemon.close_clients()
        wait_until(self.is_quiet, "sessions, requests and transactions end with their clients", timeout=8, interval=0.02)
        assert self.engine.backend_count() <= CONNECTIONS_MAX, self.engine.backend_count()
        with self.connect() as client:
            # Every place of the pool can be had, and holds no transaction.
            sessions = [client.session(database="db") for _ in range(POOL)]
            for session in sessions:
                assert client.query(self.engine.say(1), session=session).transaction == "none"
            client.settle()
        self.daemon.clients.clear()

    def finish(self):
        try:
            self.daemon.finish()
        finally:
            self.discard()

    def discard(self):
        self.daemon.discard()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module", params=CHOSEN)
def whole_place(request):
    engine = ENGINES[request.param]()
    try:
        place = Place(engine)
        try:
            place.fill()
            yield place
            place.finish()
        finally:
            place.discard()
    finally:
        engine.discard()


@pytest.fixture
def place(whole_place, request):
    marker = request.node.get_closest_marker("needs")
    for feature in marker.args if marker else ():
        if feature in whole_place.engine.lacks:
            pytest.skip(f"{whole_place.engine.name}: {whole_place.engine.lacks[feature]}")
    yield whole_place
    whole_place.leaves_nothing()


@pytest.fixture
def engine(place):
    return place.engine


@pytest.fixture
def client(place, mode):
    return place.connect(mode)


@pytest.fixture
def packed(place):
    return place.connect()


def on(client, sql, params=None, **options):
    return client.query(sql, params, database="db", **options)


def says(client, engine, number=1, **options):
    """Whether a statement that does nothing gets its answer."""
    if "session" not in options:
        options.setdefault("database", "db")
    return client.query(engine.say(number), **options).value == engine.said(number)


def fails(client, sql, params=None, **options):
    return client.query_fails(sql, params, database="db", **options)


def unless_busy(attempt):
    """What came of it; False where the database is busy still, and nothing else."""
    try:
        return attempt()
    except RequestFailed as failure:
        assert failure.code == "busy", failure
        return False


def failure_of(client, id):
    """The error of a request that has to fail."""
    try:
        result = client.collect(id)
    except RequestFailed as failure:
        return failure
    raise AssertionError(f"ended well: {result.last}")


def cancelled_within(client, id, codes=("cancelled",)):
    """Cancels; returns the seconds until the request had ended, and asserts that both replies tell the same."""
    started = time.monotonic()
    request = client.send("cancel", {"request": id})
    failure = failure_of(client, id)
    took = time.monotonic() - started
    assert failure.code in codes, failure
    assert client.answer(request).data["cancelled"] is (failure.code == "cancelled")
    return took


def start_slow(place, client, sql=None, **options):
    """Sends what runs until it is stopped, and returns its id when it runs."""
    before = place.daemon.cpu_seconds()
    id = client.send_query(sql or place.engine.slow, **(options or {"database": "db"}))

    def runs():
        return place.engine.busy_backends() if place.engine.has_server else place.daemon.cpu_seconds() - before > 0.03

    wait_until(runs, "it runs", interval=0.01)
    return id
