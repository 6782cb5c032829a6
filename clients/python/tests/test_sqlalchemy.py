"""SQLAlchemy's ORM and Core over the daemon, with each engine: what its own suite for dialects does not ask."""

import datetime
import decimal
import enum
import threading
import time
import uuid

import pytest

sa = pytest.importorskip("sqlalchemy")

from sqlalchemy import orm  # noqa: E402
from sqlalchemy.dialects import postgresql as pg  # noqa: E402

import litebase  # noqa: E402

IS_2 = sa.__version__ >= "2"
TIMEOUT = 10


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request):
    """An empty database of each engine, by its URL."""
    if request.param == "sqlite":
        daemon = request.getfixturevalue("daemon")
        path = request.getfixturevalue("tmp_path") / "orm.db"
        return f"sqlite+litebase:///{path}?socket={daemon.socket_path}"
    return f"{request.param}+litebase:///server?socket={request.getfixturevalue(request.param)}"


@pytest.fixture
def make_engine():
    made = []

    def make(url, **options):
        made.append(sa.create_engine(url, future=True, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def engine(url, make_engine):
    return make_engine(url)


@pytest.fixture
def base(engine):
    """A declarative base whose tables are there only for the test."""
    made = orm.declarative_base()
    yield made
    made.metadata.drop_all(engine)


@pytest.fixture
def shop(base, engine):
    class Customer(base):
        __tablename__ = "customer"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(50), nullable=False)
        version = sa.Column(sa.Integer, nullable=False)
        orders = orm.relationship("Order", back_populates="customer", order_by="Order.id", cascade="all, delete-orphan")
        __mapper_args__ = {"version_id_col": version}

    class Order(base):
        __tablename__ = "purchase"
        id = sa.Column(sa.Integer, primary_key=True)
        customer_id = sa.Column(sa.ForeignKey("customer.id"), nullable=False)
        price = sa.Column(sa.Numeric(10, 2))
        customer = orm.relationship("Customer", back_populates="orders")

    base.metadata.create_all(engine)
    return Customer, Order


def statements_of(engine):
    """A list to which each statement that is sent is added."""
    sent = []
    sa.event.listen(engine, "before_cursor_execute", lambda c, cursor, statement, *rest: sent.append(statement))
    return sent


def test_objects_are_stored_and_loaded(engine, shop):
    customer, order = shop
    prices = [decimal.Decimal("1.50"), decimal.Decimal("99999999.99"), None]
    with orm.Session(engine, future=True) as session, session.begin():
        session.add_all([customer(name=f"c{n}", orders=[order(price=price) for price in prices]) for n in range(10)])
    for load in (orm.selectinload, orm.joinedload, orm.lazyload, orm.subqueryload):
        with orm.Session(engine, future=True) as session:
            found = session.scalars(sa.select(customer).options(load(customer.orders)).order_by(customer.id)).unique().all()
            assert [each.name for each in found] == [f"c{n}" for n in range(10)]
            assert [[o.price for o in each.orders] for each in found] == [prices] * 10
    with orm.Session(engine, future=True) as session, session.begin():
        session.delete(session.scalars(sa.select(customer).where(customer.name == "c3")).one())
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(order)).scalar() == 27
        assert connection.execute(sa.select(sa.func.sum(order.price))).scalar() == decimal.Decimal("900000013.41")


@pytest.mark.skipif(not IS_2, reason="SQLAlchemy 1.4 has no insertmanyvalues for these engines")
def test_many_objects_are_inserted_by_few_statements_which_return_their_keys(engine, shop):
    customer, _ = shop
    sent = statements_of(engine)
    with orm.Session(engine) as session, session.begin():
        made = [customer(name=f"c{n}") for n in range(2500)]
        session.add_all(made)
        session.flush()
        # SQLite does not promise the order of RETURNING: SQLAlchemy's own dialect, too, asks there for one key at a time.
        expected = 2500 if engine.dialect.name == "sqlite" else 3
        assert len([statement for statement in sent if statement.startswith("INSERT")]) == expected
        assert len({each.id for each in made}) == 2500
        assert [name for _, name in session.execute(sa.select(customer.id, customer.name).order_by(customer.id))] == [
            each.name for each in sorted(made, key=lambda each: each.id)
        ]


