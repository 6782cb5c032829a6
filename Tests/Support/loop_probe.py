"""Whether the loops of a daemon answer at once, whatever else it does: asked by a process of its own on each of them."""

import json
import os
import pathlib
import subprocess
import sys
import time

from wire import PATIENCE, Client

CONNECTION_COUNT = 4


class LoopProbe:
    """Sends a health check, and a statement if one is given, again and again until the block ends.

    What counts is how long an answer took, less the time in which the loops and the probe waited for a processor: the
    machine may be busy with others; what it took at all is `elapsed`. (Field 2 of /proc/PID/schedstat, Documentation/scheduler/sched-stats.rst.)
    """

    def __init__(self, daemon, sql=None):
        self.command = [sys.executable, __file__, daemon.socket_path, str(daemon.pid), sql or ""]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate(timeout=60 * PATIENCE)
        self.times = json.loads(out)

    def slow(self, health=5, statement=25):
        """What is wrong where not 99 of 100 answers came within so many milliseconds; or None."""
        for kind, limit in (("health", health), ("statement", statement)):
            times = sorted(self.times[kind])
            if kind == "health" and len(times) < 3:
                return f"only {len(times)} answers"
            if times and (slow := times[min(int(len(times) * 0.99), len(times) - 2)] * 1000) > limit * PATIENCE:
                return f"{kind}: 99 of 100 within {slow:.1f} ms"
        return None

    def slow_but_for(self, count, limit):
        """What is wrong where more than `count` health checks took as many milliseconds; or None."""
        times = sorted(self.times["health"])
        # What is over at once leaves few answers; none of them may be slow then.
        if not times or times[-1 - count if len(times) > count else -1] * 1000 < limit * PATIENCE:
            return None
        return f"{[round(time * 1000, 1) for time in times[-8:]]} ms"


def serves_meanwhile(daemon, work, what="", sql=None, wrong=LoopProbe.slow):
    """Others are served while `work()` goes on: `wrong(probe)` finds nothing.

    Twice more, by a daemon that has learnt nothing yet: what holds a loop does so each time, what the machine does does not.
    """
    for attempt in range(3):
        if attempt:
            daemon.restart()
        with LoopProbe(daemon, sql) as probe:
            work()
        if not (found := wrong(probe)):
            return
    raise AssertionError(f"{found}: {what}")


def waiting(pids):
    """Nanoseconds that the threads have waited for a processor."""
    return sum(int(pathlib.Path(path).read_text().split()[1]) for path in pids)


def main(socket_path, pid, sql):
    threads = [f"/proc/{pid}/task/{task}/schedstat" for task in os.listdir(f"/proc/{pid}/task")
               if pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text().startswith("litebase-loop")]
    threads.append("/proc/self/schedstat")
    clients = [Client(socket_path, "msgpack") for _ in range(CONNECTION_COUNT)]
    asks = {"health": lambda client: client.call("health_check")}
    if sql:
        asks["statement"] = lambda client: client.query(sql)
    times = {"health": [], "statement": [], "health elapsed": [], "statement elapsed": []}
    for client in clients:  # what the first of them costs is not meant
        for ask in asks.values():
            ask(client)
    print("ready", flush=True)
    os.set_blocking(0, False)
    while sys.stdin.buffer.read(1) != b"":
        for client in clients:
            for kind, ask in asks.items():
                before, start = waiting(threads), time.monotonic()
                ask(client)
                took = time.monotonic() - start
                times[kind].append(max(0, took - (waiting(threads) - before) / 1e9))
                times[f"{kind} elapsed"].append(took)
        time.sleep(0.001)
    print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
