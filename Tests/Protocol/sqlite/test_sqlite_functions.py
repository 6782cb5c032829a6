"""What of SQLite's functions, modules and PRAGMAs a client reaches: each that the library at hand has was judged, here and
in SQLiteFunctions.swift and SQLitePragmas.swift. A library with something that nobody has judged fails these tests."""

import json
import os
import random
import sqlite3

import pytest

from wire import RequestFailed

# Why a function is open to clients: it computes from its arguments, or tells of the connection what is no secret.
ALLOWED = {
    "operators and values": """-> ->> abs char coalesce format glob hex ifnull iif instr length like likelihood likely lower
        ltrim match max min nullif printf quote random randomblob replace round rtrim sign soundex substr substring subtype
        trim typeof unicode unlikely upper zeroblob""",
    "mathematics": """acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi
        pow power radians sin sinh sqrt tan tanh trunc""",
    "dates": "current_date current_time current_timestamp date datetime julianday strftime time unixepoch",
    "JSON": """json json_array json_array_length json_extract json_group_array json_group_object json_insert json_object
        json_patch json_quote json_remove json_replace json_set json_type json_valid""",
    "aggregates and windows": """avg count cume_dist dense_rank first_value group_concat lag last_value lead nth_value ntile
        percent_rank rank row_number sum total""",
    "this connection's own": "changes last_insert_rowid total_changes",
    "the library's version": "sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version",
    "full-text search": "bm25 fts5_source_id highlight matchinfo offsets snippet",
    # The first prepares a SELECT of one relation, as PRAGMA table_info would, and steps nothing; the other one reads a text once, and
    # nothing else. Both never do so on a loop.
    "of LiteBase": "litebase_defect litebase_tells_columns",
    # Not in SQLite 3.40.
    "newer libraries": "concat concat_ws octet_length string_agg timediff unhex",
}
REFUSED = {
    "fts3_tokenizer": "calls a pointer that the client gives, and tells addresses",
    "fts5": "hands out a pointer to the module's interface",
    "load_extension": "loads code",
    "optimize": "writes, as a SELECT",
    "rtreecheck": "runs statements over whole tables, in one step",
    "rtreedepth": "for debugging: parses what it is given",
    "rtreenode": "for debugging: parses what it is given",
    "sqlite_log": "writes into the log of the process",
}
MODULES = {"dbstat", "fts3", "fts3tokenize", "fts4", "fts4aux", "fts5", "fts5vocab", "json_each", "json_tree", "rtree", "rtree_i32"}


@pytest.fixture
def session(packed):
    return packed.call("db_connect").data["session"]


def outcome(client, sql, **options):
    try:
        return client.collect(client.send_query(sql, **options)).rows
    except RequestFailed as failure:
        return failure.code


def test_every_function_was_judged(packed, session):
    allowed = {name for names in ALLOWED.values() for name in names.split()}
    known = {name for name, in packed.query("SELECT DISTINCT name FROM pragma_function_list").rows}
    assert "instr" in known and len(known) > 100
    assert known - allowed - set(REFUSED) == set(), "judge these, here and in SQLiteFunctions.swift"


def test_what_was_refused_cannot_be_called(packed, session):
    counts = packed.query("SELECT DISTINCT name, narg FROM pragma_function_list").rows
    for name, count in counts:
        if name not in REFUSED:
            continue
        for arguments in ([count] if count >= 0 else [0, 1, 2, 3]):
            call = f"{name}({', '.join(['?'] * arguments)})"
            for value in (None, 1, "e", b"AAAAAAAA"):
                for options in ({}, {"session": session}):
                    result = outcome(packed, f"SELECT {call}", params=[value] * arguments, **options)
                    assert result in ("permission_denied", "database_error"), (call, value, result)


