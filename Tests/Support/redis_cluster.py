"""A real Redis Cluster of the tests' own: primaries and replicas on the loopback, made by redis-cli."""

import contextlib
import re

from daemon import free_port, wait_until
from redis_server import Networked
from server_process import find_programs


class Node(Networked):
    """One server. Others take over for it when it has been away for so many milliseconds."""

    def __init__(self, **settings):
        self.bus = free_port()
        super().__init__(cluster_enabled="yes", cluster_config_file="nodes.conf", cluster_port=self.bus, cluster_node_timeout=1000,
                         cluster_replica_validity_factor=0, repl_ping_replica_period=1, **settings)

    @property
    def id(self):
        return self.ask("CLUSTER", "MYID")


class Cluster:
    """`discard` ends all servers."""

    def __init__(self, primaries=3, replicas=1, **settings):
        self.settings = settings
        self.nodes = []
        try:
            for _ in range(primaries * (1 + replicas)):
                self.nodes.append(Node(**settings))
            self.cli("--cluster", "create", *(f"{node.place}@{node.bus}" for node in self.nodes), "--cluster-replicas", replicas, "--cluster-yes")
            self.wait(self.nodes)
        except BaseException:
            self.discard()
            raise

    def cli(self, *words):
        node = self.nodes[0]
        login = ["-a", self.settings["requirepass"], "--no-auth-warning"] if "requirepass" in self.settings else []
        return node.run(find_programs("redis-cli")["redis-cli"], *words, *login)

    def wait(self, nodes):
        """Until all know all, and every slot is served."""
        def ready(node):
            with contextlib.suppress(OSError, ValueError):
                lines = [line.split() for line in node.ask("CLUSTER", "NODES").splitlines()]
                return "cluster_state:ok" in node.ask("CLUSTER", "INFO") and len(lines) == len(nodes) \
                    and all(words[7] == "connected" for words in lines)
            return False
        wait_until(lambda: all(ready(node) for node in nodes), "the cluster is ready", timeout=30, interval=0.05)
        wait_until(lambda: all(self.is_synchronous(node) for node in nodes), "the replicas have caught up", timeout=30, interval=0.05)

    @staticmethod
    def is_synchronous(node):
        return node.ask("ROLE")[0] == "master" or node.ask("ROLE")[3] == "connected"

    def url(self, user=None, password=None):
        login = f"{user or ''}:{password}@" if password else ""
        return f"redis+cluster://{login}{','.join(node.place for node in self.nodes[:3])}"

    def add(self):
        """One more primary, without slots."""
        node = Node(**self.settings)
        self.nodes.append(node)
        self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        self.wait(self.nodes)
        return node

    def primary(self, key):
        """The node that has the slot of a key."""
        running = [node for node in self.nodes if node.process.poll() is None]
        slot = running[0].ask("CLUSTER", "KEYSLOT", key)
        for node in running:
            if slot in slots_of(node):
                return node
        raise AssertionError(f"nobody has slot {slot}")

    def replica(self, primary):
        own = primary.id
        return next(node for node in self.nodes if node is not primary and f"slave {own}" in node.ask("CLUSTER", "NODES").split("myself,")[1].split("\n")[0])

    def move(self, slot, source, target, between=lambda: None):
        """Moves one slot by hand, as redis-cli does; `between` is called while half of its keys are there."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
        self.migrate(source, target, keys[:len(keys) // 2])
        between()
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.migrate(source, target, keys)
        for node in (target, source, *self.nodes):
            if node.ask("ROLE")[0] == "master":
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def migrate(self, source, target, keys):
        login = ["AUTH", self.settings["requirepass"]] if "requirepass" in self.settings else []
        if keys:
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, *login, "KEYS", *keys)

    def get(self, key, command="GET"):
        """What is at a key, beside the daemon."""
        return self.primary(key).ask(command, key)

    def discard(self):
        for node in self.nodes:
            node.discard()


def slots_of(node):
    """The slots that a node says it has."""
    line = next(line for line in node.ask("CLUSTER", "NODES").splitlines() if "myself" in line)
    found = set()
    for word in line.split()[8:]:
        if match := re.fullmatch(r"(\d+)(?:-(\d+))?", word):
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found
