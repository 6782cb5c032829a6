"""What fails around the daemon: disks, memory, descriptors, threads, the clock (docs/faults.md has the table).

In each test a bystander works on another database at the same time and must be served; afterwards everything works
again by itself, and what was acknowledged is there.
"""

import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from bystander import Bystander
from daemon import ENDLESS, LITEBASED, SANITIZER, counting, environment_for, tells_of_crash, wait_until
from strace import needs_tracer
from test_faults_files import make, numbers, try_code
from transfers import hello, opened, transfer, transfer_fails
from wire import ConnectionEnded, RequestFailed

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems in a namespace of its own: needs root")


class Mounted:
    """A daemon in a mount namespace of its own, whose database `files` is on a file system that the test ill-treats."""

    def __init__(self, start_daemon, directory, mount, mode="rw"):
        self.place = directory / "disk"
        self.place.mkdir()
        script = f"mount --make-rprivate / && {mount} && exec \"$0\" \"$@\""
        if subprocess.run(["unshare", "-m", "sh", "-c", f"mount --make-rprivate / && {mount}"],
                          capture_output=True).returncode != 0:
            pytest.skip("file systems cannot be mounted here")
        self.daemon = start_daemon(prefix=("unshare", "-m", "sh", "-c", script),
                                   databases={"files": f"sqlite:{self.place}/files.db?mode={mode}"})
        # As the daemon sees it.
        self.inside = pathlib.Path(f"/proc/{self.daemon.pid}/root{self.place}")
        self.client = self.daemon.connect()

    def run(self, *command):
        subprocess.run(["nsenter", "-t", str(self.daemon.pid), "-m", *map(str, command)], check=True,
                       capture_output=True)

    def fill(self, spared=0):
        """Leaves `spared` bytes free."""
        with open(self.inside / "filling", "wb", buffering=0) as file:
            while (free := free_bytes(self.inside)) > spared:
                try:
                    file.write(bytes(min(free - spared, 65536)))
                except OSError:
                    return

    def insert(self, row, byte_count=1000):
        self.client.query("INSERT INTO t VALUES (?, zeroblob(?))", [row, byte_count], database="files")
        return row

    def rows(self):
        return [row[0] for row in self.client.query("SELECT x FROM t ORDER BY x", database="files").rows]


def free_bytes(path):
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


@needs_root
def test_the_disk_is_full_at_a_write(start_daemon, directory):
    disk = Mounted(start_daemon, directory, f"mount -t tmpfs -o size=2m tmpfs {directory}/disk", mode="rwc")
    disk.client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, filling BLOB)", database="files")
    with Bystander(disk.daemon):
        done = [disk.insert(row) for row in range(10)]
        disk.fill()
        error = None
        for row in range(100, 200):
            try:
                done.append(disk.insert(row, 50_000))
            except RequestFailed as failure:
                error = failure.data
                break
        assert error and error["code"] == "database_error" and error["sqlstate"] == "53100", error
        assert "free some space" in error["hint"]
        assert disk.rows() == done, "reads go on"
        assert "53100" in disk.daemon.log()
        os.unlink(disk.inside / "filling")
        done.append(disk.insert(300, 50_000))
        assert disk.rows() == done
    disk.daemon.terminate(signal.SIGKILL)


@needs_root
def test_the_disk_is_full_at_a_restore(start_daemon, directory):
    """It is refused before it takes from others what room there is."""
    disk = Mounted(start_daemon, directory, f"mount -t tmpfs -o size=9m tmpfs {directory}/disk", mode="rwc")
    client = hello(disk.client)
    client.query("CREATE TABLE t(x, y)", database="files")
    for row in range(20):
        disk.insert(row, 100_000)
    with opened(directory / "backup") as descriptor:
        transfer(client, "backup", descriptor, database="files")
    disk.insert(20)
    disk.fill(spared=3 << 20)
    with opened(directory / "backup", os.O_RDONLY) as descriptor:
        error = transfer_fails(client, "restore", descriptor, database="files")
    assert error["sqlstate"] == "53100" and "are free there" in error["message"], error
    # Of a pipe nobody knows how much will come: when all of it is there, its log has no room.
    with subprocess.Popen(["cat", directory / "backup"], stdout=subprocess.PIPE) as cat:
        error = transfer_fails(client, "restore", cat.stdout.fileno(), database="files")
    assert error["sqlstate"] == "53100", error
    assert disk.rows() == list(range(21)) and disk.insert(21) == 21
    (disk.inside / "filling").unlink()
    with opened(directory / "backup", os.O_RDONLY) as descriptor:
        transfer(client, "restore", descriptor, database="files")
    assert disk.rows() == list(range(20))


