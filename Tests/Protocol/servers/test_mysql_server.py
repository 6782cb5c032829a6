"""MySQL behind the protocol: cancelling, the pool, TLS, servers that come and go."""

import os
import pwd
import random
import subprocess
import time

import pytest

from certificates import Authority
from daemon import LITEBASE, LITEBASED, accepts, free_port, load, short_directory, wait_until
from mariadb import MariaDB, fixtures
from server_process import find_programs
from wire import Client, RequestFailed

SCHEMA = "CREATE TABLE counter(n int) ENGINE=InnoDB; INSERT INTO counter VALUES (0);"


server, my = fixtures(SCHEMA)


@pytest.fixture
def packed(my):
    return my.connect()


def configured(start_daemon, directory, url, limits="", **options):
    config = directory / "my.toml"
    config.write_text(f'[limits]\n{limits}\n[databases.my]\nurl = "{url}"\n')
    return start_daemon("--config", config, **options)


def on(connection, sql, params=None, **options):
    return connection.query(sql, params, database="my", **options)


def fails(connection, sql, params=None, **options):
    return connection.query_fails(sql, params, database="my", **options)


# Cancelling

@pytest.mark.parametrize("parameters", [None, [20]], ids=["text", "prepared"])
def test_cancel_and_timeout(my, packed, server, parameters):
    sleep = "SELECT SLEEP(?)" if parameters else "SELECT SLEEP(20)"
    on(packed, "SELECT 1")
    id = packed.send_query(sleep, parameters, database="my")
    wait_until(server.busy, "it runs")
    started = time.monotonic()
    assert packed.call("cancel", {"request": id}).data["cancelled"] is True
    assert time.monotonic() - started < 0.1
    with pytest.raises(RequestFailed) as failure:
        packed.collect(id)
    assert failure.value.code == "cancelled"
    wait_until(lambda: not server.busy(), "the server has stopped")
    assert fails(packed, sleep, parameters, timeout_ms=50)["code"] == "timeout"
    # While rows wait for the client.
    id = packed.send_query("SELECT seq FROM seq_1_to_100000000", database="my", page_rows=10)
    packed.receive_for(id)
    assert packed.call("cancel", {"request": id}).data["cancelled"] is True
    wait_until(lambda: not server.busy(), "the server has stopped")
    for _ in range(50):
        assert on(packed, "SELECT 1").value == 1


def test_a_procedure_that_may_not_be_stopped_says_why(packed, server):
    for name, security in (("definers", ""), ("invokers", "SQL SECURITY INVOKER")):
        server.sql(f"CREATE PROCEDURE lb.{name}() {security} SET @slept = SLEEP(1.5)")
    running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(1.5)%' AND id <> CONNECTION_ID()"
    for name, word in (("invokers", None), ("definers", "SQL SECURITY DEFINER"), ("invokers", None)):
        id = packed.send_query(f"CALL {name}()", database="my")
        # The server shows it as the definer's.
        wait_until(lambda: server.sql(running) == "1", "it runs")
        packed.call("cancel", {"request": id})
        with pytest.raises(RequestFailed) as failure:
            packed.collect(id)
        assert failure.value.code == "outcome_unknown"
        detail = failure.value.data.get("detail") or ""
        assert word in detail and "KILL QUERY" in detail if word else "KILL" not in detail, detail
        wait_until(lambda: server.sql(running) == "0", "it has ended")


def test_a_late_cancel_hits_nobody_else(packed):
    """The cancel is aimed at the end of its statement; what comes next on the connection must not feel it."""
    session = packed.session(database="my")
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for round in range(300):
        where = {"session": session} if round % 2 else {"database": "my"}
        id = packed.send_query("SELECT SLEEP(0.002)" if round % 3 else "DO 1", **where)
        time.sleep(chance.random() * 0.004)
        packed.call("cancel", {"request": id})
        try:
            packed.collect(id)
        except RequestFailed as failure:
            assert failure.code == "cancelled"
        assert packed.query("SELECT SLEEP(0.0005), 7", **where).rows[0] == [0, 7]
        assert packed.query("SELECT ?", [round], **where).value == round


def test_a_result_is_whole_or_cancelled(packed):
    on(packed, "SELECT 1")
    ends = set()
    for round in range(400):
        parameters = [7] if round % 2 else None
        id = packed.send_query("SELECT ?, 'x'" if parameters else "SELECT 7, 'x'", parameters, database="my")
        time.sleep(round % 20 / 50_000)
        packed.call("cancel", {"request": id})
        try:
            result = packed.collect(id)
            assert result.rows == [[7, "x"]] and len(result.columns) == 2
            ends.add("whole")
        except RequestFailed as failure:
            ends.add(failure.code)
    assert ends <= {"whole", "cancelled"}


