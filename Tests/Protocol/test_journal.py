"""The log: native entries of the journal with their fields, slow statements, the limit of the rate, and no secret.

A datagram socket stands in the place of the journal's, in a mount namespace of the daemon's own, so that the entries are
seen as systemd-journald would get them: sd_journal_sendv(3), https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

import os
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import threading
import time

import pytest

from daemon import ENDLESS, LITEBASED, ROOT, counting, wait_until

CONFIG_ERROR = 78
ERROR, NOTICE, INFO, DEBUG = "3", "5", "6", "7"
NOBODY = 65534
CATALOG = ROOT / "systemd/litebase.catalog"
MESSAGE_IDS = dict(re.findall(r"^# (\w+)\n-- ([0-9a-f]{32})$", CATALOG.read_text(), re.MULTILINE))
MARKER = "hunter2-Zk9"

IN_NAMESPACE = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal || exit 99
JOURNAL_STREAM=$(stat -Lc %d:%i /dev/fd/2) exec "$@"
"""

needs_namespace = pytest.mark.skipif(
    os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0,
    reason="a socket in the journal's place needs root and mount namespaces")


class Journal:
    """The entries that arrive; `prefix` starts a program that sends them here."""

    def __init__(self, directory):
        folder = directory / "journal"
        folder.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(str(folder / "socket"))
        self.prefix = ("unshare", "-m", "--propagation", "private", "sh", "-c", IN_NAMESPACE, str(folder))
        self.received = []
        self.raw = b""
        self.changed = threading.Condition()
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        # Reads all the time, as the journal does: a sender must not be kept waiting.
        while datagram := self.socket.recv(1 << 20):
            with self.changed:
                self.raw += datagram
                self.received.append(parsed(datagram))
                self.changed.notify_all()

    def entries(self, name=None):
        """Those that have arrived, all or of one kind."""
        with self.changed:
            return [entry for entry in self.received if name is None or entry.get("MESSAGE_ID") == MESSAGE_IDS[name]]

    def wait(self, name=None, count=1, timeout=10, **fields):
        """Waits for entries of one kind with these fields."""
        deadline = time.monotonic() + timeout
        while True:
            found = [entry for entry in self.entries(name) if fields.items() <= entry.items()]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"no {name} with {fields} among {self.entries()[-20:]}"
            with self.changed:
                self.changed.wait(0.1)


def parsed(datagram):
    """One entry of the native protocol, whose fields here come once each."""
    fields, rest = {}, datagram
    while rest:
        head, _, rest = rest.partition(b"\n")
        if b"=" in head:
            name, _, value = head.partition(b"=")
        else:
            name, count = head, struct.unpack("<Q", rest[:8])[0]
            value, rest = rest[8:8 + count], rest[9 + count:]
        assert name.decode() not in fields, f"{name} comes twice: {datagram}"
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journal(directory):
    return Journal(directory)


@pytest.fixture
def started(start_daemon, directory, journal):
    """Starts a daemon that logs to the journal, with the text of its configuration."""
    def start(text="", *flags, log_level="info", **options):
        (directory / "litebase.toml").write_text(text)
        return start_daemon("--config", directory / "litebase.toml", *flags, directory=directory, prefix=journal.prefix,
                            log_level=log_level, **options)
    return start


def reload(daemon, text):
    (daemon.directory / "litebase.toml").write_text(text)
    with daemon.connect() as client:
        client.call("reload")


# Fields


@needs_namespace
def test_start_and_stop(started, journal, directory):
    daemon = started()
    entry = journal.wait("listening")[0]
    assert entry == {
        "MESSAGE": f"IPC server started on unix:{daemon.socket_path}", "PRIORITY": INFO, "SYSLOG_IDENTIFIER": "litebased",
        "MESSAGE_ID": MESSAGE_IDS["listening"], "LITEBASE_ADDRESS": f"unix:{daemon.socket_path}"}
    assert daemon.terminate() == 0
    assert [entry["MESSAGE"] for entry in journal.wait("stopped")] == ["Stopped"]
    assert journal.wait("draining")[0]["LITEBASE_REQUESTS"] == "0"
    assert daemon.log() == "", "all went to the journal"


