"""The examples of the guides for administrators, as they stand, on a machine with systemd and the package; section by section.

Somebody with the right to use sudo types them: `alice`, of the group litebase, at a terminal. What a section takes for granted
is prepared by a function below; which blocks there are, and what varies in them, is in Tests/Documents/judged.py.
"""

import json
import shlex
import shutil
import subprocess

import pytest

import examples
import judged
import mentioned
import servers
import terminal
from judgements import JUDGED, judgements_of
from machine import LIBRARY, SERVICE, SOCKET, wait_until

ETC = "/etc/litebase/litebase.toml.d"
# Of a machine without sudo: the same words, by root's shell.
SUDO = """\
sudo() {
    if [ "$1" = -u ]; then user=$2; shift 2; set -- setpriv --reuid="$user" --regid="$user" --init-groups -- \\
        env -u XDG_RUNTIME_DIR HOME="/home/$user" USER="$user" "$@"; fi
    case "$1" in *=*) env "$@" ;; *) "$@" ;; esac
}"""
ENVIRONMENT = ["TERM=dumb", "NO_COLOR=1", "PAGER=cat", "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0", "SYSTEMD_URLIFY=0",
               "SYSTEMD_EDITOR=/root/editor", "DEBIAN_FRONTEND=noninteractive"]


class Administrator:
    """Types commands on the machine; those without `sudo` as the user."""

    def __init__(self, machine, user):
        self.machine, self.user = machine, user
        self.uid, groups = machine.output("id", "-u", user), machine.output("id", "-G", user).replace(" ", ",")
        # Groups are those of the login: a change is in force from the next one.
        self.become = (f"setpriv --reuid={user} --regid={user} --groups={groups} -- env HOME=/home/{user} USER={user} "
                       f"XDG_RUNTIME_DIR=/run/user/{self.uid} bash -c ")

    def typed(self, command, instead):
        """A command as root's shell has to run it."""
        text = examples.without_comment(command.text)
        for old, new in instead.items():
            text = text.replace(old, new)
        if text.startswith("cat /etc/") and command.shown:
            self.machine.write(text.removeprefix("cat "), "\n".join(command.shown) + "\n", mode=0o640)
            self.machine.run("chgrp", "litebase", text.removeprefix("cat "))
        if " systemctl edit " in text:
            edited = shlex.quote("\n".join(command.shown) + "\n")
            return f"printf %s {edited} >/root/edited; cd /root; {text}"
        if text == "echo $?":
            return text
        return f"cd /root; {text}" if "sudo" in text.split() else f"cd /home/{self.user}; {self.become}{shlex.quote(text)}"

    def place(self, path):
        self.machine.copy_in(path, "/root/typed.sh")
        return "/root/typed.sh"

    def follow(self, block, judgement):
        commands = [command for command in examples.commands(block)
                    if examples.without_comment(command.text) not in judgement.left_out]
        texts = [self.typed(command, judgement.instead) for command in commands]
        types = {text: judgement.types[name] for text, command in zip(texts, commands)
                 if (name := examples.without_comment(command.text)) in judgement.types}
        shell = self.machine.command("bash", environment=[*ENVIRONMENT, f"USER={self.user}"])
        seen = terminal.run(texts, shell=shell, environment=None, directory="/", types=types, prelude=SUDO,
                            place_script=self.place)
        edited = [examples.Command(command.text, () if " systemctl edit " in command.text else command.shown) for command in commands]
        terminal.check(block, judgement, edited, seen, self.named)

    def named(self, lines):
        return [line.replace(f"/run/user/{self.uid}", "/run/user/1000") for line in lines]


