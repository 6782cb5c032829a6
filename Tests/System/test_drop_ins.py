"""The drop-ins that the package ships as examples, each as it is."""

import re

import pytest

from machine import LIBRARY, SERVICE

EXAMPLES = "/usr/share/doc/litebase/examples/systemd"
NAMES = ("credentials", "database-paths", "limits", "machine-root", "remote-databases", "sqlite-only", "tcp", "user-directory")
# Not for a unit of ours; tested with their server.
OTHERS = ("redis-server", "redis-tmpfiles")
SECRET = "tested-secret-of-the-warehouse"


@pytest.fixture
def with_example(machine):
    """Installs an example where its first line says."""
    machine.write("/etc/litebase/credentials/warehouse.password", SECRET, mode=0o600)
    for directory in ("/srv/music", "/srv/archive"):
        machine.run("install", "-d", "-o", "litebase", "-g", "litebase", directory)

    def add(name):
        text = machine.path(f"{EXAMPLES}/{name}.conf").read_text()
        target = re.match(r"# (/etc/systemd/system/(litebase\.\w+)\.d/\S+)\n", text)
        machine.systemctl("stop", "litebase.socket", SERVICE)
        machine.write(target[1], text)
        machine.systemctl("daemon-reload")
        machine.systemctl("start", "litebase.socket")
        return target[2]

    yield add
    machine.remove("/etc/litebase/credentials", "/srv/music", "/srv/archive")


def test_all_examples_are_tested(machine):
    shipped = {path.stem for path in machine.path(EXAMPLES).glob("*.conf")}
    assert shipped == {*NAMES, *OTHERS}


@pytest.mark.parametrize("name", NAMES)
def test_the_service_works_with(machine, with_example, name, connect):
    unit = with_example(name)
    client = connect()
    client.query("CREATE TABLE IF NOT EXISTS drop_ins(x)")
    client.settle()
    assert f"/{name}.conf" in machine.property("DropInPaths", unit)
    shown = machine.run("systemd-analyze", "verify", "litebase.service", "litebase.socket", check=False)
    assert (shown.returncode, shown.stdout + shown.stderr) == (0, "")


def test_sqlite_only_reaches_its_exposure(machine, with_example, figures):
    with_example("sqlite-only")
    shown = machine.run("systemd-analyze", "security", "--no-pager", "--threshold=2", SERVICE, check=False)
    figures(exposure=float(re.search(r"Overall exposure level for .*: ([0-9.]+)", shown.stdout)[1]))
    assert shown.returncode == 0, shown.stdout[-2000:]


def test_a_database_by_drop_in_is_served(machine, with_example, connect):
    with_example("database-paths")
    machine.write("/etc/litebase/litebase.toml.d/test-music.toml", '[databases.music]\nurl = "sqlite:/srv/music/library.db"\n')
    connect().query("CREATE TABLE albums(name)", database="music")
    assert machine.output("stat", "-c", "%U", "/srv/music/library.db") == "litebase"


def test_a_directory_that_is_gone_keeps_no_other_database_away(machine, with_example, connect):
    """The drop-in that `add-database` advises, word by word."""
    machine.write("/etc/litebase/litebase.toml.d/test-other.toml", '[databases.other]\nurl = "sqlite::memory:"\n')
    advised = machine.output("litebase", "config", "add-database", "test-gone", "/srv/music/gone.db").splitlines()
    setting = [line.strip() for line in advised if "BindPaths=" in line]
    assert setting == ["BindPaths=-/srv/music"], advised
    machine.drop_in("gone", f"[Service]\n{setting[0]}\n")
    machine.run("litebase", "query", "-d", "test-gone", "CREATE TABLE t(x)", user="member")
    machine.remove("/srv/music")
    machine.systemctl("restart", SERVICE)
    assert machine.run("litebase", "query", "-d", "other", "SELECT 7 AS n", user="member").stdout == '{"n":7}\n'
    refused = machine.run("litebase", "query", "-d", "test-gone", "SELECT 1 FROM t", user="member", check=False)
    # Where its directory was, the service's root directory has an empty one.
    assert refused.returncode == 69 and "Read-only file system." in refused.stderr and "BindPaths=" in refused.stderr, refused
    machine.run("install", "-d", "-o", "litebase", "-g", "litebase", "/srv/music")
    machine.systemctl("restart", SERVICE)
    machine.run("litebase", "query", "-d", "test-gone", "CREATE TABLE t(x)", user="member")


