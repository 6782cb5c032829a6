"""Runs the tests of the Go driver, with servers behind a daemon; its guide's examples are run as they stand."""

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

from daemon import LITEBASED, Daemon  # noqa: E402
from mariadb import MariaDB  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402
from redis_server import Redis  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go here (Debian: golang-go)")


def go(*arguments, directory=FOLDER, **environment):
    changes = {"LITEBASED": LITEBASED, "GOFLAGS": "-mod=mod", "GOPROXY": "off", **environment}
    result = subprocess.run(["go", *arguments], cwd=directory, env={**os.environ, **changes}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def servers():
    started = [PostgreSQL(), MariaDB(), Redis()]
    daemon = Daemon(databases=dict(zip(("pg", "my", "redis"), (server.url() for server in started))))
    yield daemon
    daemon.discard()
    for server in started:
        server.discard()


def test_the_source_is_formatted_and_vetted():
    formatted = subprocess.run(["gofmt", "-l", "."], cwd=FOLDER, capture_output=True, text=True)
    assert (formatted.returncode, formatted.stdout) == (0, "")
    go("vet", "./...")


def test_all(servers):
    """With the race detector."""
    output = go("test", "-race", "-count=1", "-v", "./...", LITEBASE_TEST_SERVERS=servers.socket_path)
    assert "--- SKIP" not in output
    print(output)


IMPORTS = {
    "context": "context", "sql": "database/sql", "errors": "errors", "fmt": "fmt", "log": "log", "os": "os", "strings": "strings", "time": "time",
    "litebase": "github.com/litebase/litebase-go",
}  # fmt: skip


def test_the_guide(tmp_path):
    """Each example is a function; they run in the order of the page, with one database."""
    page = (ROOT / "docs/clients/go.md").read_text()
    blocks = re.findall(r"```go\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 8
    program, *rest = blocks
    body = "".join(f"\nfunc example{number}(db *sql.DB) error {{\n{block}\nreturn nil\n}}\n" for number, block in enumerate(rest))
    calls = "".join(f"\nif err := example{number}(db); err != nil {{ log.Fatal({number}, err) }}" for number in range(len(rest)))
    used = {name for name in IMPORTS if re.search(rf"\b{name}\.", program + body + calls)}
    head, _, start = program.partition("func main() {")
    head = re.sub(r"import \(.*?\)", "", head, flags=re.DOTALL).replace("package main", "")
    imports = "".join(f'{"" if name in used else "_ "}"{IMPORTS[name]}"\n' for name in sorted(used | {"litebase"}))
    main = start.rstrip().removesuffix("}")
    (tmp_path / "main.go").write_text(f"package main\nimport (\n{imports})\n{head}\nfunc main() {{{main}{calls}\n}}\n{body}")
    (tmp_path / "go.mod").write_text(
        "module guide\ngo 1.19\nrequire github.com/litebase/litebase-go v0.0.0\n"
        f"replace github.com/litebase/litebase-go => {FOLDER}\n")
    cache = Redis()
    daemon = Daemon(databases={"cache": cache.url()})
    try:
        output = go("run", ".", directory=tmp_path, LITEBASE_SOCKET=daemon.socket_path)
    finally:
        daemon.discard()
        cache.discard()
    for line in re.findall(r"```output\n(.*?)```", page, re.DOTALL):
        assert line in output, output


def test_the_repositorys_readme(tmp_path):
    """Its example reads what the one before it, in Python, has written."""
    (block,) = re.findall(r"```go\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    imports = "".join(f'"{package}"\n' for package in ("database/sql", "fmt", "log"))
    (tmp_path / "main.go").write_text(
        f'package main\nimport (\n{imports}_ "github.com/litebase/litebase-go"\n)\nfunc main() {{\n{block}\n}}\n')
    (tmp_path / "go.mod").write_text(
        "module readme\ngo 1.19\nrequire github.com/litebase/litebase-go v0.0.0\n"
        f"replace github.com/litebase/litebase-go => {FOLDER}\n")
    daemon = Daemon()
    try:
        client = daemon.connect()
        client.query("CREATE TABLE city (name TEXT, people INTEGER)")
        client.query("INSERT INTO city VALUES ('Oslo', 717710)")
        assert go("run", ".", directory=tmp_path, LITEBASE_SOCKET=daemon.socket_path) == "717710\n"
    finally:
        daemon.discard()
