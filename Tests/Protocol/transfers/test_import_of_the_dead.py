"""An atomic import whose client dies together with the program that writes its pipe, as `litebase copy` and `litebase import -` do."""

import os
import signal
import time

import pytest

from daemon import Daemon, wait_until
from directories import directory  # noqa: F401
from transfers import hello, send_with

ROUNDS = 30


@pytest.fixture
def served(directory):  # noqa: F811
    daemon = Daemon(directory=directory, databases={"lite": f"sqlite:{directory}/lite.db"})
    with daemon.connect() as client:
        client.query("CREATE TABLE t(a)", database="lite")
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("stops", [False, True])
def test_its_end_is_not_taken_for_the_end_of_the_rows(served, stops):
    with served.connect() as watching:
        for _ in range(ROUNDS):
            reader, writer = os.pipe()
            client = hello(served.connect())
            send_with(client, [reader], "import", {"descriptors": 1, "database": "lite", "relation": "t", "atomic": True, "header": False})
            os.close(reader)
            os.write(writer, b"a part\n" * 1000)
            wait_until(lambda: [entry["type"] for entry in watching.call("activity").data["entries"]].count("import") == 1, "it is under way")
            time.sleep(0.02)
            # The daemon sees both ends at the same time.
            if stops:
                served.process.send_signal(signal.SIGSTOP)
            client.close()
            os.close(writer)
            if stops:
                served.process.send_signal(signal.SIGCONT)
            wait_until(lambda: "import" not in [entry["type"] for entry in watching.call("activity").data["entries"]], "it has ended")
            assert watching.query("SELECT count(*) FROM t", database="lite").value == 0
