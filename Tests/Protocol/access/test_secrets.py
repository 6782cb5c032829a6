"""No password of a database is seen anywhere: a marker in every place where one may be, and every output searched for it.

Source: docs/databases.md, "Passwords"; docs/threat-model.md, "Logs and errors".
"""

import contextlib
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from certificates import Authority
from daemon import LITEBASE, ROOT, SANITIZER_OPTIONS, Daemon, environment_for, run_to_end
from journal import Journal, needs_namespace
from postgresql import PostgreSQL

# Each place has a marker of its own; they share this.
MARKER = "Zk9Vq"
URL, FILE, CREDENTIAL, PGPASS, KEY = (f"{MARKER}-{place}" for place in ("url", "file", "credential", "pgpass", "key"))


@pytest.fixture(scope="module")
def server():
    """Lets in nobody without a password, but for the tests' own user."""
    instance = PostgreSQL()
    (instance.data / "pg_hba.conf").write_text("local all lb trust\nlocal all all scram-sha-256\n")
    instance.stop()
    instance.start()
    instance.psql(f"CREATE ROLE app LOGIN PASSWORD '{FILE}'; CREATE ROLE other LOGIN PASSWORD 'else'")
    yield instance
    instance.discard()


def write(path, text, mode=0o600):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def databases(server, directory):
    """Tables of the configuration: one that works, and each way to fail."""
    write(directory / "password", FILE)
    write(directory / "open", FILE, 0o644)
    write(directory / "lines", f"{FILE}\n{FILE}")
    write(directory / "credentials/bad", CREDENTIAL)
    write(directory / "credentials/auto.password", CREDENTIAL)
    write(directory / "home/.pgpass", f"*:*:*:other:{PGPASS}\n")
    authority = Authority(directory, "ca")
    certificate, key = authority.sign("app", "locked", KEY)
    there, other = server.url(user="app"), server.url(user="other")
    tls = f"sslmode=require&sslcert={certificate}&sslkey={key}&sslpassword={KEY}-wrong"
    tables = {
        "good": f'url = "{there}"\npassword_file = "{directory}/password"',
        "wrong": f'url = "{server.url(user="other", password=URL)}"',
        "option": f'url = "{other}&password={URL}"',
        "wrong_file": f'url = "{other}"\npassword_file = "{directory}/password"',
        "wrong_credential": f'url = "{other}"\npassword_credential = "bad"',
        "auto": f'url = "{other}"',
        "pgpass": f'url = "{other}"',
        "open": f'url = "{there}"\npassword_file = "{directory}/open"',
        "lines": f'url = "{there}"\npassword_file = "{directory}/lines"',
        "missing": f'url = "{there}"\npassword_credential = "missing"',
        "away": f'url = "postgresql://u:{URL}@127.0.0.1:1/d"',
        "nowhere": f'url = "postgresql://u:{URL}@host.invalid/d?connect_timeout=2"',
        "service": f'url = "postgresql://u:{URL}@/d?service=nix"',
        "mysql": f'url = "mysql://u:{URL}@127.0.0.1:1/d"',
        "mysql_file": f'url = "mysql://u@127.0.0.1:{server.tls_port}/d"\npassword_file = "{directory}/password"',
        "redis": f'url = "redis://u:{URL}@127.0.0.1:1/0"',
        "redis_file": f'url = "redis://127.0.0.1:{server.tls_port}/0"\npassword_file = "{directory}/password"',
        "tls": f'url = "postgresql://u:{URL}@127.0.0.1:{server.tls_port}/d?{tls}"',
    }
    return "".join(f"[databases.{name}]\n{keys}\n" for name, keys in tables.items()), list(tables)