def test_who_changes_what_somebody_else_has_changed_is_told(engine, shop):
    customer, _ = shop
    with orm.Session(engine, future=True) as session, session.begin():
        session.add_all([customer(id=1, name="first"), customer(id=2, name="second")])
    with orm.Session(engine, future=True) as session:
        one = session.get(customer, 1)
        two = session.get(customer, 2)
        session.rollback()
        with engine.begin() as connection:
            changed = connection.execute(sa.text("UPDATE customer SET version = version + 1 WHERE id = 2"))
            assert changed.rowcount == 1
            assert connection.execute(sa.text("UPDATE customer SET version = version WHERE id > 2")).rowcount == 0
            # A row that was found counts, also when it is what it was.
            assert connection.execute(sa.text("UPDATE customer SET version = version WHERE id = 1")).rowcount == 1
        orm.attributes.set_committed_value(two, "version", 1)
        orm.attributes.set_committed_value(one, "version", 1)
        one.name, two.name = "changed", "changed"
        with pytest.raises(orm.exc.StaleDataError):
            session.commit()
    with orm.Session(engine, future=True) as session:
        assert [each.name for each in session.scalars(sa.select(customer).order_by(customer.id))] == ["first", "second"]


def test_the_number_of_rows_is_known_also_when_many_are_returned(engine, shop):
    customer, _ = shop
    if engine.dialect.name == "mariadb" or (engine.dialect.name == "sqlite" and not IS_2):
        pytest.skip("MariaDB has no UPDATE … RETURNING, and SQLAlchemy 1.4 none for SQLite")
    table = customer.__table__
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"name": "x" * 50, "version": 1}] * 5000)
        updated = connection.execute(table.update().values(version=2).returning(table.c.id))
        assert updated.rowcount == 5000
        assert len(updated.all()) == 5000
        assert connection.execute(table.delete().where(table.c.id > 1000)).rowcount == 4000
        many = [{"key": n, "name": "y"} for n in range(1, 1500)]
        changed = connection.execute(table.update().where(table.c.id == sa.bindparam("key")), many)
        assert changed.rowcount == 1000


def test_savepoints(engine, shop):
    customer, _ = shop
    with orm.Session(engine, future=True) as session:
        session.add(customer(id=1, name="kept"))
        with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
            session.add(customer(id=2, name="lost"))
            session.flush()
            session.execute(sa.insert(customer).values(id=1, name="again", version=1))
        with session.begin_nested():
            session.add(customer(id=3, name="kept, too"))
        session.commit()
        assert session.scalars(sa.select(customer.id).order_by(customer.id)).all() == [1, 3]


def test_a_savepoint_that_comes_first_is_within_the_transaction(engine, shop):
    customer, _ = shop

    def count():
        with engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(customer)).scalar()

    with engine.connect() as connection:
        for is_kept in (False, True):
            with connection.begin() as transaction:
                with connection.begin_nested():
                    connection.execute(customer.__table__.insert(), {"name": "x", "version": 1})
                assert count() == 0
                if not is_kept:
                    transaction.rollback()
            assert count() == is_kept


def test_frames_of_windows(engine, shop):
    customer, _ = shop
    table = customer.__table__
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": number, "name": "x", "version": 1} for number in range(1, 6)])
        counted = sa.func.count().over(order_by=table.c.id, rows=(-1, 2))
        assert connection.execute(sa.select(counted).order_by(table.c.id)).scalars().all() == [3, 4, 4, 3, 2]


def series(engine, count):
    """A statement that gives numbers from 1 to `count`."""
    if engine.dialect.name == "postgresql":
        return sa.text(f"SELECT x FROM generate_series(1, {count}) AS s(x)")
    return sa.text(f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {count}) SELECT x FROM c")


