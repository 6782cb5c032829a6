"""Rows of a file into PostgreSQL go in COPY's binary format where each value means the same to the server as its text; else as text."""

import datetime
import decimal
import os
import random
import re
import struct
import threading
import uuid

import pytest

from postgresql import PostgreSQL
from transfers import hello, opened, transfer, transfer_fails
from wire import RequestFailed

# It starts a database server.
pytestmark = pytest.mark.slow

SEED = int(os.environ.get("LITEBASE_TEST_SEED") or random.randrange(1 << 30))


@pytest.fixture(scope="module")
def server():
    server = PostgreSQL(log_statement="all", shared_buffers="64MB")
    yield server
    server.discard()


@pytest.fixture
def client(start_daemon, server):
    daemon = start_daemon(databases={"pg": server.url()})
    server.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with daemon.connect() as client:
        hello(client)
        yield client


def imported(client, tmp_path, lines, table="t", **options):
    path = tmp_path / "rows"
    path.write_text("".join(f"{line}\n" for line in lines))
    with opened(path, os.O_RDONLY) as descriptor:
        return transfer(client, "import", descriptor, database="pg", relation=table, **options)


def quoted(value):
    return "" if value is None else '"' + value.replace('"', '""') + '"'


def copies(server, table):
    """How many statements of each format the table has got."""
    log = (server.directory / "log").read_text(errors="replace")
    found = re.findall(rf'LOG:  statement: COPY "{table}"\([^;\n]*?FROM STDIN( \(FORMAT binary\);)?', log)
    return sum(1 for binary in found if binary), sum(1 for binary in found if not binary)


def double(chance):
    while True:
        value = struct.unpack("<d", chance.randbytes(8))[0]
        # What is smaller is refused, or becomes zero, as text.
        if value == value and 1e-300 < abs(value) < 1e300:
            return repr(value)


def moment(chance):
    return datetime.datetime(1, 1, 1) + datetime.timedelta(microseconds=chance.randrange(int(9998 * 365.2425 * 86_400e6)))


def stamp(value):
    # Years below 1000 need their zeros.
    return f"{value.year:04d}-{value:%m-%d %H:%M:%S}" + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "")


# Of each type, values in the form in which programs write them.
USUAL = {
    "smallint": lambda chance: str(chance.choice([0, -1, 32_767, -32_768, chance.randrange(-1000, 1000)])),
    "integer": lambda chance: str(chance.choice([0, 2**31 - 1, -2**31, chance.randrange(-2**31, 2**31)])),
    "bigint": lambda chance: str(chance.choice([2**63 - 1, -2**63, chance.randrange(-2**63, 2**63), 7])),
    "double precision": lambda chance: chance.choice(
        [double(chance), "0", "-0", "0.0", "-0.00", "1e300", "0e5", "12345678901234567", "9007199254740993", "0.1", "1E-3"]),
    "boolean": lambda chance: chance.choice("tf"),
    "text": lambda chance: chance.choice(["", "a\tb", "x\ny", "\\N", "\\.", 'say "x"', "žluťoučký 🐴", "x" * 10_000, "null", "007"]),
    "varchar(10)": lambda chance: "ä" * chance.randrange(11),
    "char(5)": lambda chance: "z" * chance.randrange(1, 6),
    "json": lambda chance: chance.choice(['{"a": [1, null]}', "5", '"x"', "[]"]),
    "jsonb": lambda chance: chance.choice(['{"b": 1, "a": [1, null], "b": 2}', "5.10", '"x"', "null"]),
    "uuid": lambda chance: chance.choice([str, lambda value: str(value).upper()])(uuid.UUID(bytes=chance.randbytes(16))),
    "date": lambda chance: chance.choice([stamp(moment(chance))[:10], "0001-01-01", "2000-02-29", "0044-03-15 BC", "294276-12-31"]),
    "time": lambda chance: stamp(moment(chance))[11:],
    "timestamp": lambda chance: stamp(moment(chance)).replace(" ", chance.choice(" T")),
    "timestamp(0)": lambda chance: stamp(moment(chance)),
    "timestamptz": lambda chance: stamp(moment(chance).replace(year=chance.randrange(1900, 2100), day=1))
    + chance.choice(["Z", "+00", "+02", "-03:30", "+05:45", "-11"]),
    "numeric": lambda chance: str(chance.choice(
        ["0", "-0", "0.00", "-0.000", "10000", "0.0001", "0.00001", "99999999", "100000000", "12345.6789", "1" + "0" * 40, "0." + "0" * 30 + "7",
         decimal.Decimal(chance.randrange(-10**20, 10**20)).scaleb(-chance.randrange(15)).__format__("f")])),
    "numeric(10,2)": lambda chance: f"{chance.randrange(-10**8, 10**8)}.{chance.randrange(10**4):04d}",
}

