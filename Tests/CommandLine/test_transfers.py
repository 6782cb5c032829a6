"""`litebase export`, `litebase backup` and `litebase restore`, as people and systemd run them."""

import fcntl
import os
import pty
import signal
import sqlite3
import stat
import subprocess
import time

import pytest

from daemon import LITEBASE, Daemon, counting, wait_until
from directories import directory  # noqa: F401


@pytest.fixture
def start_daemon(directory):  # noqa: F811
    started = []

    def start(**options):
        started.append(Daemon(**options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.finish()
        daemon.discard()


@pytest.fixture
def served(start_daemon, directory):  # noqa: F811
    daemon = start_daemon(directory=directory, databases={"music": f"sqlite:{directory}/music.db", "memory": "sqlite::memory:"})
    with daemon.connect() as client:
        client.query("CREATE TABLE song(id INTEGER PRIMARY KEY, title)", database="music")
        client.query("INSERT INTO song(title) VALUES ('a'), (NULL), ('c, d')", database="music")
        client.query('CREATE TABLE "odd ""name"(x)', database="music")
    return daemon


def run(daemon, *arguments, status=0, text=True, **options):
    result = subprocess.run([LITEBASE, *arguments[:1], "--socket", daemon.socket_path, *arguments[1:]], capture_output=True, text=text,
                            timeout=60, **options)
    assert result.returncode == status, (result.returncode, result.stderr, result.stdout)
    return result


def test_export_to_standard_output(served):
    expected = b"id,title\r\n1,a\r\n2,\r\n3,\"c, d\"\r\n"
    assert run(served, "export", "-d", "music", "--table", "song", text=False).stdout == expected
    assert run(served, "export", "-d", "music", "SELECT * FROM song", text=False).stdout == expected
    # What is no pipe: through one of litebase's own.
    devnull = run(served, "export", "-d", "music", "SELECT 1", "-o", "-", text=False)
    assert devnull.stdout == b"1\r\n1\r\n"
    parameters = run(served, "export", "-d", "music", "--format", "jsonl", "SELECT ? AS a, ? AS b", "7", "x", text=False)
    assert parameters.stdout == b'{"a":7,"b":"x"}\n'
    assert run(served, "export", "-d", "music", "--table", 'odd "name', "--no-header", text=False).stdout == b""


def test_what_is_no_file_is_written_into_and_stays(served, directory):  # noqa: F811
    """A device of the machine must not become a file, whoever runs it (root may replace /dev/null)."""
    null = directory / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    pipe = directory / "pipe"
    os.mkfifo(pipe)
    link = directory / "link"
    link.symlink_to(null)
    for path in (null, link):
        for force in ([], ["--force"]):
            run(served, "export", "-d", "music", "--table", "song", "-o", path, *force)
            assert stat.S_ISCHR(null.stat().st_mode) and link.is_symlink()
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run(served, "export", "-d", "music", "--table", "song", "-o", pipe, "--force")
    assert os.read(reader, 1000).count(b"\r\n") == 4 and stat.S_ISFIFO(pipe.stat().st_mode)
    os.chown(pipe, 54321, 54321)
    assert "54321" in run(served, "export", "SELECT 1", "-o", pipe, status=64).stderr, "somebody else would read it"
    assert os.read(reader, 1) == b""
    run(served, "export", "SELECT 1", "-o", pipe, "--force")
    os.close(reader)
    link.unlink()
    link.symlink_to(directory / "nowhere")
    assert "no file that could be replaced" in run(served, "export", "SELECT 1", "-o", link, "--force", status=64).stderr
    for command in (["backup", "-d", "music", null], ["backup", "-d", "music", directory], ["export", "SELECT 1", "-o", directory]):
        assert "no file that could be replaced" in run(served, *command, "--force", status=64).stderr
    assert sorted(name for name in os.listdir(directory) if "partial" in name) == []


def test_a_link_to_a_file_stays(served, directory):  # noqa: F811
    path, link = directory / "real.csv", directory / "link.csv"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to("real.csv")
    run(served, "export", "-d", "music", "SELECT 1 AS a", "-o", link, "--force")
    assert link.is_symlink() and path.read_bytes() == b"a\r\n1\r\n"
    assert path.stat().st_mode & 0o777 == 0o640, "who could read the former one may read this one"
    os.chown(path, -1, 54321)
    run(served, "export", "-d", "music", "SELECT 1 AS a", "-o", link, "--force")
    assert (path.stat().st_gid, path.stat().st_mode & 0o777) == (54321, 0o640)
    os.chown(path, 54321, 54321)
    run(served, "export", "-d", "music", "SELECT 1 AS a", "-o", link, "--force")
    assert path.stat().st_mode & 0o777 == 0o600, "somebody else's file does not say who may read ours"


def test_a_partial_file_of_somebody_else_is_not_used(served, directory):  # noqa: F811
    path, partial = directory / "x.csv", directory / "x.csv.partial"
    partial.write_text("left by a run that was killed")
    run(served, "export", "SELECT 1 AS a", "-o", path)
    assert path.read_bytes() == b"a\r\n1\r\n"
    partial.write_text("theirs")
    os.chown(partial, 54321, 54321)
    assert "no file of yours" in run(served, "export", "SELECT 1", "-o", path, "--force", status=74).stderr
    assert partial.read_text() == "theirs"
    os.chown(partial, os.geteuid(), os.getegid())
    with open(partial) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another litebase" in run(served, "export", "SELECT 1", "-o", path, "--force", status=74).stderr
    assert partial.read_text() == "theirs" and path.read_bytes() == b"a\r\n1\r\n"


def test_export_into_a_file(served, directory):  # noqa: F811
    path = directory / "song.csv"
    run(served, "export", "-d", "music", "--table", "song", "-o", path)
    assert path.read_bytes().count(b"\r\n") == 4
    assert "--force" in run(served, "export", "-d", "music", "SELECT 1", "-o", path, status=64).stderr
    run(served, "export", "-d", "music", "SELECT 1", "-o", path, "--force", "--no-header")
    assert path.read_bytes() == b"1\r\n"
    failed = run(served, "export", "-d", "music", "SELECT nonsense", "-o", directory / "failed.csv", status=1)
    assert "nonsense" in failed.stderr
    assert [name for name in os.listdir(directory) if "failed" in name or "partial" in name] == []


def test_a_file_in_memory(served):
    """The daemon does not write into it: its memory would be the daemon's."""
    path = f"/dev/shm/litebase-test-{os.getpid()}"
    try:
        run(served, "export", "-d", "music", "--table", "song", "-o", path)
        with open(path, "rb") as file:
            assert file.read().count(b"\r\n") == 4
    finally:
        os.unlink(path)


def test_a_disk_that_is_full(served):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([LITEBASE, "export", "--socket", served.socket_path, "-d", "music", counting(100_000)],
                                stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    # EX_IOERR of sysexits(3).
    assert result.returncode == 74 and "No space left" in result.stderr, result


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system in a namespace of its own: needs root")
@pytest.mark.parametrize("ending", ["csv", "jsonl", "arrow", "sql", "xlsx", "backup", "backup --all"])
def test_a_file_system_that_is_full(start_daemon, directory, ending):  # noqa: F811
    """What cannot be written is no wrong argument; one line says it, and no part of the file is left."""
    with sqlite3.connect(directory / "large.db") as made:
        made.execute("CREATE TABLE t AS " + counting(20_000, "x, hex(randomblob(50)) AS a"))
    made.close()
    daemon = start_daemon(directory=directory, databases={"large": f"sqlite:{directory}/large.db"})
    full = directory / "full"
    full.mkdir()
    arguments = {"backup": ["backup", "-d", "large", f"{full}/copy.db"], "backup --all": ["backup", "--all", str(full)]}.get(
        ending, ["export", "-d", "large", "--table", "t", "-o", f"{full}/t.{ending}"])
    script = 'mount --make-rprivate / && mount -t tmpfs -o size=256k tmpfs "$1" || exit 99; shift; "$@"; status=$?; ls "$(dirname "$0")/full"; exit $status'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, str(directory / "0"), str(full), LITEBASE, arguments[0], "--socket", daemon.socket_path, *arguments[1:]],
                          capture_output=True, text=True, timeout=60)
    if done.returncode == 99:
        pytest.skip("file systems cannot be mounted here")
    assert done.returncode == 74, done
    assert "ERROR" not in done.stderr and all(line.startswith("litebase: ") for line in done.stderr.splitlines()), done
    assert "large" not in done.stdout and "t." not in done.stdout and "copy" not in done.stdout, done


@pytest.mark.parametrize("where", ["file", "standard output"])
def test_backup(served, directory, where):  # noqa: F811
    path = directory / "copy.db"
    if where == "file":
        run(served, "backup", "-d", "music", path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert "--force" in run(served, "backup", "-d", "music", path, status=64).stderr
        run(served, "backup", "-d", "music", path, "--force")
    else:
        path.write_bytes(run(served, "backup", "-d", "music", "-", text=False).stdout)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM song").fetchall() == [(3,)]
    assert "partial" not in " ".join(os.listdir(directory))


def test_restore(served, directory):  # noqa: F811
    def songs():
        return run(served, "query", "-d", "music", "--format", "csv", "SELECT count(*) FROM song").stdout.split()[-1]

    path = directory / "copy.db"
    run(served, "backup", "-d", "music", path)
    run(served, "query", "-d", "music", "DELETE FROM song")
    assert songs() == "0"
    # Without a terminal nobody is asked, and there is no progress.
    result = run(served, "restore", "music", path, stdin=subprocess.DEVNULL)
    assert songs() == "3" and result.stdout.startswith("music restored, ") and result.stderr == ""
    run(served, "query", "-d", "music", "DELETE FROM song")
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        run(served, "restore", "music", "-", "--yes", stdin=cat.stdout)
    assert songs() == "3"
    run(served, "query", "-d", "music", "DELETE FROM song")
    (directory / "cut.db").write_bytes(path.read_bytes()[:-1])
    error = run(served, "restore", "music", directory / "cut.db", "--yes", status=1).stderr
    assert "cut off" in error and songs() == "0"
    assert "cannot be read" in run(served, "restore", "music", directory / "none.db", status=66).stderr
    assert "could be restored" in run(served, "restore", "memory", path, "--yes", status=1).stderr
    run(served, "restore", "music", status=64)


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_restore_asks_at_a_terminal(served, directory, answer):  # noqa: F811
    path = directory / "copy.db"
    run(served, "backup", "-d", "music", path)
    run(served, "query", "-d", "music", "DELETE FROM song")
    process, terminal = pty.fork()
    if process == 0:
        os.execv(LITEBASE, ["litebase", "restore", "--socket", served.socket_path, "music", str(path)])
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(terminal, 1000)
    assert b"music" in shown and b"copy.db" in shown
    os.write(terminal, f"{answer}\n".encode())
    try:
        while more := os.read(terminal, 1000):
            shown += more
    except OSError:
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    count = run(served, "query", "-d", "music", "--format", "csv", "SELECT count(*) FROM song").stdout.split()[-1]
    if answer == "y":
        assert (status, count) == (0, "3"), shown
    else:
        assert (status, count) == (64, "0") and b"nothing was changed" in shown, shown


def test_backup_of_none(served, directory):  # noqa: F811
    error = run(served, "backup", "-d", "nothing", directory / "x", status=1).stderr
    assert "nothing" in error and os.listdir(directory / ".") and not (directory / "x").exists()
    run(served, "backup", status=64)
    run(served, "backup", "--all", directory, "-d", "music", status=64)


def test_backup_of_all(served, directory):  # noqa: F811
    target = directory / "backups"
    target.mkdir()
    for number in range(5):
        (target / f"music-2020010{number}T000000Z.db").write_bytes(b"old")
    (target / "music-notes.db").write_bytes(b"not a copy")
    (target / "music-2-20200101T000000Z.db").write_bytes(b"of another database")
    # One that was never used has no file, and nothing is made of it.
    never = run(served, "backup", "--all", target, "--keep", "7")
    assert never.stderr == "" and not any(name.startswith("default") for name in os.listdir(target))
    for name in os.listdir(target):
        if name.startswith("music-20") and not name.startswith("music-2020"):
            (target / name).unlink()
    with served.connect() as client:
        client.query("CREATE TABLE used(x)")
    result = run(served, "backup", "--all", target, "--keep", "3")
    assert result.stderr == ""
    names = sorted(os.listdir(target))
    copies = [name for name in names if name.startswith("music-20")]
    assert copies[:2] == ["music-20200103T000000Z.db", "music-20200104T000000Z.db"] and len(copies) == 3
    assert {"music-notes.db", "music-2-20200101T000000Z.db"} <= set(names)
    assert [name.split("-")[0] for name in names if name.startswith("default")] == ["default"]
    assert not any(name.startswith("memory") for name in names)
    assert sqlite3.connect(target / copies[2]).execute("SELECT count(*) FROM song").fetchall() == [(3,)]


def next_second():
    """Waits until copies have other names."""
    time.sleep(1.1)


def test_a_copy_that_was_just_made_is_kept(served, directory):  # noqa: F811
    """Whatever names are there: a clock that was ahead once has made later ones, which stay, are not counted, and are said."""
    target = directory / "backups"
    target.mkdir()
    later = ["music-20990101T000000Z.db", "music-20990102T000000Z.db"]
    older = [f"music-2020010{number}T000000Z.db" for number in range(3)]
    for name in later + older:
        (target / name).write_bytes(b"old")
    result = run(served, "backup", "--all", target, "--keep", "2")
    assert later[0] in result.stderr and "and 1 more" in result.stderr and "clock" in result.stderr, result
    copies = sorted(name for name in os.listdir(target) if name.startswith("music-20"))
    (made,) = set(copies) - {*later, *older}
    assert copies == [older[2], made, *later]
    assert sqlite3.connect(target / made).execute("SELECT count(*) FROM song").fetchall() == [(3,)]
    # The clock is behind: what is there may be older, or newer.
    for name in later:
        (target / name).unlink()
    (target / made).rename(target / later[1])
    next_second()
    assert later[1] in run(served, "backup", "--all", target, "--keep", "1").stderr
    assert len([name for name in os.listdir(target) if name.startswith("music-20") and name.endswith(".db")]) == 2


def partials(directory):
    return sorted(name for name in os.listdir(directory) if name.endswith(".partial"))


def stopped_at_work(daemon, target, number, *arguments):
    """The status of a command that got a signal while its file was being written."""
    for _ in range(20):
        # In the background of a shell, or behind nohup, it would be ignored.
        with subprocess.Popen([LITEBASE, *arguments[:1], "--socket", daemon.socket_path, *map(str, arguments[1:])], stderr=subprocess.DEVNULL,
                              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)) as running:
            # That of the empty database is there for a moment only.
            while running.poll() is None and not any(not name.startswith("default-") for name in partials(target)):
                time.sleep(0.001)
            running.send_signal(number)
            if running.wait(60) != 0:
                return running.returncode
    pytest.fail("it always ended before the signal")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("way", ["backup", "backup --all", "export"])
def test_nothing_half_written_is_left(start_daemon, directory, way, number):  # noqa: F811
    target = large_database(directory)
    daemon = start_daemon(directory=directory, databases={"large": f"sqlite:{directory}/large.db"})
    arguments = {"backup": ["backup", "-d", "large", target / "copy.db", "--force"], "backup --all": ["backup", "--all", target, "--keep", "1"],
                 "export": ["export", "-d", "large", "-o", target / "copy.csv", "--table", "t", "--force"]}[way]
    assert stopped_at_work(daemon, target, number, *arguments) == -number
    assert partials(target) == []


def large_database(directory):  # noqa: F811
    """Makes a database that is copied for a while, and a directory for its copies."""
    with sqlite3.connect(directory / "large.db") as made:
        made.execute("CREATE TABLE t AS " + counting(400, "x, zeroblob(200000)"))
    made.close()
    target = directory / "backups"
    target.mkdir()
    return target


def test_what_a_killed_backup_has_left_is_removed(start_daemon, directory):  # noqa: F811
    """Its name does not come again; what somebody writes, or what is no file of litebase, stays."""
    target = large_database(directory)
    daemon = start_daemon(directory=directory, databases={"large": f"sqlite:{directory}/large.db"})
    assert stopped_at_work(daemon, target, signal.SIGKILL, "backup", "--all", target) == -signal.SIGKILL
    assert len(partials(target)) == 1
    written = target / "large-20200101T000000Z.db.partial"
    others = ["large-20200102T000000Z.db.partial", "large-notes.db.partial", "other-20200101T000000Z.db.partial"]
    (target / others[0]).symlink_to(directory / "large.db")
    for name in others[1:]:
        (target / name).write_bytes(b"kept")
    with open(written, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        next_second()
        run(daemon, "backup", "--all", target)
    assert partials(target) == sorted([written.name, *others])
    next_second()
    run(daemon, "backup", "--all", target, "--no-check", "--keep", "1")
    assert partials(target) == sorted(others)
    assert (directory / "large.db").stat().st_size > 80_000_000


def test_a_damaged_database_is_not_kept(start_daemon, directory):  # noqa: F811
    path = directory / "music.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t AS " + counting(2_000, "x, hex(randomblob(20))"))
        made.execute("CREATE INDEX i ON t(x)")
    made.close()
    with open(path, "r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096))
    daemon = start_daemon(directory=directory, databases={"music": f"sqlite:{path}"})
    with daemon.connect() as client:
        client.query("CREATE TABLE used(x)")
    result = run(daemon, "backup", "-d", "music", directory / "copy.db", status=65)
    assert "not sound" in result.stderr
    assert not (directory / "copy.db").exists() and not (directory / "copy.db.partial").exists()
    run(daemon, "backup", "-d", "music", directory / "copy.db", "--no-check")
    target = directory / "all"
    target.mkdir()
    result = run(daemon, "backup", "--all", target, status=65)
    assert "music" in result.stderr
    assert [name.split("-")[0] for name in os.listdir(target)] == ["default"]


def imported(daemon, *arguments, **options):
    return run(daemon, "import", "-d", "music", *arguments, **options)


def test_import(served, directory):  # noqa: F811
    path = directory / "city.csv"
    path.write_text("name,people\nOslo,700000\n\"Bø, by\",\n")
    dry = imported(served, path, "city", "--create", "--dry-run")
    assert dry.stdout == 'CREATE TABLE "city"("name" TEXT, "people" INTEGER);\n2 rows found\n' and dry.stderr == ""
    assert imported(served, path, "city", "--create").stdout == "2 rows imported\n"
    assert run(served, "export", "-d", "music", "--table", "city", text=False).stdout == (
        "name,people\r\nOslo,700000\r\n\"Bø, by\",\r\n".encode())
    assert imported(served, path, "main.city").stdout == "2 rows imported\n"
    assert imported(served, path, "city", "--dry-run").stdout == "name\ttext\npeople\tinteger\n2 rows found\n"
    assert "exists" in imported(served, path, "city", "--create", status=1).stderr
    assert "cannot be read" in imported(served, directory / "none.csv", "city", status=66).stderr
    imported(served, path, status=64)
    imported(served, path, "", status=64)


@pytest.mark.parametrize("ending", ["arrow", "arrows", "ipc", "feather", "IPC"])
def test_import_of_arrow(served, directory, ending):  # noqa: F811
    """By the name of the file, as a stream that `export` makes; its numbers are those of rows."""
    path = directory / "exported.arrow"
    run(served, "export", "-d", "music", "--table", "song", "-o", path)
    path = path.rename(directory / f"song.{ending}")
    assert imported(served, path, "copy", "--create", "--dry-run").stdout == (
        'CREATE TABLE "copy"("id" INTEGER, "title" TEXT);\n3 rows found\n')
    assert imported(served, path, "copy", "--create").stdout == "3 rows imported\n"
    assert imported(served, path, "copy", "--columns", "title").stdout == "3 rows imported\n"
    with served.connect() as client:
        assert client.query("SELECT id, title FROM copy", database="music").rows == [
            [1, "a"], [2, None], [3, "c, d"], [None, "a"], [None, None], [None, "c, d"]]
    result = imported(served, path, "song", "--max-rejected", "3")
    assert result.stdout == "0 rows imported\n" and result.stderr.startswith("litebase: row 1: UNIQUE"), result
    with open(path) as file:
        assert imported(served, "-", "copy", "--format", "arrow", stdin=file).stdout == "3 rows imported\n"
    script = f".import --create '{path}' other\nSELECT count(*) AS n FROM other;\n"
    shell = run(served, "shell", "-d", "music", input=script)
    assert "3 rows imported" in shell.stdout + shell.stderr and '{"n":3}' in shell.stdout, shell
    failed = imported(served, path, "copy", "--format", "csv", status=1)
    assert failed.stderr


def test_import_of_standard_input(served):
    lines = '{"name":"a","people":1}\n{"name":"b"}\n'
    assert imported(served, "-", "city", "--create", "--format", "jsonl", input=lines).stdout == "2 rows imported\n"
    with open("/dev/null", "rb") as null:
        result = subprocess.run([LITEBASE, "import", "--socket", served.socket_path, "-d", "music", "-", "city", "--no-header"], stdin=null,
                                capture_output=True, text=True, timeout=60)
    assert result.stdout == "0 rows imported\n", result


def test_lines_that_are_refused(served, directory):  # noqa: F811
    path = directory / "song.tsv"
    path.write_text("id\ttitle\n10\tx\n1\talready there\n11\n12\ty\n")
    failed = imported(served, path, "song", status=1)
    assert "Line" in failed.stderr
    run(served, "query", "-d", "music", "DELETE FROM song WHERE id > 3")
    result = imported(served, path, "song", "--max-rejected", "2")
    assert result.stdout == "2 rows imported\n"
    assert "line 3: " in result.stderr and "line 4: It has 1 field instead of 2." in result.stderr


def test_import_in_the_shell(served, directory):  # noqa: F811
    path = directory / "a city.csv"
    path.write_text("name,people\nOslo,700000\nBergen\n")
    script = (f".import --create '{path}' city\nDROP TABLE city;\n.import --create --max-rejected 1 '{path}' city\n"
              "SELECT count(*) AS n FROM city;\n"
              f"BEGIN;\n.import --max-rejected 9 \"{path}\" city\nROLLBACK;\n.import x\nSELECT count(*) AS n FROM city;\n")
    result = subprocess.run([LITEBASE, "shell", "--socket", served.socket_path, "-d", "music", "--on-error", "continue"], input=script,
                            capture_output=True, text=True, timeout=60)
    assert "Line 3" in result.stderr and "usage: .import" in result.stderr and "line 3: It has 1 field instead of 2." in result.stderr, result
    assert result.stdout.count('{"n":1}') == 2, result


def copy(daemon, *arguments, **options):
    return run(daemon, "copy", *arguments, **options)


def test_copy(served):
    """Between databases: values keep their types, and what cannot be read whole is not taken for the whole."""
    run(served, "query", "-d", "music", "CREATE TABLE v(i INTEGER, r REAL, t TEXT, b BLOB); "
        "INSERT INTO v VALUES (1, 1.5, 'a\"\nb', x'00ff'), (NULL, NULL, '', x''), (9007199254740993, -0.0, '007', NULL)")
    dry = copy(served, "music/v", "memory", "--create", "--dry-run").stdout
    assert dry.splitlines()[0] == "i\tINTEGER\tINTEGER" and dry.endswith('CREATE TABLE "v"("i" INTEGER, "r" REAL, "t" TEXT, "b" BLOB);\n')
    assert copy(served, "music/v", "memory/v2", "--create", "--atomic").stdout == "3 rows copied\n"
    sql = "SELECT i, typeof(i), r, t, typeof(t), hex(b), typeof(b) FROM {} ORDER BY rowid"
    assert run(served, "query", "-d", "memory", sql.format("v2")).stdout == run(served, "query", "-d", "music", sql.format("v")).stdout
    assert copy(served, "music", "memory/v2", "--query", "SELECT i, t FROM v WHERE i = 1").stdout == "1 row copied\n"
    assert "exists" in copy(served, "music/v", "memory/v2", "--create", status=1).stderr
    assert "nothing" in copy(served, "music/nothing", "memory/v2", status=1).stderr
    assert "no_column" in copy(served, "music", "memory/v2", "--query", "SELECT i AS no_column FROM v", status=1).stderr
    before = run(served, "query", "-d", "memory", "SELECT count(*) FROM v2").stdout
    failing = f"SELECT x AS i, CASE WHEN x = 50000 THEN abs(-9223372036854775807 - 1) ELSE 'x' END AS t FROM ({counting(100_000, 'x')})"
    failed = copy(served, "music", "memory/v2", "--query", failing, "--atomic", status=1)
    assert "overflow" in failed.stderr, failed
    assert run(served, "query", "-d", "memory", "SELECT count(*) FROM v2").stdout == before, "a part was taken for the whole"
    for wrong in (["music", "memory/v2"], ["music/v", "memory", "--query", "SELECT 1"], ["/v", "memory"], ["music/", "memory"]):
        copy(served, *wrong, status=64)


def rows_of(daemon, table):
    return int(run(daemon, "query", "-d", "memory", "--format", "csv", "--no-header", f"SELECT count(*) FROM {table}").stdout)


def test_a_copy_whose_reading_fails_says_how_many_rows_are_there(served):
    run(served, "query", "-d", "memory", "CREATE TABLE part(i, t)")
    failing = (f"SELECT x AS i, CASE WHEN x = 400000 THEN abs(-9223372036854775807 - 1) ELSE 'some text' END AS t "
               f"FROM ({counting(500_000, 'x')})")
    failed = copy(served, "music", "memory/part", "--query", failing, status=1)
    count = rows_of(served, "part")
    assert count > 0 and "overflow" in failed.stderr and f"The {count} rows before it are in the table." in failed.stderr, failed


@pytest.mark.parametrize("atomic", [False, True])
def test_a_copy_that_is_interrupted(served, atomic):
    """The rows that were read by then are not taken for all of them."""
    run(served, "query", "-d", "memory", "CREATE TABLE part(i, t)")
    process = subprocess.Popen(
        [LITEBASE, "copy", "--socket", served.socket_path, "music", "memory/part", "--query",
         f"SELECT x AS i, 'some text' AS t FROM ({counting(50_000_000, 'x')})", *(["--atomic"] if atomic else [])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not atomic:
        wait_until(lambda: rows_of(served, "part") > 0, "rows are written")
    else:
        time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    count = rows_of(served, "part")
    assert process.returncode != 0, said
    if atomic:
        assert count == 0, (count, said)
    else:
        assert f"The {count} rows before it are in the table." in said, (count, said)
