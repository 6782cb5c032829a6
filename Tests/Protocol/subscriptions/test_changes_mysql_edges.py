"""`subscribe` on MariaDB where it is hard: connections that are cut at a commit, definitions in flight, readers of few rights, texts that mean
something else than they seem to, and clients that mean ill. What is not certain is told as a `resync`, and nothing is missed."""

import os
import resource
import select
import socket
import threading
import time

import pytest

import mariadb
from daemon import short_directory, wait_until
from fake_mysql import FakeMySQL, column, packet, row, rows
from fake_server import FakeServer
from identity import connect_as
from native import NativeMariaDB
from subscription import Subscription
from wire import RequestFailed

SCHEMA = """
CREATE TABLE item(id INT PRIMARY KEY AUTO_INCREMENT, n INT);
CREATE TABLE other(id INT PRIMARY KEY AUTO_INCREMENT, n INT);
CREATE TABLE secret(n INT);
CREATE TABLE parts(id INT PRIMARY KEY, n INT) PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (100), PARTITION high VALUES LESS THAN MAXVALUE);
CREATE TABLE outside(id INT PRIMARY KEY, n INT);
CREATE DATABASE hidden;
CREATE TABLE `select`(n INT);
CREATE VIEW seen AS SELECT id, n FROM item;
"""
BETWEEN = """
DELETE FROM item; DELETE FROM other; DELETE FROM parts; INSERT INTO item VALUES (1, 1); INSERT INTO other VALUES (1, 1);
INSERT INTO parts VALUES (1, 1);
DROP TABLE IF EXISTS `Odd Näme``s`;
CREATE TABLE IF NOT EXISTS outside(id INT PRIMARY KEY, n INT); DROP TABLE IF EXISTS renamed, fresh, old; DROP TRIGGER IF EXISTS late
"""
UNKNOWN, MAY = "<unknown_relations>", "<may_have_written>"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")

server, my = mariadb.fixtures(SCHEMA, BETWEEN)


@pytest.fixture
def client(my):
    with my.connect() as client:
        yield client


def ask(client, sql, params=None, **fields):
    return client.query(sql, params, **({"database": "my"} if "session" not in fields else {}), **fields)


def in_session(client, *statements):
    session = client.session(database="my")
    for statement in statements:
        ask(client, statement, session=session)
    return session


# A connection that is cut