@pytest.fixture
def administrator(machine):
    for user in ("alice", "bob"):
        if machine.run("id", user, check=False).returncode:
            machine.run("useradd", "--create-home", "--shell", "/bin/bash", user)
    machine.run("usermod", "-aG", "litebase", "alice")
    for group in ("litebase", "litebase-monitor"):
        machine.run("gpasswd", "-d", "bob", group, check=False)
    machine.write("/root/editor", '#!/bin/sh\ncat /root/edited >"$1"\n', mode=0o755)
    before, main = set(machine.path(ETC).iterdir()), machine.path("/etc/litebase/litebase.toml").read_text()
    made = []

    def make(user):
        made.append(Administrator(machine, user))
        return made[-1]

    yield make
    for path in set(machine.path(ETC).iterdir()) - before:
        path.unlink()
    machine.path("/etc/litebase/litebase.toml").write_text(main)
    machine.systemctl("disable", "--now", "litebase-monitor.socket", check=False)
    machine.systemctl("stop", "litebase.socket", SERVICE)
    for user in ("alice", "bob"):
        machine.run("loginctl", "disable-linger", user)
        machine.systemctl("stop", f"user@{machine.output('id', '-u', user)}.service")
        machine.shell(f"rm -rf /home/{user}/.[a-z]*/litebase /home/{user}/.config /home/{user}/.local /home/{user}/*.db*")
    machine.shell("umount /srv/small", check=False)
    machine.shell("rm -rf /srv/small /etc/litebase/credentials /srv/music /var/backups/litebase /var/lib/litebase/* /root/*.db /tmp/litebase.sock*")
    machine.systemctl("enable", "litebase.socket")
    for name in servers.UNITS:
        servers.stop(machine, name)


# What a section takes for granted.

def borrow(machine, name):
    """A program of Debian's, from outside: the machine has no network to get it from."""
    program = shutil.which(name)
    machine.copy_in(program, f"/usr/bin/{name}")
    for word in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split():
        if word.startswith("/") and not machine.path(word).exists():
            machine.copy_in(word, word)