@pytest.mark.parametrize("sql", [
    # The bytes are an address, which SQLite called.
    "SELECT fts3_tokenizer('e', x'4141414141410000')", "SELECT hex(fts3_tokenizer('simple'))",
    "SELECT \"fts3_tokenizer\"('simple')", "SELECT [FTS3_Tokenizer]('simple')",
    "SELECT 1 WHERE fts3_tokenizer('simple') IS NOT NULL", "SELECT count(*) FILTER (WHERE fts3_tokenizer('simple') > 1)",
    "CREATE TEMP VIEW v AS SELECT fts3_tokenizer('simple')", "INSERT INTO f SELECT fts3_tokenizer('simple')",
    "CREATE TEMP TABLE z(a, b AS (fts3_tokenizer('simple')))", "CREATE TEMP TABLE z(a DEFAULT (fts3_tokenizer('simple')))",
    "WITH a AS (SELECT fts3_tokenizer('simple')) SELECT * FROM a", "SELECT a FROM (VALUES (fts3_tokenizer('simple'))) AS v(a)",
    "SELECT json_object('a', fts3_tokenizer('simple'))",
])
def test_no_pointer_comes_in_or_out(packed, session, sql):
    packed.query("CREATE TABLE IF NOT EXISTS f(x)")
    for options in ({}, {"session": session}):
        result = outcome(packed, sql, **options)
        if result == []:  # stored, and refused when it is used
            name = "v" if "VIEW" in sql else "z"
            if name == "z":
                result = outcome(packed, "INSERT INTO z DEFAULT VALUES RETURNING *", **options)
            else:
                result = outcome(packed, "SELECT * FROM v", **options)
        assert isinstance(result, str), result
    # A tokenizer that is not built in does not exist, and the daemon lives.
    assert isinstance(outcome(packed, "CREATE VIRTUAL TABLE temp.x USING fts3(a, tokenize=e)", session=session), str)
    assert packed.query("SELECT 7").value == 7


def test_bound_parameters_are_no_way_around(packed, session):
    for options in ({}, {"session": session}):
        assert isinstance(outcome(packed, "SELECT fts3_tokenizer(?, ?)", params=["e", b"A" * 8], **options), str)
        assert isinstance(outcome(packed, "SELECT fts3_tokenizer(?)", params=["simple"], **options), str)


def test_a_files_schema_does_not_call_them_either(start_daemon, directory):
    path = directory / "f.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t(x)")
        made.execute("PRAGMA writable_schema = ON")
        for name, text in (("c", "CREATE TABLE c(x CHECK (optimize(x) OR sqlite_log(1, x)))"),
                           ("g", "CREATE TABLE g(x, y AS (fts3_tokenizer(x)))"),
                           ("s", "CREATE VIRTUAL TABLE s USING sqlite_stmt")):
            made.execute("INSERT INTO sqlite_master VALUES ('table', ?, ?, ?, ?)",
                         (name, name, 0 if "VIRTUAL" in text else 2, text))
    daemon = start_daemon(directory=directory, databases={"f": f"sqlite:{path}"})
    with daemon.connect() as client:
        for sql in ("INSERT INTO c VALUES ('simple')", "SELECT y FROM g", "SELECT * FROM s", "INSERT INTO g VALUES ('simple')"):
            assert outcome(client, sql, database="f") in ("syntax_error", "database_error", "permission_denied", []), sql
        client.query("SELECT 7")


def test_every_module_was_judged(packed, session):
    known = {name for name, in packed.query("SELECT name FROM pragma_module_list").rows}
    assert {"fts5", "json_each"} <= known
    assert {name for name in known if not name.startswith("pragma_")} <= MODULES, "judge these"


@pytest.mark.parametrize("module", ["sqlite_stmt", "sqlite_dbpage", "bytecode", "tables_used", "sqlite_dbdata", "csv", "fsdir"])
def test_other_users_statements_are_not_seen(packed, session, module):
    packed.query("SELECT 'a secret'")
    for options in ({}, {"session": session}):
        assert outcome(packed, f"SELECT * FROM {module}", **options) == "syntax_error"
        assert isinstance(outcome(packed, f"CREATE VIRTUAL TABLE temp.y USING {module}", **options), str)