class Cutter(FakeServer):
    """Between the daemon and the server; cuts the connection around a statement of the test's choice."""

    def __init__(self, server):
        self.server = server
        self.way = self.text = None
        self.cut, self.release, self.done = threading.Event(), threading.Event(), threading.Event()
        self.path = short_directory() / "cutter"
        super().__init__(self.path)
        self.path.chmod(0o777)

    def expect(self, way, text):
        self.way, self.text = way, b"\x03" + text.encode()

    def talk(self, connection, stream):
        with socket.socket(socket.AF_UNIX) as beyond:
            beyond.connect(str(self.server.socket))
            while True:
                for ready in select.select([connection, beyond], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is connection and self.way and data[4:].startswith(self.text):
                        return self.act(connection, beyond, data)
                    (beyond if ready is connection else connection).sendall(data)

    def act(self, connection, beyond, data):
        way, self.way = self.way, None
        if way == "late":
            # The daemon has lost it; the server gets what was sent later.
            connection.shutdown(socket.SHUT_RDWR)
            self.cut.set()
            assert self.release.wait(30)
        if way != "never":
            beyond.sendall(data)
            # The server's answer: it is durable by then.
            assert beyond.recv(65536)
        self.done.set()

    def url(self):
        return self.server.url().replace(str(self.server.socket), str(self.path))


def send_commit(client, kind):
    """Sends what commits a row to `item`; returns the request, and its text as the server gets it."""
    if kind == "session":
        session = in_session(client, "BEGIN", "INSERT INTO item(n) VALUES (77)")
        return lambda: client.send("query", {"sql": "COMMIT", "session": session}), "COMMIT"
    if kind == "batch":
        return lambda: client.send("batch", {"statements": [{"sql": "INSERT INTO item(n) VALUES (77)"}], "database": "my", "atomic": True}), "COMMIT"
    return lambda: client.send("query", {"sql": "INSERT INTO item(n) VALUES (77)", "database": "my"}), "INSERT"


@pytest.mark.parametrize("kind", ["session", "batch", "autocommit"])
@pytest.mark.parametrize("way", ["never", "before the answer", "late"])
def test_a_connection_that_is_cut_at_the_commit(server, start_daemon, kind, way):
    """Nobody knows what has become of it. Who reads again behind each resync has what is durable at the end."""
    server.sql(BETWEEN, "lb")
    cutter = Cutter(server)
    daemon = start_daemon(databases={"my": cutter.url()})
    with daemon.connect() as client:
        def count():
            return client.query("SELECT COUNT(*) FROM item WHERE n = 77", database="my").value

        subscription = Subscription(daemon.connect(), database="my")
        send, text = send_commit(client, kind)
        assert subscription.hears_nothing()
        cutter.expect(way, text)
        request = send()
        with pytest.raises(RequestFailed) as failure:
            client.answer(request)
        assert failure.value.code == "outcome_unknown"
        if way == "late":
            assert cutter.cut.wait(10) and not cutter.done.is_set()
            event = subscription.event()
            assert event["resync"] and event["reason"] == "may_have_written"
            assert count() == 0
            assert subscription.events(0.5) == [], "told again only when the server has ended it"
            cutter.release.set()
        assert cutter.done.wait(10)
        events = subscription.events(1.5)
        assert events and all(event["resync"] and event["reason"] == "may_have_written" for event in events)
        # The last one came when nothing could change any more.
        assert count() == (0 if way == "never" else 1)
        ask(client, "INSERT INTO other(n) VALUES (1)")
        assert subscription.heard() == {"other"}
    daemon.close_clients()
    cutter.close()


def test_a_connection_that_is_cut_in_a_transaction_has_written_nothing(server, start_daemon):
    cutter = Cutter(server)
    daemon = start_daemon(databases={"my": cutter.url()})
    with daemon.connect() as client:
        subscription = Subscription(daemon.connect(), database="my")
        session = in_session(client, "BEGIN", "INSERT INTO item(n) VALUES (77)")
        cutter.expect("before the answer", "UPDATE")
        with pytest.raises(RequestFailed):
            ask(client, "UPDATE item SET n = 78", session=session)
        assert subscription.hears_nothing(0.5)
    daemon.close_clients()
    cutter.close()


# Definitions in flight

def test_a_definition_that_takes_effect_after_it_was_counted(my, client, server):
    """The server counts it when it begins. What was told without it is told as a gap when it is found."""
    holder = NativeMariaDB(server.socket, "root", "lb")
    holder.run("BEGIN")
    holder.run("SELECT * FROM other")
    maker = NativeMariaDB(server.socket, "root", "lb")
    made = threading.Thread(target=lambda: maker.run("CREATE TRIGGER late AFTER INSERT ON other FOR EACH ROW INSERT INTO secret VALUES (1)"))
    made.start()
    wait_until(lambda: any("metadata lock" in state for [state] in server.beside.rows(
        "SELECT state FROM information_schema.processlist WHERE info LIKE 'CREATE TRIGGER late%'")), "it waits")
    # The facts are read now, and do not have it.
    subscription = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO item(n) VALUES (1)")
    assert subscription.heard() == {"item"}
    holder.run("COMMIT")
    made.join()
    ask(client, "INSERT INTO other(n) VALUES (1)")
    # Another definition is counted before the daemon looks again: that must not hide it.
    server.sql("ALTER TABLE parts COMMENT = 'x'", "lb")
    ask(client, "SELECT 1")
    assert UNKNOWN in subscription.heard(4), "the row in secret was told"
    server.sql("DROP TRIGGER late", "lb")
    holder.close()
    maker.close()


def test_a_table_that_is_made_while_facts_are_read(my, client, server):
    """A name that is not known is that of a temporary table only as long as no such table is found."""
    subscription = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO item(n) VALUES (1)")
    assert subscription.heard() == {"item"}
    server.sql("CREATE TABLE fresh(n INT)", "lb")
    ask(client, "INSERT INTO fresh VALUES (1)")
    assert UNKNOWN in subscription.heard(3)


def test_definitions_all_the_time(my, client, server):
    """Somebody changes definitions without an end; each commit is told all the same."""
    subscription = Subscription(my.connect(), database="my")
    stop = threading.Event()

    def define():
        with_own = NativeMariaDB(server.socket, "root", "lb")
        while not stop.is_set():
            with_own.run("CREATE OR REPLACE VIEW hidden.v AS SELECT 1 AS a")
        with_own.close()

    maker = threading.Thread(target=define)
    maker.start()
    try:
        for _ in range(20):
            ask(client, "INSERT INTO item(n) VALUES (1)")
            heard = subscription.heard(0.1)
            assert heard & {"item", UNKNOWN}
    finally:
        stop.set()
        maker.join()


# Readers

def two_logins(start_daemon, server, directory, reader_url, limits=""):
    directory.chmod(0o755)
    config = directory / "two.toml"
    config.write_text(f'{limits}\n[databases.my]\nurl = "{server.url()}"\nread_only_url = "{reader_url}"\nusers = ["60001"]\nread_only_users = ["60002"]\n')
    daemon = start_daemon("--config", config, "--socket-mode=666", directory=directory)

    def connect(uid):
        client = connect_as(daemon.socket_path, uid)
        daemon.clients.append(client)
        return client

    return daemon, connect


@needs_root
def test_readers_hear_of_what_they_may_read(server, start_daemon):
    server.sql(BETWEEN, "lb")
    server.sql("CREATE OR REPLACE USER few@localhost; GRANT SELECT ON lb.item TO few@localhost", "lb")
    daemon, connect = two_logins(start_daemon, server, short_directory(), server.url(user="few"))
    writer = connect(60001)
    own = Subscription(connect(60001), database="my")
    few = Subscription(connect(60002), database="my")
    guess = Subscription(connect(60002), database="my", relations=["secret"])
    ask(writer, "INSERT INTO secret VALUES (1)")
    assert own.heard() == {"secret"}
    # No names; and whoever asks for one is told of everything.
    assert few.heard() == guess.heard() == {UNKNOWN}
    ask(writer, "INSERT INTO item(n) VALUES (1)")
    assert own.heard() == {"item"}
    assert few.heard() == guess.heard() == {UNKNOWN}
    # The rights are looked at again when some were given or taken.
    server.sql("GRANT SELECT ON lb.* TO few@localhost")
    ask(writer, "INSERT INTO item(n) VALUES (1)")
    few.heard(0.5), own.heard()
    ask(writer, "INSERT INTO secret VALUES (1)")
    assert few.heard(0.5) == {"secret"}
    server.sql("REVOKE SELECT ON lb.* FROM few@localhost")
    ask(writer, "INSERT INTO secret VALUES (1)")
    assert few.heard(0.5) == {UNKNOWN}
    ask(writer, "INSERT INTO secret VALUES (1)")
    assert few.heard(0.5) == {UNKNOWN}
    server.sql("DROP USER few@localhost")
    daemon.close_clients()


@needs_root
def test_readers_of_all_hear_names(server, start_daemon):
    daemon, connect = two_logins(start_daemon, server, short_directory(), server.url(user="reader"))
    writer = connect(60001)
    reader = Subscription(connect(60002), database="my")
    assert reader.first["covers"] == "daemon_writers"
    ask(writer, "INSERT INTO item(n) VALUES (1)")
    assert reader.heard() == {"item"}
    # The position goes on in another subscription.
    position = reader.position
    ask(writer, "INSERT INTO other(n) VALUES (1)")
    again = Subscription(connect(60002), database="my", **{"from": position})
    assert "resync" not in again.first and again.heard() == {"other"}
    daemon.close_clients()


@needs_root
def test_readers_who_are_not_let_in_hear_no_names(server, start_daemon):
    daemon, connect = two_logins(start_daemon, server, short_directory(), server.url(user="missing"))
    writer = connect(60001)
    reader = Subscription(connect(60002), database="my")
    ask(writer, "INSERT INTO item(n) VALUES (1)")
    assert reader.heard() == {UNKNOWN}
    daemon.close_clients()


@needs_root
def test_readers_of_another_server_are_refused(server, start_daemon):
    daemon, connect = two_logins(start_daemon, server, short_directory(), "mysql://reader@127.0.0.1:1/lb")
    error = connect(60002).fails("subscribe", {"database": "my"})
    assert (error["code"], error["sqlstate"]) == ("bad_request", "0A000")
    daemon.close_clients()


def test_several_servers_are_refused_unless_one_takes_all_writes(start_daemon):
    daemon = start_daemon(databases={"any": "mysql://lb@127.0.0.1:1,127.0.0.1:2/lb",
                                     "one": "mysql://lb@127.0.0.1:1,127.0.0.1:2/lb?target_session_attrs=read-write"})
    with daemon.connect() as client:
        error = client.fails("subscribe", {"database": "any"})
        assert error["code"] == "bad_request" and "target_session_attrs" in error["hint"]
        assert client.fails("subscribe", {"database": "one"})["code"] == "connect_failed"
    daemon.close_clients()


# Texts

TEXTS = {
    "upsert": (["INSERT INTO item VALUES (1, 2) ON DUPLICATE KEY UPDATE n = n + 1"], {"item"}),
    "returning": (["INSERT INTO item(n) VALUES (5) RETURNING id"], {"item"}),
    "ignored": (["INSERT IGNORE INTO item VALUES (1, 1)"], {"item"}),
    "from a view": (["INSERT INTO other(n) SELECT n FROM seen"], {"other"}),
    "two deletes": (["DELETE item, other FROM item JOIN other USING (id)"], {"item", "other"}),
    "another case": (["insert Into lb.item(n) Values (1)", "UPDATE `lb` . item AS `SET` SET n = 1"], {"item"}),
    "reserved": (["INSERT INTO `select` VALUES (1)"], {"select"}),
    "blanks and comments": (["insert\t/**/into--\n`lb`/* . */./* item */`item`#\n(n)values(1)"], {"item"}),
    "a comment that is run": (["/*!INSERT INTO item(n) VALUES (1) */"], {UNKNOWN}),
    "a comment that is not run": (["UPDATE item /*!999999 SET n = 1, */ , other SET other.n = 5"], {UNKNOWN}),
    "a comment for MariaDB": (["DELETE FROM item /*M!100000 WHERE id = 1 */"], {UNKNOWN}),
    "a partition": (["INSERT INTO parts PARTITION (low) VALUES (2, 2)"], {"parts"}),
    "an update of a partition": (["UPDATE parts PARTITION (low) SET n = 3"], {"parts"}),
    "truncate of a partition": (["ALTER TABLE parts TRUNCATE PARTITION low"], {"parts", "<schema>"}),
    "exchange of a partition": (["ALTER TABLE parts EXCHANGE PARTITION low WITH TABLE outside"], {UNKNOWN, "<schema>"}),
    "truncate": (["TRUNCATE other"], {"other"}),
    "rename": (["RENAME TABLE outside TO renamed"], {UNKNOWN, "<schema>"}),
    "rename by alter": (["ALTER TABLE outside RENAME renamed"], {UNKNOWN, "<schema>"}),
    "drop": (["DROP TABLE outside"], {"outside", "<schema>"}),
    # What it may have called is judged by definitions that are not the server's any more.
    "made of a select": (["CREATE TABLE fresh AS SELECT * FROM item"], {UNKNOWN, "fresh", "<schema>"}),
    "a temporary table that shadows": (["CREATE TEMPORARY TABLE item(n INT)", "INSERT INTO item VALUES (1)"], {"item"}),
    "a temporary table": (["CREATE TEMPORARY TABLE mine(n INT)", "INSERT INTO mine VALUES (1)", "DELETE FROM mine"], set()),
    "a block of Oracle's": (["SET sql_mode = ORACLE", "BEGIN <<a>> UPDATE item SET n = n + 1; END;"], {UNKNOWN}),
    "a block": (["BEGIN NOT ATOMIC UPDATE item SET n = n + 1; END"], {UNKNOWN}),
    "a branch": (["IF 1 THEN UPDATE item SET n = n + 1; END IF"], {UNKNOWN}),
    "immediately": (["EXECUTE IMMEDIATE 'UPDATE item SET n = n + 1'"], {UNKNOWN}),
    "for a setting": (["SET STATEMENT max_statement_time = 9 FOR UPDATE item SET n = n + 1"], {UNKNOWN}),
    "commits by completion": (["SET completion_type = 1", "BEGIN", "INSERT INTO item(n) VALUES (1)", "COMMIT"], {"item"}),
    "two savepoints": (["BEGIN", "INSERT INTO item(n) VALUES (1)", "SAVEPOINT a", "INSERT INTO other(n) VALUES (1)", "RELEASE SAVEPOINT a", "COMMIT"],
                       {"item", "other"}),
    "an ordinary character set": (["SET NAMES utf8mb4", "SET NAMES 'utf8mb4' COLLATE utf8mb4_bin", "INSERT INTO item(n) VALUES (1)"], {"item"}),
    "another character set": (["SET NAMES gbk", "INSERT INTO item(n) VALUES (1)"], {UNKNOWN}),
    "another database, silently": (["SET session_track_schema = OFF", "EXECUTE IMMEDIATE 'USE information_schema'"], {UNKNOWN}),
    "nothing": (["UPDATE item SET n = 1 WHERE id = 4711"], {"item"}),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_text_means(my, client, name):
    statements, expected = TEXTS[name]
    subscription = Subscription(my.connect(), database="my")
    session = in_session(client, *statements)
    heard = subscription.heard(0.5) if expected else subscription.rest()
    # Names may stand beside what is not certain.
    assert heard == expected or (UNKNOWN in expected and expected <= heard), heard
    client.call("db_disconnect", {"session": session})


def test_a_name_that_is_written_in_many_ways(my, client, server):
    """Letters outside of ASCII have capitals by rules of the server's: what names several tables is not certain then."""
    server.sql("CREATE TABLE `Odd Näme``s`(n INT)", "lb")
    subscription = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO `Odd Näme``s` VALUES (1)")
    assert subscription.heard() == {"Odd Näme`s"}
    ask(client, "UPDATE item JOIN other USING (id) SET item.n = 3")
    assert subscription.heard() == {UNKNOWN}


def test_rows_of_a_prepared_statement(my, client):
    subscription = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO item(n) VALUES (?) RETURNING id", [5])
    assert subscription.heard() == {"item"}
    session = in_session(client, "BEGIN")
    ask(client, "INSERT INTO item(n) VALUES (?) RETURNING id", [5], session=session)
    assert subscription.hears_nothing()
    ask(client, "COMMIT", session=session)
    assert subscription.heard() == {"item"}
    session = in_session(client, "SET autocommit = 0")
    ask(client, "INSERT INTO other(n) VALUES (?) RETURNING id", [5], session=session)
    assert subscription.hears_nothing()
    ask(client, "COMMIT", session=session)
    assert subscription.heard() == {"other"}


def test_a_temporary_table_that_leads_to_rows_of_others(my, client, server):
    server.sql("CREATE TABLE old(n INT) ENGINE = MyISAM", "lb")
    subscription = Subscription(my.connect(), database="my")
    session = in_session(client, "CREATE TEMPORARY TABLE merged(n INT) ENGINE = MERGE UNION = (old) INSERT_METHOD = LAST")
    assert subscription.hears_nothing()
    ask(client, "INSERT INTO merged VALUES (1)", session=session)
    assert ask(client, "SELECT COUNT(*) FROM old").value == 1
    assert subscription.heard() == {UNKNOWN}


def test_what_a_session_did_before_anybody_listened(my, client):
    session = in_session(client, "SET session_track_schema = OFF", "EXECUTE IMMEDIATE 'USE information_schema'")
    plain = in_session(client, "BEGIN", "COMMIT", "SET @a = 1")
    subscription = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO lb.item(n) VALUES (1)", session=session)
    assert subscription.heard() == {UNKNOWN}
    ask(client, "INSERT INTO item(n) VALUES (1)", session=plain)
    assert subscription.heard() == {"item"}


def test_a_cascade_through_a_table_that_is_not_seen(my, client, server):
    server.sql("CREATE TABLE parent(id INT PRIMARY KEY); INSERT INTO parent VALUES (1);"
               "CREATE TABLE hidden.child(id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES lb.parent(id) ON DELETE CASCADE); INSERT INTO hidden.child VALUES (1);"
               "CREATE TABLE grandchild(id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES hidden.child(id) ON DELETE CASCADE); INSERT INTO grandchild VALUES (1)", "lb")
    try:
        subscription = Subscription(my.connect(), database="my")
        ask(client, "DELETE FROM parent")
        assert ask(client, "SELECT COUNT(*) FROM grandchild").value == 0
        assert subscription.heard() == {"parent", "grandchild"}
    finally:
        server.sql("DROP TABLE grandchild; DROP TABLE hidden.child; DROP TABLE parent", "lb")


def test_a_file_of_the_server(my, client, server):
    path = server.directory / "rows.txt"
    path.write_text("9\n")
    path.chmod(0o644)
    server.sql("GRANT FILE ON *.* TO lb@localhost")
    try:
        subscription = Subscription(my.connect(), database="my")
        ask(client, f"LOAD DATA INFILE '{path}' INTO TABLE other (n)")
        assert "other" in subscription.heard(0.5)
    finally:
        server.sql("REVOKE FILE ON *.* FROM lb@localhost")


# Stops

@pytest.mark.parametrize("how", ["timeout", "cancel", "kill"])
@pytest.mark.parametrize("where", ["autocommit", "session"])
def test_a_write_that_is_stopped(my, client, server, how, where):
    """Stopped before its end it has written nothing; if that is not certain, there is a resync, and never silence about a row."""
    subscription = Subscription(my.connect(), database="my")
    fields = {"session": in_session(client, "BEGIN", "INSERT INTO other(n) VALUES (1)")} if where == "session" else {"database": "my"}
    before = ask(client, "SELECT SUM(n) FROM item").value
    request = client.send("query", {"sql": "UPDATE item SET n = n + 1 + SLEEP(20)", **fields, **({"timeout_ms": 300} if how == "timeout" else {})})
    wait_until(lambda: any("SLEEP" in text for text in server.busy()), "it runs")
    if how == "cancel":
        client.call("cancel", {"request": request})
    elif how == "kill":
        [[number]] = server.beside.rows("SELECT id FROM information_schema.processlist WHERE info LIKE 'UPDATE item%'")
        server.beside.rows(f"KILL QUERY {number}")
    with pytest.raises(RequestFailed):
        client.answer(request)
    wait_until(lambda: not any("SLEEP" in text for text in server.busy()), "it was stopped")
    heard = subscription.rest(1)
    written = ask(client, "SELECT SUM(n) FROM item").value != before
    assert not written and heard <= {MAY} or written and heard, heard
    if where == "session":
        # What was before in the transaction is there, or is not; either is told.
        try:
            ask(client, "COMMIT", session=fields["session"])
        except RequestFailed:
            pass
        count = ask(client, "SELECT COUNT(*) FROM other").value
        heard |= subscription.rest(0.5)
        assert count == 1 or "other" in heard or MAY in heard


def test_a_transaction_that_waits_too_long(my, client, server):
    """The server rolls back the statement, or the transaction with it (innodb_rollback_on_timeout)."""
    subscription = Subscription(my.connect(), database="my")
    holder = NativeMariaDB(server.socket, "root", "lb")
    holder.run("BEGIN")
    holder.run("UPDATE item SET n = 9 WHERE id = 1")
    session = in_session(client, "SET innodb_lock_wait_timeout = 1", "BEGIN", "INSERT INTO other(n) VALUES (4)")
    with pytest.raises(RequestFailed):
        ask(client, "UPDATE item SET n = 10 WHERE id = 1", session=session)
    holder.run("ROLLBACK")
    holder.close()
    assert subscription.hears_nothing()
    ask(client, "COMMIT", session=session)
    assert subscription.heard() == {"other"}


def test_a_deadlock(my, client, server):
    subscription = Subscription(my.connect(), database="my")
    holder = NativeMariaDB(server.socket, "root", "lb")
    # The heavier one stays.
    holder.run("BEGIN")
    holder.run("INSERT INTO secret SELECT seq FROM seq_1_to_1000")
    holder.run("UPDATE item SET n = 9 WHERE id = 1")
    session = in_session(client, "BEGIN", "UPDATE other SET n = 4 WHERE id = 1")
    waiting = threading.Thread(target=lambda: holder.run("UPDATE other SET n = 9 WHERE id = 1"))
    waiting.start()
    wait_until(lambda: any("UPDATE other SET n = 9" in text for [text] in server.beside.rows("SELECT info FROM information_schema.processlist")), "it waits")
    with pytest.raises(RequestFailed):
        ask(client, "UPDATE item SET n = 4 WHERE id = 1", session=session)
    waiting.join()
    holder.run("ROLLBACK")
    holder.close()
    ask(client, "INSERT INTO item(n) VALUES (8)", session=session)
    assert subscription.heard() == {"item"}


# Ill will

def test_many_listeners_take_one_connection_of_the_server(my, client, server):
    before = len(server.connections())
    listeners = [Subscription(my.connect(), database="my") for _ in range(150)]
    assert len(server.connections()) <= before + 2
    threads = len(os.listdir(f"/proc/{my.pid}/task"))
    ask(client, "INSERT INTO item(n) VALUES (1)")
    for listener in listeners:
        assert listener.event()["relations"] == ["item"]
    assert len(os.listdir(f"/proc/{my.pid}/task")) <= threads + 2
    for listener in listeners:
        listener.client.close()


def resident(daemon):
    with open(f"/proc/{daemon.pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def test_a_listener_that_does_not_read(my, client, server):
    """Nothing is queued for it, whatever is written to however many tables with long names."""
    names = [f"{'x' * 58}{number:05}" for number in range(400)]
    server.sql("".join(f"CREATE TABLE {name}(n INT);" for name in names), "lb")
    try:
        slow = Subscription(my.connect(), database="my")
        ask(client, f"INSERT INTO {names[0]} VALUES (1)")
        before = resident(my)
        for turn in range(4):
            client.batch([{"sql": f"INSERT INTO {name} VALUES ({turn})"} for name in names], database="my", atomic=turn % 2 == 0)
        assert resident(my) - before < 24 << 20
        heard = slow.heard(1)
        assert names[-1] in heard or "<too_many>" in heard or UNKNOWN in heard
    finally:
        server.sql(f"DROP TABLE {', '.join(names)}", "lb")


def test_a_writer_of_long_texts_and_names(my, client):
    """Names that are none are refused by the server; whatever is told of them is short."""
    subscription = Subscription(my.connect(), database="my")
    for text in ("DROP TABLE IF EXISTS " + ", ".join(f"`{'y' * 60}{n}`" for n in range(300)), "CREATE TABLE `" + "z" * 30_000 + "`(n INT)",
                 "INSERT INTO item(n) VALUES " + "(1), " * 100_000 + "(1)", "DELETE FROM " + "(" * 20_000, "UPDATE " + "`a`," * 5_000 + " item SET n = 1"):
        try:
            ask(client, text)
        except RequestFailed:
            pass
        for event in subscription.events(0.5):
            assert sum(map(len, event.get("relations", []))) <= 64 << 10
    ask(client, "INSERT INTO other(n) VALUES (1)")
    subscription.heard_before("other")


@pytest.mark.parametrize("what", ["SHOW GLOBAL STATUS", "SCHEMATA", "TABLES"])
def test_a_server_whose_definitions_never_end(directory, start_daemon, what):
    """They are not known then: whoever listens is told that something has changed, and the daemon keeps no more than its bound."""
    def answer(body, connection):
        if b"max_allowed_packet" in body:
            return row(b"16777216", b"u@localhost", b"")
        if what.encode() in body:
            connection.sendall(packet(1, b"\1") + packet(2, column(b"a")) + packet(3, b"\xfe\0\0\2\0"))
            number = 3
            while True:
                number += 1
                connection.sendall(packet(number % 256, b"\xfd\xf0\0\0" + b"x" * 240))
        if b"INSERT" in body or body[:1] == b"\x11" or body[1:].startswith(b"SET ROLE"):
            return packet(1, b"\0\0\0\2\0\0\0")
        return rows()

    fake = FakeMySQL(directory / "ill", answer)
    daemon = start_daemon(databases={"my": f"mysql://u@/d?socket={directory}/ill"})
    with daemon.connect() as client:
        before = resident(daemon)
        subscription = Subscription(daemon.connect(), database="my")
        ask(client, "INSERT INTO item(n) VALUES (1)")
        assert subscription.heard(2) == {UNKNOWN}
        assert resident(daemon) - before < 160 << 20
    daemon.close_clients()
    fake.close()


def test_subscriptions_that_come_and_go(my, client, server):
    """Each end leaves the watch as it is, for 10 s; none leaves a thread or a connection of its own."""
    for _ in range(60):
        listener = Subscription(my.connect(), database="my")
        listener.cancel()
        listener.client.close()
    assert len([text for text in server.connections()]) <= 4
    listener = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO item(n) VALUES (1)")
    assert listener.heard() == {"item"}


def test_latency(my, client):
    """From the writer's reply to the event: not measured here, but it does not wait for anything that takes seconds."""
    subscription = Subscription(my.connect(), database="my")
    taken = []
    for _ in range(50):
        ask(client, "INSERT INTO item(n) VALUES (1)")
        started = time.monotonic()
        assert subscription.event()["relations"] == ["item"]
        taken.append(time.monotonic() - started)
    assert sorted(taken)[25] < 0.1
