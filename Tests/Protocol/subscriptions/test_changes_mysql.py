"""`subscribe` on a database of MariaDB: what the daemon's clients commit is told, and nothing that was rolled back.

What is certain by a statement's text and the server's definitions is told by names, everything else as a `resync`.
"""

import contextlib
import os
import random
import subprocess
import threading
import time

import pytest

import mariadb
from daemon import LITEBASE, wait_until
from native import NativeError
from subscription import Subscription
from transfers import hello, transfer
from wire import ConnectionEnded, RequestFailed

SCHEMA = """
CREATE TABLE item(id INT PRIMARY KEY AUTO_INCREMENT, n INT);
CREATE TABLE other(id INT PRIMARY KEY AUTO_INCREMENT, n INT);
CREATE TABLE parent(id INT PRIMARY KEY);
CREATE TABLE child(id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent(id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE held(id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES item(id));
CREATE TABLE traced(id INT PRIMARY KEY AUTO_INCREMENT, n INT);
CREATE TABLE trace(n INT);
CREATE TABLE last(x INT);
CREATE TRIGGER t AFTER INSERT ON traced FOR EACH ROW INSERT INTO trace VALUES (NEW.id);
CREATE TABLE old(n INT) ENGINE = MyISAM;
CREATE TABLE `odd ``name`(n INT);
CREATE VIEW seen AS SELECT id, n FROM item;
DELIMITER //
CREATE FUNCTION writes() RETURNS INT BEGIN INSERT INTO trace VALUES (7); RETURN 1; END//
CREATE PROCEDURE both_tables() BEGIN INSERT INTO item(n) VALUES (1); COMMIT; INSERT INTO other(n) VALUES (1); END//
DELIMITER ;
CREATE VIEW calling AS SELECT id, writes() AS w FROM item;
"""
BETWEEN = """
DELETE FROM child; DELETE FROM parent; DELETE FROM held; DELETE FROM item; DELETE FROM other; DELETE FROM trace; DELETE FROM old;
INSERT INTO item VALUES (1, 1); INSERT INTO other VALUES (1, 1); INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1);
DROP TABLE IF EXISTS fresh; CREATE DATABASE IF NOT EXISTS beside; CREATE TABLE IF NOT EXISTS beside.item(n INT);
GRANT ALL ON beside.* TO lb@localhost
"""
UNKNOWN = "<unknown_relations>"

server, my = mariadb.fixtures(SCHEMA, BETWEEN)


@pytest.fixture
def listen(my):
    return lambda **fields: Subscription(my.connect(), database="my", **fields)


@pytest.fixture
def client(my):
    with my.connect() as client:
        yield client


def ask(client, sql, params=None, **fields):
    return client.query(sql, params, **({"database": "my"} if "session" not in fields else {}), **fields)


