"""Passwords of databases on servers: from files, from credentials of the service, from libpq's own places; with a real
PostgreSQL that asks for them (scram-sha-256)."""

import os
import signal

import pytest

from daemon import run_to_end, wait_until
from postgresql import PostgreSQL
from wire import RequestFailed

FIRST, SECOND = "First-Zk9 \\ '\"%41:@/ü", "Second-Zk9"
CONFIG_ERROR = 78


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    # The tests' own user needs none.
    (instance.data / "pg_hba.conf").write_text("local all lb trust\nlocal all all scram-sha-256\n")
    instance.stop()
    instance.start()
    instance.psql("CREATE ROLE app LOGIN")
    yield instance
    instance.discard()


@pytest.fixture
def place(server, directory):
    """A directory with a file for the password, which is the role's."""
    set_password(server, FIRST)
    write(directory / "password", FIRST)
    return directory


def set_password(server, password):
    quoted = password.replace("'", "''")
    server.psql(f"SET standard_conforming_strings = on; ALTER ROLE app PASSWORD '{quoted}'")


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)


def configured(start_daemon, server, place, keys="", **options):
    write_configuration(server, place, keys)
    return start_daemon("--config", place / "litebase.toml", directory=place, **options)


def write_configuration(server, place, keys):
    (place / "litebase.toml").write_text(f'[databases.pg]\nurl = "{server.url(user="app")}"\n{keys}\n')


def ask(client):
    return client.query("SELECT current_user, pg_backend_pid()", database="pg").rows[0]


def comes_to_work(client):
    """After failures the daemon tries again by and by."""
    def works():
        try:
            return ask(client)[0] == "app"
        except RequestFailed as error:
            assert error.code == "connect_failed"
    wait_until(works, "the database can be reached", timeout=15)


def disconnect(server):
    """Ends the daemon's connections, as a restart of the server would."""
    server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    wait_until(lambda: server.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == "0", "they are gone")


def file_key(place, name="password"):
    return f'password_file = "{place}/{name}"'


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file(server, start_daemon, place, end):
    write(place / "password", FIRST + end)
    assert ask(configured(start_daemon, server, place, file_key(place)).connect())[0] == "app"


def test_a_new_password_is_taken_up_at_the_next_connection(server, start_daemon, place):
    daemon = configured(start_daemon, server, place, file_key(place))
    client = daemon.connect()
    backend = ask(client)[1]
    set_password(server, SECOND)
    assert ask(client)[1] == backend, "a connection that is there goes on"
    disconnect(server)
    error = wait_until(lambda: failure(client), "the former password is wrong")
    assert error["code"] == "connect_failed" and "password authentication failed" in error["detail"]
    assert "Zk9" not in str(error)
    write(place / "password", SECOND)
    comes_to_work(client)
    assert "Zk9" not in daemon.log()


def failure(client):
    try:
        ask(client)
    except RequestFailed as error:
        return error.data


def test_another_file_is_another_pool_after_a_reload(server, start_daemon, place):
    daemon = configured(start_daemon, server, place, file_key(place))
    client = daemon.connect()
    backend = ask(client)[1]
    client.call("reload")
    assert ask(client)[1] == backend, "nothing has changed"
    write(place / "other", FIRST)
    write_configuration(server, place, file_key(place, "other"))
    client.call("reload")
    assert ask(client)[1] != backend
    wait_until(lambda: server.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == "1", "one pool")


def test_a_bad_file_is_told_and_can_be_mended(server, start_daemon, place):
    daemon = configured(start_daemon, server, place, file_key(place))
    client = daemon.connect()
    for spoil, reason in [(lambda path: write(path, FIRST, 0o644), "is open to others"),
                          (lambda path: write(path, ""), "is empty"), (lambda path: write(path, "a\nb"), "one line"),
                          (lambda path: path.unlink(), "No such file"), (make_pipe, "not a regular file")]:
        disconnect(server)
        spoil(place / "password")
        error = wait_until(lambda: told(client, reason), reason)
        assert error["sqlstate"] == "28000" and str(place / "password") in error["detail"] and "Zk9" not in str(error)
        (place / "password").unlink(missing_ok=True)
        write(place / "password", FIRST)
        comes_to_work(client)
    assert "Zk9" not in daemon.log()


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