def test_a_batch_that_is_cancelled(packed, server):
    """Nothing of it stays: not alone, and not within the transaction of a session."""
    session = packed.session(database="my")
    packed.query("BEGIN", session=session)
    packed.query("UPDATE counter SET n = 1", session=session)
    batch = [{"sql": "UPDATE counter SET n = n + 10"}, {"sql": "SELECT SLEEP(20)"}]
    for where in ({"session": session}, {"session": session}):
        id = packed.send("batch", {"statements": batch, **where})
        wait_until(server.busy, "it runs")
        assert packed.call("cancel", {"request": id}).data["cancelled"] is True
        assert packed.receive_for(id).data["code"] in ("cancelled", "outcome_unknown")
        assert packed.query("SELECT n FROM counter", **where).value == 1
    assert packed.query("ROLLBACK", session=session).transaction == "none"
    id = packed.send("batch", {"statements": batch, "database": "my"})
    wait_until(server.busy, "it runs")
    packed.call("cancel", {"request": id})
    assert packed.receive_for(id).data["code"] == "cancelled"
    wait_until(lambda: not server.busy(), "the server has stopped")
    assert on(packed, "SELECT n FROM counter").value == 0


def test_cancel_when_the_pool_is_full(server, start_daemon, directory):
    client = configured(start_daemon, directory, server.url(), "pool_connections_max = 2").connect()
    ids = [client.send_query("SELECT SLEEP(20)", database="my") for _ in range(4)]
    wait_until(lambda: len(server.busy()) == 2, "two run")
    for id in ids:
        assert client.call("cancel", {"request": id}).data["cancelled"] is True
        with pytest.raises(RequestFailed):
            client.collect(id)
    wait_until(lambda: not server.busy(), "none runs")
    # Two of the pool, and the one that cancels.
    assert len(server.connections()) <= 3


def test_clients_that_leave(my, server):
    """At each step; nothing of theirs runs on, and no connection is lost to the pool."""
    steps = [("SELECT SLEEP(30)", None), ("SELECT seq FROM seq_1_to_100000000", None), ("UPDATE counter SET n = n + SLEEP(30)", None),
             ("SELECT SLEEP(?)", [30]), ("SELECT ?", ["x" * 10_000_000]), ("SELECT REPEAT('x', 10000000), ?", [1])]
    for sql, parameters in steps:
        for _ in range(4):
            with my.connect() as client:
                client.send_query(sql, parameters, database="my")
                time.sleep(0.02)
    for _ in range(4):
        with my.connect() as client:
            session = client.session(database="my")
            client.query("BEGIN", session=session)
            client.query("UPDATE counter SET n = 100", session=session)
    wait_until(lambda: not server.busy(), "all is quiet")
    with my.connect() as client:
        ids = [client.send_query("SELECT SLEEP(0.05)", database="my") for _ in range(10)]
        for id in ids:
            client.collect(id)
        assert on(client, "SELECT n FROM counter").value == 0
    assert len(server.connections()) <= 11


# The pool

def test_the_server_has_no_connection_to_spare(start_daemon, directory):
    small = MariaDB(max_connections="10")
    try:
        client = configured(start_daemon, directory, small.url(), "pool_connections_max = 30\npool_wait_ms_max = 10000").connect()
        ids = [client.send_query("SELECT SLEEP(0.1)", database="my") for _ in range(40)]
        served = 0
        for id in ids:
            try:
                served += client.collect(id).value == 0
            except RequestFailed as failure:
                assert failure.code == "connect_failed" and failure.data["retryable"] is True and "max_connections" in failure.data["hint"]
        assert served >= 10 and on(client, "SELECT 1").value == 1
    finally:
        small.discard()


# The server comes and goes

def test_one_connection_is_ended(packed, server):
    number = on(packed, "SELECT CONNECTION_ID()").value
    server.sql(f"KILL {number}")
    assert on(packed, "SELECT 1").value == 1
    session = packed.session(database="my")
    number = packed.query("SELECT CONNECTION_ID()", session=session).value
    id = packed.send_query("SELECT SLEEP(20)", session=session)
    wait_until(server.busy, "it runs")
    server.sql(f"KILL {number}")
    with pytest.raises(RequestFailed) as failure:
        packed.collect(id)
    assert failure.value.code == "connect_failed"


# TLS

