"""`import`: the rows of a client's file or pipe into a table, and what is left where it ends early."""

import os
import random
import threading
import time

import pytest

from daemon import wait_until
from transfers import hello, opened, outcome, send_with, transfer, transfer_fails
from wire import RequestFailed

NASTY = [None, "", "plain", "a,b", 'say "hi"', '"', "two\nlines", "two\r\nlines", "\r", " padded ", "007", "NULL", "\\N", "\\x41",
         "\\", "tab\there", "émoji 🎉 ￿", "\ue000", "'", b"", b"\x00\xff", b"\\x41"]


@pytest.fixture(params=["msgpack", "lines"])
def passing(request, daemon):
    with daemon.connect(request.param) as client:
        yield hello(client)


@pytest.fixture
def name(passing):
    """A table that is not there yet."""
    made = f"t{random.randrange(1 << 40)}"
    yield made
    passing.query(f'DROP TABLE IF EXISTS "{made}"')


def written(directory, content):
    path = directory / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def imported(client, directory, content, relation, **data):
    path = written(directory, content)
    with opened(path, os.O_RDONLY) as descriptor:
        reply = transfer(client, "import", descriptor, relation=relation, **data)
    assert reply["bytes"] == os.path.getsize(path)
    return reply


def import_fails(client, directory, content, relation, **data):
    with opened(written(directory, content), os.O_RDONLY) as descriptor:
        return transfer_fails(client, "import", descriptor, relation=relation, **data)


def test_a_table_is_made(passing, directory, name):
    reply = imported(passing, directory, 'id,name,price,zip,data\r\n1,a,1.5,01234,\\x00ff\r\n2,,2,99999,\r\n3,"",-1e3,"",\r\n', name, create=True)
    assert reply["row_count"] == 3 and reply["rejected_count"] == 0 and reply["transaction"] == "none"
    assert [(column["name"], column["type"]) for column in reply["columns"]] == [
        ("id", "integer"), ("name", "text"), ("price", "real"), ("zip", "text"), ("data", "blob")]
    assert reply["sql"].startswith(f'CREATE TABLE "{name}"("id" INTEGER, ')
    rows = passing.query(f'SELECT *, typeof(id), typeof(price) FROM "{name}"')
    assert rows.rows == [[1, "a", 1.5, "01234", b"\x00\xff", "integer", "real"], [2, None, 2.0, "99999", None, "integer", "real"],
                         [3, "", -1000.0, "", None, "integer", "real"]]


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "jsonl"])
def test_round_trip(passing, directory, name, format):
    """What `export` has written comes back as it was: what CSV cannot tell apart is told by the table."""
    values = ", ".join(f"? AS c{number}" for number in range(len(NASTY)))
    passing.query(f'CREATE TABLE "{name}" AS SELECT {values}', params=NASTY)
    columns = ", ".join(f"c{number} {'BLOB' if isinstance(value, bytes) else 'TEXT'}" for number, value in enumerate(NASTY))
    with opened(directory / "exported") as descriptor:
        transfer(passing, "export", descriptor, sql=f'SELECT * FROM "{name}"', format=format)
    passing.query(f'DROP TABLE "{name}"')
    passing.query(f'CREATE TABLE "{name}"({columns})')
    imported(passing, directory, (directory / "exported").read_bytes(), name, format=format)
    [row] = passing.query(f'SELECT * FROM "{name}"').rows
    assert row == NASTY


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
def test_all_of_unicode(passing, directory, name, format):
    texts = ["".join(map(chr, range(max(start, 1), start + 0x1000))) for start in range(0, 0x110000, 0x1000)]
    texts = ["".join(c for c in text if not 0xD800 <= ord(c) <= 0xDFFF) for text in texts]
    passing.query(f'CREATE TABLE "{name}"(n INTEGER PRIMARY KEY, t)')
    passing.batch([{"sql": f'INSERT INTO "{name}" VALUES (?, ?)', "param_rows": [[n, text] for n, text in enumerate(texts)]}])
    with opened(directory / "exported") as descriptor:
        transfer(passing, "export", descriptor, sql=f'SELECT * FROM "{name}"', format=format)
    passing.query(f'DELETE FROM "{name}"')
    imported(passing, directory, (directory / "exported").read_bytes(), name, format=format)
    assert [row[0] for row in passing.query(f'SELECT t FROM "{name}" ORDER BY n').rows] == texts


