"""Alembic: a chain of migrations goes up and down on each engine, and what it made is what the models say."""

import pathlib
import textwrap

import pytest

sa = pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic import autogenerate, command  # noqa: E402
from alembic.config import Config  # noqa: E402
from alembic.migration import MigrationContext  # noqa: E402

MIGRATIONS = [
    """
    def upgrade():
        op.create_table("customer", sa.Column("id", sa.Integer, primary_key=True),
                        sa.Column("name", sa.String(50), nullable=False), sa.Column("old", sa.String(10)))
        op.bulk_insert(sa.table("customer", sa.column("name", sa.String)), [{"name": "first"}, {"name": "second"}])

    def downgrade():
        op.drop_table("customer")
    """,
    """
    def upgrade():
        with op.batch_alter_table("customer") as batch:
            batch.add_column(sa.Column("balance", sa.Numeric(10, 2), nullable=False, server_default="0.00"))
            batch.drop_column("old")
            batch.create_unique_constraint("customer_name", ["name"])
        op.execute("UPDATE customer SET balance = 1.50 WHERE name = 'first'")

    def downgrade():
        with op.batch_alter_table("customer") as batch:
            batch.drop_constraint("customer_name", type_="unique")
            batch.add_column(sa.Column("old", sa.String(10)))
            batch.drop_column("balance")
    """,
    """
    def upgrade():
        op.create_table("purchase", sa.Column("id", sa.Integer, primary_key=True),
                        sa.Column("at", sa.DateTime, nullable=False),
                        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customer.id", name="to_customer"), nullable=False))
        op.create_index("purchase_at", "purchase", ["at"])
        with op.batch_alter_table("customer") as batch:
            batch.alter_column("name", new_column_name="full_name", existing_type=sa.String(50), type_=sa.String(80),
                               existing_nullable=False)

    def downgrade():
        with op.batch_alter_table("customer") as batch:
            batch.alter_column("full_name", new_column_name="name", existing_type=sa.String(80), type_=sa.String(50),
                               existing_nullable=False)
        op.drop_table("purchase")
    """,
]

ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""


def models():
    metadata = sa.MetaData()
    sa.Table("customer", metadata, sa.Column("id", sa.Integer, primary_key=True),
             sa.Column("full_name", sa.String(80), nullable=False),
             sa.Column("balance", sa.Numeric(10, 2), nullable=False, server_default="0.00"),
             sa.UniqueConstraint("full_name", name="customer_name"))  # fmt: skip
    sa.Table("purchase", metadata, sa.Column("id", sa.Integer, primary_key=True),
             sa.Column("customer_id", sa.Integer, sa.ForeignKey("customer.id", name="to_customer"), nullable=False),
             sa.Column("at", sa.DateTime, nullable=False), sa.Index("purchase_at", "at"))  # fmt: skip
    return metadata


@pytest.fixture
def config(tmp_path):
    place = pathlib.Path(tmp_path) / "alembic"
    (place / "versions").mkdir(parents=True)
    (place / "env.py").write_text(ENVIRONMENT)
    for number, text in enumerate(MIGRATIONS, 1):
        before = f"r{number - 1}" if number > 1 else None
        head = f"import sqlalchemy as sa\nfrom alembic import op\nrevision = 'r{number}'\ndown_revision = {before!r}\n"
        (place / f"versions/r{number}.py").write_text(head + textwrap.dedent(text))
    made = Config()
    made.set_main_option("script_location", str(place))
    return made


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb"])
def test_migrations_go_up_and_down(name, request, config, tmp_path):
    if name == "sqlite":
        url = f"sqlite+litebase:///{tmp_path}/m.db?socket={request.getfixturevalue('daemon').socket_path}"
    else:
        url = f"{name}+litebase:///server?socket={request.getfixturevalue(name)}"
    config.set_main_option("sqlalchemy.url", url)
    engine = sa.create_engine(url, future=True)

    def tables():
        return set(sa.inspect(engine).get_table_names()) - {"alembic_version"}

    try:
        command.upgrade(config, "head")
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
            assert context.get_current_revision() == "r3"
            assert autogenerate.compare_metadata(context, models()) == []
            found = connection.execute(sa.text("SELECT full_name, balance FROM customer ORDER BY id")).all()
            assert [(name, float(balance)) for name, balance in found] == [("first", 1.5), ("second", 0)]
        command.downgrade(config, "r1")
        assert tables() == {"customer"}
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT name FROM customer ORDER BY id")).scalars().all() == ["first", "second"]
        command.upgrade(config, "+1")
        command.downgrade(config, "base")
        assert tables() == set()
    finally:
        with engine.begin() as connection:
            for table in ("alembic_version", "purchase", "customer"):
                connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
        engine.dispose()
