"""Servers for PostgreSQL that mean ill: nobody waits for them, nothing is given away, nothing grows, and when they are well
again so is the pool."""

import base64
import re
import socket
import ssl
import struct
import threading
import time

import pytest

from bystander import Bystander
from certificates import Authority
from daemon import SANITIZER, wait_until
from loop_probe import serves_meanwhile
from fake_postgresql import (FakePostgreSQL, Gone, WELCOME, authentication, complete, described, error, fields, message,
                             notice, notification, parameter, ready, row, rows)
from wire import RequestFailed

SECRET = "Xq7hidden"
# What the protocol promises about an error, whoever made it.
CODES = {"connect_failed", "database_error", "outcome_unknown", "limit_exceeded", "timeout", "cancelled", "busy"}
LIMITS = "connect_ms_max = 400\npool_connections_max = 3\n"


@pytest.fixture
def fake(directory):
    server = FakePostgreSQL(directory)
    yield server
    server.close()


@pytest.fixture
def start(fake, directory, start_daemon):
    """Starts a daemon before the fake server."""
    def start(limits="", url=None, more=""):
        config = directory / "pg.toml"
        config.write_text(f'{more}\n[limits]\n{LIMITS}{limits}\n[databases.pg]\nurl = "{url or fake.url()}"\n'
                          f'[databases.sealed]\nurl = "{url or fake.url()}"\naccess = "read_only"\n')
        return start_daemon("--config", config)

    return start


def on(client, sql="SELECT 1", params=None, **options):
    return client.query(sql, params, database="pg", **options)


def fails(client, sql="SELECT 1", params=None, **options):
    """The error of a request, which has all that an error must have."""
    data = client.query_fails(sql, params, **{"database": "pg", "timeout_ms": 2000, **options})
    assert data["code"] in CODES and data["message"] and re.fullmatch("[0-9A-Z]{5}", data["sqlstate"]), data
    return data


def recovers(client, server, seconds=6):
    """The server is well again: soon it is used again, and answers belong to their statements."""
    server.behave()

    def works():
        try:
            return on(client, timeout_ms=1000).value == 1
        except RequestFailed as failure:
            assert failure.code in ("connect_failed", "busy", "database_error", "timeout"), failure
            return False

    wait_until(works, "the database works again", timeout=seconds, interval=0.05)
    server.answer = lambda talk, sql: rows(re.search("[0-9]+", sql)[0].encode())
    for number in range(20):
        assert on(client, f"SELECT {number}").value == number
    server.behave()


def grown_kib(daemon, before):
    return daemon.memory_kib("VmHWM") - before


