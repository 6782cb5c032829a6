"""`subscribe` on MariaDB: what only looks certain. Relations that a role, another login or the server's own databases hide from the daemon,
what stays of a statement that was rolled back, definitions of several relations, and statements that may have committed."""

import contextlib

import pytest

import mariadb
from daemon import wait_until
from native import NativeMariaDB
from subscription import Subscription
from wire import RequestFailed

SCHEMA = """
CREATE TABLE item(id INT PRIMARY KEY AUTO_INCREMENT, n INT);
CREATE TABLE other(id INT PRIMARY KEY AUTO_INCREMENT, n INT);
CREATE TABLE old(n INT) ENGINE = MyISAM;
CREATE TABLE `aside`(n INT) ENGINE = Aria;
CREATE TABLE held(n INT) ENGINE = MEMORY;
CREATE TABLE keyed(id INT PRIMARY KEY) ENGINE = MyISAM;
CREATE SEQUENCE s NOCACHE;
CREATE TABLE numbered(id INT DEFAULT NEXTVAL(s), n INT);
CREATE TABLE grown(n INT); INSERT INTO grown VALUES (1);
CREATE DATABASE beside; CREATE TABLE beside.numbered(id INT DEFAULT NEXTVAL(lb.s), n INT); CREATE TABLE beside.plain(n INT);
CREATE DATABASE hidden; CREATE TABLE hidden.plain(n INT); INSERT INTO hidden.plain VALUES (1); CREATE VIEW hidden.v AS SELECT * FROM lb.item;
CREATE VIEW sys.v AS SELECT * FROM lb.item;
CREATE TABLE sys.tt(n INT); CREATE TRIGGER sys.ttt AFTER INSERT ON sys.tt FOR EACH ROW INSERT INTO lb.other(n) VALUES (5);
CREATE TABLE sys.parent(id INT PRIMARY KEY);
CREATE TABLE child(id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES sys.parent(id) ON DELETE CASCADE);
DELIMITER //
CREATE FUNCTION hidden.g() RETURNS INT BEGIN UPDATE lb.other SET n = n + 1; RETURN 1; END//
CREATE FUNCTION sys.sf() RETURNS INT BEGIN UPDATE lb.other SET n = n + 1; RETURN 1; END//
CREATE PROCEDURE sys.sp() BEGIN UPDATE lb.other SET n = n + 1; END//
CREATE PROCEDURE undone() BEGIN ROLLBACK; END//
CREATE PROCEDURE again() BEGIN COMMIT; START TRANSACTION; END//
CREATE PROCEDURE fails() BEGIN COMMIT; SIGNAL SQLSTATE '45000'; END//
DELIMITER ;
CREATE VIEW hidden.w AS SELECT hidden.g() AS g;
CREATE ROLE r; GRANT ALL ON hidden.* TO r; GRANT r TO lb@localhost;
GRANT ALL ON beside.* TO lb@localhost; GRANT ALL ON sys.* TO lb@localhost
"""
# No definitions: behind these, everything is uncertain.
BETWEEN = [f"DELETE FROM {name}" for name in ("child", "sys.parent", "sys.tt", "item", "other", "numbered", "old", "aside", "held", "keyed")] + [
    "INSERT INTO item VALUES (1, 1)", "INSERT INTO other VALUES (1, 1)", "INSERT INTO old VALUES (1)",
    "INSERT INTO sys.parent VALUES (1), (2)", "INSERT INTO child VALUES (1), (2)"]
UNKNOWN, SCHEMA_CHANGED = "<unknown_relations>", "<schema>"

server, my = mariadb.fixtures(SCHEMA)


@pytest.fixture
def client(my):
    with my.connect() as client:
        yield client


def ask(client, sql, **fields):
    return client.query(sql, **({"database": "my"} if "session" not in fields else {}), **fields)


@pytest.fixture
def beside(server):
    """Another program, by which tables are made as they were, and looked at."""
    native = NativeMariaDB(server.socket, "root", "lb")
    yield native
    native.close()


def restore(beside):
    for statement in BETWEEN:
        beside.run(statement)


def content(beside):
    """Of all tables of `lb`."""
    names = [name for [name] in beside.run("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'lb' AND TABLE_TYPE <> 'VIEW'").rows]
    return {name: str(list(beside.run(f"SELECT * FROM lb.`{name}`").rows)) for name in names}


def run(client, session, *statements):
    """What is refused is passed over, as by a program that goes on."""
    for statement in statements:
        with contextlib.suppress(RequestFailed):
            ask(client, statement, session=session)