def test_rows_stream(engine):
    with engine.connect() as connection:
        if engine.dialect.name == "mariadb":
            connection.exec_driver_sql("SET max_recursive_iterations = 1000000")
        driver = connection.connection.dbapi_connection
        result = connection.execution_options(stream_results=True).execute(series(engine, 300_000))
        partitions = result.partitions(500)
        assert [row.x for row in next(partitions)] == list(range(1, 501))
        assert driver._session.in_flight is not None, "the daemon waits with the rest until it is wanted"
        assert sum(len(partition) for partition in partitions) == 299_500
        # A result that nobody reads to its end does not keep the connection from its next statement.
        result = connection.execution_options(stream_results=True).execute(series(engine, 300_000))
        assert result.fetchone().x == 1
        result.close()
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1


@pytest.mark.parametrize("pre_ping", [False, True])
def test_a_pool_notices_that_the_daemon_was_restarted(make_engine, own_daemon, tmp_path, pre_ping):
    from daemon import Daemon

    engine = make_engine(f"sqlite+litebase:///{tmp_path}/x.db?socket={own_daemon.socket_path}", pool_pre_ping=pre_ping)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (a)"))
    with engine.connect() as first, engine.connect() as second:
        first.execute(sa.text("SELECT 1"))
        second.execute(sa.text("SELECT 1"))
    own_daemon.terminate()
    again = Daemon(directory=own_daemon.directory)
    try:
        if not pre_ping:
            with pytest.raises(sa.exc.DBAPIError) as failure, engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
            assert failure.value.connection_invalidated
        # One error tells of all connections of the pool.
        for _ in range(3):
            with engine.begin() as connection:
                connection.execute(sa.text("INSERT INTO t VALUES (1)"))
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM t")).scalar() == 3
    finally:
        engine.dispose()
        again.discard()


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_pool_notices_that_the_server_ended_its_connections(name, request, make_engine):
    socket = request.getfixturevalue(name)
    engine = make_engine(f"{name}+litebase:///server?socket={socket}", pool_size=2)
    other = make_engine(f"{name}+litebase:///server?socket={socket}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, other.connect() as killer:
        if name == "postgresql":
            pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar()
            killer.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        else:
            pid = connection.execute(sa.text("SELECT CONNECTION_ID()")).scalar()
            killer.exec_driver_sql(f"KILL {pid}")
        deadline = time.monotonic() + TIMEOUT
        with pytest.raises(sa.exc.DBAPIError) as failure:
            while time.monotonic() < deadline:
                connection.execute(sa.text("SELECT 1"))
                time.sleep(0.01)
        assert failure.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1


def test_isolation_levels(engine, shop):
    customer, _ = shop
    table = customer.__table__
    for level in engine.dialect.get_isolation_level_values(None):
        with engine.connect().execution_options(isolation_level=level) as connection:
            driver = connection.connection.dbapi_connection
            assert driver.autocommit == (level == "AUTOCOMMIT")
            if level != "AUTOCOMMIT":
                assert connection.get_isolation_level() == level
                assert not driver.in_transaction
            connection.execute(table.insert(), {"name": level, "version": 1})
            assert driver.in_transaction == (level != "AUTOCOMMIT")
    with engine.connect() as connection:
        assert connection.get_isolation_level() == connection.default_isolation_level
        assert connection.scalars(sa.select(table.c.name)).all() == ["AUTOCOMMIT"]
    with pytest.raises(sa.exc.ArgumentError), engine.connect() as connection:
        connection.execution_options(isolation_level="SOME")


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
@pytest.mark.parametrize("outcome", ["commit", "rollback"])
def test_two_phases(name, outcome, request, make_engine):
    engine = make_engine(f"{name}+litebase:///server?socket={request.getfixturevalue(name)}")
    table = sa.Table("twophase", sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True))
    table.create(engine)
    try:
        with engine.connect() as connection:
            transaction = connection.begin_twophase()
            connection.execute(table.insert(), {"a": 1})
            transaction.prepare()
            with engine.connect() as other:
                assert transaction.xid in other.recover_twophase()
                assert other.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0
            getattr(transaction, outcome)()
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == (outcome == "commit")
    finally:
        table.drop(engine)


