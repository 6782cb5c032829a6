"""What is done with each example of the documents: a judgement for every block, in the order of the document.

A judgement begins with the words that its block begins with. A block that nobody has judged fails
test_judged.py, and so does a judgement without its block.
"""

import dataclasses

from terminal import Typed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    begins: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Commands(Judgement):
    """Commands that are typed: by a reader at a terminal with a daemon of his own; all of one document in one state."""
    varies: tuple = ()  # names of terminal.VARIES that are in the output
    types: dict = dataclasses.field(default_factory=dict)  # by command: what is typed while it runs
    ends: dict = dataclasses.field(default_factory=dict)  # by command: its exit status, where it is not 0
    left_out: dict = dataclasses.field(default_factory=dict)  # by command: why it is not run
    instead: dict = dataclasses.field(default_factory=dict)  # what stands in the text, and what for it: places of a test's servers


class OnMachine(Commands):
    """Commands for a machine with systemd and the package: Tests/System/test_guides.py runs them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stays(Commands):
    """One command that stays in the foreground: a daemon, which serves the rest of the document."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration(Judgement):
    """TOML that `litebased --check-config` must find good. Users and groups that a machine has not stand as numbers."""
    names: tuple = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pasted(Judgement):
    """Lines of JSON, pasted at once into one connection, many times over; none may fail."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program(Judgement):
    """A program of Python; what it prints stands behind `# ` at the line that prints it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Elsewhere(Judgement):
    """Tried by another test, `path::name`."""
    test: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture(Judgement):
    """Nothing that could be run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeftOut(Judgement):
    """Not run as a whole, and why."""
    reason: str


CTRL_C = "\x03"
NETWORK = "needs a package from the network"
BUILDS = "builds everything, for minutes: what continuous integration does"
PACKAGE = "Tests/System/conftest.py installs the package with each run"
LONG = "runs for minutes; test_judged.py looks whether the verb and the script exist"
# So that it ends by itself: when Ctrl-C would find it at work, nobody can know.
SHORT = {"litebase bench": "litebase bench --duration 0.2"}
LEAVES = {"litebase shell -d notes": (Typed(".quit\n"),), "litebase shell": (Typed(".quit\n"),), "litebase top": (Typed("q", 0.4),)}


def swift(begins):
    return Elsewhere(begins=begins, test="Tests/LiteBaseClientTests/ExamplesTests.swift::theDocumentShowsTheExamples")


README = [
    Commands(begins="make run ", left_out={"make run": BUILDS + "; test_the_demonstration runs its script",
                                           "make test": BUILDS}),
    Elsewhere(begins="$ litebase ping -c 3", test="Tests/Documents/test_examples_run.py::test_the_demonstration"),
    OnMachine(begins="make deb",
              left_out={"make deb && sudo apt install ./.build/deb/litebase_*.deb": PACKAGE},
              types={'sudo litebase config add-database shop "postgresql://litebase@db.example.org/shop" --ask-password --users alice':
                     (Typed("secret\n"),)},
              ends={"systemctl status litebase.socket litebase.service": 3}),
    Stays(begins="export PATH="),
    Commands(begins='litebase query -d notes "CREATE',
             types=LEAVES, instead=SHORT),
    Elsewhere(begins="import litebase", test="clients/python/tests/test_documents.py::test_the_examples_run"),
    Elsewhere(begins="import { connect }", test="clients/node/tests/test_node.py::test_a_readme"),
    Elsewhere(begins="db, err := sql.Open", test="clients/go/tests/test_go.py::test_the_repositorys_readme"),
    Program(begins="import json, os, socket"),
]

PROTOCOL = [
    Commands(begins="$ nc -U", varies=("timestamp", "pid", "uptime"),
             types={'nc -U "${LITEBASE_SOCKET:-$XDG_RUNTIME_DIR/litebase/litebase.sock}"':
                    (Typed('{"id":1,"type":"health_check"}\n'), Typed(CTRL_C))},
             ends={'nc -U "${LITEBASE_SOCKET:-$XDG_RUNTIME_DIR/litebase/litebase.sock}"': 130}),
    Commands(begins="$ echo '{\"id\":1", varies=("timestamp", "elapsed")),
    Pasted(begins='{"id":2'),
    Elsewhere(begins='{"id": 7, "type": "subscribe"',
              test="Tests/Protocol/subscriptions/test_subscriptions.py::test_a_commit_is_told"),
    Elsewhere(begins="00 00 00 17", test="Tests/WireProtocolTests/DocumentationTests.swift::bytesAreThoseOfTheWriter"),
    Elsewhere(begins="00 00 00 47", test="Tests/WireProtocolTests/DocumentationTests.swift::bytesAreThoseOfTheWriter"),
]

CLIENT_SWIFT = [
    Elsewhere(begins="// swift-tools-version", test="Tests/Documents/test_swift_package.py::test_the_manifest_is_good"),
    *map(swift, ["import LiteBaseClient\n\nlet client = try await", "let people", "let results = try await client.streamResults",
                 "let changes", "let task", "let session", "let results", "do {",
                 "let client = try await Client.connect()\ntry client.introduce",
                 "let client = try BlockingClient.connect(transport", "let client = try await Client.connect(transport",
                 "let client = try BlockingClient.connect()"]),
]



def python(begins):
    return Elsewhere(begins=begins, test="clients/python/tests/test_documents.py::test_the_examples_run")


CLIENT_PYTHON = [
    Elsewhere(begins="$ sudo apt install ./python3-litebase", test="Tests/System/test_drivers.py::test_python"),
    LeftOut(begins="$ pip install", reason=NETWORK),
    *map(python, ["import litebase\n\ndb = ", "db.execute(\"CREATE", "import datetime", "total = 0", "db.commit()", "import threading",
                  "try:", "for table in db.catalog", "with db.changes", "with litebase.connect(\"cache\")", "result = db.export", "db.restore", "result = db.import_rows", "import asyncio", "from sqlalchemy", "cursor = db.execute(\"SELECT name, people FROM city WHERE", "import pandas\nimport pyarrow", "for entry in"]),
]



def go(begins):
    return Elsewhere(begins=begins, test="clients/go/tests/test_go.py::test_the_guide")


CLIENT_GO = [
    Elsewhere(begins="$ sudo apt install golang-go ./golang-github", test="Tests/System/test_drivers.py::test_go"),
    LeftOut(begins="$ go mod edit", reason="it names a place of the reader's; clients/go/tests/test_go.py writes the same into go.mod"),
    *map(go, ['package main\n\nimport (', 'if _, err := db.Exec("CREATE', "Oslo has", 'if _, err := db.Exec("INSERT', "Tromsø",
              "rows, err := db.Query", "1090484", "tx, err", "conn, err", "2 1", "ctx, cancel", "stopped, in", "_, err := db.Exec",
              "constraint_violation", "return litebase.With", "name TEXT 1", "var changes", "changed: [city]", "cache, err", "sport.ski says", "file, err", "2 rows", "copied, err",
              "const lines", "1 imported", "conn, err", "reads only"]),
]


def node(begins):
    return Elsewhere(begins=begins, test="clients/node/tests/test_node.py::test_the_guide")


CLIENT_NODE = [
    Elsewhere(begins="$ sudo apt install ./node-litebase", test="Tests/System/test_drivers.py::test_node"),
    LeftOut(begins="$ npm install", reason="it names a place of the reader's; clients/node/tests/test_node.py compiles there, and links it"),
    *map(node, ["import {", "connected to", 'await db.query("CREATE', "[\n  { name", 'await db.query("INSERT', "Tromsø", "let total", "1090484",
                "await db.transaction", "const session", "const results", "[ 2, 1 ]", "const endless", "stopped, in", "try {",
                "constraint_violation", "for await (const column", "name TEXT 1", "const changes", "[ 'city' ]", "const cache", "sport.ski says", "const { spawn }", "0 name,people", "const { spawn }", "backup 0", "const { spawn }", "1 row", "console.log((await db.health", "healthy true"]),
]


def rust(begins):
    return Elsewhere(begins=begins, test="clients/rust/tests/test_rust.py::test_the_guide")


CLIENT_RUST = [
    rust("[dependencies]"),
    Elsewhere(begins="$ sudo apt install cargo ./librust-litebase", test="Tests/System/test_drivers.py::test_rust"),
    *map(rust, ["use litebase", "connected, healthy", 'db.execute("CREATE', "2 rows", "struct City", "Bergen of",
                'db.execute("INSERT', "Tromsø", "let mut total", "1090484", "let mut pages", "a page of", "let mut transaction",
                "let batch", "2 1", "let endless", "stopped, in", "match db", "constraint_violation",
                "let mut columns", "name Some", "let mut changes", "changed: [", "let mut cache", "sport.ski says", "let file", "2 rows", "let size", "let lines", "1 imported", "for database", "default Sqlite"]),
]

# The same command stands in a guide, where it has its machine.
ON_MACHINE = "Tests/System/test_guides.py runs it"

DATABASES = [
    OnMachine(begins="$ sudo apt install libpq5"),
    OnMachine(begins="$ sudo litebase config add-database shop",
              types={'sudo litebase config add-database shop "postgresql://litebase@db.example.org/shop" --ask-password':
                     (Typed("secret\n"),)}),
    Elsewhere(begins="CREATE FUNCTION tell_change", test="Tests/Documents/test_statements.py::test_a_trigger_tells_of_changes"),
    Elsewhere(begins="CREATE ROLE reader", test="Tests/Documents/test_statements.py::test_the_reader_of_postgresql"),
    Configuration(begins="[databases.shop]", names=("sales", "analysts")),
    OnMachine(begins="$ sudo litebase config remove-database"),
    OnMachine(begins="$ sudo rm -f /etc/tmpfiles.d"),
    OnMachine(begins="$ sudo rm /etc/systemd/system/litebase"),
    OnMachine(begins="$ sudo apt install libmariadb3"),
    Elsewhere(begins="CREATE USER reader", test="Tests/Documents/test_statements.py::test_the_reader_of_mariadb"),
    OnMachine(begins="$ sudo apt install libhiredis0.14"),
    OnMachine(begins="$ sudo sed -i"),
    Elsewhere(begins="ACL SETUSER reader", test="Tests/Documents/test_statements.py::test_the_reader_of_redis"),
]

SCALING = [
    Elsewhere(begins="$ sudo litebase config add-database shop_new", test="Tests/CommandLine/test_move.py::make_place"),
    Elsewhere(begins="$ litebase move shop shop_new --plan", test="Tests/CommandLine/test_move.py::test_a_plan_changes_nothing"),
    Elsewhere(begins="$ sudo litebase move shop shop_new", test="Tests/CommandLine/test_move.py::test_a_program_that_writes_meanwhile_loses_nothing"),
    Elsewhere(begins="$ cd /etc/litebase", test="Tests/CommandLine/test_move.py::test_back_again"),
    Elsewhere(begins="$ litebase query -d shop", test="Tests/CommandLine/test_move.py::test_back_again"),
    Configuration(begins="[databases.shop]"),
]

SHOP = [
    Commands(begins="$ ./shop.py load", varies=("seconds",)),
    OnMachine(begins="$ cat /etc/litebase/litebase.toml.d/shop.toml", types={"litebase shell -d shop": (Typed(".quit\n"),)}),
]

FUZZ = [
    Commands(begins="$ FuzzTesting/run.sh", left_out=dict.fromkeys(
        ["FuzzTesting/run.sh 120", "FuzzTesting/run.sh 600 FuzzJSON", "RUNS=10000000 FuzzTesting/run.sh 0 FuzzJSON",
         "FuzzTesting/run.sh minimise"], LONG)),
    Commands(begins="$ make fuzz-protocol", left_out=dict.fromkeys(
        ["make fuzz-protocol SECONDS=600", "make fuzz-protocol SEED=4711"], LONG)),
    Commands(begins="$ make sanitize", left_out=dict.fromkeys(
        ["make sanitize", "scripts/sanitize.sh thread -k cancel"], LONG)),
]

LITEBASE_1 = [
    Commands(begins="litebase ping", left_out={
        "sudo litebase config add-database music /var/lib/litebase/music.db --reload": ON_MACHINE},
        instead=SHORT),
]

LITEBASED_8 = [
    OnMachine(begins="journalctl -x -u litebase.service"),
    OnMachine(begins="journalctl -u litebase.service LITEBASE_PEER_PID=4711"),
    # Somebody else may have that path and that port.
    Stays(begins="litebased --socket /tmp/litebase.sock --port 5005",
          instead={"/tmp/litebase.sock": "$XDG_RUNTIME_DIR/litebase/litebase.sock", "5005": "0"}),
]

LITEBASE_TOML_5 = [
    Commands(begins="litebased --check-config"),
    Configuration(begins="idle_exit_seconds = 300", names=("sales", "report")),
]

DEBIAN = [
    OnMachine(begins="adduser NAME litebase", instead={"adduser NAME": "sudo adduser bob"}),
    LeftOut(begins="systemctl enable litebase-monitor.socket", reason="the same is in docs/operations.md, Who may only watch"),
    OnMachine(begins="systemctl --user enable --now"),
    LeftOut(begins="echo 'litebase litebase/purge-databases", reason="Tests/System/test_package.py answers so, and purges"),
]

UPGRADING = [LeftOut(begins="$ sudo apt install --allow-downgrades", reason="the older package is not at hand; test_upgrade.py has versions")]

HELP = {
    "litebase --help": [Commands(begins="litebase ping", types=LEAVES)],
    "litebase ping --help": [Commands(begins="litebase ping")],
    "litebase query --help": [Commands(begins="litebase query", left_out={
        'litebase query -d cache SET greeting "hello world"': "docs/databases.md has it, with a Redis"})],
    "litebase export --help": [Commands(begins="litebase export")],
    "litebase import --help": [Commands(begins="litebase import", left_out={
        line: "Tests/CommandLine/test_transfers.py imports files, and standard input" for line in (
            "litebase import --create city.csv city", "litebase import --create --dry-run city.csv city",
            "litebase import --create city.arrow city",
            "curl -s https://example.org/log.jsonl | litebase import - log --format jsonl")})],
    "litebase copy --help": [Commands(begins="litebase copy", left_out={
        line: "Tests/CommandLine/test_transfers.py copies tables" for line in (
            "litebase copy geo/city archive --create --dry-run", "litebase copy geo/city archive/city_2026 --create --atomic")})],
    "litebase move --help": [Commands(begins="sudo litebase config", left_out={
        **dict.fromkeys(['sudo litebase config add-database shop_new \\\n    "postgresql://litebase@db.example.org/shop" --ask-password --reload'],
                        "docs/databases.md has the like"),
        **dict.fromkeys(["litebase move shop shop_new --plan", "sudo litebase move shop shop_new --accept trigger --switch"],
                        "Tests/CommandLine/test_move.py moves databases")})],
    "litebase backup --help": [Commands(begins="litebase backup", left_out={
        "litebase backup --all /var/backups/litebase --keep 14": "Tests/CommandLine/test_transfers.py copies all, elsewhere"})],
    "litebase restore --help": [Commands(begins="litebase restore", left_out={
        line: "Tests/CommandLine/test_transfers.py restores files, and standard input" for line in (
            "litebase restore geo geo-copy.db", "zstd -dc geo.db.zst | litebase restore geo - --yes")})],
    "litebase watch --help": [Commands(begins="litebase watch", left_out={
        line: "Tests/CommandLine/test_watch.py has it run, and it does not end by itself" for line in (
            "litebase watch shop", "litebase watch shop orders --exec 'make report'", "litebase watch shop --json --once",
            "litebase watch erp --channel changes", "litebase watch cache --pattern 'jobs.*' --json")})],
    "litebase shell --help": [Commands(begins="litebase shell", types={
        **LEAVES, "litebase shell --database geo --read-only": (Typed(".quit\n"),)})],
    "litebase config add-database --help": [Commands(begins="sudo litebase config", left_out={
        "sudo litebase config add-database music /var/lib/litebase/music.db --reload": ON_MACHINE,
        'sudo litebase config add-database shop \\\n    "postgresql://litebase@db.example.org/shop" --ask-password': ON_MACHINE})],
    "litebase bench --help": [Commands(begins="litebase bench", instead={**SHORT, "--duration 30": "--duration 0.1"},
        left_out={"litebase bench point-select -d default -c 64 --rows 1000000": "litebase(1) has it without a million rows"})],
    "litebase completions --help": [Commands(begins="mkdir -p ~/.local/share/bash-completion", left_out={
        'litebase completions zsh > "${fpath[1]}/_litebase"': "needs zsh"})],
}

STATUS = "systemctl status litebase.socket litebase.service"
ADD_SHOP = 'sudo litebase config add-database shop "postgresql://litebase@db.example.org/shop?sslmode=verify-full" --ask-password'

OPERATIONS = [
    OnMachine(begins="$ sudo systemctl enable --now", ends={STATUS: 3}),
    OnMachine(begins="$ sudo usermod"),
    OnMachine(begins="$ sudo groupadd", varies=("date",)),
    Configuration(begins="[databases.shop]", names=("sales", "report")),
    Configuration(begins="[access]\nadmins", names=("carol", "alice")),
    OnMachine(begins="$ sudo systemctl enable litebase-monitor.socket", varies=("milliseconds",),
              ends={'sudo -u bob litebase query "SELECT 1" --socket /run/litebase/monitor.sock': 77}),
    Configuration(begins="[access]\nmonitors", names=("monitor", "watchers")),
    OnMachine(begins="$ sudo litebase config add-database music"),
    OnMachine(begins="$ cat /etc/litebase/litebase.toml.d/music.toml"),
    Configuration(begins="[databases.reports]"),
    OnMachine(begins="$ sudo install -D", types={ADD_SHOP: (Typed("secret\n"),)}),
    OnMachine(begins="$ sudo install -d -o litebase", varies=("date", "total")),
    OnMachine(begins="$ sudo cp"),
    OnMachine(begins="$ sudo install -d -m 0700"),
    OnMachine(begins="$ sudo sqlite3"),
    OnMachine(begins="$ sudo install -o"),
    OnMachine(begins="$ sudo systemctl stop"),
    OnMachine(begins="$ sudo systemctl reload", ends={"sudo systemctl reload litebase": 1, "sudo litebase reload": 78}),
    OnMachine(begins="$ systemctl show", varies=("pid", "uptime", "latency", "bytes")),
    OnMachine(begins="$ litebase ping -d cache", varies=("milliseconds",)),
    OnMachine(begins="$ sudo litebase status"),
    OnMachine(begins="$ cat /etc/litebase/litebase.toml.d/idle.toml"),
    OnMachine(begins="$ systemctl --user enable",
              left_out={"loginctl enable-linger": "asks polkit, which the machine of the tests does not have"}),
    OnMachine(begins="$ sudo systemctl edit litebase.socket", varies=("pid", "uptime", "milliseconds")),
    OnMachine(begins="$ sudo install -D"),
    OnMachine(begins="$ sudo apt install ./litebase"),
]

TROUBLESHOOTING = [
    OnMachine(begins="$ systemctl status litebase.socket", ends={STATUS: 3}),
    OnMachine(begins="$ litebase ping\nlitebase: not permitted", ends={"litebase ping": 77}),
    OnMachine(begins="$ ls -l", varies=("date",)),
    OnMachine(begins="$ id -nG", varies=("pid", "uptime", "milliseconds")),
    OnMachine(begins="$ litebase ping\nlitebase: no LiteBase", ends={"litebase ping": 69, "systemctl is-active litebase.socket": 3}),
    OnMachine(begins="$ litebased\n", ends={"litebased": 69, "sudo litebased": 69}, varies=("timestamp", "pid")),
    OnMachine(begins="$ litebased --socket", varies=("timestamp",),  # nobody types as fast as a test
              instead={"litebase.sock &": "litebase.sock & sleep 2"}),
    OnMachine(begins="$ echo 'log_level", ends={"sudo journalctl -fu litebase -o cat": 130}, varies=("connection", "uid", "pid", "milliseconds")),
    OnMachine(begins="$ sudo lsof", varies=("numbers", "columns")),
    OnMachine(begins="$ systemctl status litebase.socket", ends={"systemctl status litebase.socket": 3}),
    OnMachine(begins="$ timeout 3", instead={  # as it is between two attempts to start
        "systemctl status litebase": "until systemctl status litebase >shown; grep -q auto-restart shown; do sleep 0.1; done; cat shown; (exit 3)"},
              ends={"systemctl status litebase": 3}, varies=("date", "ago", "pid")),
    OnMachine(begins="$ sudo litebased --check-config", ends={"sudo litebased --check-config": 78}, varies=("timestamp",)),
    OnMachine(begins="$ litebase ping\nhealthy", varies=("pid", "uptime", "milliseconds")),
    OnMachine(begins="$ litebase ping --socket", ends={"litebase ping --socket /tmp/litebase.sock": 77}, varies=("uid",)),
    OnMachine(begins="$ litebase query -d home", ends={'litebase query -d home "SELECT 1 FROM a"': 69}),
    OnMachine(begins='$ litebase query "INSERT', varies=("pid", "uid")),
    OnMachine(begins="$ ps -o", instead={"-p 544": "-p $(pgrep -x litebase)"}, varies=("date", "numbers", "columns")),
    OnMachine(begins='$ litebase query -d music "INSERT INTO t VALUES (9)"; echo'),
    OnMachine(begins="$ sudo fuser", varies=("numbers", "columns")),
    OnMachine(begins="$ litebase query -d small"),
    OnMachine(begins='$ litebase query -d music "INSERT INTO t VALUES (9)"\n'),
    OnMachine(begins="$ litebase ping; echo", varies=("uid", "pid")),
    OnMachine(begins="$ sudo ss", varies=("pid",)),
    OnMachine(begins="$ litebase query - < load.sql", varies=("session",)),
    Elsewhere(begins='{"id":2', test="Tests/System/test_guides.py::test_the_reply_to_a_session_of_a_former_process"),
    OnMachine(begins="$ sudo -u alice systemctl", ends={"sudo -u alice systemctl --user status litebase.socket": 1}),
    OnMachine(begins="$ sudo -u alice XDG", varies=("pid", "uptime", "milliseconds")),
    OnMachine(begins="$ sudo journalctl -u litebase\n", varies=("date", "host", "pid")),
    LeftOut(begins="$ sudo apt install systemd-coredump", reason=NETWORK),
    OnMachine(begins="$ sudo journalctl -u litebase -n 1 -o json", varies=("duration", "connection", "uid", "pid", "milliseconds")),
]
