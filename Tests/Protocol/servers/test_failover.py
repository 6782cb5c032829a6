"""PostgreSQL that fails over, restarts, hangs and ends connections at random, with writers at work (writers.py)."""

import random
import time

import pytest

import writers
from daemon import wait_until
from postgresql import PostgreSQL
from writers import progress


@pytest.fixture
def servers():
    made = []

    def make(**options):
        made.append(PostgreSQL(**options))
        return made[-1]

    yield make
    for server in made:
        server.discard()


def start_writers(daemon):
    return writers.start_writers(daemon, "pg", "INSERT INTO written VALUES ($1)")


def check(clients, server):
    writers.finish(clients)
    text = server.psql("SELECT id, count(*) FROM written GROUP BY id")
    return writers.check(clients, {int(id): int(count) for id, count in (line.split("|") for line in text.split("\n") if line)})


def test_a_standby_takes_over(servers, start_daemon):
    primary = servers(synchronous_standby_names="*", wal_level="replica")
    primary.psql("SET synchronous_commit = local; CREATE TABLE written(id int)")
    standby = servers(primary=primary)
    wait_until(lambda: primary.psql("SELECT sync_state FROM pg_stat_replication") == "sync", "the standby is synchronous", timeout=20)
    url = f"postgresql://lb@/postgres?host={primary.directory},{standby.directory}&target_session_attrs=read-write"
    daemon = start_daemon(databases={"pg": url})
    clients = start_writers(daemon)
    progress(clients)
    assert standby.psql("SELECT pg_is_in_recovery()") == "t"
    primary.kill()
    time.sleep(0.3)
    standby.psql("ALTER SYSTEM SET synchronous_standby_names = ''")
    assert standby.psql("SELECT pg_promote()") == "t"
    progress(clients, more=20)
    check(clients, standby)
    with daemon.connect() as client:
        assert client.query("SELECT pg_is_in_recovery()", database="pg").value is False
        [entry] = [one for one in client.call("list_databases").data["databases"] if one["name"] == "pg"]
        assert entry["server"]["host"] == f"{standby.directory}:5432"


def test_connections_are_ended_at_random(servers, start_daemon):
    server = servers()
    server.psql("CREATE TABLE written(id int)")
    daemon = start_daemon(databases={"pg": server.url()})
    clients = start_writers(daemon)
    progress(clients)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(40):
        server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'litebase' "
                    f"ORDER BY md5(pid || '{source.random()}') LIMIT {source.randrange(1, 5)}")
        time.sleep(source.random() / 30)
    progress(clients)
    check(clients, server)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_server_restarts(servers, start_daemon, how):
    server = servers()
    server.psql("CREATE TABLE written(id int)")
    daemon = start_daemon(databases={"pg": server.url()})
    clients = start_writers(daemon)
    for _ in range(3):
        progress(clients)
        getattr(server, how)()
        time.sleep(0.2)
        server.start()
    progress(clients)
    check(clients, server)


def test_the_server_hangs(servers, start_daemon):
    """Paused for longer than timeouts: what was sent is not known, and is not sent again."""
    server = servers()
    server.psql("CREATE TABLE written(id int)")
    daemon = start_daemon("--config", write_config(server), databases={})
    clients = start_writers(daemon)
    progress(clients)
    for _ in range(2):
        server.pause()
        time.sleep(1.2)
        server.go_on()
        progress(clients)
    unknown = check(clients, server)
    assert unknown > 0


def write_config(server):
    path = server.directory / "litebase.toml"
    path.write_text(f'[limits]\nstatement_time_ms_max = 300\nconnect_ms_max = 1000\n[databases.pg]\nurl = "{server.url()}"\n')
    path.chmod(0o644)
    return path