def test_what_was_prepared_is_found_after_a_crash_of_the_program(postgresql, make_engine):
    engine = make_engine(f"postgresql+litebase:///server?socket={postgresql}")
    table = sa.Table("twophase", sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True))
    table.create(engine)
    try:
        for outcome, rows in (("rollback", 0), ("commit", 1)):
            with engine.connect() as connection:
                transaction = connection.begin_twophase()
                connection.execute(table.insert(), {"a": 2})
                transaction.prepare()
                connection.invalidate()
            with engine.connect() as connection:
                getattr(connection, f"{outcome}_prepared")(transaction.xid, recover=True)
            with engine.connect() as connection:
                assert connection.recover_twophase() == []
                assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == rows
    finally:
        table.drop(engine)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def test_values_of_all_engines(engine, base):
    is_mysql, is_sqlite = engine.dialect.name == "mariadb", engine.dialect.name == "sqlite"
    # SQLite has no decimals: SQLAlchemy stores floats there.
    price = decimal.Decimal("1.7800" if is_sqlite else "1234567890123456.7800")
    values = {
        "integer": (sa.Integer, -5),
        "big": (sa.BigInteger, 2**63 - 1),
        "truth": (sa.Boolean, True),
        "real": (sa.Float(53), 0.1),
        "price": (sa.Numeric(20, 4), price),
        "text": (sa.Unicode(100), "é\U0001f600 '\"\\%s :x $1 ?"),
        "blob": (sa.LargeBinary, bytes(range(256))),
        "day": (sa.Date, datetime.date(2026, 1, 2)),
        "hour": (sa.Time, datetime.time(3, 4, 5)),
        "moment": (sa.DateTime, datetime.datetime(2026, 1, 2, 3, 4, 5)),
        "duration": (sa.Interval, datetime.timedelta(days=400, hours=-5, seconds=3)),
        "colour": (sa.Enum(Colour), Colour.BLUE),
        "json": (sa.JSON, {"a": [1, 2.5, None, True, "é"], "b": {}}),
    }
    if IS_2:
        values["uuid"] = (sa.Uuid, uuid.UUID(int=2**127 + 5))
        values["uuid_text"] = (sa.Uuid(as_uuid=False), str(uuid.UUID(int=7)))
    row = type("Row", (base,), {
        "__tablename__": "valued", "id": sa.Column(sa.Integer, primary_key=True),
        **{name: sa.Column(f"c_{name}", kind) for name, (kind, _) in values.items()}})  # fmt: skip
    base.metadata.create_all(engine)
    with orm.Session(engine, future=True) as session, session.begin():
        session.add(row(id=1, **{name: value for name, (_, value) in values.items()}))
        session.add(row(id=2, **dict.fromkeys(values)))
    with orm.Session(engine, future=True) as session:
        full, empty = session.scalars(sa.select(row).order_by(row.id))
        for name, (_, value) in values.items():
            found = getattr(full, name)
            assert found == value, name
            assert type(found) is type(value), name
            assert getattr(empty, name) is None
        for name, (_, value) in values.items():
            # A parameter finds what it has stored. (Of JSON, engines compare what they like.)
            if name not in ("json", "real") and not (is_mysql and name == "duration"):
                assert session.scalars(sa.select(row.id).where(getattr(row, name) == value)).all() == [1], name
        assert session.execute(sa.select(row.json["a"][1])).scalars().all()[0] == 2.5
    # A null of JSON and none are told apart, and decimals are compared as such, not as floats.
    with engine.begin() as connection:
        table = row.__table__
        assert connection.execute(sa.select(table.c.id).where(table.c.c_price > price - decimal.Decimal("0.0001"))).all()
        assert not connection.execute(sa.select(table.c.id).where(table.c.c_price > price)).all()


