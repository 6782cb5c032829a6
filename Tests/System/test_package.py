"""What the package brings, what it leaves behind, and what the tools of Debian and systemd say about it."""

import pathlib
import re

import pytest

from conftest import files, install
from machine import SERVICE, SOCKET

ROOT = pathlib.Path(__file__).resolve().parents[2]
APT = ["DEBIAN_FRONTEND=noninteractive"]
MANUALS = ("litebased", "litebase", "litebase.toml", "litebase-protocol")
COMPLETIONS = ("/usr/share/bash-completion/completions/litebase", "/usr/share/zsh/vendor-completions/_litebase",
               "/usr/share/fish/vendor_completions.d/litebase.fish")
EXPOSURE_TENTHS_MAX = 10


def use(machine):
    """Real use: data, a drop-in, a reload, both instances of everything that creates files."""
    machine.write("/etc/litebase/litebase.toml.d/test-used.toml", "idle_exit_seconds = 0\n")
    machine.run("litebase", "query", "CREATE TABLE IF NOT EXISTS used(x)", user="member")
    machine.run("litebase", "query", "INSERT INTO used VALUES (1)", user="member")


def test_depends_on_the_library_of_systemd(machine):
    assert "libsystemd0 (>= 2" in machine.output("dpkg-query", "-W", "-f", "${Depends}", "litebase")
    assert "libsystemd.so.0" in machine.output("ldd", "/usr/bin/litebased")
    assert "libsystemd" not in machine.output("ldd", "/usr/bin/litebase")


def test_installation_enables_the_socket_and_starts_no_service(machine):
    machine.run("apt-get", "remove", "-y", "-q", "litebase", environment=APT)
    install(machine)
    assert machine.output("systemctl", "is-enabled", "litebase.socket") == "enabled"
    assert machine.state("litebase.socket") == "active" and machine.state() == "inactive"
    assert machine.state("litebase-monitor.socket") == "inactive"
    assert machine.output("dpkg", "--audit") == "" and machine.output("dpkg", "--verify", "litebase") == ""
    assert re.match(r"litebase:x:\d+:\d+:.*:/usr/sbin/nologin$", machine.output("getent", "passwd", "litebase"))


@pytest.mark.parametrize("page", MANUALS)
def test_manual_page(machine, page):
    assert machine.output("man", "-w", page).endswith(".gz")
    formatted = machine.run("man", "--warnings", page, environment=["MANWIDTH=80", "MAN_KEEP_FORMATTING="])
    assert "NAME" in formatted.stdout and formatted.stderr == "", formatted.stderr


def test_documents_lead_to_each_other(machine):
    """What lies beside a page of docs is in the package, too, whatever debhelper compresses."""
    there = {path.name.removesuffix(".gz"): path for path in machine.path("/usr/share/doc/litebase").iterdir()}
    for name in [name for name in there if name.endswith(".md") and name != "README.md"]:
        text = machine.output("zcat", "--force", f"/usr/share/doc/litebase/{there[name].name}")
        missing = {link for link in re.findall(r"\]\(([\w.-]+\.\w+)(?:#[^)]*)?\)", text) if link not in there}
        assert missing == set(), f"{name} leads to {missing}"
    assert "NEWS.Debian" in there and "changelog" in there


def test_completions(machine):
    for path in COMPLETIONS:
        assert "litebase" in machine.path(path).read_text()
    machine.run("bash", "-n", COMPLETIONS[0])


def test_units_are_clean(machine):
    for scope in ("--system", "--user"):
        done = machine.run("systemd-analyze", scope, "verify", "litebase.service", "litebase.socket",
                           environment=["XDG_RUNTIME_DIR=/run"], check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), scope


def test_exposure(machine, figures):
    done = machine.run("systemd-analyze", "security", "--no-pager", f"--threshold={EXPOSURE_TENTHS_MAX}", SERVICE, check=False)
    figures(exposure=float(re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)[1]))
    assert done.returncode == 0, done.stdout


