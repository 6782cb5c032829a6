"""Somebody has left, and is in a list still: the next start serves everything else, and says so where an administrator looks."""

import json

import pytest

from machine import SERVICE, wait_until

FILE = "/etc/litebase/litebase.toml.d/test-departed.toml"


@pytest.fixture
def departed(machine):
    """A database for "departing", who is deleted while the service is stopped."""
    machine.run("useradd", "--no-create-home", "departing")
    machine.write(FILE, '[databases.hers]\nurl = "sqlite::memory:"\nusers = ["departing", "member"]\n')
    machine.run("litebase", "query", "-d", "hers", "SELECT 1", user="member")
    machine.systemctl("stop", SERVICE)
    machine.run("userdel", "departing")
    yield machine
    machine.run("userdel", "departing", check=False)


def test_all_but_one_database_are_served(departed):
    machine = departed
    assert "healthy" in machine.ping(user="member").stdout
    assert machine.state() == "active"
    machine.run("litebase", "query", "SELECT 1", user="member")
    refused = machine.run("litebase", "query", "-d", "hers", "SELECT 1", user="member", check=False)
    assert refused.returncode == 69 and "disabled" in refused.stderr and "departing" not in refused.stderr
    assert "1 disabled (hers)" in machine.property("StatusText")
    seen = machine.run("litebase", "status", "--json", check=False)
    assert seen.returncode == 78 and "departing" in json.loads(seen.stdout)["stats"]["disabled_databases"]["hers"]
    told = [entry for entry in machine.journal(machine.began, "-u", SERVICE) if entry.get("LITEBASE_DATABASE") == "hers"
            and "is disabled" in str(entry["MESSAGE"])]
    assert told and FILE in told[0]["MESSAGE"] and int(told[0]["PRIORITY"]) <= 3
    checked = machine.run("litebased", "--check-config", check=False)
    assert checked.returncode == 78 and "departing" in checked.stderr


def test_a_name_that_appears_is_found(departed):
    """As when a directory service starts after the daemon: nobody has to reload."""
    machine = departed
    machine.ping()
    machine.run("useradd", "--no-create-home", "departing")
    wait_until(lambda: machine.run("litebase", "query", "-d", "hers", "SELECT 1", user="member", check=False).returncode == 0,
               "the database is served again", timeout=45, interval=0.5)
    assert "disabled" not in machine.property("StatusText") or wait_until(
        lambda: "disabled" not in machine.property("StatusText"), "the status line follows")
