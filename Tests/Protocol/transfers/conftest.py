"""Fixtures of the tests with servers."""

import pytest

from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis
from transfers import hello


@pytest.fixture(scope="module")
def servers():
    """One of each kind, for the tests of one file."""
    made = {"pg": PostgreSQL(), "my": MariaDB(), "cache": Redis()}
    yield made
    for server in made.values():
        server.discard()


@pytest.fixture
def passing(servers, start_daemon, directory):
    """A client that sends descriptors, of a daemon before these servers; files without servers have their own."""
    daemon = start_daemon(directory=directory, databases={name: server.url() for name, server in servers.items()})
    with daemon.connect() as client:
        yield hello(client)