def test_limits_and_policies_are_set(machine):
    """Control groups have no effect in a container like this one, so what counts is that the settings are there."""
    machine.ping()
    shown = dict(line.partition("=")[::2] for line in machine.output("systemctl", "show", SERVICE).splitlines())
    assert int(shown["LimitNOFILE"]) >= 10_000 and shown["TasksMax"] not in ("", "infinity")
    assert shown["MemoryMax"] not in ("", "infinity") and shown["OOMPolicy"] in ("stop", "kill")
    assert shown["WatchdogUSec"] not in ("0", "infinity") and shown["Restart"] == "on-failure"
    assert shown["StartLimitIntervalUSec"] == "0" and int(shown["FileDescriptorStoreMax"]) > 0
    assert shown["MemoryDenyWriteExecute"] == "yes" and shown["NotifyAccess"] == "main"
    assert shown["StateDirectoryMode"] == "0700" and shown["UMask"] == "0077"
    socket = dict(line.partition("=")[::2] for line in machine.output("systemctl", "show", "litebase.socket").splitlines())
    assert socket["RemoveOnStop"] == "yes" and socket["SocketMode"] == "0660" and socket["SocketGroup"] == "litebase"


def test_owners_and_modes(machine):
    paths = [path for path in machine.output("dpkg", "-L", "litebase").splitlines() if path != "/."]
    for line in machine.output("stat", "-c", "%a %U %G %F %n", *paths).splitlines():
        mode, owner, group, rest = line.split(" ", 3)
        assert owner == "root" and (int(mode, 8) & 0o7022 == 0 or rest.startswith("symbolic link")), line
        # Only root and the group can enter /etc/litebase, whatever the modes below it.
        assert group == ("litebase" if rest == "directory /etc/litebase" else "root"), line


def test_remove_keeps_data_and_configuration(machine):
    use(machine)
    machine.run("apt-get", "remove", "-y", "-q", "litebase", environment=APT)
    try:
        assert not machine.path(SOCKET).exists()
        assert machine.run("systemctl", "is-active", SERVICE, check=False).stdout.strip() == "inactive"
        assert machine.run("pgrep", "litebased", check=False).returncode == 1
        assert machine.path("/etc/litebase/litebase.toml").exists()
    finally:
        install(machine)
    assert machine.output("litebase", "query", "SELECT count(*) > 0 FROM used", "--format", "csv").splitlines()[-1] == "1"


def test_what_debian_tests_of_a_package(machine):
    """debian/tests, which Debian runs on a machine of its own, with everything that the source package makes."""
    drivers = ["python3-litebase", "node-litebase", "golang-github-litebase-litebase-go-dev", "librust-litebase-dev"]
    version = machine.deb.name.split("_")[1]
    for name in drivers:
        machine.copy_in(machine.deb.with_name(f"{name}_{version}_all.deb"), f"/root/{name}.deb")
    machine.copy_in(ROOT / "packaging/debian/tests/smoke", "/root/smoke")
    try:
        machine.run("apt-get", "install", "-y", "-q", "--no-install-recommends", *(f"/root/{name}.deb" for name in drivers), environment=APT)
        done = machine.run("sh", "/root/smoke", timeout=120, check=False)
        assert done.returncode == 0 and done.stdout.endswith("passed\n"), done.stdout[-3000:] + done.stderr[-3000:]
    finally:
        machine.run("apt-get", "purge", "-y", "-q", *drivers, environment=APT)


def answer(machine, delete):
    machine.run("debconf-set-selections", input=f"litebase litebase/purge-databases boolean {str(delete).lower()}\n")