def test_values_of_postgresql_alone(postgresql, make_engine):
    engine = make_engine(f"postgresql+litebase:///server?socket={postgresql}")
    values = {
        "integers": (pg.ARRAY(sa.Integer), [1, None, 3]),
        "texts": (pg.ARRAY(sa.Text), ["a,b", "", "NULL", 'q"{}\\', None, "é"]),
        "decimals": (pg.ARRAY(sa.Numeric(10, 2)), [decimal.Decimal("1.50"), None]),
        "nested": (pg.ARRAY(sa.Integer, dimensions=2), [[1, 2], [3, 4]]),
        "blobs": (pg.ARRAY(sa.LargeBinary), [b"\x00\xff", b""]),
        "days": (pg.ARRAY(sa.Date), [datetime.date(2026, 1, 2)]),
        "truths": (pg.ARRAY(sa.Boolean), [True, False, None]),
        "uuids": (pg.ARRAY(pg.UUID(as_uuid=True)), [uuid.UUID(int=3)]),
        "colours": (pg.ARRAY(sa.Enum(Colour, name="colour_in_arrays")), [Colour.RED, Colour.BLUE]),
        "empty": (pg.ARRAY(sa.Integer), []),
        "json": (pg.JSONB, [1, {"a": None}]),
        "jsons": (pg.ARRAY(pg.JSONB), [{"a": 1}, [2]]),
        "zoned": (sa.DateTime(timezone=True), datetime.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=datetime.timezone.utc)),
        "interval": (pg.INTERVAL, datetime.timedelta(days=-3, hours=7, microseconds=5)),
        "uuid": (pg.UUID(as_uuid=True), uuid.UUID(int=5)),
        "uuid_text": (pg.UUID(as_uuid=False), str(uuid.UUID(int=5))),
        "address": (pg.INET, "10.0.0.1"),
        "bits": (pg.BIT(4), "1010"),
        "dictionary": (pg.HSTORE, {"a": "1", "b": None, 'c"': "x => y"}),
    }
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS hstore")
    table = sa.Table("of_pg", sa.MetaData(), *(sa.Column(name, kind) for name, (kind, _) in values.items()))
    table.create(engine)
    try:
        with engine.begin() as connection:
            connection.execute(table.insert(), {name: value for name, (_, value) in values.items()})
            connection.execute(table.insert(), [{name: value for name, (_, value) in values.items()}] * 2)
            for row in connection.execute(sa.select(table)):
                for name, (_, value) in values.items():
                    assert row._mapping[name] == value, name
            found = connection.execute(
                sa.select(sa.func.count()).where(table.c.integers.contains([3]), sa.literal("a,b") == sa.any_(table.c.texts))
            )
            assert found.scalar() == 3
            assert connection.execute(sa.text("SELECT count(*) FROM of_pg WHERE 3 = ANY(:a)"), {"a": [1, 3]}).scalar() == 3
            months = connection.execute(sa.select(sa.cast(sa.literal_column("'1 year 2 mons 3 days -04:05:06'"), pg.INTERVAL)))
            assert months.scalar() == datetime.timedelta(days=365 + 60 + 3) - datetime.timedelta(hours=4, minutes=5, seconds=6)
        naive = sa.Table("naive", sa.MetaData(), sa.Column("a", sa.DateTime))
        with pytest.raises(sa.exc.StatementError, match="time zone"), engine.begin() as connection:
            connection.execute(naive.insert(), {"a": datetime.datetime.now(datetime.timezone.utc)})
    finally:
        table.drop(engine)


@pytest.mark.skipif(not IS_2, reason="of SQLAlchemy 2")
def test_ranges_of_postgresql(postgresql, make_engine):
    engine = make_engine(f"postgresql+litebase:///server?socket={postgresql}")
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=datetime.timezone.utc)
    ranges = {
        pg.INT4RANGE: pg.Range(1, 5),
        pg.INT8RANGE: pg.Range(None, 2**40),
        pg.NUMRANGE: pg.Range(decimal.Decimal("1.5"), decimal.Decimal("2.50"), bounds="(]"),
        pg.DATERANGE: pg.Range(datetime.date(2026, 1, 2), datetime.date(2026, 2, 3)),
        pg.TSRANGE: pg.Range(moment.replace(tzinfo=None), None),
        pg.TSTZRANGE: pg.Range(moment, moment + datetime.timedelta(days=1), bounds="[]"),
    }
    with engine.connect() as connection:
        for kind, value in ranges.items():
            for each in (value, pg.Range(empty=True), None):
                assert connection.execute(sa.select(sa.literal(each, kind()))).scalar() == each
            assert connection.execute(sa.select(sa.literal(value, kind()).contains(value))).scalar() is True
        for kind, single in ((pg.INT4MULTIRANGE, ranges[pg.INT4RANGE]), (pg.TSTZMULTIRANGE, ranges[pg.TSTZRANGE])):
            found = connection.execute(sa.select(sa.literal(pg.MultiRange([single]), kind()))).scalar()
            assert found == [single]
            assert connection.execute(sa.select(sa.literal(pg.MultiRange([]), kind()))).scalar() == []


