"""SQLAlchemy's plugin for pytest, and the dialects."""

import importlib
import pathlib
import sys

import pytest
import sqlalchemy.event

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import dialects

from litebase import Connection

dialects.register()
# How each engine's test databases are set up: SQLAlchemy looks beside the dialect, where there is nothing.
for engine in ("sqlite", "postgresql", "mysql"):
    importlib.import_module(f"sqlalchemy.dialects.{engine}.provision")
pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
def without_foreign_keys(connection, record):
    """The daemon enforces foreign keys, and SQLite by itself does not: the suite has some that refer to what is not unique."""
    if isinstance(connection, Connection) and connection.engine == "sqlite":
        connection.execute("PRAGMA foreign_keys = OFF")