# Others that the server reads as well, or refuses.
UNUSUAL = {
    "smallint": [" 7", "+7", "007", "7 ", "32768", "0x10", "1_0", "1.0", "", "seven"],
    "integer": [" 7", "+7", "-07", "2147483648", "1e3", "--1", "-"],
    "bigint": ["9223372036854775808", "+1", "00", "-0"],
    "double precision": ["NaN", "Infinity", "-inf", "1e309", "1e-400", "4.9e-324", "2e-308", "00.5", ".5", "5.", "+1", "0x1p3", " 1 ", "1e", "-"],
    "boolean": ["true", "T", "yes", "on", "1", "0", "off", " t ", "tr", "maybe"],
    "text": ["\\x00", "\\\\"],
    "varchar(10)": ["x" * 11, "x" * 10 + "   "],
    "char(5)": ["z" * 6, "z" * 5 + "  "],
    "json": ["{", "nul", '{"a": "\\u0000"}'],
    "jsonb": ["{", '"\\u0000"', "1e400"],
    "uuid": ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"],
    "date": ["infinity", "1/2/2020", "2020-02-30", "20200102", "2020-1-2", "99999-01-01", "9999999-01-01", "0000-01-01", "5874898-01-01"],
    "time": ["24:00:00", "12:00", "12:00:00.1234567", "noon", "12:00:60"],
    "timestamp": ["2020-01-02", "2020-01-02 24:00:00", "2020-01-02 03:04:05+02", "294277-01-01 00:00:00", "infinity"],
    "timestamp(0)": ["2020-01-02 03:04:05.5", "2020-01-02 03:04:05.4999999"],
    "timestamptz": ["2020-01-02 03:04:05", "2020-01-02 03:04:05 Europe/Prague", "2020-01-02 03:04:05+16", "epoch"],
    "numeric": ["NaN", "1e5", ".5", "5.", "+1", "Infinity", "--1", "1" * 2000, "0." + "1" * 2000],
    "numeric(10,2)": ["123456789", "99999999.995", "1e2"],
}


@pytest.mark.parametrize("type", USUAL)
def test_a_value_is_what_the_server_makes_of_its_text(client, server, tmp_path, type):
    chance = random.Random(f"{SEED} {type}")
    print("seed", SEED)
    texts = [None if chance.random() < 0.05 else USUAL[type](chance) for _ in range(400)]
    unusual = UNUSUAL[type] + [text for text in texts[:50] if text is not None]
    chance.shuffle(unusual)
    for values, isUsual in ((texts, True), (unusual, False)):
        table = f"t{random.randrange(1 << 40)}"
        client.query("CREATE TABLE source(k integer, v text)", database="pg")
        client.query(f"CREATE TABLE {table}(k integer, v {type})", database="pg")
        client.query(f"CREATE TABLE expected(k integer, v {type})", database="pg")
        for k, text in enumerate(values):
            client.query("INSERT INTO source VALUES ($1, $2)", params=[k, text], database="pg")
        server.psql("""DO $$ DECLARE one record; BEGIN FOR one IN SELECT * FROM source LOOP BEGIN
            EXECUTE format('INSERT INTO expected VALUES (%s, %L)', one.k, one.v); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$""")
        reply = imported(client, tmp_path, ["k,v", *(f"{k},{quoted(text)}" for k, text in enumerate(values))], table, max_rejected=1000)
        shown = "k, v::text" + (", encode(float8send(v), 'hex')" if type == "double precision" else "")
        rows = client.query(f"SELECT {shown} FROM {table} ORDER BY k", database="pg").rows
        assert rows == client.query(f"SELECT {shown} FROM expected ORDER BY k", database="pg").rows
        assert reply["row_count"] == len(rows)
        if isUsual:
            assert len(rows) == len(values) and copies(server, table) == (1, 0), "a usual value went as text"
        client.query(f"DROP TABLE source, expected, {table}", database="pg")


