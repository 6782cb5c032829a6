"""Decimals by SQLAlchemy are exact in every place of a statement, with each server: as values, as operands, in lists."""

import decimal

import pytest

sa = pytest.importorskip("sqlalchemy")

# A double knows neither of them from the other.
LESS, MORE = decimal.Decimal("12345678901234567.89"), decimal.Decimal("12345678901234567.90")
CENT = decimal.Decimal("0.01")
LARGE, LARGEST = decimal.Decimal("9" * 59 + "8"), decimal.Decimal("9" * 60)


@pytest.fixture(params=["postgresql", "mariadb"])
def connection(request):
    engine = sa.create_engine(f"{request.param}+litebase:///server?socket={request.getfixturevalue(request.param)}", future=True)
    with engine.connect() as opened:
        yield opened
        opened.rollback()
    engine.dispose()


@pytest.fixture
def price(connection):
    kind = sa.Numeric(19, 2)
    table = sa.Table("decimals", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
                     sa.Column("price", kind), sa.Column("large", sa.Numeric(60, 0)), prefixes=["TEMPORARY"])  # fmt: skip
    table.create(connection)
    connection.execute(table.insert(), [{"id": 1, "price": LESS, "large": LARGE}, {"id": 2, "price": MORE, "large": LARGEST}])
    yield table.c.price
    table.drop(connection)


def test_what_is_stored(connection, price):
    table = price.table
    assert connection.execute(sa.select(price, table.c.large).order_by(price)).all() == [(LESS, LARGE), (MORE, LARGEST)]
    connection.execute(table.update().where(table.c.id == 1).values(large=LARGEST))
    assert connection.execute(sa.select(table.c.large).where(table.c.id == 1)).scalar() == LARGEST


@pytest.mark.parametrize("condition", [
    lambda price: price == LESS,
    lambda price: price < MORE,
    lambda price: price <= LESS,
    lambda price: price.in_([LESS, decimal.Decimal("1.5")]),
    lambda price: price.between(LESS - CENT, LESS),
    lambda price: price + CENT == MORE,
])  # fmt: skip
def test_what_is_compared(connection, price, condition):
    assert connection.execute(sa.select(price.table.c.id).where(condition(price))).all() == [(1,)]


def test_what_is_computed(connection, price):
    found = connection.execute(sa.select(price + CENT, price - CENT, sa.literal(LESS)).where(price == LESS)).one()
    assert list(found) == [MORE, LESS - CENT, LESS]
    connection.execute(price.table.update().values(price=price + CENT).where(price.table.c.id == sa.bindparam("key")),
                       [{"key": 1}, {"key": 2}])  # fmt: skip
    assert connection.execute(sa.select(price).order_by(price)).scalars().all() == [LESS + CENT, MORE + CENT]


def test_a_literal_needs_no_cast(connection, price):
    text = str((price > CENT).compile(connection, compile_kwargs={"literal_binds": True}))
    assert text == "decimals.price > 0.01"
