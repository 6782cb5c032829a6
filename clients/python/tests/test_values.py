"""Values there and back: exact, or an error that says why."""

import collections
import datetime
import decimal
import math
import random
import uuid

import pytest

import litebase
from litebase import _msgpack, _values


@pytest.fixture(params=["package", "own"])
def codec(request, monkeypatch):
    """With the package `msgpack`, and with this package's own reader and writer."""
    if request.param == "package":
        pytest.importorskip("msgpack")
    else:
        monkeypatch.setattr(_msgpack, "choose", lambda: (_msgpack.pack, _msgpack.unpack))
    return request.param


VALUES = [
    None, 0, 1, -1, 127, 128, -32, -33, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53 + 1, 2**63 - 1, -(2**63),
    0.0, -0.0, 0.1, 1e308, 5e-324, math.inf, -math.inf,
    "", "é", "a" * 31, "a" * 32, "b" * 255, "b" * 256, "c" * 65_535, "c" * 65_536, "nul\0inside", "\U0001f600",
    b"", b"\x00\xff", b"d" * 255, b"d" * 256, b"d" * 65_536,
]  # fmt: skip


def test_values_come_back_as_they_went(connect, codec):
    connection = connect()
    for value in VALUES:
        (back,) = connection.execute("SELECT ?", (value,)).fetchone()
        assert (type(back), back) == (type(value), value)
        if isinstance(value, float):
            assert math.copysign(1, back) == math.copysign(1, value)


def test_names_and_many_parameters(connect, codec):
    connection = connect()
    assert connection.execute("SELECT :a, :b, :a", {"a": 1, "b": "x"}).fetchone() == (1, "x", 1)
    assert connection.execute(f"SELECT {', '.join('?' * 300)}", list(range(300))).fetchone() == tuple(range(300))