@needs_namespace
def test_every_line_about_a_request_has_its_fields(started, journal, mode):
    daemon = started(log_level="debug", databases={"music": f"sqlite:{journal.prefix[-1]}/../music.db"})
    with daemon.connect(mode) as client:
        session = client.session(database="music")
        client.query("SELECT 1", database="music")
        client.collect(client.send_query("CREATE TABLE t(x UNIQUE)", id="first", session=session))
        client.collect(client.send_query("INSERT INTO t VALUES (1), (2)", id="filled", session=session))
        client.fails("query", {"sql": "INSERT INTO t VALUES (2)", "session": session}, id="twice")
        client.fails("query", {"sql": "SELECT 1", "session": "nowhere"}, id="lost")
        client.fails("query", {"sql": 7}, id=2**64 - 1)
        client.call("batch", {"statements": [{"sql": "DELETE FROM t"}], "session": session}, id=-5)
        client.settle()
    common = {"LITEBASE_CONNECTION": journal.wait(LITEBASE_REQUEST="first")[0]["LITEBASE_CONNECTION"],
              "LITEBASE_PEER_UID": str(os.getuid()), "LITEBASE_PEER_PID": str(os.getpid()), "PRIORITY": DEBUG,
              "SYSLOG_IDENTIFIER": "litebased"}

    def ended(request):
        """The last entry about a request, without the message and what all of them have."""
        entries = journal.wait(count=2, LITEBASE_REQUEST=request)
        for entry in entries:
            assert common.items() <= entry.items()
        rest = {key: value for key, value in entries[-1].items() if key not in common and key != "MESSAGE"}
        if "LITEBASE_DURATION_US" in rest:
            assert 0 <= int(rest.pop("LITEBASE_DURATION_US")) < 5_000_000
        return entries[-1]["MESSAGE"], rest

    message, fields = ended("filled")
    assert fields == {"LITEBASE_REQUEST": "filled", "LITEBASE_DATABASE": "music", "LITEBASE_ROWS": "0",
                      "LITEBASE_ROWS_AFFECTED": "2"}
    number = common["LITEBASE_CONNECTION"]
    head = f"Connection {number} (uid {os.getuid()}, pid {os.getpid()}): "
    assert re.fullmatch(re.escape(head) + r"query filled on music done in \d+\.\d{3} ms", message)
    message, fields = ended("twice")
    assert fields == {"LITEBASE_REQUEST": "twice", "LITEBASE_DATABASE": "music", "LITEBASE_ROWS": "0",
                      "LITEBASE_ROWS_AFFECTED": "0", "LITEBASE_CODE": "constraint_violation", "LITEBASE_SQLSTATE": "23505"}
    assert re.fullmatch(
        re.escape(head) + r"query twice on music failed with constraint_violation \(23505\) in \d+\.\d{3} ms", message)
    assert ended("lost") == (head + "query lost failed with session_not_found",
                             {"LITEBASE_REQUEST": "lost", "LITEBASE_CODE": "session_not_found"})
    assert ended(str(2**64 - 1))[1] == {"LITEBASE_REQUEST": str(2**64 - 1), "LITEBASE_CODE": "bad_request"}
    assert ended("-5")[1] == {"LITEBASE_REQUEST": "-5", "LITEBASE_DATABASE": "music", "LITEBASE_ROWS": "0",
                              "LITEBASE_ROWS_AFFECTED": "2"}


