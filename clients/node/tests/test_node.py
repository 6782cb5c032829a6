"""Compiles the package for Node, checks its types, and runs its tests with servers behind a daemon; the examples of its guide, of its
README and of the repository's are compiled and run as they stand."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1]
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(ROOT / "Tests/Support"))

from daemon import LITEBASE, LITEBASED, Daemon  # noqa: E402
from mariadb import MariaDB  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402
from redis_server import Redis  # noqa: E402

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here (Debian: nodejs)"),
    pytest.mark.skipif(shutil.which("tsc") is None, reason="there is no TypeScript here (Debian: node-typescript)"),
]

# What Debian's nodejs brings along, and others do not.
TYPES_OF_NODE = pathlib.Path("/usr/share/nodejs/@types/node")
DOCUMENTS = {"guide": ROOT / "docs/clients/node.md", "package": FOLDER / "README.md", "repository": ROOT / "README.md"}
TESTS = ["vectors", "sqlite", "catalog", "changes", "stops", "peers", "servers", "desktop"]


def run(*command, directory=FOLDER, **environment):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LITEBASE")}
    result = subprocess.run(
        [str(word) for word in command], cwd=directory, env={**kept, **environment}, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, (result.stdout + result.stderr)[-10_000:]
    return result.stdout


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """With all that `tsc --strict` and its like find (tsconfig.json)."""
    shutil.rmtree(FOLDER / "dist", ignore_errors=True)
    run("tsc", "-p", FOLDER)


@pytest.fixture(scope="module")
def servers():
    started = [PostgreSQL(), MariaDB(), Redis()]
    daemon = Daemon(databases=dict(zip(("pg", "my", "redis"), (server.url() for server in started))))
    yield daemon
    daemon.discard()
    for server in started:
        server.discard()


@pytest.fixture
def daemon():
    started = Daemon()
    yield started
    started.discard()


def test_the_declarations_say_what_programs_need():
    run("tsc", "-p", "tsconfig.tests.json")
    # What the package says of Node is what Node's own declarations say, where these are.
    if TYPES_OF_NODE.exists():
        run("tsc", "-p", "tsconfig.types.json")


def test_the_lines_fit():
    for path in [*FOLDER.glob("src/*"), *FOLDER.glob("tests/*.m*"), *FOLDER.glob("benchmarks/*"), *FOLDER.glob("examples/*/*.mjs")]:
        lines = path.read_text().splitlines()
        assert len(lines) < 500, path
        for number, line in enumerate(lines, 1):
            most = 132 if path.parent.name == "src" else 152
            assert len(line) <= most and line == line.rstrip() and "\t" not in line, f"{path}:{number}"


def test_all(servers):
    files = [f"tests/{name}.test.mjs" for name in TESTS]
    assert sorted(files) == sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("tests/*.test.mjs"))
    output = run("node", "--test", "--test-reporter=tap", *files, LITEBASED=LITEBASED, LITEBASE_TEST_SERVERS=servers.socket_path)
    summary = dict(re.findall(r"^# (\w+) (\d+)$", output, re.MULTILINE))
    assert int(summary["pass"]) > 30 and summary["fail"] == summary["skipped"] == summary["cancelled"] == "0", output
    print(output)


def examples(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def program(document):
    """Each block has names of its own; they run in their order, with what the first one imports and opens."""
    first, *rest = examples(document, "ts")
    return first + "".join(f"{{\n{block}}}\n" for block in rest) + "export {};\n"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Those of the documents, where a reader would have them, compiled at once."""
    directory = tmp_path_factory.mktemp("programs")
    (directory / "node_modules").mkdir()
    (directory / "node_modules/litebase").symlink_to(FOLDER)
    for name, document in DOCUMENTS.items():
        (directory / f"{name}.mts").write_text(program(document))
    shutil.copy(FOLDER / "tests/globals.d.ts", directory)
    strict = ["--strict", "--target", "es2022", "--module", "node16", "--lib", "es2022"]
    run("tsc", *strict, "globals.d.ts", *(f"{name}.mts" for name in DOCUMENTS), directory=directory)
    return directory


@pytest.mark.parametrize("language", ["javascript", "typescript"])
def test_the_guide(programs, language, tmp_path):
    path = f"{pathlib.Path(LITEBASE).parent}:{os.environ['PATH']}"
    name = "guide"
    if language == "javascript":
        name = "as_it_stands"
        (programs / f"{name}.mjs").write_text(program(DOCUMENTS["guide"]))
    cache = Redis()
    daemon = Daemon(databases={"cache": cache.url()})
    try:
        output = run("node", programs / f"{name}.mjs", directory=tmp_path, LITEBASE_SOCKET=daemon.socket_path, PATH=path)
    finally:
        daemon.discard()
        cache.discard()
    assert output == "".join(examples(DOCUMENTS["guide"], "output"))


@pytest.mark.parametrize("name", ["package", "repository"])
def test_a_readme(name, programs, daemon, tmp_path):
    assert "Oslo 717710" in run("node", programs / f"{name}.mjs", directory=tmp_path, LITEBASE_SOCKET=daemon.socket_path)
