"""What a stopped request is told is what happened: cancels and timeouts at random moments over every kind of statement, counted
against what is there.

LITEBASE_STOP_ROUNDS makes more rounds for each engine than the usual ones, LITEBASE_STOP_SEED others.
"""

import collections
import os
import random
import sqlite3
import time

import pytest

from mariadb import MariaDB
from postgresql import PostgreSQL
from wire import RequestFailed

ROUNDS = int(os.environ.get("LITEBASE_STOP_ROUNDS") or 400)
SEED = int(os.environ.get("LITEBASE_STOP_SEED") or 20261128)
# Rounds between two looks at what is there.
CHUNK = 250
MANY = 1200


class SQLiteStops:
    begin, commit = "BEGIN", "COMMIT"
    kinds = ["insert", "many", "few_back", "many_back", "pages_back", "update", "commit", "in_transaction", "definition", "definition_inside", "savepoint",
             "batch", "batch_in_parts", "batch_inside", "group"]

    def __init__(self, directory):
        self.url = f"sqlite:{directory}/stops.db"
        self.path = directory / "stops.db"

    def sql(self, text):
        with sqlite3.connect(self.path, timeout=20) as beside:
            return beside.execute(text).fetchall()

    def series(self, count):
        return f"(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {count}) SELECT x FROM c)"

    def tables(self):
        return {name for [name] in self.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    def discard(self):
        pass


class PostgreSQLStops:
    begin, commit = "BEGIN", "COMMIT"
    kinds = ["insert", "many", "few_back", "many_back", "pages_back", "update", "commit", "in_transaction", "definition", "definition_inside", "savepoint",
             "batch", "batch_in_parts", "batch_inside", "group", "with", "function", "procedure", "block"]

    def __init__(self, directory):
        self.server = PostgreSQL()
        self.url = self.server.url()
        self.server.psql("SET check_function_bodies = off; "
                         "CREATE FUNCTION adds(n int, k int) RETURNS text LANGUAGE sql AS $$INSERT INTO w VALUES (n, k); SELECT repeat('x', 50)$$;"
                         "CREATE PROCEDURE parts(n int) LANGUAGE plpgsql AS $$BEGIN FOR k IN 1..5 LOOP INSERT INTO w VALUES (n, k); COMMIT; END LOOP; END$$")

    def sql(self, text):
        out = self.server.psql(text)
        return [tuple(int(x) if x.isdigit() else x for x in line.split("|")) for line in out.split("\n")] if out else []

    def series(self, count):
        return f"(SELECT x FROM generate_series(1, {count}) x) AS c"

    def tables(self):
        return {name for [name] in self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def discard(self):
        self.server.discard()


class MariaDBStops:
    begin, commit = "START TRANSACTION", "COMMIT"
    kinds = ["insert", "many", "few_back", "many_back", "pages_back", "update", "commit", "in_transaction", "definition", "savepoint", "batch",
             "batch_in_parts", "batch_inside", "group", "procedure"]

    def __init__(self, directory):
        self.server = MariaDB()
        self.url = self.server.url()
        self.server.sql("DELIMITER //\nCREATE PROCEDURE parts(n int) BEGIN DECLARE k int DEFAULT 1; WHILE k <= 5 DO INSERT INTO w VALUES (n, k); "
                        "SELECT n, k; SET k = k + 1; END WHILE; END//", "lb")

    def sql(self, text):
        out = self.server.sql(text, "lb")
        return [tuple(int(x) if x.isdigit() else x for x in line.split("\t")) for line in out.split("\n")] if out else []

    def series(self, count):
        return f"(SELECT seq AS x FROM seq_1_to_{count}) AS c"

    def tables(self):
        return {name for [name] in self.sql("SHOW TABLES")}

    def discard(self):
        self.server.discard()


class Stops:
    """The rounds on one engine. `expected[n]` is how many rows of number `n` there must be: a number, or several that may be."""

    def __init__(self, engine, client, chance):
        self.engine, self.client, self.chance = engine, client, chance
        self.session = client.session(database="db")
        self.number = 0
        self.expected, self.tables, self.lies = {}, {}, []
        self.told = collections.Counter()
        self.durations = collections.defaultdict(lambda: 0.002)
        client.query("CREATE TABLE w(n int, k int)", database="db")
        client.query("CREATE TABLE u(v int)", database="db")
        client.query("INSERT INTO u VALUES (0)", database="db")

    # One request, and a stop at some moment

    def stopped(self, kind, type, data):
        """Returns ("done", reply), or the code and the data of the error."""
        by_timeout = self.chance.random() < 0.3
        mean = self.durations[kind]
        if by_timeout:
            data = {**data, "timeout_ms": max(1, round(self.chance.uniform(0, 1.6 * mean) * 1000))} if type == "query" else data
        begun = time.monotonic()
        id = self.client.send(type, data)
        cancel = None
        if not by_timeout or type != "query":
            until = begun + self.chance.uniform(0, 1.4 * mean)
            while time.monotonic() < until:
                pass
            cancel = self.client.send("cancel", {"request": id})
        try:
            reply = self.client.collect(id) if type == "query" else self.client.answer(id)
            outcome = "done", reply
            self.durations[kind] += 0.1 * (time.monotonic() - begun - mean)
        except RequestFailed as failure:
            outcome = failure.code, failure.data
        if cancel is not None:
            assert self.client.answer(cancel).data["cancelled"] is (outcome[0] == "cancelled")
        self.told[kind, outcome[0]] += 1
        return outcome

    def settle(self, number, outcome, count, kind):
        """Notes how many rows there must be."""
        code, _ = outcome
        self.expected[number] = ({count} if code == "done" else None if code == "outcome_unknown" else {0}, kind, outcome)

    def query(self, kind, sql, **options):
        return self.stopped(kind, "query", {"sql": sql, **({} if "session" in options else {"database": "db"}), **options})

    # Kinds

    def do_insert(self, n):
        self.settle(n, self.query("insert", f"INSERT INTO w VALUES ({n}, 1)"), 1, "insert")

    def do_many(self, n):
        self.settle(n, self.query("many", f"INSERT INTO w SELECT {n}, x FROM {self.engine.series(MANY)}"), MANY, "many")

    def back(self, kind, n, count, **options):
        outcome = self.query(kind, f"INSERT INTO w SELECT {n}, x FROM {self.engine.series(count)} RETURNING n, k, 'some more text for each row'", **options)
        if outcome[0] == "done" and len(outcome[1].rows) != count:
            self.lies.append((kind, n, "rows are missing", len(outcome[1].rows)))
        self.settle(n, outcome, count, kind)
        return outcome

    def do_few_back(self, n):
        self.back("few_back", n, 5)

    def do_many_back(self, n):
        self.back("many_back", n, MANY)

    def do_pages_back(self, n):
        """Pages that nobody fetches, and a cancel."""
        sql = f"INSERT INTO w SELECT {n}, x FROM {self.engine.series(60)} RETURNING n, k"
        id = self.client.send_query(sql, database="db", page_rows=20)
        time.sleep(self.chance.uniform(0, 0.004))
        cancel = self.client.send("cancel", {"request": id})
        try:
            outcome = "done", self.client.collect(id)
        except RequestFailed as failure:
            outcome = failure.code, failure.data
        self.client.answer(cancel)
        self.told["pages_back", outcome[0]] += 1
        self.settle(n, outcome, 60, "pages_back")

    def do_update(self, n):
        outcome = self.query("update", f"UPDATE u SET v = {n}")
        value = self.client.query("SELECT v FROM u", database="db").value
        if outcome[0] != "outcome_unknown" and (value == n) != (outcome[0] == "done"):
            self.lies.append(("update", n, outcome, value))

    def begin(self):
        self.client.query(self.engine.begin, session=self.session)

    def end(self, outcome, number, count, kind):
        """Commits what is open; `outcome` is of the statement in the transaction."""
        state = self.state(outcome)
        committed = False
        if state == "active":
            self.client.query("COMMIT", session=self.session)
            committed = True
        elif state == "failed":
            self.client.query("ROLLBACK", session=self.session)
        if outcome[0] == "done":
            self.expected[number] = ({count} if committed else {0}, kind, outcome)
        else:
            self.settle(number, outcome, count, kind)

    def state(self, outcome):
        code, reply = outcome
        if code != "done":
            # Where the server has not confirmed the stop, only the next statement knows.
            try:
                return self.client.query("SELECT 1", session=self.session).transaction
            except RequestFailed as failure:
                return failure.data["transaction"]
        return reply.transaction if hasattr(reply, "transaction") else reply.data["transaction"]

    def do_commit(self, n):
        self.begin()
        self.client.query(f"INSERT INTO w VALUES ({n}, 1)", session=self.session)
        outcome = self.query("commit", "COMMIT", session=self.session)
        if self.state(outcome) != "none":
            self.client.query("ROLLBACK", session=self.session)
        self.settle(n, outcome, 1, "commit")

    def do_in_transaction(self, n):
        self.begin()
        count = self.chance.choice([1, 5, MANY])
        back = " RETURNING n, k" if self.chance.random() < 0.7 else ""
        outcome = self.query(f"inside {count}", f"INSERT INTO w SELECT {n}, x FROM {self.engine.series(count)}{back}", session=self.session)
        self.end(outcome, n, count, "in_transaction")

    def do_definition(self, n):
        outcome = self.query("definition", f"CREATE TABLE d{n}(a int)")
        self.tables[f"d{n}"] = outcome

    def do_definition_inside(self, n):
        self.begin()
        self.client.query(f"INSERT INTO w VALUES ({n}, 1)", session=self.session)
        outcome = self.query("definition_inside", f"CREATE TABLE d{n}(a int)", session=self.session)
        state = self.state(outcome)
        if state != "none":
            self.client.query("COMMIT" if state == "active" else "ROLLBACK", session=self.session)
        self.expected[n] = ({1 if state == "active" else 0}, "definition_inside", outcome)
        self.tables[f"d{n}"] = outcome

    def do_savepoint(self, n):
        """SAVEPOINT and RELEASE, within a transaction and as one."""
        self.begin()
        self.client.query(f"INSERT INTO w VALUES ({n}, 1)", session=self.session)
        first = self.query("savepoint", "SAVEPOINT a", session=self.session)
        if self.state(first) == "failed":
            self.client.query("ROLLBACK", session=self.session)
            self.expected[n] = ({0}, "savepoint", first)
            return
        try:
            self.client.query("ROLLBACK TO a", session=self.session)
            is_there = True
        except RequestFailed:
            is_there = False
        if first[0] != "outcome_unknown" and is_there != (first[0] == "done"):
            self.lies.append(("savepoint", n, first, is_there))
        self.client.query("ROLLBACK", session=self.session)
        self.expected[n] = ({0}, "savepoint", first)

    def batch_data(self, n, **options):
        rows = [[n, k] for k in range(20)]
        mark = "$1, $2" if isinstance(self.engine, PostgreSQLStops) else "?, ?"
        return {"statements": [{"sql": f"INSERT INTO w VALUES ({mark})", "param_rows": rows}, {"sql": f"INSERT INTO w VALUES ({n}, 100)"},
                               {"sql": f"INSERT INTO w VALUES ({mark})", "param_rows": rows}], **options}

    def do_batch(self, n):
        self.settle(n, self.stopped("batch", "batch", self.batch_data(n, database="db")), 41, "batch")

    def do_batch_in_parts(self, n):
        outcome = self.stopped("batch_in_parts", "batch", self.batch_data(n, database="db", atomic=False))
        code, data = outcome
        if code in ("done", "outcome_unknown"):
            return self.settle(n, outcome, 41, "batch_in_parts")
        # What is before the statement that it names has taken effect; where none is named, nothing was begun.
        before = [0, 20, 21][data["statement_index"]] + data.get("row_index", 0) if "statement_index" in data else 0
        self.expected[n] = ({before}, "batch_in_parts", outcome)

    def do_batch_inside(self, n):
        self.begin()
        outcome = self.stopped("batch_inside", "batch", self.batch_data(n, session=self.session))
        self.end(outcome, n, 41, "batch_inside")

    def do_group(self, n):
        """Writes that share a commit, of which one is stopped."""
        ids, payload = [], b""
        for k in range(5):
            id, piece = self.client.bytes_of("query", {"sql": f"INSERT INTO w VALUES ({n + k}, 1)", "database": "db"})
            ids.append(id)
            payload += piece
        self.client.socket.sendall(payload)
        until = time.monotonic() + self.chance.uniform(0, 0.004)
        while time.monotonic() < until:
            pass
        cancel = self.client.send("cancel", {"request": self.chance.choice(ids)})
        for k, id in enumerate(ids):
            try:
                outcome = "done", self.client.collect(id)
            except RequestFailed as failure:
                outcome = failure.code, failure.data
            self.told["group", outcome[0]] += 1
            self.settle(n + k, outcome, 1, "group")
        self.client.answer(cancel)
        self.number += 5

    def do_with(self, n):
        count = self.chance.choice([5, MANY])
        sql = f"WITH x AS (INSERT INTO w SELECT {n}, x FROM {self.engine.series(count)} RETURNING n, k) SELECT * FROM x"
        self.settle(n, self.query(f"with {count}", sql), count, "with")

    def do_function(self, n):
        outcome = self.query("function", f"SELECT adds({n}, x) FROM {self.engine.series(20)}")
        self.settle(n, outcome, 20, "function")

    def do_procedure(self, n):
        self.settle(n, self.query("procedure", f"CALL parts({n})"), 5, "procedure")

    def do_block(self, n):
        sql = f"DO $$BEGIN FOR k IN 1..5 LOOP INSERT INTO w VALUES ({n}, k); COMMIT; END LOOP; END$$"
        self.settle(n, self.query("block", sql), 5, "block")

    # All of them

    def run(self, rounds):
        for round in range(rounds):
            self.number += 1
            getattr(self, "do_" + self.chance.choice(self.engine.kinds))(self.number)
            if round % CHUNK == CHUNK - 1:
                self.look()
        self.look()

    def look(self):
        counts = dict(self.engine.sql("SELECT n, count(*) FROM w GROUP BY n"))
        for number, (allowed, kind, outcome) in self.expected.items():
            if allowed is not None and counts.get(number, 0) not in allowed:
                self.lies.append((kind, number, outcome, f"{counts.get(number, 0)} rows, not {allowed}"))
        there = self.engine.tables()
        for name, outcome in self.tables.items():
            if outcome[0] != "outcome_unknown" and (name in there) != (outcome[0] == "done"):
                self.lies.append(("definition", name, outcome, name in there))
        for name in there & set(self.tables):
            self.client.query(f"DROP TABLE {name}", database="db")
        self.client.query("DELETE FROM w", database="db")
        self.expected.clear()
        self.tables.clear()


@pytest.fixture(params=[SQLiteStops, PostgreSQLStops, MariaDBStops], ids=["sqlite", "postgresql", "mariadb"])
def engine(request, directory):
    made = request.param(directory)
    yield made
    made.discard()


def test_what_is_told_is_what_happened(engine, start_daemon):
    daemon = start_daemon(databases={"db": engine.url})
    stops = Stops(engine, daemon.connect(), random.Random(SEED))
    stops.run(ROUNDS)
    print(f"LITEBASE_STOP_SEED={SEED}")
    for (kind, code), count in sorted(stops.told.items()):
        print(f"{kind:20} {code:20} {count}")
    assert not stops.lies, f"{len(stops.lies)} of {stops.number}: {stops.lies[:20]}"