@pytest.fixture(autouse=True)
def peer_without_tls(server):
    """Answers each connection with what is no TLS."""
    listener = socket.create_server(("127.0.0.1", 0))
    server.tls_port = listener.getsockname()[1]

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                # MySQL's client waits for the first word of the server.
                peer.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    peer.recv(64)
                peer.sendall(b"Sgarbage")
    threading.Thread(target=serve, daemon=True).start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def battery(daemon, names, mode):
    """Requests of all kinds to all databases; everything that was answered."""
    with daemon.connect(mode) as client:
        seen = []
        assert client.query("SELECT current_user", database="good").value == "app"
        for name in names[1:]:
            sql = "GET x" if name.startswith("redis") else "SELECT 1"
            seen.append(client.query_fails(sql, database=name))
            seen.append(client.fails("db_connect", {"database": name}))
            seen.append(client.fails("batch", {"database": name, "statements": [{"sql": sql}]}))
            assert all(error["code"] == "connect_failed" for error in seen[-3:]), seen[-3:]
            # Redis describes a command without asking the server.
            seen.append(client.receive_for(client.send("describe", {"database": name, "sql": sql})).data)
        session = client.session(database="good")
        for sql in ("SELECT * FROM pg_settings WHERE name ~ 'pass'", "SELECT * FROM pg_stat_activity", "SELECT * FROM pg_hba_file_rules"):
            try:
                seen.append(client.query(sql, session=session).rows)
            except Exception as error:  # noqa: BLE001 - what is refused is also an answer
                seen.append(str(error))
        for type in ("stats", "activity", "list_databases", "health_check", "reload"):
            seen.append(client.call(type).data)
        for url in (f"postgresql://u:{URL}@127.0.0.1:1/d", f"postgresql://u:{URL}@[::1/d", f"postgresql://u:{URL}/@h:x/d",
                    f"postgresql://h/d?password={URL}&nix=1", f"postgres:u:{URL}@h", f"mysql://u:{URL}@127.0.0.1:1/d",
                    f"redis://:{URL}@127.0.0.1:1/0", f"rediss://u:{URL}@127.0.0.1:1/nix", f"x://u:{URL}@h"):
            seen.append(client.fails("db_connect", {"url": url}))
        return seen


def searched(*texts):
    """That nothing of it has the marker."""
    for text in map(str, texts):
        place = text.find(MARKER)
        assert place < 0, f"a secret is shown: …{text[max(0, place - 300):place + 100]}…"


