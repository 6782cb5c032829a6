"""Plans of servers on a terminal: the text that the server has made, without a box around it."""

import json
import subprocess

import pytest

from test_plans import on_terminal
from test_scripts import daemon, mariadb, postgresql  # noqa: F401 (fixtures)

# It starts database servers.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("options", ["", "(VERBOSE, COSTS OFF)", "(FORMAT JSON)", "(FORMAT YAML)"])
def test_postgresql(daemon, postgresql, options):  # noqa: F811
    statement = f"EXPLAIN {options} SELECT * FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname = 'x' ORDER BY 1"
    shown = on_terminal(daemon.socket_path, "query", "-d", "pg", statement)
    wanted = subprocess.run([postgresql.programs["psql"], postgresql.url(), "-AtqX", "-c", statement], capture_output=True, text=True, check=True)
    assert shown == wanted.stdout.splitlines() and len(shown) > 3


def test_mariadb(daemon, mariadb):  # noqa: F811
    for words in ("EXPLAIN FORMAT=JSON", "ANALYZE FORMAT=JSON"):
        shown = on_terminal(daemon.socket_path, "query", "-d", "my", f"{words} SELECT * FROM information_schema.tables LIMIT 1")
        assert json.loads("\n".join(shown))["query_block"]
    # The usual one is a table.
    assert on_terminal(daemon.socket_path, "query", "-d", "my", "EXPLAIN SELECT 1")[-1] == "(1 row)"