@pytest.fixture(scope="module")
def secure():
    """A server with a certificate of an authority of the tests' own, for 127.0.0.1, and that of a client."""
    directory = short_directory()
    directory.chmod(0o755)
    pki = Authority(directory, "ca")
    pki.sign("localhost", "server", address="127.0.0.1")
    pki.sign("lb-client", "client")
    for path in directory.iterdir():
        path.chmod(0o644)
    port = free_port()
    instance = MariaDB(skip_networking="0", bind_address="127.0.0.1", port=str(port), ssl_ca=directory / "ca.crt",
                       ssl_cert=directory / "server.crt", ssl_key=directory / "server.key")
    instance.sql("CREATE USER x509@'127.0.0.1' REQUIRE X509; GRANT ALL ON lb.* TO x509@'127.0.0.1';"
                 "CREATE USER tls@'127.0.0.1' REQUIRE SSL; GRANT ALL ON lb.* TO tls@'127.0.0.1'")
    instance.port, instance.files = port, directory
    yield instance
    instance.discard()
    subprocess.run(["rm", "-rf", str(directory)], check=False)


CIPHER = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"


def test_tls(secure, start_daemon):
    ca = f"ssl-ca={secure.files}/ca.crt"
    pair = f"ssl-cert={secure.files}/client.crt&ssl-key={secure.files}/client.key"
    hosts = f"127.0.0.1:{secure.port}/lb?"
    text = subprocess.run(["openssl", "x509", "-in", secure.files / "server.crt", "-noout", "-fingerprint", "-sha1"],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=20).stdout
    fingerprint = text.strip().split("=")[1]
    urls = {"pinned": f"tls@{hosts}ssl-fingerprint={fingerprint}", "not_pinned": f"tls@{hosts}ssl-fingerprint={'00:' * 19}00",
            "plain": f"lb@{hosts}ssl-mode=disabled", "preferred": f"lb@{hosts}", "required": f"tls@{hosts}ssl-mode=required",
            "verified": f"tls@{hosts}{ca}", "named": f"tls@{hosts}ssl-mode=VERIFY_IDENTITY&{ca}", "client": f"x509@{hosts}{ca}&{pair}",
            "other_ca": f"tls@{hosts}ssl-ca={secure.files}/client.crt", "no_pair": f"x509@{hosts}{ca}",
            "not_encrypted": f"tls@{hosts}ssl-mode=disabled", "several": f"lb@127.0.0.1:1,{hosts}"}
    client = start_daemon(databases={name: f"mysql://{url}" for name, url in urls.items()}).connect()
    assert client.query(CIPHER, database="plain").value == ""
    assert client.query(CIPHER, database="several").value != ""
    for name in ("preferred", "required", "verified", "named", "pinned", "client"):
        assert client.query(CIPHER, database=name).value != "", name
        rows = client.query("SELECT seq, REPEAT('x', 100) FROM seq_1_to_50000 WHERE seq > ?", [0], database=name).rows
        assert len(rows) == 50_000 and rows[-1][0] == 50_000
    for name in ("other_ca", "no_pair", "not_encrypted", "not_pinned"):
        assert client.query_fails("SELECT 1", database=name)["code"] == "connect_failed", name
    id = client.send_query("SELECT SLEEP(20)", database="client")
    wait_until(lambda: "SLEEP" in secure.sql("SELECT GROUP_CONCAT(info) FROM information_schema.processlist WHERE user = 'x509'"), "it runs")
    assert client.call("cancel", {"request": id}).data["cancelled"] is True
    with pytest.raises(RequestFailed):
        client.collect(id)


def test_a_server_that_has_no_tls(server, start_daemon, secure):
    urls = {"verified": server.url(ssl_ca=f"{secure.files}/ca.crt"), "required": server.url(ssl_mode="required"),
            "preferred": server.url(ssl_mode="preferred")}
    client = start_daemon(databases=urls).connect()
    for name in ("verified", "required"):
        assert client.query_fails("SELECT 1", database=name)["code"] == "connect_failed", name
    assert client.query("SELECT 1", database="preferred").value == 1


# The command line, and a user's own daemon

def test_the_shell(my, server):
    server.sql("CREATE TABLE `odd``name`(a int); CREATE VIEW seen AS SELECT 1 AS x", "lb")
    try:
        script = ".tables\n.schema odd`name\n.schema seen\nSELECT 18446744073709551615 AS big;\n.schema nix\n"
        output = subprocess.run([LITEBASE, "shell", "--socket", my.socket_path, "-d", "my"], input=script, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False).stdout
        for text in ("odd`name", '"type":"table"', "VIEW", "CREATE TABLE `odd``name` (\n  `a` int(11)", "18446744073709551615", "no table nix"):
            assert text in output, output
    finally:
        server.sql("DROP TABLE `odd``name`; DROP VIEW seen", "lb")