def test_large_and_many(passing, directory, name):
    """A value of 10 MB, quotes in it, and 2,000 columns."""
    long = ('"' * 1000 + "x" * 1000) * 5_000
    passing.query(f'CREATE TABLE "{name}"(a, b)')
    imported(passing, directory, 'a,b\n"' + long.replace('"', '""') + '",1\n', name)
    assert passing.query(f'SELECT length(a), b FROM "{name}"').rows == [[len(long), "1"]]
    passing.query(f'DROP TABLE "{name}"')
    names = [f"c{number}" for number in range(2_000)]
    line = ",".join(map(str, range(2_000)))
    reply = imported(passing, directory, ",".join(names) + "\n" + (line + "\n") * 50, name, create=True)
    assert reply["row_count"] == 50
    assert passing.query(f'SELECT count(*), sum(c1999) FROM "{name}"').rows == [[50, 1999 * 50]]


@pytest.mark.parametrize("encoding,named", [("utf-8-sig", None), ("utf-16", None), ("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be"),
                                            ("latin-1", "latin-1")])
def test_encodings(passing, directory, name, encoding, named):
    text = "ä;b\nÿ;\"x\n y\"\n" * 1 + "é;2\n" * 100_000
    data = {"encoding": named} if named else {}
    reply = imported(passing, directory, text.encode(encoding), name, create=True, delimiter=";", **data)
    assert reply["row_count"] == 100_001
    assert passing.query(f'SELECT "ä", b FROM "{name}" LIMIT 2').rows == [["ÿ", "x\n y"], ["é", "2"]]


def test_what_is_not_its_encoding(passing, directory, name):
    error = import_fails(passing, directory, "a\nä\n".encode("latin-1"), name, create=True)
    assert error["code"] == "bad_request" and "Line 2" in error["message"] and "encoding" in error["message"]
    error = import_fails(passing, directory, b"\xff\xfea\x00\n\x00\x00\xdc", name, create=True)
    assert error["code"] == "bad_request" and "encoding" in error["message"]
    assert import_fails(passing, directory, "a\n1\n", name, encoding="ebcdic")["code"] == "bad_request"


def test_columns_and_header(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a, b DEFAULT \'d\', c)')
    imported(passing, directory, "c,a\n1,2\n", name)
    imported(passing, directory, "1,2,3\n", name, header=False)
    imported(passing, directory, "x,y\n4,5\n", name, columns=["b", "c"])
    imported(passing, directory, '{"a":6,"z":7}\n', name, format="jsonl", columns=["a"])
    assert passing.query(f'SELECT * FROM "{name}"').rows == [["2", "d", "1"], ["1", "2", "3"], [None, "4", "5"], [6, "d", None]]
    for content, data, word in [("c,nonsense\n1,2\n", {}, "nonsense"), ("a,b\n1,2\n", {"columns": ["a"]}, "2 fields"),
                                ("a,a\n1,2\n", {}, "same name"), ("a,\n1,2\n", {}, "no name"), ("", {"create": True}, "empty"),
                                ("a\n1\n", {"relation": "nothing_there"}, "nothing_there")]:
        error = import_fails(passing, directory, content, data.pop("relation", name), **data)
        assert word in error["message"] + error.get("hint", ""), error
    assert passing.query(f'SELECT count(*) FROM "{name}"').rows == [[4]]


def test_null_and_delimiter(passing, directory, name):
    imported(passing, directory, "a|b\nNA|\n\"NA\"|1\n", name, create=True, delimiter="|", null="NA")
    assert passing.query(f'SELECT * FROM "{name}"').rows == [[None, ""], ["NA", "1"]]
    for delimiter in ('"', "ab", "\n", "é", ""):
        assert import_fails(passing, directory, "a\n1\n", name, delimiter=delimiter)["code"] == "bad_request"
    for null in ('"', "a\nb", "a,b", "\r", "\\x", "\\"):
        failed = import_fails(passing, directory, "a\n1\n", name, null=null)
        assert failed["code"] == "bad_request" and "The field null must be text without quotes" in failed["message"], failed


