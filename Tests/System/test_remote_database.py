"""A database on a server, as an administrator sets it up: a command, the sandbox's drop-in, a credential; and its password
does not get out. PostgreSQL runs inside the machine."""

import re

import pytest

from machine import SERVICE, wait_until
from test_user_instance import USER, as_user  # noqa: F401 - a fixture

EXAMPLES = "/usr/share/doc/litebase/examples/systemd"
DROP_INS = f"/etc/systemd/system/{SERVICE}.d"
FIRST, SECOND = "Zk9Vq-first", "Zk9Vq-second"
DROP_IN = "/etc/litebase/litebase.toml.d/shop.toml"
SECRET = "/etc/litebase/credentials/shop.password"
URL = "postgresql://app@/postgres?host=/run/postgresql"


@pytest.fixture(scope="module")
def postgresql(installed):
    """The machine's PostgreSQL, which asks `app` for a password."""
    cluster = "15/main"
    hba = f"/etc/postgresql/{cluster}/pg_hba.conf"
    text = installed.path(hba).read_text()
    installed.path(hba).write_text("local all app scram-sha-256\n" + text)
    installed.run("pg_ctlcluster", *cluster.split("/"), "start")
    set_password(installed, FIRST, "CREATE")
    yield
    installed.run("pg_ctlcluster", *cluster.split("/"), "stop", "-m", "immediate")


def set_password(machine, password, verb="ALTER"):
    sql = f"{verb} ROLE app LOGIN PASSWORD '{password}'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
    machine.run("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-qXc", sql, "postgres")


@pytest.fixture
def shop(machine, postgresql):
    """With the sandbox opened, as the example does it; afterwards as before."""
    set_password(machine, FIRST)
    machine.run("install", "-D", "-m", "0644", "-t", DROP_INS, f"{EXAMPLES}/remote-databases.conf")
    machine.systemctl("daemon-reload")
    machine.ping()
    yield machine
    machine.remove("/etc/litebase/credentials", DROP_IN, "/var/lib/litebase/.pgpass")


def add(machine, *arguments, **options):
    return machine.run("litebase", "config", "add-database", "shop", URL, *arguments, **options)


def query(machine, check=True):
    """As an unprivileged member of the group."""
    return machine.run("litebase", "query", "-d", "shop", "SELECT current_user", user="member", check=check)


def answers(machine):
    """True in the end: after a failure the daemon tries again by and by."""
    return wait_until(lambda: query(machine, check=False).stdout == '{"current_user":"app"}\n', "the database answers", 15)


def advised(output, line):
    """A drop-in of the command's advice: the lines from [Service] to the one that begins like this."""
    setting = re.search(rf"^  ({line}=.*)$", output, re.M)[1]
    return f"[Service]\n{setting}\n"


def leaks(machine, began):
    """Where a password is to be seen."""
    pid = machine.main_pid()
    texts = ["\n".join(map(str, machine.journal(began))), machine.output("systemctl", "show", SERVICE),
             machine.output("systemctl", "cat", SERVICE), *(machine.path(f"/proc/{pid}/{name}").read_text(errors="replace")
                                                           for name in ("cmdline", "environ"))]
    return [text for text in texts if "Zk9Vq" in text]


def test_a_password_as_a_credential(shop):
    began = shop.cursor()
    output = add(shop, "--ask-password", "--reload", input=FIRST + "\n").stdout
    # A reload is not enough, and not done.
    assert f"Written: {SECRET}\n" in output and "Configuration reloaded" not in output
    assert "Next: systemctl daemon-reload; systemctl restart litebase.service\n" in output
    assert shop.output("stat", "-c", "%U:%G %a", SECRET, DROP_IN, "/etc/litebase/credentials").splitlines() == [
        "root:root 600", "root:litebase 640", "root:root 700"]
    # Who reloads all the same: the service has no such credential. It says so, and serves the others.
    shop.run("litebase", "reload")
    told = query(shop, check=False)
    assert told.returncode == 69 and 'no credential "shop.password"' in told.stderr and "LoadCredential=" in told.stderr
    assert [m for m in shop.messages(began) if m.startswith('Database shop: The service has no credential')]
    assert shop.run("litebase", "query", "SELECT 1", user="member").stdout == '{"1":1}\n'
    shop.write(f"{DROP_INS}/shop.conf", advised(output, "LoadCredential"))
    shop.systemctl("daemon-reload")
    shop.systemctl("restart", SERVICE)
    assert query(shop).stdout == '{"current_user":"app"}\n'
    # A new password: the credential is a copy, which the next start makes.
    set_password(shop, SECOND)
    add(shop, "--ask-password", "--replace", input=SECOND)
    assert "password authentication failed" in query(shop, check=False).stderr
    shop.systemctl("restart", SERVICE)
    assert answers(shop)
    assert leaks(shop, began) == []
    assert shop.run("cat", SECRET, user="member", check=False).returncode != 0
    shop.run("litebase", "config", "remove-database", "shop", "--reload")
    assert query(shop, check=False).returncode == 1


