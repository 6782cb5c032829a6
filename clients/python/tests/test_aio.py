"""The same for asyncio."""

import asyncio

import pytest

import litebase
import litebase.aio

COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT ?) SELECT x FROM c"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"


@pytest.fixture
def run(daemon):
    """Runs a test's coroutine with a connection to a database in memory."""

    def run_with_connection(body, **options):
        async def whole():
            async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, **options) as connection:
                await asyncio.wait_for(body(connection), 30)

        asyncio.run(whole())

    return run_with_connection


def test_rows_and_transactions(run):
    async def body(db):
        await db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        assert (await db.executemany("INSERT INTO t(b) VALUES (?)", ((str(b),) for b in range(50_000)))).rowcount == 50_000
        await db.commit()
        total = 0
        async for a, b in await db.execute("SELECT a, b FROM t"):
            total += a - int(b)
        assert total == 50_000
        cursor = db.cursor()
        await cursor.execute(COUNT, (3_000,))
        assert await cursor.fetchone() == (1,)
        assert await cursor.fetchmany(2) == [(2,), (3,)]
        assert len(await cursor.fetchall()) == 2_997
        with pytest.raises(litebase.IntegrityError):
            async with db.transaction():
                await db.execute("DELETE FROM t WHERE a > 1")
                await db.execute("INSERT INTO t VALUES (1, 'again')")
        assert await (await db.execute("SELECT count(*) FROM t")).fetchone() == (50_000,)
        assert [entry["engine"] for entry in (await db.request("list_databases"))["databases"]] == ["sqlite"]

    run(body)


def test_a_cancelled_task_stops_its_statement(run):
    async def body(db):
        for sql in (ENDLESS, COUNT.replace("LIMIT ?", "")):

            async def work(sql=sql):
                await (await db.execute(sql)).fetchall()

            task = asyncio.create_task(work())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await (await db.execute("SELECT 1")).fetchone() == (1,)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(db.execute(ENDLESS), 0.1)
        asyncio.get_running_loop().call_later(0.1, db.cancel)
        with pytest.raises(litebase.Cancelled):
            await db.execute(ENDLESS)
        db.timeout = 0.1
        with pytest.raises(litebase.TimedOut):
            await db.execute(ENDLESS)

    run(body)


def test_tasks_share_a_connection(run):
    async def body(db):
        async def work(number):
            for _ in range(50):
                assert await (await db.execute("SELECT ?", (number,))).fetchone() == (number,)

        await asyncio.gather(*(work(number) for number in range(10)))
        async with await db.execute(COUNT, (1_000_000_000,)) as cursor:
            assert await cursor.fetchone() == (1,)
        assert await (await db.execute("SELECT 1")).fetchone() == (1,)

    run(body)


def test_a_lost_connection_says_what_is_known(own_daemon):
    async def body():
        db = await litebase.aio.connect(socket=own_daemon.socket_path)
        asyncio.get_running_loop().call_later(0.2, own_daemon.process.kill)
        with pytest.raises(litebase.OutcomeUnknown):
            await db.execute(ENDLESS)
        assert db.closed
        await db.close()
        with pytest.raises(litebase.ConnectionLost):
            await litebase.aio.connect(socket=own_daemon.socket_path)

    asyncio.run(body())
