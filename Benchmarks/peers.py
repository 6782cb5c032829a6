"""The servers that run.py compares: LiteBase, the C echo, Redis, PostgreSQL, PgBouncer, MariaDB.

Each lives in a directory of its own under one temporary directory, listens on a Unix socket only, and is
stopped at the end. Nothing here measures.
"""

import glob
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import re
import sqlite3
import subprocess
import sys
import time

PACKAGES = {"redis-server": "redis-server", "sqlite3": "sqlite3", "pgbouncer": "pgbouncer", "cc": "gcc",
            "strip": "binutils", "postgres": "postgresql", "mariadbd": "mariadb-server", "mariadb-slap": "mariadb-client"}
# What --check needs.
CHECK_PACKAGES = {"valgrind": "valgrind", "cc": "gcc", "strip": "binutils"}
ROW_COUNT = 1_000_000
# The table of row 7.
ENTRY_TABLE_SQLITE = "entry(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER, tag TEXT)"
HERE = pathlib.Path(__file__).resolve().parent


def find_program(name):
    """PATH, then the places where Debian puts servers."""
    places = [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), "/usr/sbin"]
    # Debian's pgbench and psql in /usr/bin are wrappers; the programs themselves come first.
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))


def install_missing(wanted):
    """Installs Debian packages by the programs they bring, when run as root; otherwise the rows that need them stay empty."""
    packages = sorted({package for program, package in wanted.items() if not find_program(program)})
    if not packages:
        return
    if os.geteuid() != 0:
        print(f"missing: {' '.join(packages)} (apt-get install them for a full table)", file=sys.stderr)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, stdout=subprocess.DEVNULL, timeout=300)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=environment,
                   stdout=subprocess.DEVNULL, timeout=600)


def raise_descriptor_limit(wanted=24_000):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return
        except (ValueError, PermissionError):
            pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted), hard))


def compile_tools(directory):
    """The C programs of this folder, built into `directory`; sqlite-commit only where the library's header is."""
    tools = {}
    for name, libraries in (("echo", []), ("lb-load", []), ("lb-probe", []), ("sqlite-commit", ["-lsqlite3"])):
        if libraries and not pathlib.Path("/usr/include/sqlite3.h").exists():
            continue
        tools[name] = compile_program(HERE / f"{name}.c", directory / name, libraries)
    return tools


def compile_program(source, target, options=()):
    subprocess.run(["cc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", str(target), str(source), *options],
                   check=True, timeout=60)
    return str(target)


def versions():
    """What was compared, for the table's caption."""
    found = []
    for name, program in (("Redis", "redis-server"), ("PostgreSQL", "postgres"), ("PgBouncer", "pgbouncer"), ("MariaDB", "mariadbd")):
        if path := find_program(program):
            text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30).stdout
            found.append(f"{name} {re.search(r'[0-9]+[.][0-9.]*[0-9]', text).group()}")
    return [*found, f"SQLite {sqlite3.sqlite_version}"]


def drop_privileges(directory):
    """PostgreSQL refuses to run as root; so that all are equal, everything runs as an unprivileged user."""
    if os.geteuid() != 0:
        return
    uid, gid = 65534, 65534  # nobody, nogroup
    for root, names, files in os.walk(directory):
        for path in [root, *(os.path.join(root, name) for name in names + files)]:
            os.chown(path, uid, gid)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    os.environ.update(HOME=str(directory), USER="nobody", LOGNAME="nobody")
    os.chdir(directory)


