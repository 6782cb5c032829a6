"""The conformance suite's part on what is around an engine with a server: its client library, and passwords that are never shown."""

import pathlib

import pytest

from conformance import CHOSEN
from daemon import run_to_end
from engines import ENGINES

SECRET = "Xq7hidden"
LIBRARIES = {name: engine.library for name, engine in ENGINES.items() if engine.has_server}


@pytest.fixture(scope="module", params=[name for name in CHOSEN if name in LIBRARIES])
def engine(request):
    instance = ENGINES[request.param]()
    yield instance
    instance.discard()


def loaded(daemon):
    """Engines whose client library the daemon has loaded."""
    maps = pathlib.Path(f"/proc/{daemon.pid}/maps").read_text()
    return {name for name, library in LIBRARIES.items() if library.partition(".")[0] in maps}


def test_a_library_is_loaded_when_it_is_needed(engine, start_daemon):
    daemon = start_daemon()
    client = daemon.connect()
    assert client.query("SELECT 1").value == 1
    assert loaded(daemon) == set()
    session = client.call("db_connect", {"url": engine.url()}).data
    assert session["engine"] == engine.name
    assert client.query(engine.say(1), session=session["session"]).value == engine.said(1)
    assert loaded(daemon) == {engine.name}


def test_a_library_that_is_missing(engine, start_daemon, directory):
    for library in (engine.library, *engine.newer_libraries):
        (directory / library).write_bytes(b"no library")
    client = start_daemon(databases={"db": engine.url()}, environment={"LD_LIBRARY_PATH": str(directory)}).connect()
    error = client.query_fails(engine.say(1), database="db")
    assert error["code"] == "driver_missing" and engine.package in error["hint"]
    assert all(library in error["detail"] for library in (engine.library, *engine.newer_libraries)), error
    assert client.query("SELECT 1").value == 1


def test_no_password_anywhere(engine, start_daemon, directory):
    url = engine.url(user="nobody-here", password=SECRET)
    away = f"{url.partition(':')[0].removesuffix('+unix')}://u:{SECRET}@127.0.0.1:1/0"
    daemon = start_daemon(databases={"db": url, "away": away})
    client = daemon.connect()
    shown = [client.call("list_databases").data, client.call("activity").data, client.call("stats").data]
    for name in ("db", "away"):
        error = client.query_fails(engine.say(1), database=name)
        assert error["code"] == "connect_failed" and error["detail"], error
        shown.append(error)
    shown.append(client.fails("db_connect", {"url": url + "&nix=1"}))
    assert client.call("list_databases").data["databases"][1]["engine"] == engine.name
    status, output = run_to_end("--check-config", "--database", f"db={url}", directory=directory)
    assert status == 0 and "***" in output
    shown += [output, run_to_end("--database", url, directory=directory)[1],
              run_to_end("--database", f"a={url}&nix=1", directory=directory)[1], daemon.log()]
    assert all(SECRET not in str(text) for text in shown), [text for text in shown if SECRET in str(text)]