@needs_namespace
def test_ids_cannot_forge_lines_and_are_cut(started, journal):
    daemon = started(log_level="debug")
    with daemon.connect() as client:
        client.call("health_check", id="a\nPRIORITY=0\n\x1b[31m\u202e")
        client.call("health_check", id="é" * 64)
        client.call("health_check", id="\n" * 128)
    requests = [entry["LITEBASE_REQUEST"] for entry in journal.wait(count=3) if "LITEBASE_REQUEST" in entry]
    wait_until(lambda: len([e for e in journal.entries() if "LITEBASE_REQUEST" in e]) == 3, "three requests")
    requests = [entry["LITEBASE_REQUEST"] for entry in journal.entries() if "LITEBASE_REQUEST" in entry]
    assert requests == ["a\\nPRIORITY=0\\n\\u{1b}[31m\\u{202e}", "é" * 64, "\\n" * 62 + "…"]
    assert all(len(request.encode()) <= 128 for request in requests)


@needs_namespace
def test_the_peer_is_the_one_that_connected(started, journal, directory):
    os.chmod(directory, 0o755)
    daemon = started("", "--socket-mode", "0666", log_level="debug")
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'nonsense'); "
              "s.recv(4096)")
    client = subprocess.Popen(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/python3", "-c",
                               script, daemon.socket_path])
    assert client.wait(10) == 0
    peer = {"LITEBASE_PEER_UID": str(NOBODY), "LITEBASE_PEER_PID": str(client.pid)}
    entry = journal.wait("protocolViolation", **peer)[0]
    assert entry["PRIORITY"] == INFO and entry["MESSAGE"].startswith(
        f"Connection {entry['LITEBASE_CONNECTION']} (uid {NOBODY}, pid {client.pid}) broke the protocol: The first byte")
    journal.wait(LITEBASE_CONNECTION=entry["LITEBASE_CONNECTION"], **peer, count=3)


@needs_namespace
def test_plain_lines_say_the_same(start_daemon, directory):
    """Without a journal the line alone has to say who, what and how long."""
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        client.fails("query", {"sql": "SELEC 1"}, id="wrong")
    head = rf"debug   Connection \d+ \(uid {os.getuid()}, pid {os.getpid()}\): "
    wait_until(lambda: re.search(head + r"query wrong on default failed with syntax_error \(42601\) in \d+\.\d{3} ms\n",
                                 daemon.log()), "the line")


# Slow statements

SLOW = "[log]\nslow_statement_ms = {}\nstatement_bytes_max = {}\n"
WORK = counting(1_500_000, "sum(x)")  # some 300 ms


@needs_namespace
def test_slow_statements(started, journal, mode):
    daemon = started(SLOW.format(100, 0))
    with daemon.connect(mode) as client:
        client.query("SELECT 1")
        result = client.collect(client.send_query(counting(1_500_000, "sum(x), ?"), [MARKER], id="long"))
        entry = journal.wait("slowStatement", LITEBASE_REQUEST="long")[0]
        assert entry["PRIORITY"] == NOTICE
        assert entry["LITEBASE_PEER_PID"] == str(os.getpid()) and entry["LITEBASE_DATABASE"] == "default"
        assert entry["LITEBASE_ROWS"] == "1" and "LITEBASE_SQL" not in entry
        assert int(entry["LITEBASE_DURATION_US"]) == result.last["elapsed_us"] >= 100_000
        assert re.fullmatch(r"Slow statement: Connection \d+ \(uid \d+, pid \d+\): query long on default done in "
                            r"\d+\.\d{3} ms, 1 row", entry["MESSAGE"])
        # One that failed, and is described and batched.
        client.fails("query", {"sql": ENDLESS, "timeout_ms": 200}, id="endless")
        entry = journal.wait("slowStatement", LITEBASE_REQUEST="endless")[0]
        assert (entry["LITEBASE_CODE"], entry["LITEBASE_SQLSTATE"]) == ("timeout", "57014")
        assert " failed with timeout (57014) in " in entry["MESSAGE"]
        client.call("batch", {"statements": [{"sql": WORK}]}, id="batch")
        journal.wait("slowStatement", LITEBASE_REQUEST="batch")
        client.query("SELECT 1")
    assert len(journal.entries("slowStatement")) == 3
    assert MARKER.encode() not in journal.raw