def hear(subscription, is_enough=lambda heard: True, quiet=0.12):
    """All that is told, with some patience where it has to be."""
    heard = subscription.rest(quiet)
    for _ in range(50):
        if is_enough(heard):
            break
        heard |= subscription.rest(0.1)
    return heard


def tells(changed):
    return lambda heard: changed <= heard or UNKNOWN in heard


# What is not seen

HIDDEN = {
    "a view by a role": ["SET ROLE r", "INSERT INTO hidden.v(n) VALUES (1)"],
    "a function by a role": ["SET ROLE r", "SELECT hidden.g()"],
    "a view that calls, by a role": ["SET ROLE r", "SELECT * FROM hidden.w"],
    "a function of a database that is used": ["SET ROLE r", "USE hidden", "DO g()"],
    "a view in a join": ["SET ROLE r", "UPDATE hidden.v JOIN hidden.plain SET v.n = 4"],
    "a view behind an alias": ["SET ROLE r", "DELETE v FROM hidden.v JOIN lb.other AS v ON v.id = 7", "DELETE a FROM hidden.v AS a, lb.other AS v"],
    "the server's own database": ["INSERT INTO sys.v(n) VALUES (1)"],
    "a trigger there": ["INSERT INTO sys.tt VALUES (1)"],
    "a function there": ["SELECT sys.sf()"],
    "a function there that is used": ["USE sys", "SELECT sf()"],
    "a procedure there": ["CALL sys.sp()"],
    "a parent there": ["DELETE FROM sys.parent WHERE id = 1"],
    "a view in a join there": ["INSERT INTO sys.tt VALUES (1)", "UPDATE sys.v JOIN sys.tt SET v.n = 5"],
    "a temporary table that is there no longer": ["SET ROLE r", "USE hidden", "CREATE TEMPORARY TABLE v(n INT)", "INSERT INTO v VALUES (1)",
                                                  "DROP TEMPORARY TABLE v", "INSERT INTO v(n) VALUES (1)"],
}


def test_what_is_not_seen_is_not_taken_for_nothing(my, client, beside):
    subscription = Subscription(my.connect(), database="my")
    wrong = []
    for name, statements in HIDDEN.items():
        restore(beside)
        before = content(beside)
        session = client.session(database="my")
        run(client, session, *statements)
        changed = {table for table, rows in content(beside).items() if rows != before.get(table)}
        assert changed, f"{name}: the test changes something"
        heard = hear(subscription, tells(changed))
        wrong += [] if tells(changed)(heard) else [(name, changed, heard)]
        client.call("db_disconnect", {"session": session})
    assert wrong == []


def test_a_default_role_that_is_given_later(my, client, server):
    """No count of the server's tells of it; what it shows was read before."""
    subscription = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO item(n) VALUES (1)")
    assert hear(subscription) == {"item", "s"}
    server.sql("SET DEFAULT ROLE r FOR lb@localhost")
    try:
        done = 0
        for other in [my.connect() for _ in range(3)]:
            session = other.session(database="my")
            for statement in ("INSERT INTO hidden.v(n) VALUES (77)", "SELECT hidden.g()"):
                with contextlib.suppress(RequestFailed):  # on a connection of before
                    ask(other, statement, session=session)
                    done += 1
                    assert UNKNOWN in hear(subscription, lambda heard: UNKNOWN in heard), statement
        assert done
    finally:
        server.sql("SET DEFAULT ROLE NONE FOR lb@localhost")


def test_rights_that_are_given_later(my, client, server):
    """Of a connection that was there before the server does not change them: definitions are read by one that is new."""
    subscription = Subscription(my.connect(), database="my")
    ask(client, "INSERT INTO item(n) VALUES (1)")
    assert hear(subscription) == {"item", "s"}
    server.sql("GRANT SELECT, EXECUTE ON *.* TO lb@localhost")
    try:
        # The definitions are read again.
        ask(client, "INSERT INTO item(n) VALUES (1)")
        assert UNKNOWN in hear(subscription, lambda heard: UNKNOWN in heard, 0.5)
        done = 0
        for other in [my.connect() for _ in range(3)]:
            with contextlib.suppress(RequestFailed):  # on a connection of before
                ask(other, "SELECT hidden.g()", session=other.session(database="my"))
                done += 1
                assert UNKNOWN in hear(subscription, lambda heard: UNKNOWN in heard)
        assert done
    finally:
        server.sql("REVOKE SELECT, EXECUTE ON *.* FROM lb@localhost")


def test_a_role_does_not_make_everything_uncertain(my, client):
    subscription = Subscription(my.connect(), database="my")
    session = client.session(database="my")
    run(client, session, "SET ROLE r", "INSERT INTO item(n) VALUES (1)", "SELECT * FROM hidden.plain", "SELECT COUNT(*) FROM other")
    assert hear(subscription) == {"item", "s"}


