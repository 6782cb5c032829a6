"""`litebase config list`, `show` and `test`: what the files say, what a daemon has of it, and what opening a database comes to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Tests/Documents"))

from daemon import LITEBASE, Daemon, free_port
from identity import needs_root
from reader import Reader
from test_config import CONFIG_ERROR, USAGE, config, place  # noqa: F401

UNAVAILABLE = 69
SECRET = "Xq7-of-the-shop"


@pytest.fixture
def files(place):  # noqa: F811
    (place / "litebase.toml").write_text(f"""default_database = "notes"
[limits]
busy_time_ms_max = 4000
[databases.shop]
url = "postgresql://u:{SECRET}@127.0.0.1:{free_port()}/shop"
[databases.notes]
url = "sqlite:{place}/notes.db"
statement_time_ms_max = 900
""")
    (place / "litebase.toml.d").mkdir()
    (place / "litebase.toml.d/more.toml").write_text(
        f'[databases.notes]\nusers = ["root", "nobody"]\n[databases.tab]\nurl = "sqlite:{place}/a%20b%22.db"\naccess = "read_only"\n')
    subprocess.run(["sqlite3", place / "notes.db", "CREATE TABLE t(x)"], check=True)
    return place


def rows(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def found(result):
    return json.loads(result.stdout)


def test_list_names_what_the_files_have_and_where(files, config):  # noqa: F811
    result = config("list")
    assert SECRET not in result.stdout + result.stderr
    notes, shop, tab = rows(result)
    assert notes == {"name": "notes", "engine": "sqlite", "url": f"sqlite:{files}/notes.db", "access": "read_write", "default": True,
                     "source": f"{files}/litebase.toml:6", "daemon": None}
    assert shop["engine"] == "postgresql" and "***" in shop["url"] and shop["source"] == f"{files}/litebase.toml:4"
    assert tab["source"] == f"{files}/litebase.toml.d/more.toml:3" and tab["access"] == "read_only"


def test_show_tells_each_setting_and_who_has_set_it(files, config):  # noqa: F811
    result = config("show", "notes")
    settings = {row["setting"]: (row["value"], row["source"]) for row in rows(result)}
    main = f"{files}/litebase.toml"
    assert settings["url"] == (f'"sqlite:{files}/notes.db"', f"{main}:7")
    assert settings["users"] == ('["root", "nobody"]', f"{main}.d/more.toml:2")
    assert settings["statement_time_ms_max"] == ("900", f"{main}:8")
    # Of all databases, and of nobody.
    assert settings["busy_time_ms_max"] == ("4000", f"{main}:3")
    assert settings["connect_ms_max"][1] == settings["access"][1] == "default"
    assert "groups" not in settings
    assert SECRET not in config("show", "shop").stdout


@pytest.mark.parametrize("command", ["show", "test"])
def test_a_name_that_there_is_not_gets_a_near_one(files, config, command):  # noqa: F811
    assert 'did you mean "notes"?' in config(command, "NOTES", status=USAGE).stderr
    assert "there is notes, shop, tab" in config(command, "elephant", status=USAGE).stderr


@pytest.mark.parametrize("command", [["list"], ["show", "notes"], ["test", "notes"]])
def test_files_with_errors_are_told_with_their_place(files, config, command):  # noqa: F811
    (files / "litebase.toml.d/more.toml").write_text("[databases.x]\nurl = 3\n")
    assert f"{files}/litebase.toml.d/more.toml:2:" in config(*command, status=CONFIG_ERROR).stderr


def test_a_file_that_answers(files, config):  # noqa: F811
    before = (files / "notes.db").read_bytes()
    report = found(config("test", "notes", "--json"))
    assert report["engine"].startswith("sqlite 3.") and report["opened_in"].endswith(" ms") and report["writable"] == "yes"
    assert report["access"] == "read_write, for those in its lists"
    assert (files / "notes.db").read_bytes() == before and sorted(os.listdir(files)) == ["litebase.toml", "litebase.toml.d", "notes.db"]


def test_files_that_do_not(files, config):  # noqa: F811
    (files / "notes.db").unlink()
    report = found(config("test", "notes", "--json"))
    assert "is not there yet" in report["file"] and not (files / "notes.db").exists()
    # One that may only be read is not made.
    report = found(config("test", "tab", "--json", status=UNAVAILABLE))
    assert "no such file" in report["failed"] and report["remedy"]
    (files / "notes.db").write_bytes(b"no database " * 1000)
    report = found(config("test", "notes", "--json", status=UNAVAILABLE))
    assert "not a database" in report["failed"] and "backup" in report["remedy"]
    (files / "notes.db").unlink()
    (files / "notes.db").mkdir()
    assert "is a directory" in found(config("test", "notes", "--json", status=UNAVAILABLE))["failed"]


def test_a_server_that_does_not_answer(files, config):  # noqa: F811
    result = config("test", "shop", "--json", status=UNAVAILABLE)
    report = found(result)
    assert "cannot be reached" in report["failed"] and "server runs" in report["remedy"]
    assert SECRET not in result.stdout + result.stderr
    # The same for people.
    text = config("test", "shop", status=UNAVAILABLE).stdout
    assert "\nfailed " in text and "\nremedy " in text


def test_what_a_daemon_has_of_it(files, config):  # noqa: F811
    daemon = Daemon("--config", files / "litebase.toml", directory=files)
    try:
        with open(files / "litebase.toml", "a") as file:
            file.write(f'[databases.new]\nurl = "sqlite:{files}/new.db"\n')
        # Without its name nobody knows which daemon reads this file.
        assert {row["daemon"] for row in rows(config("list"))} == {None}
        socket = ["--socket", daemon.socket_path]
        states = {row["name"]: row["daemon"] for row in rows(config("list", *socket))}
        assert states == {"notes": "loaded", "shop": "loaded", "tab": "loaded", "new": "waits for a reload"}
        assert found(config("test", "new", "--json", *socket))["daemon"] == "waits for a reload"
        with daemon.connect() as root:
            root.call("reload")
        assert found(config("test", "new", "--json", *socket))["daemon"] == "loaded"
    finally:
        daemon.finish()


@needs_root
def test_an_unknown_database_that_waits_for_a_reload():
    alice = Reader()
    try:
        (alice.home / ".config/litebase").mkdir(parents=True)
        alice.give(".config/litebase/litebase.toml", '[databases.default]\nurl = "sqlite::memory:"\n')
        alice.own(alice.home / ".config")
        alice.start_daemon("exec litebased")
        alice.give(".config/litebase/litebase.toml", '[databases.default]\nurl = "sqlite::memory:"\n[databases.later]\nurl = "sqlite::memory:"\n')
        shown = "\n".join(alice.run("litebase query -d later 'SELECT 1'").lines)
        assert 'There is no database "later"' in shown and "litebase.toml:3, and waits for a reload" in shown
        assert "waits for a reload" in "\n".join(alice.run("litebase config list").lines)
        near = "\n".join(alice.run("litebase query -d DEFAULT 'SELECT 1'").lines)
        assert 'Did you mean "default"?' in near and "waits for a reload" not in near
        assert alice.run("litebase reload").status == 0
        assert "1" in "\n".join(alice.run("litebase query -d later 'SELECT 1'").lines)
    finally:
        alice.discard()

