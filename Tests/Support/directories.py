"""A directory for one test, short enough for sockets: what the tests of the protocol and of the documents share."""

import shutil

import pytest

from daemon import short_directory


@pytest.fixture
def directory():
    path = short_directory()
    yield path
    shutil.rmtree(path, ignore_errors=True)
