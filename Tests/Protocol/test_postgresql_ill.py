"""Servers for PostgreSQL that mean ill, or stop in the middle: each request has a clear end, nothing else suffers, and the pool
recovers.

Message formats: PostgreSQL, Frontend/Backend Protocol.
"""

import itertools
import struct
import threading
import time

import pytest

from bystander import Bystander
from daemon import CRASH, wait_until
from fake_server import FakeServer
from wire import RequestFailed


def message(kind, body=b""):
    return kind + struct.pack(">i", len(body) + 4) + body


def text(string):
    return string.encode() + b"\0"


def described(*columns):
    """RowDescription of (name, type's OID) each."""
    return message(b"T", struct.pack(">H", len(columns)) + b"".join(
        name + b"\0" + struct.pack(">IHIhih", 0, 0, oid, -1, -1, 0) for name, oid in columns))


def row(*values):
    return message(b"D", struct.pack(">H", len(values)) + b"".join(
        struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value for value in values))


def failure(message_text, severity=b"ERROR", code=b"42601", **fields):
    more = b"".join(kind.encode() + value + b"\0" for kind, value in fields.items())
    return message(b"E", b"S" + severity + b"\0V" + severity + b"\0C" + code + b"\0M" + message_text + b"\0" + more + b"\0")


def status(name, value):
    return message(b"S", text(name) + text(value))


READY = message(b"Z", b"I")
BEGUN = message(b"1") + message(b"2")  # ParseComplete, BindComplete
INT8, TEXT, BYTEA, BOOL, FLOAT8, NUMERIC, TIMESTAMP = 20, 25, 17, 16, 701, 1700, 1114


def done(tag, state=b"I"):
    """All of the answer to a statement without rows."""
    return BEGUN + message(b"n") + message(b"C", tag + b"\0") + message(b"Z", state)


ONE = described((b"a", INT8)) + row(b"1") + message(b"C", b"SELECT 1\0")
GOOD = BEGUN + ONE + READY
WELCOME = b"".join(status(name, value) for name, value in {
    "server_version": "15.0", "server_encoding": "UTF8", "client_encoding": "UTF8", "integer_datetimes": "on",
    "standard_conforming_strings": "on"}.items()) + message(b"K", struct.pack(">II", 1, 2)) + READY
ACCEPTED = message(b"R", struct.pack(">I", 0))


class FakePostgres(FakeServer):
    """Lets anybody in, and answers what the driver asks for itself; `answer` makes the replies to all else.

    An answer is bytes, or a function that is called with the connection and returns bytes; `None` hangs up.
    """

    def __init__(self, directory):
        self.answer, self.welcome = GOOD, ACCEPTED + WELCOME
        self.seen, self.attempts, self.cancels = [], 0, 0
        super().__init__(directory / ".s.PGSQL.5432")

    def talk(self, connection, stream):
        start = stream.read(struct.unpack(">I", stream.read(4))[0] - 4)
        if start[:4] == struct.pack(">I", 80877102):
            self.cancels += 1
            return
        self.attempts += 1
        if not self.say(connection, self.welcome):
            return
        sql = b""
        while kind := stream.read(1):
            body = stream.read(struct.unpack(">I", stream.read(4))[0] - 4)
            if kind == b"P":
                sql = body.split(b"\0")[1]
            if kind == b"Q":
                connection.sendall(ONE + READY)
            elif kind == b"S":
                self.seen.append(sql)
                if not self.say(connection, self.answer):
                    return

    def say(self, connection, answer):
        if callable(answer):
            answer = answer(connection)
        if answer is None:
            return False
        connection.sendall(answer)
        return True


class Place:
    def __init__(self, directory, start_daemon, limits="", url="postgresql://u@/d?host={}"):
        self.fake = FakePostgres(directory)
        config = directory / "pg.toml"
        config.write_text(f'[limits]\n{limits}\n[databases.pg]\nurl = "{url.format(directory)}"\n')
        self.daemon = start_daemon("--config", config)
        self.client = self.daemon.connect()

    def ends(self, sql="SELECT 1", **options):
        """How a statement ends: its error, or `None`."""
        options.setdefault("timeout_ms", 1000)
        try:
            self.client.query(sql, database="pg", **options)
        except RequestFailed as failed:
            return failed.data
        return None

    def begun(self):
        """A session within a transaction."""
        session = self.client.session(database="pg")
        self.fake.answer = done(b"BEGIN", b"T")
        self.client.query("BEGIN", session=session)
        return session

    def recovers(self):
        self.fake.answer, self.fake.welcome = GOOD, ACCEPTED + WELCOME
        wait_until(lambda: self.ends() is None, "the pool has recovered", interval=0.05)
        assert self.client.query("SELECT 1", database="pg").value == 1


