"""A PostgreSQL server that says whatever a test wants: the v3 protocol by hand, on a Unix socket in a temporary directory.

It is honest by default: it lets anybody in, runs nothing, and keeps track of transactions.
Source: https://www.postgresql.org/docs/15/protocol-message-formats.html
"""

import socket
import struct
import threading
import time

from fake_server import FakeServer

PID, KEY = 4711, 815
CANCEL_CODE, SSL_CODE, GSS_CODE = 80877102, 80877103, 80877104


def message(kind, body=b"", length=None):
    return kind + struct.pack(">I", (len(body) + 4 if length is None else length) & 0xffffffff) + body


def text(value):
    return (value.encode() if isinstance(value, str) else value) + b"\0"


def ready(status=b"I"):
    return message(b"Z", status)


def complete(tag):
    return message(b"C", text(tag))


def authentication(code, rest=b""):
    return message(b"R", struct.pack(">I", code) + rest)


def parameter(name, value):
    return message(b"S", text(name) + text(value))


def fields(kind, values):
    return message(kind, b"".join(key.encode() + text(value) for key, value in values.items()) + b"\0")


def error(sqlstate, words="it means ill", severity="ERROR", **more):
    return fields(b"E", {"S": severity, "V": severity, "C": sqlstate, "M": words, **more})


def notice(words="look here", **more):
    return fields(b"N", {"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": words, **more})


def notification(channel="c", payload=""):
    return message(b"A", struct.pack(">I", PID) + text(channel) + text(payload))


def described(*columns):
    """Columns are pairs of a name and the OID of a type."""
    parts = [text(name) + struct.pack(">IHIhiH", 0, 0, oid, -1, -1, 0) for name, oid in columns]
    return message(b"T", struct.pack(">H", len(parts)) + b"".join(parts))


def row(*values):
    parts = [struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value for value in values]
    return message(b"D", struct.pack(">H", len(parts)) + b"".join(parts))


def rows(*values, oid=23, tag=None):
    """One column, and a row for each value."""
    return described(("a", oid)) + b"".join(row(value) for value in values) + complete(tag or f"SELECT {len(values)}")


WELCOME = (authentication(0) + parameter("server_version", "15.0") + parameter("server_encoding", "UTF8")
           + parameter("client_encoding", "UTF8") + parameter("application_name", "litebase")
           + parameter("integer_datetimes", "on") + message(b"K", struct.pack(">II", PID, KEY)) + ready())


class Gone(Exception):
    """The other side has closed, or this one wants to."""


class Talk:
    """One connection of a client's."""

    def __init__(self, server, connection):
        self.server, self.connection = server, connection
        self.statements, self.sql, self.status, self.is_skipping, self.is_named = {}, "", b"I", False, False
        self.received = []

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError:
            raise Gone from None

    def read(self, count):
        try:
            data = b""
            while len(data) < count and (more := self.connection.recv(count - len(data))):
                data += more
        except OSError:
            raise Gone from None
        if len(data) < count:
            raise Gone
        return data

    def silence(self):
        """Says nothing more until the client leaves, or the test ends; reads and drops what comes."""
        try:
            while self.connection.recv(1 << 16):
                pass
        except OSError:
            pass
        raise Gone

    def deafness(self):
        """Neither reads nor writes until the test ends."""
        self.server.ending.wait()
        raise Gone

    def flood(self, data, seconds=None):
        """Says the same until the client leaves: as fast as it is read, or only for so long, and then 30 MB in a second.

        That is enough for what is kept to be seen, and leaves the processor to others while the client waits for an end.
        """
        start = time.monotonic()
        while True:
            self.send(data)
            if seconds is not None and time.monotonic() - start > seconds:
                time.sleep(len(data) / 30e6)

    def startup(self):
        """The first packet: a cancel ends here; encryption is refused."""
        while True:
            length, code = struct.unpack(">II", self.read(8))
            body = self.read(length - 8)
            if code == CANCEL_CODE:
                self.server.cancelled(self, *struct.unpack(">II", body))
                raise Gone
            if code not in (SSL_CODE, GSS_CODE):
                return body
            self.send(self.server.encryption)
            if self.server.tls and code == SSL_CODE:
                self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)

    def next(self):
        kind, length = self.read(1), struct.unpack(">I", self.read(4))[0]
        body = self.read(length - 4)
        self.received.append(kind)
        return kind, body

    def serve(self):
        self.server.startups.append(self.startup())
        self.server.welcome(self)
        while True:
            kind, body = self.next()
            if kind == b"X":
                return
            self.take(kind, body)

    def take(self, kind, body):
        if kind == b"Q":
            self.run(body[:-1].decode())
            self.send(ready(self.status))
        elif kind == b"S":
            self.is_skipping = False
            self.server.synced(self)
        elif self.is_skipping:
            return
        elif kind == b"P":
            name, sql = body.split(b"\0")[:2]
            self.statements[name] = sql.decode()
            self.send(message(b"1"))
        elif kind == b"B":
            name = body.split(b"\0")[1]
            self.sql, self.is_named = self.statements.get(name, ""), name != b""
            self.send(message(b"2"))
        elif kind == b"E":
            self.run(self.sql)

    def run(self, sql):
        self.server.seen.append(sql)
        reply = self.server.own(self, sql)
        if reply is None:
            reply = self.server.answer(self, sql)
        if reply is None:
            raise Gone
        if reply[:1] == b"E":
            self.is_skipping = True
            self.status = b"E" if self.status != b"I" else b"I"
        self.send(reply)


