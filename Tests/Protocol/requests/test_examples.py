"""The example clients in docs/examples run as they are printed there, and what they print is right."""

import ast
import subprocess
import sys

import pytest

from daemon import ROOT, environment_for

EXAMPLES = ROOT / "docs" / "examples"


@pytest.mark.parametrize("named_by", ["argument", "environment"])
@pytest.mark.parametrize("name, kept", [("client_msgpack.py", "[[3]]"), ("client_json.py", "[[3]]")])
def test_example(daemon, name, kept, named_by):
    arguments, variables = ([daemon.socket_path], {}) if named_by == "argument" else ([], {"LITEBASE_SOCKET": daemon.socket_path})
    result = subprocess.run([sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, timeout=30,
                            env=environment_for(daemon.directory, **variables))
    assert result.returncode == 0, result.stderr
    printed = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert printed["health"].startswith("health_response")
    assert printed["hello"].startswith("hello_response")
    assert "default" in printed["databases"]
    assert printed["batch"].startswith("batch_response")
    assert printed["positional"].startswith("query_response")
    assert printed["whole"] == "2500", "a call has all rows of a result, however many replies it comes in"
    assert printed["streamed"] == "5000050000"
    assert "[[1], [2]]" in printed["page 1"] and "[[3], [4]]" in printed["page 2"] and "[[5]]" in printed["page 3"]
    assert "cancelled" in printed["cancel, long"] and printed["cancel, stop"].startswith("cancel_response")
    assert "syntax_error" in printed["wrong SQL"]
    assert "database_not_found" in printed["wrong name"]
    assert "needs_session" in printed["no session"]
    assert printed["BEGIN"] == printed["DELETE FROM planet" if "msgpack" in name else "DELETE FROM river"] == "transaction active"
    assert printed["ROLLBACK"] == "transaction none"
    assert kept in printed["still there"]
    assert printed["disconnect"].startswith("db_disconnect_response")
    assert printed["stats"].startswith("stats_response")


@pytest.mark.parametrize("name", ["client_msgpack.py", "client_json.py"])
def test_the_client_is_about_a_dozen_lines(name):
    tree = ast.parse((EXAMPLES / name).read_text())
    (client,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    lines = sum(1 for line in ast.unparse(client).splitlines() if line.strip())
    assert lines <= 16