def test_a_table_that_is_altered_meanwhile_has_the_values(client, server, tmp_path):
    """What is eight bytes of an integer is eight bytes of a double, too."""
    client.query("CREATE TABLE t(v bigint)", database="pg")
    lines = [str(1 << 20 | k) for k in range(600_000)]
    ends, altered = threading.Event(), 0

    def alter():
        nonlocal altered
        while not ends.is_set():
            for type in ("double precision", "bigint"):
                server.psql(f"ALTER TABLE t ALTER v TYPE {type}")
                altered += 1

    thread = threading.Thread(target=alter)
    thread.start()
    try:
        reply = imported(client, tmp_path, ["v", *lines])
    finally:
        ends.set()
        thread.join()
    assert reply["row_count"] == len(lines) and altered > 2
    found = client.query("SELECT count(*), count(DISTINCT v), min(v), max(v) FROM t", database="pg").rows
    assert found == [[len(lines), len(lines), 1 << 20, 1 << 20 | 599_999]]


def test_a_column_of_a_domain_goes_as_text(client, server, tmp_path):
    """The description of a table has the type behind it; the statement that looks has not."""
    table = f"t{random.randrange(1 << 40)}"
    client.query("CREATE DOMAIN number AS bigint CHECK (value < 5)", database="pg")
    client.query(f"CREATE TABLE {table}(v number, w text)", database="pg")
    reply = imported(client, tmp_path, ["v,w", "1,a", "7,b", "2,c"], table, max_rejected=5)
    assert reply["row_count"] == 2 and [line["line"] for line in reply["rejected"]] == [3]
    assert client.query(f"SELECT v, w FROM {table} ORDER BY v", database="pg").rows == [[1, "a"], [2, "c"]]
    binary, text = copies(server, table)
    assert binary == 1 and text >= 2


@pytest.mark.parametrize("atomic", [False, True])
def test_a_row_that_is_refused_is_named(client, server, tmp_path, atomic):
    table = f"t{random.randrange(1 << 40)}"
    client.query(f"CREATE TABLE {table}(k integer PRIMARY KEY, v text CHECK (v <> 'no'))", database="pg")
    lines = [f"{k},{'no' if k == 777 else 'yes'}" for k in range(1000)]
    reply = imported(client, tmp_path, ["k,v", *lines], table, max_rejected=1, atomic=atomic)
    assert reply["row_count"] == 999 and reply["rejected"][0]["line"] == 779
    client.query(f"DELETE FROM {table}", database="pg")
    path = tmp_path / "rows"
    with opened(path, os.O_RDONLY) as descriptor:
        error = transfer_fails(client, "import", descriptor, database="pg", relation=table, atomic=atomic)
    assert error["code"] == "constraint_violation" and error["message"].startswith("Line 779 was refused: ")
    assert client.query(f"SELECT count(*) FROM {table}", database="pg").value == (0 if atomic else 777)


def test_who_may_only_insert_may_import(start_daemon, server, tmp_path):
    server.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public")
    server.psql("CREATE TABLE kept(k integer, v text); DROP ROLE IF EXISTS writer; CREATE ROLE writer LOGIN; GRANT INSERT ON kept TO writer")
    daemon = start_daemon(databases={"pg": server.url(user="writer")})
    with daemon.connect() as client:
        hello(client)
        assert imported(client, tmp_path, ["k,v", "1,a"], "kept")["row_count"] == 1
        with pytest.raises(RequestFailed):
            client.query("SELECT * FROM kept", database="pg")
    assert server.psql("SELECT * FROM kept").split() == ["1|a"]


@pytest.mark.parametrize("name", ["it's", "a\\b", 'say "x"', "semi;colon", "x" * 63, "$1", "café"])
def test_names(client, server, tmp_path, name):
    quoted_name = '"' + name.replace('"', '""') + '"'
    client.query(f"CREATE TABLE {quoted_name}(k integer, {quoted_name} text)", database="pg")
    for setting in ("on", "off"):
        server.psql(f"ALTER ROLE lb SET standard_conforming_strings = {setting}")
        reply = imported(client, tmp_path, ["k," + quoted(name), "1,a"], name)
        assert reply["row_count"] == 1
    server.psql("ALTER ROLE lb RESET standard_conforming_strings")
    assert client.query(f"SELECT k, {quoted_name} FROM {quoted_name}", database="pg").rows == [[1, "a"]] * 2


def test_a_table_that_is_made_goes_in_binary_behind_its_first_rows(client, server, tmp_path):
    table = f"t{random.randrange(1 << 40)}"
    lines = [f"{k},{k / 4},text {k}" for k in range(150_000)]
    assert imported(client, tmp_path, ["a,b,c", *lines], table, create=True)["row_count"] == 150_000
    binary, text = copies(server, table)
    assert binary > 0 and text <= 2
    assert client.query(f"SELECT count(*), sum(a), sum(b), min(c), max(length(c)) FROM {table}", database="pg").rows == [
        [150_000, str(sum(range(150_000))), sum(range(150_000)) / 4, "text 0", 11]]
