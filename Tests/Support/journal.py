"""A datagram socket in the place of the journal's, in a mount namespace of the daemon's own: its entries as systemd-journald would get
them; sd_journal_sendv(3), https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from daemon import ROOT

ERROR, NOTICE, INFO, DEBUG = "3", "5", "6", "7"
CATALOG = ROOT / "systemd/litebase.catalog"
MESSAGE_IDS = dict(re.findall(r"^# (\w+)\n-- ([0-9a-f]{32})$", CATALOG.read_text(), re.MULTILINE))
MARKER = "hunter2-Zk9"
# A configuration that logs slow statements.
SLOW = "[log]\nslow_statement_ms = {}\nstatement_bytes_max = {}\n"

IN_NAMESPACE = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal || exit 99
JOURNAL_STREAM=$(stat -Lc %d:%i /dev/fd/2) exec "$@"
"""

needs_namespace = pytest.mark.skipif(
    os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0,
    reason="a socket in the journal's place needs root and mount namespaces")


class Journal:
    """The entries that arrive; `prefix` starts a program that sends them here."""

    def __init__(self, directory):
        folder = directory / "journal"
        folder.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(str(folder / "socket"))
        self.prefix = ("unshare", "-m", "--propagation", "private", "sh", "-c", IN_NAMESPACE, str(folder))
        self.received = []
        self.raw = b""
        self.changed = threading.Condition()
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        # Reads all the time, as the journal does: a sender must not be kept waiting.
        while datagram := self.socket.recv(1 << 20):
            with self.changed:
                self.raw += datagram
                self.received.append(parsed(datagram))
                self.changed.notify_all()

    def entries(self, name=None):
        """Those that have arrived, all or of one kind."""
        with self.changed:
            return [entry for entry in self.received if name is None or entry.get("MESSAGE_ID") == MESSAGE_IDS[name]]

    def wait(self, name=None, count=1, timeout=10, **fields):
        """Waits for entries of one kind with these fields."""
        deadline = time.monotonic() + timeout
        while True:
            found = [entry for entry in self.entries(name) if fields.items() <= entry.items()]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"no {name} with {fields} among {self.entries()[-20:]}"
            with self.changed:
                self.changed.wait(0.1)


def parsed(datagram):
    """One entry of the native protocol, whose fields here come once each."""
    fields, rest = {}, datagram
    while rest:
        head, _, rest = rest.partition(b"\n")
        if b"=" in head:
            name, _, value = head.partition(b"=")
        else:
            name, count = head, struct.unpack("<Q", rest[:8])[0]
            value, rest = rest[8:8 + count], rest[9 + count:]
        assert name.decode() not in fields, f"{name} comes twice: {datagram}"
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journal(directory):
    return Journal(directory)


@pytest.fixture
def started(start_daemon, directory, journal):
    """Starts a daemon that logs to the journal, with the text of its configuration."""
    def start(text="", *flags, log_level="info", **options):
        (directory / "litebase.toml").write_text(text)
        return start_daemon("--config", directory / "litebase.toml", *flags, directory=directory, prefix=journal.prefix,
                            log_level=log_level, **options)
    return start
