"""Results in pages."""

import pytest

from daemon import counting
from test_queries import numbered  # noqa: F401 - fixtures among them
from wire import RequestFailed


# Pages


def fetch_page(client, id, count):
    """Reads frames of a paged query until a page of `count` rows is whole, or the query ends."""
    rows, frames = [], []
    while len(rows) < count:
        reply = client.receive_for(id)
        assert reply.type == "query_response", reply
        frames.append(reply)
        rows += reply.data["rows"]
        if reply.terminal:
            break
    assert len(rows) <= count
    return [row[0] for row in rows], frames


def test_pages(client):
    id = client.send_query(counting(25), page_rows=10)
    page, frames = fetch_page(client, id, 10)
    assert page == list(range(1, 11))
    assert frames[0].data["columns"][0]["name"] == "x"
    assert frames[-1].data["more"] is True
    client.call("health_check")  # nothing of the next page comes unasked
    assert not client.stash[id]
    client.send("fetch", {"request": id})
    page, frames = fetch_page(client, id, 10)
    assert page == list(range(11, 21))
    assert "columns" not in frames[0].data
    client.send("fetch", {"request": id})
    page, frames = fetch_page(client, id, 10)
    assert page == list(range(21, 26))
    assert frames[-1].data["more"] is False
    assert frames[-1].data["row_count"] == 25
    client.settle()


def test_page_larger_than_a_frame(client):
    id = client.send_query(counting(6000), page_rows=2500)
    seen = []
    while True:
        page, frames = fetch_page(client, id, 2500)
        seen += page
        if frames[-1].terminal:
            break
        assert len(page) == 2500 and len(frames) >= 3
        assert client.call("health_check") and not client.stash[id]
        client.send("fetch", {"request": id})
    assert seen == list(range(1, 6001))
    client.settle()


def test_result_that_ends_with_its_page(client):
    """A result of exactly two pages ends with the second one, or with an empty third."""
    id = client.send_query(counting(20), page_rows=10)
    assert len(fetch_page(client, id, 10)[0]) == 10
    client.send("fetch", {"request": id})
    page, frames = fetch_page(client, id, 10)
    assert len(page) == 10
    if not frames[-1].terminal:
        client.send("fetch", {"request": id})
        reply = client.receive_for(id)
        assert (reply.data["rows"], reply.data["more"]) == ([], False)
    client.settle()


def test_result_smaller_than_a_page(client):
    result = client.query(counting(3), page_rows=10)
    assert len(result.rows) == 3
    client.settle()


def test_two_paged_queries_side_by_side(client):
    first, second = client.send_query(counting(9), page_rows=3), client.send_query(counting(9, "-x"), page_rows=3)
    assert fetch_page(client, first, 3)[0] == [1, 2, 3]
    assert fetch_page(client, second, 3)[0] == [-1, -2, -3]
    for request, expected in ((second, [-4, -5, -6]), (first, [4, 5, 6])):
        client.send("fetch", {"request": request})
        assert fetch_page(client, request, 3)[0] == expected
    for request in (first, second):
        client.call("cancel", {"request": request})
        with pytest.raises(RequestFailed) as caught:
            client.collect(request)
        assert caught.value.code == "cancelled"
    client.settle()


def test_paged_query_of_a_table_sees_one_state(daemon, client, numbered):
    """Pages of one statement come from one snapshot, whatever others write between them."""
    id = client.send_query(f"SELECT x FROM {numbered} ORDER BY x", page_rows=10)
    fetch_page(client, id, 10)
    daemon.connect().query(f"DELETE FROM {numbered} WHERE x > 12")
    client.send("fetch", {"request": id})
    assert fetch_page(client, id, 10)[0] == list(range(11, 21))
    client.send("fetch", {"request": id})
    assert fetch_page(client, id, 10)[0] == list(range(21, 26))


@pytest.mark.parametrize("data", [{"request": "nothing"}, {"request": 424242}])
def test_fetch_of_what_is_not_paged(client, data):
    error = client.fails("fetch", data)
    assert error["code"] == "bad_request"  # guess: the code; the error carries the fetch's own id
    client.settle()


def test_fetch_after_the_end(client):
    id = client.send_query(counting(3), page_rows=10)
    client.collect(id)
    assert client.fails("fetch", {"request": id})["code"] == "bad_request"  # guess
    client.settle()


def test_fetch_from_another_connection(daemon, client):
    id = client.send_query(counting(25), page_rows=10)
    fetch_page(client, id, 10)
    assert daemon.connect().fails("fetch", {"request": id})["code"] == "bad_request"  # guess
    client.send("fetch", {"request": id})
    assert fetch_page(client, id, 10)[0] == list(range(11, 21))


def test_max_rows_with_pages(client):
    id = client.send_query(counting(100), page_rows=10, max_rows=15)
    assert len(fetch_page(client, id, 10)[0]) == 10
    client.send("fetch", {"request": id})
    page, frames = fetch_page(client, id, 10)
    assert len(page) == 5
    assert (frames[-1].data["more"], frames[-1].data["truncated"]) == (False, True)
    client.settle()
