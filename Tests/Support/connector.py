"""A small process that connects as other users, for `identity`: a copy of a process that runs tests, which is large, costs more.

Each line that it reads is a JSON object {path, uid, gid, groups}. The child that connects answers with "x" and the connection, and
when it is gone, this process with "."; or with "-", if there is no connection.
"""

import json
import os
import socket
import sys


def connect(answers, path, uid, gid, groups):
    """In a child: becomes that user, with these supplementary groups and no others."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    socket.send_fds(answers, [b"x"], [connection.fileno()])


def main():
    answers = socket.socket(fileno=0)
    for line in answers.makefile("rb"):
        child = os.fork()
        if child == 0:
            try:
                connect(answers, **json.loads(line))
            except BaseException as error:
                print(f"connector: {error!r}: {line.decode()}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        answers.sendall(b"-" if os.waitpid(child, 0)[1] else b".")


main()