@needs_root
def test_the_disk_is_full_at_a_checkpoint(start_daemon, directory):
    """The log has room, the file does not: commits are acknowledged and stay, and the checkpoint is made up for."""
    disk = Mounted(start_daemon, directory, f"mount -t tmpfs -o size=9m tmpfs {directory}/disk", mode="rwc")
    disk.client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, filling BLOB)", database="files")
    with Bystander(disk.daemon):
        done = []
        error = None
        for row in range(200):
            try:
                done.append(disk.insert(row, 100_000))
            except RequestFailed as failure:
                error = failure.data
                break
        assert error and error["sqlstate"] == "53100", error
        log, file = (os.path.getsize(disk.inside / name) for name in ("files.db-wal", "files.db"))
        assert log > 4_100_000, "the log grew beyond the size at which a checkpoint is due"
        assert file < len(done) * 100_000, "the checkpoint could not be completed"
        assert disk.rows() == done
        disk.run("mount", "-o", "remount,size=40m", disk.place)
        for row in range(300, 320):
            done.append(disk.insert(row, 100_000))
        assert disk.rows() == done
        wait_until(lambda: os.path.getsize(disk.inside / "files.db") > 4_000_000, "the checkpoint is made up for")
        assert disk.client.query("PRAGMA integrity_check", database="files").value == "ok"


@needs_root
def test_the_file_system_becomes_read_only(start_daemon, directory):
    """As after an error of the disk (ext4, errors=remount-ro), until it was checked and mounted again."""
    image = directory / "image"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is missing")
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mount = f"mount -o loop,errors=remount-ro {image} {directory}/disk"
    make(directory / "template.db", [])
    disk = Mounted(start_daemon, directory, f"{mount} && cp {directory}/template.db {directory}/disk/files.db")
    with Bystander(disk.daemon):
        done = [disk.insert(row) for row in range(10)]
        device = subprocess.run(["losetup", "-n", "-O", "NAME", "-j", image], capture_output=True,
                                text=True).stdout.split()
        trigger = pathlib.Path(f"/sys/fs/ext4/{os.path.basename(device[0])}/trigger_fs_error") if device else None
        if not trigger or not trigger.exists():
            pytest.skip("this kernel cannot be told that a disk has failed (trigger_fs_error)")
        trigger.write_text("1")
        for row in (100, 101):
            error = disk.client.query_fails("INSERT INTO t(x) VALUES (?)", [row], database="files")
            assert error["code"] in ("database_error", "read_only"), error
        assert disk.rows() == done, "reads go on"
        # What the administrator does; the daemon lets go of the files when they are not at their path any more.
        disk.run("umount", "-l", disk.place)
        error = wait_until(lambda: try_code(disk.client, "SELECT x FROM t", database="files"), "the loss is noticed")
        assert error["code"] == "connect_failed", error
        wait_until(lambda: subprocess.run(["losetup", "-n", "-j", image], capture_output=True).stdout == b"",
                   "the daemon has let go of the disk")
        assert subprocess.run(["e2fsck", "-fy", image], capture_output=True).returncode in (0, 1)
        disk.run("mount", "-o", "loop", image, disk.place)
        assert disk.rows() == done, "what was acknowledged is there"
        disk.insert(200)


@needs_root
def test_a_hole_in_a_file_is_mended_in_place(start_daemon, directory):
    """A page is overwritten and put back: a clear error in between, and no restart."""
    path = make(directory / "damaged.db", range(50), padding=3000)
    daemon = start_daemon(databases={"damaged": f"sqlite:{path}"})
    client = daemon.connect()
    whole = path.read_bytes()
    with Bystander(daemon):
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 4096)
        error = client.query_fails("SELECT count(*) FROM t", database="damaged")
        assert error["code"] == "database_error" and error["sqlstate"] == "XX001" and "restore" in error["hint"], error
        assert client.query_fails("INSERT INTO t(x) VALUES (1000)", database="damaged")["sqlstate"] == "XX001"
        assert "failed with database_error" in daemon.log()
        with open(path, "r+b") as file:
            file.write(whole)
        assert client.query("SELECT count(*) FROM t", database="damaged").value == 50
        client.query("INSERT INTO t(x) VALUES (1000)", database="damaged")


# Calls of SQLite that fail under a daemon at work


FAULTS = [("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EROFS"), ("fdatasync", "EIO"), ("pread64", "EIO"),
          ("ftruncate", "EIO"), ("openat", "EMFILE")]