@needs_namespace
def test_text_of_slow_statements(started, journal):
    daemon = started(SLOW.format(100, 60))
    sql = f"WITH\tRECURSIVE\nc(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 1500000) SELECT sum(x), ? FROM c -- {MARKER}"
    with daemon.connect() as client:
        client.query(sql, [MARKER])
        entry = journal.wait("slowStatement")[0]
        assert entry["LITEBASE_SQL"] == sql.replace("\n", "\\n").replace("\t", "\\t")[:57] + "…"
        assert entry["MESSAGE"].endswith(", 1 row: " + entry["LITEBASE_SQL"])
        assert MARKER.encode() not in journal.raw
        # The text as a whole: what was typed into it is there, which proves the check; parameters are not.
        reload(daemon, SLOW.format(100, 1000))
        parameter = MARKER[::-1]
        client.query(sql, [parameter])
        wait_until(lambda: len(journal.entries("slowStatement")) == 2, "the second one")
        assert MARKER.encode() in journal.raw and parameter.encode() not in journal.raw
        # A batch shows its first statement.
        client.batch([{"sql": "SELECT 'one'"}, {"sql": WORK, "params": []}])
        wait_until(lambda: len(journal.entries("slowStatement")) == 3, "the third one")
        assert journal.entries("slowStatement")[2]["LITEBASE_SQL"] == "SELECT 'one'"


@needs_namespace
def test_thresholds_take_effect_on_reload(started, journal):
    daemon = started(SLOW.format(0, 0))
    with daemon.connect() as client:
        client.query(WORK)
        reload(daemon, SLOW.format(100, 0))
        client.query(WORK)
        reload(daemon, SLOW.format(0, 0))
        client.query(WORK)
        client.settle()
    assert daemon.terminate() == 0
    journal.wait("stopped")
    assert len(journal.entries("slowStatement")) == 1


@needs_namespace
def test_the_clients_own_time_is_not_the_statements(started, journal):
    """Neither reading slowly, nor fetching late, nor a place behind others makes a statement slow."""
    daemon = started(SLOW.format(400, 0))
    with daemon.connect() as client:
        # 8 MB of rows, more than the socket and the daemon's buffer take; the client sleeps before it reads.
        id = client.send_query(counting(8_000, "x, zeroblob(1000)"))
        time.sleep(1.2)
        assert client.collect(id).last["elapsed_us"] < 400_000
        id = client.send_query(counting(30), page_rows=10)
        for _ in range(3):
            client.receive_for(id)
            time.sleep(0.5)
            client.send("fetch", {"request": id})
        assert client.receive_for(id).data["elapsed_us"] < 400_000
        session = client.session()
        ids = [client.send_query(counting(150_000, "sum(x)"), session=session) for _ in range(30)]
        spent = [client.collect(id).last["elapsed_us"] for id in ids]
        assert sum(spent) > 400_000 > max(spent), "each is quick, all of them together are not"
    assert not journal.entries("slowStatement")


@needs_namespace
def test_waiting_for_a_lock_counts(started, journal):
    daemon = started(SLOW.format(250, 0), databases={"shared": f"sqlite:{journal.prefix[-1]}/../shared.db"})
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)", database="shared")
        other = sqlite3.connect(f"{journal.prefix[-1]}/../shared.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        id = client.send_query("INSERT INTO t VALUES (1)", database="shared")
        time.sleep(0.5)
        other.execute("ROLLBACK")
        other.close()
        assert client.collect(id).last["elapsed_us"] > 250_000
    assert journal.wait("slowStatement")[0]["LITEBASE_DATABASE"] == "shared"


# The limit of the rate


def noise(path, count):
    for _ in range(count):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"nonsense\n")
            while client.recv(4096):
                pass


