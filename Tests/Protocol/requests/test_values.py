"""Every SQLite value, through both encodings, both ways.

"Guess" in a comment marks what the protocol page does not say.
"""

import json
import math
import random
import re
import struct
import sys

import msgpack
import pytest

from wire import SAFE_INTEGER_MAX, RequestFailed, encode, framed

INTEGERS = sorted({sign * value + step
                   for value in [0] + [1 << bits for bits in (4, 5, 7, 8, 15, 16, 31, 32, 52, 53, 62)]
                   for sign in (1, -1) for step in (-1, 0, 1)} | {2**63 - 1, 2**63 - 2, -2**63, -2**63 + 1})

REALS = [0.0, 1.0, -1.0, 0.1, 1 / 3, 2 / 3, math.pi, -math.e, 1e21, 1e22, 1e23, 1e-7, 1e-5, 123456789.125, 1e15, 1e16,
         1e17, 9007199254740993.0, 9223372036854775807.0, 1e100, 1e308, 5e-324, 4.9406564584124654e-324 * 3,
         2.2250738585072014e-308, 2.225073858507201e-308, sys.float_info.max, -sys.float_info.max, sys.float_info.epsilon,
         0.30000000000000004, 1.7976931348623157e308, 4.35, 0.000001, 100.0, 12345678.9]

TEXTS = ["", "a", "A" * 31, "A" * 32, "A" * 255, "A" * 256, "A" * 65535, "A" * 65536, "null", "0", " spaced ", "a\nb\r\tc",
         "quote \" back \\ slash / end", "\0", "a\0b", "\0\0leading", "trailing\0", "é", "e\u0301", "日本語", "עברית",
         "😀👩‍👩‍👧‍👦", "\u2028\u2029", "\ufeffbom", "\ufffd", "\uffff", "\U0010ffff", "\x7f\x80\x9f",
         "".join(map(chr, range(32))), "$int", '{"$blob":"AA=="}']

BLOBS = [b"", b"\0", b"\xff", bytes(range(256)), b"a", b"ab", b"abc", bytes(255), bytes(256), bytes(65535), bytes(65536),
         "text".encode()]


def bits(real):
    return struct.pack(">d", real)


def both_ways(client, value, storage_class):
    """Sends a value as a parameter and reads it back, with SQLite's own word on what arrived."""
    result = client.query("SELECT ?1, typeof(?1)", [value])
    assert result.rows[0][1] == storage_class
    return result.value


# Null, booleans, integers


def test_null(client):
    assert both_ways(client, None, "null") is None


@pytest.mark.parametrize("value, stored", [(True, 1), (False, 0)])
def test_boolean_parameter_is_an_integer_in_sqlite(client, value, stored):
    got = both_ways(client, value, "integer")
    assert (type(got), got) == (int, stored)


def test_integers_as_parameters(client):
    for value in INTEGERS:
        got = both_ways(client, value, "integer")
        assert (type(got), got) == (int, value)


def test_integers_from_sql(client):
    for value in INTEGERS:
        literal = "(-9223372036854775807 - 1)" if value == -2**63 else f"({value})"
        assert client.query(f"SELECT {literal}").value == value


def test_integers_through_a_table(client, table):
    client.query(f"CREATE TABLE {table}(x INTEGER)")
    client.batch([{"sql": f"INSERT INTO {table} VALUES (?)", "param_rows": [[value] for value in INTEGERS]}])
    assert [row[0] for row in client.query(f"SELECT x FROM {table} ORDER BY x").rows] == INTEGERS


@pytest.mark.parametrize("body", [b"\x01", b"\xcc\x01", b"\xcd\x00\x01", b"\xce\x00\x00\x00\x01", b"\xcf" + bytes(7) + b"\x01",
                                  b"\xd0\x01", b"\xd1\x00\x01", b"\xd2\x00\x00\x00\x01", b"\xd3" + bytes(7) + b"\x01"],
                         ids=lambda value: value.hex())
def test_every_integer_width_of_messagepack_as_a_parameter(daemon, body):
    client = daemon.connect("msgpack")
    client.expect(1)
    message = msgpack.packb({"id": 1, "type": "query"})[1:]
    client.socket.sendall(framed(b"\x83" + message + b"\xa4data\x82\xa3sql" + msgpack.packb("SELECT typeof(?1)||(?1)")
                                 + b"\xa6params\x91" + body))
    assert client.collect(1).rows == [["integer1"]]


