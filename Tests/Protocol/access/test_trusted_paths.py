"""Databases in directories that others may write: a path leads only where root or the daemon's user has made it lead
(Sources/CSQLiteFiles/TrustedPaths.c). Alice may use `library` and write its directory; `shop` is Bob's."""

import os
import random
import shutil
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from daemon import LITEBASE, LITEBASED, environment_for, wait_until
from identity import connect_as, needs_root
from wire import RequestFailed

pytestmark = needs_root

ALICE, BOB, OWN = 60001, 60002, 60005
SECRET = "only for Bob"
# Of the race, which may run longer: LITEBASE_TEST_RACE_SECONDS=600.
RACE_SECONDS = float(os.environ.get("LITEBASE_TEST_RACE_SECONDS", "4"))


class Shelf:
    """`state/shop.db`, which the daemon alone may read, and `music/library.db`, in Alice's directory."""

    def __init__(self, start_daemon, directory, path="music/library.db", prefix=(), more=""):
        environment_for(directory)  # makes the directories in it
        self.start_daemon, self.directory, self.prefix = start_daemon, directory, prefix
        self.owner = OWN if prefix else 0
        os.chmod(directory, 0o755)
        self.shop, self.music = directory / "state" / "shop.db", directory / "music"
        self.music.mkdir()
        os.chown(self.music, 0, ALICE)
        os.chmod(self.music, 0o2775)
        self.library = self.music / "library.db"
        self.configuration = directory / "litebase.toml"
        self.configuration.write_text(f'''
[databases.shop]
url = "sqlite:{self.shop}"
users = ["{BOB}"]
[databases.library]
url = "sqlite:{directory}/{path}"
users = ["{ALICE}"]
[limits]
sqlite_idle_ms_max = 100
{more}''')
        if prefix:
            for place in (directory, directory / "state", directory / "run", directory / "home"):
                os.chown(place, OWN, OWN)
        self.daemon = None

    def start(self):
        self.daemon = self.start_daemon("--config", self.configuration, "--socket-mode=666", directory=self.directory,
                                        prefix=self.prefix)
        self.alice = connect_as(self.daemon.socket_path, ALICE)
        with connect_as(self.daemon.socket_path, BOB) as bob:
            bob.query("CREATE TABLE IF NOT EXISTS secret(x)", database="shop")
            bob.query("INSERT INTO secret VALUES (?)", [SECRET], database="shop")
        return self

    def link(self, target, path=None, owner=ALICE):
        """A link of somebody's, at once in the place of what is there."""
        path = path or self.library
        new = path.with_name(path.name + ".new")
        os.symlink(target, new)
        os.lchown(new, owner, owner)
        os.rename(new, path)

    def secrets(self):
        with sqlite3.connect(f"file:{self.shop}?mode=ro", uri=True) as file:
            rows = [row[0] for row in file.execute("SELECT x FROM secret")]
        file.close()
        return rows


@pytest.fixture
def shelf(start_daemon, directory):
    made = []

    def make(**options):
        made.append(Shelf(start_daemon, directory, **options))
        return made[-1]

    yield make
    for one in made:
        if one.daemon:
            one.alice.close()


def refused(client, sql="SELECT * FROM secret", **where):
    with pytest.raises(RequestFailed) as failure:
        client.query(sql, **(where or {"database": "library"}))
    data = failure.value.data
    assert data["code"] == "connect_failed" and data["sqlstate"] == "58030", data
    return data


@pytest.mark.parametrize("owner", [ALICE, 0])
@pytest.mark.parametrize("sql", ["SELECT * FROM secret", "INSERT INTO secret VALUES ('alice was here')"])
def test_a_link_in_a_members_directory_leads_nowhere(shelf, owner, sql):
    """One of root's neither, which Alice may have taken from elsewhere."""
    here = shelf().start()
    here.link(here.shop, owner=owner)
    data = refused(here.alice, sql)
    assert f"{here.library} is a symbolic link" in data["detail"], data
    assert (f"user {ALICE}" if owner else f"write to {here.music}") in data["detail"], data
    assert "nobody but root" in data["hint"], data
    assert [line for line in here.daemon.log().splitlines() if f"{here.library} is a symbolic link" in line
            and "nobody but root" in line], "the journal says so, with the remedy"
    assert here.secrets() == [SECRET]
    # What an administrator is told to do is enough.
    here.library.unlink()
    here.alice.query("CREATE TABLE books(x)", database="library")
    assert here.alice.query("SELECT count(*) FROM books", database="library").value == 0


