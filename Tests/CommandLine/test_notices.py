"""What a database says besides its results, as the command line shows it: a real daemon before a real PostgreSQL."""

import os
import shutil
import subprocess
import time

import pytest

from test_cli import LITEBASE, SANITIZER

from daemon import Daemon, short_directory
from postgresql import PostgreSQL

# It starts database servers.
pytestmark = pytest.mark.slow

RAISE = ("DO $$BEGIN RAISE NOTICE E'hello %\\nlitebase: \\x1b[31mred', 5 USING DETAIL = 'd', HINT = 'h'; RAISE WARNING 'careful'; END$$")
SHOWN = ["NOTICE:  hello 5", r"  litebase: \x1b[31mred", "DETAIL:  d", "HINT:  h", "WARNING:  careful"]


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    yield instance
    instance.discard()


@pytest.fixture(scope="module")
def daemon(server):
    directory = short_directory()
    (directory / "litebase.toml").write_text("[limits]\nidle_transaction_ms_max = 2000\n")
    instance = Daemon("--config", directory / "litebase.toml", directory=directory, databases={"pg": server.url()})
    yield instance
    instance.discard()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def environment(daemon, tmp_path):
    return {"PATH": os.environ["PATH"], "LITEBASE_SOCKET": daemon.socket_path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", **SANITIZER}


@pytest.fixture
def run(environment):
    def call(*arguments, stdin=None):
        return subprocess.run([LITEBASE, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=60,
                              check=False)
    return call


def test_query_shows_notices_as_psql_does(run):
    result = run("query", "-d", "pg", RAISE)
    assert result.returncode == 0 and result.stdout == "" and result.stderr.splitlines() == SHOWN
    # In a session, and before the error that ends it.
    result = run("query", "-d", "pg", "-", stdin="ROLLBACK; SELECT 1 AS x; DO $$BEGIN RAISE INFO 'b'; RAISE 'broken'; END$$;")
    assert result.returncode != 0 and result.stdout == '{"x":1}\n'
    assert result.stderr.splitlines()[:2] == ["WARNING:  there is no transaction in progress", "INFO:  b"]
    assert result.stderr.splitlines()[2].startswith("litebase: ")


def test_shell_shows_notices(run):
    result = run("shell", "-d", "pg", stdin=RAISE + ";\nSELECT 1 AS x;\n")
    assert result.returncode == 0 and result.stdout == '{"x":1}\n' and result.stderr.splitlines() == SHOWN


def test_too_many_are_counted(run):
    result = run("query", "-d", "pg", "DO $$BEGIN FOR i IN 1..103 LOOP RAISE NOTICE '%', i; END LOOP; END$$")
    lines = result.stderr.splitlines()
    assert lines[:100] == [f"NOTICE:  {number}" for number in range(1, 101)]
    assert len(lines) == 101 and "3 more notices" in lines[100]


def test_notices_within_a_long_result_do_not_disturb_it(run):
    result = run("query", "-d", "pg", "CREATE FUNCTION pg_temp.f(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN IF i % 1000 = 0 THEN "
                 "RAISE NOTICE '%', i; END IF; RETURN i; END$$; SELECT pg_temp.f(x) AS x FROM generate_series(1, 50000) x")
    assert result.stdout.splitlines() == [f'{{"x":{number}}}' for number in range(1, 50001)]
    assert result.stderr.splitlines() == [f"NOTICE:  {number}" for number in range(1000, 50001, 1000)]


def test_an_idle_transaction_is_told_of(environment):
    command = [LITEBASE, "query", "-d", "pg", "-"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            process.stdin.write("BEGIN; SELECT 1 AS x;\n")
            process.stdin.flush()
            assert process.stdout.readline() == '{"x":1}\n'
            time.sleep(1.4)
            output, errors = process.communicate("COMMIT;\n", timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0 and output == ""
    assert errors.startswith("NOTICE:  The transaction of session ") and "idle_transaction_ms_max" in errors
