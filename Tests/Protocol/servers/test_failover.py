"""Servers that fail over, restart, hang and end connections at random, with writers at work.

Each writer sends unique numbers, one at a time. After an error that says `retryable` it sends the same one again; after
`outcome_unknown` or `timeout` it goes on to the next one. At the end every number that was acknowledged is there, and none is there twice.
"""

import random
import threading
import time

import pytest

from daemon import wait_until
from postgresql import PostgreSQL
from wire import Client, RequestFailed

INSERT = "INSERT INTO written VALUES ($1)"


class Writer(threading.Thread):
    """One client, by autocommit, by sessions with transactions, or by atomic batches."""

    def __init__(self, path, number, way):
        super().__init__(daemon=True)
        self.path, self.number, self.way = path, number, way
        self.acknowledged, self.unknown, self.refused, self.codes = set(), set(), set(), {}
        self.ending = threading.Event()
        self.problem = None
        self.session = None

    def run(self):
        try:
            with Client(self.path, timeout=60) as self.client:
                id = self.number * 1_000_000
                while not self.ending.is_set():
                    id += 1
                    self.write_until_answered(id)
        except BaseException as problem:  # noqa: BLE001  told by `finish`
            self.problem = problem

    def write_until_answered(self, id):
        while True:
            try:
                getattr(self, self.way)(id)
                self.acknowledged.add(id)
                return
            except RequestFailed as failure:
                code = failure.data["code"]
                self.codes[code] = self.codes.get(code, 0) + 1
                self.session = None
                if code == "outcome_unknown":
                    self.unknown.add(id)
                    return
                if code == "timeout":  # nothing has happened
                    self.refused.add(id)
                    return
                assert failure.data.get("retryable") or code in ("connect_failed", "session_not_found"), failure.data
                if self.ending.is_set():
                    self.refused.add(id)
                    return
                time.sleep(failure.data.get("retry_after_ms", 10) / 1000)

    def autocommit(self, id):
        self.client.query(INSERT, [id], database="pg")

    def batch(self, id):
        self.client.batch([{"sql": "SELECT 1"}, {"sql": INSERT, "params": [id]}], database="pg")

    def transaction(self, id):
        """A transaction that is lost before COMMIT was sent has not happened: it may be repeated as a whole."""
        if not self.session:
            self.session = self.client.session(database="pg")
        session = self.session
        try:
            self.client.query("BEGIN", session=session)
            self.client.query(INSERT, [id], session=session)
            self.client.query("COMMIT", session=session)
        except RequestFailed:
            try:
                self.client.call("db_disconnect", {"session": session})
            except RequestFailed:
                pass
            raise

    def finish(self):
        self.ending.set()
        self.join(90)
        assert not self.is_alive(), "a writer hangs"
        if self.problem:
            raise self.problem


@pytest.fixture
def servers():
    made = []

    def make(**options):
        made.append(PostgreSQL(**options))
        return made[-1]

    yield make
    for server in made:
        server.discard()


def start_writers(daemon, count=9):
    ways = ["autocommit", "transaction", "batch"]
    writers = [Writer(daemon.socket_path, number, ways[number % 3]) for number in range(1, count + 1)]
    for writer in writers:
        writer.start()
    return writers


def check(writers, server):
    """Nothing acknowledged is lost, nothing is there twice or against what was said."""
    for writer in writers:
        writer.finish()
    text = server.psql("SELECT id, count(*) FROM written GROUP BY id")
    found = {int(id): int(count) for id, count in (line.split("|") for line in text.split("\n") if line)}
    twice = {id for id, count in found.items() if count > 1}
    assert not twice, f"written twice: {sorted(twice)[:10]}"
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    assert acknowledged <= set(found), f"lost: {sorted(acknowledged - set(found))[:10]}"
    unknown = set().union(*(writer.unknown for writer in writers))
    assert set(found) <= acknowledged | unknown, f"never acknowledged: {sorted(set(found) - acknowledged - unknown)[:10]}"
    assert all(writer.acknowledged for writer in writers)
    return sum(writer.codes.get("outcome_unknown", 0) for writer in writers)


def progress(writers, more=5):
    before = [len(writer.acknowledged) for writer in writers]

    def all_go_on():
        for writer in writers:
            assert writer.is_alive(), writer.problem
        return all(len(writer.acknowledged) >= count + more for writer, count in zip(writers, before))

    wait_until(all_go_on, "every writer goes on", timeout=30, interval=0.02)


def test_a_standby_takes_over(servers, start_daemon):
    primary = servers(synchronous_standby_names="*", wal_level="replica")
    primary.psql("SET synchronous_commit = local; CREATE TABLE written(id int)")
    standby = servers(primary=primary)
    wait_until(lambda: primary.psql("SELECT sync_state FROM pg_stat_replication") == "sync", "the standby is synchronous", timeout=20)
    url = f"postgresql://lb@/postgres?host={primary.directory},{standby.directory}&target_session_attrs=read-write"
    daemon = start_daemon(databases={"pg": url})
    writers = start_writers(daemon)
    progress(writers)
    assert standby.psql("SELECT pg_is_in_recovery()") == "t"
    primary.kill()
    time.sleep(0.3)
    standby.psql("ALTER SYSTEM SET synchronous_standby_names = ''")
    assert standby.psql("SELECT pg_promote()") == "t"
    progress(writers, more=20)
    check(writers, standby)
    with daemon.connect() as client:
        assert client.query("SELECT pg_is_in_recovery()", database="pg").value is False


def test_connections_are_ended_at_random(servers, start_daemon):
    server = servers()
    server.psql("CREATE TABLE written(id int)")
    daemon = start_daemon(databases={"pg": server.url()})
    writers = start_writers(daemon)
    progress(writers)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(40):
        server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'litebase' "
                    f"ORDER BY md5(pid || '{source.random()}') LIMIT {source.randrange(1, 5)}")
        time.sleep(source.random() / 30)
    progress(writers)
    check(writers, server)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_server_restarts(servers, start_daemon, how):
    server = servers()
    server.psql("CREATE TABLE written(id int)")
    daemon = start_daemon(databases={"pg": server.url()})
    writers = start_writers(daemon)
    for _ in range(3):
        progress(writers)
        getattr(server, how)()
        time.sleep(0.2)
        server.start()
    progress(writers)
    check(writers, server)


def test_the_server_hangs(servers, start_daemon):
    """Paused for longer than timeouts: what was sent is not known, and is not sent again."""
    server = servers()
    server.psql("CREATE TABLE written(id int)")
    daemon = start_daemon("--config", write_config(server), databases={})
    writers = start_writers(daemon)
    progress(writers)
    for _ in range(2):
        server.pause()
        time.sleep(1.2)
        server.go_on()
        progress(writers)
    unknown = check(writers, server)
    assert unknown > 0


def write_config(server):
    path = server.directory / "litebase.toml"
    path.write_text(f'[limits]\nstatement_time_ms_max = 300\nconnect_ms_max = 1000\n[databases.pg]\nurl = "{server.url()}"\n')
    path.chmod(0o644)
    return path