def test_a_dump_of_the_servers_own_tool_is_loaded(server, start_daemon):
    """Triggers, procedures and events between DELIMITER lines, and strings that are hard to cut."""
    server.sql("CREATE DATABASE first; CREATE DATABASE second; GRANT ALL ON first.* TO lb@localhost; GRANT ALL ON second.* TO lb@localhost")
    try:
        script = r"""
            CREATE TABLE t(id int PRIMARY KEY, said text, made int);
            CREATE TRIGGER made BEFORE INSERT ON t FOR EACH ROW SET NEW.made = NEW.id * 2;
            CREATE PROCEDURE p(IN a int) BEGIN
                IF a > 1 THEN CASE a WHEN 2 THEN INSERT INTO t(id, said) VALUES (a, 'two;'); ELSE BEGIN END; END CASE; END IF;
                WHILE a < 5 DO SET a = a + 1; END WHILE; END;
            CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN CASE WHEN a > 1 THEN IF(a > 2, 3, 2) ELSE 1 END;
            DELIMITER //
            CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DISABLE DO BEGIN DELETE FROM t WHERE id = -1; END//
            DELIMITER ;
            INSERT INTO t(id, said) VALUES (1, 'it\'s; // `"#'), (3, "-- \"; /*");
            """.encode()
        daemon = start_daemon(databases={name: server.url(name) for name in ("first", "second")})
        load(daemon, "first", script)
        dump = subprocess.run([find_programs("mariadb-dump")["mariadb-dump"], "--no-defaults", f"--socket={server.socket}", "--user=root",
                               "--routines", "--events", "first"], capture_output=True, check=True, timeout=30).stdout
        assert dump.count(b"DELIMITER") > 4
        load(daemon, "second", dump.replace(b"`root`@`localhost`", b"`lb`@`localhost`"))
        for name in ("first", "second"):
            assert server.sql("CALL p(2); SELECT *, f(id) FROM t ORDER BY id", name).splitlines() == [
                "1\tit's; // `\"#\t2\t1", "2\ttwo;\t4\t2", '3\t-- "; /*\t6\t3']
            assert server.sql(f"SELECT event_name FROM information_schema.events WHERE event_schema = '{name}'") == "e"
    finally:
        server.sql("DROP DATABASE first; DROP DATABASE second")


@pytest.mark.parametrize("sql, rows", [
    (r"SELECT 'it\'s; one'", ["it's; one"]),
    ("SELECT 'a'; # it's a comment\nSELECT 'b'", ["a", "b"]),
    ("SELECT 'a' # it's a comment; and no more", ["a"]),
    ("SELECT 'a'; SELECT 'b'", ["a", "b"]),
], ids=["backslash", "comment", "comment at the end", "plain"])
def test_statements_of_one_argument(my, server, sql, rows):
    """What ends a statement is the server's rule, not SQLite's."""
    result = subprocess.run([LITEBASE, "query", "-d", "my", "--format", "csv", "--no-header", sql, "--socket", my.socket_path],
                            capture_output=True, text=True, timeout=20)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:-1] == rows


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_the_option_file_of_a_user(server, directory):
    """Read in a user's own daemon when there is no password in the URL; it cannot turn anything on that is off."""
    nobody = pwd.getpwnam("nobody")
    server.sql("CREATE OR REPLACE USER secret@localhost IDENTIFIED BY 'pw'; GRANT ALL ON lb.* TO secret@localhost")
    (directory / ".my.cnf").write_text("[client]\nuser = secret\npassword = pw\nlocal-infile = 1\nmulti-statements = 1\n")
    for path in (directory, directory / ".my.cnf"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    url = f"mysql:///lb?socket={server.socket}"
    for is_session_of_user in (True, False):
        environment = {"HOME": str(directory), "PATH": os.environ["PATH"]}
        if is_session_of_user:
            environment["XDG_RUNTIME_DIR"] = str(directory)
        path = directory / f"s{is_session_of_user}"
        process = subprocess.Popen([LITEBASED, "--socket", path, "--database", f"my={url}"], env=environment, cwd="/",
                                   user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], stderr=subprocess.DEVNULL)
        try:
            # The file is there a little before it can be connected to.
            wait_until(lambda: accepts(path), "it serves")
            client = Client(str(path))
            if is_session_of_user:
                assert on(client, "SELECT CURRENT_USER()").value == "secret@localhost"
                assert fails(client, "SELECT 1; SELECT 2")["code"] == "syntax_error"
                assert fails(client, "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE counter")["code"] == "database_error"
            else:
                assert fails(client, "SELECT 1")["code"] == "connect_failed"
        finally:
            process.terminate()
            process.wait(20)