def test_a_link_makes_no_file(shelf):
    here = shelf().start()
    here.link(here.directory / "state" / "planted.db")
    refused(here.alice, "CREATE TABLE t(x)")
    here.link("nowhere/../../state/planted.db")
    refused(here.alice, "CREATE TABLE t(x)")
    assert not (here.directory / "state" / "planted.db").exists()


@pytest.mark.parametrize("kind", ["absolute", "relative", "chain", "dots", "proc"])
def test_a_link_in_place_of_a_directory_leads_nowhere(shelf, kind):
    here = shelf(path="music/rock/library.db")
    here.start()
    os.rename(here.shop, here.shop.with_name("library.db"))
    for suffix in ("-wal", "-shm"):
        if os.path.exists(f"{here.shop}{suffix}"):
            os.rename(f"{here.shop}{suffix}", here.shop.with_name("library.db" + suffix))
    state, rock = here.directory / "state", here.music / "rock"
    if kind == "chain":
        here.link(state, here.music / "a", owner=0)
        here.link("a/../a/.", rock)
    elif kind == "proc":
        here.link(f"/proc/self/root{state}", rock)
    else:
        here.link({"absolute": state, "relative": "../state", "dots": "./..//./music/../state/"}[kind], rock)
    assert "symbolic link" in refused(here.alice)["detail"]


def test_links_that_root_has_made_are_followed(shelf):
    """An administrator moves a database to another disk; /var/run leads to /run."""
    here = shelf(path="state/around/library.db")
    big = here.directory / "big"
    big.mkdir(mode=0o755)
    here.link("../big", here.directory / "state" / "around", owner=0)
    here.link("file.db", big / "library.db", owner=0)
    here.start()
    here.alice.query("CREATE TABLE books(x)", database="library")
    assert (big / "file.db").exists() and (big / "file.db-wal").exists()
    # Through a directory that anybody may write, but in which nobody may rename what is root's.
    shared = here.directory / "tmp"
    shared.mkdir()
    os.chmod(shared, 0o1777)
    here.link("../big/file.db", shared / "link.db", owner=0)
    with here.daemon.connect() as root:
        session = root.session(url=f"sqlite:{shared}/link.db")
        assert root.query("SELECT count(*) FROM books", session=session).value == 0
        here.link("../big/file.db", shared / "link.db", owner=ALICE)
        assert "belongs to user" in root.fails("db_connect", {"url": f"sqlite:{shared}/link.db"})["detail"]
        # A link that somebody has given another name beside.
        here.link("../big/file.db", shared / "link.db", owner=0)
        os.link(shared / "link.db", shared / "second.db", follow_symlinks=False)
        assert "exchange" in root.fails("db_connect", {"url": f"sqlite:{shared}/second.db"})["detail"]


def test_urls_and_attached_files_are_looked_at_as_well(shelf):
    here = shelf().start()
    here.link(here.shop)
    with here.daemon.connect() as root:
        for mode in ("", "?mode=ro", "?mode=rw"):
            # As a URL it is found to be `library`, or a file of its own.
            error = root.fails("db_connect", {"url": f"sqlite:{here.library}{mode}"})
            assert "symbolic link" in error["detail"], error
        session = root.session()
        assert "symbolic link" in refused(root, f"ATTACH '{here.library}' AS a", session=session)["detail"]


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("owner", [ALICE, 0])
def test_a_link_in_place_of_a_companion_leads_nowhere(shelf, suffix, owner):
    here = shelf()
    with sqlite3.connect(here.library) as file:
        file.execute(f"PRAGMA journal_mode = {'DELETE' if suffix == '-journal' else 'WAL'}")
        file.execute("CREATE TABLE books(x)")
    file.close()
    here.start()
    precious = here.directory / "state" / "precious"
    precious.write_bytes(b"precious" * 100)
    here.link(precious, here.music / f"library.db{suffix}", owner=owner)
    try:
        here.alice.query("INSERT INTO books VALUES (1)", database="library")
    except RequestFailed as failure:
        assert failure.code in ("connect_failed", "database_error"), failure.data
    assert precious.read_bytes() == b"precious" * 100