@needs_tracer
@pytest.mark.parametrize(["call", "error"], FAULTS)
def test_calls_that_fail_lose_nothing_that_was_acknowledged(start_daemon, directory, call, error):
    """Every third call fails for a while, under four writers and a session. Acknowledged rows are there after a kill."""
    daemon = start_daemon(directory=directory)
    daemon.connect().query("CREATE TABLE t(x INTEGER PRIMARY KEY, filling BLOB)")
    acknowledged, refused, failures, stop = [], [], [], threading.Event()

    def write(worker):
        with daemon.connect() as client:
            number, session = worker * 1_000_000, None
            while not stop.is_set():
                number += 1
                try:
                    if worker == 0:
                        session = session or client.session()
                        for sql in ("BEGIN IMMEDIATE", f"INSERT INTO t VALUES ({number}, zeroblob(9000))", "COMMIT"):
                            client.query(sql, session=session)
                        acknowledged.append(number)
                        if call == "openat":
                            # The next one is opened, and with it the files of its database.
                            client.call("db_disconnect", {"session": session})
                            session = None
                    else:
                        client.query("INSERT INTO t VALUES (?, zeroblob(9000))", [number])
                        acknowledged.append(number)
                except RequestFailed as problem:
                    refused.append(problem.code)
                    if session:
                        client.call("db_disconnect", {"session": session})
                        session = None
                except (ConnectionEnded, OSError) as problem:
                    failures.append(problem)
                    return

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for writer in writers:
        writer.start()
    # A read that leaves its loop, as on a busy machine, may need a connection to the file that is not open yet.
    with Bystander(daemon, writes=False, refusals=("Too many open files.",) if call == "openat" else ()) as bystander:
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", directory / "trace", "-e", f"trace={call}", "-p", str(daemon.pid),
             "-e", f"inject={call}:error={error}:when=2+3"], stderr=subprocess.PIPE)
        time.sleep(1.0)
        # To open a file takes nine calls: with every third one failing, nobody gets one that is not open.
        if call != "openat":
            bystander.check()
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        count = len(acknowledged)
        wait_until(lambda: len(acknowledged) > count + 20, "writes succeed again")
        stop.set()
        for writer in writers:
            writer.join(20)
            assert not writer.is_alive(), "a writer hangs"
    assert not failures, failures[:3]
    trace = (directory / "trace").read_text()
    assert "(INJECTED)" in trace or call in ("ftruncate", "pread64"), "no call failed"
    assert daemon.terminate(signal.SIGKILL) == -signal.SIGKILL
    assert not tells_of_crash(daemon.log()), daemon.log()[-3000:]
    path = next(directory.rglob("default.db"))
    lost = set(acknowledged) - set(numbers(path))
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged rows are lost"
    again = start_daemon(directory=directory)
    assert again.connect().query("SELECT count(*) FROM t").value >= len(acknowledged)


# Limits of the process


def limit(daemon, which, value):
    """Sets a limit of the running daemon; returns the former one."""
    former = resource.prlimit(daemon.pid, which)
    resource.prlimit(daemon.pid, which, (value, former[1]))
    return lambda: resource.prlimit(daemon.pid, which, former)


