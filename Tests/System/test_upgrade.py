"""Upgrades and downgrades of the package while clients are connected."""

import os
import pathlib
import subprocess
import time

import pytest

from conftest import install
from load import FINE, assert_connected_once, assert_outcomes, assert_rows, outcomes, total
from test_restart import nothing_failed

pytestmark = pytest.mark.load

UPGRADES = 5


@pytest.fixture(scope="session")
def versions(untouched, tmp_path_factory):
    """The package, and the same with a higher version, as files inside."""
    directory = tmp_path_factory.mktemp("repacked")
    subprocess.run(["dpkg-deb", "-R", untouched.deb, directory / "package"], check=True)
    control = directory / "package/DEBIAN/control"
    lines = [f"{line}+test1" if line.startswith("Version:") else line for line in control.read_text().splitlines()]
    control.write_text("\n".join(lines) + "\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", directory / "package", directory / "newer.deb"],
                   check=True, stdout=subprocess.DEVNULL)
    untouched.copy_in(directory / "newer.deb", "/root/litebase-newer.deb")
    return "/root/litebase-newer.deb", "/root/litebase.deb"


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