@pytest.mark.parametrize("value", [2**63, 2**64 - 1])
def test_integer_beyond_64_bits_signed_is_refused_and_never_altered(client, value):
    assert client.query_fails("SELECT ?", [value])["code"] in ("bad_request", "database_error")  # guess: one of these
    client.settle()


def test_json_integers_on_the_wire(daemon):
    client = daemon.connect("lines")
    for value in INTEGERS:
        result = client.query("SELECT ?", [value])
        expected = b"%d" % value if abs(value) <= SAFE_INTEGER_MAX else b'{"$int":"%d"}' % value
        assert re.search(rb'"rows":\[\[' + re.escape(expected) + rb"\]\]", result.frames[0].raw), result.frames[0].raw


@pytest.mark.parametrize("style", ["tagged", "number", "string"])
def test_json_integer_styles_by_hello(daemon, style):
    """What `hello` chooses holds for integers beyond ±(2^53−1); smaller ones stay numbers."""
    client = daemon.connect("lines")
    client.call("hello", {"client": "tests", "protocol": [1], "int64": style})
    big = {"tagged": b'{"$int":"9223372036854775807"}', "number": b"9223372036854775807",
           "string": b'"9223372036854775807"'}[style]
    small = client.query("SELECT 42, -9223372036854775807, 9223372036854775807, 9007199254740991")
    wire = small.frames[0].raw
    assert re.search(rb"\[\[42,", wire)
    assert re.search(rb",9007199254740991\]\]", wire)
    assert big in wire
    assert big.replace(b"922", b"-922") in wire


def test_integer_style_does_not_touch_messagepack(daemon):
    client = daemon.connect("msgpack")
    client.call("hello", {"client": "tests", "protocol": [1], "int64": "string"})
    assert client.query("SELECT 9223372036854775807").value == 2**63 - 1


def test_integer_style_belongs_to_its_connection(daemon):
    first, second = daemon.connect("lines"), daemon.connect("lines")
    first.call("hello", {"client": "tests", "protocol": [1], "int64": "string"})
    assert b'{"$int":"9223372036854775807"}' in second.query("SELECT 9223372036854775807").frames[0].raw


def json_query(client, parameter):
    """A query whose one parameter is given as JSON text."""
    client.expect(1)
    client.socket.sendall(b'{"id":1,"type":"query","data":{"sql":"SELECT ?1, typeof(?1)","params":[%s]}}\n' % parameter)
    return client.collect(1).rows[0]


@pytest.mark.parametrize("text, value, storage_class", [
    (b"9223372036854775807", 2**63 - 1, "integer"), (b"-9223372036854775808", -2**63, "integer"),
    (b"9007199254740993", 2**53 + 1, "integer"), (b'{"$int":"7"}', 7, "integer"),
    (b'{"$int":"-9223372036854775808"}', -2**63, "integer"), (b"1.0", 1.0, "real"), (b"1e2", 100.0, "real"),
    (b"1E+2", 100.0, "real"), (b"-1.5e-3", -0.0015, "real"), (b"123456789012345678901234567890.0", 1.2345678901234568e29, "real"),
    (b'{"$real":"Infinity"}', math.inf, "real"), (b'{"$real":"-Infinity"}', -math.inf, "real"),
    (b'{"$real":"NaN"}', None, "null"), (b'{ "$blob" : "AP8=" }', b"\x00\xff", "blob"), (b'{"$blob":""}', b"", "blob"),
    (b'"\\u00e9\\ud83d\\ude00\\u0000"', "é😀\0", "text"), (b"true", 1, "integer"),
], ids=lambda value: str(value)[:40])
def test_json_forms_of_parameters(daemon, text, value, storage_class):
    got, stored = json_query(daemon.connect("lines"), text)
    assert (type(got), got, stored) == (type(value), value, storage_class)