class FakePostgreSQL(FakeServer):
    """Methods and attributes that a test replaces say what it does."""

    encryption, tls = b"N", None

    def __init__(self, directory, answer=None, address=None):
        self.directory = directory
        self.seen, self.startups, self.cancels, self.problems, self.talks = [], [], [], [], []
        self.connection_count = 0
        self.ending = threading.Event()
        if answer:
            self.answer = answer
        super().__init__(address or f"{directory}/.s.PGSQL.5432")

    def url(self, user="u", more=""):
        if self.listener.family == socket.AF_UNIX:
            return f"postgresql://{user}@/d?host={self.directory}{more}"
        return f"postgresql://{user}@127.0.0.1:{self.listener.getsockname()[1]}/d{more.replace('&', '?', 1)}"

    def encrypt(self, context):
        """From now on it speaks TLS, in records as long as there can be."""
        self.encryption, self.tls = b"S", context

    def serve(self, connection):
        self.connection_count += 1
        talk = Talk(self, connection)
        self.talks.append(talk)
        try:
            with connection:
                talk.serve()
        except (Gone, OSError):
            pass
        except BaseException as problem:  # noqa: BLE001  told by `close`
            self.problems.append(problem)
        finally:
            self.talks.remove(talk)

    # What a test replaces

    def welcome(self, talk):
        talk.send(WELCOME)

    def answer(self, talk, sql):
        """To a statement of a client's; None hangs up."""
        return rows(b"1")

    def synced(self, talk):
        talk.send(ready(talk.status))

    def cancelled(self, talk, pid, key):
        self.cancels.append((pid, key))

    def own(self, talk, sql):
        """To what the daemon sends for itself, and to transactions."""
        word = sql.split(" ")[0].rstrip(";")
        if word in ("BEGIN", "SAVEPOINT", "RELEASE"):
            talk.status = b"T"
            return complete(word)
        if sql.startswith("ROLLBACK TO"):
            talk.status = b"T"
            return complete("ROLLBACK")
        if word in ("COMMIT", "ROLLBACK"):
            tag = "ROLLBACK" if talk.status == b"E" else word
            talk.status = b"I"
            return complete(tag)
        if word in ("SET", "DISCARD", "DEALLOCATE"):
            return complete("DISCARD ALL" if word == "DISCARD" else word)
        if sql == "SELECT":
            return described() + row() + complete("SELECT 1")
        if "pg_backend_pid()" in sql:
            return described(("pid", 23), ("interval", 25)) + row(b"%d" % PID, b"0") + complete("SELECT 1")
        if "pg_catalog.pg_type" in sql:
            return described(("oid", 26), ("name", 25)) + complete("SELECT 0")
        if any(name in sql for name in ("txid_current_if_assigned", "set_config", "setseed")):
            return rows(b"1")
        return None

    def behave(self):
        """From now on, on new connections and old ones."""
        for name in ("welcome", "answer", "synced", "cancelled", "own", "encryption"):
            self.__dict__.pop(name, None)

    def close(self):
        self.ending.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        super().close()
        for talk in list(self.talks):
            try:
                talk.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        assert not self.problems, self.problems
