"""What the servers that only pretend to be one have in common: they listen, and talk to each connection in a thread of its own."""

import contextlib
import socket
import struct
import threading


class FakeServer:
    """Listens from the start, at the path of a socket or the address of a port; subclasses have `talk`, at whose end the
    connection is closed."""

    buffering = -1

    def __init__(self, address):
        if isinstance(address, tuple):
            self.listener = socket.create_server(address)
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(address))
            self.listener.listen(64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        # The other side may hang up, also in the middle of a length.
        with contextlib.suppress(OSError, struct.error), connection, connection.makefile("rb", buffering=self.buffering) as stream:
            self.talk(connection, stream)

    def talk(self, connection, stream):
        raise NotImplementedError

    def close(self):
        self.listener.close()