def of_process(pid):
    return [pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace") for name in ("cmdline", "environ")]


@pytest.mark.slow
def test_replies_and_lines_of_the_log(start_daemon, databases, directory, mode):
    text, names = databases
    (directory / "litebase.toml").write_text(text)
    daemon = start_daemon("--config", directory / "litebase.toml", directory=directory,
                          environment={"CREDENTIALS_DIRECTORY": directory / "credentials"})
    seen = battery(daemon, names, mode)
    assert len(seen) > 60
    assert len([line for line in daemon.log().splitlines() if " error " in line]) >= len(names) - 1, "each failure is told"
    searched(*seen, *of_process(daemon.pid), daemon.log())


@pytest.mark.slow
@needs_namespace
def test_fields_of_the_journal(start_daemon, databases, directory):
    journal = Journal(directory)
    text, names = databases
    (directory / "litebase.toml").write_text(text + "[log]\nslow_statement_ms = 1\nstatement_bytes_max = 4096\n")
    daemon = start_daemon("--config", directory / "litebase.toml", directory=directory, prefix=journal.prefix,
                          environment={"CREDENTIALS_DIRECTORY": directory / "credentials"})
    seen = battery(daemon, names, "msgpack")
    assert daemon.terminate() == 0
    journal.wait("stopped")
    assert len(journal.entries("databaseFailed") + journal.entries("databaseLost")) >= len(names) - 1
    searched(*seen, journal.raw.decode(errors="replace"), daemon.log())


BROKEN = [f"postgresql://u:{URL}@[::1/d", f"postgresql://u:{URL}/x@h/d", f"postgresql://u:{URL}@h:port/d",
          f"postgresql://u:{URL}@h/d?nix=1", f"postgresql://u:%{URL}@h/d", f"postgresql://u:{URL}%zz@h/d",
          f"postgresql:u:{URL}@h/d", f"postgresql://u:{URL}@h/d?replication=true", f"postgresql://h/d?password={URL}%",
          f"postgresql://h/d?sslpassword={URL}&a", f"postgresql://u:{URL}@h/d\x01", f"mysql://u:{URL}@h:x/d",
          f"redis://u:{URL}@h:x/d", f"nix://u:{URL}@h/d", f"u:{URL}@h/d?://"]


@pytest.mark.parametrize("url", BROKEN, ids=range(len(BROKEN)))
def test_problems_of_the_configuration(directory, url):
    quoted = url.replace("\x01", "\\u0001")
    (directory / "litebase.toml").write_text(f'[databases.d]\nurl = "{quoted}"\npassword_file = "relative"\n')
    shown = [run_to_end("--check-config", "--config", directory / "litebase.toml", directory=directory),
             run_to_end("--config", directory / "litebase.toml", directory=directory),
             run_to_end("--check-config", "--database", f"d={url}", directory=directory),
             run_to_end("--database", url, directory=directory)]
    assert all(status in (64, 78) for status, _ in shown[:2]), shown
    searched(*shown)


def test_the_configuration_in_force(databases, directory):
    (directory / "litebase.toml").write_text(databases[0])
    status, output = run_to_end("--check-config", "--config", directory / "litebase.toml", directory=directory,
                                environment={"CREDENTIALS_DIRECTORY": directory / "credentials"})
    # Others can read one of the files.
    assert status == 78 and "open to others" in output and output.count("***") >= 5
    searched(output, run_to_end("--help", directory=directory), run_to_end("--version", directory=directory))


# The command line


@pytest.mark.slow
def test_the_command_line(start_daemon, databases, directory):
    text, names = databases
    (directory / "litebase.toml").write_text(text)
    daemon = start_daemon("--config", directory / "litebase.toml", directory=directory)
    def run(*arguments, stdin=""):
        return subprocess.run([LITEBASE, *arguments, "--socket", daemon.socket_path], input=stdin, capture_output=True,
                              text=True, timeout=30, env=environment_for(directory))
    shown = [run("status"), run("status", "--json"), run("databases"), run("top", "--once"), run("reload")]
    for name in names[1:]:
        shown.append(run("query", "-d", name, "SELECT 1"))
        shown.append(run("shell", stdin=f".use {name}\nSELECT 1;\n"))
    for url in [f"postgresql://u:{URL}@127.0.0.1:1/d", *(url for url in BROKEN if "\x01" not in url)]:
        # The argument itself is the user's; what is said about it is ours. CompletedProcess has the arguments, too.
        shown += [run("query", "--url", url, "SELECT 1"), run("shell", stdin=f".use {url}\nSELECT 1;\n"),
                  run("config", "add-database", "x", url, "--config", str(directory / "litebase.toml"))]
        assert all(result.returncode for result in shown[-3::2]), shown[-3:]
    for result in shown:
        searched(result.stdout, result.stderr)
    searched(watched_top(daemon, directory), daemon.log())


def watched_top(daemon, directory):
    """What `litebase top` draws on a terminal while connections fail."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(LITEBASE, [LITEBASE, "top", "-i", "0.2", "--socket", daemon.socket_path], environment_for(directory, TERM="xterm"))
    shown, deadline = b"", time.monotonic() + 1.5
    with daemon.connect() as client:
        while time.monotonic() < deadline:
            client.query_fails("SELECT 1", database="wrong")
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 65536)
    os.write(terminal, b"q")
    os.close(terminal)
    os.waitpid(pid, 0)
    assert len(shown) > 200
    return shown.decode(errors="replace")


# The end of a process that is broken


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGILL, signal.SIGABRT])
def test_a_crash_prints_no_memory(databases, directory, number):
    """Not even where somebody has switched on Swift's reports of crashes: the program that makes them is not installed."""
    (directory / "litebase.toml").write_text(databases[0])
    environment = {"SWIFT_BACKTRACE": "enable=yes", "SWIFT_ROOT": str(directory)}
    for name in SANITIZER_OPTIONS:
        environment[name] = os.environ.get(name, "") + ":handle_segv=0:handle_sigill=0:handle_abort=0"
    daemon = Daemon("--config", directory / "litebase.toml", directory=directory, environment=environment)
    with daemon.connect() as client:
        client.query_fails("SELECT 1", database="away")
    os.kill(daemon.pid, number)
    assert daemon.process.wait(20) == -number
    try:
        assert "Registers" not in daemon.log()
        searched(daemon.log())
    finally:
        daemon.discard()


def test_units_allow_no_core_file():
    for kind in ("system", "user"):
        assert "\nLimitCORE=0\n" in (ROOT / f"systemd/{kind}/litebase.service").read_text()
