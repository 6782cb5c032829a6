"""Values and answers that the command line must not change or die of."""

import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest

from daemon import LITEBASE, Daemon, environment_for, run_to_end


@pytest.fixture
def daemon(tmp_path_factory):
    instance = Daemon()
    yield instance
    instance.discard()


@pytest.mark.parametrize("typed, type", [
    ("99999999999999999.99", "text"), ("0.1", "real"), ("123456789.123456789", "text"), ("1.5", "real"), ("1e3", "real"),
    ("-0.1000000000000000055", "text"),
])
def test_a_decimal_keeps_all_digits_that_were_typed(daemon, typed, type):
    done = subprocess.run([LITEBASE, "query", "--socket", daemon.socket_path, "SELECT typeof(?) AS t, ? || '' AS v", typed, typed],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    row = json.loads(done.stdout)
    assert row["t"] == type and (type == "real" or row["v"] == typed)


class AbsurdDaemon:
    """Answers everything, with numbers that no daemon has."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.turn = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        import msgpack
        import struct
        stream = connection.makefile("rb")
        while head := stream.read(4):
            request = msgpack.unpackb(stream.read(struct.unpack(">I", head)[0]))
            self.turn += 1
            huge = 2**63 - 1 if self.turn % 2 else -2**63
            kind = {"health_check": "health_response"}.get(request["type"], request["type"] + "_response")
            counters = {name: huge for name in ("rows_sent", "bytes_received", "bytes_sent", "requests_in_flight")}
            data = {"status": "healthy", "version": "9", "protocol": 1, "pid": 1, "uptime_ms": 2**63 - 1, "activation": "socket",
                    **counters, "requests": {"query": huge, "batch": huge}, "errors": {"x": huge}, "connections": {"open": huge},
                    "limits": {"a": {"value": huge, "used": huge, "peak": huge, "hits": huge}}, "users": [{"uid": 1, "connections": huge}],
                    "entries": [{"connection": huge, "uid": 1, "pid": huge, "state": "running", "type": "query", "age_ms": huge}],
                    "truncated": False}
            body = msgpack.packb({"id": request["id"], "type": kind, "timestamp": None, "data": data})
            connection.sendall(struct.pack(">I", len(body)) + body)

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("words", [["top", "--once", "-i", "0.1"], ["top", "--json", "-i", "0.1"],
                                   ["status"], ["ping", "-c", "2", "-i", "0.1"]], ids=lambda words: "-".join(words[:2]))
def test_absurd_numbers_of_a_daemon_are_survived(tmp_path, words):
    directory = pathlib.Path(subprocess.check_output(["mktemp", "-d", "/tmp/lb-test-XXXXXX"], text=True).strip())
    absurd = AbsurdDaemon(directory / "s")
    try:
        done = subprocess.run([LITEBASE, *words, "--socket", f"{directory}/s"], capture_output=True, text=True, timeout=30,
                              env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})
        assert done.returncode >= 0, f"signal {-done.returncode}: {done.stderr[-500:]}"
        assert "Fatal error" not in done.stderr, done.stderr[-500:]
    finally:
        absurd.close()
        subprocess.run(["rm", "-rf", directory])


SPELLINGS = ["postgresql://h/d?password=Xq7secret&application_name=a@b", "postgresql://h/d?pass%77ord=Xq7secret",
             "postgresql://h/d?password=Xq7@secret", "postgresql://h/d?sslpassword=Xq7secret", "postgresql://h/d?%50assword=Xq7secret",
             "postgresql://h/d?sslpass%77ord=Xq7secret&user=a@b"]


@pytest.mark.parametrize("url", SPELLINGS)
def test_no_spelling_of_a_password_is_shown(tmp_path, url):
    config = tmp_path / "litebase.toml"
    config.write_text(f'[databases.shop]\nurl = "{url}"\n')
    _, output = run_to_end("--check-config", "--config", config, directory=tmp_path)
    assert "Xq7" not in output and "secret" not in output, output


@pytest.mark.parametrize("url", SPELLINGS)
def test_no_spelling_of_a_password_is_taken_from_the_command_line(tmp_path, url):
    (tmp_path / "conf").mkdir()
    done = subprocess.run([LITEBASE, "config", "add-database", "shop", url, "--config", str(tmp_path / "conf" / "litebase.toml")],
                          capture_output=True, text=True, timeout=30, env=environment_for(tmp_path), stdin=subprocess.DEVNULL)
    assert done.returncode != 0 and "Xq7" not in done.stderr + done.stdout, done
    assert not list((tmp_path / "conf").glob("litebase.toml.d/*"))