def test_an_encrypted_credential(shop):
    """systemd-creds with the machine's own key, as the command advises; the plain file can be removed."""
    output = add(shop, "--ask-password", input=FIRST).stdout
    command = re.search(r"^  (systemd-creds encrypt .*)$", output, re.M)[1]
    shop.shell(command)
    shop.remove(SECRET)
    encrypted = shop.path(SECRET + ".encrypted").read_text()
    assert encrypted and FIRST not in encrypted
    shop.write(f"{DROP_INS}/shop.conf", advised(output, "LoadCredentialEncrypted"))
    shop.systemctl("daemon-reload")
    shop.systemctl("restart", SERVICE)
    assert query(shop).stdout == '{"current_user":"app"}\n'


def test_a_password_file_is_read_at_each_connection(shop):
    shop.write("/etc/litebase/shop-password", FIRST + "\n", mode=0o640)
    shop.run("chown", "root:litebase", "/etc/litebase/shop-password")
    try:
        add(shop, "--password-file", "/etc/litebase/shop-password", "--reload")
        pid = shop.main_pid()
        assert query(shop).stdout == '{"current_user":"app"}\n'
        set_password(shop, SECOND)
        shop.write("/etc/litebase/shop-password", SECOND + "\n", mode=0o640)
        assert answers(shop) and shop.main_pid() == pid
    finally:
        shop.remove("/etc/litebase/shop-password")


def test_pgpass_of_the_services_home(shop):
    """The home directory of user litebase is its state directory; a user's own ~/.pgpass is of no use to the system's."""
    shop.write("/home/member/.pgpass", f"*:*:*:app:{FIRST}\n", mode=0o600)
    add(shop, "--reload")
    assert "no password supplied" in query(shop, check=False).stderr
    shop.write("/var/lib/litebase/.pgpass", f"*:*:*:app:{FIRST}\n", mode=0o600)
    shop.run("chown", "litebase:litebase", "/var/lib/litebase/.pgpass")
    assert answers(shop)
    shop.remove("/home/member/.pgpass")


def test_a_users_own_daemon(machine, postgresql, as_user):  # noqa: F811
    """By the same command, into the user's own files; and by ~/.pgpass, which is of use here."""
    set_password(machine, FIRST)
    as_user("systemctl", "--user", "start", "litebase.socket")
    home = f"/home/{USER}"
    output = as_user("litebase", "config", "add-database", "shop", URL, "--ask-password", "--reload", input=FIRST).stdout
    assert f"Written: {home}/.config/litebase/credentials/shop.password\n" in output and "2 databases" in output
    query = ("litebase", "query", "-d", "shop", "SELECT current_user")
    assert as_user(*query).stdout == '{"current_user":"app"}\n'
    as_user("litebase", "config", "add-database", "shop", URL, "--replace", "--reload")
    assert "no password supplied" in as_user(*query, check=False).stderr
    machine.write(f"{home}/.pgpass", f"*:*:*:app:{FIRST}\n", mode=0o600)
    machine.run("chown", USER, f"{home}/.pgpass")
    wait_until(lambda: as_user(*query, check=False).returncode == 0, "the password is found")
    machine.remove(f"{home}/.pgpass", f"{home}/.config/litebase")


def test_without_the_drop_in_the_sandbox_keeps_the_server_away(shop):
    add(shop, "--password-file", "/etc/litebase/shop-password")
    shop.remove(f"{DROP_INS}/remote-databases.conf")
    shop.systemctl("daemon-reload")
    shop.systemctl("restart", SERVICE)
    assert query(shop, check=False).returncode == 69
