"""What the conformance suite must know of an engine: its words, its server, and what it cannot do, with the reason."""

import math

# Values that survive the way into a column and back, by the kind of the column.
EDGES = {
    "integer": [0, 1, -1, 2**31, 2**53 - 1, 2**53 + 1, 2**63 - 1, -2**63, None],
    "real": [0.0, -0.0, 0.1, 1.5, 1e15, 1e16, 123456789.125, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, None],
    "text": ["", "a", " both ends ", "ü", "日本語", "😀 e\u0301 \ufeff", "'\"\\%_", "line\r\nline\ttab", "?, $1, :a -- /* */", "0", "NULL",
             "nul \0 nul", "\0", "x" * 200_000, None],
    "blob": [b"", b"\0", bytes(range(256)), b"\xff\xfe\x80", b"'\\", b"\x00" * 200_000, None],
    "decimal": ["0.000000", "-0.000001", "1.500000", "12345678901234.567890", None],
    "boolean": [True, False, None],
    "date": ["2024-02-29", "1970-01-01", "9999-12-31", None],
    "timestamp": ["2026-02-28 12:34:56.123456", "2026-02-28 23:59:59.999999", "1999-12-31 00:00:00.000001", None],
}


class Engine:
    """One running engine. Subclasses fill in the words; `lacks` says which cases do not apply, and why."""

    name = None
    has_server = True
    column_types = {}
    type_names = {}
    lacks = {}
    errors = {}
    # What only writes: refused as such to those who may read.
    writes = []
    # What reads, and is refused to nobody.
    reads_only = []
    # Needs a session of its own, beside the statements of transactions.
    for_sessions = []
    # What hides a write: refused to those who may read, in whatever way.
    disguised = []
    # Statements of a session that try to end reading only, for itself or for the next one on its connection.
    escapes = []
    settings = None
    # Kinds of values that are told apart.
    kinds = tuple(EDGES)

    # Values

    def mark(self, number, kind="integer"):
        """The placeholder of parameter `number` (from 1) where nothing else tells its type."""
        return "?"

    def marks(self, count):
        return ", ".join(self.mark(number, None) for number in range(1, count + 1))

    def refuses(self, kind, value):
        """Why a value cannot be stored: an SQLSTATE, or None."""
        return None

    def reads(self, kind, value):
        """What comes back for a parameter."""
        return value

    def stores(self, kind, value):
        """What comes back for a value that was in a column."""
        return self.reads(kind, value)

    # Statements that every engine has, in its words

    # What statements of transactions get in an atomic batch that is in no session.
    in_batch = "bad_request"
    # SQLSTATE of `late_error`, and SQLSTATE and vendor code of a deadlock.
    late_state = deadlock = None
    begin, commit, savepoint = "BEGIN", "COMMIT", "SAVEPOINT a"
    # A statement without end that only reads, where `slow` does not.
    slow_read = None
    # Rows that take seconds to read.
    many = 10_000_000

    def say(self, number):
        """What does nothing but answer with a number."""
        return f"SELECT {number}"

    def said(self, number):
        return number

    def row(self, number):
        """One of `rows`."""
        return [number, f"row number {number}", number * 0.5]

    def echo(self, kind):
        """What answers with its parameter."""
        return f"SELECT {self.mark(1, kind)}"

    def state(self):
        """What no reader may change."""
        return self.beside("SELECT id, name, n FROM item ORDER BY id"), self.beside("SELECT id FROM child")

    def creation(self, table, columns):
        return f"CREATE TABLE {table}({', '.join(f'{column} {self.column_types[kind]}' for column, kind in columns)})"

    def filling(self):
        """Statements and their parameters: the tables of Place.fill."""
        kinds = self.column_types
        yield f"CREATE TABLE item(id {kinds['key']}, name {kinds['name']} NOT NULL, n {kinds['integer']} CHECK (n >= 0))", None
        yield f"CREATE TABLE child(id {kinds['key']}, item {kinds['integer']}, FOREIGN KEY (item) REFERENCES item(id))", None
        for row in ([1, "one", 10], [2, "two", 20], [3, "three", None]):
            yield f"INSERT INTO item(id, name, n) VALUES ({self.marks(3)})", row

    def insert(self, table):
        """One row of `id` and `v`, by two parameters."""
        return f"INSERT INTO {table} VALUES ({self.marks(2)})"

    def look(self, table):
        return f"SELECT * FROM {table}"

    def emptying(self, table):
        return f"DELETE FROM {table}"

    def values(self, table):
        """All `v`, seen past the daemon."""
        return [int(row[0]) for row in self.beside(f"SELECT v FROM {table}")]

    def count(self, table, v):
        return self.values(table).count(v)

    def beside(self, sql):
        """Runs SQL past the daemon; returns its rows."""
        raise NotImplementedError

    # The server

    def url(self, **options):
        raise NotImplementedError

    def configuration(self, rules):
        """Further databases for the daemon's configuration; `rules` say who may open what."""
        return ""

    def busy_backends(self):
        """Connections of the daemon that run something or have a transaction open, as the server sees them."""
        return []

    def backend_count(self):
        return 0

    def discard(self):
        pass


class ServerEngine(Engine):
    """What engines with a server have in common. `server` has start, stop, kill, pause, go_on and discard."""

    # The server's user who may only read.
    reader = "reader"
    # What answers with the number of its connection, and with something that has the name of its user.
    link = who = None
    # Of the client: its file, and the package that has it.
    library = package = None
    # Other names of it, in later releases of Debian.
    newer_libraries = ()

    def reader_url(self):
        return self.url(user=self.reader)

    def configuration(self, rules):
        return (f'[databases.limited]\nurl = "{self.reader_url()}"\n'
                f'[databases.two_logins]\nurl = "{self.url()}"\nread_only_url = "{self.reader_url()}"\n{rules}\n')

    def stop(self):
        """Ends in good order; connections are told."""
        self.server.stop()

    def kill(self):
        self.server.kill()

    def restart(self):
        self.server.start()

    def pause(self):
        self.server.pause()

    def go_on(self):
        self.server.go_on()

    def discard(self):
        self.server.discard()