def test_temporary_tables_are_those_that_were_made(my, client):
    subscription = Subscription(my.connect(), database="my")
    session = client.session(database="my")
    run(client, session, "CREATE TEMPORARY TABLE mine(n INT)", "CREATE TEMPORARY TABLE IF NOT EXISTS `our s`(n INT)", "INSERT INTO mine VALUES (1)",
        "INSERT INTO lb.`our s` SELECT n FROM mine", "UPDATE mine JOIN `our s` USING (n) SET mine.n = 4", "DROP TEMPORARY TABLE mine",
        "DELETE FROM `our s`")
    # Any row may take a number, and a row of the server's own database may be referenced by `child`.
    assert hear(subscription) <= {"s", "child"}


# What stays though it was rolled back

STAYS = {
    "a number": (["BEGIN", "SELECT NEXTVAL(s)", "ROLLBACK"], {"s"}),
    "a number for a row that is refused": (["INSERT INTO item VALUES (NEXTVAL(s) * 0 + 1, 1)"], {"s"}),
    "a number by default": (["BEGIN", "INSERT INTO numbered(n) VALUES (1)", "ROLLBACK"], {"s"}),
    "a number behind a savepoint": (["BEGIN", "SAVEPOINT a", "INSERT INTO numbered(n) VALUES (1)", "ROLLBACK TO a", "ROLLBACK"], {"s"}),
    "a number of another database": (["INSERT INTO beside.numbered(n) VALUES (1)"], {"s"}),
    "a number of a temporary table": (["CREATE TEMPORARY TABLE tt(id INT DEFAULT NEXTVAL(s), n INT)", "INSERT INTO tt(n) VALUES (1)"], {"s"}),
    "a number that is set": (["BEGIN", "DO SETVAL(s, 100000)", "ROLLBACK"], {"s"}),
    "MyISAM": (["BEGIN", "INSERT INTO old VALUES (1)", "ROLLBACK"], {"old"}),
    "Aria": (["BEGIN", "INSERT INTO `aside` VALUES (1)", "ROLLBACK"], {"aside"}),
    "MEMORY": (["BEGIN", "INSERT INTO held VALUES (1)", "ROLLBACK"], {"held"}),
    "half of a statement": (["INSERT INTO keyed VALUES (1), (1)"], {"keyed"}),
    "a join of both": (["BEGIN", "UPDATE old JOIN item SET old.n = 9, item.n = 9", "ROLLBACK"], {"old"}),
    # The last one: definitions are others behind it.
    "a number for a column that is new": (["ALTER TABLE grown ADD COLUMN z INT DEFAULT NEXTVAL(s)"], {"s", "grown", SCHEMA_CHANGED}),
}


def test_what_is_not_rolled_back_is_told(my, client, beside):
    subscription = Subscription(my.connect(), database="my")
    wrong = []
    for name, (statements, expected) in STAYS.items():
        restore(beside)
        before = content(beside)
        session = client.session(database="my")
        run(client, session, *statements)
        changed = {table for table, rows in content(beside).items() if rows != before.get(table)}
        assert changed and changed <= expected, name
        heard = hear(subscription, tells(changed))
        # Where the definitions are others behind it, that is not certain.
        is_right = tells(changed)(heard) and (SCHEMA_CHANGED in expected or heard <= expected | {"s"})
        wrong += [] if is_right else [(name, changed, heard)]
        client.call("db_disconnect", {"session": session})
    assert wrong == []


# Definitions of several relations

@pytest.mark.parametrize("text", ["CREATE OR REPLACE DATABASE moved", "CREATE OR REPLACE SCHEMA `moved` COMMENT 'x'", "DROP DATABASE moved",
                                  "RENAME TABLE one TO three, two TO one", "ALTER TABLE one RENAME three"])
def test_what_takes_several_relations_is_a_gap(server, start_daemon, text):
    server.sql("CREATE OR REPLACE DATABASE moved; CREATE TABLE moved.one(n INT); CREATE TABLE moved.two(n INT); GRANT ALL ON moved.* TO lb@localhost")
    daemon = start_daemon(databases={"my": server.url(database="moved")})
    with daemon.connect() as client:
        subscription = Subscription(daemon.connect(), database="my")
        ask(client, text)
        assert {UNKNOWN, SCHEMA_CHANGED} <= subscription.heard()
    daemon.close_clients()


# Statements that may have committed

