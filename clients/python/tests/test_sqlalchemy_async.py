"""SQLAlchemy's asyncio extension over the daemon, with each engine."""

import asyncio
import time

import pytest

sa = pytest.importorskip("sqlalchemy")

from sqlalchemy import orm  # noqa: E402
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine  # noqa: E402

import litebase.aio  # noqa: E402

IS_2 = sa.__version__ >= "2"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request):
    if request.param == "sqlite":
        daemon = request.getfixturevalue("daemon")
        return f"sqlite+litebase_async:///{request.getfixturevalue('tmp_path')}/a.db?socket={daemon.socket_path}"
    return f"{request.param}+litebase_async:///server?socket={request.getfixturevalue(request.param)}"


def endless(name):
    return {
        "sqlite": "SELECT count(*) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c)",
        "postgresql": "SELECT pg_sleep(30)",
        "mariadb": "SELECT SLEEP(30)",
    }[name]


def test_asyncio(url):
    base = orm.declarative_base()

    class Thing(base):
        __tablename__ = "async_thing"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(20))

    async def program():
        engine = create_async_engine(url, pool_pre_ping=True)
        async with engine.begin() as connection:
            await connection.run_sync(base.metadata.create_all)
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session:
                session.add_all([Thing(name=f"t{n}") for n in range(3000)])
                await session.commit()
                names = (await session.execute(sa.select(Thing.name).order_by(Thing.id))).scalars().all()
                assert names == [f"t{n}" for n in range(3000)]
            async with engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert isinstance(driver, litebase.aio.AsyncConnection)
                result = await connection.stream(sa.select(Thing).execution_options(yield_per=100))
                assert [row.name async for row in result] == names
                result = await connection.stream(sa.select(Thing))
                assert (await result.first()).name == "t0"
                # A task that is cancelled stops its statement. SQLAlchemy throws the connection away.
                began = time.monotonic()
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(
                        connection.execute(sa.text(endless(engine.dialect.name.replace("mysql", "mariadb")))), 0.3
                    )
                assert time.monotonic() - began < 5
            await asyncio.gather(*(count(engine, Thing) for _ in range(20)))
            with pytest.raises(sa.exc.IntegrityError):
                async with engine.begin() as connection:
                    await connection.execute(sa.insert(Thing), [{"id": 1, "name": "again"}])
        finally:
            async with engine.begin() as connection:
                await connection.run_sync(base.metadata.drop_all)
            await engine.dispose()

    async def count(engine, kind):
        async with engine.connect() as connection:
            assert (await connection.execute(sa.select(sa.func.count()).select_from(kind))).scalar() == 3000

    asyncio.run(program())


@pytest.mark.skipif(not IS_2, reason="SQLAlchemy 1.4 takes the asyncio dialect by its own name only")
def test_the_name_of_the_waiting_dialect_will_do(daemon):
    async def program():
        engine = create_async_engine(f"sqlite+litebase:///:memory:?socket={daemon.socket_path}")
        async with engine.begin() as connection:
            await connection.execute(sa.text("CREATE TABLE t (a)"))
        async with engine.connect() as connection:
            assert (await connection.execute(sa.text("SELECT count(*) FROM t"))).scalar() == 0
        await engine.dispose()

    asyncio.run(program())
