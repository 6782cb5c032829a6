"""Changes are told from within the unit's sandbox, those of other programs, too."""

import json

import pytest

from machine import wait_until

OUTSIDE = "import sqlite3; db = sqlite3.connect('/var/lib/litebase/default.db', timeout=30); db.execute('INSERT INTO heard VALUES (2)'); db.commit()"


@pytest.fixture
def hearing(machine):
    machine.run("litebase", "query", "CREATE TABLE heard(a)", user="member")
    yield machine
    machine.run("litebase", "query", "DROP TABLE heard", user="member")


def first_change(machine, *writing, user, since=None):
    """What `litebase watch` tells first while something is written again and again; it ends then."""
    going_on = ["--from", since] if since else []
    watching = machine.start("timeout", "60", "litebase", "watch", "default", "heard", "--json", "--once", *going_on, user="member")

    def is_told():
        machine.run(*writing, user=user)
        return watching.poll() is not None

    wait_until(is_told, "the change", timeout=40, interval=0.3)
    output, errors = watching.communicate()
    assert watching.returncode == 0, errors
    return json.loads(output)


def test_a_member_hears_of_commits(hearing):
    insertion = ("litebase", "query", "INSERT INTO heard VALUES (1)")
    # The first may have begun before anybody listened, and then nobody knows what it changed.
    former = first_change(hearing, *insertion, user="member")
    change = first_change(hearing, *insertion, user="member", since=former["position"])
    assert change["relations"] == ["heard"] and change["resync"] is None, (former, change)


def test_a_member_hears_of_what_another_program_writes(hearing):
    """It is the kernel that says so (inotify), and the lock of the other program is looked at."""
    change = first_change(hearing, "python3", "-c", OUTSIDE, user="litebase")
    assert change["resync"] == "other_program"


def test_a_stranger_hears_nothing(hearing):
    refused = hearing.run("litebase", "watch", "default", "--once", user="stranger", check=False)
    assert refused.returncode == 77, refused