@needs_namespace
def test_clients_cannot_flood_the_log(started, journal):
    """Protocol violations, refused connections and slow statements: a burst of each, then one line that counts."""
    daemon = started(SLOW.format(1, 0) + "[limits]\nconnections_max = 3\n")
    noise(daemon.socket_path, 400)
    with daemon.connect() as client:
        for _ in range(150):
            client.query(counting(50_000, "sum(x)"))
        wait_until(lambda: client.call("stats").data["connections"]["open"] == 1, "the others are gone")
        with daemon.connect(), daemon.connect() as last:
            last.settle()
            for _ in range(300):
                with daemon.connect() as refused:
                    refused.send("health_check")
                    refused.receive()
    wait_until(lambda: len(journal.entries("connectionRefused")) >= 100, "the refusals")
    assert daemon.terminate() == 0
    journal.wait("stopped")
    counts = {}
    for entry in journal.entries("suppressed"):
        name = next(name for name, id in MESSAGE_IDS.items() if id == entry["LITEBASE_SUPPRESSED_ID"])
        counts[name] = int(entry["LITEBASE_SUPPRESSED"])
        assert entry["PRIORITY"] == journal.entries(name)[0]["PRIORITY"]
        assert entry["MESSAGE"].startswith(f"{counts[name]} messages suppressed: ")
    for name in ("protocolViolation", "slowStatement", "connectionRefused"):
        assert len(journal.entries(name)) == 100, name
    assert counts["protocolViolation"] == 300 and counts["connectionRefused"] >= 200 and counts["slowStatement"] == 50
    assert len(journal.entries()) < 350


@needs_namespace
def test_debugging_is_not_limited(started, journal):
    daemon = started(log_level="debug")
    with daemon.connect() as client:
        for _ in range(500):
            client.query_fails("SELEC")
    wait_until(lambda: sum("LITEBASE_CODE" in entry for entry in journal.entries()) == 500, "all failures")


@needs_namespace
def test_failing_statements_leave_no_trace_at_the_usual_level(started, journal):
    daemon = started()
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x UNIQUE)")
        client.query("INSERT INTO t VALUES (1)")
        for sql in ["SELEC", "SELECT * FROM nowhere", "INSERT INTO t VALUES (1)", "BEGIN", "SELECT abs(-9223372036854775808)"]:
            client.query_fails(sql)
        client.fails("query", {"sql": ENDLESS, "timeout_ms": 20})
    assert daemon.terminate() == 0
    journal.wait("stopped")
    assert {entry.get("MESSAGE_ID") for entry in journal.entries()} == {
        MESSAGE_IDS[name] for name in ("listening", "databaseOpened", "stopRequested", "draining", "stopped")}


# A journal in trouble


@needs_namespace
def test_a_journal_that_does_not_read_keeps_nobody_waiting(started, journal):
    """Records that do not fit into its queue are lost, but the next one that does says how many."""
    daemon = started(log_level="debug")
    # In the queue wait as many as net.unix.max_dgram_qlen says, and one more is in the reader's hands.
    count = int(open("/proc/sys/net/unix/max_dgram_qlen").read()) + 300
    with daemon.connect() as client:
        with journal.changed:
            begun = time.monotonic()
            for _ in range(count):
                client.query_fails("SELEC")
            assert time.monotonic() - begun < 10
            assert not [entry for entry in journal.received if entry.get("MESSAGE_ID") == MESSAGE_IDS["recordsLost"]]
        client.query_fails("SELEC")
        wait_until(lambda: client.query_fails("SELEC") and journal.entries("recordsLost"), "the count of what is missing")
    entry = journal.entries("recordsLost")[0]
    assert int(entry["LITEBASE_LOST"]) >= 250 and entry["PRIORITY"] == "4"
    assert entry["MESSAGE"].startswith(entry["LITEBASE_LOST"] + " messages")
    # The count is complete: whatever is not there is lost.
    failures = sum("LITEBASE_CODE" in entry for entry in journal.entries())
    assert failures >= count - int(entry["LITEBASE_LOST"])
    assert daemon.log() == "", "nothing goes another way"


# Databases in trouble