STATEMENTS = {
    "insert": ("INSERT INTO item(n) VALUES (2)", {"item"}),
    "insert from": ("INSERT INTO item(n) SELECT n FROM other", {"item"}),
    "upsert": ("INSERT INTO item VALUES (1, 2) ON DUPLICATE KEY UPDATE n = 3", {"item"}),
    "qualified": ("INSERT INTO lb.item(n) VALUES (2)", {"item"}),
    "quoted": ("INSERT INTO `odd ``name` VALUES (2)", {"odd `name"}),
    "commented": ("/* x */ insert -- y\n into # z\n item(n) values (2)", {"item"}),
    "replace": ("REPLACE INTO item VALUES (1, 9)", {"item"}),
    "update": ("UPDATE item AS i SET i.n = 9 WHERE id = 1", {"item"}),
    "delete": ("DELETE FROM other WHERE id = 1", {"other"}),
    "update of several": ("UPDATE item JOIN other USING (id) SET item.n = 5, other.n = 6", {"item", "other"}),
    "delete from several": ("DELETE other FROM item JOIN other USING (id)", {"item", "other"}),
    "truncate": ("TRUNCATE TABLE other", {"other"}),
    "cascade": ("DELETE FROM parent", {"parent", "child"}),
    "no action": ("INSERT INTO held VALUES (1, 1)", {"held"}),
    "trigger": ("INSERT INTO traced(n) VALUES (1)", {UNKNOWN}),
    "view": ("UPDATE seen SET n = 4", {UNKNOWN}),
    "reading a view": ("SELECT * FROM seen", set()),
    "reading a view that writes": ("SELECT * FROM calling", {UNKNOWN}),
    "function": ("SELECT writes()", {UNKNOWN}),
    "function in a write": ("UPDATE other SET n = writes()", {"other", UNKNOWN}),
    "procedure": ("CALL both_tables()", {UNKNOWN}),
    "compound": ("BEGIN NOT ATOMIC INSERT INTO item(n) VALUES (3); END", {UNKNOWN}),
    "executable comment": ("INSERT /*!50000 INTO */ item(n) VALUES (2)", {UNKNOWN}),
    "another database": ("INSERT INTO beside.item VALUES (1)", set()),
    "no transactions": ("INSERT INTO old VALUES (1)", {"old"}),
    "create": ("CREATE TABLE fresh(a INT)", {"fresh", "<schema>"}),
    "alter": ("ALTER TABLE other COMMENT = 'x'", {"other", "<schema>"}),
    "index": ("CREATE INDEX IF NOT EXISTS i ON other(n)", {"<schema>"}),
    "read": ("SELECT * FROM item", set()),
    "nothing": ("SHOW TABLES", set()),
}


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("way", ["autocommit", "session", "batch", "atomic"])
def test_every_kind_of_change_is_told(listen, client, name, way):
    sql, expected = STATEMENTS[name]
    if way in ("session", "atomic") and (name in ("procedure", "compound", "truncate") or "<schema>" in expected):
        pytest.skip("it commits by itself")
    subscription = listen()
    assert subscription.first["covers"] == "daemon_writers"
    if way == "autocommit":
        ask(client, sql)
    elif way == "session":
        session = client.session(database="my")
        ask(client, "BEGIN", session=session)
        ask(client, sql, session=session)
        if name not in ("procedure", "no transactions"):
            early = subscription.rest()
            # What is not known may have happened in a table without transactions, of which there is one.
            assert early <= {UNKNOWN} if UNKNOWN in expected else early == set(), "told before the commit"
        ask(client, "COMMIT", session=session)
    else:
        client.batch([{"sql": sql}], database="my", atomic=way == "atomic")
    if UNKNOWN in expected or "<schema>" in expected:
        heard = subscription.heard(0.5)
    else:
        ask(client, "INSERT INTO last VALUES (1)")
        heard = subscription.heard_before("last")
    # Names that are known may stand beside what is not.
    assert heard == expected or (UNKNOWN in expected and UNKNOWN in heard), heard


def test_rows_with_parameters(listen, client):
    subscription = listen()
    ask(client, "INSERT INTO item(n) VALUES (?)", [5])
    assert subscription.heard() == {"item"}
    client.batch([{"sql": "INSERT INTO other(n) VALUES (?)", "param_rows": [[n] for n in range(20)]}], database="my", atomic=True)
    assert subscription.heard() == {"other"}
    client.batch([{"sql": "UPDATE item SET n = ?", "param_rows": [[n] for n in range(20)]}], database="my", atomic=False)
    assert subscription.heard() == {"item"}


def test_a_long_text_is_looked_at_by_a_worker(listen, client):
    subscription = listen()
    ask(client, "INSERT INTO other(n) VALUES " + ", ".join(["(1)"] * 20_000))
    heard = subscription.heard(0.5)
    # A function may be called in it.
    assert heard == {"other"}, heard
    ask(client, "INSERT INTO other(n) VALUES (?)" + ", (1)" * 20_000, [1])
    assert subscription.heard(0.5) == {"other"}
    ask(client, "INSERT INTO other(n) VALUES (writes())" + ", (1)" * 20_000)
    assert UNKNOWN in subscription.heard(0.5)