def test_descriptors_run_out_while_it_runs(start_daemon, directory):
    daemon = start_daemon(databases={"other": f"sqlite:{directory}/other.db"})
    with Bystander(daemon):
        open_now = [int(name) for name in os.listdir(f"/proc/{daemon.pid}/fd")]
        restore = limit(daemon, resource.RLIMIT_NOFILE, max(open_now) + 1)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        for connection in waiting:
            connection.connect(daemon.socket_path)
        wait_until(lambda: "Cannot accept connections" in daemon.log(), "the failure is told")
        time.sleep(0.5)
        assert daemon.log().count("Cannot accept connections") <= 2, "and not again and again"
        restore()
        for connection in waiting:
            connection.settimeout(10)
            connection.sendall(b'{"id":1,"type":"health_check"}\n')
        assert all(b"healthy" in connection.recv(1000) for connection in waiting), "who waited is served"
        for connection in waiting:
            connection.close()
        assert daemon.connect().query("SELECT 1", database="other").value == 1


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer's own malloc ends the program where the system has no more")
def test_memory_runs_out_in_a_statement(start_daemon):
    """SQLite gets no more memory: an error, and it goes on. (Swift's own allocations end the process: docs/faults.md.)"""
    daemon = start_daemon()
    client = daemon.connect()
    client.query("SELECT 1")
    with Bystander(daemon):
        client.query("SELECT length(zeroblob(1000000) || 'x')")  # the worker's thread and its memory are there
        size = int(pathlib.Path(f"/proc/{daemon.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        restore = limit(daemon, resource.RLIMIT_AS, size + (40 << 20))
        for _ in range(3):
            error = client.query_fails("SELECT length(replace(hex(zeroblob(30000000)), '0', 'x'))")
            assert error["code"] == "database_error" and error["sqlstate"] == "53200", error
            assert "memory" in error["message"].lower()
            assert client.query("SELECT 7").value == 7
        restore()
        assert client.query("SELECT length(replace(hex(zeroblob(30000000)), '0', 'x'))").value == 60_000_000


@needs_root
@pytest.mark.skipif(SANITIZER is not None, reason="its rows take longer than a loop may spend on them")
def test_threads_cannot_be_made(start_daemon, directory):
    """The limit of threads of a user (TasksMax, ulimit -u): whoever is there does the work."""
    environment_for(directory)  # makes the directories in it
    for path in [directory, *directory.rglob("*")]:
        os.chown(path, 54321, 54321)
    prefix = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
    if subprocess.run([*prefix, "test", "-x", LITEBASED]).returncode != 0:
        pytest.skip("an ordinary user cannot run the daemon where it lies")
    daemon = start_daemon(directory=directory, prefix=prefix)
    client = daemon.connect()
    # Connections are taken before all of the daemon's own threads are there.
    client.settle()
    # As that user, who may lower the limit and raise it again.
    def threads_max(count):
        subprocess.run([*prefix, "prlimit", f"--pid={daemon.pid}", f"--nproc={count}:"], check=True)

    def served(sql, **options):
        """The reply. On a busy machine a statement takes longer than a loop may spend on it: it did nothing, and may be tried again."""
        def attempt():
            try:
                return client.query(sql, **options)
            except RequestFailed as failure:
                assert failure.code == "limit_exceeded" and "No thread" in failure.data["message"] and failure.data["retryable"], failure
                return None

        return wait_until(attempt, f"{sql[:60]} is served without a thread of its own", timeout=30)

    former = resource.getrlimit(resource.RLIMIT_NPROC)[1]  # which the daemon has inherited
    threads_max(len(os.listdir(f"/proc/{daemon.pid}/task")))
    with Bystander(daemon):
        served("CREATE TABLE t(x)")
        session = client.session()
        served("INSERT INTO t VALUES (1)", session=session)
        assert len(served(counting(3_000)).rows) == 3_000
        # A long result is made between others' turns; a long step would occupy the loop.
        assert len(served(counting(300_000)).rows) == 300_000
        for sql in (ENDLESS, f"INSERT INTO t {ENDLESS}"):
            error = client.query_fails(sql)
            assert error["code"] == "limit_exceeded" and "No thread" in error["message"], error
        assert served("SELECT count(*) FROM t").value == 1
        assert "litebase-worker" not in threads_of(daemon), "no thread could be made"
        threads_max("unlimited" if former == resource.RLIM_INFINITY else former)
        client.query("INSERT INTO t VALUES (2)")
        assert len(client.query(counting(300_000)).rows) == 300_000
        assert "litebase-worker" in threads_of(daemon)
    assert client.query("SELECT count(*) FROM t").value == 2


def threads_of(daemon):
    return {path.read_text().strip() for path in pathlib.Path(f"/proc/{daemon.pid}/task").glob("*/comm")}


CLOCK = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
/* The wall clock leaps by years, another way at every look; the monotonic one does not. */
static long leap(void) { static __thread unsigned look; return (++look % 3 - 1L) * 90000000L; }
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += leap();
    return result;
}
int gettimeofday(struct timeval *time, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec; time->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
"""


def test_the_clock_leaps(start_daemon, directory):
    """Nothing but time stamps goes by the wall clock: timeouts, patience and waiting take as long as they should."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (directory / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", directory / "clock.so", directory / "clock.c"], check=True)
    (directory / "litebase.toml").write_text("[limits]\nidle_transaction_ms_max = 600\nbusy_time_ms_max = 400\n")
    daemon = start_daemon("--config", directory / "litebase.toml", environment={"LD_PRELOAD": directory / "clock.so"})
    client = daemon.connect()
    stamps = {str(client.call("health_check").timestamp)[:30] for _ in range(3)}
    assert len(stamps) > 1, "the clock leaps"
    with Bystander(daemon, writes=False):
        client.query("CREATE TABLE t(x)")
        start = time.monotonic()
        assert client.query_fails(ENDLESS, timeout_ms=300)["code"] == "timeout"
        assert 0.25 < time.monotonic() - start < 2
        with daemon.connect() as holder:
            session = holder.session()
            holder.query("BEGIN IMMEDIATE", session=session)
            start = time.monotonic()
            assert client.query_fails("INSERT INTO t VALUES (1)")["code"] == "busy"
            assert 0.3 < time.monotonic() - start < 2
            wait_until(lambda: try_code(holder, "SELECT 1", session=session) if time.monotonic() - start > 1.5 else None,
                       "the idle transaction ends")
        # The workers' threads wait with a deadline, too.
        client.query("INSERT INTO t VALUES (1)")
        assert len(client.query(counting(100_000)).rows) == 100_000