def one_line_per_record(daemon):
    """Whatever the server says, each line of the log is one that the daemon has begun."""
    log = daemon.log()
    assert SECRET not in log and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", log), log[-3000:]
    strange = [line for line in log.splitlines() if not re.match(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z [a-z]+ ", line)]
    assert not strange, strange[:10]


# Being let in

STEPS = ["accepted", "asked for the password", "let in", "in the parameters", "first question", "last question"]


def stop_at(fake, step, stop):
    def welcome(talk):
        if step == "asked for the password":
            talk.send(authentication(5, b"salt"))
        elif step == "let in":
            talk.send(authentication(0))
        elif step == "in the parameters":
            talk.send(WELCOME[:60])
        elif "question" in step:
            return talk.send(WELCOME)
        stop(talk)

    def own(talk, sql):
        if ("pg_type" if step == "last question" else "pg_backend_pid") in sql:
            stop(talk)
        return FakePostgreSQL.own(fake, talk, sql)

    fake.welcome, fake.own = welcome, own


def hang_up(talk):
    raise Gone


@pytest.mark.parametrize("step", STEPS)
def test_silence_at_each_step_of_the_start(start, fake, step):
    """Whoever waits is told in time; each attempt ends, and gives its place in the pool to another one."""
    stop_at(fake, step, lambda talk: talk.silence())
    daemon = start()
    client = daemon.connect()
    with Bystander(daemon, patience=1):
        for _ in range(2):
            started = time.monotonic()
            data = fails(client)
            assert (data["code"], data["sqlstate"], data.get("retryable")) == ("connect_failed", "08001", True), data
            assert time.monotonic() - started < 1.5
            time.sleep(data.get("retry_after_ms", 0) / 1000)
        # As many as the pool has places, and one more.
        ids = [client.send_query("SELECT 1", database="pg") for _ in range(4)]
        for id in ids:
            with pytest.raises(RequestFailed) as failure:
                client.collect(id)
            assert failure.value.code == "connect_failed"
        wait_until(lambda: not fake.talks, "attempts end", timeout=4)
        recovers(client, fake)


@pytest.mark.parametrize("step", STEPS)
def test_hanging_up_at_each_step_of_the_start(start, fake, step):
    stop_at(fake, step, hang_up)
    client = start().connect()
    if "question" not in step:
        data = fails(client)
        assert (data["code"], data["sqlstate"], data.get("retryable")) == ("connect_failed", "08001", True), data
    else:
        # It was a server that lets one in: that it goes is found out at the latest with the first statement.
        assert fails(client)["code"] == "connect_failed"
    count = fake.connection_count
    for _ in range(200):
        client.query_fails("SELECT 1", database="pg")
    # Not once for each request: attempts become rarer.
    assert fake.connection_count - count < 20
    recovers(client, fake)


def test_a_byte_at_a_time(start, fake):
    def welcome(talk):
        for byte in WELCOME:
            talk.send(bytes([byte]))
            time.sleep(0.1)

    fake.welcome = welcome
    daemon = start()
    client = daemon.connect()
    with Bystander(daemon, patience=1):
        started = time.monotonic()
        assert fails(client)["code"] == "connect_failed" and time.monotonic() - started < 1.5
        wait_until(lambda: not fake.talks, "the attempt ends", timeout=4)
        recovers(client, fake)


GREETINGS = {
    "nothing of this protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 5000,
    "zeros": b"\0" * 100, "ones": b"\xff" * 100,
    "length 0": message(b"R", length=0), "negative length": message(b"R", length=-1), "2 GB": message(b"R", length=0x7fffffff),
    "error of length 0": message(b"E", length=0), "error of 2 GB": message(b"E", length=0x7fffffff) + b"x" * 100,
    "error without fields": message(b"E", b"\0"), "nothing in the error": message(b"E"),
    "error that does not end": message(b"E", b"SERROR\0Mhello", length=4 + 13),
    "unknown authentication": authentication(99), "authentication cut short": message(b"R", b"\0"),
    "SASL with what nobody knows": authentication(10, b"ROT13\0SCRAM-MD4\0\0"), "SASL with nothing": authentication(10, b"\0"),
    "SASL that begins at the end": authentication(12, b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="),
    "SASL that goes on before it has begun": authentication(11, b"r=x,s=y,i=1"),
    "Kerberos": authentication(2), "crypt": authentication(4, b"ab"), "SCM": authentication(6), "GSS": authentication(7),
    "more GSS": authentication(8, b"x"), "SSPI": authentication(9),
    "ready before anybody is let in": ready(), "rows at once": rows(b"1"),
    "a negotiation of versions": message(b"v", b"\0\0\0\0\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_greeting_that_is_none(start, fake, greeting):
    def welcome(talk):
        talk.send(greeting)
        talk.silence()

    fake.welcome = welcome
    daemon = start(url=fake.url(user=f"u:{SECRET}"))
    client = daemon.connect()
    started = time.monotonic()
    data = fails(client)
    assert (data["code"], data["sqlstate"]) == ("connect_failed", "08001") and time.monotonic() - started < 1.5, data
    assert SECRET not in str(data)
    recovers(client, fake)
    one_line_per_record(daemon)


def test_a_server_that_asks_for_the_password_in_clear(start, fake):
    """It gets it, over a Unix socket: who may listen there is a matter of the directory's rights, or of requirepeer."""
    def welcome(talk):
        talk.send(authentication(3))
        kind, body = talk.next()
        assert (kind, body) == (b"p", SECRET.encode() + b"\0")
        talk.send(error("28P01", f'password "{SECRET}" is wrong\nFORGED', "FATAL"))
        raise Gone

    fake.welcome = welcome
    daemon = start(url=fake.url(user=f"u:{SECRET}"))
    data = fails(daemon.connect())
    assert data["code"] == "connect_failed" and SECRET not in str(data) and "***" in data["detail"]
    one_line_per_record(daemon)


FLOODS = {
    "notices": notice("FORGED \x1b[31m\nFORGED " + SECRET) * 500,
    "parameters": parameter("application_name", "x" * 1000) * 500,
    "notifications": notification(payload="y" * 1000) * 500,
    "an error without end": b"E" + b"x" * 100_000,
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("step", ["accepted", "let in", "first question"])
def test_floods_at_the_start(start, fake, step, flood):
    """Attempts have an end, and their memory too; nothing of it gets into the log."""
    stop_at(fake, step, lambda talk: talk.flood(FLOODS[flood]))
    daemon = start(url=fake.url(user=f"u:{SECRET}"))
    client = daemon.connect()
    before = daemon.memory_kib("VmHWM")
    with Bystander(daemon, patience=2):
        assert fails(client)["code"] == "connect_failed"
        wait_until(lambda: not fake.talks, "the attempt ends", timeout=5)
    assert grown_kib(daemon, before) < 64 << 10
    one_line_per_record(daemon)
    assert len(daemon.log()) < 100_000
    recovers(client, fake)


def test_rows_without_end_at_the_start(start, fake):
    def own(talk, sql):
        if "pg_type" in sql:
            talk.send(described(("oid", 26), ("name", 25)))
            talk.flood(row(b"99999", b"n" * 100_000))
        return FakePostgreSQL.own(fake, talk, sql)

    fake.own = own
    daemon = start()
    client = daemon.connect()
    before = daemon.memory_kib("VmHWM")
    assert fails(client)["code"] == "connect_failed"
    wait_until(lambda: not fake.talks, "the attempt ends", timeout=5)
    assert grown_kib(daemon, before) < 64 << 10
    recovers(client, fake)


def test_what_the_server_says_while_it_lets_one_in(start, fake):
    """It is nobody's: PostgreSQL 15 warns of collations so. libpq would write it to the standard error stream, as it is."""
    fake.welcome = lambda talk: talk.send(WELCOME[:9] + notice("FORGED\n<3>FORGED " + SECRET) + WELCOME[9:])
    daemon = start(url=fake.url(user=f"u:{SECRET}"))
    assert on(daemon.connect()).value == 1
    one_line_per_record(daemon)
    assert "FORGED" not in daemon.log()


def test_a_refusal_full_of_mischief(start, fake):
    words = f"no\nFORGED level=error\r\x1b]0;owned\x07 {SECRET} \x9b31m \u202e"
    fake.welcome = lambda talk: (talk.send(error("28000", words, "FATAL", D=words, H=words)), talk.silence())
    daemon = start(url=fake.url(user=f"u:{SECRET}"))
    client = daemon.connect("lines")
    data = fails(client)
    assert data["code"] == "connect_failed" and SECRET not in str(data)
    one_line_per_record(daemon)
    recovers(client, fake)


def test_facts_that_are_nonsense(start, fake):
    """Of a server that is something else: as little as possible is taken for granted, and that works."""
    fake.welcome = lambda talk: talk.send(
        authentication(0) + parameter("server_version", "\x1b[31m\nFORGED" + "9" * 20_000)
        + parameter("server_encoding", "KLINGON")
        + parameter("client_encoding", "LATIN1") + parameter("integer_datetimes", "off")
        + parameter("standard_conforming_strings", "maybe") + message(b"K", b"\xff" * 8) + ready())

    def own(talk, sql):
        if "pg_backend_pid" in sql:
            return described(("pid", 23), ("interval", 25)) + row(b"99999999999999999999", None) + complete("SELECT 1")
        if "pg_type" in sql:
            return (described(("oid", 26), ("name", 25)) + row(None, None) + row(b"-1", b"x") + row(b"70000", b"\xff" * 50_000)
                    + complete("SELECT 3"))
        return FakePostgreSQL.own(fake, talk, sql)

    fake.own = own
    daemon = start()
    client = daemon.connect("lines")
    fake.answer = lambda talk, sql: rows(b"\xff\xfe", oid=25)
    assert on(client).value == b"\xff\xfe"
    fake.answer = lambda talk, sql: rows(b"x", oid=70_000)
    assert len(str(on(client).columns)) < 1000
    opened = client.call("db_connect", {"database": "pg"})
    assert len(opened.raw) < 2000, opened
    one_line_per_record(daemon)


@pytest.mark.parametrize("where", ["first", "second"])
@pytest.mark.parametrize("step", STEPS[:4])
def test_one_of_two_servers_says_nothing(start, fake, directory, step, where):
    """The other one is used, whichever comes first, as libpq does it."""
    other = FakePostgreSQL(directory, address=("127.0.0.1", 0))
    stop_at(fake, step, lambda talk: talk.silence())
    servers = [(str(directory), "5432"), ("127.0.0.1", str(other.listener.getsockname()[1]))]
    hosts, ports = map(",".join, zip(*(servers if where == "first" else reversed(servers))))
    client = start(url=f"postgresql://u:{SECRET}@/d?host={hosts}&port={ports}&connect_timeout=1").connect()

    def works():
        try:
            return on(client).value == 1
        except RequestFailed as failure:
            assert failure.code == "connect_failed"
            return False

    wait_until(works, "the other one is used", timeout=5, interval=0.05)
    assert other.connection_count > 0 and (where == "first") == (fake.connection_count > 0)
    other.close()


def test_an_address_that_takes_no_connection(start, fake, directory):
    """As of a machine that is off: what is sent there is lost."""
    other = FakePostgreSQL(directory, address=("127.0.0.1", 0))
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):
        waiting.append(socket.socket())
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(full.getsockname())
    ports = f"{full.getsockname()[1]},{other.listener.getsockname()[1]}"
    client = start(url=f"postgresql://u@/d?host=127.0.0.1,127.0.0.1&port={ports}").connect()
    assert on(client).value == 1, "who asks first waits for the other one"
    client = start(url=f"postgresql://u@127.0.0.1:{full.getsockname()[1]}/d").connect()
    wait_until(lambda: "failed: timeout expired" in fails(client).get("detail", ""), "the reason is told", timeout=5)
    for each in [*waiting, full]:
        each.close()
    other.close()


def test_who_asks_first_waits_for_all_servers(start, fake, directory):
    """Each has the time of connect_ms_max; when none answers, the error names them all."""
    stop_at(fake, STEPS[0], lambda talk: talk.silence())
    other = FakePostgreSQL(directory, address=("127.0.0.1", 0))
    port = other.listener.getsockname()[1]
    client = start(url=f"postgresql://u@/d?host={directory},127.0.0.1&port=5432,{port}").connect()
    started = time.monotonic()
    assert on(client).value == 1
    assert time.monotonic() - started < 1
    stop_at(other, STEPS[0], lambda talk: talk.silence())
    client = start(url=f"postgresql://u@/d?host={directory},127.0.0.1&port=5432,{port}").connect()
    started = time.monotonic()
    assert "(connect_ms_max for each of 2)" in fails(client)["message"]
    assert time.monotonic() - started < 1.5
    # The attempt ends a moment after its request, which has waited for as long as both may take; who asks soon is told how.
    for _ in range(10):
        time.sleep(0.02)
        detail = fails(client).get("detail", "")
        if detail:
            break
    assert (f'"{directory}", port 5432 failed: timeout expired; connection to server at "127.0.0.1", port {port} '
            "failed: timeout expired") in detail
    other.close()


def test_one_name_for_two_addresses(start, fake, directory):
    """As where both have the same certificate: the one that says nothing is told from the other by its address."""
    silent = FakePostgreSQL(directory, address=("127.0.0.1", 0))
    stop_at(silent, STEPS[0], lambda talk: talk.silence())
    port = silent.listener.getsockname()[1]
    other = FakePostgreSQL(directory, address=("127.0.0.2", port))
    client = start(url=f"postgresql://u@db.example,db.example/d?hostaddr=127.0.0.1,127.0.0.2&port={port}").connect()
    assert on(client).value == 1
    silent.close()
    other.close()


TLS_ANSWERS = {"an error": error("53300", f"FORGED\n{SECRET}", "FATAL"), "an error without end": b"E" + b"x" * 200_000,
               "refusal": b"N", "garbage": b"\x99" * 100, "consent, then garbage": b"S" + b"\x99" * 1000}


@pytest.mark.parametrize("answer", TLS_ANSWERS.values(), ids=TLS_ANSWERS)
def test_answers_to_the_wish_for_encryption(start, directory, answer):
    network = FakePostgreSQL(directory, address=("127.0.0.1", 0))
    network.encryption = answer
    daemon = start(url=network.url(user=f"u:{SECRET}", more="&sslmode=require"))
    started = time.monotonic()
    data = fails(daemon.connect())
    assert data["code"] == "connect_failed" and SECRET not in str(data) and time.monotonic() - started < 1.5
    one_line_per_record(daemon)
    network.close()


def test_records_of_tls_larger_than_what_libpq_reads(start, directory):
    """libpq takes half of such a record, and the socket has no more: what is left within the TLS library is not forgotten.
    PostgreSQL itself sends records of 8 KiB; what ends TLS before it may send 16."""
    pki = Authority(directory, "ca")
    certificate, key = pki.sign("localhost", "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    network = FakePostgreSQL(directory, address=("127.0.0.1", 0))
    network.encrypt(context)
    client = start(url=network.url(more="&sslmode=require")).connect()
    assert on(client).value == 1
    network.synced = lambda talk: talk.sql == "SELECT 1" or talk.send(ready(talk.status))
    for size in (100, 5_000, 9_000, 16_300, 20_000, 40_000, 100_000, 1_000_000):
        for count in (1, 2, 7, 50):
            network.answer = lambda talk, sql: rows(*[b"x" * size] * count, oid=25) + ready()
            # What is forgotten never comes: without the limit of time a busy machine has all the time that it needs.
            assert [len(value) for value, in on(client, timeout_ms=60_000).rows] == [size] * count, (size, count)
    network.close()


# Answers to statements

def columns_of(count):
    return described(*((f"c{index}", 23) for index in range(count)))


NONSENSE = {
    "garbage": b"\x99" * 5000, "zeros": b"\0" * 100, "unknown kind": message(b"!", b"abc"), "nothing but the end": b"",
    "length 0": message(b"T", length=0), "length 3": message(b"T", length=3), "negative length": message(b"D", length=-5),
    "2 GB in a short kind": message(b"C", b"SELECT", length=0x7fffffff),
    "fewer columns": described(("a", 23), ("b", 23)) + row(b"1") + complete("SELECT 1"),
    "more columns": described(("a", 23)) + row(b"1", b"2") + complete("SELECT 1"),
    "65535 columns that are not there": message(b"T", b"\xff\xff" + b"x") + complete("SELECT 1"),
    "65535 values that are not there": described(("a", 23)) + message(b"D", b"\xff\xff") + complete("SELECT 1"),
    "value longer than its row": described(("a", 23)) + message(b"D", b"\0\1\x40\0\0\0" + b"1") + complete("SELECT 1"),
    "value of negative length": described(("a", 23)) + message(b"D", b"\0\1\xff\xff\xff\xfe" + b"1") + complete("SELECT 1"),
    "row before its description": row(b"1") + complete("SELECT 1"),
    "description in the middle": columns_of(2) + row(b"1", b"2") + columns_of(1) + row(b"3") + complete("SELECT 2"),
    "ended twice": rows(b"1") + complete("SELECT 1"), "two results": rows(b"1") + rows(b"2"),
    "copy in": message(b"G", b"\0\0\0"), "copy out": message(b"H", b"\0\0\0") + message(b"d", b"x\n"),
    "copy both": message(b"W", b"\0\0\0"), "copied data": message(b"d", b"x\n") + complete("SELECT 1"),
    "authentication": authentication(3), "a key": message(b"K", b"\0" * 8) + message(b"K"),
    "function call": message(b"V", b"\0\0\0\1x"), "suspended": columns_of(1) + row(b"1") + message(b"s"),
    "ready too early": ready() + rows(b"1"), "prepared again": message(b"1") * 3,
    "error without fields": message(b"E", b"\0"), "error without anything": message(b"E"),
    "error with half a field": message(b"E", b"M"),
    "error without a state": fields(b"E", {"S": "ERROR", "M": "oh"}),
    "error with an odd state": error("\x1b[1m", "x"), "error at an absurd place": error("42601", "x", P="99999999999999999999"),
    "fatal in the middle of rows": described(("a", 23)) + row(b"1") + error("57P01", "bye", "FATAL"),
}
# The server says that the statement has failed.
TELLING = {"error with an odd state", "error at an absurd place", "fatal in the middle of rows"}
# After these a client can be told nothing but what is right.
HARMLESS = {"a key", "copied data", "prepared again"}


@pytest.mark.parametrize("sql", ["SELECT 1", "INSERT 1", "CALL 1"])
@pytest.mark.parametrize("name", NONSENSE)
def test_answers_that_are_nonsense(start, fake, name, sql):
    """Each ends in an error, and where the statement writes nobody is told that it has not, unless the server says so."""
    daemon = start()
    client = daemon.connect()
    on(client)
    fake.answer = lambda talk, _: NONSENSE[name]
    with Bystander(daemon, patience=1):
        try:
            client.query(sql, database="pg", timeout_ms=300)
            outcome = "well"
        except RequestFailed as failure:
            data = failure.data
            outcome = data["code"]
            assert outcome in CODES | {"syntax_error"} and data["sqlstate"], data
            if not sql.startswith("SELECT") and name not in TELLING:
                assert outcome == "outcome_unknown" and not data.get("retryable"), data
        assert outcome != "well" or name in HARMLESS, outcome
        recovers(client, fake)
    one_line_per_record(daemon)


def test_text_that_is_not_utf_8(start, fake, mode):
    """Values come as blobs, names of columns somehow; each reply is well-formed."""
    client = start().connect(mode)
    bad = b"\xff\xfe\xc0\x80\xed\xa0\x80"
    fake.answer = lambda talk, sql: described((bad, 25), (b"", 25), (bad, 99_999)) + row(bad, b"", bad) + complete("SELECT 1")
    result = on(client)
    assert result.rows == [[bad, "", bad]] and len(result.columns) == 3
    fake.answer = lambda talk, sql: fields(b"E", {"C": "22021", "M": bad + b" x", "D": bad, "H": bad})
    assert fails(client)["sqlstate"] == "22021"
    client.settle()


def test_numbers_that_are_none(start, fake, mode):
    """What cannot be read as its type says is told as text."""
    client = start().connect(mode)
    odd = [b"", b"-", b".", b"9223372036854775808", b"1e999", b"0x10", b" 1", b"NaN", b"maybe", b"\xff\xfe", b"a\0b", b"1" * 5000]
    for oid in (0, 16, 17, 20, 23, 25, 700, 701, 1114, 1700, 0xffffffff):
        fake.answer = lambda talk, sql: rows(*odd, b"\\x0", b"\\xzz", b"\\", b"\\9", b"\\x", oid=oid)
        assert len(on(client).rows) == len(odd) + 5
    client.settle()


@pytest.mark.parametrize("tag", ["INSERT 0 99999999999999999999999", "INSERT 0 -5", "INSERT 0 9223372036854775808", "INSERT",
                                 "SELECT 99999999999999999999", "", "UPDATE 12x", "\x1b[31mDROP 1\n", "x" * 20_000])
def test_absurd_counts(start, fake, tag):
    client = start().connect()
    fake.answer = lambda talk, sql: complete(tag)
    count = on(client, "INSERT 1").last.get("rows_affected", 0)
    assert 0 <= count < 1 << 63
    statement = {"sql": "INSERT INTO t VALUES ($1)", "param_rows": [[1], [2], [3]]}
    for atomic in (True, False):
        results = client.call("batch", {"statements": [statement], "atomic": atomic, "database": "pg"}).data["results"]
        assert 0 <= results[0].get("rows_affected", 0) < 1 << 63, results
    client.settle()


def test_as_many_columns_as_there_can_be(start, fake):
    """Of types that nobody has heard of: each is asked about once, and others are served meanwhile."""
    daemon = start("frame_bytes_max = 16777216")
    client = daemon.connect()
    count = 65_535
    fake.answer = lambda talk, sql: (described(*((f"c{index}", 100_000 + index) for index in range(count)))
                                     + row(*[b"1"] * count) + complete("SELECT 1"))

    def read():
        client = daemon.connect()
        on(client, "SELECT 0", max_rows=1)
        assert len(on(client).rows[0]) == count

    serves_meanwhile(daemon, read, "many columns", sql="SELECT 7", wrong=lambda probe: probe.slow_but_for(0, 400))
    recovers(daemon.connect(), fake)


# Too much of it

FLOODS_IN_A_RUN = {
    "notices": notice("n" * 1000) * 100, "parameters": parameter("a", "x" * 1000) * 100,
    "notifications": notification(payload="y" * 1000) * 100,
}


@pytest.mark.parametrize("flood", FLOODS_IN_A_RUN)
@pytest.mark.parametrize("sql", ["SELECT 1", "INSERT 1"])
def test_floods_instead_of_an_answer(start, fake, flood, sql):
    daemon = start()
    client = daemon.connect()
    on(client)
    # For longer than the statement has; then the daemon has asked for its end, and waits for it.
    fake.answer = lambda talk, _: talk.flood(FLOODS_IN_A_RUN[flood], seconds=1.5)
    daemon.reset_peak()
    before = daemon.memory_kib()
    with Bystander(daemon, patience=1):
        data = fails(client, sql, timeout_ms=1000)
        # libpq does not tell of parameters: a row that does not end looks the same.
        assert data["code"] in (("timeout", "limit_exceeded") if sql == "SELECT 1" else ("outcome_unknown",))
        wait_until(lambda: not fake.talks, "its connection is closed", timeout=8)
    assert grown_kib(daemon, before) < 48 << 10
    recovers(client, fake)


def test_a_server_that_stops_in_the_middle_of_a_message(start, fake):
    """What the loop does for others meanwhile is not taken for work on what the server has said."""
    daemon = start(more="loops = 1")
    client = daemon.connect()
    assert on(client).value == 1
    stopped, others_are_done = threading.Event(), threading.Event()
    (talk,) = fake.talks
    long_notice = notice("x" * 200_000)
    next_message = talk.next

    def stop_before_the_parameters():
        if talk.received[-1] == b"P" and not stopped.is_set():
            talk.send(long_notice[:100_000])
            stopped.set()
            assert others_are_done.wait(30)
            # It reads first: the daemon goes on sending before it hears more.
            message = next_message()
            talk.send(long_notice[100_000:])
            return message
        return next_message()

    talk.next = stop_before_the_parameters
    id = client.send_query("SELECT $1", ["x" * 8_000_000], database="pg")
    assert stopped.wait(10)
    other, before = daemon.connect(), daemon.cpu_seconds()
    while daemon.cpu_seconds() - before < 0.4:
        for health in [other.send("health_check") for _ in range(100)]:
            other.answer(health)
    others_are_done.set()
    assert client.collect(id).value == 1


def test_new_parameters_without_end(start, fake):
    """libpq keeps each of them in a list that it goes through for the next one."""
    daemon = start()
    client = daemon.connect()
    on(client)

    new = b"".join(parameter(f"p{index}", "x") for index in range(300_000))
    fake.answer = lambda talk, _: talk.flood(new)
    daemon.reset_peak()
    before = daemon.memory_kib()
    with Bystander(daemon, patience=1) as bystander:
        data = client.query_fails("SELECT 1", database="pg")
        assert (data["code"], data["sqlstate"]) == ("database_error", "08P01")
        wait_until(lambda: not fake.talks, "its connection is closed", timeout=8)
    assert grown_kib(daemon, before) < 48 << 10
    assert bystander.slowest < 0.5
    recovers(client, fake)


def test_new_parameters_while_nobody_asks(start, fake):
    daemon = start()
    client = daemon.connect()
    on(client)
    daemon.reset_peak()
    before = daemon.memory_kib()
    with Bystander(daemon, patience=1) as bystander:
        with pytest.raises(Gone):
            fake.talks[0].flood(b"".join(parameter(f"p{index}", "x") for index in range(300_000)))
    assert grown_kib(daemon, before) < 48 << 10 and bystander.slowest < 0.5
    recovers(client, fake)


@pytest.mark.parametrize("flood", FLOODS_IN_A_RUN)
def test_floods_while_nobody_asks(start, fake, flood):
    daemon = start()
    client = daemon.connect()
    session = client.session(database="pg")
    client.query("SELECT 1", session=session)
    daemon.reset_peak()
    before = daemon.memory_kib()
    with Bystander(daemon, patience=1):
        try:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                fake.talks[0].send(FLOODS_IN_A_RUN[flood])
        except (Gone, IndexError):
            pass
    assert grown_kib(daemon, before) < 32 << 10


@pytest.mark.parametrize("of", ["BEGIN", "SELECT", "INSERT INTO t VALUES ($1)", "COMMIT"])
def test_rows_without_end_where_none_belong(start, fake, of):
    """What is not the client's result is not kept, however much it is."""
    daemon = start("statement_time_ms_max = 700")
    client = daemon.connect()

    def flood(talk):
        talk.send(described(("a", 25)))
        talk.flood(row(b"x" * 100_000))

    honest = fake.own
    fake.own = lambda talk, sql: flood(talk) if sql == of else honest(talk, sql)
    fake.answer = lambda talk, sql: flood(talk) if sql == of else complete("INSERT 0 1")
    daemon.reset_peak()
    before = daemon.memory_kib()
    with Bystander(daemon, patience=1):
        if of == "SELECT":
            data = client.query_fails("SELECT 7", database="sealed")
        else:
            statement = {"sql": "INSERT INTO t VALUES ($1)", "param_rows": [[1], [2]]}
            data = client.fails("batch", {"statements": [statement], "database": "pg"})
        assert data["code"] in ("timeout", "outcome_unknown")
    assert grown_kib(daemon, before) < 48 << 10


def test_rows_without_end_for_a_client_that_does_not_read(start, fake):
    """The server has to wait."""
    daemon = start("write_stall_ms_max = 60000")
    client = daemon.connect()
    sent, left = [], threading.Event()

    def flood(talk, sql):
        talk.send(described(("a", 25)))
        while True:
            talk.send(row(b"x" * 10_000) * 10)
            sent.append(100_000)
            # Nobody has to read all that it can say while the daemon waits for the end that it has asked for.
            if left.is_set():
                time.sleep(0.003)

    fake.answer = flood
    client.send_query("SELECT 1", database="pg")
    wait_until(lambda: sent, "it begins")
    with Bystander(daemon, patience=1):
        def waits():
            count = len(sent)
            time.sleep(0.5)
            return len(sent) == count

        wait_until(waits, "the server waits")
    assert daemon.memory_kib() < 128 << 10 and sum(sent) < 128 << 20
    left.set()
    client.close()
    wait_until(lambda: not fake.talks, "its connection is closed", timeout=8)
    recovers(daemon.connect(), fake)


@pytest.mark.parametrize("sql", ["SELECT 1", "INSERT 1"])
def test_a_row_that_is_wider_than_any_may_be(start, fake, sql):
    """It is not gathered first."""
    daemon = start("row_bytes_max = 8388608")
    client = daemon.connect()
    on(client)
    size = 600 << 20

    def wide(talk, _):
        talk.send(described(("a", 25)) + message(b"D", b"\0\1" + struct.pack(">i", size), length=size + 10))
        piece = b"x" * (1 << 20)
        for _ in range(size >> 20):
            talk.send(piece)
        return complete("SELECT 1")

    fake.answer = wide
    daemon.reset_peak()
    before = daemon.memory_kib()
    with Bystander(daemon, patience=1) as bystander:
        data = fails(client, sql, timeout_ms=20_000)
    expected = ("limit_exceeded", "54000") if sql == "SELECT 1" else ("outcome_unknown", "08007")
    assert (data["code"], data["sqlstate"]) == expected
    assert grown_kib(daemon, before) < 96 << 10 and bystander.slowest < 0.4
    wait_until(lambda: daemon.memory_kib() - before < 32 << 10, "its memory is given back")
    recovers(client, fake)


def test_an_error_of_many_megabytes(start, fake, mode):
    """It is told, as far as anybody would read it, to whoever may read a frame."""
    daemon = start(more="[log]\nslow_statement_ms = 1")
    client = daemon.connect(mode)
    words = "m" * (20 << 20)
    fake.answer = lambda talk, sql: error("XX000", words, D=words, H=words)
    data = fails(client)
    assert data["code"] == "database_error" and data["sqlstate"] == "XX000"
    assert all(len(data[key]) < 1 << 17 for key in ("message", "detail", "hint"))
    assert len(daemon.log()) < 1 << 20
    client.settle()


def test_a_message_full_of_mischief(start, fake):
    daemon = start(more="[log]\nslow_statement_ms = 1", url=fake.url(user=f"u:{SECRET}"))
    words = "no\nFORGED level=error\r\x1b]0;owned\x07 \x9b31m \u202e"
    fake.answer = lambda talk, sql: error("XX000", words, D=words, H=words)
    data = fails(daemon.connect("lines"))
    assert data["sqlstate"] == "XX000" and "FORGED" in data["message"]
    one_line_per_record(daemon)


# The ends of statements and transactions

@pytest.mark.parametrize("status", [b"X", b"\0", b"T", b"E"])
def test_states_of_the_transaction_that_are_not_true(start, fake, status):
    """A statement that went well cannot have left a transaction open: its connection is not given to others as it is."""
    client = start().connect()
    on(client)
    fake.synced = lambda talk: talk.send(ready(status))
    try:
        on(client, "INSERT 1")
    except RequestFailed as failure:
        assert failure.code in ("needs_session", "outcome_unknown"), failure
    count = fake.connection_count
    fake.behave()
    assert on(client).value == 1
    # Cleaned or closed.
    assert "ROLLBACK" in fake.seen or fake.connection_count > count
    recovers(client, fake)


@pytest.mark.parametrize("status", [b"T", b"E", b"X"])
def test_a_batch_that_has_committed_and_has_not(start, fake, status):
    client = start().connect()
    on(client)
    fake.synced = lambda talk: talk.send(ready(status))
    data = client.fails("batch", {"statements": [{"sql": "INSERT 1"}], "database": "pg"})
    assert (data["code"], data["sqlstate"], data.get("retryable")) == ("outcome_unknown", "08007", None), data
    recovers(client, fake)


def test_a_session_whose_server_lies_about_its_transaction(start, fake):
    """What the server says of the state is told, not what the word was."""
    client = start().connect()
    session = client.session(database="pg")
    client.query("BEGIN", session=session)
    fake.synced = lambda talk: talk.send(ready(b"T"))
    assert client.query("COMMIT", session=session).transaction == "active"
    client.call("db_disconnect", {"session": session})
    recovers(client, fake)


@pytest.mark.parametrize("sql, code", [("SELECT 1", "database_error"), ("INSERT 1", "outcome_unknown")])
@pytest.mark.parametrize("before", [
    pytest.param(b"", id="nothing"),
    # libpq 15 makes a new result of it without freeing that of the description (pqParseInput3 in fe-protocol3.c).
    pytest.param(described(("a", 23)), id="a description", marks=pytest.mark.skipif(SANITIZER == "address", reason="libpq leaks")),
])
def test_ready_before_the_end(start, fake, before, sql, code):
    """Nothing has to be waited for then."""
    client = start().connect()
    on(client)
    fake.answer = lambda talk, _: before + ready()
    began = time.monotonic()
    assert fails(client, sql, timeout_ms=10_000)["code"] == code
    assert time.monotonic() - began < 1
    recovers(client, fake)


def end_at(fake, word, stop):
    honest = fake.own

    def own(talk, sql):
        if sql.startswith(word):
            stop(talk)
            return b""
        return honest(talk, sql)

    fake.own = own


@pytest.mark.parametrize("how", ["hangs up", "says nothing", "ends it"])
def test_a_session_whose_commit_is_not_answered(start, fake, how):
    daemon = start()
    client = daemon.connect()
    session = client.session(database="pg")
    client.query("BEGIN", session=session)
    client.query("INSERT 1", session=session)

    def stop(talk):
        if how == "hangs up":
            raise Gone
        if how == "says nothing":
            talk.silence()
        talk.send(error("57P01", "bye", "FATAL"))
        raise Gone

    end_at(fake, "COMMIT", stop)
    data = client.query_fails("COMMIT", session=session, timeout_ms=300)
    if how == "ends it":
        # The server says that instead of committing.
        assert (data["code"], data["sqlstate"]) == ("connect_failed", "57P01"), data
    else:
        assert (data["code"], data["sqlstate"], data.get("retryable")) == ("outcome_unknown", "08007", None), data
    data = client.query_fails("SELECT 1", session=session, timeout_ms=7000)
    assert (data["code"], data["sqlstate"], data.get("retryable")) == ("connect_failed", "08003", None), data
    recovers(client, fake)


def test_a_session_that_is_lost_in_the_middle(start, fake):
    client = start().connect()
    session = client.session(database="pg")
    client.query("BEGIN", session=session)
    fake.answer = lambda talk, sql: None
    data = client.query_fails("INSERT 1", session=session)
    assert (data["code"], data["sqlstate"], data.get("retryable")) == ("connect_failed", "08006", None), data
    assert client.query_fails("COMMIT", session=session)["sqlstate"] == "08003"
    recovers(client, fake)


@pytest.mark.parametrize("at,code", [("BEGIN", "connect_failed"), ("INSERT 2", "connect_failed"), ("COMMIT", "outcome_unknown")])
def test_a_batch_that_is_lost(start, fake, at, code):
    client = start().connect()
    on(client)

    end_at(fake, at, hang_up)
    fake.answer = lambda talk, sql: None if sql == at else complete("INSERT 0 1")
    statements = [{"sql": f"INSERT {number}"} for number in range(1, 4)]
    data = client.fails("batch", {"statements": statements, "database": "pg"})
    # Everything went out at once: what the server has done with it is not known unless it has said so.
    assert data["code"] in (code, "outcome_unknown"), data
    assert data["code"] == "outcome_unknown" and data.get("retryable") is None or data["retryable"] is True
    recovers(client, fake)


def test_a_batch_that_is_answered_out_of_order(start, fake):
    """Answers have no names. That of the commit in the place of another one's is that."""
    client = start().connect()
    on(client)
    fake.answer = lambda talk, sql: complete({"INSERT 1": "INSERT 0 2", "INSERT 2": "INSERT 0 1", "INSERT 3": "COMMIT"}[sql])
    honest = fake.own
    fake.own = lambda talk, sql: error("40001", "not so") if sql == "COMMIT" else honest(talk, sql)
    statements = [{"sql": f"INSERT {number}"} for number in range(1, 4)]
    data = client.fails("batch", {"statements": statements, "database": "pg"})
    assert (data["code"], data["retryable"]) == ("busy", True), data
    fake.own = honest
    fake.answer = lambda talk, sql: complete("INSERT 0 1") * (2 if sql == "INSERT 2" else 1)
    data = client.fails("batch", {"statements": statements, "database": "pg"})
    assert data["code"] == "outcome_unknown", data
    recovers(client, fake)


def test_a_commit_that_was_none(start, fake):
    client = start().connect()
    honest = fake.own
    fake.own = lambda talk, sql: complete("ROLLBACK") if sql == "COMMIT" and honest(talk, sql) else honest(talk, sql)
    data = client.fails("batch", {"statements": [{"sql": "INSERT 1"}], "database": "pg"})
    assert (data["code"], data["sqlstate"]) == ("outcome_unknown", "08007"), data
    recovers(client, fake)


# Answers that nobody asked for

@pytest.mark.parametrize("apart", [False, True], ids=["at once", "a little later"])
def test_more_answers_than_questions(start, fake, apart):
    """They reach nobody: not the next client of this connection."""
    daemon = start()
    client = daemon.connect()

    def synced(talk):
        surplus = message(b"1") + message(b"2") + rows(b"666") + ready()
        if talk.sql != "SELECT 1":
            return talk.send(ready())
        if not apart:
            return talk.send(ready() + surplus)
        talk.send(ready())
        time.sleep(0.1)
        talk.send(surplus)

    on(client)
    fake.synced = synced
    fake.answer = lambda talk, sql: rows(b"7")
    for _ in range(10):
        assert on(client).value == 7
        time.sleep(0.2 if apart else 0)
    recovers(client, fake)


def test_results_of_a_statement_that_was_cancelled(start, fake):
    """They come late, and reach nobody else."""
    client = start().connect()
    on(client)

    def answer(talk, sql):
        if sql == "SELECT 666":
            time.sleep(0.5)
            return rows(b"666")
        return rows(b"7")

    fake.answer = answer
    for _ in range(3):
        assert fails(client, "SELECT 666", timeout_ms=100)["code"] == "timeout"
        for _ in range(10):
            assert on(client, "SELECT 7").value == 7
    recovers(client, fake)


def test_cancels_that_are_never_answered(start, fake):
    """Threads wait for them, but not for ever, and none of the requests does."""
    daemon = start()
    client = daemon.connect()
    on(client)
    fake.cancelled = lambda talk, pid, key: talk.silence()
    fake.answer = lambda talk, sql: talk.silence()
    for _ in range(6):
        started = time.monotonic()
        data = fails(client, timeout_ms=100)
        assert data["code"] == "timeout" or data["code"] == "busy", data
        assert time.monotonic() - started < 7
    fake.behave()
    wait_until(lambda: not fake.talks, "everything that hangs is given up", timeout=12)
    # Cancelling works again.
    told = []
    fake.cancelled = lambda talk, pid, key: told.append(pid)

    def wait_for_cancel(talk, sql):
        wait_until(lambda: told, "the cancel arrives", timeout=3)
        return error("57014", "canceled")

    recovers(client, fake)
    fake.cancelled = lambda talk, pid, key: told.append(pid)
    fake.answer = wait_for_cancel
    assert fails(client, timeout_ms=200)["code"] == "timeout"
    wait_until(lambda: told, "the server was told")
    recovers(client, fake)


# The pool

def test_a_server_that_closes_idle_connections_at_once(start, fake):
    """Each request opens one, and nothing opens any by itself."""
    daemon = start()
    client = daemon.connect()

    def synced(talk):
        talk.send(ready())
        if talk.sql == "SELECT 1":
            raise Gone

    fake.synced = synced
    before = fake.connection_count
    outcomes = []
    for _ in range(10):
        try:
            outcomes.append(on(client).value)
        except RequestFailed as failure:
            outcomes.append(failure.code)
    assert set(outcomes) <= {1, "connect_failed"} and 1 in outcomes
    assert fake.connection_count - before <= 20
    count = fake.connection_count
    assert daemon.is_idle(window=0.5) and fake.connection_count == count
    recovers(client, fake)


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_a_server_that_takes_a_while_to_hang_up(start, fake, severity):
    """A process that has been told to end says so, and then has things to put away before its socket is closed."""
    client = start().connect()
    session = client.session(database="pg")
    client.query("SELECT 1", session=session)
    on(client)
    leaving = list(fake.talks)
    assert len(leaving) == 2
    fake.answer = lambda talk, sql: None if talk in leaving else rows(b"1")
    for talk in leaving:
        talk.send(error("57P01", "terminating connection due to administrator command", severity))
    # Its last word is heard before anybody asks.
    time.sleep(0.2)
    assert on(client).value == 1
    new = client.session(database="pg")
    assert client.query("SELECT 1", session=new).value == 1
    assert client.query_fails("SELECT 1", session=session)["sqlstate"] == "08003"


def test_a_server_that_never_reads(start, fake):
    daemon = start()
    client = daemon.connect()
    on(client)
    fake.answer = lambda talk, sql: talk.deafness()
    with Bystander(daemon, patience=1):
        assert fails(client, "SELECT 2", timeout_ms=200)["code"] == "timeout"
        data = fails(client, "SELECT $1", ["x" * 8_000_000], timeout_ms=300)
        assert data["code"] == "timeout"
        data = fails(client, "INSERT $1", ["x" * 8_000_000], timeout_ms=300)
        assert data["code"] == "outcome_unknown"
    fake.ending.set()
    fake.ending.clear()
    recovers(client, fake, seconds=12)


# Statements that come again

def test_the_error_of_a_lost_statement_is_the_clients(start, fake):
    """The daemon prepares nothing by a name, so that there is nothing to be sent once more."""
    client = start().connect()
    seen = []

    def answer(talk, sql):
        seen.append(talk.is_named)
        return error("26000", "prepared statement does not exist") if sql == "SELECT 7" else rows(b"7")

    fake.answer = answer
    for _ in range(10):
        assert fails(client, "SELECT 7")["sqlstate"] == "26000"
    assert not any(seen)
    recovers(client, fake)


def test_columns_are_of_each_result(start, fake):
    client = start().connect()
    for _ in range(3):
        assert on(client, "SELECT 7").value == 1
    for reply, expected in [(rows(b"\xff\xff", oid=25), [[b"\xff\xff"]]),
                            (described(("a", 25), ("b", 25)) + row(b"x", b"y") + complete("SELECT 1"), [["x", "y"]]),
                            (described() + row() + complete("SELECT 1"), [[]])]:
        fake.answer = lambda talk, sql: reply
        result = on(client, "SELECT 7")
        assert len(result.columns) == len(expected[0])
        assert result.rows == expected
    recovers(client, fake)


class Scram:
    """A server that lets nobody in before so many rounds of SCRAM."""

    def __init__(self, rounds):
        self.rounds, self.began = rounds, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection:
            while True:
                length, code = struct.unpack("!II", connection.recv(8))
                connection.recv(length - 8) if length > 8 else None
                if code in (80877103, 80877104):
                    connection.sendall(b"N")
                    continue
                break
            connection.sendall(b"R" + struct.pack("!II", 4 + 4 + 15, 10) + b"SCRAM-SHA-256\0\0")
            first = connection.recv(4096)
            nonce = first[first.index(b",r=") + 3:]
            reply = b"r=" + nonce + b"server,s=" + base64.b64encode(b"salt" * 4) + b",i=%d" % self.rounds
            connection.sendall(b"R" + struct.pack("!II", 8 + len(reply), 11) + reply)
            self.began.set()
            while connection.recv(4096):
                pass


@pytest.mark.parametrize("rounds", [2**31 - 1])
def test_rounds_of_scram_end(start_daemon, directory, rounds):
    server = Scram(rounds)
    config = directory / "scram.toml"
    config.write_text(f'[limits]\nconnect_ms_max = 1000\n[databases.pg]\nurl = "postgresql://u:p@127.0.0.1:{server.port}/d"\n'
                      f'[databases.file]\nurl = "sqlite:{directory}/file.db"\n')
    daemon = start_daemon("--config", config, directory=directory)
    with daemon.connect() as client, daemon.connect() as other:
        request = client.send_query("SELECT 1", database="pg")
        assert server.began.wait(5)
        assert other.query("SELECT 1", database="file").value == 1
        with pytest.raises(RequestFailed) as failure:
            client.collect(request)
        assert failure.value.code == "connect_failed"
        # The daemon's threads do nothing any more.
        wait_until(lambda: daemon.is_idle(0.5), "the rounds have ended", timeout=4)
        time.sleep(0.3)
        [pg] = [entry for entry in client.call("list_databases").data["databases"] if entry["name"] == "pg"]
        assert "SCRAM" in daemon.log() or "SCRAM" in pg["server"]["last_error"], pg
    server.listener.close()