def told(client, reason):
    data = failure(client)
    return data if data and reason in data.get("detail", "") else None


def test_a_password_comes_from_one_place(server, place):
    url = server.url(user="app", password="Xq7hidden")
    for text, word in [(f'url = "{url}"\npassword_file = "/x"', "take it out of the URL"),
                       (f'url = "{url}"\npassword_credential = "x"', "take it out of the URL"),
                       (f'url = "{server.url()}"\npassword_file = "/x"\npassword_credential = "x"', "keep one of them"),
                       ('url = "sqlite::memory:"\npassword_credential = "x"', "for databases on servers")]:
        (place / "litebase.toml").write_text(f"[databases.pg]\n{text}\n")
        status, output = run_to_end("--check-config", "--config", place / "litebase.toml", directory=place)
        assert status == CONFIG_ERROR and word in output and "litebase.toml:1:" in output and "Xq7" not in output


def test_another_login_of_those_who_only_read(server, start_daemon, place):
    """Its password is its own; a change of its place is a change of the pool."""
    server.psql(f"DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '{SECOND}'")
    write(place / "reader", SECOND)
    keys = f'access = "read_only"\nread_only_url = "{server.url(user="reader")}"\n{file_key(place)}\nread_only_'
    daemon = configured(start_daemon, server, place, keys + file_key(place, "reader"))
    client = daemon.connect()
    user, backend = ask(client)
    assert user == "reader"
    write(place / "again", SECOND)
    write_configuration(server, place, keys + file_key(place, "again"))
    client.call("reload")
    assert ask(client)[0] == "reader" and ask(client)[1] != backend


# Credentials of the service


def test_a_credential_by_name(server, start_daemon, place):
    write(place / "shop", FIRST + "\n", 0o440)
    daemon = configured(start_daemon, server, place, 'password_credential = "shop"',
                        environment={"CREDENTIALS_DIRECTORY": place})
    assert ask(daemon.connect())[0] == "app"


def test_a_credential_of_the_databases_name_needs_no_key(server, start_daemon, place):
    write(place / "pg.password", FIRST)
    daemon = configured(start_daemon, server, place, environment={"CREDENTIALS_DIRECTORY": place})
    assert ask(daemon.connect())[0] == "app"
    status, output = run_to_end("--check-config", "--config", place / "litebase.toml", directory=place,
                                environment={"CREDENTIALS_DIRECTORY": place})
    assert status == 0 and 'password_credential = "pg.password"' in output


@pytest.mark.parametrize("given", [True, False])
def test_a_missing_credential_is_told_at_the_start_and_stops_nothing_else(server, start_daemon, place, given):
    daemon = configured(start_daemon, server, place, 'password_credential = "shop"',
                        environment={"CREDENTIALS_DIRECTORY": place if given else None})
    wait_until(lambda: 'Database pg: The service has no credential "shop". Add LoadCredential=shop:' in daemon.log(), "a line")
    client = daemon.connect()
    error = client.query_fails("SELECT 1", database="pg")
    assert error["code"] == "connect_failed" and 'no credential "shop"' in error["detail"]
    assert "LoadCredential=shop:" in error["hint"] and "systemctl restart" in error["hint"]
    assert client.query("SELECT 1").value == 1


# libpq's own places


def pgpass(server, path, password, mode=0o600):
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    write(path, f"*:*:*:app:{escaped}\n", mode)


def test_pgpass_in_the_home_directory(server, start_daemon, place):
    (place / "home").mkdir()
    pgpass(server, place / "home/.pgpass", FIRST)
    assert ask(configured(start_daemon, server, place).connect())[0] == "app"


