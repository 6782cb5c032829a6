"""Runs the tests of the Rust driver, with servers behind a daemon; its guide's examples are run as they stand."""

import json
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

from daemon import ENDLESS, LITEBASED, Daemon, wait_until  # noqa: E402
from mariadb import MariaDB  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402
from redis_server import Redis  # noqa: E402

# Debian's own goes first, which is the oldest that has to do.
PATH = os.pathsep.join(["/usr/bin", os.environ["PATH"]]) if os.path.exists("/usr/bin/cargo") else os.environ["PATH"]
pytestmark = pytest.mark.skipif(shutil.which("cargo", path=PATH) is None, reason="there is no Rust here (Debian: cargo, rustc)")


def run_cargo(*arguments, directory=FOLDER, **environment):
    # A home of its own: cargo looks there for its commands before it looks in PATH.
    changes = {"PATH": PATH, "LITEBASED": LITEBASED, "CARGO_HOME": str(ROOT / ".build/cargo-home"),
               "CARGO_TARGET_DIR": str(ROOT / ".build/clients-rust"),
               "CARGO_NET_OFFLINE": "true", "CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "0",
               "CARGO_PROFILE_TEST_DEBUG": "0", **environment}
    return subprocess.run(["cargo", *arguments], cwd=directory, env={**os.environ, **changes}, capture_output=True, text=True)