def test_a_dry_run_changes_nothing(passing, directory, name):
    text = "a,b\n" + "1,x\n" * 100_000 + "2.5,y\nz\n"
    error = import_fails(passing, directory, text, name, create=True, dry_run=True)
    assert "Line 100003" in error["message"]
    reply = imported(passing, directory, text, name, create=True, dry_run=True, max_rejected=5)
    assert reply["row_count"] == 100_001 and reply["rejected"] == [{"line": 100_003, "reason": "It has 1 field instead of 2."}]
    assert [column["type"] for column in reply["columns"]] == ["real", "text"]
    assert passing.query("SELECT count(*) FROM sqlite_schema WHERE name = ?", params=[name]).rows == [[0]]


def test_rejected_lines(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a INTEGER PRIMARY KEY, b TEXT NOT NULL, CHECK(a <> 13))')
    text = "a,b\n" + "".join(f"{n},x\n" for n in range(20)) + "5,double\n30,\n31\n\"q\" ,x\n40,last\n"
    reply = imported(passing, directory, text, name, max_rejected=10)
    assert reply["row_count"] == 20 and reply["rejected_count"] == 5
    assert sorted(line["line"] for line in reply["rejected"]) == [15, 22, 23, 24, 25]
    reasons = {line["line"]: line["reason"] for line in reply["rejected"]}
    assert "CHECK" in reasons[15] and "UNIQUE" in reasons[22] and "NOT NULL" in reasons[23]
    assert passing.query(f'SELECT count(*), max(a) FROM "{name}"').rows == [[20, 40]]
    # One too many: the rows before it stay.
    passing.query(f'DELETE FROM "{name}"')
    error = import_fails(passing, directory, text, name)
    assert error["message"].startswith("Line 24") or error["message"].startswith("Line 15"), error
    error = import_fails(passing, directory, "a,b\n" + "".join(f"{n},x\n" for n in range(20)), name, columns=["a", "b"])
    assert error["code"] == "constraint_violation"


def test_the_rows_before_a_refused_line_stay(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a INTEGER PRIMARY KEY)')
    text = "".join(f"{n}\n" for n in range(5_000)) + "7\n9999\n"
    error = import_fails(passing, directory, text, name, header=False)
    assert error["code"] == "constraint_violation" and error["message"].startswith("Line 5001 was refused"), error
    assert "5000 rows" in error["detail"]
    assert passing.query(f'SELECT count(*), max(a) FROM "{name}"').rows == [[5_000, 4_999]]
    passing.query(f'DELETE FROM "{name}"')
    error = import_fails(passing, directory, text, name, header=False, atomic=True)
    assert error["code"] == "constraint_violation" and "detail" not in error or "rows" not in error.get("detail", "")
    assert passing.query(f'SELECT count(*) FROM "{name}"').rows == [[0]]
    reply = imported(passing, directory, text.replace("7\n9999", "9998\n9999"), name, header=False, atomic=True)
    assert reply["row_count"] == 5_002 and passing.query(f'SELECT count(*) FROM "{name}"').rows == [[5_002]]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 32, 47, 100])