JUDGED_PRAGMAS = set("""analysis_limit application_id auto_vacuum automatic_index busy_timeout cache_size cache_spill
    case_sensitive_like cell_size_check checkpoint_fullfsync collation_list compile_options count_changes data_version
    database_list default_cache_size defer_foreign_keys empty_result_callbacks encoding foreign_key_check foreign_key_list
    foreign_keys freelist_count full_column_names fullfsync function_list hard_heap_limit ignore_check_constraints
    incremental_vacuum index_info index_list index_xinfo integrity_check journal_mode journal_size_limit legacy_alter_table
    locking_mode max_page_count mmap_size module_list optimize page_count page_size pragma_list query_only quick_check
    read_uncommitted recursive_triggers reverse_unordered_selects schema_version secure_delete short_column_names
    shrink_memory soft_heap_limit synchronous table_info table_list table_xinfo temp_store temp_store_directory threads
    trusted_schema user_version wal_autocheckpoint wal_checkpoint writable_schema""".split())


def test_every_pragma_was_judged(packed):
    known = {name for name, in packed.query("PRAGMA pragma_list").rows}
    assert known - JUDGED_PRAGMAS == set(), "judge these, here and in SQLitePragmas.swift"


def test_a_pragma_that_nobody_knows_is_refused(packed, session):
    for sql in ("PRAGMA nonsense", "PRAGMA nonsense = 1", "PRAGMA lock_proxy_file", "PRAGMA activate_extensions = 'x'"):
        for options in ({}, {"session": session}):
            assert outcome(packed, sql, **options) == "permission_denied", sql


def test_nothing_is_left_on_connections_that_users_share(packed):
    packed.query("CREATE TABLE IF NOT EXISTS kept(a)")
    for sql in ("ATTACH '' AS x", "ATTACH ':memory:' AS x", "CREATE VIRTUAL TABLE temp.x USING fts5(a)",
                "CREATE TEMP TABLE x(a)", "CREATE TABLE temp.x(a)", "CREATE VIEW temp.x AS SELECT 1",
                "CREATE TRIGGER temp.x AFTER INSERT ON main.kept BEGIN SELECT 1; END", "PRAGMA case_sensitive_like = ON", "DETACH main"):
        assert isinstance(outcome(packed, sql), str), sql
    assert {row[1] for row in packed.query("PRAGMA database_list").rows} <= {"main", "temp"}
    assert packed.query("SELECT * FROM sqlite_temp_schema").rows == []
    packed.query("INSERT INTO kept VALUES (1)")
    assert packed.query("SELECT 'a' LIKE 'A'").value == 1


def test_vacuum_still_works(packed, session):
    assert outcome(packed, "VACUUM") == []
    assert outcome(packed, "VACUUM", session=session) == []


def test_schemas_can_still_be_altered(packed, session, table):
    for options in ({}, {"session": session}):
        for sql in (f"CREATE TABLE {table}(a, b CHECK (length(b) < 9))", f"CREATE INDEX {table}i ON {table}(lower(a))",
                    f"CREATE VIEW {table}v AS SELECT a FROM {table}",
                    f"CREATE TRIGGER {table}t AFTER INSERT ON {table} BEGIN UPDATE {table} SET b = trim(new.a); END",
                    f"ALTER TABLE {table} RENAME COLUMN a TO c", f"ALTER TABLE {table} ADD COLUMN d CHECK (d > 0)",
                    f"ALTER TABLE {table} RENAME TO {table}n", f"DROP VIEW {table}v", f"DROP TRIGGER {table}t",
                    f"ALTER TABLE {table}n DROP COLUMN d", f"ANALYZE {table}n", f"REINDEX {table}n", f"DROP TABLE {table}n"):
            assert outcome(packed, sql, **options) == [], sql


# The daemon's own versions of functions that cannot be interrupted, or take more than linear time, give what SQLite's do.

ALPHABETS = (["a", "b"], ["a", "é", "€", "😀"], ["", " ", "a", "aa", "ab"])


