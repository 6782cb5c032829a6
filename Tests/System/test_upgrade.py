"""Upgrades and downgrades of the package while clients are connected."""

import os
import pathlib
import re
import subprocess
import time

import pytest

from conftest import install
from load import FINE, assert_connected_once, assert_outcomes, assert_rows, outcomes, total
from machine import SERVICE
from test_restart import nothing_failed

pytestmark = pytest.mark.load

UPGRADES = 5


def repacked(machine, directory, pattern, name):
    """The package under another version, as a file inside."""
    if not directory.joinpath("package").exists():
        subprocess.run(["dpkg-deb", "-R", machine.deb, directory / "package"], check=True)
        directory.joinpath("control").write_text(directory.joinpath("package/DEBIAN/control").read_text())
    control = re.sub("^Version: (.*)$", rf"Version: {pattern}", directory.joinpath("control").read_text(), flags=re.M)
    directory.joinpath("package/DEBIAN/control").write_text(control)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", directory / "package", directory / name],
                   check=True, stdout=subprocess.DEVNULL)
    machine.copy_in(directory / name, f"/root/{name}")
    return f"/root/{name}"


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("repacked")


@pytest.fixture(scope="session")
def versions(untouched, directory):
    """The same package with a higher version, and the package, as files inside."""
    return repacked(untouched, directory, r"\1+test1", "litebase-newer.deb"), "/root/litebase.deb"


def executable(machine):
    return str(machine.path(f"/proc/{machine.main_pid()}/exe").readlink())


def test_upgrades_and_downgrades_under_load_lose_nothing(machine, versions, load, figures):
    pids, seconds = set(), []
    with load() as running:
        for number in range(UPGRADES):
            time.sleep(0.5)
            started = time.monotonic()
            machine.run("dpkg", "-i", versions[number % 2], timeout=120)
            seconds.append(round(time.monotonic() - started, 1))
            pids.add(machine.main_pid())
            assert "(deleted)" not in executable(machine), "the old program still runs"
        time.sleep(0.5)
    report = running.report
    install(machine)
    figures(requests=total(report, "ok"), outcomes=report["outcomes"], latency=report["latency"], dpkg_seconds=seconds,
            sessions_lost=outcomes(report, "session").get("error:session_not_found", 0))
    assert len(pids) == UPGRADES and 0 not in pids, pids
    assert_outcomes(report, FINE)
    assert_connected_once(report, "persistent", "thoughtful", "session", "streaming")
    assert_rows(report)
    nothing_failed(machine)


def test_an_upgrade_does_not_start_a_service_that_nobody_uses(machine, versions):
    assert machine.state() == "inactive"
    machine.run("dpkg", "-i", versions[0], timeout=120)
    assert machine.state() == "inactive" and machine.state("litebase.socket") == "active"
    install(machine)
    assert machine.state() == "inactive" and machine.state("litebase.socket") == "active"
    machine.ping()


def test_an_upgrade_keeps_the_socket_for_monitoring(machine, versions):
    machine.systemctl("enable", "litebase-monitor.socket")
    machine.systemctl("restart", "litebase.socket")
    try:
        machine.ping()
        before = machine.main_pid()
        machine.run("dpkg", "-i", versions[0], timeout=120)
        assert machine.wait_restarted(before) and machine.state("litebase-monitor.socket") == "active"
        machine.ping("/run/litebase/monitor.sock")
    finally:
        install(machine)
        machine.systemctl("disable", "--now", "litebase-monitor.socket")


def test_an_upgrade_keeps_what_the_administrator_changed(machine, versions):
    path = "/etc/litebase/litebase.toml"
    before = machine.path(path).read_text()
    machine.path(path).write_text(before + "# ours\n")
    try:
        machine.run("dpkg", "-i", versions[0], timeout=120)
        assert machine.path(path).read_text().endswith("# ours\n")
    finally:
        machine.path(path).write_text(before)
        install(machine)