@needs_namespace
def test_a_damaged_database_is_told(started, journal, directory):
    path = directory / "damaged.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t(x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,) for _ in range(100)])
    connection.close()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    daemon = started("", databases={"damaged": f"sqlite:{path}"})
    with daemon.connect() as client:
        assert client.query_fails("SELECT count(*), max(x) FROM t", database="damaged")["sqlstate"] == "XX001"
    entry = journal.wait("databaseTrouble")[0]
    assert entry["PRIORITY"] == ERROR and entry["LITEBASE_DATABASE"] == "damaged"
    assert (entry["LITEBASE_CODE"], entry["LITEBASE_SQLSTATE"]) == ("database_error", "XX001")
    assert "malformed" in entry["MESSAGE"]


@needs_namespace
def test_a_database_that_cannot_be_opened_is_told(started, journal, directory):
    daemon = started("", databases={"nowhere": f"sqlite:{directory}/missing/x.db"})
    with daemon.connect() as client:
        assert client.query_fails("SELECT 1", database="nowhere")["code"] == "connect_failed"
    entry = journal.wait("databaseFailed")[0]
    assert entry["PRIORITY"] == ERROR and entry["LITEBASE_DATABASE"] == "nowhere"
    assert f"{directory}/missing/x.db" in entry["MESSAGE"]
    assert not journal.entries("databaseTrouble")


# Secrets


def use_everything(client, directory, secret):
    """Requests of all kinds, with the secret in every place that a parameter or SQL text can have."""
    session = client.session()
    client.query(f"CREATE TABLE secrets(x TEXT UNIQUE CHECK (x <> 'no {secret}'))", session=session)
    client.query("INSERT INTO secrets VALUES (?)", [secret], session=session)
    client.query("INSERT INTO secrets VALUES (:x)", {"x": secret.encode()}, session=session)
    client.query(f"SELECT x, '{secret}' FROM secrets WHERE x <> ?", [secret])
    client.query_fails("INSERT INTO secrets VALUES (?)", [secret])
    client.query_fails(f"INSERT INTO secrets VALUES ('no {secret}')")
    client.query_fails(f"SELECT '{secret}")
    client.query_fails(f"SELECT {secret.replace('-', '_')} FROM secrets")
    client.query_fails("SELECT ?", [secret], database=secret)
    client.query_fails("SELECT ?", [secret], session=secret)
    client.fails("query", {"sql": ENDLESS + " WHERE x <> ?", "params": [secret], "timeout_ms": 30})
    client.call("batch", {"statements": [{"sql": "INSERT INTO secrets VALUES (?)", "param_rows": [[secret + "2"]]}]})
    client.fails("batch", {"statements": [{"sql": "INSERT INTO secrets VALUES (?)", "params": [secret]}]})
    client.call("describe", {"sql": f"SELECT '{secret}'"})
    client.fails("describe", {"sql": f"SELECT {secret} FROM {secret}"})
    client.fails("db_connect", {"url": f"postgresql://user:{secret}@host/db"})
    client.fails("db_disconnect", {"session": secret})
    client.fails("fetch", {"request": secret})
    client.call("cancel", {"request": secret})
    client.fails(secret, {"x": secret})
    client.call("hello", {"client": secret})
    client.query("CREATE TRIGGER guard BEFORE DELETE ON secrets BEGIN SELECT RAISE(ABORT, '" + secret + "'); END")
    client.query_fails("DELETE FROM secrets")
    client.query(counting(300_000, "sum(x), ?"), [secret])
    client.call("db_disconnect", {"session": session})
    client.settle()


def send_garbage(path, secret):
    """Bytes that are no message, with the secret in them."""
    for payload in [secret.encode() + b"\n", b"{" + secret.encode() + b"\n", b'{"id":1,"type":"' + secret.encode(),
                    b'{"id":1,"type":"query","data":{"sql":"' + secret.encode() + b"\xff\"}}\n",
                    b"\0\0\0\x20" + secret.encode() + b"." * 32, b"GET /" + secret.encode() + b" HTTP/1.1\r\n\r\n"]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(path)
            client.sendall(payload)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass


