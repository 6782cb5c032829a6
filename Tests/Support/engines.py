"""The engines of the conformance suite by name. What each must tell is in engine.py."""

from engine import EDGES
from engine_mariadb import MariaDBEngine
from engine_postgresql import PostgreSQLEngine
from engine_redis import RedisEngine
from engine_sqlite import SQLite

__all__ = ["EDGES", "ENGINES"]

ENGINES = {engine.name: engine for engine in (SQLite, PostgreSQLEngine, MariaDBEngine, RedisEngine)}