@pytest.fixture
def place(directory, start_daemon):
    made = Place(directory, start_daemon)
    yield made
    made.fake.close()


def head(kind, length, rest=b""):
    return kind + struct.pack(">I", length & 0xffffffff) + rest


BROKEN = {
    "garbage": b"\xff" * 64,
    "zeros": b"\0" * 64,
    "length of zero": head(b"T", 0),
    "negative length": head(b"T", -1),
    "row of 2 GB": BEGUN + described((b"a", INT8)) + head(b"D", 0x7fffffff, b"\0\1"),
    "error of 1 GB": head(b"E", 1 << 30, b"S"),
    "too few values": BEGUN + described((b"a", INT8), (b"b", INT8)) + row(b"1") + message(b"C", b"SELECT 1\0") + READY,
    "too many values": BEGUN + described((b"a", INT8)) + row(b"1", b"2") + message(b"C", b"SELECT 1\0") + READY,
    "65,535 columns, and none": BEGUN + message(b"T", b"\xff\xff") + READY,
    "value beyond its row": BEGUN + described((b"a", TEXT)) + message(b"D", b"\0\1\0\0\xff\xff1") + READY,
    "value of negative length": BEGUN + described((b"a", TEXT)) + message(b"D", b"\0\1\xff\xff\xff\xf01") + READY,
    "row before its description": BEGUN + row(b"1") + message(b"C", b"SELECT 1\0") + READY,
    "rows after no data": BEGUN + message(b"n") + row(b"1") + message(b"C", b"SELECT 1\0") + READY,
    "description without names": BEGUN + message(b"T", b"\0\2aaaa") + READY,
    "unknown state of the transaction": BEGUN + ONE + message(b"Z", b"?"),
    "no state of the transaction": BEGUN + ONE + message(b"Z"),
    "copy in": BEGUN + message(b"G", b"\0\0\1\0\0"),
    "copy out": BEGUN + message(b"H", b"\0\0\1\0\0") + message(b"d", b"abc") + message(b"c") + READY,
    "copy both": BEGUN + message(b"W", b"\0\0\1\0\0"),
    "asks to log in again": message(b"R", struct.pack(">I", 3)),
    "suspended": BEGUN + described((b"a", INT8)) + row(b"1") + message(b"s") + READY,
    "nothing before it is ready": READY,
    "an error without fields": message(b"E", b"\0") + READY,
    "an error that has no end": message(b"E", b"Mabc") + READY,
    "unknown message": BEGUN + message(b"~", b"abc") + ONE + READY,
    "hangs up": None,
    "fatal in the middle": BEGUN + described((b"a", INT8)) + row(b"1") + failure(b"going down", b"FATAL", b"57P01"),
    "silence": b"",
    "half a message": BEGUN + ONE[:20],
    "two answers": BEGUN + ONE + READY + BEGUN + ONE + READY,
    "a late error": BEGUN + ONE + READY + failure(b"too late", b"FATAL", b"57P01"),
    "function result": message(b"V", b"\0\0\0\1x") + READY,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_none(place, answer):
    place.fake.answer = answer
    with Bystander(place.daemon):
        began = time.monotonic()
        for _ in range(3):
            error = place.ends()
            assert error is None or error["code"] in ("connect_failed", "timeout", "database_error", "outcome_unknown"), error
            assert error is None or error["message"], error
        assert time.monotonic() - began < 6
        assert place.daemon.memory_kib("VmHWM") < 100 << 10
        place.recovers()
    assert not CRASH.search(place.daemon.log())


def test_ready_before_the_end(place):
    """Nothing has to be waited for then."""
    place.fake.answer = BEGUN + described((b"a", INT8)) + READY
    assert place.ends(timeout_ms=10_000)["code"] == "connect_failed"
    place.fake.answer = READY
    assert place.ends("INSERT INTO t VALUES (1)", timeout_ms=10_000)["code"] == "outcome_unknown"
    place.recovers()


# Values that are none of their type reach the client as they are, or fail; never a trap.
VALUES = [(INT8, b"abc"), (INT8, b""), (INT8, b"9" * 40), (INT8, b"-9223372036854775809"), (FLOAT8, b"nonsense"), (FLOAT8, b""),
          (FLOAT8, b"1e999999"), (BOOL, b"maybe"), (BOOL, b""), (BYTEA, b"\\xZZ"), (BYTEA, b"\\x1"), (BYTEA, b"\\"), (BYTEA, b""),
          (NUMERIC, b"1" * 5000), (NUMERIC, b"."), (TIMESTAMP, b"\xff\xfe"), (TEXT, b"\xff\xfe\x80"), (TEXT, b"a\0b"),
          (0, b"x"), (0xffffffff, b"x")]


@pytest.mark.parametrize("oid, value", VALUES)
def test_a_value_that_is_none(place, oid, value):
    place.fake.answer = BEGUN + described((b"a", oid)) + row(value) + row(None) + message(b"C", b"SELECT 2\0") + READY
    result = place.client.query("SELECT 1", database="pg")
    assert len(result.rows) == 2 and result.rows[1][0] is None
    place.fake.answer = BEGUN + described((b"a\xff\x80", oid), (b"", oid), (b"x" * 5000, TEXT)) + message(b"C", b"SELECT 0\0") + READY
    assert len(place.client.query("SELECT 1", database="pg").columns) == 3
    assert place.client.call("health_check").data["status"] == "healthy"


TAGS = [b"", b"SELECT", b"SELECT 99999999999999999999999", b"INSERT 0 -1", b"INSERT 99999999999999999999 18446744073709551615",
        b"UPDATE x", b"\xff\xfe", b"x" * 10_000, b"COPY 9223372036854775807"]


@pytest.mark.parametrize("tag", TAGS)
def test_a_number_of_rows_that_is_none(place, tag):
    place.fake.answer = done(tag)
    assert place.ends("UPDATE t SET a = 1") is None
    # In a batch the numbers are added up.
    place.fake.answer = 3 * (BEGUN + message(b"n") + message(b"C", tag + b"\0")) + READY
    batch = {"statements": [{"sql": "UPDATE t SET a = $1", "param_rows": [[1], [2], [3]]}], "atomic": False, "database": "pg"}
    try:
        place.client.call("batch", batch)
    except RequestFailed as failed:
        assert failed.code != "internal"
    assert place.client.call("health_check").data["status"] == "healthy"


def endless(part):
    def answer(connection):
        connection.settimeout(0.2)
        block = part * (1 + 65536 // len(part))
        try:
            while True:
                connection.sendall(block)
        except TimeoutError:
            return None
    return answer


FLOODS = {
    "notices": message(b"N", b"SNOTICE\0VNOTICE\0C00000\0M" + b"x" * 200 + b"\0\0"),
    "parameters": status("some_parameter", "x" * 100),
    "many parameters": None,
    "notifications": message(b"A", struct.pack(">I", 1) + text("channel") + text("y" * 100)),
    "rows": row(b"1"),
    "errors": failure(b"again and again"),
    "completions": message(b"C", b"SELECT 1\0"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_an_answer_without_end(place, kind):
    if kind == "many parameters":
        numbers = itertools.count()
        part = b"".join(status(f"parameter_{next(numbers)}", "x") for _ in range(20_000))
    else:
        part = FLOODS[kind]
    before = place.daemon.memory_kib()
    place.fake.answer = lambda connection: (connection.sendall(BEGUN + described((b"a", INT8))), endless(part)(connection))[1]
    with Bystander(place.daemon):
        error = place.ends(timeout_ms=700, max_rows=1000) if kind == "rows" else place.ends(timeout_ms=700)
        assert error is None or error["code"] in ("timeout", "connect_failed", "database_error", "syntax_error"), error
        assert place.daemon.memory_kib("VmHWM") - before < 48 << 10
        place.recovers()


def test_a_row_that_is_too_large(place):
    """libpq gathers a row before anybody can see its length: it is refused then, and its memory is given back."""
    before = place.daemon.memory_kib()
    size = 100 << 20
    place.fake.answer = lambda connection: (
        BEGUN + described((b"a", TEXT)) + row(b"x" * size) + message(b"C", b"SELECT 1\0") + READY)
    with Bystander(place.daemon):
        error = place.ends(timeout_ms=10_000)
        assert error["code"] == "limit_exceeded" and "row_bytes_max" in error["message"], error
        assert place.daemon.memory_kib("VmHWM") - before < 3 * (size >> 10)
        place.recovers()
        wait_until(lambda: place.daemon.memory_kib() - before < 32 << 10, "its memory is given back")


def test_a_message_for_the_log(directory, start_daemon):
    """A server's words are one line of the log at most, without control characters, and without the password."""
    place = Place(directory, start_daemon, url="postgresql://u:Xq7hidden@/d?host={}")
    place.fake.welcome = failure(b"no\n2026-01-01T00:00:00.000Z error  forged \x1b[31mXq7hidden\x07", b"FATAL", b"28000")
    error = place.ends()
    assert error["code"] == "connect_failed" and "Xq7hidden" not in str(error)
    log = place.daemon.log()
    assert "Xq7hidden" not in log and "\x1b" not in log and "\x07" not in log
    assert not any(line.startswith("2026-01-01T00:00:00.000Z") for line in log.splitlines())
    place.recovers()
    place.fake.close()


WELCOMES = {
    "silence": b"",
    "hangs up": None,
    "garbage": b"\xff" * 64,
    "old error": b"Eno room\0",
    "error of 1 MB": failure(b"x" * (1 << 20), b"FATAL", b"53300"),
    "unknown way to log in": message(b"R", struct.pack(">I", 99)),
    "unknown mechanism": message(b"R", struct.pack(">I", 10) + b"NONSENSE\0\0"),
    "no way to log in": message(b"R"),
    "ready before it lets in": READY,
    "accepts and is silent": ACCEPTED,
    "never ready": ACCEPTED + status("server_version", "15.0") * 10,
    "wants another version": message(b"v", struct.pack(">II", 0, 0)),
}


@pytest.mark.parametrize("welcome", WELCOMES.values(), ids=WELCOMES)
def test_a_welcome_that_is_none(directory, start_daemon, welcome):
    place = Place(directory, start_daemon, "connect_ms_max = 400")
    place.fake.welcome = welcome
    with Bystander(place.daemon):
        began = time.monotonic()
        error = place.ends(timeout_ms=5000)
        assert error["code"] == "connect_failed" and error["message"], error
        assert time.monotonic() - began < 3
        attempts = place.fake.attempts
        clients = [place.daemon.connect() for _ in range(20)]
        ids = [client.send_query("SELECT 1", database="pg", timeout_ms=1000) for client in clients]
        for client, id in zip(clients, ids):
            with pytest.raises(RequestFailed):
                client.collect(id)
        # Waiting between attempts, and not one for each client.
        assert place.fake.attempts - attempts < 60
        place.recovers()
    place.fake.close()


GREETINGS = {
    "version": status("server_version", "nonsense"),
    "no version": status("server_version", ""),
    "encoding": status("client_encoding", "LATIN1"),
    "unknown encoding": status("client_encoding", "NONSENSE"),
    "dates": status("integer_datetimes", "off"),
    "strings": status("standard_conforming_strings", "off"),
}


@pytest.mark.parametrize("parameter", GREETINGS.values(), ids=GREETINGS)
def test_an_odd_parameter(place, parameter):
    place.fake.welcome = ACCEPTED + WELCOME[:-len(READY)] + parameter + READY
    error = place.ends()
    assert error is None or error["code"] == "connect_failed", error
    place.recovers()


def test_a_session_whose_server_lies_about_its_transaction(place):
    client = place.client
    session = place.begun()
    place.fake.answer = done(b"COMMIT", b"T")
    # What the server says of the state is told, not what the word was.
    assert client.query("COMMIT", session=session).transaction == "active"
    place.fake.answer = GOOD
    client.call("db_disconnect", {"session": session})
    place.recovers()


def test_a_commit_without_an_answer(place):
    client = place.client
    session = place.begun()
    place.fake.answer = None
    error = client.query_fails("COMMIT", session=session)
    assert (error["code"], error.get("retryable")) == ("outcome_unknown", None), error
    place.recovers()


def test_a_cancel_that_nobody_hears(place):
    """The answer comes after the client was told of the end: it must not be the next one's."""
    late = threading.Event()

    def answer(connection):
        late.wait(10)
        return BEGUN + described((b"a", INT8)) + row(b"666") + message(b"C", b"SELECT 1\0") + READY

    place.fake.answer = answer
    id = place.client.send_query("SELECT 1", database="pg")
    wait_until(lambda: place.fake.seen, "it has been sent")
    began = time.monotonic()
    assert place.client.call("cancel", {"request": id}).data["cancelled"] is True
    with pytest.raises(RequestFailed) as failed:
        place.client.collect(id)
    assert failed.value.code in ("cancelled", "outcome_unknown") and time.monotonic() - began < 5
    assert place.fake.cancels >= 1
    place.fake.answer = GOOD
    late.set()
    assert [place.client.query("SELECT 1", database="pg").value for _ in range(20)] == [1] * 20


def test_a_server_that_hangs_up_when_idle(place):
    """Each connection is closed as soon as it is ready: the pool does not make new ones all the time."""
    place.fake.welcome = lambda connection: (connection.sendall(ACCEPTED + WELCOME), None)[1]
    for _ in range(3):
        place.ends()
    attempts, before = place.fake.attempts, place.daemon.cpu_seconds()
    time.sleep(1)
    assert place.fake.attempts - attempts <= 5
    assert place.daemon.cpu_seconds() - before < 0.3
    place.recovers()