def test_a_hard_link_that_others_may_have_made_is_not_opened(shelf):
    here = shelf().start()
    os.link(here.shop, here.library)
    data = refused(here.alice)
    assert "hard link" in data["detail"] and "copy" in data["hint"], data
    # Where nobody else can make one, it is the administrator's.
    with here.daemon.connect() as root:
        for name in ("first.db", "second.db"):
            session = root.session(url=f"sqlite:{here.directory}/state/{name}")
            root.query("CREATE TABLE IF NOT EXISTS t(x)", session=session)
            root.call("db_disconnect", {"session": session})
            if name == "first.db":
                os.link(here.directory / "state" / name, here.directory / "state" / "second.db")


def may_write(path):
    """Whether another process gets the lock for writing."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        return True
    except sqlite3.OperationalError as error:
        assert "locked" in str(error), error
        return False
    finally:
        other.close()


@pytest.mark.parametrize("what", ["database", "index", "journal"])
def test_what_is_not_opened_takes_no_lock_away(shelf, what):
    """Closing a file ends all locks that the process has on it (fcntl(2)): the link is to a database that somebody writes."""
    here = shelf().start()
    state = here.directory / "state"
    precious, mode = (here.shop, "WAL") if what == "index" else (state / "precious.db", "DELETE")
    if precious != here.shop:
        with sqlite3.connect(precious) as file:
            file.execute("CREATE TABLE t(x)")
        file.close()
    here.alice.query("CREATE TABLE books(x)", database="library")
    wait_until(lambda: not list(here.music.glob("*-wal")), "closed")
    with here.daemon.connect() as root:
        session = root.session(**({"database": "shop"} if mode == "WAL" else {"url": f"sqlite:{precious}"}))
        assert root.query("PRAGMA journal_mode", session=session).value == mode.lower()
        root.query("BEGIN IMMEDIATE", session=session)
        root.query(f"INSERT INTO {'secret' if mode == 'WAL' else 't'} VALUES ('more')", session=session)
        assert not may_write(precious)
        if what == "database":
            here.library.unlink()
            os.link(precious, here.library)
        elif what == "index":
            os.link(f"{precious}-shm", f"{here.library}-shm")
        else:
            # The file that has the locks, in place of a journal.
            os.link(precious, f"{here.library}-journal")
        for _ in range(2):
            with pytest.raises(RequestFailed):
                here.alice.query("SELECT * FROM books", database="library")
        assert not may_write(precious), "the lock is gone"
        root.query("COMMIT", session=session)
    assert may_write(precious)


def test_a_slash_behind_the_name_of_a_file(shelf):
    """As open(2): what has one is a directory."""
    here = shelf().start()
    with here.daemon.connect() as root:
        os.symlink("shop.db", here.directory / "state" / "link.db")
        for name in ("shop.db/", "shop.db/."):
            root.fails("db_connect", {"url": f"sqlite:{here.directory}/state/{name}"})
        session = root.session()
        for name in ("shop.db/", "shop.db//", "link.db/", "new.db/", "new.db//"):
            data = refused(root, f"ATTACH '{here.directory}/state/{name}' AS a", session=session)
            assert "slash" in data["detail"] and "Leave out the slash" in data["hint"], data
        root.query(f"ATTACH '{here.directory}/state//link.db' AS a", session=session)
        assert root.query("SELECT count(*) FROM a.secret", session=session).value == 1
    assert not (here.directory / "state" / "new.db").exists()


def test_a_file_of_another_database_that_is_moved_to_the_path_is_not_opened(shelf):
    """Both lie where Alice may write."""
    here = shelf()
    moved = here.shop
    here.shop = here.music / "shop.db"
    here.configuration.write_text(here.configuration.read_text().replace(str(moved), str(here.shop)))
    here.start()
    here.alice.query("CREATE TABLE books(x)", database="library")
    # Both are closed, and nothing is left in a log.
    wait_until(lambda: not list(here.music.glob("*-wal")), "closed")
    os.rename(here.library, here.music / "aside.db")
    os.rename(here.shop, here.library)
    data = refused(here.alice)
    assert "another database" in data["message"] and "shop" not in str(data), data
    assert [line for line in here.daemon.log().splitlines() if "the one of database shop" in line]
    os.rename(here.library, here.shop)
    os.rename(here.music / "aside.db", here.library)
    assert here.alice.query("SELECT count(*) FROM books", database="library").value == 0
    # A new file, which may have the number of the former one, is nobody's.
    here.library.unlink()
    here.alice.query("CREATE TABLE books(x)", database="library")
    # If the administrator has moved it, a reload says so.
    wait_until(lambda: not list(here.music.glob("*-wal")), "closed")
    os.rename(here.shop, here.library)
    assert "another database" in refused(here.alice)["message"]
    with here.daemon.connect() as root:
        root.call("reload")
    assert here.alice.query("SELECT x FROM secret", database="library").value == SECRET


@pytest.mark.parametrize("how", ["same path", "link", "hard link"])
def test_two_databases_that_are_one_file_are_told(shelf, how):
    here = shelf(path="state/shop.db" if how == "same path" else "state/library.db")
    with sqlite3.connect(here.shop) as file:
        file.execute("CREATE TABLE books(x)")
    file.close()
    if how == "link":
        os.symlink("shop.db", here.directory / "state" / "library.db")
    elif how == "hard link":
        os.link(here.shop, here.directory / "state" / "library.db")
    said = "Databases shop and library are one file"
    checked = subprocess.run([LITEBASED, "--check-config", "--config", here.configuration], capture_output=True, text=True)
    assert checked.returncode == 0 and said in checked.stderr, checked
    checked = subprocess.run([LITEBASE, "config", "check", "--config", here.configuration], capture_output=True, text=True)
    assert checked.returncode == 0 and f"litebase: warning: {said}" in checked.stderr, checked
    added = subprocess.run([LITEBASE, "config", "add-database", "third", here.shop, "--users", str(ALICE + 9), "--config",
                            here.configuration], capture_output=True, text=True)
    assert added.returncode == 0 and "third are one file" in added.stderr, added
    here.start()
    wait_until(lambda: here.daemon.log().count(said) == 1, "told at the start")
    with here.daemon.connect() as root:
        root.call("reload")
    wait_until(lambda: here.daemon.log().count(said) == 2, "told at the reload")
    # It is the administrator's wish. (Two names, and with them two logs, at the same time would be one too much for SQLite.)
    if how == "hard link":
        wait_until(lambda: not list((here.directory / "state").glob("shop.db-wal")), "closed")
    assert here.alice.query("SELECT count(*) FROM books", database="library").value == 0
    # The same users may do the same: nothing to tell.
    here.configuration.write_text(here.configuration.read_text().replace(f'users = ["{BOB}"]', f'users = ["{ALICE}"]'))
    shutil.rmtree(here.directory / "litebase.toml.d")
    checked = subprocess.run([LITEBASED, "--check-config", "--config", here.configuration], capture_output=True, text=True)
    assert checked.returncode == 0 and "one file" not in checked.stderr, checked


@pytest.mark.parametrize("what", ["file", "directory", "link to a pipe", "pipe", "socket"])
def test_what_is_no_file_keeps_nobody_waiting(shelf, what):
    here = shelf().start()
    keeper = None
    if what == "directory":
        here.library.mkdir()
    elif what == "socket":
        keeper = socket.socket(socket.AF_UNIX)
        keeper.bind(str(here.library))
    elif what != "file":
        os.mkfifo(here.music / "pipe")
        if what == "pipe":
            os.rename(here.music / "pipe", here.library)
        else:
            here.link("pipe")
    else:
        # Somebody else's file is only content.
        with sqlite3.connect(here.library) as file:
            file.execute("CREATE TABLE secret(x)")
        file.close()
        os.chown(here.library, ALICE, ALICE)
        assert here.alice.query("SELECT * FROM secret", database="library").rows == []
        return
    began = time.monotonic()
    refused(here.alice)
    assert time.monotonic() - began < 2
    if keeper:
        keeper.close()


def test_a_link_in_place_of_an_open_file_is_found_out(shelf):
    here = shelf().start()
    here.alice.query("CREATE TABLE books(x)", database="library")
    session = here.alice.session(database="library")
    here.alice.query("INSERT INTO books VALUES (1)", session=session)
    os.rename(here.library, here.music / "away.db")
    here.link(here.shop)
    time.sleep(0.2)
    with pytest.raises(RequestFailed):
        here.alice.query("SELECT * FROM secret", session=session)
    with pytest.raises(RequestFailed) as failure:
        for _ in range(3):
            try:
                here.alice.query("SELECT * FROM secret", database="library")
            except RequestFailed as error:
                if "symbolic link" in (error.data.get("detail") or ""):
                    raise
    assert failure.value.code == "connect_failed"
    assert here.secrets() == [SECRET] and not list((here.directory / "state").glob("*.left"))


def test_a_daemon_of_an_ordinary_user_follows_his_links(shelf):
    prefix = ("setpriv", f"--reuid={OWN}", f"--regid={OWN}", "--clear-groups")
    if subprocess.run([*prefix, "test", "-x", LITEBASED]).returncode != 0:
        pytest.skip("an ordinary user cannot run the daemon where it lies")
    here = shelf(path="home/links/library.db", prefix=prefix)
    home = here.directory / "home"
    here.link(home / "files", home / "links", owner=OWN)
    (home / "files").mkdir(mode=0o755)
    os.chown(home / "files", OWN, OWN)
    here.start()
    here.alice.query("CREATE TABLE books(x)", database="library")
    assert (home / "files" / "library.db").exists()
    # And nobody else's, although they lead to what is his.
    here.link(home / "files", home / "links", owner=ALICE)
    time.sleep(0.3)
    here.link(here.shop, home / "files" / "library.db", owner=ALICE)
    data = refused(here.alice)
    assert f"user {ALICE}" in data["detail"], data


class Exchanger(threading.Thread):
    """Alice, who exchanges what is at the path as quickly as she can."""

    def __init__(self, here, seed):
        super().__init__(daemon=True)
        self.here, self.random, self.ends, self.count, self.error = here, random.Random(seed), threading.Event(), 0, None
        self.real, self.aside = here.music / "real.db", here.music / "aside"
        shutil.copy(here.directory / "model.db", self.real)

    def run(self):
        try:
            while not self.ends.is_set():
                # Sometimes at once again, sometimes so late that something is opened in between.
                time.sleep(self.random.choice([0, 0, 0.0005, 0.005, 0.05]))
                getattr(self, self.random.choice(["leads", "is_real", "is_real", "leads_by_directory", "goes", "companion"]))()
                self.count += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def place(self):
        directory = self.here.music / "rock"
        if directory.is_symlink():
            os.unlink(directory)
            os.rename(self.aside, directory)
        return directory / "library.db"

    def leads(self):
        self.here.link(self.here.shop, self.place(), owner=self.random.choice([ALICE, 0]))

    def is_real(self):
        new = self.here.music / "new.db"
        # A rename to another name of the same file does nothing.
        new.unlink(missing_ok=True)
        os.link(self.real, new) if self.random.random() < 0.2 else shutil.copy(self.real, new)
        os.rename(new, self.place())

    def leads_by_directory(self):
        self.place()
        os.rename(self.here.music / "rock", self.aside)
        self.here.link(self.here.directory / "state", self.here.music / "rock")

    def goes(self):
        self.place().unlink(missing_ok=True)

    def companion(self):
        path = self.place()
        suffix = self.random.choice(["-wal", "-shm", "-journal"])
        companion = path.with_name(path.name + suffix)
        self.here.link(f"{self.here.directory}/state/library.db{suffix}", companion)
        time.sleep(self.random.choice([0, 0.001]))
        companion.unlink(missing_ok=True)


@pytest.mark.slow
def test_whoever_exchanges_paths_while_they_are_opened_sees_nothing_of_others(shelf):
    """Files, links and directories change places all the time, the daemon opens and closes; what Alice sees is hers."""
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.randrange(1 << 32))
    print(f"LITEBASE_TEST_SEED={seed}")
    here = shelf(path="music/rock/library.db")
    (here.music / "rock").mkdir()
    # Bob's has the same name, and the same table.
    here.shop = here.directory / "state" / "library.db"
    here.configuration.write_text(here.configuration.read_text().replace("state/shop.db", "state/library.db"))
    with sqlite3.connect(here.directory / "model.db") as file:
        file.execute("CREATE TABLE secret(x)")
        file.execute("INSERT INTO secret VALUES ('of Alice')")
    file.close()
    here.start()
    exchanger = Exchanger(here, seed)
    exchanger.start()
    ends, answers = time.monotonic() + RACE_SECONDS, 0
    try:
        while time.monotonic() < ends and exchanger.is_alive():
            for sql in ("SELECT x FROM secret", "INSERT INTO secret VALUES ('by Alice')"):
                try:
                    rows = here.alice.query(sql, database="library").rows
                    answers += 1
                    assert all(row[0] in ("of Alice", "by Alice") for row in rows), f"seed {seed}: {rows}"
                except RequestFailed:
                    pass
    finally:
        exchanger.ends.set()
        exchanger.join()
    assert exchanger.error is None, f"seed {seed}: {exchanger.error!r}"
    assert exchanger.count > 50 and answers > 0, (exchanger.count, answers)
    with connect_as(here.daemon.socket_path, BOB) as bob:
        assert bob.query("SELECT x FROM secret", database="shop").rows == [[SECRET]], f"seed {seed}"