def told(machine, package):
    """What an upgrade by dpkg says of itself, beside dpkg's and debhelper's own lines."""
    done = machine.run("dpkg", "-i", package, timeout=120)
    return [line for line in (done.stdout + done.stderr).splitlines() if re.match(r"litebase: |\S+Z error ", line)]


def test_an_upgrade_after_which_all_is_well_says_nothing(machine, versions):
    for package in versions:
        machine.ping()
        assert told(machine, package) == [] and machine.state() == "active"
    machine.systemctl("stop", SERVICE)
    assert told(machine, versions[0]) == [] and machine.state() == "inactive"
    install(machine)


@pytest.mark.parametrize("runs", [True, False])
def test_an_upgrade_tells_of_a_mistake_in_the_configuration(machine, versions, runs):
    """It succeeds, since the package is as it should be; but whoever upgrades has to know that nobody is served."""
    if runs:
        machine.ping()
    machine.write("/etc/litebase/litebase.toml.d/test-wrong.toml", "nonsense = 1\n")
    try:
        said = told(machine, versions[0])
        assert "errors in the configuration" in said[0] and 'test-wrong.toml:1:1: unknown key "nonsense"' in said[1], said
        assert ("does not start, and clients wait" in said[-1]) == runs, said
        assert machine.output("dpkg-query", "-W", "-f", "${Status}", "litebase") == "install ok installed"
    finally:
        machine.remove("/etc/litebase/litebase.toml.d/test-wrong.toml")
        install(machine)
    machine.ping()


def test_an_upgrade_names_a_directory_without_which_the_service_does_not_start(machine, versions, directory):
    """A drop-in as the documents of 0.1.0 advised it."""
    machine.run("install", "-d", "-o", "litebase", "/srv/music box", "/srv/other")
    machine.drop_in("test-paths", '[Service]\nBindPaths="/srv/music box" -/srv/other\n')
    try:
        install(machine, repacked(machine, directory, "0.1.0-1", "litebase-older.deb"))
        machine.ping()
        [advised] = told(machine, versions[1])
        assert 'would not start if /srv/music box were missing: write "-/srv/music box"' in advised
        assert machine.state() == "active" and told(machine, versions[0]) == []
        machine.remove("/srv/music box", "/srv/other")
        missing, state = told(machine, versions[1])
        assert "does not start, because /srv/music box is missing" in missing and "clients wait" in state
    finally:
        machine.remove("/srv/music box", "/srv/other", f"/etc/systemd/system/{SERVICE}.d")
        machine.systemctl("daemon-reload")
        install(machine)
    machine.ping()


OLD = os.environ.get("LITEBASE_OLD_DEB")


@pytest.mark.skipif(not OLD, reason="LITEBASE_OLD_DEB names no package of a former release")
def test_from_a_former_release_and_back(machine, versions):
    """docs/upgrading.md: the files of either are the other's, and the connections stay."""
    machine.copy_in(pathlib.Path(OLD), "/root/litebase-old.deb")

    def rows():
        return machine.output("litebase", "query", "SELECT a FROM moved ORDER BY a", "--format", "csv", user="member").split()[1:]

    try:
        install(machine, "/root/litebase-old.deb")
        old = machine.output("litebase", "--version")
        machine.run("litebase", "query", "CREATE TABLE IF NOT EXISTS moved(a)", user="member")
        machine.run("litebase", "query", "DELETE FROM moved", user="member")
        for number, package in enumerate((versions[1], "/root/litebase-old.deb", versions[1])):
            machine.run("litebase", "query", f"INSERT INTO moved VALUES ({number})", user="member")
            install(machine, package)
            assert (machine.output("litebase", "--version") == old) == (package == "/root/litebase-old.deb")
            assert rows() == [str(each) for each in range(number + 1)]
            assert machine.state("litebase.socket") == "active" and machine.output("dpkg", "--verify", "litebase") == ""
    finally:
        install(machine)
