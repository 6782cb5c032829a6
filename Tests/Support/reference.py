"""What SQLite itself says of a file, by Python's sqlite3, in the form of the daemon's replies; and requests that come in bursts."""

import contextlib
import os
import random
import sqlite3

from daemon import tells_of_crash
from lane import LaneClient
from wire import RequestFailed

ROUNDS = int(os.environ.get("LITEBASE_TEST_ROUNDS") or 1)
# More reads than begin a shared snapshot, and than make a statement a frequent one.
BURST = 200


def dice_of_test():
    """Chances of a test, whose seed is shown where it fails; LITEBASE_TEST_SEED repeats them."""
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LITEBASE_TEST_SEED={seed}")
    return random.Random(seed)


@contextlib.contextmanager
def telling_of_crashes(start_daemon):
    """Starts daemons as `start_daemon` does; at the end, one that has ended by itself tells why."""
    started = []

    def start(flags=(), **options):
        started.append(start_daemon(*flags, **options))
        return started[-1]

    yield start
    for instance in started:
        status, log = instance.process.poll(), instance.log_path.read_text(errors="replace") if instance.log_path.exists() else ""
        assert status in (None, 0) and not tells_of_crash(log), f"{status}: {log[-6000:]}"


def connected(daemon, dice):
    """A client in one of the encodings, through a socket or shared memory."""
    kind = dice.choice(("msgpack", "msgpack", "lines", "lane"))
    if kind != "lane":
        return daemon.connect(kind)
    client = LaneClient(daemon.socket_path)
    daemon.clients.append(client)
    return client


def text_of(raw):
    """A text; the bytes of one that is not UTF-8, as the protocol has it."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


class Refused:
    """Instead of rows: an error. Each is as good as another."""

    def __init__(self, reason, rows=()):
        self.reason, self.rows = reason, list(rows)

    def __repr__(self):
        return f"Refused({self.reason})"


class Reference:
    """A connection of SQLite's own to a file."""

    def __init__(self, path, timeout=10, wal=False):
        # (Without Python's cache of statements: each is prepared for the schema of now.)
        self.database = sqlite3.connect(path, isolation_level=None, timeout=timeout, cached_statements=0, check_same_thread=False)
        self.database.text_factory = text_of
        # (A damaged file says so when it is asked.)
        with contextlib.suppress(sqlite3.DatabaseError):
            self.database.execute("PRAGMA synchronous = off")
            if wal:
                self.database.execute("PRAGMA journal_mode = wal")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.database.close()

    def ask(self, sql, params=None):
        """(names, rows), or Refused with the rows before the error."""
        rows = []
        try:
            cursor = self.database.execute(sql, () if params is None else params)
            names = [column[0] for column in cursor.description or ()]
            for row in cursor:
                rows.append(list(row))
        except (sqlite3.Error, OverflowError, MemoryError) as problem:
            return Refused(problem, rows)
        return names, rows

    def execute(self, sql, params=()):
        return self.database.execute(sql, params)


def data_of(sql, params, options):
    return {"sql": sql, **options} if params is None else {"sql": sql, "params": params, **options}


def send_burst(client, requests, **options):
    """Sends (sql, params) of all in one go; their ids."""
    ids, payload = [], bytearray()
    for sql, params in requests:
        id, request = client.bytes_of("query", data_of(sql, params, options))
        ids.append(id)
        payload += request
    client.socket.sendall(payload)
    return ids


def answer(client, id, any_error=False):
    """(names, rows), or Refused with the rows before the error, which is one that SQLite may have, or any."""
    try:
        result = client.collect(id)
    except RequestFailed as failure:
        assert any_error or failure.code in ("syntax_error", "database_error", "bad_request", "constraint_violation"), failure
        return Refused(failure, [row for frame in failure.frames for row in frame.data["rows"]])
    assert result.last["row_count"] == len(result.rows), result.last
    return result.names, result.rows


def burst(client, requests, **options):
    return [answer(client, id) for id in send_burst(client, requests, **options)]


def is_same(one, other):
    """Names, order, values and types. `repr` tells 1 from 1.0, 0.0 from -0.0, and text from bytes; so many errors are one."""
    if isinstance(one, Refused) or isinstance(other, Refused):
        return isinstance(one, Refused) and isinstance(other, Refused)
    return repr(one) == repr(other)


def shortened(value):
    text = repr(value)
    return text if len(text) < 1500 else f"{text[:700]} … {text[-700:]} ({len(text)} characters)"


def require_same(expected, answered, what):
    assert is_same(expected, answered), f"{what}\n{difference(expected, answered)}"


def difference(expected, answered):
    """What differs, and where."""
    if isinstance(expected, (list, tuple)) and isinstance(answered, (list, tuple)):
        for place, (one, other) in enumerate(zip(expected, answered)):
            if repr(one) != repr(other):
                return f"[{place}] {difference(one, other)}"
    return f"SQLite: {shortened(expected)}\ndaemon: {shortened(answered)}"


def require_burst(client, reference, requests, count=BURST, what="", **options):
    """Sends each of the requests until there are `count` of them; each reply is what SQLite says."""
    expected = [reference.ask(sql, params) for sql, params in requests]
    times = -(-count // len(requests))
    for place, answered in enumerate(burst(client, requests * times, **options)):
        sql, params = requests[place % len(requests)]
        require_same(expected[place % len(requests)], answered, f"reply {place} of a burst: {sql!r} with {params!r} {options} {what}")
