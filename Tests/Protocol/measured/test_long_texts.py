"""Long requests do not keep others on their loop waiting: a worker looks through them, and puts those for servers into the form in
which a server takes them; where an error is, it looks for, too."""

import pytest

from loop_probe import serves_meanwhile
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis
from wire import RequestFailed

# It measures time: nothing else runs beside it.
pytestmark = pytest.mark.alone

SERVERS = {"postgresql": PostgreSQL, "mysql": MariaDB, "redis": Redis}
# A loop is held for so long at most, whatever the length.
LIMIT_MS = 5
LENGTHS = (1_000_000, 15_000_000)
# What was looked through in one way or another: words, calls, what is skipped at the beginning, lines before an error, errors whose
# place is searched.
TEXTS = {
    "words": ("SELECT 1 WHERE 1=1 ", "a ", ""), "calls": ("SELECT 1 + ", "abs (", ""), "dots": ("SELECT ", "a.", ""),
    "parentheses": ("SELECT ", "(", ""), "semicolons": ("", ";", ""), "comment": ("/*", "a ", ""), "lines": ("SELECT ", "1+\n", " )("),
    "newlines": ("SELECT 1", "\n", ""), "line": ("SELECT ", "é+", " )("), "names": ("WITH ", "u ", ""),
    "dates": ("SELECT 1 ", "date -- \n", ""),
}
# Of the longest ones a server has little to do, which else needs seconds: it stops at the beginning, or has all but the end in a comment.
LONGEST = {
    "words": TEXTS["words"], "numbers": ("SELECT 1 1 ", "1+\n", ""), "lines": ("SELECT 1 /*", "1+\n", "*/ )("),
    "line": ("SELECT 1 /*", "é+", "*/ )("),
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
        # No server takes more than a million words; quotes and blanks are taken apart, too.
        found = {"one": "DEL " + "a" * length, "words": "DEL " + "a " * min(length // 2, 1_000_000), "blanks": "PING" + " " * length,
                 "quoted": 'DEL "' + "\\x61" * (length // 4) + '"'}
        return found if length < 2_000_000 else {name: found[name] for name in ("one", "quoted")}
    return {name: begin + part * (length // len(part.encode())) + end
            for name, (begin, part, end) in (TEXTS if length < 2_000_000 else LONGEST).items()}


def first(engine, client):
    client.query("PING" if engine[0] == "redis" else "SELECT 1", database="far")


def keeps_no_loop(engine, daemon, what, body):
    """Others on the loop do not wait while `body(client)` is done twice."""
    def work():
        client = daemon.connect(timeout=120)
        first(engine, client)
        for _ in range(2):
            try:
                body(client)
            except RequestFailed as failure:
                assert failure.code not in ("internal_error", "connect_failed"), failure

    # Each of two requests would be seen by each of four clients at most once; one is left out for what the machine does.
    serves_meanwhile(daemon, work, what, wrong=lambda probe: probe.slow_but_for(1, LIMIT_MS))


@pytest.mark.parametrize("length", LENGTHS)
def test_a_long_text_keeps_no_loop(engine, daemon, length):
    for name, text in texts(engine[0], length).items():
        def ask(client):
            try:
                client.query(text, database="far", timeout_ms=20_000)
            except RequestFailed as failure:
                # The place is searched through all of it.
                assert name not in ("lines", "line") or failure.data["position"]["offset"] > 0.9 * length, failure
                raise

        keeps_no_loop(engine, daemon, name, ask)


LONG = "\n" * 14_000_000
FOR_SQLITE = {
    "text": ("query", {"sql": f"SELECT '{LONG}' )("}), "tail": ("query", {"sql": f"SELECT length('{LONG}') AS n; SELECT 1"}),
    "write": ("query", {"sql": f"INSERT INTO t VALUES ('{LONG}') )("}), "blanks": ("query", {"sql": LONG + "SELECT 1"}),
    "batch": ("batch", {"statements": [{"sql": f"INSERT INTO t VALUES ('{LONG}') )("}]}),
    "description": ("describe", {"sql": f"SELECT '{LONG}' )("}), "described": ("describe", {"sql": f"SELECT length('{LONG}') AS n"}),
}


@pytest.mark.parametrize("place", ("shared", "session", "transaction"))
@pytest.mark.parametrize("what", FOR_SQLITE)
def test_a_long_text_for_sqlite_keeps_no_loop(start_daemon, directory, what, place):
    config = directory / "sqlite.toml"
    config.write_text("loops = 1\n")
    daemon = start_daemon(f"--config={config}", directory=directory)
    daemon.connect().query("CREATE TABLE IF NOT EXISTS t(x)")
    kind, data = FOR_SQLITE[what]

    def work():
        client = daemon.connect(timeout=120)
        more = {} if place == "shared" else {"session": client.session()}
        if place == "transaction":
            client.query("BEGIN", **more)
            client.query("SELECT * FROM t", **more)
        for _ in range(2):
            try:
                client.call(kind, {**data, **more})
            except RequestFailed as failure:
                assert failure.code in ("syntax_error", "bad_request"), failure
                # Of what is told of a place, all is.
                assert set(failure.data.get("position", {})) in (set(), {"offset", "line", "column"})

    serves_meanwhile(daemon, work, what, wrong=lambda probe: probe.slow_but_for(1, LIMIT_MS))


@pytest.mark.parametrize("url", ("sqlite:" + "/.." * 4_000_000, "sqlite:/x?" + "mode=ro&" * 1_500_000, "postgresql://" + "a@" * 6_000_000,
                                 "mysql://" + "a," * 6_000_000, "redis://" + "%41" * 4_000_000, "x" * 12_000_000), ids=lambda url: url[:9])
def test_a_long_url_keeps_no_loop(start_daemon, directory, url):
    config = directory / "urls.toml"
    config.write_text("loops = 1\n")
    daemon = start_daemon(f"--config={config}", directory=directory)

    def work():
        client = daemon.connect(timeout=120)
        for _ in range(2):
            error = client.fails("db_connect", {"url": url})
            assert error["code"] == "bad_request" and "16 KiB" in error["message"], error

    serves_meanwhile(daemon, work, url[:20], wrong=lambda probe: probe.slow_but_for(1, LIMIT_MS))
    # As long a one as any path may need is looked at.
    error = daemon.connect().fails("db_connect", {"url": "sqlite:" + "/%2e%2e" * 2_000})
    assert "16 KiB" not in error["message"], error


# A statement that takes two values, and says how long they are; one that takes many.
VALUES = {
    "postgresql": ("SELECT length($1::text), length($2::bytea)", lambda n: "SELECT " + "+".join(f"length(${i + 1})" for i in range(n))),
    "mysql": ("SELECT LENGTH(?), LENGTH(?)", lambda n: "SELECT " + "+".join(["LENGTH(?)"] * n)),
    "redis": ("EVAL 'return {#ARGV[1], #ARGV[2]}' 0", lambda n: "EVAL 'local n = 0 for i = 1, #ARGV do n = n + #ARGV[i] end return n' 0"),
}


@pytest.mark.parametrize("what", ("values", "parts", "many", "batch", "plain batch", "rows", "description"))
def test_long_values_keep_no_loop(engine, daemon, what):
    """Nor in a batch, or where the statement is only looked at."""
    two, many = VALUES[engine[0]]
    text, blob = "ä" * 3_000_000, bytes(range(256)) * 30_000
    long = {"redis": "ECHO " + "b" * 14_000_000}.get(engine[0], "SELECT 1 /*" + "b" * 14_000_000 + "*/")
    # For more of them libmariadb takes memory at one step (docs/threat-model.md, Known limits).
    count = 30_000 if engine[0] == "mysql" else 65_000
    several = {"redis": "EVAL 'return #ARGV' 0"}.get(
        engine[0], "SELECT 1 IN (" + ", ".join("?" if engine[0] == "mysql" else f"${i + 1}" for i in range(count)) + ")")
    one = {"postgresql": "SELECT length($1)", "mysql": "SELECT LENGTH(?)", "redis": "ECHO"}[engine[0]]

    def values(client):
        found = client.query(two, [text, blob], database="far")
        assert [cell for row in found.rows for cell in row] in (
            [len(text), len(blob)], [len(text.encode()), len(blob)]), found.rows

    def parts(client):
        assert client.query(many(300), ["x" * 45_000] * 300, database="far").value == 300 * 45_000

    def batch(client, statement, **options):
        client.call("batch", {"statements": [statement], "database": "far", **options})

    keeps_no_loop(engine, daemon, what, {
        "values": values,
        "parts": parts,
        "many": lambda client: client.query(several, [1] * count, database="far"),
        "batch": lambda client: batch(client, {"sql": long}, atomic=True),
        "plain batch": lambda client: batch(client, {"sql": long}, atomic=False),
        "rows": lambda client: batch(client, {"sql": one, "param_rows": [["y" * 3_000_000]] * 4}),
        "description": lambda client: client.call("describe", {"sql": long, "database": "far"}),
    }[what])


def test_a_long_error_of_a_server_keeps_no_loop(engine, daemon):
    """A script makes it as long as it likes."""
    sql = {"postgresql": ["DO $$ BEGIN RAISE EXCEPTION '%', repeat('X', 1000000); END $$"],
           "mysql": ["SELECT EXTRACTVALUE('<a/>', CONCAT('//', REPEAT('X', 1000000)))"],
           "redis": [f"EVAL \"return redis.{kind}_reply(string.rep('X', 1000000))\" 0" for kind in ("error", "status")]}[engine[0]]
    for text in sql:
        keeps_no_loop(engine, daemon, text, lambda client: client.query(text, database="far"))
    first(engine, daemon.connect())


def test_a_long_request_that_is_stopped_leaves_nothing(engine, daemon):
    """Wherever it is: while a worker looks through it, while the server takes it, or does it."""
    client, other = daemon.connect(timeout=120), daemon.connect(timeout=120)
    first(engine, client)
    long = {"redis": "ECHO " + "b" * 12_000_000}.get(engine[0], "SELECT 1 /*" + "b" * 12_000_000 + "*/")
    two = VALUES[engine[0]][0]
    for timeout in (1, 10, 60):
        for ask in (lambda: client.query(long, database="far", timeout_ms=timeout),
                    lambda: client.query(two, ["b" * 6_000_000, b"c" * 6_000_000], database="far", timeout_ms=timeout)):
            try:
                assert ask().rows
            except RequestFailed as failure:
                # A script of Redis may have been run.
                assert failure.code == "timeout" or engine[0] == "redis" and failure.code == "outcome_unknown", failure.data
        assert other.query("PING" if engine[0] == "redis" else "SELECT 1", database="far").rows
    session = client.session(database="far")
    try:
        client.query(long, session=session, timeout_ms=5)
    except RequestFailed as failure:
        assert failure.code == "timeout", failure.data
    assert client.query("PING" if engine[0] == "redis" else "SELECT 1", session=session).rows


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
