"""Requests that pass descriptors (SCM_RIGHTS)."""

import array
import contextlib
import os
import socket

from wire import RequestFailed


def send_with(client, descriptors, type, data, split=None, id=None):
    """Sends a request and descriptors with it; `split` bytes go ahead of them, in a message of their own."""
    id, payload = client.bytes_of(type, data, id)
    if split:
        client.socket.sendall(payload[:split])
    pass_bytes(client, payload[split or 0:], descriptors)
    return id


def pass_bytes(client, payload, descriptors):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    sent = client.socket.sendmsg([payload], rights)
    if sent < len(payload):
        client.socket.sendall(payload[sent:])


def hello(client):
    """Asks for descriptors."""
    assert client.call("hello", {"descriptors": True}).data["descriptors"] is True
    return client


def outcome(client, id):
    """All replies of a transfer; raises RequestFailed."""
    replies = []
    while True:
        reply = client.receive_for(id)
        if reply.type == "error":
            raise RequestFailed(reply.data, replies)
        replies.append(reply.data)
        if not reply.data["more"]:
            return replies


def transfer(client, type, descriptor, **data):
    """The last reply of a request that writes into a descriptor."""
    return outcome(client, send_with(client, [descriptor], type, {"descriptors": 1, **data}))[-1]


def transfer_fails(client, type, descriptor, **data):
    try:
        replies = transfer(client, type, descriptor, **data)
    except RequestFailed as failure:
        return failure.data
    raise AssertionError(f"expected an error, got {replies}")


@contextlib.contextmanager
def opened(path, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_files(pid):
    """What a process has open, by descriptor."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def open_paths(pid, path):
    """How often a process has a file open."""
    return sum(target.split(" (deleted)")[0] == str(path) for target in open_files(pid).values())
