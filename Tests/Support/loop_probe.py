"""Whether the loops of a daemon answer at once, whatever else it does: asked by a process of its own on each of them."""

import gc
import json
import os
import pathlib
import select
import subprocess
import sys
import time

from wire import PATIENCE, Client

CONNECTION_COUNT = 4


class Asker:
    """The process that asks, for one probe after the other: starting Python takes as long as many a block."""

    running = None

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @classmethod
    def idle(cls):
        """The one that there is, if it lives."""
        if cls.running is None or cls.running.process.poll() is not None:
            cls.running = cls()
        return cls.running

    def tell(self, message):
        """Sends a line and returns the next one, both in JSON; an asker that does not answer has ended, or is ended."""
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
            assert select.select([self.process.stdout], [], [], 60 * PATIENCE)[0], "the probe does not answer"
            line = self.process.stdout.readline()
            assert line, "the probe has ended"
            return json.loads(line)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise


class LoopProbe:
    """Sends a health check, and a statement if one is given, again and again until the block ends.

    What counts is how long an answer took, less the time in which the loops and the probe waited for a processor: the
    machine may be busy with others; what it took at all is `elapsed`. `computed` is the processor time that the busiest loop
    spent meanwhile. (Fields 1 and 2 of /proc/PID/schedstat, Documentation/scheduler/sched-stats.rst.)
    """

    def __init__(self, daemon, sql=None):
        self.order = {"socket": daemon.socket_path, "pid": daemon.pid, "sql": sql}

    def __enter__(self):
        self.asker = Asker.idle()
        assert self.asker.tell(self.order) == "ready"
        return self

    def __exit__(self, *_):
        self.times = self.asker.tell("end")

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
        """What is wrong where during more than `count` health checks a loop computed for as many milliseconds; or None.

        One that waits without computing, for a lock of another thread or for memory, may do so ten times as long: a virtual
        machine stands still for milliseconds, and tells nobody.
        """
        for name, limit_ms in (("health computed", limit * PATIENCE), ("health", 10 * limit * PATIENCE)):
            times = sorted(self.times[name])
            # What is over at once leaves few answers; none of them may be slow then.
            if times and times[-1 - count if len(times) > count else -1] * 1000 >= limit_ms:
                return f"{name}: {[round(time * 1000, 1) for time in times[-8:]]} ms"
        return None


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


def spent(paths):
    """Seconds that each of the threads has computed, and has waited for a processor."""
    fields = [pathlib.Path(path).read_text().split() for path in paths]
    return [int(line[0]) / 1e9 for line in fields], [int(line[1]) / 1e9 for line in fields]


def times_of(socket_path, pid, sql):
    """Asks until a line comes; returns the seconds that it took, by kind."""
    clients = [Client(socket_path, "msgpack") for _ in range(CONNECTION_COUNT)]
    asks = {"health": lambda client: client.call("health_check")}
    if sql:
        asks["statement"] = lambda client: client.query(sql)
    times = {f"{kind}{what}": [] for kind in ("health", "statement") for what in ("", " elapsed", " computed")}
    for client in clients:  # what the first of them costs is not meant
        for ask in asks.values():
            ask(client)
    # Now that they have answered, all loops have their names.
    threads = [f"/proc/{pid}/task/{task}/schedstat" for task in os.listdir(f"/proc/{pid}/task")
               if pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text().startswith("litebase-loop")]
    threads.append("/proc/self/schedstat")
    # What the last probe has left is not meant, either.
    gc.collect()
    say("ready")
    while not select.select([sys.stdin], [], [], 0)[0]:
        for client in clients:
            for kind, ask in asks.items():
                (computed, waited), start = spent(threads), time.monotonic()
                ask(client)
                took = time.monotonic() - start
                computed_then, waited_then = spent(threads)
                times[kind].append(max(0, took - (sum(waited_then) - sum(waited))))
                times[f"{kind} elapsed"].append(took)
                # (The last thread is the probe itself.)
                times[f"{kind} computed"].append(max(then - before for then, before in list(zip(computed_then, computed))[:-1]))
        time.sleep(0.001)
    sys.stdin.readline()
    for client in clients:
        client.close()
    return times


def say(message):
    print(json.dumps(message), flush=True)


def main():
    while line := sys.stdin.readline():
        order = json.loads(line)
        say(times_of(order["socket"], order["pid"], order["sql"]))


if __name__ == "__main__":
    main()