@pytest.mark.parametrize("text", [b'{"$int":"x"}', b'{"$int":""}', b'{"$int":"9223372036854775808"}', b'{"$int":5}',
                                  b'{"$real":"1.5x"}', b'{"$blob":"A"}', b'{"$blob":"A*=="}', b'{"$blob":5}',
                                  b'{"$strange":"1"}', b'{"a":1}', b"{}", b"[1]", b'{"$int":"1","$blob":""}'], ids=repr)
def test_json_forms_that_are_no_parameter(daemon, text):
    client = daemon.connect("lines")
    client.expect(1)
    client.socket.sendall(b'{"id":1,"type":"query","data":{"sql":"SELECT ?","params":[%s]}}\n' % text)
    client.tracks = False
    reply = client.receive()
    assert reply.type == "error"
    assert reply.data["code"] in ("bad_request", "bad_frame", "database_error")  # guess: one of these
    client.waiting.clear()
    client.settle()


# Reals


def test_reals_as_parameters(client):
    for value in REALS:
        got = both_ways(client, value, "real")
        assert type(got) is float, f"{value!r} came back as {got!r}"  # guess: 1.0 in JSON keeps its point
        assert bits(got) == bits(value), f"{value!r} came back as {got!r}"


def test_reals_from_sql(client):
    for value in REALS:
        got = client.query(f"SELECT {value!r}").value
        # SQLite's own reading of a literal may be off by one unit in the last place.
        assert math.isclose(got, value, rel_tol=5e-16, abs_tol=1e-323), f"{value!r} came as {got!r}"


def test_random_reals(client):
    seed = 1234567
    generator = random.Random(seed)
    values = []
    while len(values) < 1000:
        value = struct.unpack(">d", generator.randbytes(8))[0]
        if math.isfinite(value):
            values.append(value)
    for start in range(0, 1000, 100):
        part = values[start:start + 100]
        row = client.query("SELECT " + ",".join("?" * 100), part).rows[0]
        assert [bits(value) for value in row] == [bits(value) for value in part], f"seed {seed}"


def test_subnormals(client):
    for value in (5e-324, 1e-310, 2.225073858507201e-308, -5e-324):
        assert bits(both_ways(client, value, "real")) == bits(value)


def test_negative_zero(client):
    assert bits(both_ways(client, -0.0, "real")) == bits(-0.0)


def test_json_negative_zero_on_the_wire(daemon):
    assert b"[[-0.0]]" in daemon.connect("lines").query("SELECT ?", [-0.0]).frames[0].raw


def test_json_reals_are_the_shortest_text(daemon):
    client = daemon.connect("lines")
    for value in REALS:
        wire = client.query("SELECT ?", [value]).frames[0].raw
        text = re.search(rb'"rows":\[\[([^\]]*)\]\]', wire).group(1).decode()
        assert bits(float(text)) == bits(value)
        digits = len(re.sub(r"[eE].*|[^0-9]", "", text).strip("0"))
        shortest = len(re.sub(r"[eE].*|[^0-9]", "", repr(value)).strip("0"))
        assert digits <= shortest, f"{text} has more digits than {value!r}"


def test_nan_is_null(client):
    assert both_ways(client, math.nan, "null") is None
    assert client.query("SELECT 9e999 - 9e999").value is None


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities(client, value):
    assert both_ways(client, value, "real") == value
    assert client.query(f"SELECT {'-' if value < 0 else ''}9e999").value == value


def test_float32_of_messagepack(daemon):
    client = daemon.connect("msgpack")
    client.expect(1)
    body = msgpack.packb({"id": 1, "type": "query", "data": {"sql": "SELECT ?", "params": [1.5]}}, use_single_float=True)
    client.socket.sendall(framed(body))
    assert client.collect(1).rows == [[1.5]]


# Text


@pytest.mark.parametrize("text", TEXTS, ids=lambda value: repr(value)[:24])
def test_text(client, text):
    result = client.query("SELECT ?1, typeof(?1), hex(CAST(?1 AS BLOB))", [text])
    assert result.rows[0][:2] == [text, "text"]
    assert result.rows[0][2] == text.encode().hex().upper(), "SQLite holds every byte, also after a NUL"


def test_text_with_nul_through_a_table(client, table):
    client.query(f"CREATE TABLE {table}(x TEXT)")
    client.query(f"INSERT INTO {table} VALUES (?)", ["a\0b"])
    assert client.query(f"SELECT x FROM {table}").value == "a\0b"
    assert client.query(f"SELECT count(*) FROM {table} WHERE x = ?", ["a\0b"]).value == 1