@pytest.mark.parametrize("end", ["ROLLBACK", "close", "disconnect"])
def test_what_was_rolled_back_is_not_told(listen, my, end):
    subscription = listen()
    with my.connect() as client:
        session = client.session(database="my")
        ask(client, "BEGIN", session=session)
        ask(client, "INSERT INTO item(n) VALUES (1)", session=session)
        if end == "ROLLBACK":
            ask(client, "ROLLBACK", session=session)
            ask(client, "INSERT INTO other(n) VALUES (1)", session=session)
        elif end == "close":
            client.call("db_disconnect", {"session": session})
    assert subscription.heard() == {"other"} if end == "ROLLBACK" else subscription.hears_nothing()


def test_what_failed_is_not_told(listen, client):
    subscription = listen()
    client.query_fails("INSERT INTO item VALUES (1, 1)", database="my")
    client.fails("batch", {"statements": [{"sql": "INSERT INTO other(n) VALUES (1)"}, {"sql": "INSERT INTO item VALUES (1, 1)"}],
                           "database": "my", "atomic": True})
    assert subscription.hears_nothing()
    client.fails("batch", {"statements": [{"sql": "INSERT INTO other(n) VALUES (1)"}, {"sql": "INSERT INTO item VALUES (1, 1)"}],
                           "database": "my", "atomic": False})
    assert subscription.heard() == {"other"}


def test_tables_without_transactions_stay_changed(listen, client):
    subscription = listen()
    session = client.session(database="my")
    ask(client, "BEGIN", session=session)
    ask(client, "INSERT INTO old VALUES (1)", session=session)
    ask(client, "INSERT INTO item(n) VALUES (1)", session=session)
    assert subscription.heard() == {"old"}
    ask(client, "ROLLBACK", session=session)
    assert subscription.hears_nothing()


def test_what_commits_without_saying_so(listen, client):
    subscription = listen()
    session = client.session(database="my")
    for end in ["BEGIN", "SET autocommit = 1", "LOCK TABLES item READ", "COMMIT AND CHAIN", "CREATE TABLE fresh(a INT)"]:
        ask(client, "SET autocommit = 0" if end.startswith("SET") else "BEGIN", session=session)
        ask(client, "UPDATE other SET n = n + 1", session=session)
        assert subscription.hears_nothing(), end
        ask(client, end, session=session)
        assert "other" in subscription.heard(), end
        ask(client, "ROLLBACK", session=session)
        ask(client, "UNLOCK TABLES", session=session)
        ask(client, "SET autocommit = 1", session=session)
        subscription.rest()


def test_savepoints(listen, client):
    subscription = listen()
    session = client.session(database="my")
    for statement in ["BEGIN", "INSERT INTO item(n) VALUES (1)", "SAVEPOINT a", "INSERT INTO other(n) VALUES (1)", "ROLLBACK TO a"]:
        ask(client, statement, session=session)
    assert subscription.hears_nothing()
    ask(client, "COMMIT", session=session)
    assert "item" in subscription.heard()


def test_another_database_in_a_session(listen, client):
    subscription = listen()
    session = client.session(database="my")
    ask(client, "USE beside", session=session)
    ask(client, "INSERT INTO item VALUES (1)", session=session)
    assert subscription.hears_nothing()
    ask(client, "INSERT INTO lb.item(n) VALUES (1)", session=session)
    assert subscription.heard() == {"item"}
    ask(client, "USE lb", session=session)
    ask(client, "INSERT INTO other(n) VALUES (1)", session=session)
    assert subscription.heard() == {"other"}


def test_a_server_that_does_not_say_which_database_is_used(listen, client):
    subscription = listen()
    session = client.session(database="my")
    ask(client, "SET session_track_schema = OFF", session=session)
    ask(client, "USE beside", session=session)
    ask(client, "INSERT INTO item VALUES (1)", session=session)
    assert subscription.heard() == {UNKNOWN}


