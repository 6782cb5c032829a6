"""Steps of the fuzzer of the protocol: what no client should send, and changes of the configuration."""

import random
import socket
import struct

import fuzz_plan
from fuzz_link import ANSWER_SECONDS, Request, split
from fuzz_model import TRANSIENT, check_shape, require
from wire import encode, framed

FRAME_BYTES_MAX = 262_144

# What `configure` writes: as at the start, with one more database, and with an error.
VARIANTS = [("", 4), ("[databases.coming]\nurl = \"sqlite::memory:\"\n", 5), ("[limits.nonsense]\nx = 1\n", None)]


class WrongSteps:
    """What a run does wrong; the daemon says so, once for each, and goes on."""

    # What is wrong

    def do_bad(self, connection, which):
        if link := self.link(connection):
            type, data, codes = fuzz_plan.BAD_REQUESTS[which]
            if type == "fetch":
                id = link.next_id()
                link.requests[id] = Request(id, type, 0, 0, None, self.expect(*codes.split()), False, {})
                link.put(encode({"id": id, "type": type, **({} if data is None else {"data": data})}, link.encoding))
            else:
                self.request(link, type, data, self.expect(*codes.split(), "limit_exceeded", *(TRANSIENT if type == "batch" else ())))

    def do_broken(self, connection, which):
        if link := self.link(connection):
            bodies = fuzz_plan.BROKEN[link.mode]
            body = bodies[int(which * len(bodies))]
            # A line that does not even begin as an object is another protocol's: it ends the connection.
            is_last = link.mode == "lines" and not body.lstrip(b" \t\r").startswith(b"{")
            if is_last:
                self.settle(link)
                link.is_cut_off = True
            link.broken += 1
            self.note(f"c{link.number} > {body[:80]!r}")
            link.put(body)
            link.flush(self.chance)
            if is_last:
                self.wait(lambda: f"the end of c{connection}", lambda: link.has_ended)
                require(not link.broken, "a line that is no object is named before the end")
                self.leave(link)

    def do_same_ids(self, connection):
        if link := self.link(connection):
            for _ in range(self.chance.randrange(2, 9)):
                link.is_anonymous += 1
                type, data = self.chance.choice([("health_check", None), ("query", {"sql": "SELECT 1"}), ("cancel", {"request": "same"}), ("stats", {})])
                link.put(encode({"id": "same", "type": type, **({"data": data} if data else {})}, link.encoding))
            link.flush(self.chance)

    def do_stranger(self, which, noise):
        """Somebody who does not speak the protocol: an answer in a language of his, and the end."""
        first = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" + noise, b"HELP\r\n" + noise, bytes([5 + noise[0] % 4]) + noise,
                 b"\x00", b"", struct.pack(">I", FRAME_BYTES_MAX + 1), bytes([noise[0] % 5]) + noise][which]
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(ANSWER_SECONDS)
            stranger.connect(self.daemon.socket_path)
            try:
                stranger.sendall(first)
                stranger.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # answered and closed already
            answer = self.read_to_end(stranger)
        if which == 0:
            require(answer.startswith(b"HTTP/1.1 400 "), "HTTP is answered as such", answer[:80])
        elif which in (2, 3) and not first.startswith(b"\t"):
            require(b'"bad_frame"' in answer and answer.endswith(b"\n"), "who speaks something else is told so", first[:20], answer[:300])

    def do_mutants(self, mode, seed, count):
        """Requests in which one byte is another, too many or missing: each has one reply, and the stream goes on. (A line that begins otherwise than
        with `{` would end it.)"""
        chance = random.Random(seed)
        encoding = "msgpack" if mode == "msgpack" else "json"
        originals = [encode({"id": number, "type": type, "data": data}, encoding) for number, (type, data) in enumerate([
            ("health_check", None), ("hello", {"client": "x", "protocol": [1]}), ("query", {"sql": "SELECT ?, ?", "params": [1, "x"], "timeout_ms": 500}),
            ("describe", {"sql": "SELECT 1 AS a"}), ("list_databases", None), ("cancel", {"request": 5}), ("db_connect", {"database": "default"}),
            ("batch", {"statements": [{"sql": "SELECT ?", "param_rows": [[1], [2]]}]})])]
        end = encode({"id": "end", "type": "health_check"}, encoding)
        bodies = [end]
        while len(bodies) <= count:
            body = bytearray(chance.choice(originals))
            place = chance.randrange(len(body))
            way = chance.randrange(3)
            body[place:place + (way != 1)] = b"" if way == 0 else bytes([chance.choice([chance.randrange(256), 0xdf, 0xc1, 0x22, 0x7b])])
            if mode != "lines" or b"\n" not in body and body.lstrip(b" \t\r").startswith(b"{"):
                bodies.append(bytes(body))
        bodies.append(end)
        payload = b"".join(body + b"\n" if mode == "lines" else framed(body) for body in bodies)
        with socket.socket(socket.AF_UNIX) as mutant:
            mutant.settimeout(ANSWER_SECONDS)
            mutant.connect(self.daemon.socket_path)
            cut = chance.randrange(len(payload))
            mutant.sendall(payload[:cut])
            mutant.sendall(payload[cut:])
            mutant.shutdown(socket.SHUT_WR)
            answer = self.read_to_end(mutant)
        replies = list(split(answer, mode))
        for reply in replies:
            check_shape(reply)
        ended = sum(reply.terminal for reply in replies)
        require(ended == len(bodies), "as many replies as requests", f"{ended} of {len(bodies)}", [body[:60] for body in bodies])

    @staticmethod
    def read_to_end(peer):
        answer = b""
        try:
            while piece := peer.recv(1 << 16):
                answer += piece
        except ConnectionResetError:
            pass  # there was more to read than the daemon wanted
        return answer

    # Configuration

    def do_configure(self, variant):
        self.daemon.variant = variant
        self.daemon.write_configuration(VARIANTS[variant][0])

    def do_reload(self, connection):
        if link := self.link(connection):
            def check(request, reply):
                if reply.type == "error":
                    require(reply.data["code"] == "configuration_invalid" and reply.data["detail"], "why a configuration is refused", reply)
                else:
                    require(reply.data["restart_needed"] == [] and reply.data["databases"] in (4, 5, 3), "what a reload says", reply)
            self.request(link, "reload", None, check)
