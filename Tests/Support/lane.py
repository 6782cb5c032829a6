"""A client of a lane: the same requests through shared memory (docs/protocol.md, "Fast lane").

`LaneSocket` looks like a socket, so `wire.Client` and whoever uses one need not know. Python has no atomic operations; loads
and stores of aligned words are, on the processors that there are, and taking a lock is a fence.
"""

import array
import fcntl
import mmap
import os
import select
import socket
import struct
import threading
import time

from wire import PATIENCE, Client, ConnectionEnded, encode, framed

HEADER_BYTE_COUNT = 4096
# Where the words are, in bytes.
REQUEST_WRITTEN, CLIENT_SLEEPS, REQUEST_READ, DAEMON_SLEEPS, REPLY_WRITTEN, REPLY_READ = 128, 192, 256, 320, 384, 512
WIDE = (REQUEST_WRITTEN, REQUEST_READ, REPLY_WRITTEN, REPLY_READ)
# What goes over the socket while the lane is used.
DESCRIPTOR, BELL, LEAVE, HALF_CLOSE = b"\0", b"\1", b"\2", b"\3"
FENCE = threading.Lock()


def fence():
    with FENCE:
        pass


class LaneMemory:
    """The words and rings, to be read and written at will."""

    def __init__(self, descriptor):
        self.size = os.fstat(descriptor).st_size
        self.map = mmap.mmap(descriptor, self.size)
        assert self.map[:8] == b"LiteLane", self.map[:8]
        self.bytes = memoryview(self.map)
        self.wide, self.narrow = self.bytes.cast("Q"), self.bytes.cast("I")
        self.version, self.request_bytes, self.reply_bytes = self.narrow[2], self.narrow[3], self.narrow[4]
        assert self.size == HEADER_BYTE_COUNT + self.request_bytes + self.reply_bytes

    def __getitem__(self, at):
        return self.wide[at // 8] if at in WIDE else self.narrow[at // 4]

    def __setitem__(self, at, value):
        if at in WIDE:
            self.wide[at // 8] = value % 2**64
        else:
            self.narrow[at // 4] = value % 2**32

    def pieces(self, start, size, position, count):
        """The parts of a ring that hold `count` bytes from a position on."""
        offset = position % size
        first = min(count, size - offset)
        return [(start + offset, first), (start, count - first)]

    def put(self, position, data):
        done = 0
        for at, count in self.pieces(HEADER_BYTE_COUNT, self.request_bytes, position, len(data)):
            self.bytes[at:at + count] = data[done:done + count]
            done += count

    def get(self, position, count, requests=False):
        start = HEADER_BYTE_COUNT + (0 if requests else self.request_bytes)
        size = self.request_bytes if requests else self.reply_bytes
        return b"".join(bytes(self.bytes[at:at + part]) for at, part in self.pieces(start, size, position, count))

    def close(self):
        self.wide.release()
        self.narrow.release()
        self.bytes.release()
        self.map.close()


class LaneSocket:
    """A stream through a lane, as a socket is one."""

    def __init__(self, inner, memory):
        self.inner, self.memory = inner, memory
        self.poll = select.poll()
        self.poll.register(inner, select.POLLIN)
        self.timeout = inner.gettimeout()
        self.written = self.taken = 0
        self.has_ended = self.has_half_closed = False
        self.bells_received = self.bells_sent = self.sleeps = 0
        self.passed = []  # (position behind the request, descriptors), in case that the lane is left
        self.rest = b""  # frames that came over the socket behind the order to leave

    @property
    def in_use(self):
        return self.memory is not None

    # What a socket has.

    def settimeout(self, seconds):
        self.timeout = seconds
        self.inner.settimeout(seconds)

    def gettimeout(self):
        return self.timeout

    def fileno(self):
        return self.inner.fileno()

    def setsockopt(self, *arguments):
        self.inner.setsockopt(*arguments)

    def close(self):
        self.inner.close()
        if self.memory:
            self.memory.close()
            self.memory = None
            self.has_ended = True

    def shutdown(self, how):
        if not self.in_use:
            return self.inner.shutdown(how)
        assert how == socket.SHUT_WR, how
        self.has_half_closed = True
        self.inner.sendall(HALF_CLOSE)

    def sendmsg(self, parts, rights=()):
        payload = b"".join(parts)
        if not self.in_use:
            return self.inner.sendmsg(parts, rights)
        if rights:
            self.inner.sendmsg([DESCRIPTOR], rights)
            self.passed.append((self.written + len(payload), rights))
        self.sendall(payload)
        return len(payload)

    def sendall(self, data):
        data = memoryview(data)
        while data and self.in_use:
            if self.has_ended:
                raise BrokenPipeError("the daemon has closed the connection")
            room = self.room()
            part = data[:room]
            if part:
                self.memory.put(self.written, part)
                self.publish(self.written + len(part))
            data = data[len(part):]
            if data:
                self.wait(lambda: self.room() > 0)
        if data:
            self.inner.sendall(data)

    def recv(self, count):
        while self.in_use:
            there = self.memory[REPLY_WRITTEN] - self.taken
            assert 0 <= there <= self.memory.reply_bytes, f"a position of the daemon: {there}"
            if there:
                piece = self.memory.get(self.taken, min(there, count))
                self.taken += len(piece)
                self.memory[REPLY_READ] = self.taken
                self.wake()
                return piece
            if self.has_ended:
                return b""
            self.wait(self.has_bytes)
        if self.rest:
            piece, self.rest = self.rest[:count], self.rest[count:]
            return piece
        return b"" if self.has_ended else self.inner.recv(count)

    # The protocol.

    def room(self):
        unread = self.written - self.memory[REQUEST_READ]
        assert 0 <= unread <= self.memory.request_bytes, f"a position of the daemon: {unread}"
        return self.memory.request_bytes - unread

    def has_bytes(self):
        return self.memory[REPLY_WRITTEN] != self.taken

    def publish(self, written):
        self.written = written
        self.memory[REQUEST_WRITTEN] = written
        self.wake()

    def wake(self):
        fence()
        if self.memory[DAEMON_SLEEPS]:
            self.memory[DAEMON_SLEEPS] = 0
            self.ring()

    def ring(self):
        self.bells_sent += 1
        try:
            self.inner.send(BELL, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            pass  # it has bells enough
        except (BrokenPipeError, ConnectionResetError):
            self.has_ended = True

    def wait(self, condition):
        """Until the condition holds, the connection ends or the lane is left."""
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while self.in_use and not self.has_ended and not condition():
            self.memory[CLIENT_SLEEPS] = 1
            fence()
            if not condition():
                self.sleeps += 1
                left = None if deadline is None else max(0, deadline - time.monotonic())
                if not self.poll.poll(None if left is None else left * 1000):
                    self.memory[CLIENT_SLEEPS] = 0
                    raise TimeoutError("nothing came through the lane")
                self.take_bells()
            if self.in_use:
                self.memory[CLIENT_SLEEPS] = 0

    def take_bells(self):
        try:
            found = self.inner.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            found = b""
        self.has_ended = not found
        bells, order, self.rest = found.partition(LEAVE)
        assert bells.strip(BELL) == b"", f"bytes on the socket: {found[:100]}"
        self.bells_received += len(bells)
        if order:
            self.leave()

    def leave(self):
        """What is in the reply ring is read first; what the daemon has not read follows over the socket."""
        self.rest = self.memory.get(self.taken, self.memory[REPLY_WRITTEN] - self.taken) + self.rest
        read = self.memory[REQUEST_READ]
        unread = self.memory.get(read, self.written - read, requests=True)
        self.memory.close()
        self.memory = None
        self.inner.sendall(LEAVE)
        for behind, rights in self.passed:
            if behind > read:
                part, unread = unread[:behind - read], unread[behind - read:]
                self.inner.sendmsg([part], rights)
                read = behind
        self.inner.sendall(unread)
        if self.has_half_closed:
            self.inner.shutdown(socket.SHUT_WR)


class LaneClient(Client):
    """A connection that has asked for a lane; `lane` is None where it was refused."""

    def __init__(self, address, mode="msgpack", timeout=30.0, sizes=None, **hello):
        super().__init__(address, mode, timeout)
        self.answer_to_hello = self.ask_for_lane(sizes, hello)

    @property
    def lane(self):
        return self.socket if isinstance(self.socket, LaneSocket) and self.socket.in_use else None

    def ask_for_lane(self, sizes=None, hello=()):
        wanted = dict(zip(("request_ring_bytes", "reply_ring_bytes"), sizes or ()))
        id, payload = self.bytes_of("hello", {"transport": "shared_memory", **wanted, **dict(hello)})
        inner = self.socket.inner if isinstance(self.socket, LaneSocket) else self.socket
        inner.sendall(payload)
        descriptors = array.array("i")
        # Not a byte more than the reply: what follows are bells.
        while not self.has_whole_reply():
            data, ancillary, _, _ = inner.recvmsg(1, socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC)
            if not data:
                raise ConnectionEnded("instead of a reply to hello")
            self.buffer += data
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(content[:len(content) - len(content) % 4])
        reply = self.answer(id)
        assert not self.buffer
        assert len(descriptors) == ("transport" in reply.data), reply
        if descriptors:
            self.descriptor_seals = fcntl.fcntl(descriptors[0], 1034)  # F_GET_SEALS
            memory = LaneMemory(descriptors[0])
            os.close(descriptors[0])
            assert (memory.request_bytes, memory.reply_bytes) == (reply.data["request_ring_bytes"], reply.data["reply_ring_bytes"])
            self.socket = LaneSocket(inner, memory)
        return reply.data

    def has_whole_reply(self):
        if self.mode == "lines":
            return self.buffer.endswith(b"\n")
        return len(self.buffer) >= 4 and len(self.buffer) == 4 + struct.unpack_from(">I", self.buffer)[0]

    def send_delivered(self, payload, timeout=5.0):
        if not self.lane:
            return super().send_delivered(payload, timeout)
        self.socket.sendall(payload)
        deadline = time.monotonic() + timeout * PATIENCE
        while self.lane and self.lane.memory[REQUEST_READ] < self.lane.written:
            assert time.monotonic() < deadline, "the daemon does not read"
            time.sleep(0.0002)

    def put_raw(self, data):
        """Bytes into the request ring, as a client may that has no manners."""
        self.socket.sendall(data)


def request(type, data=None, id=1):
    """One framed MessagePack request."""
    return framed(encode({"id": id, "type": type, **({"data": data} if data is not None else {})}, "msgpack"))
