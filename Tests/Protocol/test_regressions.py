"""Defects that were found by attacking the daemon; one test each, with what went wrong."""

import socket
import time

from daemon import wait_until


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
