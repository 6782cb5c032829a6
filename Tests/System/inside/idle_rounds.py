"""One client for each socket: it comes back just around the moment when its daemon leaves. Prints a JSON report.

    idle_rounds.py --seed N --rounds N SOCKET...

Each client homes in on the edge: after a round that met the same process it waits a little longer, after one that met a
new process a little less, plus a random part.
"""

import argparse
import collections
import json
import random
import threading
import time

from peer import FRAMINGS, Failure, Peer

GAP_SECONDS, STEP_SECONDS, JITTER_SECONDS = 1.0, 0.02, 0.03


class Rounds(threading.Thread):
    def __init__(self, path, seed, count, number):
        super().__init__()
        self.path, self.count = path, count
        self.random = random.Random(f"{seed}/{path}")
        self.framing = FRAMINGS[number % len(FRAMINGS)]
        self.counts = collections.Counter()
        self.failures, self.gaps, self.slowest = [], [], 0.0

    def run(self):
        pid, gap = None, GAP_SECONDS
        # Not all at once: twenty sandboxes take a while to set up.
        time.sleep(self.random.uniform(0, 3))
        for number in range(self.count):
            if number:
                wait = gap + self.random.uniform(-JITTER_SECONDS, JITTER_SECONDS)
                self.gaps.append(wait)
                time.sleep(wait)
            started = time.monotonic()
            try:
                before, pid = pid, self.ask(number)
            except Failure as failure:
                self.counts[failure.kind] += 1
                self.failures.append(f"{self.path} round {number}: {failure}")
                continue
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.counts["answered"] += 1
            self.counts["met_the_old_process" if pid == before else "activations"] += 1
            gap += STEP_SECONDS if pid == before else -STEP_SECONDS

    def ask(self, number):
        peer = Peer(self.path, self.framing)
        try:
            peer.send({"id": number, "type": "health_check"})
            reply = peer.receive()
            if reply["id"] != number or reply["type"] != "health_response":
                raise Failure("wrong_reply", str(reply))
            return reply["data"]["pid"]
        finally:
            peer.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("sockets", nargs="+")
    options = parser.parse_args()
    clients = [Rounds(path, options.seed, options.rounds, number) for number, path in enumerate(options.sockets)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    counts = sum((client.counts for client in clients), collections.Counter())
    gaps = sorted(gap for client in clients for gap in client.gaps)
    print(json.dumps({
        "seed": options.seed, "rounds": len(clients) * options.rounds, **counts,
        "slowest_ms": round(1e3 * max(client.slowest for client in clients), 1),
        "median_gap_ms": round(1e3 * gaps[len(gaps) // 2], 1),
        "failures": [failure for client in clients for failure in client.failures][:20]}))


main()