def cargo(*arguments, **options):
    result = run_cargo(*arguments, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def tool(name, package):
    if run_cargo(name, "--version").returncode != 0:
        pytest.skip(f"there is no cargo {name} here (Debian: {package})")


@pytest.fixture(scope="module")
def servers():
    started = [PostgreSQL(), MariaDB(), Redis()]
    daemon = Daemon(databases=dict(zip(("pg", "my", "redis"), (server.url() for server in started))))
    yield daemon
    daemon.discard()
    for server in started:
        server.discard()


def test_the_source_is_formatted():
    tool("fmt", "rustfmt")
    cargo("fmt", "--check")


def test_the_source_is_linted():
    tool("clippy", "rust-clippy")
    cargo("clippy", "--all-targets", "--", "-D", "warnings")


def test_the_documentation_is_whole():
    cargo("doc", "--no-deps", RUSTDOCFLAGS=f"{os.environ.get('RUSTDOCFLAGS', '')} -D warnings")


def test_the_driver_stands_alone():
    """No dependencies, and no threads of its own, which could be left behind."""
    manifest = (FOLDER / "Cargo.toml").read_text()
    assert re.search(r"^\[dependencies\]\n\n\[", manifest, re.MULTILINE), "dependencies"
    source = "".join(path.read_text() for path in (FOLDER / "src").rglob("*.rs"))
    assert "#![deny(unsafe_code)]" in source
    unsafe = [path.name for path in (FOLDER / "src").rglob("*.rs") if re.search(r"\bunsafe (\{|fn|impl|extern)", path.read_text())]
    assert unsafe == ["descriptors.rs"]
    assert not re.search(r"thread::(spawn|Builder|scope)", source)


def test_all(servers):
    output = cargo("test", "--", "--include-ignored", LITEBASE_TEST_SERVERS=servers.socket_path)
    results = re.findall(r"(\d+) passed; 0 failed; (\d+) ignored", output)
    assert len(results) == 3 and all(passed != "0" and ignored == "0" for passed, ignored in results), output


class Window:
    """What stands for the window of a desktop program: it invokes the commands of examples/commands, and waits for results."""

    def __init__(self, **environment):
        program = ROOT / ".build/clients-rust/debug/examples/commands"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LITEBASE", "XDG_"))}
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**kept, **environment})
        self.last, self.results, self.events = 0, {}, []

    def begin(self, command, **arguments):
        self.last += 1
        self.process.stdin.write(json.dumps({"id": self.last, "command": command, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        return self.last

    def result(self, number):
        while number not in self.results:
            self.read()
        return self.results.pop(number)

    def read(self):
        line = json.loads(self.process.stdout.readline())
        if "event" in line:
            self.events.append(line)
        else:
            self.results[line.pop("id")] = line

    def told(self, holds):
        """Waits for an event, and forgets those before it."""
        while True:
            while not self.events:
                self.read()
            event = self.events.pop(0)
            if holds(event):
                return event

    def invoke(self, command, **arguments):
        answer = self.result(self.begin(command, **arguments))
        assert "result" in answer, answer
        return answer["result"]

    def refused(self, command, **arguments):
        return self.result(self.begin(command, **arguments))["error"]


    def close(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(30) == 0
        finally:
            self.process.kill()
            self.process.stdout.close()


@pytest.fixture
def daemon():
    cargo("build", "--example", "commands")
    started = Daemon()
    yield started
    started.discard()


@pytest.fixture
def window(daemon):
    started = Window(LITEBASE_SOCKET=daemon.socket_path)
    yield started
    started.close()


def test_a_desktop_program_from_the_first_click_to_the_last(window, daemon):
    assert window.refused("tree")["code"] == "not_connected"
    assert {"name": "default", "engine": "sqlite", "read_only": False} in window.invoke("list_databases")
    assert window.invoke("connect", database="default")["engine"] == "sqlite"
    assert window.refused("connect", database="nothing")["code"] == "database_not_found"
    window.invoke("run", sql="CREATE TABLE city(id INTEGER PRIMARY KEY, name TEXT, people INTEGER)")
    window.invoke("run", sql="INSERT INTO city(name, people) VALUES ('Oslo', 717710), ('Bergen', 294029), ('Tromsø', NULL)")
    window.invoke("run", sql="WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 50000) "
                             "INSERT INTO city(name, people) SELECT 'village ' || x, 9007199254740993 FROM c")
    assert window.invoke("tree") == [{"name": "city", "columns": ["id", "name", "people"]}]
    # JavaScript has two characters for the first one.
    typed = "SELECT '\U0001f600', peo FROM city"
    found = wait_until(lambda: (reply := window.invoke("complete", sql=typed, cursor=typed.index(" FROM") + 1))["items"]
                       and reply["items"][0]["text"] == "people" and reply, "the names are known")
    assert (found["from"], found["to"]) == (typed.index("peo") + 1, typed.index(" FROM") + 1)
    page = window.invoke("open", sql="SELECT * FROM city ORDER BY id", rows=1000)
    assert page["columns"] == ["id", "name", "people"]
    assert page["rows"][2] == [3, "Tromsø", None]
    # Beyond what JavaScript keeps exactly, integers are text.
    assert page["rows"][3] == [4, "village 1", "9007199254740993"]
    seen = len(page["rows"])
    while page["more"]:
        page = window.invoke("next_page")
        seen += len(page["rows"])
    assert seen == 50_003
    assert window.invoke("edit", table="city", key=3, column="people", value=78745, was=None) == {"changed": True}
    # Somebody else was faster.
    assert window.invoke("edit", table="city", key=3, column="people", value=1, was=None) == {"changed": False}
    assert window.invoke("open", sql="SELECT people FROM city WHERE id = 3", rows=10)["rows"] == [[78745]]
    assert window.refused("edit", table="city", key=3, column="nothing", value=1, was=None)["code"] == "no_column"
    assert window.refused("edit", table="city; DROP TABLE city", key=3, column="id", value=1, was=3)["code"] == "no_column"
    error = window.refused("run", sql="SELECT\nnam FROM city")
    assert (error["code"], error["line"]) == ("syntax_error", 2)
    assert window.refused("nothing")["code"] == "unknown_command"
    assert window.refused("open")["code"] == "bad_arguments"
    running = window.begin("run", sql=ENDLESS)
    # Cancelled until it is: who clicks before it runs, stops nothing.
    while running not in window.results:
        answer = window.result(window.begin("cancel"))
        assert answer == {"result": None}
    assert window.result(running)["error"]["code"] == "cancelled"
    assert window.invoke("open", sql="SELECT count(*) FROM city", rows=10)["rows"] == [[50_003]]
    # What somebody else changes, the window is told of, while it waits for nothing.
    for _ in range(2):
        window.invoke("follow")
    with daemon.connect() as other:
        other.query("UPDATE city SET people = 5 WHERE id = 3")
        assert window.told(lambda event: event["relations"] == ["city"])["schema"] is False
        other.query("CREATE TABLE river(name TEXT)")
        window.told(lambda event: event["schema"])
    # The former one was ended without a word, and this one tells once.
    assert window.invoke("open", sql="SELECT people FROM city WHERE id = 3", rows=10)["rows"] == [[5]]
    assert window.events == []
    # The daemon dies and comes back: the window is told, and follows again.
    daemon.process.kill()
    daemon.process.wait()
    assert window.told(lambda event: event["event"] == "unfollowed")["error"]["code"] == "connection_lost"
    daemon.launch()
    daemon.wait_ready()
    # The command that finds it out fails, and has done nothing; the next one connects again.
    assert window.refused("tree")["code"] == "connection_lost"
    assert [table["name"] for table in window.invoke("tree")] == ["city", "river"]
    window.invoke("follow")
    window.invoke("run", sql="UPDATE city SET people = 6 WHERE id = 3")
    window.told(lambda event: "city" in event["relations"])


def test_the_socket_is_looked_for_where_the_protocol_says(daemon, tmp_path):
    def listed(**environment):
        window = Window(HOME=str(tmp_path), **environment)
        answer = window.result(window.begin("list_databases"))
        window.close()
        return answer

    state = tmp_path / ".local/state/litebase"
    assert str(state / "litebase.sock") in listed()["error"]["message"]
    # A relative one is none; XDG Base Directory Specification.
    assert "relative" not in listed(XDG_RUNTIME_DIR="relative")["error"]["message"]
    state.mkdir(parents=True)
    (state / "litebase.sock").symlink_to(daemon.socket_path)
    assert "result" in listed()
    (tmp_path / "run/litebase").mkdir(parents=True)
    (tmp_path / "run/litebase/litebase.sock").symlink_to(tmp_path / "gone")
    assert "result" in listed(XDG_RUNTIME_DIR=str(tmp_path / "run"))
    # A name is meant: no other one takes its place.
    assert str(tmp_path / "nothing") in listed(LITEBASE_SOCKET=str(tmp_path / "nothing"))["error"]["message"]
    assert "result" in listed(LITEBASE_SOCKET="")


def test_the_guide(tmp_path):
    """Each example is a function; they run in the order of the page, with one database."""
    page = (ROOT / "docs/clients/rust.md").read_text()
    blocks = re.findall(r"```rust\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 9
    program, *rest = blocks
    result = "Result<(), Box<dyn std::error::Error>>"
    functions = "".join(f"\nfn example{number}(db: &mut Connection) -> {result} {{\n{block}\nOk(())\n}}\n"
                        for number, block in enumerate(rest))
    calls = "".join(f"example{number}(&mut db)?;\n" for number in range(len(rest)))
    assert program.rstrip().endswith("Ok(())\n}")
    main = program.rstrip().removesuffix("Ok(())\n}") + calls + "Ok(())\n}\n"
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.rs").write_text("#![allow(unused_imports)]\n" + main + functions)
    (dependency,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "guide"\nversion = "0.1.0"\nedition = "2021"\n\n'
                                         + dependency.replace("/path/to/litebase/clients/rust", str(FOLDER)))
    cache = Redis()
    daemon = Daemon(databases={"cache": cache.url()})
    try:
        output = cargo("run", directory=tmp_path, LITEBASE_SOCKET=daemon.socket_path)
    finally:
        daemon.discard()
        cache.discard()
    said = re.findall(r"```output\n(.*?)```", page, re.DOTALL)
    assert len(said) >= 6
    for line in said:
        assert line in output, output