MAY_COMMIT = {
    "autocommit that is on": "SET autocommit = 1",
    "autocommit off": "SET autocommit = 0",
    "autocommit in a string": "SET @x = 'autocommit'",
    "autocommit and a query": "SET autocommit = 1, @x = (SELECT COUNT(*) FROM other)",
    "a password": "SET PASSWORD = PASSWORD('')",
    "a setting that is refused": "SET autocommit = 1, @@nonsense = 2",
    "unlock": "UNLOCK TABLES",
    "lock": "LOCK TABLES other READ",
    "a lock that is refused": "LOCK TABLES nonsense WRITE",
    "a definition": "CREATE TABLE fresh(a INT)",
    "a definition that is none": "CREATE TABLE (",
    "a definition of the same that is none": "ALTER TABLE item ADD COLUMN (",
    "a definition that is refused": "DROP TABLE nonsense",
    "a definition of the same that is refused": "ALTER TABLE item DROP COLUMN nonsense",
    "a grant": "GRANT SELECT ON lb.item TO lb@localhost",
    "flush": "FLUSH TABLES",
    "check": "CHECK TABLE other",
    "another one": "BEGIN",
    "commit": "COMMIT",
    "commit and chain": "COMMIT AND CHAIN",
    "a word": "FOO BAR",
    "immediately": "EXECUTE IMMEDIATE 'SELECT 1'",
    "a block": "BEGIN NOT ATOMIC SELECT 1; END",
    "a block that rolls back": "BEGIN NOT ATOMIC ROLLBACK; END",
    "a procedure that rolls back": "CALL undone()",
    "a procedure that begins another one": "CALL again()",
    "a procedure that commits and fails": "CALL fails()",
    "for a setting": "SET STATEMENT max_statement_time = 9 FOR SELECT 1",
    "a savepoint": "SAVEPOINT a",
    "back to a savepoint that is not there": "ROLLBACK TO nonsense",
    "a comment that is run": "/*! SELECT 1 */",
    "a row that is refused": "INSERT INTO other VALUES (1, 1)",
    "a temporary table": "CREATE TEMPORARY TABLE mine(n INT)",
    "nothing": "SELECT 1",
}


def what_is_wrong(subscription, client, beside, begin, statement):
    """Of one that is done in a transaction that has changed `item`, and is rolled back then, if it still can be."""
    restore(beside)
    before = content(beside)["item"]
    session = client.session(database="my")
    run(client, session, begin, "UPDATE item SET n = n + 1", statement)
    is_durable = content(beside)["item"] != before
    heard = hear(subscription, tells({"item"} if is_durable else set()))
    if is_durable and not tells({"item"})(heard):
        return "it was not told"
    if not is_durable and "item" in heard:
        return "it was told before it was durable"
    run(client, session, "ROLLBACK")
    is_committed = content(beside)["item"] != before
    later = hear(subscription, tells({"item"} if is_committed and not is_durable else set()))
    client.call("db_disconnect", {"session": session})
    if not is_committed and "item" in later:
        return "it was told although it was rolled back"
    return None if not is_committed or is_durable or tells({"item"})(later) else "it was not told behind ROLLBACK"


@pytest.mark.parametrize("begin", ["BEGIN", "SET autocommit = 0"])
def test_no_name_is_told_before_it_is_durable(my, client, beside, begin):
    """Nor of what is rolled back; and whatever was committed is told, be it as a gap."""
    subscription = Subscription(my.connect(), database="my")
    wrong = {}
    for name, statement in MAY_COMMIT.items():
        beside.run("DROP TABLE IF EXISTS fresh")
        ask(client, "SELECT 1")
        if reason := what_is_wrong(subscription, client, beside, begin, statement):
            wrong[name] = reason
    assert wrong == {}
    # Afterwards everything is certain again.
    def is_certain():
        ask(client, "INSERT INTO item(n) VALUES (1)")
        return hear(subscription) == {"item", "s"}

    wait_until(is_certain, "names are told again")


CERTAIN = {
    "autocommit that is on": "SET autocommit = 1",
    "a setting": "SET @x = 'autocommit'",
    "unlock": "UNLOCK TABLES",
    "a definition that is none": "ALTER TABLE item ADD COLUMN (",
    "a savepoint": "SAVEPOINT a",
    "a row that is refused": "INSERT INTO other VALUES (1, 1)",
}


def test_what_the_server_says_of_its_state_is_certain(my, client, beside):
    """Whatever the text seems to say: there is no gap, and the commit is told by its name."""
    subscription = Subscription(my.connect(), database="my")
    for name, statement in CERTAIN.items():
        restore(beside)
        session = client.session(database="my")
        run(client, session, "BEGIN", "UPDATE item SET n = n + 1", statement)
        early = hear(subscription)
        run(client, session, "COMMIT")
        assert early | hear(subscription, lambda heard: "item" in heard) <= {"item", "child", "s"}, name
        client.call("db_disconnect", {"session": session})