def test_pgpass_elsewhere(server, start_daemon, place):
    pgpass(server, place / "passes", FIRST)
    daemon = configured(start_daemon, server, place, environment={"PGPASSFILE": place / "passes"})
    assert ask(daemon.connect())[0] == "app"


def test_a_file_of_the_configuration_goes_before_pgpass(server, start_daemon, place):
    pgpass(server, place / "passes", SECOND)
    daemon = configured(start_daemon, server, place, file_key(place), environment={"PGPASSFILE": place / "passes"})
    assert ask(daemon.connect())[0] == "app"


def test_a_wrong_password_of_pgpass_is_not_shown(server, start_daemon, place):
    pgpass(server, place / "passes", SECOND)
    daemon = configured(start_daemon, server, place, environment={"PGPASSFILE": place / "passes"})
    error = daemon.connect().query_fails("SELECT 1", database="pg")
    assert 'password retrieved from file' in error["detail"] and "Zk9" not in str(error) + daemon.log()


# What is told who connects in vain

def refused(daemon, database, sqlstate="08001"):
    with daemon.connect() as client:
        error = client.query_fails("SELECT 1", database=database)
    assert error["code"] == "connect_failed" and error["sqlstate"] == sqlstate, error
    return error


def in_vain(server, start_daemon, directory, **options):
    return start_daemon("--database", f"absent={server.url('absent')}", "--database", f"nobody={server.url(user='nobody-of-that-name')}",
                        "--database", f"away=postgresql://lb@/postgres?host={directory}/nothing",
                        "--database", f"unasked={server.url(user='app')}", directory=directory, **options)


def test_a_refusal_is_told_from_a_server_that_is_not_there(server, start_daemon, directory):
    daemon = in_vain(server, start_daemon, directory)
    for database, detail in [("absent", 'database "absent" does not exist'), ("nobody", "authentication failed"),
                             ("unasked", "no password supplied")]:
        error = refused(daemon, database)
        assert error["message"] == "The PostgreSQL server did not let the daemon in." and "pg_hba.conf" in error["hint"], error
        assert detail in error["detail"] or "no password supplied" in error["detail"], error
    error = refused(daemon, "away")
    assert error["message"] == "The PostgreSQL server cannot be reached."
    assert error["hint"] == "Check that the server runs, and the URL."
    assert "\t" not in error["detail"] and error["detail"].endswith("connections on that socket?")


def test_a_server_that_is_full_or_stops_is_told_from_one_that_refuses(start_daemon):
    """Nobody has to look for a wrong password while the server is being restarted."""
    server = PostgreSQL()
    try:
        server.psql("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0")
        daemon = start_daemon("--database", f"full={server.url(user='crowd')}", "--database", f"pg={server.url()}",
                              "--database", f"other={server.url(user='postgres')}")
        server.psql("CREATE ROLE postgres LOGIN")
        error = refused(daemon, "full", "53300")
        assert error["message"] == "The PostgreSQL server has no connection to spare." and "max_connections" in error["hint"], error
        assert "too many connections for role" in error["detail"] and "LOCATION" not in error["detail"] and "53300" not in error["detail"]
        with daemon.connect() as client:
            session = client.session(database="pg")
            assert client.query("SELECT 1", session=session).value == 1
            # It waits for that session, and lets nobody in any more ("smart" shutdown).
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not server.answers(), "it is stopping")
            error = refused(daemon, "other", "57P03")
            assert error["message"] == "The PostgreSQL server is starting or stopping." and "pg_hba" not in error["hint"], error
            assert "the database system is shutting down" in error["detail"], error
    finally:
        server.discard()


def test_the_service_of_the_system_is_told_of_its_sandbox(server, start_daemon, directory):
    daemon = in_vain(server, start_daemon, directory, environment={"STATE_DIRECTORY": f"/var/lib/../..{directory}/state"})
    assert refused(daemon, "away")["hint"].endswith("litebase.service has the drop-in remote-databases.conf.")
    assert "drop-in" not in refused(daemon, "absent")["hint"]