def test_bits_years_and_sets_of_mariadb(mariadb, make_engine):
    from sqlalchemy.dialects import mysql

    engine = make_engine(f"mysql+litebase:///server?socket={mariadb}")
    table = sa.Table("of_my", sa.MetaData(), sa.Column("bits", mysql.BIT(12)), sa.Column("year", mysql.YEAR),
                     sa.Column("set", mysql.SET("a", "b")), sa.Column("time", mysql.TIME(fsp=6)),
                     sa.Column("moment", mysql.DATETIME(fsp=6)), sa.Column("big", mysql.BIGINT(unsigned=True)))  # fmt: skip
    values = (0b101, 2026, {"a", "b"}, datetime.time(1, 2, 3, 4), datetime.datetime(2026, 1, 2, 3, 4, 5, 6), 2**64 - 1)
    table.create(engine)
    try:
        with engine.begin() as connection:
            connection.execute(table.insert(), dict(zip(table.c.keys(), values)))
            assert tuple(connection.execute(sa.select(table)).one()) == values
    finally:
        table.drop(engine)


def test_statements_can_be_cancelled(engine):
    with engine.connect() as connection:
        timer = threading.Timer(0.3, connection.connection.dbapi_connection.cancel)
        timer.start()
        endless = {"sqlite": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c",
                   "postgresql": "SELECT pg_sleep(30)", "mariadb": "SELECT SLEEP(30)"}[engine.dialect.name]  # fmt: skip
        with pytest.raises(sa.exc.OperationalError) as failure:
            connection.execute(sa.text(endless))
        assert isinstance(failure.value.orig, litebase.Cancelled)
        assert not failure.value.connection_invalidated
        connection.rollback()
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1


def test_urls_that_cannot_be(daemon, postgresql, make_engine):
    socket = f"?socket={daemon.socket_path}"
    for url, words in (
        (f"sqlite+litebase://user@host/shop{socket}", "the daemon knows"),
        (f"sqlite+litebase:///shop{socket}&colour=red", "colour is no parameter"),
        (f"sqlite+litebase:///shop{socket}&read_only=perhaps", "read_only"),
        (f"sqlite+litebase:///shop{socket}&url=sqlite::memory:", "twice"),
        (f"postgresql+litebase://{socket}", r"write sqlite\+litebase"),
        (f"sqlite+litebase:///server?socket={postgresql}", r"write postgresql\+litebase"),
    ):
        with pytest.raises(sa.exc.ArgumentError, match=words):
            make_engine(url).connect()
    with pytest.raises(sa.exc.DBAPIError) as failure:
        make_engine(f"sqlite+litebase:///nowhere{socket}").connect()
    assert failure.value.orig.code == "database_not_found"


def test_databases_in_memory_and_read_only_ones(daemon, tmp_path, make_engine):
    engine = make_engine(f"sqlite+litebase:///:memory:?socket={daemon.socket_path}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (a)"))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM t")).scalar() == 0
    path = f"sqlite+litebase:///{tmp_path}/r.db?socket={daemon.socket_path}"
    with make_engine(path).begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (a)"))
    reader = make_engine(f"{path}&read_only=true&timeout=5&begin=BEGIN")
    with pytest.raises(sa.exc.OperationalError) as failure, reader.begin() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
    assert failure.value.orig.code == "read_only"
