"""Defects that were found by attacking the daemon; one test each, with what went wrong."""

import socket
import time

from daemon import ENDLESS, wait_until


def test_cancel_of_a_page_for_a_client_that_does_not_listen(daemon):
    """A cancel ended a suspended query at once, which flushed, found the client deaf, and freed the requests that were
    still being looked at."""
    client = daemon.connect("lines")
    query = client.send_query("VALUES (1),(2),(3)", page_rows=1)
    client.receive_for(query)
    client.socket.shutdown(socket.SHUT_RD)
    requests = b'{"id":"c","type":"cancel","data":{"request":%d}}\n' % query + b'{"id":9,"type":"health_check"}\n' * 50
    client.socket.sendall(requests[:10])
    time.sleep(0.05)
    client.socket.sendall(requests[10:])
    wait_until(daemon.is_idle, "the daemon rests")
    assert daemon.connect().query("SELECT 1").rows == [[1]]


def test_half_close_before_the_first_page_is_fetched(daemon):
    """The query was recycled while it was in flight; the next client's query shared it, and was cancelled with it."""
    daemon.connect().query("SELECT 1")
    client = daemon.connect("lines")
    client.socket.sendall(b'{"id":1,"type":"query","data":{"sql":"VALUES (1),(2)","page_rows":1}}')
    client.half_close()
    other = daemon.connect()
    id = other.send_query(ENDLESS, timeout_ms=300)
    while client.socket.recv(1 << 16):
        pass
    client.close()
    assert other.receive_for(id).data["code"] == "timeout"


def test_row_that_is_too_large_costs_no_more_than_its_limit(daemon, packed):
    """The limit on rows was looked at after the whole row had been encoded, in a buffer that doubles. The 1.2 GB of the
    values themselves are SQLite's, whose limits know single values only."""
    before = daemon.memory_kib("VmRSS")
    daemon.reset_peak()
    error = packed.query_fails("SELECT " + ",".join(["zeroblob(30000000)"] * 40))
    assert error["code"] == "limit_exceeded"
    assert daemon.memory_kib("VmHWM") - before < 1_400 << 10


def test_failed_returning_leaves_no_transaction(daemon, packed, table):
    """A deferred foreign key failed the release of the savepoint, and the session kept the write lock."""
    packed.query(f"CREATE TABLE {table}(a INTEGER PRIMARY KEY)")
    packed.query(f"CREATE TABLE {table}_f(a REFERENCES {table}(a) DEFERRABLE INITIALLY DEFERRED)")
    session = packed.session()
    error = packed.query_fails(f"INSERT INTO {table}_f VALUES (999) RETURNING *", session=session)
    assert (error["code"], error["transaction"]) == ("constraint_violation", "none")
    assert daemon.connect().query(f"INSERT INTO {table} VALUES (1)").last["rows_affected"] == 1
    assert packed.query(f"SELECT count(*) FROM {table}_f").rows == [[0]]


def test_insert_or_fail_means_the_same_alone_and_in_a_group(daemon, packed, table):
    """In a group the rows before the failing one were undone as well."""
    packed.query(f"CREATE TABLE {table}(a INTEGER PRIMARY KEY, b)")
    packed.query(f"INSERT INTO {table} VALUES (3, 'there')")
    ids = [packed.send_query(f"INSERT OR FAIL INTO {table} VALUES ({base + 1}, 1), ({base + 2}, 1), (3, 1)")
           for base in range(100, 2100, 100)]
    for id in ids:
        assert packed.receive_for(id).data["code"] == "constraint_violation"
    assert packed.query(f"SELECT count(*) FROM {table}").rows == [[41]]


def test_last_insert_id_is_never_another_clients(daemon, packed, table):
    """Inserts that have no rowid told the one of whoever had written before."""
    packed.query(f"CREATE TABLE {table}(a INTEGER PRIMARY KEY)")
    packed.query(f"CREATE TABLE {table}_w(a TEXT PRIMARY KEY, n INT) WITHOUT ROWID")
    assert packed.query(f"INSERT INTO {table} VALUES (123456789)").last["last_insert_id"] == 123456789
    assert "last_insert_id" not in packed.query(f"INSERT INTO {table}_w VALUES ('x', 1)").last


def test_batch_results_line_up_with_statements(packed, table):
    """A statement without parameter rows left its result out."""
    packed.query(f"CREATE TABLE {table}(a)")
    statements = [{"sql": f"INSERT INTO {table} VALUES (?)", "param_rows": []},
                  {"sql": f"INSERT INTO {table} VALUES (?)", "param_rows": [[1], [2]]},
                  {"sql": f"DELETE FROM {table} WHERE a = ?", "param_rows": []}]
    results = packed.call("batch", {"statements": statements}).data["results"]
    assert [result["rows_affected"] for result in results] == [0, 2, 0]


def test_returning_with_limits(packed, table):
    """With max_rows the counts were zero; with page_rows each row came in a frame of its own, unasked."""
    packed.query(f"CREATE TABLE {table}(a)")
    result = packed.query(f"INSERT INTO {table} VALUES (1), (2), (3) RETURNING a", max_rows=1)
    assert (result.rows, result.last["rows_affected"], result.last["truncated"]) == ([[1]], 3, True)
    result = packed.query(f"INSERT INTO {table} VALUES (4), (5), (6) RETURNING a", page_rows=2)
    assert result.rows == [[4], [5], [6]]


def test_unusable_connection_closes_though_a_page_waits(daemon):
    """After a frame that was too large the connection stayed open for a fetch that it would not read."""
    client = daemon.connect("msgpack")
    query = client.send_query("VALUES (1),(2),(3)", page_rows=1)
    client.receive_for(query)
    client.socket.sendall(b"\x04\x00\x00\x01")
    while client.socket.recv(1 << 16):
        pass


def test_closed_connections_leave_no_descriptors(daemon, packed):
    """Cancelled timers kept the connections of requests with a long timeout."""
    packed.settle()
    before = daemon.socket_count()
    for _ in range(40):
        client = daemon.connect()
        id = client.send_query(ENDLESS, timeout_ms=3_600_000)
        client.call("cancel", {"request": id})
        client.close()
    packed.settle()
    wait_until(lambda: daemon.socket_count() <= before, "the descriptors are closed")
