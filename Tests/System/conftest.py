"""The machine of the run, with the package installed; and its journal after a failure."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Documents")]

import load as load_module  # noqa: E402
from machine import LIBRARY, SCALE, SOCKET, Machine  # noqa: E402
from wire import Client  # noqa: E402

RESULTS = pathlib.Path(os.environ.get("LITEBASE_TEST_RESULTS", ".build/system-test"))
SNAPSHOT_IGNORES = re.compile(r"^/(proc|sys|dev|run|tmp|home|root)/|^/var/(log|cache|tmp)/|^/var/lib/(systemd|apt)/|"
                              r"^/usr/local/lib/litebase-test")


OUR_UNITS = ("litebase*.socket", "litebase*.service", "tested-*")


# What leaves something behind comes last: programs that the guides borrow, and then servers that are removed.
LAST = ["test_guides.py", "test_servers.py"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LAST.index(item.path.name) if item.path.name in LAST else -1)


@pytest.fixture(scope="session")
def untouched():
    """The machine before the package is installed."""
    leader, root = os.environ.get("LITEBASE_MACHINE_LEADER"), os.environ.get("LITEBASE_MACHINE_ROOT")
    if not leader or not root:
        pytest.exit("these tests need the machine that scripts/system-test.sh boots", 2)
    machine = Machine(int(leader), root)
    machine.deb = pathlib.Path(os.environ["LITEBASE_DEB"])
    machine.copy_in(machine.deb, "/root/litebase.deb")
    for file in (HERE / "inside").glob("*.py"):
        machine.copy_in(file, f"{LIBRARY}/{file.name}")
    machine.copy_in(HERE.parent / "Support" / "wire.py", f"{LIBRARY}/wire.py")
    machine.files_before = files(machine)
    return machine


@pytest.fixture(scope="session")
def installed(untouched):
    """The machine with the package, and with `member` in the group litebase."""
    untouched.install_output = install(untouched)
    untouched.run("usermod", "-aG", "litebase", "member")
    return untouched


@pytest.fixture
def machine(installed, request):
    """As after the installation: socket listening, service stopped, no drop-in, no configuration of a test."""
    restore(installed)
    installed.began = installed.cursor()
    yield installed
    restore(installed)


def restore(machine):
    try:
        machine.systemctl("stop", *OUR_UNITS, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        machine.systemctl("kill", "--signal=KILL", *OUR_UNITS, check=False)
        machine.systemctl("stop", *OUR_UNITS, check=False)
    for pattern in ("litebase*.d", "tested-*", "litebase-*"):
        for path in machine.path("/etc/systemd/system").glob(pattern):
            machine.remove(f"/etc/systemd/system/{path.name}")
    for path in machine.path("/etc/litebase/litebase.toml.d").glob("test-*.toml"):
        path.unlink()
    machine.systemctl("daemon-reload")
    machine.systemctl("reset-failed")
    machine.systemctl("start", "litebase.socket")


def install(machine, package="/root/litebase.deb"):
    """Installs by apt-get, as an administrator does; what it depends on is there already."""
    return machine.run("apt-get", "install", "-y", "-q", "--no-install-recommends", "--allow-downgrades", package,
                       environment=["DEBIAN_FRONTEND=noninteractive"], timeout=120).stdout


def files(machine):
    """Every file that could be left behind."""
    listing = machine.output("find", "/", "-xdev", "-printf", "%p\\n").splitlines()
    listing += machine.output("find", "/run", "-path", "*litebase*").splitlines()
    named = re.compile("litebase(?!-test)")
    return {path for path in listing if not SNAPSHOT_IGNORES.search(path)
            or named.search(path) and not path.startswith(("/home/", "/root/", "/var/cache/man/"))}


@pytest.fixture
def connect(machine):
    """Opens connections from outside; they are closed at the end."""
    clients = []

    def open_one(path=SOCKET, mode="msgpack", **options):
        clients.append(Client(machine.socket_path(path), mode, **options))
        return clients[-1]

    yield open_one
    for client in clients:
        client.close()


@pytest.fixture
def load(machine):
    """Load in a block: `with load() as running: …`, then `running.report`."""
    return lambda **options: load_module.load(machine, **options)


@pytest.fixture
def figures(request):
    """What a test measured, kept in RESULTS/figures.json and printed at the end."""
    return lambda **values: FIGURES.setdefault(request.node.name, {}).update(values)


FIGURES = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Leaves the journal of a failed test in RESULTS."""
    report = (yield).get_result()
    if report.failed and (machine := item.funcargs.get("machine") or item.funcargs.get("installed")):
        text = machine.output("journalctl", "--no-pager", "-o", "short-precise", "-b", check=False)
        path = RESULTS / f"journal-{re.sub(r'[^A-Za-z0-9_.-]', '_', item.name)}.txt"
        path.write_text("\n".join(text.splitlines()[-2000:]) + "\n")
        report.sections.append(("journal", f"{path}\n" + "\n".join(text.splitlines()[-25:])))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"seed {load_module.SEED} (LITEBASE_TEST_SEED), scale {SCALE}")
    for name, values in FIGURES.items():
        terminalreporter.write_line(f"{name}: {json.dumps(values)}")
    if RESULTS.is_dir():
        (RESULTS / "figures.json").write_text(json.dumps(FIGURES, indent=1) + "\n")
