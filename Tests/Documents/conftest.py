"""What the tests of the documents share with those of the protocol: the programs, and servers of their own."""

import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]

from directories import directory  # noqa: E402, F401
from reader import Reader  # noqa: E402


@pytest.fixture
def reader():
    made = []

    def make(*arguments):
        made.append(Reader(*arguments))
        return made[-1]

    yield make
    for one in made:
        one.discard()
