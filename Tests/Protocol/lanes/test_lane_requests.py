"""Every request does through a lane what it does by the socket: results of any size, pages, streams, cancelling, half-close, files."""

import os
import sqlite3

import pytest

from daemon import ENDLESS, counting, wait_until
from transfers import hello, opened, outcome, send_with, transfer
from wire import RequestFailed


def test_every_request_type(through, table):
    client = through
    assert client.call("health_check").data["status"] == "healthy"
    assert "default" in [entry["name"] for entry in client.call("list_databases").data["databases"]]
    client.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY, y)")
    client.batch([{"sql": f"INSERT INTO {table} VALUES (?, ?)", "param_rows": [[1, "one"], [2, b"\0\xff"], [3, 0.5]]}])
    assert client.query(f"SELECT * FROM {table} WHERE x >= ?", [2]).rows == [[2, b"\0\xff"], [3, 0.5]]
    assert client.call("describe", {"sql": f"SELECT x FROM {table}"}).data["columns"][0]["name"] == "x"
    catalog = client.send("catalog", {"level": "columns", "relation": table})
    assert [row[2] for row in client.receive_for(catalog).data["rows"]] == ["x", "y"]
    assert client.call("complete", {"sql": "SELEC"}).data["items"][0]["text"] == "SELECT"
    session = client.session()
    client.query("BEGIN", session=session)
    client.query(f"DELETE FROM {table}", session=session)
    assert client.query("ROLLBACK", session=session).transaction == "none"
    client.call("db_disconnect", {"session": session})
    assert client.query(f"SELECT count(*) FROM {table}").value == 3
    assert client.call("activity").data["entries"] is not None
    assert client.call("stats").data["connections"]["open"] >= 1
    assert client.fails("cancel", {})["code"] == "bad_request"
    assert client.fails("nonsense")["code"] == "unknown_type"
    assert client.fails("reload") if os.getuid() else client.call("reload")
    client.settle()
    assert client.lane, "all that went through the lane"


