"""`litebase export --format xlsx`: what a spreadsheet reader finds in the file."""

import datetime
import os
import subprocess

import pytest

from test_transfers import run

from daemon import LITEBASE, Daemon, counting
from mariadb import MariaDB
from postgresql import PostgreSQL

openpyxl = pytest.importorskip("openpyxl", reason="a package of Tests/requirements.txt")
LIBRARY = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, env={**os.environ, "PATH": os.environ["PATH"] + ":/sbin:/usr/sbin"})
needs_library = pytest.mark.skipif("libxlsxwriter.so.4" not in LIBRARY.stdout, reason="libxlsxwriter4 is not installed")


@pytest.fixture
def served():
    daemon = Daemon()
    yield daemon
    daemon.finish()
    daemon.discard()


@pytest.fixture
def written(served, tmp_path):
    def write(sql, *arguments):
        path = tmp_path / "out.xlsx"
        run(served, "export", "-o", path, "--force", sql, *arguments)
        assert os.listdir(tmp_path) == ["out.xlsx"] and path.stat().st_mode & 0o777 == 0o600
        return openpyxl.load_workbook(path).active

    return write


def rows(sheet):
    return [list(row) for row in sheet.iter_rows(values_only=True)]


@needs_library
def test_values(written):
    sheet = written("SELECT 1 AS i, -0.5 AS r, 'text é🎉' AS t, x'00ff' AS b, NULL AS n, 9007199254740993 AS big, 9007199254740992 AS most, "
                    "9e999 AS inf, 'two' || char(10) || 'lines' AS l")
    assert rows(sheet) == [["i", "r", "t", "b", "n", "big", "most", "inf", "l"],
                           [1, -0.5, "text é🎉", "\\x00ff", None, "9007199254740993", 9007199254740992, "Infinity", "two\nlines"]]
    assert sheet.freeze_panes == "A2" and sheet["A1"].font.bold
    assert rows(written("SELECT 1 AS a", "--no-header")) == [[1]]
    assert rows(written("SELECT 1 AS a WHERE 0")) == [["a"]]


@needs_library
@pytest.mark.parametrize("text", ["=1+1", "=HYPERLINK(\"http://x\")", "+1", "-1", "@SUM(A1)", "{=1}", "http://example.org", "007", "1e5"])
def test_text_is_text(written, text):
    """No formula, no link, no number."""
    sheet = written("SELECT '" + text + "' AS t")
    cell = sheet["A2"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (text, "s", None)


@needs_library
def test_many_rows(written):
    sheet = written(counting(30_000, "x, 'row ' || x AS t"))
    assert sheet.max_row == 30_001 and rows(sheet)[30_000] == [30_000, "row 30000"]


@needs_library
@pytest.mark.parametrize("sql, wanted", [
    (counting(1_048_576, "x AS n"), "1,048,576 rows"),
    ("SELECT replace(hex(zeroblob(20000)), '0', 'x') AS much", "row 1, column long: a text of more than 32,767 characters"),
    ("SELECT 1 AS n UNION ALL SELECT 'a' || char(0)", "row 2, column n: a text with a NUL character"),
    ("SELECT nonsense", "nonsense")])
def test_what_has_no_place(served, tmp_path, sql, wanted):
    path = tmp_path / "out.xlsx"
    failed = subprocess.run([LITEBASE, "export", "--socket", served.socket_path, "-o", path, sql], capture_output=True, text=True, timeout=120)
    assert failed.returncode != 0 and wanted in failed.stderr, failed
    assert os.listdir(tmp_path) == []


@needs_library
def test_it_only_reads(served, tmp_path):
    failed = run(served, "export", "-o", tmp_path / "out.xlsx", "CREATE TABLE t(x)", status=1)
    assert "read" in failed.stderr and os.listdir(tmp_path) == []


def test_it_needs_a_file(served):
    assert "-o" in run(served, "export", "--format", "xlsx", "SELECT 1", status=64).stderr


def test_without_the_library(served, tmp_path):
    """The error names the package, and nothing is left. A library that cannot be read is as good as none."""
    fake = tmp_path / "libxlsxwriter.so.4"
    fake.write_bytes(b"no library")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    failed = subprocess.run([LITEBASE, "export", "--socket", served.socket_path, "-o", tmp_path / "out.xlsx", "SELECT 1"],
                            capture_output=True, text=True, timeout=60, env=environment)
    assert failed.returncode == 69 and "apt install libxlsxwriter4" in failed.stderr, failed
    assert os.listdir(tmp_path) == ["libxlsxwriter.so.4"]


@needs_library
@pytest.mark.slow
@pytest.mark.parametrize("kind", [PostgreSQL, MariaDB])
def test_dates_and_decimals_of_servers(kind, tmp_path):
    server = kind()
    daemon = Daemon(databases={"db": server.url()})
    try:
        sql = ("SELECT CAST('2020-02-29' AS date) AS d, CAST('1999-12-31 23:59:58.5' AS {moment}) AS m, CAST('12:30:00' AS time) AS t, "
               "CAST(-12.50 AS decimal(10,2)) AS n, CAST('1899-12-31' AS date) AS early, CAST(12345678901234567.5 AS decimal(20,1)) AS much"
               ).format(moment="timestamp" if kind is PostgreSQL else "datetime(1)")
        run(daemon, "export", "-d", "db", "-o", tmp_path / "out.xlsx", sql)
        sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
        assert rows(sheet)[1] == [datetime.datetime(2020, 2, 29), datetime.datetime(1999, 12, 31, 23, 59, 58, 500000), datetime.time(12, 30), -12.5,
                                  "1899-12-31", "12345678901234567.5"]
        assert sheet["A2"].number_format == "yyyy-mm-dd"
    finally:
        daemon.discard()
        server.discard()