def test_temporary_tables(listen, client):
    subscription = listen()
    session = client.session(database="my")
    ask(client, "CREATE TEMPORARY TABLE mine(n INT)", session=session)
    ask(client, "INSERT INTO mine VALUES (1)", session=session)
    ask(client, "DROP TEMPORARY TABLE mine", session=session)
    assert subscription.hears_nothing()


def test_prepared_statements_and_two_phases(listen, client):
    subscription = listen()
    session = client.session(database="my")
    ask(client, "PREPARE p FROM 'INSERT INTO item(n) VALUES (1)'", session=session)
    assert subscription.hears_nothing()
    ask(client, "EXECUTE p", session=session)
    assert subscription.heard() == {UNKNOWN}
    # Behind it, texts of that session are not certain.
    session = client.session(database="my")
    for statement in ["XA START 'x'", "INSERT INTO item(n) VALUES (2)", "XA END 'x'", "XA PREPARE 'x'"]:
        ask(client, statement, session=session)
    assert subscription.hears_nothing()
    ask(client, "XA COMMIT 'x'", session=session)
    assert subscription.heard() == {UNKNOWN}


def test_a_transaction_that_had_begun_is_told_as_unknown(listen, client):
    session = client.session(database="my")
    ask(client, "BEGIN", session=session)
    ask(client, "INSERT INTO item(n) VALUES (1)", session=session)
    subscription = listen()
    ask(client, "COMMIT", session=session)
    assert subscription.heard() == {"<begun_before>"}


def test_a_statement_that_had_begun_is_told_as_unknown(listen, client, server):
    request = client.send_query("UPDATE item SET n = 7 + SLEEP(1)", database="my")
    wait_until(lambda: server.busy(), "it runs")
    subscription = listen()
    client.answer(request)
    assert subscription.heard() == {"<begun_before>"}


def test_rows_of_a_file(listen, client, directory):
    subscription = listen()
    hello(client)
    path = directory / "rows.csv"
    path.write_text("n\n1\n2\n")
    with open(path, "rb") as file:
        transfer(client, "import", file.fileno(), relation="other", database="my")
    assert subscription.heard() == {"other"}


def test_a_trigger_of_another_program_is_noticed(listen, client, server):
    subscription = listen()
    ask(client, "INSERT INTO other(n) VALUES (1)")
    assert subscription.heard() == {"other"}
    server.sql("CREATE TRIGGER later AFTER INSERT ON other FOR EACH ROW INSERT INTO trace VALUES (1)", "lb")
    try:
        ask(client, "INSERT INTO other(n) VALUES (1)")
        assert UNKNOWN in subscription.heard(1)
        ask(client, "INSERT INTO other(n) VALUES (1)")
        assert UNKNOWN in subscription.heard(1)
    finally:
        server.sql("DROP TRIGGER later", "lb")
    ask(client, "SELECT 1")
    ask(client, "INSERT INTO other(n) VALUES (1)")
    subscription.heard(1)
    ask(client, "INSERT INTO other(n) VALUES (1)")
    assert subscription.heard(1) == {"other"}


def test_a_login_that_sees_no_triggers(server, start_daemon):
    server.sql("CREATE USER IF NOT EXISTS few@localhost; GRANT SELECT, INSERT ON lb.* TO few@localhost", "lb")
    daemon = start_daemon(databases={"my": server.url(user="few")})
    with daemon.connect() as client:
        subscription = Subscription(daemon.connect(), database="my")
        ask(client, "INSERT INTO other(n) VALUES (1)")
        assert subscription.heard() == {UNKNOWN}
    daemon.close_clients()


def test_positions_and_chosen_relations(listen, client):
    subscription = listen(relations=["OTHER"])
    ask(client, "INSERT INTO item(n) VALUES (1)")
    assert subscription.hears_nothing()
    ask(client, "INSERT INTO other(n) VALUES (1)")
    event = subscription.event()
    assert event["relations"] == ["other"]
    subscription.cancel()
    ask(client, "INSERT INTO other(n) VALUES (1)")
    again = listen(**{"from": event["position"]})
    assert "resync" not in again.first
    assert again.heard() == {"other"}