def test_both_writers_and_readers_agree():
    msgpack = pytest.importorskip("msgpack")
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)

    def make(depth):
        kind = chance.randrange(9 if depth < 4 else 7)
        if kind == 7:
            return tuple(make(depth + 1) for _ in range(chance.choice([0, 1, 15, 16, 40])))
        if kind == 8:
            return {f"key {index}": make(depth + 1) for index in range(chance.choice([0, 1, 15, 16]))}
        if kind < 3:
            return chance.choice(VALUES)
        if kind == 3:
            return chance.randrange(-(2**63), 2**64) >> chance.randrange(64)
        if kind == 4:
            return chance.random() * 10 ** chance.randrange(-300, 300)
        return chance.choice(["é", b"x"][kind - 5 : kind - 4]) * chance.choice([0, 1, 31, 32, 255, 256, 70_000])

    for _ in range(150):
        value = make(0)
        packed = _msgpack.pack(value)
        assert packed == msgpack.packb(value), f"seed {seed}"
        assert _msgpack.unpack(packed) == msgpack.unpackb(packed, use_list=False, strict_map_key=False) == value, f"seed {seed}"
        for end in {0, len(packed) // 2, len(packed) - 1}:
            with pytest.raises((_msgpack.MalformedMessage, UnicodeDecodeError)):
                _msgpack.unpack(packed[:end])


@pytest.mark.parametrize(
    "data", [b"\xc1", b"\xc0\xc0", b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xffx", b"\x91" * 200 + b"\xc0"]
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(_msgpack.MalformedMessage):
        _msgpack.unpack(data)


def test_dates_decimals_and_the_like_go_as_text(connect, codec):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    sent = {
        decimal.Decimal("1.50"): "1.50",
        datetime.date(2026, 1, 2): "2026-01-02",
        datetime.datetime(2026, 1, 2, 3, 4, 5, 60, zone): "2026-01-02 03:04:05.000060+02:00",
        datetime.time(3, 4, 5): "03:04:05",
        -datetime.timedelta(hours=100, microseconds=1): "-100:00:00.000001",
        uuid.UUID(int=1): "00000000-0000-0000-0000-000000000001",
    }
    assert connect().execute(f"SELECT {', '.join('?' * len(sent))}", list(sent)).fetchone() == tuple(sent.values())


class WithoutIterator:
    """A sequence as Python knew it first: it ends where it says."""

    def __len__(self):
        return 2

    def __getitem__(self, place):
        return ("a", "b", "behind its end")[place]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ["a", "b"],
        lambda: collections.deque(["a", "b"]),
        lambda: collections.UserList(["a", "b"]),
        lambda: (letter for letter in "ab"),
        WithoutIterator,
        lambda: {"1": "a", "2": "b"},
        lambda: collections.UserDict({"1": "a", "2": "b"}),
    ],
)
def test_parameters_are_any_sequence_or_mapping(connect, codec, make):
    connection = connect()
    sql = "SELECT :1 || :2" if hasattr(make(), "keys") else "SELECT ? || ?"
    assert connection.execute(sql, make()).fetchone() == ("ab",)
    connection.execute("CREATE TABLE t (a, b)")
    connection.executemany("INSERT INTO t VALUES (:1, :2)" if "1" in sql else "INSERT INTO t VALUES (?, ?)", [make(), make()])
    assert connection.execute("SELECT a || b FROM t").fetchall() == [("ab",)] * 2


@pytest.mark.parametrize("parameters", ["ab", b"ab", bytearray(b"ab"), {"a", "b"}, 0, 5, object()])
def test_parameters_without_an_order_and_texts_are_refused(connect, codec, parameters):
    connection = connect()
    with pytest.raises(litebase.ProgrammingError, match="sequence or a mapping"):
        connection.execute("SELECT ? || ?", parameters)
    with pytest.raises(litebase.ProgrammingError, match="sequence or a mapping"):
        connection.executemany("SELECT ? || ?", [parameters])


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (object(), litebase.ProgrammingError, "cannot be of type object"),
        (2**64, litebase.DataError, "64 bits"),
        ("\ud800", litebase.DataError, "surrogate"),
        (b"x" * (17 << 20), litebase.DataError, "frame_bytes_max"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is_sent(connect, codec, value, kind, words):
    connection = connect()
    with pytest.raises(kind, match=words):
        connection.execute("SELECT ?", (value,))
    with pytest.raises(kind, match=words):
        connection.executemany("SELECT ?", [(1,), (value,)])
    assert connection.execute("SELECT 1").fetchone() == (1,)


UTC = datetime.timezone.utc
CONVERSIONS = [
    ("postgresql", "decimal", "1.50", decimal.Decimal("1.50")),
    ("postgresql", "decimal", "NaN", decimal.Decimal("NaN")),
    ("postgresql", "date", "2026-01-02", datetime.date(2026, 1, 2)),
    ("postgresql", "date", "infinity", "infinity"),
    ("postgresql", "date", "0044-03-15 BC", "0044-03-15 BC"),
    ("postgresql", "time", "01:02:03.5", datetime.time(1, 2, 3, 500_000)),
    ("postgresql", "time", "24:00:00", "24:00:00"),
    ("postgresql", "timetz", "01:02:03+00", datetime.time(1, 2, 3, tzinfo=UTC)),
    ("postgresql", "timestamp", "2026-01-02 03:04:05", datetime.datetime(2026, 1, 2, 3, 4, 5)),
    ("postgresql", "timestamp", "2026-01-02 03:04:05.25", datetime.datetime(2026, 1, 2, 3, 4, 5, 250_000)),
    ("postgresql", "timestamptz", "2026-01-02 03:04:05.123456+00", datetime.datetime(2026, 1, 2, 3, 4, 5, 123_456, UTC)),
    (
        "postgresql", "timestamptz", "1900-01-01 00:00:00+00:53:28",
        datetime.datetime(1900, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=3208))),
    ),
    ("postgresql", "timestamptz", "-infinity", "-infinity"),
    ("postgresql", "uuid", "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
    ("postgresql", "text", "2026-01-02", "2026-01-02"),
    ("mysql", "time", "-838:59:59", -datetime.timedelta(hours=838, minutes=59, seconds=59)),
    ("mysql", "time", "00:00:00.5", datetime.timedelta(microseconds=500_000)),
    ("mysql", "datetime", "2026-01-02 03:04:05", datetime.datetime(2026, 1, 2, 3, 4, 5)),
    ("mysql", "datetime", "0000-00-00 00:00:00", "0000-00-00 00:00:00"),
    ("mysql", "date", "0000-00-00", "0000-00-00"),
    ("sqlite", "decimal", "1.50", "1.50"),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "kind", "text", "value"), CONVERSIONS)
def test_texts_of_servers_become_values_of_python(engine, kind, text, value):
    convert = _values.row_converter(engine, ("text", kind))
    rows = [("x", text), ("y", None)]
    ((_, converted), nothing) = rows if convert is None else convert(rows)
    assert type(converted) is type(value)
    assert str(converted) == str(value)
    assert nothing == ("y", None)
