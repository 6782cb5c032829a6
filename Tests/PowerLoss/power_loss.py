#!/usr/bin/env python3
"""Cuts the power under a daemon that writes, again and again, and looks at what the disk has kept.

    power_loss.py [--rounds N] [--seed N] [--must-lose disk|daemon] [--keep DIRECTORY]

Needs root, /dev/fuse and loop devices. LITEBASED names the daemon. See README.md.
"""

import argparse
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DISK_MEBIBYTES = 192
WRITERS = 24
# Rounds on one database; then there is a new one, so that its first rows and its tables are cut too.
ROUNDS_OF_DATABASE = 8
# Rows after which a writer slows down, so that the disk does not fill up where nothing is synced.
ROWS_OF_WRITER = 2_000
# The exit status when something is missing on this machine (automake's, meson's "skipped").
SKIPPED = 77


class Lost(Exception):
    """The disk has not kept what it must."""


def run(*command, **options):
    result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, check=False, **options)
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {result.returncode}: {result.stdout}")
    return result.stdout.strip()


def die_with_parent():
    """In the child: SIGKILL when this program ends, whatever ends it; prctl(2)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.005)


def missing():
    """What this machine lacks for the test; None if nothing."""
    if os.getuid() != 0:
        return "it needs root, for loop devices and mounts"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(device):
            return f"there is no {device}"
    try:
        run("losetup", "--find")
    except (RuntimeError, FileNotFoundError) as problem:
        return f"there is no free loop device ({problem})"
    return None


def leave_mounts_to_us():
    """A mount namespace of our own: whatever ends this program, its mounts are gone, and with them its loop devices."""
    new_namespace, private, recursive = 0x20000, 1 << 18, 1 << 14
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_namespace) or libc.mount(b"none", b"/", None, private | recursive, None):
        raise OSError(ctypes.get_errno(), "no mount namespace")


def mount_image(image, place, is_new=False):
    """The image as a block device, and its file system at `place`: what the journal has is played back."""
    device = run("losetup", "--find", "--show", image)
    try:
        # Default options, but for discarding: a new disk holds nothing.
        if is_new:
            run("mkfs.ext4", "-q", "-E", "nodiscard", device)
        run("mount", "-t", "ext4", device, place)
    finally:
        # Gone with the mount.
        run("losetup", "--detach", device)


class Disk:
    """The disk with the power switch, and the file system on it."""

    def __init__(self, directory, program):
        self.handle, self.place = directory / "disk", directory / "world"
        self.handle.mkdir()
        self.place.mkdir()
        self.log = open(directory / "disk.log", "wb")
        self.process = subprocess.Popen([program, str(DISK_MEBIBYTES), self.handle], stderr=self.log,
                                        preexec_fn=die_with_parent)
        image = self.handle / "disk.img"
        wait_until(image.exists, "the disk is there")
        mount_image(image, self.place, is_new=True)

    def command(self, line):
        descriptor = os.open(self.handle / "control", os.O_WRONLY)
        try:
            os.write(descriptor, line.encode() + b"\n")
        finally:
            os.close(descriptor)

    def close(self):
        subprocess.run(["umount", str(self.place)], check=False)
        subprocess.run(["umount", str(self.handle)], check=False)
        self.process.kill()
        self.process.wait()
        self.log.close()


class Daemon:
    def __init__(self, directory, database, preload=None):
        self.socket_path = str(directory / "litebase.sock")
        self.log_path = directory / "litebased.log"
        program = os.environ.get("LITEBASED") or str(ROOT / ".build/release/litebased")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program, "--listen=standalone", f"--socket={self.socket_path}", f"--database=default=sqlite:{database}",
                 "--log-level=warning"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
                env={"PATH": os.environ["PATH"], "HOME": str(directory), "XDG_STATE_HOME": str(directory),
                     **({"LD_PRELOAD": str(preload)} if preload else {})})
        wait_until(self.accepts, "the daemon accepts connections")

    def accepts(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the daemon ended: {self.log_path.read_text()}")
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(self.socket_path)
        return connection

    def kill(self):
        self.process.kill()
        self.process.wait()


class Client:
    """JSON lines, one request at a time."""

    def __init__(self, daemon):
        self.connection = daemon.connect()
        self.lines = self.connection.makefile("rwb")

    def query(self, sql, params=()):
        request = {"id": 1, "type": "query", "data": {"sql": sql, "params": list(params)}}
        self.lines.write(json.dumps(request).encode() + b"\n")
        self.lines.flush()
        rows = []
        while True:
            line = self.lines.readline()
            if not line.endswith(b"\n"):
                raise OSError("closed")
            reply = json.loads(line)
            if reply["type"] == "error":
                raise RuntimeError(f"{sql}: {reply['data']}")
            rows += reply["data"]["rows"]
            if not reply["data"]["more"]:
                return rows

    def close(self):
        self.lines.close()
        self.connection.close()


def text_of(number):
    """What a row says besides its number: rows of different lengths, each of which proves itself."""
    return f"{number}:" + "x" * (number * 7919 % 700)


class Writer(threading.Thread):
    """Inserts rows that nobody else inserts, one at a time, and notes what was acknowledged."""

    def __init__(self, daemon, number):
        super().__init__(daemon=True)
        self.client, self.number = Client(daemon), number
        self.acknowledged = []
        self.last = None
        self.is_over = False
        self.problem = None

    def run(self):
        serial = 0
        try:
            while not self.is_over:
                serial += 1
                self.last = self.number * 10_000_000 + serial
                self.client.query("INSERT INTO t VALUES (?, ?)", [self.last, text_of(self.last)])
                self.acknowledged.append(self.last)
                if serial > ROWS_OF_WRITER:
                    time.sleep(0.02)
        except OSError:
            pass  # the daemon was killed at the end of its database
        except BaseException as problem:
            self.problem = problem
        finally:
            self.client.close()


class World:
    """A daemon with a new database, and its writers."""

    def __init__(self, directory, disk, serial, preload):
        self.name = f"world{serial}"
        (disk.place / self.name).mkdir()
        # The administrator's own doing, not the daemon's.
        os.sync()
        self.daemon = Daemon(directory, disk.place / self.name / "data.db", preload)
        client = Client(self.daemon)
        # Small values all over the index, so that pages of the file are written again and again.
        client.query("CREATE TABLE t(number INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        client.query("CREATE INDEX by_text ON t(text)")
        client.close()
        self.writers = [Writer(self.daemon, number) for number in range(1, WRITERS + 1)]
        for writer in self.writers:
            writer.start()

    def acknowledged(self):
        return [number for writer in self.writers for number in list(writer.acknowledged)]

    def sent(self):
        return {number for writer in self.writers for number in [*list(writer.acknowledged), writer.last] if number}

    def close(self):
        for writer in self.writers:
            writer.is_over = True
        for writer in self.writers:
            writer.join(60)
            if writer.problem or writer.is_alive():
                raise RuntimeError(f"a writer failed: {writer.problem!r}\n{self.daemon.log_path.read_text()}")
        self.daemon.kill()


def inspect(directory, image, name, acknowledged, sent):
    """Opens what is left after a cut, as after a boot: file system, database, rows."""
    place = directory / "after"
    place.mkdir(exist_ok=True)
    mount_image(image, place)
    try:
        path = place / name / "data.db"
        if not path.exists():
            raise Lost("the database is gone")
        daemon = Daemon(directory / "second", path)
        try:
            client = Client(daemon)
            try:
                check = client.query("PRAGMA integrity_check")
                rows = client.query("SELECT number, text FROM t ORDER BY number")
            except RuntimeError as problem:
                raise Lost(str(problem)) from None
            client.close()
        finally:
            daemon.kill()
        with sqlite3.connect(path) as database:
            again = [list(row) for row in database.execute("SELECT number, text FROM t NOT INDEXED ORDER BY number")]
        database.close()
    finally:
        run("umount", place)
    # Only a clean file system passes; -n changes nothing.
    run("e2fsck", "-f", "-n", image)
    if check != [["ok"]]:
        raise Lost(f"integrity_check: {str(check)[:200]}")
    numbers = [row[0] for row in rows]
    there = set(numbers)
    if len(there) != len(numbers):
        raise Lost("a row is there twice")
    if rows != again:
        raise Lost("the daemon and sqlite3 do not see the same rows")
    if any(text != text_of(number) for number, text in rows):
        raise Lost("a row has another's content")
    if there - sent:
        raise Lost(f"{len(there - sent)} rows are there that nobody sent")
    gone = set(acknowledged) - there
    if gone:
        raise Lost(f"{len(gone)} of {len(acknowledged)} acknowledged rows are gone")
    return len(there) - len(acknowledged)


def cut(disk, world, rng, image, must_lose):
    """Cuts the power, in most rounds between two writes of what will be flushed together.

    Returns what had been acknowledged before, and what had been sent by then.
    """
    acknowledged = world.acknowledged()
    sector = rng.choice([512, 4096])
    # A disk that lies and keeps everything all the same loses nothing.
    percent = rng.choice([0, 20, 50, 80] if must_lose else [0, 20, 50, 80, 100])
    # Without syncs, hardly anything is written to the disk that could be waited for.
    writes = 0 if must_lose == "daemon" else rng.choice([0, rng.randrange(1, 40), rng.randrange(1, 400)])
    disk.command(f"cut {rng.getrandbits(63)} {sector} {percent} {writes} {image}")
    wait_until(image.exists, "the image of the disk", 60)
    return acknowledged, world.sent()


def build(directory):
    fuse = run("pkg-config", "--cflags", "--libs", "fuse3").split()
    run("cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", HERE / "volatile_disk.c", "-o",
        directory / "volatile_disk", *fuse)
    run("cc", "-shared", "-fPIC", "-O2", HERE / "void_fsync.c", "-o", directory / "void_fsync.so")


def play(options, directory):
    rng = random.Random(options.seed)
    (directory / "second").mkdir()
    build(directory)
    disk = Disk(directory, directory / "volatile_disk")
    preload = directory / "void_fsync.so" if options.must_lose == "daemon" else None
    lost, acknowledged_count, later_count, world = [], 0, 0, None
    try:
        for number in range(options.rounds):
            if number % ROUNDS_OF_DATABASE == 0:
                if world:
                    world.close()
                    shutil.rmtree(disk.place / world.name)
                world = World(directory, disk, number, preload)
                if options.must_lose:
                    # What is to be lost is rows, not the database.
                    os.sync()
                if options.must_lose == "disk":
                    disk.command("lie")
            time.sleep(rng.random() ** 2 * 0.6)
            image = directory / f"cut{number}.img"
            acknowledged, sent = cut(disk, world, rng, image, options.must_lose)
            acknowledged_count += len(acknowledged)
            try:
                later_count += inspect(directory, image, world.name, acknowledged, sent)
            except (Lost, RuntimeError, OSError) as problem:
                # A file system that cannot be read is a loss as well.
                lost.append(f"round {number}: {problem}")
                if not options.must_lose:
                    print(lost[-1], flush=True)
                    if options.keep:
                        shutil.copy(image, options.keep)
            image.unlink()
        world.close()
    finally:
        if world:
            world.daemon.kill()
        disk.close()
    unflushed = [int(line.split("; ")[1].split()[0])
                 for line in (directory / "disk.log").read_text().splitlines() if line.startswith("cut:")]
    print(f"{options.rounds} cuts, {sum(map(bool, unflushed))} of them with writes that were not flushed, "
          f"{sum(unflushed) // len(unflushed)} sectors on average: {acknowledged_count} acknowledged rows looked for, "
          f"{later_count} more found that were under way; {len(lost)} cuts lost something")
    return lost


def main():
    parser = argparse.ArgumentParser(description="Cuts the power under a daemon that writes.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--must-lose", choices=["disk", "daemon"],
                        help="the disk ignores flushes, or the daemon does not sync: acknowledged rows have to be lost")
    parser.add_argument("--keep", type=pathlib.Path, help="where images of rounds that lost something are kept")
    options = parser.parse_args()
    lack = missing()
    if lack:
        print(f"skipped: {lack}")
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    leave_mounts_to_us()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lb-power-", dir="/tmp"))
    try:
        lost = play(options, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if options.must_lose:
        print("\n".join(lost[:5]))
        return 0 if lost else "nothing was lost, so that this test would not notice"
    return "acknowledged rows were lost" if lost else 0


if __name__ == "__main__":
    sys.exit(main())