def test_every_code_point(client):
    points = "".join(map(chr, [*range(0xd800), *range(0xe000, 0x110000)]))
    assert client.query("SELECT ?", [points]).value == points


def test_every_code_point_as_json_escapes(daemon):
    points = "".join(map(chr, [*range(0xd800), *range(0xe000, 0x110000)]))
    client = daemon.connect("lines")
    client.expect(1)
    message = {"id": 1, "type": "query", "data": {"sql": "SELECT ?", "params": [points]}}
    client.socket.sendall(json.dumps(message, ensure_ascii=True).encode() + b"\n")
    assert client.collect(1).value == points


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud800x"', b'"\\ud83d\\u0041"', b'"\xed\xa0\x80"',
                                  b'"\xff"', b'"\xc0\xaf"', b'"\xf4\x90\x80\x80"'], ids=repr)
def test_text_that_is_not_unicode_is_refused_in_json(daemon, text):
    client = daemon.connect("json")
    body = b'{"id":1,"type":"query","data":{"sql":"SELECT ?","params":[%s]}}' % text
    client.socket.sendall(framed(body))
    client.expect(1)
    reply = client.receive()
    assert reply.type == "error" and reply.data["code"] in ("bad_frame", "bad_request")
    client.waiting.clear()
    client.settle()


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"ok\x80"],
                         ids=lambda value: value.hex())
def test_text_that_is_not_unicode_is_refused_in_messagepack(daemon, text):
    client = daemon.connect("msgpack")
    client.expect(1)
    head = msgpack.packb({"id": 1, "type": "query"})[1:] + b"\xa4data\x82\xa3sql\xa8SELECT ?\xa6params\x91"
    client.socket.sendall(framed(b"\x83" + head + bytes([0xa0 + len(text)]) + text))
    reply = client.receive()
    assert reply.type == "error" and reply.data["code"] in ("bad_frame", "bad_request")
    client.waiting.clear()
    client.settle()


@pytest.mark.parametrize("text", ["ff", "c080", "e0809f", "eda080", "edbfbf", "f4908080", "f8888080", "e282", "80", "616200ff", "c3a9ff",
                                  "fe", "f09f98"])
def test_text_in_the_database_that_is_not_utf8_comes_as_bytes(client, text):
    result = client.query(f"SELECT 'good', CAST(x'{text}' AS TEXT), typeof(CAST(x'{text}' AS TEXT)), 7")
    assert result.rows == [["good", bytes.fromhex(text), "text", 7]]


def test_rows_around_a_text_that_is_not_utf8(client, table):
    client.query(f"CREATE TABLE {table}(x TEXT)")
    client.query(f"INSERT INTO {table} VALUES ('before'), (CAST(x'ff00fe' AS TEXT)), ('after')")
    assert client.query(f"SELECT x FROM {table} ORDER BY rowid").rows == [["before"], [b"\xff\x00\xfe"], ["after"]]


# Blobs


@pytest.mark.parametrize("blob", BLOBS, ids=lambda value: f"{len(value)} bytes, {value[:4].hex()}")
def test_blob(client, blob):
    got = both_ways(client, blob, "blob")
    assert (type(got), got) == (bytes, blob)


def test_empty_values_are_told_apart(client):
    result = client.query("SELECT x'', '', NULL, zeroblob(0), ?, ?, ?", [b"", "", None])
    assert result.rows == [[b"", "", None, b"", b"", "", None]]


def test_random_blobs_of_every_small_length(client):
    seed = 99
    generator = random.Random(seed)
    blobs = [generator.randbytes(length) for length in range(200)]
    assert client.query("SELECT " + ",".join("?" * 200), blobs).rows == [blobs], f"seed {seed}"


# Shapes


def test_duplicate_column_names(client):
    result = client.query("SELECT 1 AS a, 2 AS a, 3 AS A, 4 AS \"\"")
    assert result.names == ["a", "a", "A", ""]
    assert result.rows == [[1, 2, 3, 4]]