def left_behind(machine):
    """What a purge has left. The user stays, by Debian's policy: files that it may own elsewhere must not change hands."""
    users = re.compile(r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-|/etc/.pwd.lock")
    return {path for path in files(machine) - machine.files_before if not users.fullmatch(path)}


def listed(machine):
    """Units that systemd knows, those without a file included."""
    return [line for line in machine.output("systemctl", "list-units", "--all", "--no-legend", "--plain").splitlines()
            if line.startswith("litebase")]


def test_purge_leaves_nothing_but_the_user(machine):
    use(machine)
    # Somebody has enabled the socket for all users, and that for monitoring, and the service has failed: nothing may dangle.
    machine.systemctl("--global", "enable", "litebase.socket")
    machine.systemctl("enable", "litebase-monitor.socket")
    machine.systemctl("restart", "litebase.socket")
    assert machine.state("litebase-monitor.socket") == "active"
    machine.drop_in("test-fails", "[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n")
    machine.systemctl("restart", SERVICE, check=False)
    assert machine.state() == "failed"
    machine.remove(f"/etc/systemd/system/{SERVICE}.d")
    answer(machine, True)
    machine.run("apt-get", "purge", "-y", "-q", "litebase", environment=APT)
    try:
        assert not left_behind(machine), sorted(left_behind(machine))
        assert machine.output("getent", "passwd", "litebase")
        assert listed(machine) == []
        assert machine.run("pgrep", "litebased", check=False).returncode == 1
        assert "litebase" not in machine.output("debconf-show", "litebase")
    finally:
        install(machine)
    machine.ping(user="member")


@pytest.mark.parametrize("reply", [None, "", "n", "y"])
def test_purge_asks_before_it_deletes_databases(machine, reply):
    """`None`: nobody is there to answer, which must not cost data; "": the default."""
    use(machine)
    if reply is None:
        purged = machine.run("dpkg", "--purge", "litebase", environment=APT)
    else:
        # Questions are put to terminals only.
        purged = machine.run("script", "--quiet", "--return", "--command", "dpkg --purge litebase", "/dev/null",
                             environment=["DEBIAN_FRONTEND=teletype", "TERM=dumb"], input=f"{reply}\n")
    try:
        said = purged.stdout + purged.stderr
        assert ("Delete all databases in /var/lib/litebase?" in said) == (reply is not None), said
        kept = reply != "y"
        assert ("databases in /var/lib/litebase were kept" in said) == kept, said
        assert {path.split("/")[3] for path in left_behind(machine)} == ({"litebase"} if kept else set())
    finally:
        install(machine)
    count = machine.run("litebase", "query", "SELECT count(*) > 0 FROM used", "--format", "csv", check=False, user="member")
    assert (count.stdout.split() == ["count(*)", ">", "0", "1"]) == kept, count.stdout + count.stderr


@pytest.mark.parametrize("delete", [False, True])
def test_an_answer_that_was_given_before_is_not_asked_for_again(machine, delete):
    """At a terminal, too; and it is gone with the purge, so that the next one asks."""
    use(machine)
    answer(machine, delete)
    machine.run("apt-get", "install", "--reinstall", "-y", "-q", "/root/litebase.deb", environment=APT)
    purged = machine.run("script", "--quiet", "--return", "--command", "dpkg --purge litebase", "/dev/null",
                         environment=["DEBIAN_FRONTEND=teletype", "TERM=dumb"])
    try:
        assert "Delete all databases" not in purged.stdout + purged.stderr
        assert {path.split("/")[3] for path in left_behind(machine)} == (set() if delete else {"litebase"})
    finally:
        install(machine)
    assert "* litebase/purge-databases" not in machine.output("debconf-show", "litebase")


def test_a_removal_leaves_nothing_in_run(machine):
    use(machine)
    machine.run("apt-get", "remove", "-y", "-q", "litebase", environment=APT)
    try:
        assert machine.output("find", "/run", "-path", "*/litebase*") == ""
    finally:
        install(machine)


def test_a_preset_enables_nobodys_own_instance(machine):
    """The client prefers a user's socket to the system's, whose databases would vanish from everybody's sight."""
    machine.systemctl("--global", "preset", "litebase.socket")
    assert machine.run("systemctl", "--global", "is-enabled", "litebase.socket", check=False).stdout.strip() == "disabled"
    assert machine.output("find", "/etc/systemd/user", "-name", "litebase*") == ""


def test_what_is_linked_statically_is_told(machine):
    built_using = machine.output("dpkg-query", "-W", "-f", "${Static-Built-Using}", "litebase")
    assert re.search(r"\bgcc-\d+ \(= ", built_using) and re.search(r"\btomlplusplus \(= ", built_using), built_using
    told = machine.path("/usr/share/doc/litebase/BUILT-WITH").read_text()
    assert re.search(r"^Swift 6\.\d", told, re.M) and re.search(r"^swift-argument-parser \d+\.\d+\.\d+ ", told, re.M), told