def test_one_refused_row_among_those_that_go_together(passing, directory, name, count):
    """The daemon has SQLite write 16 rows at a time: whichever is refused, all others are there, and nothing twice."""
    passing.query(f'CREATE TABLE "{name}"(a INTEGER PRIMARY KEY, b TEXT, c TEXT)')
    # Nulls in runs, a text longer than a page, one that is a number.
    lines = [f"{n},{'' if n % 7 < 3 else 'x' * (9_000 if n == 20 else n)},{n}" for n in range(count)]
    for bad in {0, 1, count // 2, count - 2, count - 1} & set(range(count)):
        for what, reason in (("no number,x,y", "mismatch"), (f"{(bad + 1) % count},x,y" if count > 1 else None, "UNIQUE")):
            if what is None:
                continue
            passing.query(f'DELETE FROM "{name}"')
            text = "a,b,c\n" + "\n".join([*lines[:bad], what, *lines[bad + 1:]]) + "\n"
            reply = imported(passing, directory, text, name, max_rejected=1)
            # Of two rows with one key the second is refused.
            line = bad + 2 if reason == "mismatch" or (bad + 1) % count < bad else bad + 3
            assert reply["row_count"] == count - 1 and [found["line"] for found in reply["rejected"]] == [line], (bad, reply)
            assert reason in reply["rejected"][0]["reason"]
            rows = passing.query(f'SELECT a, length(b), typeof(c) FROM "{name}" ORDER BY a').rows
            assert [row[0] for row in rows] == [n for n in range(count) if n != bad]
            passing.query(f'DELETE FROM "{name}"')
            error = import_fails(passing, directory, text, name)
            assert error["message"].startswith(f"Line {line} was refused"), error
            assert passing.query(f'SELECT count(*) FROM "{name}"').rows == [[line - 2]]


@pytest.mark.parametrize("count", [40, 4_000])
def test_a_row_cannot_refer_to_one_behind_it(passing, directory, name, count):
    """As with one INSERT for each row: references are looked at when a statement ends."""
    passing.query(f'CREATE TABLE "{name}"(a INTEGER PRIMARY KEY, b INTEGER REFERENCES "{name.upper()}"(a))')
    text = "a,b\n" + "".join(f"{n},{n - 1 if n else ''}\n" for n in range(count))
    assert imported(passing, directory, text, name)["row_count"] == count
    passing.query(f'DELETE FROM "{name}"')
    error = import_fails(passing, directory, text.replace("\n5,4\n", "\n5,6\n"), name)
    assert error["message"].startswith("Line 7 was refused") and "FOREIGN KEY" in error["message"], error
    assert passing.query(f'SELECT max(a) FROM "{name}"').rows == [[4]]


def test_a_row_cannot_need_what_the_trigger_of_one_behind_it_makes(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}_p"(a INTEGER PRIMARY KEY)')
    try:
        passing.query(f'CREATE TABLE "{name}"(a INTEGER, b INTEGER REFERENCES "{name}_p"(a))')
        passing.query(f'CREATE TRIGGER "{name}_t" AFTER INSERT ON "{name}" BEGIN INSERT INTO "{name}_p" VALUES (new.a); END')
        error = import_fails(passing, directory, "a,b\n" + "".join(f"{n},{n + 1 if n == 3 else ''}\n" for n in range(40)), name)
        assert error["message"].startswith("Line 5 was refused") and "FOREIGN KEY" in error["message"], error
        assert passing.query(f'SELECT max(a) FROM "{name}"').rows == [[2]]
    finally:
        passing.query(f'DROP TABLE IF EXISTS "{name}"')
        passing.query(f'DROP TABLE "{name}_p"')


@pytest.mark.parametrize("table, lines, refused", [
    # The row to which another table refers would go with the first line, and come back with the second.
    ("(a INTEGER PRIMARY KEY, u TEXT UNIQUE ON CONFLICT REPLACE)", ["2,a", "1,b"], [2, 3]),
    # The first line refers to nothing, and would be replaced by the second.
    ('(a INTEGER PRIMARY KEY ON CONFLICT REPLACE, u INTEGER REFERENCES "{name}_p"(a))', ["5,99", "5,1"], [2])], ids=["lost", "broken"])
def test_a_reference_is_looked_at_before_the_next_row_replaces_it(passing, directory, name, table, lines, refused):
    passing.query(f'CREATE TABLE "{name}_p"(a INTEGER PRIMARY KEY)')
    try:
        passing.query(f'INSERT INTO "{name}_p" VALUES (1)')
        passing.query(f'CREATE TABLE "{name}"{table.replace("{name}", name)}')
        if refused == [2, 3]:
            passing.query(f'INSERT INTO "{name}" VALUES (1, \'a\')')
            passing.query(f'CREATE TABLE "{name}_c"(x REFERENCES "{name}"(a))')
            passing.query(f'INSERT INTO "{name}_c" VALUES (1)')
        text = "a,u\n" + "\n".join([*lines, *(f"{n},{1 if refused == [2] else n}" for n in range(100, 140))]) + "\n"
        reply = imported(passing, directory, text, name, max_rejected=5)
        assert [found["line"] for found in reply["rejected"]] == refused, reply
        # (The second one has a key that is still there.)
        assert "FOREIGN KEY" in reply["rejected"][0]["reason"], reply
        assert reply["row_count"] == len(lines) + 40 - len(refused)
    finally:
        for other in (f"{name}_c", name, f"{name}_p"):
            passing.query(f'DROP TABLE IF EXISTS "{other}"')


def test_a_default_that_counts_statements(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a INTEGER PRIMARY KEY, n INTEGER DEFAULT (total_changes()))')
    assert imported(passing, directory, "a\n" + "".join(f"{n}\n" for n in range(40)), name)["row_count"] == 40
    assert passing.query(f'SELECT count(DISTINCT n) FROM "{name}"').value == 40


@pytest.mark.parametrize("resolution, kept, rejected", [("FAIL", 39, 1), ("ABORT", 39, 1), ("IGNORE", 39, 0), ("REPLACE", 40, 0)])
def test_what_the_table_does_with_conflicts(passing, directory, name, resolution, kept, rejected):
    """FAIL leaves what a statement has done before: the rows that went together come again, and are there once. IGNORE refuses none."""
    passing.query(f'CREATE TABLE "{name}"(a INTEGER, b INTEGER UNIQUE ON CONFLICT {resolution})')
    text = "a,b\n" + "".join(f"{n},{7 if n == 27 else n}\n" for n in range(40))
    reply = imported(passing, directory, text, name, max_rejected=1)
    assert (reply["row_count"], reply["rejected_count"]) == (kept, rejected)
    rows = passing.query(f'SELECT a FROM "{name}" ORDER BY a').rows
    gone = {"REPLACE": 7}.get(resolution, 27)
    assert [row[0] for row in rows] == [n for n in range(40) if n != gone]


@pytest.mark.parametrize("count", [100, 300])
def test_many_columns(passing, directory, name, count):
    """Fewer rows go together then, or one."""
    columns = [f"c{n}" for n in range(count)]
    passing.query(f'CREATE TABLE "{name}"({", ".join(columns)})')
    text = ",".join(columns) + "\n" + "".join(",".join(f"{row}.{n}" for n in range(count)) + "\n" for row in range(51))
    assert imported(passing, directory, text, name)["row_count"] == 51
    assert passing.query(f'SELECT c0, {columns[-1]} FROM "{name}"').rows == [[f"{row}.0", f"{row}.{count - 1}"] for row in range(51)]


def test_in_a_session(passing, directory, name):
    session = passing.call("db_connect", {"database": "default"}).data["session"]
    passing.query("BEGIN", session=session)
    reply = imported(passing, directory, "a\n1\n2\n", name, create=True, session=session)
    assert reply["transaction"] == "active"
    assert passing.query(f'SELECT count(*) FROM "{name}"', session=session).rows == [[2]]
    passing.query("ROLLBACK", session=session)
    passing.query(f'CREATE TABLE "{name}"(a UNIQUE)', session=session)
    passing.query("BEGIN", session=session)
    with opened(written(directory, "a\n1\n1\n"), os.O_RDONLY) as descriptor:
        error = transfer_fails(passing, "import", descriptor, relation=name, session=session)
    assert error["code"] == "constraint_violation" and "transaction has the row before it" in error["detail"]
    passing.query("COMMIT", session=session)
    assert passing.query(f'SELECT a FROM "{name}"').rows == [["1"]]
    imported(passing, directory, "a\n5\n6\n", name, session=session, atomic=True)
    assert passing.query(f'SELECT count(*) FROM "{name}"').rows == [[3]]
    passing.call("db_disconnect", {"session": session})


def test_a_pipe(passing, name):
    passing.query(f'CREATE TABLE "{name}"(a, b)')
    reader, writer = os.pipe()
    id = send_with(passing, [reader], "import", {"descriptors": 1, "relation": name, "progress_ms": 1})
    os.close(reader)
    with os.fdopen(writer, "wb") as file:
        file.write(b"a,b\n")
        for n in range(200_000):
            file.write(b"%d,text\n" % n)
    replies = outcome(passing, id)
    assert replies[-1]["row_count"] == 200_000
    assert all(reply["more"] for reply in replies[:-1]) and replies[:-1], "no progress was told"
    assert [reply["row_count"] for reply in replies] == sorted(reply["row_count"] for reply in replies)
    assert "total_bytes" not in replies[0]


def test_cancel_of_a_pipe_that_is_silent(passing, directory, name):
    """The rows that were committed stay, and are told; of an atomic one nothing does."""
    passing.query(f'CREATE TABLE "{name}"(a, b)')
    for atomic in (False, True):
        reader, writer = os.pipe()
        id = send_with(passing, [reader], "import", {"descriptors": 1, "relation": name, "progress_ms": 1, "atomic": atomic})
        os.close(reader)
        os.write(writer, b"a,b\n")
        content = b"".join(b"%d,%s\n" % (n, b"x" * 90) for n in range(30_000))
        thread = threading.Thread(target=os.write, args=(writer, content))
        thread.start()
        progress = passing.receive_for(id).data
        assert progress["more"]
        thread.join()
        passing.call("cancel", {"request": id})
        with pytest.raises(RequestFailed) as failed:
            outcome(passing, id)
        os.close(writer)
        assert failed.value.data["code"] == "cancelled"
        count = passing.query(f'SELECT count(*) FROM "{name}"').rows[0][0]
        if atomic:
            assert count == 0
        else:
            assert f"The {count} rows before it are in the table" in failed.value.data.get("detail", "") or count == 0
            passing.query(f'DELETE FROM "{name}"')


def test_a_client_that_goes_away(daemon, directory, name, passing):
    """An atomic import leaves nothing, another one the first rows, in order."""
    for atomic in (True, False):
        passing.query(f'DROP TABLE IF EXISTS "{name}"')
        passing.query(f'CREATE TABLE "{name}"(a INTEGER)')
        path = written(directory, "".join(f"{n}\n" for n in range(400_000)))
        with daemon.connect() as client, opened(path, os.O_RDONLY) as descriptor:
            hello(client)
            id = send_with(client, [descriptor], "import",
                           {"descriptors": 1, "relation": name, "header": False, "atomic": atomic, "progress_ms": 1})
            client.receive_for(id)
        # The write lock is free again.
        passing.query("CREATE TABLE IF NOT EXISTS probe(x)")
        last = -1

        def settled():
            nonlocal last
            count = passing.query(f'SELECT count(*) FROM "{name}"').rows[0][0]
            if count == last:
                return True
            last = count
            time.sleep(0.2)
            return False

        wait_until(settled, "nothing is written any more")
        count, highest = passing.query(f'SELECT count(*), max(a) FROM "{name}"').rows[0]
        if atomic and count:
            assert count == 400_000, "a part of an atomic import stayed"
        elif count:
            assert highest == count - 1


def test_others_write_meanwhile(daemon, passing, directory, name):
    """Nobody waits for longer than for a group of writes."""
    passing.query(f'CREATE TABLE "{name}"(a INTEGER PRIMARY KEY, b, c)')
    passing.query("CREATE TABLE IF NOT EXISTS other(x)")
    path = written(directory, "".join(f"{n},{n * 7},some text {n}\n" for n in range(400_000)))
    longest, count, done = 0, 0, threading.Event()

    def write():
        nonlocal longest, count
        with daemon.connect() as client:
            while not done.is_set():
                start = time.monotonic()
                client.query("INSERT INTO other VALUES (1)")
                longest, count = max(longest, time.monotonic() - start), count + 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with opened(path, os.O_RDONLY) as descriptor:
            transfer(passing, "import", descriptor, relation=name, header=False)
    finally:
        done.set()
        thread.join()
    assert count >= 3
    assert longest < 2, longest
    assert passing.query(f'SELECT count(*) FROM "{name}"').rows == [[400_000]]


def test_files_that_make_no_sense(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a)')
    with opened(directory / "w", os.O_WRONLY | os.O_CREAT) as descriptor:
        assert "reading" in transfer_fails(passing, "import", descriptor, relation=name)["message"]
    with opened(directory, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        assert transfer_fails(passing, "import", descriptor, relation=name)["code"] == "bad_request"
    with opened("/dev/zero", os.O_RDONLY) as descriptor:
        assert transfer_fails(passing, "import", descriptor, relation=name)["code"] == "bad_request"
    assert import_fails(passing, directory, "a\n1\n", "")["code"] == "bad_request"
    assert import_fails(passing, directory, '{"a":1}', name, format="json")["code"] == "bad_request"
    assert import_fails(passing, directory, '[{"a":1},', name, format="json")["code"] == "bad_request"


def test_memory_files_may_be_read(passing, name):
    passing.query(f'CREATE TABLE "{name}"(a)')
    descriptor = os.memfd_create("rows")
    try:
        os.write(descriptor, b"a\n1\n2\n")
        os.lseek(descriptor, 0, os.SEEK_SET)
        assert transfer(passing, "import", descriptor, relation=name)["row_count"] == 2
    finally:
        os.close(descriptor)


def test_a_row_without_an_end(start_daemon, directory):
    config = directory / "config.toml"
    config.write_text("[limits]\nrow_bytes_max = 2000000\n")
    daemon = start_daemon(f"--config={config}")
    with daemon.connect() as client:
        hello(client).query("CREATE TABLE t(a, b)")
        error = import_fails(client, directory, 'a,b\n1,2\n"' + "x" * 8_000_000, "t")
        assert error["code"] == "limit_exceeded" and "quote" in error["hint"], error
        assert client.query("SELECT count(*) FROM t").rows == [[1]]


def test_readers_may_not_import(start_daemon, directory):
    path = directory / "r.db"
    daemon = start_daemon(directory=directory, databases={"r": f"sqlite:{path}"})
    with daemon.connect() as client:
        hello(client).query("CREATE TABLE t(a)", database="r")
        session = client.call("db_connect", {"database": "r", "read_only": True}).data["session"]
        error = import_fails(client, directory, "a\n1\n", "t", session=session)
        assert error["code"] == "read_only", error


def test_triggers_and_generated_columns(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a INTEGER, b AS (a * 2) STORED, c TEXT)')
    passing.query(f'CREATE TRIGGER "{name}_t" AFTER INSERT ON "{name}" BEGIN UPDATE "{name}" SET c = \'t\' || new.a WHERE rowid = new.rowid; END')
    imported(passing, directory, "a\n1\n2\n", name)
    assert passing.query(f'SELECT a, b, c FROM "{name}"').rows == [[1, 2, "t1"], [2, 4, "t2"]]


def test_random_files_never_hurt(daemon, passing, directory, name):
    alphabet = [b"a", b",", b'"', b"\n", b"\r", b"\\", b"\\N", b"x", b"\t", b"{", b"}", b"[", b"]", b":", b"1", b"\xc3\xa9", b"\xff", b"\x00"]
    seed = int(os.environ.get("LITEBASE_TEST_SEED", random.randrange(1 << 32)))
    generator = random.Random(seed)
    passing.query(f'CREATE TABLE "{name}"(a, b)')
    for _ in range(150):
        content = b"".join(generator.choice(alphabet) for _ in range(generator.randrange(200)))
        data = {"format": generator.choice(["csv", "tsv", "json", "jsonl"]), "header": generator.random() < 0.5,
                "max_rejected": generator.choice([0, 1000])}
        data = {key: value for key, value in data.items() if value != 0}
        with opened(written(directory, content), os.O_RDONLY) as descriptor:
            try:
                transfer(passing, "import", descriptor, relation=name, **data)
            except RequestFailed as failed:
                assert failed.data["code"] != "internal_error", (seed, content, failed.data)
    assert passing.query("SELECT 1").rows == [[1]]


@pytest.mark.parametrize("in_session", [False, True])
def test_others_write_in_between_where_no_transaction_is_open(daemon, passing, directory, name, in_session):
    """A row that takes half a millisecond: all of them take seconds, and nobody waits for more than a turn."""
    passing.query(f'CREATE TABLE "{name}"(a)')
    passing.query(f'CREATE TABLE "{name}_log"(x)')
    passing.query(f'CREATE TRIGGER "{name}_slow" AFTER INSERT ON "{name}" BEGIN INSERT INTO "{name}_log" SELECT count(*) FROM ('
                  "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000) SELECT x FROM n); END")
    target = {"session": passing.call("db_connect", {"database": "default"}).data["session"]} if in_session else {}
    with opened(written(directory, "a\n" + "".join(f"{n}\n" for n in range(20_000))), os.O_RDONLY) as descriptor:
        id = send_with(passing, [descriptor], "import", {"descriptors": 1, "relation": name, **target})
    with daemon.connect() as other:
        wait_until(lambda: other.query(f'SELECT count(*) FROM "{name}"').rows[0][0] > 0, "rows are committed")
        start = time.monotonic()
        for _ in range(5):
            other.query("CREATE TABLE IF NOT EXISTS probe(x)")
            other.query("INSERT INTO probe VALUES (1)")
        took = time.monotonic() - start
        other.query("SELECT 1")
    passing.call("cancel", {"request": id})
    with pytest.raises(RequestFailed) as failed:
        outcome(passing, id)
    assert failed.value.data["code"] == "cancelled", failed.value.data
    assert took < 3, "others have waited for more than turns"
    passing.query(f'DROP TABLE "{name}_log"')


def test_what_concerns_all_rows_is_no_refusal_of_one(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a, b)')
    error = import_fails(passing, directory, "1,2\n3,4\n", name, header=False, columns=["a", "nope"], max_rejected=5)
    assert "Line" not in error["message"] and "nope" in error["message"], error


def test_a_row_for_which_its_user_has_no_room(limited, directory):
    """A row may have 64 MiB; a user whose limit is lower is told so, and nothing is held afterwards."""
    daemon = limited(buffered_bytes_per_user_max=16 << 20)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(a)")
        error = import_fails(client, directory, b'"' + b"x" * (30 << 20) + b'"\n', "t", header=False)
        assert error["code"] == "limit_exceeded" and error["limit"]["name"] == "buffered_bytes_per_user_max", error
        for _ in range(20):
            reply = imported(client, directory, b"x" * (3 << 20) + b"\n", "t", header=False)
            assert reply["row_count"] == 1
        wait_until(lambda: client.call("stats").data["limits"]["buffered_bytes_per_user_max"]["used"] < 1 << 20, "all is given back")


def test_a_line_of_nothing_but_delimiters_takes_no_more_than_its_bytes(start_daemon, directory):
    """Each of its fields would be 16 bytes: 40 MB of commas were to become a gigabyte, which nobody was charged for."""
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(a, b)")
        daemon.reset_peak()
        before = daemon.memory_kib()
        for format, line in (("csv", b"," * (40 << 20)), ("tsv", b"\t" * (40 << 20))):
            error = import_fails(client, directory, b"1\t2\n" + line + b"\n" if format == "tsv" else b"1,2\n" + line + b"\n", "t",
                                 header=False, format=format)
            assert "Line 2" in error["message"] and "field" in error["message"], error
        assert daemon.memory_kib("VmHWM") - before < 300 << 10, "some blocks of up to 64 MiB"


def test_a_transaction_that_the_engine_undoes_is_told_so(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)')
    session = passing.call("db_connect", {"database": "default"}).data["session"]
    passing.query("BEGIN", session=session)
    with opened(written(directory, "a\n" + "".join(f"{n}\n" for n in range(1, 400_000)) + "7\n"), os.O_RDONLY) as descriptor:
        error = transfer_fails(passing, "import", descriptor, relation=name, session=session)
    assert "rolled back" in (error.get("detail") or error["message"]), error
    assert "are in the table" not in (error.get("detail") or ""), error
    assert passing.query(f'SELECT count(*) FROM "{name}"').rows == [[0]]


def test_an_atomic_one_counts_as_a_session(limited, directory):
    """For as long as it lasts."""
    daemon = limited(sessions_per_user_max=1)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(x)")
        for _ in range(3):
            assert imported(client, directory, "x\r\n1\r\n", "t", atomic=True)["row_count"] == 1
        session = client.session()
        error = import_fails(client, directory, "x\r\n1\r\n", "t", atomic=True)
        assert error["code"] == "limit_exceeded" and error["limit"]["name"] == "sessions_per_user_max", error
        assert imported(client, directory, "x\r\n1\r\n", "t", atomic=True, session=session)["row_count"] == 1
        assert imported(client, directory, "x\r\n1\r\n", "t")["row_count"] == 1


def test_two_cancels_of_an_atomic_one_in_a_session(daemon, directory):
    """The second one does not keep the first one from undoing all."""
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE IF NOT EXISTS undone(x)")
        session = client.session()
        for _ in range(20):
            reader, writer = os.pipe()
            id = send_with(client, [reader], "import", {
                "descriptors": 1, "session": session, "relation": "undone", "header": False, "atomic": True})
            os.close(reader)
            os.write(writer, b"1\r\n" * 10_000)
            cancels = [client.send("cancel", {"request": id}) for _ in range(3)]
            with pytest.raises(RequestFailed):
                outcome(client, id)
            for cancel in cancels:
                client.receive_for(cancel)
            os.close(writer)
            assert client.query("SELECT count(*) FROM undone", session=session).rows == [[0]]
            client.query("BEGIN", session=session)
            client.query("ROLLBACK", session=session)