def test_column_names_of_any_unicode(client):
    names = ["日本語", "with space", "quo\"\"te", "😀", "new\nline", "$int"]
    result = client.query("SELECT " + ",".join(f'1 AS "{name}"' for name in names))
    assert result.names == [name.replace('""', '"') for name in names]


def test_zero_rows(client):
    result = client.query("SELECT 1 AS x, 'a' AS y WHERE 0")
    assert (result.names, result.rows, len(result.frames)) == (["x", "y"], [], 1)
    assert result.last["row_count"] == 0


def test_zero_columns(client, table):
    result = client.query(f"CREATE TABLE {table}(x)")
    assert (result.columns, result.rows, result.last["row_count"]) == ([], [], 0)


def test_two_thousand_columns(client):
    result = client.query("SELECT " + ",".join(f"{number} AS c{number}" for number in range(2000)))
    assert result.rows == [list(range(2000))]
    assert result.names == [f"c{number}" for number in range(2000)]


def test_many_parameters(client):
    values = list(range(2000))
    assert client.query("SELECT " + ",".join("?" * 2000), values).rows == [values]


@pytest.mark.parametrize("kind", ["blob", "text"])
def test_ten_megabytes(client, kind):
    """Ten million bytes; the base64 of JSON still fits one frame of 16 MiB."""
    whole = random.Random(5).randbytes(10_000_000)
    value = whole if kind == "blob" else whole.hex()[:10_000_000]
    assert both_ways(client, value, kind) == value
    client.settle()


def test_ten_megabytes_among_small_rows(client):
    result = client.query("SELECT 1, 'small' UNION ALL SELECT 2, zeroblob(10000000) UNION ALL SELECT 3, 'small'")
    assert [row[0] for row in result.rows] == [1, 2, 3]
    assert result.rows[1][1] == bytes(10_000_000)
    assert len(result.frames) >= 2, "a frame closes at about 64 KiB"


def test_value_larger_than_a_frame(client):
    """Silent page; a reply must be whole or an error, and the connection goes on."""
    try:
        assert client.query("SELECT zeroblob(20000000)").rows == [[bytes(20_000_000)]]
    except RequestFailed as failure:
        assert failure.code == "limit_exceeded"  # guess
    client.settle()


def test_declared_types(client, table):
    client.query(f"CREATE TABLE {table}(a INTEGER PRIMARY KEY, b VARCHAR(20), c DECIMAL(10,2), d, e BLOB)")
    columns = client.query(f"SELECT a, b, c, d, e, a+1, 'x' FROM {table}").columns
    assert [column["declared_type"] for column in columns] == ["INTEGER", "VARCHAR(20)", "DECIMAL(10,2)", None, "BLOB",
                                                               None, None]
    for column in columns:
        assert set(column) == {"name", "type", "declared_type"}
        assert isinstance(column["type"], str)


def test_mixed_storage_classes_in_one_column(client):
    values = [None, 1, 1.5, "text", b"blob", -2**63, "", b""]
    result = client.query("SELECT value FROM (" + " UNION ALL ".join(
        f"SELECT {number} AS n, ? AS value" for number in range(len(values))) + ") ORDER BY n", values)
    assert [row[0] for row in result.rows] == values
    assert [type(row[0]) for row in result.rows] == [type(value) for value in values]


def test_same_rows_in_both_encodings(daemon):
    """One statement with a bit of everything, read by three framings, gives the same values."""
    sql = ("SELECT NULL, 1, -1, 9223372036854775807, 1.5, 9e999, 'text', 'nul' || char(0), x'00ff', "
           "CAST(x'ff' AS TEXT), zeroblob(300)")
    rows = [daemon.connect(mode).query(sql).rows for mode in ("msgpack", "lines", "json")]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0] == [[None, 1, -1, 2**63 - 1, 1.5, math.inf, "text", "nul\0", b"\x00\xff", b"\xff", bytes(300)]]


def test_parameter_of_an_extension_type_is_refused(daemon):
    client = daemon.connect("msgpack")
    client.expect(1)
    message = {"id": 1, "type": "query", "data": {"sql": "SELECT ?", "params": [msgpack.ExtType(9, b"x")]}}
    client.socket.sendall(framed(encode(message, "msgpack")))
    reply = client.receive()
    assert (reply.type, reply.data["code"]) == ("error", "bad_request")  # guess: the code
    client.settle()
