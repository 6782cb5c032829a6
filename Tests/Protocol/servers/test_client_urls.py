"""URLs that clients name take nothing of the daemon's: no password, key, service or setting from its files and environment."""

import contextlib
import socket
import struct
import threading
import time

import pytest

from daemon import short_directory

SECRET = "sesame-of-the-daemon"
STARTUP, TLS, GSS = 196608, 80877103, 80877104


class Thief:
    """Asks everybody for the password in clear, and remembers all that it was told."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.told = b""
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, struct.error):
                connection.settimeout(5)
                self.talk(connection)

    def talk(self, connection):
        while True:
            head = connection.recv(8)
            length, code = struct.unpack("!II", head)
            self.told += head + (connection.recv(length - 8) if length > 8 else b"")
            if code in (TLS, GSS):
                connection.sendall(b"N")
                continue
            break
        connection.sendall(b"R" + struct.pack("!II", 8, 3))
        while piece := connection.recv(4096):
            self.told += piece

    def close(self):
        self.listener.close()


@pytest.fixture
def thief():
    instance = Thief()
    yield instance
    instance.close()


@pytest.fixture
def home(thief):
    """A home with everything that libpq looks for, and a password for every host."""
    directory = short_directory()
    (directory / ".pgpass").write_text(f"*:*:*:*:{SECRET}\nconfigured.example:5432:*:*:{SECRET}\n")
    (directory / ".pgpass").chmod(0o600)
    (directory / "other.pass").write_text(f"*:*:*:*:{SECRET}\n")
    (directory / "other.pass").chmod(0o600)
    (directory / ".pg_service.conf").write_text(f"[shop]\nhost=127.0.0.1\nport={thief.port}\nuser=u\ndbname=d\npassword={SECRET}\n")
    return directory


def start(start_daemon, directory, home, **environment):
    return start_daemon(directory=directory, environment={"HOME": str(home), "XDG_CONFIG_HOME": str(home), **environment}).connect()


@pytest.mark.parametrize("url", [
    "postgresql://u@configured.example/d?hostaddr=127.0.0.1&port={port}", "postgresql://u@127.0.0.1:{port}/d",
    "postgresql://u@/d?host=127.0.0.1&port={port}", "postgresql:///?service=shop", "postgresql:///d?host=127.0.0.1&port={port}&user=u",
    "postgresql://u@127.0.0.1:{port}/d?passfile={home}/other.pass", "postgresql://u@127.0.0.1:{port}/d?sslcert={home}/a&sslkey={home}/b",
    "postgresql://u@127.0.0.1:{port}/d?options=-c%20a%3Db", "postgresql://u@127.0.0.1,127.0.0.1:{port},{port}/d",
    "postgresql://u@127.0.0.1:{port}/service=shop", "postgresql://u@127.0.0.1:{port}/d?krbsrvname=x", "postgresql:///d?gsslib=x",
    "postgresql://u@127.0.0.1:{port}/d?sslpassword=x", "postgresql://u@127.0.0.1:{port}/d'%20passfile='{home}/other.pass",
    "postgresql://u@127.0.0.1:{port}/d?application_name='%20passfile=%27{home}/other.pass", "postgresql://u@127.0.0.1:{port}/d?requirepeer=x"])
def test_no_password_of_the_daemons_leaves(start_daemon, directory, home, thief, url):
    client = start(start_daemon, directory, home)
    error = client.fails("db_connect", {"url": url.format(port=thief.port, home=home)})
    time.sleep(0.1)
    assert SECRET.encode() not in thief.told, thief.told
    assert error["code"] in ("bad_request", "connect_failed"), error
    assert SECRET not in str(error)


@pytest.mark.parametrize("variable, value", [
    ("PGPASSWORD", SECRET), ("PGPASSFILE", "{home}/other.pass"), ("PGSERVICE", "shop"), ("PGHOSTADDR", "127.0.0.1"), ("PGUSER", "u"),
    ("PGSSLCERT", "{home}/other.pass"), ("PGOPTIONS", "-c a=b"), ("PGAPPNAME", SECRET), ("PGDATABASE", SECRET), ("PGSSLROOTCERT", "system")])
@pytest.mark.parametrize("host", ["127.0.0.1", "configured.example"])
def test_no_environment_of_the_daemons_is_used(start_daemon, directory, home, thief, variable, value, host):
    client = start(start_daemon, directory, home, **{variable: value.format(home=home)})
    client.fails("db_connect", {"url": f"postgresql://{host}:{thief.port}?sslmode=disable"})
    time.sleep(0.1)
    assert SECRET.encode() not in thief.told, thief.told
    if host == "configured.example":
        assert not thief.told, "the environment may not lead elsewhere"


def test_a_clients_own_password_is_sent(start_daemon, directory, home, thief):
    client = start(start_daemon, directory, home)
    client.fails("db_connect", {"url": f"postgresql://me:my%27own%5C@127.0.0.1:{thief.port}/d?application_name=x%20y"})
    assert b"my'own\\\0" in thief.told and b"me\0" in thief.told and b"x y\0" in thief.told


@pytest.mark.parametrize("parameter", ["ssl-cert=/etc/a&ssl-key=/etc/b", "ssl-crl=/etc/a"])
def test_keys_are_not_for_clients_of_mysql(start_daemon, directory, home, parameter):
    client = start(start_daemon, directory, home)
    error = client.fails("db_connect", {"url": f"mysql://u@127.0.0.1:1/d?{parameter}"})
    assert error["code"] == "bad_request" and "may not say ssl-" in error["message"]


def test_a_configured_database_has_what_is_the_daemons(start_daemon, directory, home, thief):
    config = directory / "configured.toml"
    config.write_text(f'[databases.shop]\nurl = "postgresql://u@127.0.0.1:{thief.port}/d"\n')
    daemon = start_daemon("--config", config, directory=directory, environment={"HOME": str(home), "XDG_CONFIG_HOME": str(home)})
    with daemon.connect() as client:
        client.fails("query", {"database": "shop", "sql": "SELECT 1"})
    assert SECRET.encode() in thief.told


def test_a_long_list_of_silent_servers_has_one_end(start_daemon, directory, home):
    """Each server gets its time, but a client may not hold a thread for as many of them as fit into a URL."""
    config = directory / "limits.toml"
    config.write_text("[limits]\nconnect_ms_max = 200\n")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(30)]
        ports = [listener.getsockname()[1] for listener in silent]
        daemon = start_daemon("--config", config, directory=directory, environment={"HOME": str(home), "XDG_CONFIG_HOME": str(home)})
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        with daemon.connect() as client:
            error = client.fails("db_connect", {"url": f"postgresql://u@{hosts}/d?sslmode=disable&connect_timeout=3600"})
        assert error["code"] == "connect_failed", error
        asked = 0
        for listener in silent:
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                asked += 1
        assert 1 <= asked <= 5, f"{asked} servers were waited for, each at least 200 ms"
