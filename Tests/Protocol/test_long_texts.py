"""Long statements for servers do not keep others on their loop waiting: SQL is not looked through there."""

import pytest

from loop_probe import LoopProbe
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis
from wire import PATIENCE, RequestFailed

# It measures time: nothing else runs beside it.
pytestmark = pytest.mark.alone

SERVERS = {"postgresql": PostgreSQL, "mysql": MariaDB, "redis": Redis}
# Of so many bytes, a loop is held for so many milliseconds at most. What is left is copied by us and by libpq, and cut into words for
# Redis, which grows with the length alone.
LIMITS = {1_000_000: 5, 15_000_000: 75}
# A command is taken apart on its loop (docs/threat-model.md, Known limits): one word of that length.
REDIS_LIMITS = {1_000_000: 20, 15_000_000: 200}
# What was looked through in one way or another: words, calls, what is skipped at the beginning, lines before an error, errors whose
# place is searched.
TEXTS = {
    "words": ("SELECT 1 WHERE 1=1 ", "a "), "calls": ("SELECT 1 + ", "abs ("), "dots": ("SELECT ", "a."),
    "parentheses": ("SELECT ", "("), "semicolons": ("", ";"), "comment": ("/*", "a "), "lines": ("SELECT ", "1+\n"),
    "newlines": ("SELECT 1", "\n"), "names": ("WITH ", "u "), "dates": ("SELECT 1 ", "date -- \n"),
}


@pytest.fixture(scope="module", params=SERVERS)
def engine(request):
    instance = SERVERS[request.param]()
    yield request.param, instance
    instance.discard()


@pytest.fixture
def daemon(engine, start_daemon, directory):
    config = directory / "texts.toml"
    config.write_text(f'loops = 1\n[databases.far]\nurl = "{engine[1].url()}"\n')
    return start_daemon(f"--config={config}", directory=directory)


def texts(engine, length):
    if engine == "redis":
        # The words of a command are looked at on the loop, once for each of what they are needed for.
        return {"one": "DEL " + "a" * length}
    # The longest ones take a server some time.
    names = TEXTS if length < 2_000_000 else ("words", "parentheses", "comment", "lines")
    return {name: TEXTS[name][0] + TEXTS[name][1] * (length // len(TEXTS[name][1])) + (" )(" if name == "lines" else "")
            for name in names}


@pytest.mark.parametrize("length", LIMITS)
def test_a_long_text_keeps_no_loop(engine, daemon, length):
    client = daemon.connect(timeout=120)
    client.query("PING" if engine[0] == "redis" else "SELECT 1", database="far")
    worst = {}
    for name, text in texts(engine[0], length).items():
        with LoopProbe(daemon) as probe:
            for _ in range(2):
                try:
                    client.query(text, database="far", timeout_ms=20_000)
                except RequestFailed as failure:
                    assert failure.code != "internal_error", failure
        # Each of two requests would be seen by each of four clients at most once; one is left out for what the machine does.
        worst[name] = sorted(probe.times["health"])[-2] * 1000
    limit = (REDIS_LIMITS if engine[0] == "redis" else LIMITS)[length] * PATIENCE
    assert max(worst.values()) < limit, {name: f"{time:.1f} ms" for name, time in worst.items()}


def test_what_a_long_text_begins_with_counts(engine, daemon):
    """It cannot hide behind blanks what is refused."""
    if engine[0] == "redis":
        pytest.skip("commands begin with their name")
    client = daemon.connect()
    blanks = " " * 40_000
    for sql in (blanks + "BEGIN", "/*" + blanks + "*/ SET a = 1", "COMMIT" + blanks + "PREPARED 'x'", ";" * 40_000 + "SELECT 1"):
        with pytest.raises(RequestFailed) as failed:
            client.query(sql, database="far")
        assert failed.value.code in ("bad_request", "needs_session"), failed.value
    assert client.query("SELECT 1" + blanks, database="far").value == 1
    # Whatever it leaves is cleared, although nobody has looked for it.
    if engine[0] == "postgresql":
        client.query("SELECT set_config('app.left', 'here', false)" + blanks, database="far")
        left = client.query("SELECT current_setting('app.left', true)", database="far").value
        assert left in (None, ""), left