class Server:
    """A process with a Unix socket. `processes` includes its children where it has some."""

    def __init__(self, name, command, socket_path, log, environment=None):
        self.name, self.socket_path = name, str(socket_path)
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env={**os.environ, **(environment or {})})
        self.log = log
        self.wait_ready()

    def wait_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(self.socket_path)
                    return
                except OSError:
                    time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {pathlib.Path(self.log).read_text(errors='replace')[-1000:]}")

    def status_kib(self, field="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise RuntimeError(f"no {field}")

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu_seconds(self):
        """Processor time of all its threads, to the nanosecond; schedstat, first field."""
        return sum(int(pathlib.Path(path).read_text().split()[0])
                   for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat")) / 1e9

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def create_item_file(path, row_count=ROW_COUNT):
    """Rows of five columns, the table of rows 3 to 6."""
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")
        database.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER, tag TEXT)")
        database.execute(f"""INSERT INTO item WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT {row_count})
                             SELECT x, printf('item number %d', x), x * 0.25, x % 1000, printf('tag %d', x % 100) FROM c""")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def start_litebase(binary, directory, name="litebase", with_items=True):
    """A standalone daemon whose default database holds the items."""
    home = directory / name
    state = home / "state"
    state.mkdir(parents=True)
    if with_items:
        create_item_file(state / "default.db")
    path = home / "litebase.sock"
    environment = {"STATE_DIRECTORY": str(state), "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
    return Server(name, [binary, "--listen", "standalone", "--socket", str(path), "--log-level", "warning"], path, home / "log",
                  environment)


def execute_litebase(server, sql):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(server.socket_path)
        client.sendall(json.dumps({"id": 1, "type": "query", "data": {"sql": sql}}).encode() + b"\n")
        with client.makefile("rb") as replies:
            reply = json.loads(replies.readline())
    if reply["type"] == "error":
        raise RuntimeError(f"{sql}: {reply['data']['message']}")


def start_echo(tool, directory):
    path = directory / "echo.sock"
    return Server("echo", [tool, str(path)], path, directory / "echo.log")


def start_redis(directory):
    """A million keys of 100 bytes, no persistence."""
    program = find_program("redis-server")
    if not program:
        return None
    path = directory / "redis.sock"
    server = Server("redis", [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir",
                              str(directory), "--maxclients", "12000", "--enable-debug-command", "local"], path,
                    directory / "redis.log")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(f"DEBUG POPULATE {ROW_COUNT} key 100\r\n".encode())
        assert client.recv(100).startswith(b"+OK"), "Redis fills its keys"
    return server


def start_postgresql(directory):
    """The same table, Debian's settings but for the socket; the caller runs pgbench and psql with -h of its directory."""
    program, initdb, psql = find_program("postgres"), find_program("initdb"), find_program("psql")
    if not (program and initdb and psql):
        return None
    home = directory / "postgresql"
    subprocess.run([initdb, "-D", str(home), "-U", "bench", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"], check=True,
                   stdout=subprocess.DEVNULL, timeout=120)
    server = Server("postgresql", [program, "-D", str(home), "-c", "listen_addresses=", "-c", f"unix_socket_directories={home}"],
                    home / ".s.PGSQL.5432", directory / "postgresql.log")
    server.directory = str(home)
    # It takes connections before it takes statements.
    deadline = time.monotonic() + 30
    while subprocess.run([find_program("pg_isready"), "-q", "-h", str(home)]).returncode != 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    sql = f"""CREATE TABLE item(id integer PRIMARY KEY, name text, price double precision, stock integer, tag text);
              INSERT INTO item SELECT x, 'item number ' || x, x * 0.25, x % 1000, 'tag ' || x % 100 FROM generate_series(1, {ROW_COUNT}) x;
              CREATE TABLE entry(id bigserial PRIMARY KEY, name text, price double precision, stock integer, tag text);
              VACUUM ANALYZE item; CHECKPOINT;"""
    subprocess.run([psql, "-h", str(home), "-U", "bench", "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1"], input=sql.encode(),
                   check=True, timeout=120)
    return server


def start_pgbouncer(directory, postgresql, mode="session"):
    program = find_program("pgbouncer")
    if not (program and postgresql):
        return None
    home = directory / f"pgbouncer-{mode}"
    home.mkdir()
    (home / "users").write_text('"bench" ""\n')
    (home / "pgbouncer.ini").write_text(f"""[databases]
postgres = host={postgresql.directory} port=5432 user=bench
[pgbouncer]
unix_socket_dir = {home}
listen_port = 6432
auth_type = trust
auth_file = {home}/users
max_client_conn = 12000
pool_mode = {mode}
logfile = {home}/log
pidfile = {home}/pid
""")
    return Server("pgbouncer", [program, "-q", str(home / "pgbouncer.ini")], home / ".s.PGSQL.6432", home / "output")


def start_mariadb(directory):
    """InnoDB flushes its log at every commit, which is the default; said here because row 7 is about it."""
    program, install, slap = find_program("mariadbd"), find_program("mariadb-install-db"), find_program("mariadb-slap")
    if not (program and install and slap):
        return None
    home = directory / "mariadb"
    path = directory / "mariadb.sock"
    subprocess.run([install, "--no-defaults", f"--datadir={home}", "--auth-root-authentication-method=normal", "--skip-test-db"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, cwd=directory)
    return Server("mariadb", [program, "--no-defaults", f"--datadir={home}", f"--socket={path}", "--skip-networking",
                              "--innodb-flush-log-at-trx-commit=1", f"--pid-file={directory}/mariadb.pid"], path,
                  directory / "mariadb.log")


def fill_mariadb(server):
    """The items, in a database of their own; root may do everything."""
    server.client = [find_program("mariadb"), "--no-defaults", f"--socket={server.socket_path}", "--user=root"]
    subprocess.run([*server.client, "-e", f"""CREATE DATABASE bench; USE bench;
        CREATE TABLE item(id int PRIMARY KEY, name varchar(40), price double, stock int, tag varchar(40)) CHARACTER SET utf8mb4;
        INSERT INTO item SELECT seq, concat('item number ', seq), seq * 0.25, seq % 1000, concat('tag ', seq % 100)
        FROM seq_1_to_{ROW_COUNT}; ANALYZE TABLE item"""], check=True, stdout=subprocess.DEVNULL, timeout=300)


def load_mariadb(server, connections, seconds):
    """Inserts by mariadb-slap, which runs a number of statements: a short run finds out how many fill the time."""
    command = [find_program("mariadb-slap"), "--no-defaults", f"--socket={server.socket_path}", "--user=root", "--engine=InnoDB",
               f"--concurrency={connections}", "--create=CREATE TABLE entry(id BIGINT AUTO_INCREMENT PRIMARY KEY, name TEXT, "
               "price DOUBLE, stock INT, tag TEXT)",
               "--query=INSERT INTO entry (name, price, stock, tag) VALUES ('item number 123456', 30864, 456, 'a tag')"]

    def run(count):
        output = subprocess.run([*command, f"--number-of-queries={count}"], capture_output=True, text=True, check=True,
                                timeout=180).stdout
        return count / max(0.001, float(re.search(r"Average number of seconds to run all queries: ([0-9.]+)", output).group(1)))

    if not hasattr(server, "rate"):
        server.rate = run(connections * 20)
    server.rate = run(max(connections, round(server.rate * seconds / connections) * connections))
    return {"requests_per_second": server.rate}
