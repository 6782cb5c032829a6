"""Rows that tell which version they are, and who writes them: whoever reads a row can say whether there was such a one, and when."""

import contextlib
import sqlite3
import threading
import time

from wire import RequestFailed

KEYS = 24
COLUMNS = ("id", "a", "b", "c", "d", "e")
DEFINITION = "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b REAL, c TEXT, d BLOB, e)"
PUT = "INSERT OR REPLACE INTO t(id, a, b, c, d, e) VALUES (?, ?, ?, ?, ?, ?)"
# Rows of some bytes, rows that fill a page, and rows that need others.
SIZES = (0, 3, 20, 100, 100, 400, 900, 1900, 3000, 4040, 4050, 9000)
# A version that is never committed.
POISON = -1


def row_of(key, version):
    """The row that a version has; None where it is that there is none. Its number is in the first and last fields, and in all between."""
    if version % 5 == 4:
        return None
    size = SIZES[(key * 7 + version * 5) % len(SIZES)]
    word = f"{key}:{version}:"
    return [key, version, float(version), (word * (size // len(word) + 1))[:size], bytes([version % 256]) * (size // 3), version]


def statement_of(key, version):
    row = row_of(key, version)
    return ("DELETE FROM t WHERE id = ?", [key]) if row is None else (PUT, row)


class Versions:
    """Of each key the latest version that somebody has begun to write, and the latest that was acknowledged."""

    def __init__(self):
        self.started, self.acknowledged = [0] * KEYS, [0] * KEYS

    def begin(self, keys):
        for key in keys:
            self.started[key] += 1
        return [(key, self.started[key]) for key in keys]

    def acknowledge(self, written):
        for key, version in written:
            self.acknowledged[key] = version

    def require(self, names, rows, key, least, most, what):
        """The row of a key is one of the versions from the last that was acknowledged when it was asked for to the last that had begun when it came."""
        possible = range(least[key], most[key] + 1)
        where = f"{what}: key {key}, versions {possible}"
        if not rows:
            assert any(row_of(key, version) is None for version in possible), f"{where}: no row"
            return
        assert len(rows) == 1, f"{where}: {rows}"
        found = dict(zip(names, rows[0]))
        version = found["a"]
        assert version in possible, f"{where}: {found}"
        expected = dict(zip(COLUMNS, row_of(key, version) or [None] * len(COLUMNS)))
        assert repr(found) == repr({name: expected[name] for name in names}), f"{where}: {found}"


class Writers:
    """Threads that write until the end; what goes wrong in one of them is raised by the test."""

    def __init__(self, *works):
        self.is_over, self.problems, self.turns = threading.Event(), [], [0] * len(works)
        self.threads = [threading.Thread(target=self.run, args=(place, work)) for place, work in enumerate(works)]

    def run(self, place, work):
        try:
            while not self.is_over.is_set():
                work()
                self.turns[place] += 1
        except BaseException as problem:
            self.problems.append(problem)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)
        if not kind:
            assert not self.problems, self.problems

    def last(self, seconds):
        """Yields until the time is over, and until each has written often (on a busy machine that takes longer)."""
        end = time.monotonic() + seconds
        while not self.problems and (time.monotonic() < end or min(self.turns) < 10 and time.monotonic() < end + 60):
            yield
        assert not self.problems, self.problems


def by_the_daemon(client, versions, keys, dice, **options):
    """A writer of single rows."""
    def work():
        written = versions.begin([dice.choice(keys)])
        sql, params = statement_of(*written[0])
        client.query(sql, params, **options)
        versions.acknowledge(written)
        pause(dice)

    return work


def by_transactions_of_the_daemon(client, versions, keys, dice, session):
    """A writer of several rows in a session; some of it is rolled back."""
    def work():
        client.query("BEGIN IMMEDIATE", session=session)
        if dice.random() < 0.3:
            for key in dice.sample(keys, 3):
                client.query(PUT, [key, POISON, 0.0, "poison", b"", POISON], session=session)
            client.query("ROLLBACK", session=session)
            return
        written = versions.begin(dice.sample(keys, 3))
        for key, version in written:
            sql, params = statement_of(key, version)
            client.query(sql, params, session=session)
        client.query("COMMIT", session=session)
        versions.acknowledge(written)
        pause(dice)

    return work


def by_another_program(database, versions, keys, dice):
    """A writer with SQLite of its own, which tends the file, too."""
    database.execute("PRAGMA wal_autocheckpoint = 20")

    def work():
        written = versions.begin(dice.sample(keys, dice.randrange(1, 4)))
        database.execute("BEGIN IMMEDIATE")
        if dice.random() < 0.3:
            database.execute(PUT, [dice.choice(keys), POISON, 0.0, "poison" * 2000, b"", POISON])
            database.execute("ROLLBACK")
            database.execute("BEGIN IMMEDIATE")
        for key, version in written:
            database.execute(*statement_of(key, version))
        database.execute("COMMIT")
        versions.acknowledge(written)
        with contextlib.suppress(sqlite3.OperationalError):
            tend(database, dice)
        pause(dice)

    return work


def tend(database, dice):
    """What changes the file and no row of the table: its pages move, its columns come and go."""
    kind = dice.randrange(30)
    if kind == 0:
        database.execute("VACUUM")
    elif kind <= 3:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    elif kind == 4:
        database.execute("PRAGMA wal_checkpoint(RESTART)")
    elif kind == 5:
        database.execute(f"ALTER TABLE t ADD COLUMN x DEFAULT {dice.randrange(100)}")
    elif kind == 6:
        database.execute("ALTER TABLE t DROP COLUMN x")
    elif kind == 7:
        database.execute("CREATE TABLE IF NOT EXISTS other AS SELECT * FROM t")
    elif kind == 8:
        # With auto_vacuum = 1 the last pages of the file take the place of its pages.
        database.execute("DROP TABLE IF EXISTS other")
    elif kind == 9:
        database.execute("PRAGMA incremental_vacuum")
    elif kind == 10:
        database.execute("CREATE INDEX IF NOT EXISTS i ON t(a, id)")
    elif kind == 11:
        database.execute("DROP INDEX IF EXISTS i")


def pause(dice):
    """Sometimes long enough for readers to become used to what is there."""
    time.sleep(dice.choice((0, 0, 0.001, 0.003, 0.015)))


def retried(client, send, times=200):
    """A request that others may keep from the file for a moment."""
    for _ in range(times):
        try:
            return send(client)
        except RequestFailed as failure:
            if failure.code != "busy":
                raise
    raise AssertionError("busy for ever")