@needs_namespace
def test_no_secret_reaches_the_journal(started, journal, directory, mode):
    """Neither at the most talkative level, nor with slow statements; where SQL text is wanted, parameters still do not."""
    daemon = started(SLOW.format(10, 0), log_level="debug")
    with daemon.connect(mode) as client:
        use_everything(client, directory, MARKER)
    send_garbage(daemon.socket_path, MARKER)
    with daemon.connect() as client:
        client.settle()
    assert daemon.terminate() == 0
    journal.wait("stopped")
    assert len(journal.entries("slowStatement")) >= 2 and len(journal.entries()) > 60, "there was something to see"
    assert MARKER.encode() not in journal.raw and MARKER.replace("-", "_").encode() not in journal.raw
    assert MARKER not in daemon.log()


@needs_namespace
def test_no_secret_reaches_plain_lines(start_daemon, directory, mode):
    daemon = start_daemon(directory=directory, log_level="debug")
    with daemon.connect(mode) as client:
        use_everything(client, directory, MARKER)
    send_garbage(daemon.socket_path, MARKER)
    with daemon.connect() as client:
        client.settle()
    assert daemon.terminate() == 0
    assert len(daemon.log().splitlines()) > 60 and "Stopped" in daemon.log()
    assert MARKER not in daemon.log() and MARKER.replace("-", "_") not in daemon.log()


# Starts that fail


@needs_namespace
def test_all_mistakes_of_the_configuration_are_told(journal, directory):
    file = directory / "litebase.toml"
    file.write_text("lops = 1\n\n[limits]\nconnections_max = 0\n[databases.music]\n")
    command = [*journal.prefix, LITEBASED, "--config", file]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(directory / "notify"))
        manager.settimeout(5)
        result = subprocess.run(command, capture_output=True, timeout=10,
                                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(directory / "notify")})
        state = manager.recv(65536).decode().splitlines()
    assert (result.returncode, result.stderr) == (CONFIG_ERROR, b"")
    entries = journal.wait("configurationInvalid", count=3)
    assert [entry["LITEBASE_CONFIG_LINE"] for entry in entries] == ["1", "4", "5"]
    assert {entry["LITEBASE_CONFIG_FILE"] for entry in entries} == {str(file)}
    assert {entry["PRIORITY"] for entry in entries} == {ERROR}
    assert entries[0]["MESSAGE"] == f'{file}:1:1: unknown key "lops"; did you mean "loops"?'
    assert "limits.connections_max is out of range" in entries[1]["MESSAGE"] and "url" in entries[2]["MESSAGE"]
    assert state[0] == f"STATUS={entries[0]['MESSAGE']} (and 2 more)" and f"EXIT_STATUS={CONFIG_ERROR}" in state


@needs_namespace
def test_other_failures_of_the_start_are_told(journal, directory):
    for flags, status, word in [(["--listen=systemd"], 78, "systemd passed no sockets"), (["--nonsense"], 64, "nonsense"),
                                ([f"--socket={directory}", f"--database=default={directory}/x.db"], 73, "is a directory")]:
        result = subprocess.run([*journal.prefix, LITEBASED, *flags], capture_output=True, timeout=10,
                                env={"PATH": os.environ["PATH"], "HOME": str(directory)})
        assert result.returncode == status, result
        entry = journal.wait("startFailed", LITEBASE_EXIT_STATUS=str(status))[0]
        assert word in entry["MESSAGE"] and entry["PRIORITY"] == ERROR


# The catalog


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="journalctl is not installed")
def test_journalctl_takes_the_catalog(directory):
    folder = directory / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (directory / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    command = ["journalctl", f"--root={directory}"]
    result = subprocess.run([*command, "--update-catalog"], capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stderr) == (0, ""), result
    listed = subprocess.run([*command, "--list-catalog"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert sorted(line.split(" ")[0] for line in listed.splitlines()) == sorted(MESSAGE_IDS.values())
    assert all(line.split(" ")[1] == "LiteBase:" for line in listed.splitlines())
