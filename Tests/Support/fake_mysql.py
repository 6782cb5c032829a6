"""A server that only pretends to be MySQL: it lets anybody in, and answers as a test wants."""

from fake_server import FakeServer

GREETING = (b"\x0a5.5.5-10.11.0-MariaDB\0" + b"\1\0\0\0" + b"abcdefgh\0" + b"\xfe\xf7" + b"\x21" + b"\2\0" + b"\xff\x81" + b"\x15"
            + b"\0" * 10 + b"ijklmnopqrst\0" + b"mysql_native_password\0")


def packet(number, body):
    return len(body).to_bytes(3, "little") + bytes([number]) + body


class FakeMySQL(FakeServer):
    """Greets, lets anybody in, and answers each command with what `answer` makes of it."""

    def __init__(self, path, answer):
        self.answer, self.seen = answer, []
        super().__init__(path)

    def talk(self, connection, stream):
        connection.sendall(packet(0, GREETING))
        self.read(stream)
        connection.sendall(packet(2, b"\0\0\0\2\0\0\0"))
        while body := self.read(stream):
            self.seen.append(body)
            reply = self.answer(body, connection)
            if reply is None:
                return
            connection.sendall(reply)

    def read(self, stream):
        head = stream.read(4)
        return stream.read(int.from_bytes(head[:3], "little")) if len(head) == 4 else b""


def column(name, type=3, length=11):
    text = b"".join(bytes([len(part)]) + part for part in (b"def", b"", b"", b"", name, name))
    return text + b"\x0c\x3f\0" + length.to_bytes(4, "little") + bytes([type]) + b"\0\0\0\0\0"


def rows(*values):
    packets = [b"\1", column(b"a"), b"\xfe\0\0\2\0", *[bytes([len(value)]) + value for value in values], b"\xfe\0\0\2\0"]
    return b"".join(packet(i + 1, body) for i, body in enumerate(packets))


def row(*values):
    packets = [bytes([len(values)]), *[column(b"a")] * len(values), b"\xfe\0\0\2\0",
               b"".join(bytes([len(value)]) + value for value in values), b"\xfe\0\0\2\0"]
    return b"".join(packet(i + 1, body) for i, body in enumerate(packets))
