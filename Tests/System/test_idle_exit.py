"""The idle exit's race: clients that connect just when the daemon leaves. Many copies of the units run side by side."""

import json

import pytest

import load as loads
from machine import LIBRARY, rounds

pytestmark = pytest.mark.load

COPIES, ROUNDS = 20, 50


def copies(machine):
    """litebase-idle@N.socket and .service: the installed units, but for names and an idle time of one second."""
    service = machine.path("/lib/systemd/system/litebase.service").read_text()
    service = (service.replace("litebase.socket", "litebase-idle@%i.socket")
               .replace("StateDirectory=litebase", "StateDirectory=litebase-idle/%i")
               .replace("--listen=systemd", "--listen=systemd --idle-exit=1"))
    socket = machine.path("/lib/systemd/system/litebase.socket").read_text()
    socket = socket.replace("/run/litebase/litebase.sock", "/run/litebase-idle/%i.sock")
    machine.write("/etc/systemd/system/litebase-idle@.service", service)
    machine.write("/etc/systemd/system/litebase-idle@.socket", socket)
    machine.systemctl("daemon-reload")
    units = [f"litebase-idle@{number}.socket" for number in range(COPIES)]
    machine.systemctl("start", *units)
    return units


def test_nobody_is_lost_in_a_thousand_rounds(machine, figures):
    units = copies(machine)
    done = machine.run("python3", f"{LIBRARY}/idle_rounds.py", "--seed", loads.SEED, "--rounds", rounds(ROUNDS),
                       *(f"/run/litebase-idle/{number}.sock" for number in range(COPIES)), user="member", timeout=600)
    report = json.loads(done.stdout)
    for unit in units:
        assert machine.state(unit) == "active", unit
        assert machine.property("Result", unit) == "success", unit
    failed = [text for text in machine.messages(machine.began, "-u", "litebase-idle@*") if "Failed with result" in text]
    machine.systemctl("stop", "litebase-idle@*")
    machine.run("rm", "-rf", "/var/lib/litebase-idle", "/run/litebase-idle")
    figures(**report)
    assert not failed, failed
    assert report["answered"] == report["rounds"] == COPIES * rounds(ROUNDS), report
    # About half of the rounds meet the old process, half a new one: the moment is aimed at the edge between both.
    assert report["activations"] >= report["rounds"] * 0.25, report
    assert report["met_the_old_process"] >= report["rounds"] * 0.1, report