@pytest.mark.parametrize("sizes", [None, (4096, 4096)], ids=["standard", "smallest"])
@pytest.mark.parametrize("mode", ["msgpack", "lines", "json"])
def test_frames_larger_than_the_rings(lane_of, mode, sizes):
    client = lane_of(mode, sizes=sizes)
    for count in (1, 4095, 4096, 4097, 65_536, 1_000_000, 3_000_000):
        text = "é" * (count // 2) + "x" * (count % 2)
        assert client.query("SELECT ?, length(?)", [text, text]).rows == [[text, len(text)]]
    client.settle()


def test_a_frame_that_is_too_large(lane_of):
    client = lane_of()
    client.tracks = False
    client.put_raw(b"\x04\0\0\0" + b"x" * 100)
    reply = client.receive()
    assert reply.data["code"] == "frame_too_large"
    client.receive_end()


@pytest.mark.parametrize("bad", [b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff", b"hello\n"])
def test_what_is_no_frame(lane_of, bad):
    """The framing was chosen by the first byte on the socket, and stays."""
    client = lane_of("lines")
    client.tracks = False
    client.put_raw(bad + b"\n")
    assert client.receive().data["code"] == "bad_frame"
    client.receive_end()


def test_many_requests_at_once(through):
    ids = [through.send_query("SELECT ?", [number]) for number in range(500)]
    assert [through.collect(id).value for id in ids] == list(range(500))
    through.settle()


def test_a_million_rows(through):
    client = through
    id = client.send_query(counting(1_000_000 if client.mode == "msgpack" else 200_000))
    expected = 1
    while True:
        reply = client.receive_for(id)
        for row in reply.data["rows"]:
            assert row[0] == expected
            expected += 1
        if reply.terminal:
            break
    assert reply.data["row_count"] == expected - 1


def test_who_does_not_read_is_waited_for(lane_of, daemon):
    """Production stops while the ring is full, and takes no processor time; others are served; then it goes on."""
    client = lane_of(sizes=(4096, 4096))
    id = client.send_query(counting(300_000))
    wait_until(lambda: client.lane.memory[384] == 4096, "the ring is full")
    wait_until(daemon.is_idle, "the daemon waits")
    with daemon.connect() as other:
        other.settle()
    assert len(client.collect(id).rows) == 300_000
    client.settle()


def test_pages(through):
    id = through.send_query(counting(10), page_rows=4)
    assert len(through.receive_for(id).data["rows"]) == 4
    through.send("fetch", {"request": id})
    assert len(through.receive_for(id).data["rows"]) == 4
    through.send("fetch", {"request": id})
    assert through.receive_for(id).data["more"] is False


def test_cancel(through):
    for _ in range(20):
        long = through.send_query(ENDLESS)
        stop = through.send("cancel", {"request": long})
        assert through.receive_for(long).data["code"] == "cancelled"
        assert through.answer(stop).data["cancelled"] is True
    through.settle()


def test_a_stream_whose_client_does_not_read_can_be_cancelled(lane_of):
    client = lane_of(sizes=(4096, 4096))
    long = client.send_query(ENDLESS.replace("count(*)", "x"))
    wait_until(lambda: client.lane.memory[384] == 4096, "the ring is full")
    client.send("cancel", {"request": long})
    with pytest.raises(RequestFailed) as failure:
        client.collect(long)
    assert failure.value.code == "cancelled"
    client.settle()


def test_half_close(through):
    """Finish my requests, send the replies, close."""
    ids = [through.send_query("SELECT ?", [number]) for number in range(100)]
    through.half_close()
    assert [through.collect(id).value for id in ids] == list(range(100))
    through.receive_end()


def test_half_close_with_a_full_ring(lane_of):
    """A client that has half-closed still rings for the room that it makes."""
    client = lane_of(sizes=(4096, 4096))
    id = client.send_query(counting(100_000))
    client.half_close()
    assert len(client.collect(id).rows) == 100_000
    client.receive_end()


def test_half_close_in_the_middle_of_a_request(lane_of):
    client = lane_of()
    _, payload = client.bytes_of("health_check")
    client.put_raw(payload[:-3])
    client.half_close()
    client.receive_end()


@pytest.mark.parametrize("close", ["close", "shutdown"])
def test_hanging_up_stops_what_runs(lane_of, daemon, table, close):
    """In the middle of a write, which is rolled back."""
    with daemon.connect() as other:
        other.query(f"CREATE TABLE {table}(x)")
        client = lane_of()
        client.send_query(f"INSERT INTO {table} {ENDLESS.replace('count(*)', 'x')}")
        wait_until(lambda: any(entry["state"] == "running" and entry["type"] == "query" and entry["sql"].startswith("INSERT")
                               for entry in other.call("activity").data["entries"]), "it runs")
        if close == "close":
            client.close()
        else:
            client.socket.inner.shutdown(2)
        wait_until(lambda: not any(entry["type"] == "query" for entry in other.call("activity").data["entries"]), "it was stopped")
        assert other.query(f"SELECT count(*) FROM {table}").value == 0
        other.query(f"INSERT INTO {table} VALUES (1)")


def test_export_and_backup(through, directory, daemon, table):
    client = hello(through)
    assert client.lane
    with opened(directory / "rows.csv") as descriptor:
        last = transfer(client, "export", descriptor, sql=counting(3), format="csv")
    assert (directory / "rows.csv").read_text().split() == ["x", "1", "2", "3"] and last["row_count"] == 3
    client.query(f"CREATE TABLE {table}(x)")
    with opened(directory / "copy.db") as descriptor:
        transfer(client, "backup", descriptor)
    with sqlite3.connect(directory / "copy.db") as copy:
        assert copy.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    copy.close()


def test_descriptors_get_to_their_requests(lane_of, directory):
    client = hello(lane_of())
    pending = []
    for number in range(8):
        with opened(directory / f"{number}.csv") as descriptor:
            pending.append(send_with(client, [descriptor], "export", {"descriptors": 1, "sql": f"SELECT {number}", "header": False}))
            outcome(client, pending.pop())
    for number in range(8):
        assert (directory / f"{number}.csv").read_text() == f"{number}\n"


def test_a_request_whose_descriptor_has_not_come(lane_of):
    client = hello(lane_of())
    client.tracks = False
    client.send("export", {"descriptors": 1, "sql": "SELECT 1"})
    assert client.receive().data["code"] == "bad_request"
    client.receive_end()


def test_lanes_share_the_daemon_with_sockets(lane_of, daemon, table):
    """Both see one database."""
    client = lane_of()
    with daemon.connect() as other:
        other.query(f"CREATE TABLE {table}(x)")
        for number in range(200):
            (client if number % 2 else other).query(f"INSERT INTO {table} VALUES ({number})")
            assert (other if number % 2 else client).query(f"SELECT max(x) FROM {table}").value == number