def test_a_lost_connection_may_have_written(listen, client, server):
    """The server goes on with what its client does not wait for."""
    subscription = listen()
    request = client.send_query("UPDATE item SET n = 40 + SLEEP(2)", database="my")
    wait_until(lambda: server.busy(), "it runs")
    [[number]] = server.beside.rows("SELECT id FROM information_schema.processlist WHERE info LIKE 'UPDATE item%'")
    server.beside.rows(f"KILL {number}")
    with pytest.raises(RequestFailed) as failure:
        client.answer(request)
    assert failure.value.code == "outcome_unknown"
    assert "<may_have_written>" in subscription.heard(1)


def test_the_server_is_started_anew(listen, client, server):
    subscription = listen()
    server.kill()
    server.start()

    def writes():
        try:
            ask(client, "INSERT INTO other(n) VALUES (1)")
        except RequestFailed:
            return False
        return True

    wait_until(writes, "the server is back", 30)
    heard = subscription.heard(1)
    assert "other" in heard or UNKNOWN in heard
    wait_until(lambda: writes() and subscription.heard(0.3) == {"other"}, "names are told again", 20)


def test_litebase_watch(my, client, tmp_path):
    with open(tmp_path / "said", "w+") as output:
        process = subprocess.Popen([LITEBASE, "watch", "--socket", my.socket_path, "my", "--once"], stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT)
        wait_until(lambda: any(entry["type"] == "subscribe" for entry in client.call("activity").data["entries"]), "it listens")

        def has_heard():
            # What was committed before the first reply is not told.
            ask(client, "INSERT INTO other(n) VALUES (1)")
            return process.poll() is not None

        wait_until(has_heard, "it is told")
        assert process.returncode == 0
        output.seek(0)
        assert "other" in output.read()


# A random program

TABLES = ["item", "other", "parent", "child", "traced", "trace", "old"]


