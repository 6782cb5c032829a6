"""What was typed in the shell is the user's own: counted, searched, without secrets; and what he saved is run by its name."""

import os
import re
import shutil
import sqlite3
import subprocess

import pytest

from test_cli import LITEBASE
from test_scripts import daemon, environment, mariadb, postgresql  # noqa: F401 (fixtures)
from redis_server import Redis
from test_shell import terminal  # noqa: F401

STORE = ".local/state/litebase/history.db"


def run(environment, *words):  # noqa: F811
    return subprocess.run([LITEBASE, *words], env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def home(tmp_path):
    """Where `terminal` has its files."""
    return tmp_path


@pytest.fixture
def history(environment, home):  # noqa: F811
    """`litebase history`, for the user of `terminal`."""
    def ask(*words):
        own = {"HOME": str(home), "XDG_STATE_HOME": str(home / ".local/state")}
        done = run({**environment, **own}, "history", "--format", "tsv", "--no-header", *words)
        assert done.returncode == 0, done
        return [line.split("\t") for line in done.stdout.splitlines()]
    return ask


def type_all(shell, *statements, prompt="default> "):
    for statement in statements:
        shell.type(statement + "\n")
        shell.expect(prompt)


def test_one_row_for_each_shape(terminal, history, home):  # noqa: F811
    shell = terminal()
    type_all(shell, "CREATE TABLE counted(x, y);", *(f"INSERT INTO counted VALUES ({n}, 'text {n}'), ({n}, 'b');" for n in range(3)))
    type_all(shell, "SELECT  x FROM Counted -- first\n WHERE y = 'a';", "SELECT x FROM counted WHERE y = 'it''s';")
    type_all(shell, "SELECT nothing FROM counted;", ".tables")
    rows = {row[5].split()[0] + row[5].split()[1]: row for row in history()}
    assert rows["INSERTINTO"][1] == "3" and float(rows["INSERTINTO"][2]) > 0, rows
    assert rows["SELECTx"][1] == "2" and "it''s" in rows["SELECTx"][5]
    # It has no duration, and says why.
    assert rows["SELECTnothing"][2] == "\\N" and rows["SELECTnothing"][3] == "1" and "nothing" in rows["SELECTnothing"][6]
    assert not any(".tables" in row[5] for row in history())
    assert (home / STORE).stat().st_mode & 0o777 == 0o600
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", rows["SELECTx"][0])


def test_it_is_searched_and_ordered(terminal, history):  # noqa: F811
    shell = terminal()
    type_all(shell, "SELECT 1 AS apples;", "SELECT 1 AS pears, 2 AS unripe_plums;", "SELECT 1 AS apples;", "SELECT wrong;")
    assert [row[5] for row in history("pear")] == ["SELECT 1 AS pears, 2 AS unripe_plums"]
    assert [row[5] for row in history("unripe_pl", "select")] == ["SELECT 1 AS pears, 2 AS unripe_plums"]
    assert history("cherries") == [] and history("'\" OR *") == []
    assert [row[5] for row in history("--failed")] == ["SELECT wrong"]
    assert history("--order", "count")[0][5] == "SELECT 1 AS apples"
    assert len(history("--limit", "2")) == 2 and history("-d", "elsewhere") == []


SECRETS = [
    "CREATE USER bob IDENTIFIED BY 'Xq7 secret';", "ALTER ROLE bob PASSWORD 'Xq7';", "ALTER ROLE bob PASSWORD $a$Xq7$a$;",
    "SELECT 'postgresql://bob:Xq7@host/db';", "SELECT 1 AS \"mysql://bob:Xq7@host/db\";", "SELECT 'x' /* the password is Xq7 */;",
    "ALTER ROLE bob PASSWORD Xq7;", "CREATE USER bob IDENTIFIED BY \"Xq7\";", "SELECT 1 /* secret: /* */ Xq7 */;",
    "SELECT 'token' || Xq7;", "SET PASSWORD = 'a\\'Xq7';", "SELECT dblink('host=x password=Xq7');",
]


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_secrets_are_left_out_and_the_rest_is_kept(terminal, history, home, database):  # noqa: F811
    shell = terminal("-d", database)
    # Each language has quotes of its own.
    own = {"my": "\\'", "pg": "$a$"}
    mine = [secret for secret in SECRETS if not any(mark in secret for name, mark in own.items() if name != database)]
    type_all(shell, *mine, prompt=f"{database}> ")
    type_all(shell, " SELECT 'Xq7 behind a space';", prompt=f"{database}> ")
    texts = [row[5] for row in history()]
    assert any(text == "CREATE USER bob IDENTIFIED ***" for text in texts), texts
    assert not any("space" in text for text in texts)
    files = b"".join(path.read_bytes() for path in home.rglob("history*"))
    assert b"Xq7" not in files and b"IDENTIFIED" in files


def test_redis_keeps_no_password(terminal, history, home):  # noqa: F811
    if not shutil.which("redis-server"):
        pytest.skip("needs redis-server")
    server = Redis()
    try:
        shell = terminal("--url", server.url())
        type_all(shell, "SET greeting hello", "GET greeting", "GET other", "CONFIG SET masterauth Xq7", "AUTH Xq7", "ACL SETUSER bob >Xq7",
                 prompt=r"\w> ")
        rows = {row[5].split()[0]: row for row in history()}
    finally:
        server.discard()
    assert rows["GET"][1] == "2" and rows["AUTH"][5] == "AUTH ***" and rows["CONFIG"][5] == "CONFIG ***", rows
    assert b"Xq7" not in b"".join(path.read_bytes() for path in home.rglob("history*"))


def test_a_store_that_cannot_be_used_disturbs_nobody(terminal, home, history):  # noqa: F811
    (home / ".local/state/litebase").mkdir(parents=True)
    (home / STORE).write_bytes(b"this is no database" * 100)
    shell = terminal()
    type_all(shell, "SELECT 1 AS x;")
    # One by which somebody would have another file written.
    (home / STORE).unlink()
    os.symlink(home / "elsewhere.db", home / STORE)
    type_all(terminal(), "SELECT 1 AS x;")
    assert not (home / "elsewhere.db").exists()


def test_two_shells_write_one_history(terminal, history):  # noqa: F811
    first, second = terminal(), terminal()
    for shell in (first, second, first, second):
        type_all(shell, "SELECT 1 AS both;")
    assert [row[1] for row in history("both")] == ["4"]


# Saved queries

SAVED = """-- Rows from a number on.
-- :low   the first
-- :high  the last (3)
SELECT :low AS low, :high AS high, 'text : :low' AS quoted;
"""


@pytest.fixture
def saved(environment, tmp_path):  # noqa: F811
    directory = tmp_path / "config/litebase/queries"
    directory.mkdir(parents=True)
    (directory / "range.sql").write_text(SAVED)
    (directory / "two.sql").write_text("SELECT 1; SELECT 2;")

    def call(*words):
        return run({**environment, "XDG_CONFIG_HOME": str(tmp_path / "config")}, "run", *words)
    return call


@pytest.mark.parametrize("database", ["default", "my"])
def test_a_saved_query_is_run_by_its_name(saved, database):
    shown = saved("range", "1", "-d", database, "--format", "csv")
    assert shown.returncode == 0 and shown.stdout.splitlines()[1] in ("1,3,text : :low",), shown
    shown = saved("range", "high=7", "2", "-d", database, "--format", "csv")
    assert shown.stdout.splitlines()[1] == "2,7,text : :low", shown


def test_what_is_wrong_with_a_saved_query_is_said(saved):
    for words, said in [(["rang"], "range may be meant"), (["range"], "low has no value; litebase run range <low> [<high>]"),
                        (["range", "1", "2", "3"], "takes 2 parameters"), (["two"], "has 2 statements"), (["../range"], "no name of a saved query")]:
        done = saved(*words)
        assert done.returncode == 64 and said in done.stderr, done
    listed = saved("--format", "tsv", "--no-header").stdout.splitlines()
    assert listed[0] == "range\t<low> [<high>]\tRows from a number on."


def test_the_store_is_a_plain_database(terminal, history, home):  # noqa: F811
    """Anybody may read his own with sqlite3."""
    type_all(terminal(), "SELECT 1 AS plain;")
    assert history("plain")
    with sqlite3.connect(home / STORE) as store:
        assert store.execute("SELECT shape, count FROM statement").fetchall() == [("select ? as plain", 1)]
