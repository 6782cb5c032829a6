"""Limits of memory that nobody has configured fit into what the daemon may have."""

import os
import re
import time

import pytest

from daemon import ROOT
from identity import needs_root

MIB = 1 << 20
SQLITE, SQLITE_OF_USER = "sqlite_memory_bytes_max", "sqlite_memory_bytes_per_user_max"
BUFFERED = "buffered_bytes_per_user_max"


@pytest.fixture
def start_within(directory, start_daemon):
    """Starts a daemon that sees control groups with such limits, by the depth of the group."""

    def start(*memory_max, settings=""):
        config = directory / "budget.toml"
        config.write_text(settings)
        root = path = directory / "groups"
        for text in memory_max:
            path.mkdir()
            (path / "memory.max").write_text(f"{text}\n")
            path = path / "group"
        membership = directory / "membership"
        membership.write_text("1:name=systemd:/\n0::/" + "/".join(["group"] * (len(memory_max) - 1)) + "\n")
        script = f"mount --bind {root} /sys/fs/cgroup && mount --bind {membership} /proc/$$/cgroup && exec \"$@\""
        return start_daemon(f"--config={config}", directory=directory, prefix=("unshare", "-m", "sh", "-c", script, "sh"))

    return start


def values(daemon):
    limits = daemon.connect().call("stats").data["limits"]
    return [limits[name]["value"] for name in (SQLITE, SQLITE_OF_USER, BUFFERED)]


@needs_root
def test_limits_follow_from_the_memory_of_the_control_group(start_within):
    daemon = start_within(768 * MIB)
    assert values(daemon) == [192 * MIB, 96 * MIB, 96 * MIB]
    log = daemon.log()
    for name, value in ((SQLITE, 192), (SQLITE_OF_USER, 96), (BUFFERED, 96)):
        if name == SQLITE_OF_USER:
            # Half of the former already.
            continue
        assert f"{name} is {value * MIB}, for the process may have {768 * MIB} bytes of memory" in log
    assert "Clients may take more memory" not in log


@needs_root
@pytest.mark.parametrize("memory_max", [
    ("max", 1024 * MIB, 768 * MIB), ("max", 768 * MIB, "max"), (768 * MIB, "max", 1024 * MIB)])
def test_the_least_of_the_groups_above_counts(start_within, memory_max):
    assert values(start_within(*memory_max)) == [192 * MIB, 96 * MIB, 96 * MIB]


@needs_root
@pytest.mark.parametrize("kind", ["system", "user"])
@pytest.mark.parametrize("less", [0, 64 * MIB])
def test_the_unit_gives_what_the_defaults_add_up_to(start_within, kind, less):
    """No less, or limits would be lowered on every machine; no more, since then it protects nobody."""
    unit = (ROOT / f"systemd/{kind}/litebase.service").read_text()
    number, factor = re.search(r"^MemoryMax=(\d+)([GM])$", unit, re.MULTILINE).groups()
    memory = int(number) * {"G": 1024 * MIB, "M": MIB}[factor]
    defaults = [1024 * MIB, 512 * MIB, 256 * MIB]
    assert (values(start_within(memory - less)) == defaults) == (less == 0)


@needs_root
def test_what_is_configured_stays_and_is_warned_of(start_within):
    daemon = start_within(768 * MIB, settings=f"[limits]\n{SQLITE} = {512 * MIB}\n{BUFFERED} = {256 * MIB}\n")
    # The third one is not configured.
    assert values(daemon) == [512 * MIB, 96 * MIB, 256 * MIB]
    assert "Clients may take more memory than is good for a process" in daemon.log()


@needs_root
def test_what_is_configured_and_fits_is_no_warning(start_within):
    daemon = start_within(768 * MIB, settings=f"[limits]\n{SQLITE} = {64 * MIB}\n{BUFFERED} = {32 * MIB}\ncatalog_bytes_max = {32 * MIB}\n")
    assert values(daemon) == [64 * MIB, 32 * MIB, 32 * MIB]
    assert "bytes of memory" not in daemon.log() and "Clients may take" not in daemon.log()


@needs_root
@pytest.mark.parametrize("memory_max", [4096 * MIB, "max"])
def test_enough_memory_or_no_limit_changes_nothing(start_within, memory_max):
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if machine < 4096 * MIB:
        pytest.skip("the machine has less than 4 GiB")
    daemon = start_within(memory_max)
    assert values(daemon) == [1024 * MIB, 512 * MIB, 256 * MIB]
    assert "bytes of memory" not in daemon.log()


@needs_root
def test_one_user_within_the_defaults_does_not_take_a_small_machine(start_within):
    """The peak of the process is measured, with a user who takes whatever is given."""
    daemon = start_within(512 * MIB)
    clients = [daemon.connect() for _ in range(12)]
    for client in clients:
        client.send_query(f"SELECT zeroblob({30 * MIB})")
    # Nobody reads: what is refused is refused, and the rest stays.
    for _ in range(3):
        time.sleep(0.3)
        with daemon.connect() as other:
            other.call("health_check")
    with open(f"/proc/{daemon.pid}/status") as file:
        peak = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    assert 64 * MIB < peak < 256 * MIB, f"{peak / MIB:.0f} MiB"