def a_database_in_use(machine):
    """993 rows in the file, and seven more in its log."""
    borrow(machine, "sqlite3")
    a_database(machine)
    query = ("litebase", "query", "-d", "music")
    machine.run(*query, "CREATE TABLE t(x)")
    insert = "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT %d) SELECT x FROM c"
    machine.run(*query, insert % 993)
    machine.run("sqlite3", "/var/lib/litebase/music.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    machine.run(*query, insert % 7)


def a_bad_configuration(machine):
    machine.ping()
    machine.write(f"{ETC}/90-x.toml", "nonsense = 1\n")


def a_package(machine):
    machine.copy_in(machine.deb, f"/root/{machine.deb.name}")


def a_login(machine, user="alice"):
    """A service manager of the user's own, as a login starts it; its environment."""
    machine.run("loginctl", "enable-linger", user)
    uid = machine.output("id", "-u", user)
    machine.systemctl("start", f"user@{uid}.service")
    wait_until(lambda: machine.path(f"/run/user/{uid}/systemd/private").exists(), "the user's service manager")
    return f"XDG_RUNTIME_DIR=/run/user/{uid}"


def a_database(machine):
    machine.write(f"{ETC}/music.toml", '[databases.music]\nurl = "sqlite:/var/lib/litebase/music.db"\n')


def some_work(machine):
    a_database(machine)
    for _ in range(2):
        machine.ping()
    machine.run("litebase", "query", "SELECT 1")


def a_user_at_a_limit(machine):
    """Four connections of alice, and a fifth that was refused."""
    machine.write(f"{ETC}/limits.toml", "[limits]\nconnections_per_user_max = 4\n")
    holder = connections(machine, 4)
    assert machine.run("litebase", "ping", user="alice", check=False).returncode == 75
    return holder


def stock(name):
    """A server as its package leaves it; everything else is the section's own."""
    def prepare(machine):
        servers.make_stock(machine, name)
        machine.run("systemctl", "stop", "litebase.socket", SERVICE)
        machine.systemctl("start", "litebase.socket")
    return prepare


def a_redis(machine):
    """As docs/databases.md has it, over TCP."""
    a_server(machine)
    servers.make_stock(machine, "redis")
    machine.write(f"{ETC}/cache.toml", '[databases.cache]\nurl = "redis://127.0.0.1/0"\n')
    machine.systemctl("restart", SERVICE)


def servers_to_be_taken_away(machine):
    """What docs/databases.md has set up; none of them runs."""
    examples_of_units = "/usr/share/doc/litebase/examples/systemd"
    machine.run("install", "-D", "-m", "0644", "-t", f"/etc/systemd/system/{SERVICE}.d", f"{examples_of_units}/remote-databases.conf")
    machine.run("install", "-D", "-m", "0644", "-t", "/etc/systemd/system/redis-server.service.d", f"{examples_of_units}/redis-server.conf")
    machine.run("install", "-m", "0644", "-t", "/etc/tmpfiles.d", f"{examples_of_units}/redis-tmpfiles.conf")
    machine.run("usermod", "-aG", "redis", "litebase")
    machine.run("litebase", "config", "add-database", "shop", "postgresql://litebase@/shop?host=/run/postgresql")
    machine.systemctl("daemon-reload")
    machine.ping()


def a_server(machine):
    """PostgreSQL with a role for the daemon's user, and the sandbox open to it."""
    machine.run("pg_ctlcluster", "15", "main", "start", check=False)
    for command in ("createuser litebase", "createdb -O litebase shop"):
        machine.run("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command.split(), check=False)
    machine.run("install", "-D", "-m", "0644", "-t", f"/etc/systemd/system/{SERVICE}.d",
                "/usr/share/doc/litebase/examples/systemd/remote-databases.conf")
    machine.systemctl("daemon-reload")
    for path in (examples.ROOT / "docs/examples/shop").glob("*.py"):
        machine.copy_in(path, f"/home/alice/{path.name}")
    machine.ping()


def stopped(machine):
    machine.systemctl("stop", "litebase.socket", SERVICE)


def a_daemon_of(user, *flags):
    """A daemon by hand, which ends when its input does."""
    def start(machine):
        runtime = a_login(machine, user)
        script = f"litebased {' '.join(flags)} & read x; kill $!; wait $!"
        holder = machine.start("env", runtime, "sh", "-c", script, user=user)
        path = flags[1] if flags else runtime.removeprefix("XDG_RUNTIME_DIR=") + "/litebase/litebase.sock"
        wait_until(lambda: machine.path(path).exists(), "the daemon listens")
        return holder
    return start


def clients(machine):
    """Somebody who comes and goes, and mistypes SQL, while the journal is followed; and Ctrl-C after that."""
    machine.ping()
    script = ("until pgrep -x journalctl; do sleep 0.1; done; sleep 0.5; litebase ping; litebase query 'SELEC 1'; sleep 0.5; "
              "pkill -INT -x journalctl; read x")
    return machine.start("bash", "-c", script)


def never_started(machine):
    machine.write(f"{ETC}/90-x.toml", "nonsense = 1\n")


def two_mistakes(machine):
    machine.path("/etc/litebase/litebase.toml").write_text("nonsense = 1\n" + machine.path("/etc/litebase/litebase.toml").read_text())
    machine.write(f"{ETC}/music.toml", '[databases.music]\nurl = "sqlite:/var/lib/litebase/music.db"\nurl = "sqlite:/srv/music.db"\n')


def both_instances(machine):
    machine.run("systemctl", "--user", "start", "litebase.socket", user="alice", environment=[a_login(machine)])


def a_database_at_home(machine):
    machine.write(f"{ETC}/home.toml", '[databases.home]\nurl = "sqlite:/home/alice/a.db"\n')
    machine.ping()


def two_locks(machine):
    """A client's transaction on one database, another program's on the other."""
    borrow(machine, "sqlite3")
    borrow(machine, "fuser")
    a_database(machine)
    machine.write(f"{ETC}/limits.toml", "[limits]\nbusy_time_ms_max = 200\n")
    for database in ("default", "music"):
        machine.run("litebase", "query", "-d", database, "CREATE TABLE t(x)")
    begun = "(printf 'BEGIN IMMEDIATE;\\nSELECT 1;\\n'; read x <&3)"
    script = (f"exec 3<&0; {begun} | setpriv --reuid=alice --regid=alice --init-groups litebase shell & "
              f"{begun} | sqlite3 /var/lib/litebase/music.db & wait")
    holder = machine.start("bash", "-c", script)
    holder.stdout.readline(), holder.stdout.readline()
    return holder


def a_replaced_file(machine):
    borrow(machine, "sqlite3")
    a_database(machine)
    machine.run("litebase", "query", "-d", "music", "CREATE TABLE t(x)")
    machine.run("sqlite3", "/var/lib/litebase/music.db", "VACUUM INTO '/var/lib/litebase/other.db'")
    machine.shell("chown litebase:litebase /var/lib/litebase/other.db; mv /var/lib/litebase/other.db /var/lib/litebase/music.db")


def connections(machine, count):
    """Of alice, until its input ends."""
    script = ("import sys, wire; clients = [wire.Client(sys.argv[1]) for _ in range(int(sys.argv[2]))]; "
              "[client.settle() for client in clients]; print('there', flush=True); sys.stdin.read()")
    holder = machine.start("env", f"PYTHONPATH={LIBRARY}", "python3", "-c", script, SOCKET, count, user="alice")
    assert holder.stdout.readline() == "there\n"
    return holder


def three_connections(machine):
    borrow(machine, "nc")
    machine.write(f"{ETC}/limits.toml", "[limits]\nconnections_max = 3\n")
    script = f"exec 3<&0; for one in 1 2 3; do nc -NU {SOCKET} <&3 3<&- & done; wait"
    holder = machine.start("bash", "-c", script, user="alice")
    wait_until(lambda: machine.run("litebase", "ping", user="alice", check=False).returncode == 75, "three are connected")
    return holder


def a_small_disk(machine):
    machine.shell("install -d -o litebase /srv/small && mount -t tmpfs -o size=100k,uid=$(id -u litebase) tmpfs /srv/small")
    machine.drop_in("small", "[Service]\nBindPaths=/srv/small\n")
    machine.write(f"{ETC}/small.toml", '[databases.small]\nurl = "sqlite:/srv/small/small.db"\n')
    machine.run("litebase", "query", "-d", "small", "CREATE TABLE t(x)")


def a_daemon_that_stands_still(machine):
    machine.drop_in("watchdog", "[Service]\nWatchdogSec=3s\n")
    machine.ping()
    pid = machine.main_pid()
    machine.run("kill", "-STOP", pid)
    machine.wait_restarted(pid)


def a_holder_of_the_socket(machine):
    borrow(machine, "lsof")
    machine.ping()


def a_slow_statement(machine):
    borrow(machine, "jq")
    machine.write(f"{ETC}/log.toml", "[log]\nslow_statement_ms = 1\nstatement_bytes_max = 1000\n")
    sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 3000000) SELECT count(*) FROM c"
    machine.run("litebase", "query", sql, user="alice")
    wait_until(lambda: "Slow statement" in machine.output("journalctl", "-u", "litebase", "-n", "1", "-o", "cat"), "it is told")


def a_crash_to_come(machine):
    machine.ping()
    machine.write("/home/alice/load.sql", "CREATE TABLE n AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c;\n")
    return machine.start("sh", "-c", f"sleep 1; kill -KILL {machine.main_pid()}; read x")


PREPARED = {
    ("README.md", "Using it"): a_login,
    ("packaging/debian/litebase.README.Debian", ""): a_login,
    ("docs/databases.md", "PostgreSQL"): stock("postgresql"),
    ("docs/databases.md", "MySQL and MariaDB"): stock("mariadb"),
    ("docs/databases.md", "Redis, Valkey, KeyDB"): stock("redis"),
    ("docs/databases.md", "Taking a server away"): servers_to_be_taken_away,
    ("docs/examples/shop/README.md", ""): a_server,
    ("docs/operations.md", "Who may connect"): lambda machine: machine.ping(),
    ("docs/operations.md", "Backup and restore"): a_database_in_use,
    ("docs/operations.md", "Reload, restart, upgrade"): a_bad_configuration,
    ("docs/operations.md", "Monitoring"): some_work,
    ("docs/operations.md", "The state of servers"): a_redis,
    ("docs/operations.md", "Limits"): a_user_at_a_limit,
    ("docs/operations.md", "Idle exit and watchdog"): lambda machine: machine.ping(),
    ("docs/operations.md", "The user instance"): a_login,
    ("docs/operations.md", "Installing and removing the package"): a_package,
    ("docs/troubleshooting.md", "Socket not found"): stopped,
    ("docs/troubleshooting.md", "Socket already exists"): a_daemon_of("alice"),
    ("docs/troubleshooting.md", "Debug logging"): clients,
    ("docs/troubleshooting.md", "Disk full"): a_small_disk,
    ("docs/troubleshooting.md", "Killed by the watchdog, or crashed"): a_daemon_that_stands_still,
    ("docs/troubleshooting.md", "Who holds the socket"): a_holder_of_the_socket,
    ("docs/troubleshooting.md", "Reading the journal by program"): a_slow_statement,
    ("docs/troubleshooting.md", "Connection refused"): stopped,
    ("docs/troubleshooting.md", "The client hangs"): never_started,
    ("docs/troubleshooting.md", "The service does not start"): two_mistakes,
    ("docs/troubleshooting.md", "The wrong daemon answers"): both_instances,
    ("docs/troubleshooting.md", "The daemon is somebody else's"): a_daemon_of("bob", "--socket", "/tmp/litebase.sock",
                                                                              "--socket-mode", "0666"),
    ("docs/troubleshooting.md", "A database cannot be opened or written"): a_database_at_home,
    ("docs/troubleshooting.md", "The database is locked"): two_locks,
    ("docs/troubleshooting.md", "The database file was deleted or replaced"): a_replaced_file,
    ("docs/troubleshooting.md", "Too many connections"): three_connections,
    ("docs/troubleshooting.md", "outcome_unknown"): a_crash_to_come,
    ("docs/troubleshooting.md", "The user instance"): both_instances,
}
USERS = {("docs/troubleshooting.md", "Permission denied"): "bob"}
SECTIONS = list(dict.fromkeys((block.document, block.heading) for document in JUDGED for block, judgement in judgements_of(document)
                              if isinstance(judgement, judged.OnMachine)))


@pytest.mark.parametrize("document, heading", SECTIONS)
def test_section(machine, administrator, document, heading):
    prepared = PREPARED.get((document, heading), lambda machine: None)(machine)
    somebody = administrator(USERS.get((document, heading), "alice"))
    for block, judgement in judgements_of(document):
        if isinstance(judgement, judged.OnMachine) and block.heading == heading:
            somebody.follow(block, judgement)
    if isinstance(prepared, subprocess.Popen):
        prepared.communicate("\n", timeout=30)


def test_commands_within_the_texts(machine, administrator):
    """Each ends well; what they print, no document shows."""
    root = administrator("alice")
    machine.run("litebase", "config", "add-database", "music", "/var/lib/litebase/music.db", "--reload")
    machine.run("groupadd", "--force", "sales")
    machine.run("install", "-d", "-o", "litebase", "/srv/music")
    machine.run("litebase", "query", "-d", "music", "CREATE TABLE t(x)")
    connected = connections(machine, 1)
    block = examples.Block("mentioned.py", 1, "console", "".join(f"$ {command}\n" for command in mentioned.RUN))
    root.become = "bash -c "
    root.follow(block, judged.OnMachine(begins="", types={
        "litebase top": (terminal.Typed("q", 0.4),), "litebase shell": (terminal.Typed(".quit\n"),)}))
    connected.communicate(timeout=20)


def test_the_reply_to_a_session_of_a_former_process(machine, connect):
    """The JSON that docs/troubleshooting.md shows."""
    [block] = [block for block in examples.blocks("docs/troubleshooting.md") if block.language == "json"]
    client = connect(mode="lines")
    session = client.session()
    machine.systemctl("restart", SERVICE)
    got, shown = client.fails("query", {"sql": "SELECT 1", "session": session}), json.loads(block.text)
    assert shown["data"] == {**got, "message": got["message"].replace(session, "s36-1")}
    assert set(shown) == {"id", "type", "timestamp", "data"} and shown["type"] == "error"