class Mirror(threading.Thread):
    """Has of each table what it read when it was told last."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.subscription = Subscription(daemon.connect(), database="my")
        self.reader = daemon.connect()
        self.content = {}
        self.told = self.named = 0
        self.stopped = False
        self.failure = None
        self.read(TABLES)
        self.start()

    def read(self, names):
        for name in names:
            while True:
                # Its connection may be the one that is ended.
                with contextlib.suppress(RequestFailed):
                    self.content[name] = sorted(map(str, self.reader.query(f"SELECT * FROM {name}", database="my").rows))
                    break

    def run(self):
        try:
            while not self.stopped:
                event = self.subscription.event(0.2)
                if event is None:
                    continue
                self.told += 1
                self.named += not event.get("resync")
                self.read(TABLES if event.get("resync") else [n for n in event.get("relations", []) if n in TABLES])
        except Exception as error:  # noqa: BLE001 - told by the test
            self.failure = error


def lose_a_connection(server, own):
    """Has the server end one of those that write."""
    numbers = [number for [number] in server.beside.rows(
        "SELECT id FROM information_schema.processlist WHERE user = 'lb' AND info IS NOT NULL AND info NOT REGEXP '^(SELECT|SHOW)'")]
    with contextlib.suppress(NativeError):  # it has ended by itself
        server.beside.rows(f"KILL {own.choice(numbers)}" if numbers else "DO 0")


def write(daemon, own, count, server):
    """A client of some statements, in one of the ways in which clients write."""
    kinds = [
        lambda: f"INSERT INTO item(n) VALUES ({own.randrange(9)})", lambda: f"UPDATE other SET n = {own.randrange(9)}",
        lambda: f"INSERT INTO other(n) VALUES ({own.randrange(9)})", lambda: f"DELETE FROM item WHERE n = {own.randrange(9)}",
        lambda: f"REPLACE INTO parent VALUES ({own.randrange(9)})", lambda: f"INSERT IGNORE INTO child VALUES ({own.randrange(99)}, {own.randrange(9)})",
        lambda: f"DELETE FROM parent WHERE id = {own.randrange(9)}", lambda: f"UPDATE IGNORE parent SET id = {own.randrange(9)} WHERE id = {own.randrange(9)}",
        lambda: "INSERT INTO traced(n) VALUES (1)", lambda: "SELECT writes()", lambda: "INSERT INTO old VALUES (1)",
        lambda: "DELETE FROM old LIMIT 3", lambda: "UPDATE item JOIN other USING (id) SET item.n = 3, other.n = 4",
        lambda: "UPDATE seen SET n = n + 1", lambda: "SELECT * FROM item",
    ]
    alone = [lambda: "CALL both_tables()", lambda: "TRUNCATE trace", lambda: "ALTER TABLE other COMMENT = 'y'", lambda: "CREATE OR REPLACE TABLE fresh(a INT)"]
    failed = 0
    with daemon.connect() as client:
        for _ in range(count):
            try:
                match own.randrange(6):
                    case 0:
                        session = client.session(database="my")
                        if own.random() < 0.3:
                            ask(client, "SET autocommit = 0", session=session)
                        else:
                            ask(client, "BEGIN", session=session)
                        for _ in range(own.randrange(1, 5)):
                            statement = own.choice([*kinds * 6, *alone, lambda: "SAVEPOINT a", lambda: "ROLLBACK TO a", lambda: "BEGIN", lambda: "SET autocommit = 1"])()
                            try:
                                ask(client, statement, session=session)
                            except RequestFailed:
                                failed += 1
                        ask(client, own.choice(["COMMIT", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"]), session=session)
                        client.call("db_disconnect", {"session": session})
                    case 1:
                        client.batch([{"sql": own.choice(kinds)()} for _ in range(3)], database="my", atomic=own.random() < 0.5)
                    case 2:
                        client.batch([{"sql": "INSERT INTO other(n) VALUES (?)", "param_rows": [[1], [2]]}], database="my")
                    case 3 if own.random() < 0.3:
                        ask(client, own.choice(alone)())
                    case 4 if own.random() < 0.2:
                        # The connection is lost, perhaps around a commit.
                        lose_a_connection(server, own)
                    case _:
                        ask(client, own.choice(kinds)())
            except (RequestFailed, ConnectionEnded):
                failed += 1
            except TimeoutError:
                print("A writer waits in vain:", *server.beside.rows("SHOW FULL PROCESSLIST"), sep="\n")
                raise
    return failed


def test_a_random_program(my, server):
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LITEBASE_TEST_SEED={seed}")
    # ALTER TABLE waits for a transaction that has read the table, others behind it for the same, and one of these has a row for which the
    # transaction waits: the server sees no deadlock in locks of two kinds, and ends it by these times, which are 50 s and a day.
    server.beside.rows("SET GLOBAL innodb_lock_wait_timeout = 2")
    server.beside.rows("SET GLOBAL lock_wait_timeout = 2")
    mirrors = [Mirror(my) for _ in range(2)]
    try:
        for step in range(int(os.environ.get("LITEBASE_TEST_ROUNDS", "1")) * 6):
            failures = []
            writers = [threading.Thread(target=lambda n=n: failures.append(write(my, random.Random(seed * 31 + step * 7 + n), 25, server)), daemon=True)
                       for n in range(4)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join(60)
                assert not writer.is_alive()
            assert len(failures) == len(writers), "a writer has failed"

            def content():
                return {name: sorted(str([None if value is None else int(value) for value in row])
                                     for row in server.beside.rows(f"SELECT * FROM lb.{name}")) for name in TABLES}

            final = content()
            try:
                wait_until(lambda: all(m.failure or m.content == final for m in mirrors), "the mirrors", 10)
            except AssertionError:
                for mirror in mirrors:
                    print(mirror.failure, [name for name in TABLES if mirror.content[name] != final[name]])
                raise
            time.sleep(0.3)
            print(step, [(m.told, m.named) for m in mirrors], failures)
    finally:
        for mirror in mirrors:
            mirror.stopped = True
    for mirror in mirrors:
        mirror.join(10)
        assert mirror.failure is None, mirror.failure
        assert mirror.told > 20 and mirror.named > 5