def random_value(random, alphabet):
    kind = random.randrange(12)
    if kind == 0:
        return None
    if kind == 1:
        return random.randrange(-99, 9999)
    if kind == 2:
        return random.choice([0.5, 1e300, -1.25, 100.0])
    text = "".join(random.choice(alphabet) for _ in range(random.randrange(12)))
    return text.encode() if kind < 5 else text


def compare(client, sql, make_parameters):
    """The daemon's answers and those of SQLite itself."""
    original = sqlite3.connect(":memory:")
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(1500):
        parameters = make_parameters(source)
        expected = original.execute(sql, parameters).fetchone()[0]
        assert client.query(sql, params=parameters).value == expected, (sql, parameters)


@pytest.mark.slow
@pytest.mark.parametrize("sql", [
    "SELECT instr(?, ?)", "SELECT replace(?, ?, ?)", "SELECT trim(?)", "SELECT trim(?, ?)", "SELECT ltrim(?)", "SELECT ltrim(?, ?)",
    "SELECT rtrim(?)", "SELECT rtrim(?, ?)", "SELECT typeof(replace(?, ?, ?))", "SELECT typeof(trim(?, ?))",
])
def test_own_functions_are_as_sqlites(packed, sql):
    compare(packed, sql, lambda source: [random_value(source, source.choice(ALPHABETS)) for _ in range(sql.count("?"))])


@pytest.mark.parametrize("sql", [
    "SELECT instr(CAST(? AS TEXT), CAST(? AS TEXT))", "SELECT hex(trim(CAST(? AS TEXT), CAST(? AS TEXT)))",
    "SELECT hex(rtrim(CAST(? AS TEXT), CAST(? AS TEXT)))", "SELECT hex(replace(CAST(? AS TEXT), CAST(? AS TEXT), 'x'))",
])
def test_own_functions_on_text_that_is_no_utf8(packed, sql):
    odd = (0, 0x20, 0x61, 0x80, 0xa9, 0xc3, 0xe2, 0xff)
    compare(packed, sql, lambda source: [bytes(source.choice(odd) for _ in range(source.randrange(9))) for _ in range(2)])


def test_json_patch_is_as_sqlites(packed):
    original = sqlite3.connect(":memory:")
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)

    def value(depth):
        kind = source.randrange(6 if depth else 4)
        if kind < 4:
            return source.choice([None, 1, "é", True])
        if kind == 4:
            return [value(depth - 1) for _ in range(source.randrange(3))]
        return {source.choice("abc"): value(depth - 1) for _ in range(source.randrange(4))}

    for _ in range(500):
        parameters = [json.dumps(value(3)), json.dumps(value(3))]
        expected = original.execute("SELECT json_patch(?, ?)", parameters).fetchone()[0]
        assert packed.query("SELECT json_patch(?, ?)", params=parameters).value == expected, parameters
    # A JSON value, not a text: its subtype is kept.
    assert packed.query("""SELECT json_array(json_patch('{"a":1}', '{"b":2}'))""").value == '[{"a":1,"b":2}]'
    assert packed.query("SELECT json_patch(NULL, '{}')").value is None
    assert outcome(packed, "SELECT json_patch('{', '{}')") == "database_error"


@pytest.mark.parametrize("call", [
    "printf('%s', ?)", "format('%d items', ?)", "json_patch(json_quote(?), '{}')", "json_set('{}', '$.a', ?)", "json_insert('[]', '$[0]', ?)",
    "instr(?, 'a')", "replace(?, 'a', '[1]')", "trim(?)", "ltrim(?)", "rtrim(?)", "json_set('{}', '$.a', printf('%s', ?))",
])
@pytest.mark.parametrize("around", ["json_quote({})", "json_array({})", "json_object('name', {})", "json_group_array({})"])
def test_what_is_json_and_what_is_text(packed, call, around):
    """A text that passes for JSON is put into JSON as it is: whoever chooses it adds members."""
    original = sqlite3.connect(":memory:")
    sql = f"SELECT {around.format(call)}"
    for value in ('"x","admin":true,"y":""', "[1]", "plain text", '{"a":1}', "3"):
        assert packed.query(sql, params=[value]).value == original.execute(sql, [value]).fetchone()[0], value


