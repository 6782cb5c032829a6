"""Transfers through a connection that ends behind any byte, in either direction: what is said, and what is left."""

import asyncio
import contextlib
import io
import socket
import threading

import pytest

import litebase
import litebase.aio

pytestmark = pytest.mark.usefixtures("nothing_stays")

CITIES = "SELECT 'Oslo' AS name, 717710 AS people"
CSV = b"name,people\r\nOslo,717710\r\n"
#: What a cut connection may be, by whether a request has begun.
LOST = (litebase.ConnectionLost, litebase.OutcomeUnknown)


class Cut:
    """Passes one connection on to a daemon, with its descriptors, until so many bytes have gone in one direction."""

    def __init__(self, path, upstream, to_daemon, count):
        self.path = str(path)
        self._limits = (count, None) if to_daemon else (None, count)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._upstream = upstream
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *about):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as waker:
            # Where nobody has come.
            waker.connect(self.path)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._listener.close()

    def _serve(self):
        with self._listener.accept()[0] as client, socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(self._upstream)
            other = threading.Thread(target=self._forward, args=(client, daemon, self._limits[0]))
            other.start()
            self._forward(daemon, client, self._limits[1])
            other.join()

    @staticmethod
    def _forward(source, target, limit):
        passed = 0
        with contextlib.suppress(OSError):
            while limit is None or passed < limit:
                wanted = 4096 if limit is None else min(4096, limit - passed)
                data, descriptors, _, _ = socket.recv_fds(source, wanted, 4)
                try:
                    if not data:
                        break
                    socket.send_fds(target, [data], descriptors)
                finally:
                    for descriptor in descriptors:
                        socket.close(descriptor)
                passed += len(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def cuts(tmp_path, daemon, step):
    """Connections that end ever later, in both directions, until one lasts."""
    for to_daemon in (True, False):
        for count in range(1, 20_000, step):
            path = tmp_path / f"{to_daemon}{count}"
            with Cut(path, daemon.socket_path, to_daemon, count) as cut:
                is_whole = yield cut.path
            path.unlink()
            if is_whole:
                break
        else:
            pytest.fail("it never ends")


def through(tmp_path, daemon, step, work):
    """Runs `work` with each of the connections. It returns whether it was done."""
    connections = cuts(tmp_path, daemon, step)
    with contextlib.suppress(StopIteration):
        path = next(connections)
        while True:
            path = connections.send(work(path))


@pytest.mark.parametrize(
    "source", [lambda: CSV, lambda: (piece for piece in [CSV]), lambda: None], ids=["bytes", "pieces", "path"]
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_imports(own_daemon, tmp_path, source, dry_run):
    (tmp_path / "city.csv").write_bytes(CSV)
    with litebase.connect(socket=own_daemon.socket_path, autocommit=True) as watching:
        watching.execute("CREATE TABLE city(name, people)")
        done = lost = 0

        def work(path):
            nonlocal done, lost
            begun = False
            try:
                with litebase.connect(socket=path, autocommit=True) as db:
                    begun = True
                    db.import_rows(source() or tmp_path / "city.csv", "city", dry_run=dry_run)
            except LOST as error:
                lost += 1
                assert not (dry_run and begun and isinstance(error, litebase.OutcomeUnknown))
                if isinstance(error, litebase.ConnectionLost) and begun:
                    assert dry_run
                return False
            done += 1
            return True

        through(tmp_path, own_daemon, 19, work)
        assert (done, lost > 20) == (2, True)
        (count,) = watching.execute("SELECT count(*) FROM city").fetchone()
        # Those of which nobody knows may be there, too.
        assert count == 0 if dry_run else 2 <= count <= 2 + lost


@pytest.mark.parametrize("is_path", [True, False])
def test_exports(daemon, tmp_path, is_path):
    folder = tmp_path / "exported"
    folder.mkdir()

    def work(path):
        file = folder / "a.csv" if is_path else io.BytesIO()
        try:
            with litebase.connect(socket=path, url="sqlite::memory:", autocommit=True) as db:
                db.export(CITIES, file)
        except LOST:
            assert list(folder.iterdir()) == []
            return False
        assert (file.read_bytes() if is_path else file.getvalue()) == CSV
        (folder / "a.csv").unlink(missing_ok=True)
        return True

    through(tmp_path, daemon, 13, work)


def test_asyncio(daemon, tmp_path):
    async def transfer(path):
        async with await litebase.aio.connect(socket=path, url="sqlite::memory:", autocommit=True) as db:
            await db.import_rows((piece for piece in [CSV]), "city", create=True)
            file = io.BytesIO()
            await db.export("SELECT * FROM city", file)
            assert file.getvalue() == CSV

    def work(path):
        try:
            asyncio.run(asyncio.wait_for(transfer(path), 30))
        except LOST:
            return False
        return True

    through(tmp_path, daemon, 29, work)
