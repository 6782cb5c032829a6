"""What is held while nothing is asked: places in a pool, and snapshots that keep a log from beginning anew."""

import time

import pytest

from daemon import counting, wait_until
from identity import connect_as, needs_root
from postgresql import PostgreSQL
from wire import RequestFailed, decode

FIRST, SECOND, THIRD, FOURTH = 60010, 60011, 60012, 60013
PAGED = "SELECT * FROM generate_series(1, 100000)"


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    yield instance
    instance.discard()


@pytest.fixture
def start(server, start_daemon, directory):
    def start(places=2, **limits):
        settings = {"pool_connections_max": places, "pool_wait_ms_max": 300, **limits}
        directory.chmod(0o755)
        (directory / "holds.toml").write_text("[limits]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
                                              + f'[databases.pg]\nurl = "{server.url()}"\n'
                                              + f'[databases.file]\nurl = "sqlite:{directory}/file.db"\n')
        daemon = start_daemon("--config", directory / "holds.toml", "--socket-mode=666", directory=directory)
        daemon.users = lambda uid, **options: daemon.clients.append(connect_as(daemon.socket_path, uid, **options)) or daemon.clients[-1]
        return daemon

    return start


def holds(client, how, count, database="pg"):
    """Takes places and leaves them: sessions, or queries whose next page nobody asks for."""
    held = []
    for _ in range(count):
        if how == "sessions":
            held.append(client.session(database=database))
        else:
            held.append(client.send_query(PAGED, database=database, page_rows=5))
            assert client.receive_for(held[-1]).data["more"]
    return held


def notice_of(client):
    notice = decode(client.read_body())
    assert notice.type == "notice" and notice.id is None, notice
    return notice.data


def error_of(client, how, held):
    """What is said of a session or page that was taken away; None for one that is there."""
    try:
        if how == "sessions":
            client.query("SELECT 1", session=held)
        else:
            client.send("fetch", {"request": held})
            reply = client.receive_for(held)
            return reply.data if reply.type == "error" else None
    except RequestFailed as failure:
        return failure.data
    return None


def answers(client, **options):
    try:
        return client.query("SELECT 1", **(options or {"database": "pg"})).value == 1
    except RequestFailed as failure:
        assert failure.code == "busy", failure
        return False


@needs_root
@pytest.mark.parametrize("how", ["sessions", "pages"])
def test_whoever_has_none_gets_a_place(start, how):
    daemon = start()
    first, second, third = (daemon.users(uid) for uid in (FIRST, SECOND, THIRD))
    holds(first, how, 2)
    assert not answers(daemon.users(FIRST)), "the places of all are taken, and this user has some"
    for _ in range(5):
        assert answers(second)
    holds(second, how, 1)
    assert not answers(daemon.users(SECOND)), "there is one beyond the limit for each user, and no more"
    assert answers(third)


@needs_root
def test_what_is_beyond_is_given_back(start, server):
    daemon = start()
    first, second = daemon.users(FIRST), daemon.users(SECOND)
    sessions = holds(first, "sessions", 2)
    assert answers(second)
    for session in sessions:
        first.call("db_disconnect", {"session": session})
    wait_until(lambda: len(server.backends()) <= 2, "no more than the pool's connections are kept")
    assert answers(second) and answers(first)


@needs_root
@pytest.mark.parametrize("notices", [False, True])
@pytest.mark.parametrize("how", ["sessions", "pages"])
def test_idle_holders_end_while_others_wait(start, how, notices):
    daemon = start(idle_hold_ms_max=1000)
    first = daemon.users(FIRST)
    first.call("hello", {"notices": notices})
    held = holds(first, how, 2)
    all_held = [(first, how, each) for each in held]
    for uid in (SECOND, THIRD):
        other = daemon.users(uid)
        all_held += [(other, "sessions", each) for each in holds(other, "sessions", 1)]
    fourth = daemon.users(FOURTH)
    began = time.monotonic()
    wait_until(lambda: answers(fourth), "somebody's place becomes free", timeout=5)
    assert time.monotonic() - began > 0.6, "nobody is hurried at once"
    if notices:
        notice = notice_of(first)
        assert notice["code"] == ("idle_session" if how == "sessions" else "idle_query")
        assert notice["session" if how == "sessions" else "request"] in held
        assert 0 < notice["ends_in_ms"] <= 500
        return
    # One place is enough for the one who waits; whose it was is not promised.
    errors = [(kind, error) for kind, error in ((kind, error_of(client, kind, each)) for client, kind, each in all_held) if error]
    assert errors, "nobody has lost anything"
    for kind, error in errors:
        assert error["code"] == ("session_not_found" if kind == "sessions" else "timeout")
        assert (error["sqlstate"], error["limit"]["name"]) == ("57P05", "idle_hold_ms_max")
    assert "while others needed what it held" in daemon.log()


@needs_root
def test_nobody_is_hurried_without_need(start):
    daemon = start(idle_hold_ms_max=300)
    first = daemon.users(FIRST)
    [session] = holds(first, "sessions", 1)
    [page] = holds(first, "pages", 1)
    # One's own requests that wait are one's own affair.
    assert not answers(daemon.users(FIRST))
    time.sleep(1.2)
    assert answers(first, session=session)
    first.send("fetch", {"request": page})
    assert first.receive_for(page).data["more"]


def grow(client, directory, byte_count):
    """Writes until the log is that long, or somebody has made it begin anew."""
    log = directory / "file.db-wal"
    for _ in range(40):
        client.query("UPDATE big SET x = randomblob(2000000)", database="file")
        if log.stat().st_size > byte_count:
            return


@pytest.mark.parametrize("how, notices", [("a transaction", False), ("a transaction", True), ("a busy transaction", False),
                                          ("a page", False), ("a page", True), ("a page of a session", False)])
def test_a_snapshot_that_keeps_a_long_log_ends(start, directory, how, notices):
    daemon = start(idle_hold_ms_max=1000)
    reader, writer = daemon.connect(), daemon.connect()
    reader.call("hello", {"notices": notices})
    writer.query("CREATE TABLE big(x)", database="file")
    writer.query("INSERT INTO big SELECT zeroblob(2000000) FROM (" + counting(3) + ")", database="file")
    session = reader.session(database="file")
    request = None
    if "transaction" in how:
        reader.query("BEGIN", session=session)
        reader.query("SELECT count(*) FROM big", session=session)
    else:
        options = {"session": session} if "session" in how else {"database": "file"}
        request = reader.send_query(counting(100000, "c.x") + ", big", page_rows=5, **options)
        assert reader.receive_for(request).data["more"]
    grow(writer, directory, 65 << 20)
    ended = time.monotonic() + 6
    if notices:
        assert notice_of(reader)["code"] == ("idle_query" if request else "idle_session")
    if how == "a busy transaction":
        with pytest.raises(RequestFailed) as failure:
            while time.monotonic() < ended:
                reader.query("SELECT count(*) FROM big", session=session)
                time.sleep(0.05)
        error = failure.value.data
    elif request:
        with pytest.raises(RequestFailed) as failure:
            reader.collect(request)
        error = failure.value.data
    else:
        time.sleep(3)
        error = reader.query_fails("SELECT 1", session=session)
    assert (error["sqlstate"], error["limit"]["name"]) == ("57P05", "idle_hold_ms_max"), error
    assert time.monotonic() < ended
    for _ in range(5):
        writer.query("UPDATE big SET x = randomblob(10)", database="file")
    assert (directory / "file.db-wal").stat().st_size <= 64 << 20, "the log begins anew, and is cut"