def test_a_members_link_in_his_directory_leads_to_no_other_database(machine, with_example, connect):
    """Within the unit's root directory and system calls; root's own link beside is followed."""
    with_example("database-paths")
    machine.run("chmod", "2770", "/srv/music")
    machine.write("/etc/litebase/litebase.toml.d/test-music.toml",
                  '[databases.vault]\nurl = "sqlite:/var/lib/litebase/vault.db"\nusers = []\n'
                  '[databases.music]\nurl = "sqlite:/srv/music/library.db"\n'
                  '[databases.archive]\nurl = "sqlite:/var/lib/litebase/archive.db"\n')
    machine.run("ln", "-s", "/srv/music/moved.db", "/var/lib/litebase/archive.db")
    try:
        connect().query("CREATE TABLE secret(x)", database="vault")
        machine.run("ln", "-s", "/var/lib/litebase/vault.db", "/srv/music/library.db", user="member")
        refused = machine.run("litebase", "query", "-d", "music", "SELECT * FROM secret", user="member", check=False)
        assert refused.returncode != 0 and "/srv/music/library.db is a symbolic link that belongs to user" in refused.stderr, refused
        assert machine.output("id", "-u", "member") in refused.stderr and "nobody but root" in refused.stderr
        machine.run("rm", "/srv/music/library.db", user="member")
        for database in ("music", "archive"):
            machine.run("litebase", "query", "-d", database, "CREATE TABLE albums(name)", user="member")
        assert machine.output("stat", "-c", "%U", "/srv/music/moved.db") == "litebase"
    finally:
        machine.remove("/var/lib/litebase/archive.db", "/var/lib/litebase/vault.db")


def test_credentials_are_for_the_daemon_alone(machine, with_example, connect):
    """LoadCredential=: the daemon's user can read the secret, nobody else; it is in no environment and in no log."""
    with_example("credentials")
    connect().settle()
    pid = machine.main_pid()
    environment = dict(item.partition("=")[::2] for item in machine.path(f"/proc/{pid}/environ").read_text().split("\0") if item)
    path = f"{environment['CREDENTIALS_DIRECTORY']}/warehouse.password"
    assert SECRET not in str(environment)
    seen = machine.path(f"/proc/{pid}/root{path}")
    assert seen.read_text() == SECRET and seen.stat().st_mode & 0o077 == 0
    denied = machine.run("cat", f"/proc/{pid}/root{path}", user="member", check=False)
    assert denied.returncode != 0 and SECRET not in denied.stdout
    machine.systemctl("stop", "litebase.socket", SERVICE)
    assert SECRET not in "\n".join(machine.messages(machine.began))


def test_user_namespace_of_sqlite_only_takes_peers_for_nobody(machine, with_example):
    """The price that its comment names."""
    with_example("sqlite-only")
    script = "import sys, wire; print(wire.Client(sys.argv[1]).call('hello').data['peer']['uid'])"
    uid = machine.output("python3", "-c", script, "/run/litebase/litebase.sock", user="member",
                         environment=[f"PYTHONPATH={LIBRARY}"])
    assert uid == "65534"


def test_sqlite_only_says_that_it_cannot_decide_by_users(machine, with_example):
    """In a user namespace of its own nobody of a list could ever get in, and nothing said why."""
    machine.write("/etc/litebase/litebase.toml.d/test-hers.toml", '[databases.hers]\nurl = "sqlite::memory:"\nusers = ["member"]\n')
    with_example("sqlite-only")
    refused = machine.run("litebase", "query", "-d", "hers", "SELECT 1", check=False)
    assert refused.returncode == 69 and "disabled" in refused.stderr, refused
    machine.run("litebase", "query", "SELECT 1", user="member")
    assert "1 disabled (hers)" in machine.property("StatusText")
    said = [line for line in machine.messages(machine.began, "-u", SERVICE) if "is disabled" in line]
    assert said and "user namespace" in said[0] and "sqlite-only.conf" in said[0], said