@pytest.mark.slow
def test_columns_without_an_end_are_refused(daemon, table):
    """Their names and types are kept for each statement, and written for each result; a client chooses how often they come."""
    with daemon.connect() as client:
        client.query(f'CREATE TABLE {table}(a "{"x" * 150_000}", "{"n" * 90_000}" INT)')
        client.query(f"INSERT INTO {table} VALUES (1, 2)")
        session = client.call("db_connect").data["session"]
        assert len(client.query(f"SELECT a FROM {table}").rows) == 1
        for columns in ("a, a", "*, *", ", ".join(["a"] * 1000)):
            sql = f"SELECT {columns} FROM {table}"
            for where in ({}, {"session": session}):
                with pytest.raises(RequestFailed, match="limit_exceeded"):
                    client.query(sql, **where)
                with pytest.raises(RequestFailed, match="limit_exceeded"):
                    client.call("describe", {"sql": sql, **where})
        with pytest.raises(RequestFailed, match="limit_exceeded"):
            client.query(f"INSERT INTO {table} VALUES (3, 4) RETURNING a, a")
        assert client.query(f"SELECT count(*) FROM {table}").value == 1
        assert client.query("SELECT " + ", ".join(f"1 AS {'c' * 100}{i}" for i in range(2000))).rows[0] == [1] * 2000


@pytest.mark.slow
@pytest.mark.parametrize("sql", [
    "SELECT printf('%s', '')", "SELECT format('')", "SELECT printf('%s%s', '', '')", "SELECT printf('%s', printf('a b'))",
    "SELECT format('%d', format('%d', 7))", "SELECT typeof(printf('%.0s', 'x'))", "SELECT printf('%')",
])
def test_empty_and_nested_formats(packed, sql):
    assert packed.query(sql).value == sqlite3.connect(":memory:").execute(sql).fetchone()[0]


def test_formats_are_those_of_sqlite(packed):
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.randrange(1 << 32))
    print("seed", seed)
    source = random.Random(seed)
    original = sqlite3.connect(":memory:")
    for _ in range(1000):
        pieces = source.choices(["%", "-", "0", "!", ",", "l", "ll", "*", ".", ".*", ".3", ".70", "12", "c", "c", "c", "d", "s", "q", "f",
                                 "x", "n", "é", "a", "%c", "%.*c", "%5.9c"], k=source.randrange(1, 14))
        parameters = ["".join(pieces), *source.choices([0, 1, 7, -40, 300, 1 << 32, "xyz", "é", None, 2.5], k=source.randrange(5))]
        sql = f"SELECT printf({', '.join('?' * len(parameters))})"
        assert packed.query(sql, params=parameters).value == original.execute(sql, parameters).fetchone()[0], parameters


@pytest.mark.parametrize("arguments", [
    "'%.2000000000c', 'x'", "'%.*c', 2000000000, 'x'", "'%.*c', -2000000000, 'x'", "'%d%s%5.*lc', 1, 2, 2000000000, 'x'",
    "'%.60000000c%.60000000c', 'x', 'y'", "'%*.2000000000llc', 3, 'x'",
])
@pytest.mark.parametrize("sql", ["SELECT length(printf({}))", "INSERT INTO {} VALUES (printf({}))"])
def test_no_format_repeats_without_an_end(daemon, packed, table, arguments, sql):
    """SQLite writes two thousand million characters, one after the other, although the text became too long long before."""
    packed.query(f"CREATE TABLE {table}(x)")
    start = daemon.cpu_seconds()
    with pytest.raises(RequestFailed, match="limit_exceeded"):
        packed.query(sql.format(arguments) if sql.startswith("SELECT") else sql.format(table, arguments))
    assert daemon.cpu_seconds() - start < 0.5
    assert packed.query("SELECT printf('%.*c|%s', 3, 'ab', 'c')").value == "aaa|c"
